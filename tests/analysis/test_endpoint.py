"""End points of runs with mini-batches: the mean field beside the noise, its modes, and the map's multipliers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd
from gandyn.analysis._endpoint import _moments
from gandyn.training import Batches

MEAN = jnp.asarray([0.0, 2.0])
REST = gd.Players(MEAN, jnp.zeros(2))


def as_it_is(key, step):
    return step


def linear(h=0.1, redraw=as_it_is):
    return gd.Random(gd.SimGD(gd.games.linear(gd.objectives.minimax, MEAN, 0.7), h), redraw, jax.random.key(0))


def test_the_mean_is_told_from_the_noise():
    rng = np.random.default_rng(0)
    mean = np.array([3.0, 4.0, *[0.0] * 98])
    found = np.array([_moments(mean + rng.normal(size=(16, 100))) for _ in range(200)])
    # The squares are unbiased: 25, 100. Of 200 estimates with deviations of 2.7 and 3.5 the mean is off by five of its own.
    np.testing.assert_allclose(np.mean(found[:, 0]), 25.0, atol=5 * 2.7 / 200**0.5)
    np.testing.assert_allclose(np.mean(found[:, 2] ** 2), 100.0, atol=5 * 3.5 / 200**0.5)
    # The error that is left out one at a time is that of the estimates, to the tenth that 200 of them tell.
    np.testing.assert_allclose(np.sqrt(np.mean(found[:, 1] ** 2)), np.std(found[:, 0]), rtol=0.3)
    still = np.array([_moments(rng.normal(size=(16, 100))) for _ in range(200)])
    assert np.mean(still[:, 0] > 3 * still[:, 1]) < 0.05


@pytest.fixture(scope="module")
def quiet():
    step = linear()
    return gd.endpoint(step, step.init(REST), spectrum=gd.Dense())


def test_without_noise_it_is_the_linearisation(quiet):
    # NP01: (-s +- sqrt(s^2 - 4))/4 across and along the mean, s = 0.49 and 4.49.
    expected = [(-s + sign * np.sqrt(s**2 - 4 + 0j)) / 4 for s in (0.49, 4.49) for sign in (1, -1)]
    exact = np.sort_complex(expected)
    # The cubature of the linear GAN is exact to second order: rounding is all there is.
    np.testing.assert_allclose(np.sort_complex(quiet.flow.values), exact, atol=1e-12)
    np.testing.assert_allclose(np.sort_complex(quiet.map.values), np.sort_complex(1 + 0.1 * exact), atol=1e-12)
    assert quiet.at_rest
    assert float(quiet.noise) == 0
    assert quiet.zero_modes == 0
    critical = gd.critical_step(linear().map, REST).value
    np.testing.assert_allclose(quiet.critical_step, critical, rtol=1e-8)  # that of the bisection
    np.testing.assert_allclose(quiet.time, 0.1)


def test_the_map_is_followed(quiet):
    # At rest the state does not move, and twenty products of the map's own matrix are left: to their rounding.
    np.testing.assert_allclose(quiet.multiplier, quiet.map.values[0], rtol=1e-12)


def test_mini_batches_leave_the_mean_where_it_is():
    step = linear(redraw=Batches(4096))
    found = gd.endpoint(step, step.init(REST), spectrum=gd.Dense())
    assert found.at_rest
    # The discriminator's field at rest is half of the difference of two means, (1/4) * (0.49 + 0.49) / 4096 in each of two
    # coordinates, and the generator's is zero. Eight draws of two coordinates tell a variance to (2/14)^(1/2) = 0.38, of
    # which two are allowed.
    np.testing.assert_allclose(found.noise**2, 0.49 / 4096, rtol=0.76)
    moved = gd.endpoint(step, step.init(gd.Players(MEAN + 1.0, jnp.zeros(2))), spectrum=gd.Dense())
    assert not moved.at_rest
    # Half of the difference of the means, (1, 1)/2.
    np.testing.assert_allclose(moved.gradient, 0.5**0.5, rtol=0.05)
    assert "still moving" in str(moved)
    assert "at rest within the noise" in str(found)


def test_optimisers_have_no_step_size():
    game = gd.games.linear(gd.objectives.minimax, MEAN, 0.7)
    step = gd.Random(gd.Optax(game, optax.adam, learning_rate=1e-2, eps_root=1e-8), as_it_is, jax.random.key(0))
    found = gd.endpoint(step, step.init(gd.Players(MEAN + 0.1, jnp.full(2, 0.1))), spectrum=gd.Dense())
    assert np.isnan(found.time)
    # Fresh moments change with every step, so that what is followed and what is predicted differ; it is a number all the same.
    assert np.isfinite(found.multiplier)
    assert found.map.values.size == 12


@pytest.mark.usefixtures("unchecked")
def test_what_has_no_end_point_is_told():
    step = linear()
    with pytest.raises(ValueError, match=r"takes a map with mini-batches.*got SimGD"):
        gd.endpoint(step.map, REST)
    with pytest.raises(ValueError, match="three draws are needed"):
        gd.endpoint(step, step.init(REST), draws=2)
