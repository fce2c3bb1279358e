"""Fields: flows made from flows."""
