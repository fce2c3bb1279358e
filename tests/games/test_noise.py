"""Instance noise is a convolution of both laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

X = gd.Players(jnp.asarray(0.4), jnp.asarray(-0.7))


def normal_mean(f, mean, sigma):
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return weights @ f(mean + sigma * nodes) / weights.sum()


def test_the_noisy_dirac_gan():
    game = gd.instance_noise(gd.games.dirac(target=0.3), gd.Gaussian(0.0, 0.25, order=60))
    theta, psi = map(float, X)
    real = normal_mean(lambda p: -np.logaddexp(0, -psi * p), 0.3, 0.5)
    fake = normal_mean(lambda p: -np.logaddexp(0, psi * p), theta, 0.5)
    np.testing.assert_allclose(game.value(X), real + fake, rtol=1e-13)


def test_a_number_is_a_standard_deviation_in_every_coordinate():
    game = gd.instance_noise(gd.games.linear(mean=(0.0, 2.0), sigma=0.7), 0.5)
    x = gd.Players(jnp.asarray([1.0, -1.0]), jnp.zeros(2))
    variance = game.data.expectation(lambda p: (p - jnp.array([0.0, 2.0])) ** 2)
    np.testing.assert_allclose(variance, 0.49 + 0.25, rtol=1e-13)
    variance = game.samples(x).expectation(lambda p: (p - x.generator) ** 2)
    np.testing.assert_allclose(variance, 0.49 + 0.25, rtol=1e-12)


def test_noises_add_their_variances():
    twice = gd.instance_noise(gd.instance_noise(gd.games.dirac(), 0.3), 0.4)
    once = gd.instance_noise(gd.games.dirac(), 0.5)
    np.testing.assert_allclose(jnp.stack(twice(X)), jnp.stack(once(X)), rtol=1e-13)


def test_no_noise_changes_nothing():
    game = gd.games.dirac()
    np.testing.assert_allclose(jnp.stack(gd.instance_noise(game, 0.0)(X)), jnp.stack(game(X)), rtol=1e-13)


def test_penalties_see_the_blurred_points():
    game = gd.games.uniform(order=4)
    inside, outside = (
        gd.instance_noise(gd.Penalised(game, gd.r1, 0.3), 0.5),
        gd.Penalised(gd.instance_noise(game, 0.5), gd.r1, 0.3),
    )
    np.testing.assert_allclose(jnp.stack(inside(X)), jnp.stack(outside(X)), rtol=1e-14)
    assert inside.weight == 0.3
    # E x^2 grows from 1/3 by the variance of the noise.
    np.testing.assert_allclose(gd.r1(inside.base, X), 2 * 0.49 * (1 / 3 + 0.25), rtol=1e-12)


def test_the_strength_is_a_parameter():
    def slope(sigma):
        return gd.instance_noise(gd.games.dirac(), sigma)(X).discriminator

    step = 1e-5
    found = jax.grad(slope)(0.5)
    np.testing.assert_allclose(found, (slope(0.5 + step) - slope(0.5 - step)) / (2 * step), rtol=1e-8)
    assert abs(float(found)) > 1e-3


def test_noise_has_the_precision_of_the_data():
    data = gd.Mixture((gd.Discrete(jnp.ones(2, jnp.float32)), gd.Discrete(jnp.zeros(1, jnp.float32))))
    game = gd.GAN(lambda b, z: b + z, lambda w, x: w * x, data, data, gd.objectives.minimax)
    x = jax.tree.map(jnp.float32, X)
    with jax.numpy_dtype_promotion("strict"):
        assert gd.instance_noise(game, 0.3).value(x).dtype == jnp.float32


@pytest.mark.parametrize("sigma", [-0.1, float("nan")])
def test_a_negative_standard_deviation(sigma):
    with pytest.raises(ValueError, match="standard deviation must not be negative"):
        gd.instance_noise(gd.games.dirac(), sigma)


def test_a_game_without_data():
    with pytest.raises(ValueError, match=r"instance_noise needs a GAN.*Quadratic holds none"):
        gd.instance_noise(gd.games.bilinear(), 0.1)


def test_noise_on_points_of_another_shape():
    with pytest.raises(ValueError, match="points of one shape"):
        gd.instance_noise(gd.games.dirac(), gd.Gaussian([0.0, 0.0], 1.0))(X)
