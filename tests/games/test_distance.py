"""Distances between discriminators: on parameters, and of the functions' slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

P = gd.Players


def test_the_first_player_has_no_part_in_a_distance():
    x, y = P(jnp.array([5.0, -1.0]), (jnp.array(1.0), jnp.array(2.0))), P(jnp.zeros(2), (jnp.array(-1.0), jnp.array(0.5)))
    assert float(gd.euclidean(gd.games.segment(), x, y)) == 6.25
    assert float(gd.euclidean(gd.games.segment(), x, x)) == 0


def test_sobolev_is_the_mean_squared_difference_of_slopes():
    # D = w1 x + w2 x^2 under U[-1, 1]: E (w1 + 2 w2 x)^2 = w1^2 + 4 w2^2 / 3, by a rule that is exact for it.
    game = gd.games.uniform_affine()
    x, y = P((1.0, 0.0), (0.7, -0.4)), P((2.0, 1.0), (-0.2, 0.5))
    x, y = jax.tree.map(jnp.asarray, (x, y))
    expected = 0.9**2 + 4 * 0.9**2 / 3
    np.testing.assert_allclose(gd.sobolev(game, x, y), expected, rtol=1e-14)
    # The same game beneath others, and beneath a penalty of its own.
    wrapped = gd.Unrolled(gd.Penalised(gd.Penalised(game, gd.r1, 0.3), gd.weight_decay, 0.1), 2, 0.1)
    np.testing.assert_allclose(gd.sobolev(wrapped, x, y), expected, rtol=1e-14)
    hessian = jax.hessian(lambda w: gd.sobolev(game, P(x.generator, w), y))(x.discriminator)
    np.testing.assert_allclose(np.array(hessian), [[2, 0], [0, 8 / 3]], atol=1e-14)


def test_the_slopes_are_taken_at_the_data_that_the_discriminator_sees():
    # Noise of variance one on data at zero: E (2 w x)^2 = 4 w^2, where without noise there is no slope at all.
    game = gd.GAN(lambda b, z: b + z, lambda w, x: w * x**2, gd.Discrete([0.0]), gd.Discrete([0.0]), gd.objectives.wasserstein)
    x, y = P(jnp.array(0.0), jnp.array(0.5)), P(jnp.array(0.0), jnp.array(0.0))
    assert float(gd.sobolev(game, x, y)) == 0
    np.testing.assert_allclose(gd.sobolev(gd.instance_noise(game, 1.0), x, y), 1.0, rtol=1e-13)


def test_sobolev_needs_a_gan():
    x = P(jnp.array(1.0), jnp.array(1.0))
    with pytest.raises(ValueError, match="needs a GAN"):
        gd.sobolev(gd.games.quadratic(), x, x)
