"""Dynamics that end in local minimax points: a fast discriminator, and Follow-the-Ridge on a GAN."""

import numpy as np
import pytest

import gandyn as gd

P = gd.Players
ORIGIN, HOME = P(0.0, 0.0), P((1.0, 0.0), (0.0, 0.0))


def test_how_fast_the_discriminator_has_to_be():
    # f = -3 x^2 + 4 x y - y^2 has f_xx < 0: the origin is no Nash equilibrium, and stable for tau > 3 by the trace 6 - 2 tau.
    flow = gd.TimeScaled(gd.games.quadratic(-6.0, 4.0, 2.0), P(1.0, 1.0))
    found = gd.threshold(flow, lambda s: s.rates.discriminator, ORIGIN, (1.0, 9.5))
    np.testing.assert_allclose(found.values, [3.0], rtol=1e-12)
    assert found.verdicts == (("unstable", "stable"),)


@pytest.fixture(scope="module")
def game():
    return gd.games.uniform_affine()


def test_follow_the_ridge_on_a_gan_does_not_rotate(game):
    h, parts = 0.3, gd.blocks(game, HOME)
    own, across, back, other = (np.asarray(parts[row, column]) for row in P._fields for column in P._fields)
    schur = -own + across @ np.linalg.solve(other, back)
    wanted = np.concatenate([1 - h * np.linalg.eigvals(schur), 1 + h * np.linalg.eigvals(other)])
    found = gd.stability(gd.FollowTheRidge(game, h), HOME)
    assert found.verdict == "stable"
    np.testing.assert_allclose(np.sort_complex(np.array(found.eigenvalues)), np.sort_complex(wanted), rtol=1e-12)
    assert float(found.rotation) == 0
    # The same steps without the correction do.
    assert float(gd.stability(gd.SimGD(game, h), HOME).rotation) > 0.1


def test_follow_the_ridge_comes_home_from_afar(game):
    # The largest multiplier above is 0.97, which 1500 steps take below rounding.
    step = gd.FollowTheRidge(game, 0.3)
    final = gd.iterate(step, P((0.8, 0.1), (0.05, -0.05)), 1500, every=1500).final
    np.testing.assert_allclose(np.array([*final.generator, *final.discriminator]), [1, 0, 0, 0], atol=1e-12)
