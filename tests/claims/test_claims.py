import numpy as np
import pytest

from gandyn.claims import verify
from gandyn.claims._all import ALL
from gandyn.claims._claim import _compare


@pytest.mark.parametrize("claim", ALL.values(), ids=ALL)
def test_claim(claim):
    outcome = verify(claim, draws=1)
    assert not outcome.message
    assert outcome.verdict == ("corrected" if claim.correction else "holds")
    for check in outcome.checks:
        assert_it_could_have_failed(check, claim.tolerance)


def assert_it_could_have_failed(check, tolerance):
    """A prediction moved by twice what is allowed is found out."""
    if isinstance(check.predicted, str | bool | np.bool_):
        assert _compare(f"not {check.predicted}", check.computed, tolerance)[1] == float("inf")
        return
    predicted = np.asarray(check.predicted)
    scale = np.max(np.abs(predicted), initial=0.0) or 1.0
    _, error, _ = _compare(predicted + 2 * check.allowed * scale, check.computed, tolerance)
    assert error > check.allowed


def test_keys_are_unique_and_sources_are_cited():
    assert all(key == claim.key and claim.source.full and claim.formula for key, claim in ALL.items())


def test_exact_values_agree_to_ten_digits():
    # Only what a claim marks as measured may be less exact than the tolerance of closed forms.
    assert all(claim.tolerance <= 1e-10 for claim in ALL.values())
