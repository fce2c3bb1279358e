"""Every claim, by its key, in the order of the report."""

from . import _nagarajan_kolter, _nie_patel
from ._claim import Claim

_PAPERS = (_nagarajan_kolter, _nie_patel)


def _by_key(claims: list[Claim]) -> dict[str, Claim]:
    keys = [claim.key for claim in claims]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"Two claims share a key: {twice}.")
    return dict(zip(keys, claims, strict=True))


ALL: dict[str, Claim] = _by_key([claim for paper in _PAPERS for claim in paper.CLAIMS])
