"""Every claim of the papers as one small entry: system, formula, computed value, figure."""

from ._claim import Check as Check
from ._claim import Claim as Claim
from ._claim import Measured as Measured
from ._claim import Outcome as Outcome
from ._claim import Source as Source
from ._claim import verify as verify
