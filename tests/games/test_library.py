"""The games of the papers: their equilibria, their parameters, and their plain formulas."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gandyn as gd
from gandyn import _tree

o, P = gd.objectives, gd.Players
OBJECTIVES = {n: v for n, v in vars(o).items() if isinstance(v, gd.AbstractObjective)}

# Each game with the equilibrium that its docstring names.
GAMES = {
    "dirac": (gd.games.dirac, P(0.0, 0.0)),
    "dirac with a target": (lambda objective: gd.games.dirac(objective, target=0.7), P(0.7, 0.0)),
    "linear_scale": (gd.games.linear_scale, P(1.0, 0.0)),
    "uniform": (gd.games.uniform, P(1.0, 0.0)),
    "uniform, mirrored": (gd.games.uniform, P(-1.0, 0.0)),
    "uniform_affine": (gd.games.uniform_affine, P((1.0, 0.0), (0.0, 0.0))),
    "linear": (gd.games.linear, P(jnp.array([0.0, 2.0]), jnp.zeros(2))),
    "linear in five dimensions": (lambda objective: gd.games.linear(objective, np.arange(5)), P(jnp.arange(5.0), jnp.zeros(5))),
    "segment": (gd.games.segment, P((1.0, 0.0), (0.0, 0.0))),
}

speed = eqx.filter_jit(lambda game, x: _tree.norm(game(x)))


@pytest.mark.parametrize(("make", "x"), GAMES.values(), ids=GAMES)
def test_equilibria_are_where_the_docstrings_say(make, x):
    x = _tree.state_arrays(x)
    game = make(o.minimax)
    # Sums of a few hundred terms of order one.
    assert float(speed(game, x)) < 1e-14
    vector, unravel = _tree.ravel(x)
    assert float(speed(game, unravel(vector + 0.1))) > 1e-3


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_formulation_has_the_equilibrium(name):
    assert float(speed(gd.games.uniform(OBJECTIVES[name]), P(jnp.asarray(1.0), jnp.asarray(0.0)))) < 1e-14


def test_every_game_of_the_list_is_here():
    listed = {name for name in dir(gd.games) if not name.startswith("_") and callable(getattr(gd.games, name))}
    # Quadratic games are tested below, and those of normal laws in test_transport.py.
    quadratic = {"Quadratic", "quadratic", "bilinear"}
    gaussian = {"lipschitz_gaussian", "unit_generator", "vanilla_gaussian", "w2_gaussian"}
    assert listed == {name.split()[0].rstrip(",") for name in GAMES} | quadratic | gaussian


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_the_dirac_gan_in_full(theta, psi):
    x = P(jnp.asarray(theta), jnp.asarray(psi))
    sigmoid = 1 / (1 + np.exp(-theta * psi))
    # V = log sigma(0) + log sigma(-psi theta).
    np.testing.assert_allclose(jnp.stack(gd.games.dirac()(x)), [psi * sigmoid, -theta * sigmoid], atol=1e-15)
    np.testing.assert_allclose(jnp.stack(gd.games.dirac(o.wasserstein)(x)), [psi, -theta], atol=1e-15)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_the_linear_wasserstein_gan_in_any_dimension(d):
    rng = np.random.default_rng(d)
    mean, phi, theta = rng.normal(size=(3, d))
    game = gd.games.linear(o.wasserstein, mean, sigma=0.7)
    # V = theta . (v - phi), whatever the noise.
    velocity = game(P(jnp.asarray(phi), jnp.asarray(theta)))
    np.testing.assert_allclose(velocity.generator, theta, rtol=1e-13)
    np.testing.assert_allclose(velocity.discriminator, mean - phi, atol=1e-13)


def test_wasserstein_games_know_two_moments():
    a, b, w1, w2 = 0.8, 0.3, -0.4, 0.6
    # V = w1 (0 - b) + w2 (1/3 - a^2/3 - b^2).
    game = gd.games.uniform_affine(o.wasserstein)
    expected = -w1 * b + w2 * ((1 - a**2) / 3 - b**2)
    np.testing.assert_allclose(game.value(_tree.state_arrays(P((a, b), (w1, w2)))), expected, rtol=1e-14)
    game = gd.games.segment(o.wasserstein)
    np.testing.assert_allclose(game.value(_tree.state_arrays(P((a, b), (w1, w2)))), w1 * (1 - a**2) / 3 - w2 * b, rtol=1e-14)
    game = gd.games.linear_scale(o.wasserstein, mean=1.5, variance=0.2)
    np.testing.assert_allclose(game.value(_tree.state_arrays(P(a, w1))), w1 * 1.5 * (1 - a), rtol=1e-13)


@given(st.integers(0, 1000))
def test_quadratic_games_have_linear_fields(seed):
    rng = np.random.default_rng(seed)
    a, c, b, x, y = (rng.normal(size=shape) for shape in ((2, 2), (2, 3), (3, 3), 2, 3))
    velocity = gd.games.quadratic(a, c, b)(P(jnp.asarray(x), jnp.asarray(y)))
    np.testing.assert_allclose(velocity.generator, -(a + a.T) @ x / 2 - c @ y, atol=1e-13)
    np.testing.assert_allclose(velocity.discriminator, c.T @ x - (b + b.T) @ y / 2, atol=1e-13)


def test_scalar_coefficients():
    x = P(jnp.asarray(2.0), jnp.asarray(3.0))
    assert tuple(gd.games.quadratic(0.5, 2.0, 0.1)(x)) == (-0.5 * 2 - 2 * 3, 2 * 2 - 0.1 * 3)
    assert tuple(gd.games.bilinear(2.0)(x)) == (-6.0, 4.0)
    vectors = P(jnp.asarray([1.0, 2.0]), jnp.asarray([3.0, 4.0]))
    mixed = gd.games.quadratic(0.5, np.eye(2), 0.0)(vectors)
    np.testing.assert_allclose(mixed.generator, [-3.5, -5.0], rtol=1e-15)
    generator, discriminator = gd.games.bilinear(jnp.eye(2)).losses(vectors)
    assert generator == -discriminator == 11.0


@pytest.mark.parametrize(
    "coefficients",
    [(np.eye(3), np.ones((2, 3)), 0.0), (0.0, np.ones((2, 3)), np.eye(2)), (np.eye(2), 1.0, 0.0), (0.0, np.ones(2), 0.0)],
)
def test_coefficients_that_do_not_fit(coefficients):
    with pytest.raises(ValueError, match=r"Quadratic: with C of shape .* A must be a scalar or"):
        gd.games.quadratic(*coefficients)


def test_parameters_of_the_games_are_leaves():
    def velocity(target, mean, variance):
        first = gd.games.dirac(target=target)(P(jnp.asarray(0.2), jnp.asarray(0.3)))
        second = gd.games.linear_scale(mean=mean, variance=variance)(P(jnp.asarray(0.9), jnp.asarray(0.3)))
        return first.discriminator + second.discriminator

    at, step = (0.5, 1.0, 0.25), 1e-5
    slopes = jax.jit(jax.grad(velocity, (0, 1, 2)))(*at)
    for i in range(3):
        up, down = ([v + s * step * (i == j) for j, v in enumerate(at)] for s in (1, -1))
        np.testing.assert_allclose(slopes[i], (velocity(*up) - velocity(*down)) / (2 * step), rtol=1e-7)
