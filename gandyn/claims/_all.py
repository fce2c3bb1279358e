"""Every claim, by its key, in the order of the report."""

from . import (
    _algorithms,
    _charts,
    _cycles,
    _dirac,
    _dirac_figures,
    _dirac_rates,
    _dirac_regularised,
    _dirac_steps,
    _farnia_ozdaglar,
    _methods,
    _nagarajan_kolter,
    _nie_patel,
    _no_nash,
    _nonlinear,
    _orbits,
    _proximal,
    _segment,
    _step_counts,
    _taxonomy,
)
from ._assumed import through_assumptions
from ._claim import Claim

_FILES = (
    _nagarajan_kolter,
    _dirac,
    _dirac_steps,
    _dirac_regularised,
    _dirac_rates,
    _segment,
    _dirac_figures,
    _nie_patel,
    _step_counts,
    _algorithms,
    _methods,
    _charts,
    _nonlinear,
    _orbits,
    _cycles,
    _taxonomy,
    _farnia_ozdaglar,
    _proximal,
    _no_nash,
)


def _by_key(claims: list[Claim]) -> dict[str, Claim]:
    keys = [claim.key for claim in claims]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"Two claims share a key: {twice}.")
    return dict(zip(keys, claims, strict=True))


ALL: dict[str, Claim] = _by_key([through_assumptions(claim) for file in _FILES for claim in file.CLAIMS])
