import jax
import numpy as np
import pytest

import gandyn as gd


def measures(step):
    return step.flow.game.real, step.flow.game.latent


GAME = gd.Penalised(gd.games.linear_scale(), gd.r1, 0.3)
EQUILIBRIUM = gd.Players(1.0, 0.0)


def noisy(step, size=64):
    return gd.Random(step, gd.Minibatch(measures, size), jax.random.key(0))


@pytest.mark.parametrize("step", [gd.SimGD(GAME, 0.1), gd.AltGD(GAME, 0.1)], ids=["simultaneous", "alternating"])
def test_the_stationary_covariance_is_that_of_a_long_orbit(step):
    random = noisy(step)
    predicted = gd.stationary(random, EQUILIBRIUM, draws=8192)
    orbit = np.stack(gd.iterate(random, random.init(EQUILIBRIUM), 100_000, observe=random.point).xs)[:, 1000:]
    # About 5000 correlation times: a relative standard error of 2% for a variance; four of them.
    np.testing.assert_allclose(np.diag(predicted.second_moment), np.diag(np.cov(orbit)), rtol=0.08)
    # The randomness of the Jacobian adds little at this batch size.
    np.testing.assert_allclose(predicted.covariance, predicted.second_moment, rtol=0.1, atol=1e-6)


def test_an_orbit_repeats_bit_by_bit_and_redraws_for_every_move():
    random = noisy(gd.AltGD(GAME, 0.1, steps=(1, 2)))
    first, second = (gd.iterate(random, random.init(EQUILIBRIUM), 50).final for _ in range(2))
    assert np.array_equal(np.array(first.state), np.array(second.state))
    keys = jax.random.key_data(random(random.init(EQUILIBRIUM)).key)
    expected = jax.random.key(0)
    for _ in range(3):
        expected = jax.random.split(expected)[0]
    assert np.array_equal(keys, jax.random.key_data(expected))


def test_a_growing_mean_square_has_no_covariance():
    with pytest.raises(RuntimeError, match="mean square grows"):
        gd.stationary(noisy(gd.SimGD(GAME, 5.0)), EQUILIBRIUM, draws=64)


def test_only_random_maps_have_a_stationary_covariance():
    with pytest.raises(ValueError, match="Random"):
        gd.stationary(gd.SimGD(GAME, 0.1), EQUILIBRIUM)


def test_the_diffusion_has_the_covariance_of_small_steps():
    # Solved with the map's own step the linear equation has the map's first two moments; with the same draws no error of
    # theirs is left, and what is left is the path's length: some thousand correlation times.
    h, draws = 0.3, 64
    random = noisy(gd.SimGD(GAME, h), 16)
    path = gd.diffuse(random, EQUILIBRIUM, h * np.arange(10_001), jax.random.key(2), draws=draws, refinement=1)
    xs = np.stack(path.xs)[:, 1:].reshape(2, 50, -1)
    squares = ((xs - xs.mean(axis=(1, 2), keepdims=True)) ** 2).mean(axis=2)
    errors = squares.std(axis=1) / np.sqrt(50)
    predicted = np.diag(gd.stationary(random, EQUILIBRIUM, draws=draws).covariance)
    assert np.all(np.abs(squares.mean(axis=1) - predicted) < 4 * errors)
    assert np.all(errors < 0.08 * predicted)


@pytest.mark.parametrize(
    "law",
    [
        gd.Discrete([0.0, 1.0, 3.0], [0.2, 0.3, 0.5]),
        gd.Uniform(0.0, 3.0),
        gd.Gaussian(1.0, 2.0),
        gd.Gaussian([1.0, 2.0], [[1.0, 0.5], [0.5, 2.0]]),
        gd.Mixture((gd.Gaussian(0.0, 1.0), gd.Uniform(4.0, 6.0)), (0.3, 0.7)),
        gd.Product((gd.Uniform(0.0, 1.0), gd.Gaussian(2.0, 1.0))),
        gd.Convolution(gd.Gaussian(1.0, 1.0), gd.Uniform(0.0, 1.0)),
    ],
)
def test_samples_have_the_moments_of_the_law(law):
    count = 40_000
    points = np.asarray(law.sample(jax.random.key(1), count).points).reshape(count, -1)
    mean = np.asarray(law.expectation(lambda x: x)).reshape(-1)
    square = np.asarray(law.expectation(lambda x: x**2)).reshape(-1)
    # Five standard errors.
    np.testing.assert_allclose(points.mean(0), mean, atol=5 * points.std(0).max() / count**0.5)
    np.testing.assert_allclose((points**2).mean(0), square, atol=5 * (points**2).std(0).max() / count**0.5)
