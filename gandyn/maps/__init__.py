"""Maps: training algorithms built from flows."""
