"""What is measured along a run, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np

import gandyn as gd
from gandyn.training import Batches, GradientNorms, Losses, PathAngle, Spectrum

KEY = jax.random.key(0)
X = gd.Players(jnp.asarray([0.3, 1.0]), jnp.asarray([0.2, -0.5]))


def test_losses_and_gradients_are_those_of_the_flow_on_a_sample():
    game = gd.Penalised(gd.games.linear(gd.objectives.minimax, [0.0, 2.0], 0.7), gd.r1, 0.5)
    flow = gd.consensus(game, 0.1)
    step = gd.SimGD(flow, 0.1)
    drawn = Batches(256)(KEY, game)
    found = Losses(256)(step, X, KEY)
    np.testing.assert_allclose([found["loss.generator"], found["loss.discriminator"]], drawn.losses(X), rtol=1e-14)
    norms = GradientNorms(256)(step, X, KEY)
    velocity = gd.consensus(drawn, 0.1)(X)
    expected = [jnp.linalg.norm(velocity.generator), jnp.linalg.norm(velocity.discriminator)]
    np.testing.assert_allclose([norms["gradient.generator"], norms["gradient.discriminator"]], expected, rtol=1e-12)


def test_the_path_is_straight_where_the_field_attracts_and_bent_where_it_turns():
    start = gd.Players(jnp.asarray(1.0), jnp.asarray(0.0))
    goal = gd.Players(jnp.asarray(0.0), jnp.asarray(0.0))
    # The field (-psi, theta) turns about the origin: it is across every line that ends there.
    turning = PathAngle(start, count=5)(gd.games.bilinear(), goal, KEY)["path_angle"]
    np.testing.assert_allclose(turning[:-1], 0.0, atol=1e-15)
    attracted = gd.consensus(gd.games.bilinear(), 1e6)
    # Consensus adds -gamma x: the cosine is that of an angle of 1e-6.
    straight = PathAngle(start, count=5)(attracted, goal, KEY)["path_angle"]
    np.testing.assert_allclose(straight[:-1], 1.0, atol=1e-11)


def test_the_spectrum_is_that_of_the_flow_and_of_the_map():
    game = gd.games.linear(gd.objectives.minimax, [0.0, 2.0], 0.7)
    step = gd.SimGD(game, 0.1)
    found = Spectrum(gd.Dense())(step, X, KEY)
    matrix = gd.linearize(game, X).as_matrix()
    values = np.sort_complex(np.linalg.eigvals(matrix))
    np.testing.assert_allclose(np.sort_complex(found["eigenvalues.flow"]), values, atol=1e-12)
    np.testing.assert_allclose(np.sort_complex(found["eigenvalues.map"]), 1 + 0.1 * values, atol=1e-12)
    np.testing.assert_allclose(found["growth.flow"], values.real.max(), atol=1e-12)
    np.testing.assert_allclose(found["growth.map"], np.log(np.abs(1 + 0.1 * values).max()), atol=1e-12)
    np.testing.assert_allclose(found["zeta"], np.max(np.abs(values.imag / values.real)), rtol=1e-10)
    np.testing.assert_allclose(found["tau"], np.abs(values).max() / np.abs(values).min(), rtol=1e-10)


def test_the_spectrum_of_a_random_map_is_that_of_the_mean_field():
    game = gd.games.linear(gd.objectives.minimax, [0.0, 2.0], 0.7)
    step = gd.Random(gd.SimGD(game, 0.1), Batches(64), jax.random.key(0))
    found = Spectrum(gd.Dense(), draws=3)(step, step.init(X), KEY)
    keys = jax.random.split(jax.random.key(0), 3)
    matrix = sum(gd.linearize(Batches(64)(key, step.map).flow, X).as_matrix() for key in keys) / 3
    expected = np.sort_complex(np.linalg.eigvals(matrix))
    np.testing.assert_allclose(np.sort_complex(found["eigenvalues.flow"]), expected, atol=1e-12)
    np.testing.assert_allclose(np.sort_complex(found["eigenvalues.map"]), 1 + 0.1 * expected, atol=1e-12)
