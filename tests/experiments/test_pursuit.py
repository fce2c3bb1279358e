"""The generator going on alone: on the proximal game its path is that of the field, and the discriminator stays."""

import jax.numpy as jnp
import numpy as np

import gandyn as gd
from gandyn.experiments._pursuit import Foreseen


def test_the_gradients_of_the_foreseen_game_are_the_field_of_proximal_training():
    training = gd.ProximalTraining(gd.games.dirac(), 0.8, 3, 0.2)
    x = gd.Players(jnp.asarray(0.4), jnp.asarray(-0.3))
    # The same derivatives in another order: equal to rounding.
    for of_game, of_field in zip(Foreseen(training)(x), training(x), strict=True):
        np.testing.assert_allclose(of_game, of_field, rtol=1e-12)


def test_the_foreseen_losses_tend_to_those_of_the_proximal_game():
    game = gd.games.bilinear(1.5)
    x = gd.Players(jnp.asarray(0.7), jnp.asarray(-0.4))
    near, there = gd.ProximalTraining(game, 0.9, 100, 0.3), gd.Proximal(game, 0.9)
    # A hundred contractions by 1 - 2 * 0.3 * 0.9 leave nothing in double precision.
    np.testing.assert_allclose(near.losses(x), there.losses(x), rtol=1e-12)


def test_the_fixed_discriminator_stays_where_it_is():
    x = gd.Players(jnp.asarray(0.4), jnp.asarray(-0.3))
    found = gd.keep_optimising(Foreseen(gd.ProximalTraining(gd.games.dirac(), 0.8, 3, 0.2)), x, 1.0, points=3)
    assert found.final.discriminator == x.discriminator
    assert found.final.generator != x.generator
