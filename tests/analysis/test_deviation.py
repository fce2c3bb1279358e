"""Best responses in a box, and one player who goes on while the others stay."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd

P = gd.Players
ORIGIN = P(0.0, 0.0)
saddle = functools.partial(gd.games.quadratic, c=3.0, b=1.0)


class Ripples(gd.AbstractGame):
    """A loss with many minima for the first player, and one defined on half a line for the second."""

    depth: float

    def losses(self, x):
        u, w = x
        return jnp.sum(self.depth * u**2 / 10 - jnp.cos(3 * u)), jnp.sqrt(w) - 2 * w


# Best responses


def test_a_profitable_deviation_is_exhibited():
    found = gd.best_response(saddle(-1.0), ORIGIN, "generator", (-1.0, 2.0))
    assert found.verdict == "profitable"
    np.testing.assert_allclose([found.gain, found.move.generator, found.move.discriminator], [2.0, 2.0, 0.0], atol=1e-12)
    # The loss is quadratic, so that its bound is a proof, and tight to half of the tolerance.
    assert found.gain <= found.bound <= found.gain + found.tolerance / 2
    assert "generator gains 2" in str(found)


def test_no_deviation_is_bounded():
    game = saddle(0.5)
    found = gd.best_response(game, ORIGIN, "generator", (-1.0, 2.0))
    assert (found.verdict, float(found.gain)) == ("none", 0.0)
    assert 0 <= found.bound <= 1e-3
    other = gd.best_response(game, P(0.3, 0.9), "discriminator", (-5.0, 5.0))
    np.testing.assert_allclose([other.gain, other.bound], 0, atol=5e-4)  # its own optimum


@pytest.mark.parametrize("depth", [0.5, 2.0])
def test_the_bound_holds_with_many_minima(depth):
    start = P(jnp.array([2.0, -4.1]), jnp.asarray(1.0))
    found = gd.best_response(Ripples(depth), start, "generator", (-5.0, 4.0), tolerance=1e-2)

    def loss(u):
        return depth * u**2 / 10 - np.cos(3 * u)

    exact = loss(2.0) + loss(-4.1) - 2 * loss(0.0)
    np.testing.assert_allclose(found.gain, exact, rtol=1e-12)
    np.testing.assert_allclose(found.move.generator, 0.0, atol=1e-7)
    assert exact - 1e-12 <= found.bound <= exact + 0.5e-2


def test_too_few_cells_leave_it_undecided():
    best = P(jnp.array([0.0, 0.0]), jnp.asarray(1.0))
    found = gd.best_response(Ripples(0.5), best, "generator", (-5.0, 4.0), tolerance=1e-9, cells=1)
    assert found.verdict == "undecided"
    assert found.bound > 1e-9 > found.gain
    assert found.resolution > 0.01


def test_a_loss_that_is_not_defined_everywhere():
    start = P(jnp.array([0.0, 0.0]), jnp.asarray(1.0))
    found = gd.best_response(Ripples(0.5), start, "discriminator", (-4.0, 4.0))
    np.testing.assert_allclose(found.undefined, 0.5, atol=0.01)
    assert found.verdict == "profitable"
    np.testing.assert_allclose([found.gain, found.move.discriminator], [5.0, 4.0], atol=1e-12)
    # Of the half where there is no loss the bound does not speak, so that there is no verdict without a gain.
    best = gd.best_response(Ripples(0.5), found.move, "discriminator", (-4.0, 4.0))
    assert (best.verdict, float(best.gain)) == ("undecided", 0.0)
    nowhere = eqx.tree_at(lambda x: x.discriminator, start, jnp.asarray(-1.0))
    lost = gd.best_response(Ripples(0.5), nowhere, "discriminator", (-4.0, 4.0), throw=False)
    assert (lost.verdict, lost.result == gd.RESULTS.nonfinite) == ("failed", True)
    with pytest.raises(RuntimeError, match="non-finite"):
        gd.best_response(Ripples(0.5), nowhere, "discriminator", (-4.0, 4.0))


def test_a_constraint_is_kept():
    game = gd.games.quadratic(-np.diag([2.0, 1.0]), np.zeros((2, 2)), np.eye(2))
    x = P(jnp.zeros(2), jnp.zeros(2))
    disc = gd.Ball(1.0, lambda s: s.generator)
    found = gd.best_response(game, x, "generator", (-1.0, 1.0), constraint=disc, tolerance=1e-2)
    np.testing.assert_allclose(found.gain, 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.abs(found.move.generator), [1.0, 0.0], atol=1e-6)
    assert 1.0 <= found.bound <= 1.005


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"box": (1.0, -1.0)}, "lower corner"),
        ({"box": ((0.0, 0.0), 1.0)}, "needs one number or 1"),
        ({"player": "critic"}, "no player 'critic'"),
        ({"tolerance": 0.0}, "must be positive"),
        ({"game": gd.textbook.VanDerPol(1.0)}, "needs a game"),
        ({"constraint": 3.0}, "needs a constraint"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, text, unchecked):
    given = {"game": saddle(1.0), "x": ORIGIN, "player": "generator", "box": (-1.0, 1.0), **arguments}
    with pytest.raises(ValueError, match=text):
        gd.best_response(**given)


# Going on alone


def test_the_flow_of_one_player_alone():
    found = gd.keep_optimising(saddle(-1.0), P(0.1, 0.0), 2.0, points=5)
    # Between its steps the solver interpolates.
    np.testing.assert_allclose(found.loss, -(0.1**2) / 2 * np.exp(2 * np.asarray(found.ts)), rtol=1e-8)
    np.testing.assert_allclose(found.gain, 0.1**2 / 2 * (np.exp(4) - 1), rtol=1e-10)
    np.testing.assert_allclose(found.losses[:, 0], -found.losses[:, 1])
    assert found.final.discriminator == 0
    assert "generator alone over time 2" in str(found)


def test_a_constraint_stops_it():
    game, box = saddle(-1.0), gd.Box(-1.0, 1.0, lambda x: x.generator)
    flow = gd.keep_optimising(game, P(0.1, 0.0), 4.0, constraint=box, points=5)
    steps = gd.keep_optimising(game, P(0.1, 0.0), 40, method=functools.partial(gd.SimGD, h=0.1), constraint=box, points=5)
    np.testing.assert_allclose([flow.loss[-1], steps.loss[-1]], -0.5, atol=1e-9)
    np.testing.assert_allclose(steps.ts, [0, 8, 16, 24, 32, 40])


def adam(flow):
    return gd.Optax(flow, optax.adam, learning_rate=1e-2)


def test_a_network_of_a_thousand_parameters():
    one, two = jax.random.split(jax.random.key(0))
    wide, tanh = (20, 2), jnp.tanh
    theta, generator = gd.network(eqx.nn.MLP(2, 2, *wide, tanh, key=one))
    psi, discriminator = gd.network(eqx.nn.MLP(2, "scalar", *wide, tanh, key=two))
    assert sum(leaf.size for leaf in jax.tree.leaves((theta, psi))) > 1000
    data = gd.Discrete(np.random.default_rng(0).normal(size=(16, 2)))
    game = gd.GAN(generator, discriminator, data, gd.Gaussian([0.0, 0.0], 1.0, 3), gd.objectives.nonsaturating)
    found = gd.keep_optimising(game, P(theta, psi), 60, method=adam, points=3)
    # Against a discriminator that stays, the generator's loss falls far below the log 2 of a constant one.
    assert float(found.gain) > 0.1
    for after, before in zip(jax.tree.leaves(found.final.discriminator), jax.tree.leaves(psi), strict=True):
        np.testing.assert_array_equal(after, before)


def test_an_orbit_that_runs_away_is_told():
    lost = gd.keep_optimising(saddle(-1.0), P(1.0, 0.0), 3000, method=functools.partial(gd.SimGD, h=1.0), throw=False)
    assert lost.result == gd.RESULTS.nonfinite
    assert "non-finite" in str(lost)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"duration": 0.0}, "positive time"),
        ({"duration": 2.5, "method": adam}, "number of steps of a method"),
        ({"player": "critic"}, "no player 'critic'"),
        ({"game": gd.textbook.VanDerPol(1.0)}, "needs a game"),
    ],
)
def test_what_cannot_go_on_is_refused(arguments, text, unchecked):
    given = {"game": saddle(1.0), "x": ORIGIN, "duration": 1.0, **arguments}
    with pytest.raises(ValueError, match=text):
        gd.keep_optimising(**given)
