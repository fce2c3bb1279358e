"""Every claim of the papers as one small entry: system, formula, computed value, figure."""

from ._claim import Check as Check, Claim as Claim, Measured as Measured, Outcome as Outcome, Source as Source, verify as verify
