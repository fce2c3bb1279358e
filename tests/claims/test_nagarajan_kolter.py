"""The counts of violated bounds: a verdict of none means something only if a bound a little larger is violated."""

import numpy as np
import pytest

from gandyn.claims._block_lemmas import _cases, _published_bound, _regularised_jacobians, _sharper_bound, _violations


@pytest.mark.parametrize(("bound", "factor"), [(_published_bound, 1.001), (_sharper_bound, 1 + 1e-7)])
def test_a_slightly_larger_bound_is_violated(bound, factor):
    # The published bound is nearly attained at random, the sharper one is attained by every game of two parameters.
    assert _violations(0, bound) == [0]
    assert _violations(0, lambda *matrices: factor * bound(*matrices))[0] > 50


def test_a_regulariser_of_the_wrong_sign_is_counted_unstable():
    q, p = _cases(np.random.default_rng(0), 200, 3, 2)
    growths = np.linalg.eigvals(np.asarray(_regularised_jacobians(q, p, np.full(200, -100.0)))).real.max(axis=1)
    assert np.all(growths > 0)
