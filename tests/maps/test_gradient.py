"""Gradient steps against plain loops."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gandyn as gd
from gandyn import _tree

GAME = gd.games.quadratic([[0.3, 0.1], [0.1, 0.2]], [[1.0, -0.5, 0.2], [0.3, 0.8, -1.0]], 0.1)
A, C, B = np.array([[0.3, 0.1], [0.1, 0.2]]), np.array([[1.0, -0.5, 0.2], [0.3, 0.8, -1.0]]), 0.1 * np.eye(3)


def velocity(x, y):
    return -A @ x - C @ y, C.T @ x - B @ y


def alternate(x, y, moves, h_x, h_y):
    """One player after another, each at the point where the others have left the game."""
    for name in moves:
        if name == "generator":
            x = x + h_x * velocity(x, y)[0]
        else:
            y = y + h_y * velocity(x, y)[1]
    return x, y


def start(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=2), rng.normal(size=3)


apply = eqx.filter_jit(lambda step, x: step(x))


def check(step, x, y, expected):
    found = apply(step, gd.Players(jnp.asarray(x), jnp.asarray(y)))
    assert isinstance(found, gd.Players)
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), atol=1e-13)


@given(st.integers(0, 1000), st.floats(1e-3, 2.0), st.floats(1e-3, 2.0))
def test_simultaneous_steps(seed, h_x, h_y):
    x, y = start(seed)
    v_x, v_y = velocity(x, y)
    check(gd.SimGD(GAME, h_x), x, y, (x + h_x * v_x, y + h_x * v_y))
    check(gd.SimGD(GAME, gd.Players(h_x, h_y)), x, y, (x + h_x * v_x, y + h_y * v_y))


ORDERS = [None, ("generator", "discriminator"), ("discriminator", "generator")]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("steps", [None, (1, 1), (1, 3), (4, 2)])
def test_alternating_steps(order, steps):
    x, y = start(0)
    names = order or gd.Players._fields
    moves = [name for name, count in zip(names, steps or (1, 1), strict=True) for _ in range(count)]
    step = gd.AltGD(GAME, 0.2, order=order, steps=steps)
    check(step, x, y, alternate(x, y, moves, 0.2, 0.2))
    both = eqx.tree_at(lambda s: s.h, step, gd.Players(jnp.asarray(0.1), jnp.asarray(0.4)))
    check(both, x, y, alternate(x, y, moves, 0.1, 0.4))


@given(st.integers(0, 1000), st.floats(1e-3, 2.0), st.floats(1e-3, 2.0))
def test_alternation_at_any_point(seed, h_x, h_y):
    x, y = start(seed)
    step = gd.AltGD(GAME, gd.Players(h_x, h_y), order=("discriminator", "generator"), steps=(2, 1))
    check(step, x, y, alternate(x, y, ["discriminator"] * 2 + ["generator"], h_x, h_y))


def test_many_rounds():
    x, y = start(1)
    step = gd.AltGD(GAME, 0.1, order=("discriminator", "generator"), steps=(3, 1))
    final = gd.iterate(step, gd.Players(x, y), 20).final
    for _ in range(20):
        x, y = alternate(x, y, ["discriminator"] * 3 + ["generator"], 0.1, 0.1)
    np.testing.assert_allclose(np.concatenate(final), np.concatenate([x, y]), atol=1e-12)


class Ring(NamedTuple):
    a: object
    b: object
    c: object


class Chase(gd.AbstractGame):
    def losses(self, x):
        return (-x.a * x.b, -jnp.sum(x.b) * x.c, -x.c * x.a)


def test_three_players_in_turn():
    x = Ring(*(jnp.asarray(v) for v in (1.0, 2.0, 3.0)))
    simultaneous = apply(gd.SimGD(Chase(), Ring(0.1, 0.2, 0.3)), x)
    np.testing.assert_allclose(simultaneous, [1 + 0.1 * 2, 2 + 0.2 * 3, 3 + 0.3 * 1], rtol=1e-15)
    c = 3 + 0.1 * 1
    a = 1 + 0.1 * 2
    a += 0.1 * 2
    b = 2 + 0.1 * c
    found = apply(gd.AltGD(Chase(), 0.1, order=("c", "a", "b"), steps=(1, 2, 1)), x)
    np.testing.assert_allclose(found, [a, b, c], rtol=1e-15)


def test_players_of_a_dictionary():
    class Spiral(gd.AbstractFlow):
        def __call__(self, x):
            return {"p": -x["q"], "q": x["p"]}

    x = {"p": jnp.asarray(1.0), "q": jnp.asarray(2.0)}
    found = apply(gd.AltGD(Spiral(), {"p": 0.1, "q": 0.5}, order=("q", "p")), x)
    assert found == {"p": 1 - 0.1 * 2.5, "q": 2.5}


def test_a_single_array_is_one_player():
    class Decay(gd.AbstractFlow):
        def __call__(self, x):
            return -x

    for step in (gd.SimGD(Decay(), 0.1), gd.AltGD(Decay(), 0.1)):
        np.testing.assert_allclose(apply(step, jnp.ones(2)), [0.9, 0.9], rtol=1e-15)


def test_equilibria_of_steps_are_those_of_the_flow():
    rest = gd.Players(jnp.zeros(2), jnp.zeros(3))
    for step in (gd.SimGD(GAME, 0.1), gd.AltGD(GAME, 0.1, steps=(2, 3))):
        assert float(_tree.norm(step.residual(rest))) == 0.0
        assert float(_tree.norm(step.residual(gd.Players(jnp.ones(2), jnp.ones(3))))) > 0.1


def test_the_spectrum_of_simultaneous_steps_comes_from_the_flow():
    flow, image = gd.SimGD(GAME, 0.2).spectrum_of()
    assert flow is GAME
    np.testing.assert_allclose(image(jnp.asarray([1j, -3.0])), [1 + 0.2j, 0.4], rtol=1e-15)
    separate = gd.SimGD(GAME, gd.Players(0.1, 0.2))
    assert separate.spectrum_of()[0] is separate


# Refusals

BAD_STEPS = {
    "zero": 0.0,
    "negative": -0.1,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "one of two": gd.Players(0.1, 0.0),
    "a vector": jnp.array([0.1, 0.1]),
}


@pytest.mark.parametrize("kind", [gd.SimGD, gd.AltGD])
@pytest.mark.parametrize("h", BAD_STEPS.values(), ids=BAD_STEPS)
@pytest.mark.usefixtures("unchecked")
def test_bad_step_sizes(kind, h):
    message = "a step size is a scalar" if np.ndim(h) == 1 and not isinstance(h, tuple) else "must be positive and finite; got"
    with pytest.raises(ValueError, match=rf"{kind.__name__}: .*{message}"):
        kind(GAME, h)


X = gd.Players(jnp.ones(2), jnp.ones(3))


@pytest.mark.parametrize("kind", [gd.SimGD, gd.AltGD])
def test_one_step_size_each(kind):
    with pytest.raises(ValueError, match="3 step sizes for 2 players; give one for all, or one each"):
        gd.iterate(kind(GAME, (0.1, 0.1, 0.1)), X, 2)


@pytest.mark.parametrize("order", [("generator",), ("generator", "critic"), ("generator", "discriminator", "critic")])
def test_orders_name_every_player(order):
    with pytest.raises(ValueError, match=r"must name each of the players \['generator', 'discriminator'\]"):
        gd.iterate(gd.AltGD(GAME, 0.1, order=order), X, 2)


@pytest.mark.parametrize("steps", [(0, 1), (1, -2)])
def test_everyone_moves(steps):
    with pytest.raises(ValueError, match="every player needs at least one step"):
        gd.AltGD(GAME, 0.1, steps=steps)


def test_counts_and_names_agree():
    with pytest.raises(ValueError, match="must be of one length"):
        gd.AltGD(GAME, 0.1, order=("generator", "discriminator"), steps=(1, 1, 1))
    with pytest.raises(ValueError, match=r"steps=\(1, 1, 1\) for the players"):
        gd.iterate(gd.AltGD(GAME, 0.1, steps=(1, 1, 1)), X, 2)


@pytest.mark.usefixtures("unchecked")
def test_half_a_step():
    with pytest.raises(ValueError, match="at least one step"):
        gd.AltGD(GAME, 0.1, steps=(1, 1.5))


def test_step_sizes_may_be_traced():
    def reach(h):
        return _tree.norm(gd.AltGD(GAME, h)(X))

    step = 1e-6
    slope = (reach(0.2 + step) - reach(0.2 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(reach)(0.2), slope, rtol=1e-8)


@pytest.mark.usefixtures("unchecked")
def test_a_step_from_plain_numbers_moves():
    step = gd.AltGD(gd.games.dirac(), 0.1)
    expected = step(gd.Players(jnp.asarray(1.0), jnp.asarray(0.4)))
    np.testing.assert_array_equal(np.array(step(gd.Players(1.0, 0.4))), np.array(expected))
    assert float(expected.generator) != 1.0
