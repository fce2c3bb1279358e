"""Regularisers of the field against products with the dense Jacobian."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gandyn as gd
from gandyn import _tree
from gandyn.fields._norm import everyone


class Knot(gd.AbstractGame):
    """Two players of two parameters each, neither linear nor zero-sum."""

    def losses(self, x):
        (a, b), (c, d) = x
        return (jnp.sin(a * c) + b**2 * d - a * b, a * d**2 - b * c + jnp.cos(d))


def ridge(game, x):
    """A penalty that mixes the players."""
    return (x.generator[0] * x.discriminator[1]) ** 2 + jnp.sin(x.generator[1] + x.discriminator[0])


GAME = Knot()
SPAN = {"generator": slice(0, 2), "discriminator": slice(2, 4)}


@jax.jit
def dense(flow, vector, like):
    """A flow's value and its Jacobian at a vector."""
    unravel = _tree.ravel(like)[1]

    def f(v):
        return _tree.ravel(flow(unravel(v)))[0]

    return f(vector), jax.jacfwd(f)(vector)


LIKE = _tree.state_arrays(gd.Players((0.0, 0.0), (0.0, 0.0)))


def at(flow, vector):
    return np.asarray(dense(flow, vector, LIKE)[0])


def random(seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=4))


def descent(name, v, jacobian):
    """What each regulariser takes off, from the dense Jacobian: half the gradient of a squared norm."""
    g, d = SPAN["generator"], SPAN["discriminator"]
    if name == "consensus":
        return jacobian.T @ v
    off = np.zeros(4)
    off[g] = jacobian[d, g].T @ v[d]
    if name == "jare":
        off[d] = jacobian[g, d].T @ v[g]
    return off if name == "jare" else 2 * off


REGULARISERS = {"consensus": gd.consensus, "jare": gd.jare, "nagarajan_kolter": gd.nagarajan_kolter}


@pytest.mark.parametrize("name", REGULARISERS)
@given(seed=st.integers(0, 1000), strength=st.floats(0.0, 2.0))
def test_regularisers_are_jacobian_products(name, seed, strength):
    vector = random(seed)
    v, jacobian = map(np.asarray, dense(GAME, vector, LIKE))
    expected = v - strength * descent(name, v, jacobian)
    np.testing.assert_allclose(at(REGULARISERS[name](GAME, strength), vector), expected, atol=1e-13)


@pytest.mark.parametrize("name", REGULARISERS)
def test_the_norm_is_that_of_the_field_named(name):
    wrapped, vector = gd.Penalised(GAME, ridge, 0.7), random(3)
    v, own = map(np.asarray, dense(wrapped, vector, LIKE))
    u, raw = map(np.asarray, dense(GAME, vector, LIKE))
    of_wrapped = at(REGULARISERS[name](wrapped, 0.3), vector)
    of_raw = at(REGULARISERS[name](wrapped, 0.3, of=GAME), vector)
    np.testing.assert_allclose(of_wrapped, v - 0.3 * descent(name, v, own), atol=1e-14)
    np.testing.assert_allclose(of_raw, v - 0.3 * descent(name, u, raw), atol=1e-14)
    assert np.linalg.norm(of_wrapped - of_raw) > 1e-2


def test_three_regularisers_in_one_line():
    # JARE of the raw game's norm, consensus of the norm of what it wraps, and R1.
    game = gd.games.dirac(target=0.3)
    flow = gd.jare(gd.consensus(gd.Penalised(game, gd.r1, 0.7), 0.2), 0.1, of=game)
    x = _tree.state_arrays(gd.Players(0.8, -0.5))
    vector = _tree.ravel(x)[0]
    u, raw = map(np.asarray, dense(game, vector, x))
    v, own = map(np.asarray, dense(gd.Penalised(game, gd.r1, 0.7), vector, x))
    np.testing.assert_allclose(v, u - [0.0, 0.7 * -0.5], atol=1e-15)
    others = raw.T[[0, 1], [1, 0]] * u[[1, 0]]
    np.testing.assert_allclose(dense(flow, vector, x)[0], v - 0.2 * own.T @ v - 0.1 * others, atol=1e-15)


def test_both_norms_of_the_raw_game_add():
    wrapped = gd.Penalised(GAME, ridge, 0.7)
    flow = gd.jare(gd.consensus(wrapped, 0.2, of=GAME), 0.1, of=GAME)
    vector = random(2)
    u, raw = map(np.asarray, dense(GAME, vector, LIKE))
    expected = at(wrapped, vector) - 0.2 * raw.T @ u - 0.1 * descent("jare", u, raw)
    np.testing.assert_allclose(at(flow, vector), expected, atol=1e-14)


def test_norms_of_what_they_wrap_see_each_other():
    inner = gd.consensus(GAME, 0.2)
    vector = random(1)
    v, jacobian = map(np.asarray, dense(inner, vector, LIKE))
    np.testing.assert_allclose(at(gd.jare(inner, 0.1), vector), v - 0.1 * descent("jare", v, jacobian), atol=1e-13)


def test_two_players_who_descend_everything():
    # Every player's part of half the gradient of the squared norm is consensus, whatever the players are.
    vector = random(3)
    half = jax.grad(lambda v: jnp.sum(dense(GAME, v, LIKE)[0] ** 2) / 2)(vector)
    expected = at(GAME, vector) - 0.3 * np.asarray(half)
    np.testing.assert_allclose(at(gd.FieldNorm(GAME, 0.3, everyone), vector), expected, atol=1e-14)


class Trio(NamedTuple):
    a: object
    b: object
    c: object


class Chase(gd.AbstractGame):
    """Three players, the second of whom has two parameters."""

    def losses(self, x):
        a, b, c = x
        return (a * b[0] - a**2 / 2, jnp.sum(b**2) * c, jnp.sin(c) * a * b[1])


def test_each_of_three_descends_the_others():
    like = _tree.state_arrays(Trio(0.4, jnp.array([0.3, -0.8]), 1.2))
    vector = _tree.ravel(like)[0]
    v, jacobian = map(np.asarray, dense(Chase(), vector, like))
    owner = np.array([0, 1, 1, 2])
    other = owner[:, None] != owner[None, :]
    # The derivative of the others' parts with respect to one's own parameters.
    expected = v - 0.3 * np.einsum("ji,ji,j->i", jacobian, other.T, v)
    np.testing.assert_allclose(dense(gd.jare(Chase(), 0.3), vector, like)[0], expected, atol=1e-15)
    np.testing.assert_allclose(dense(gd.consensus(Chase(), 0.3), vector, like)[0], v - 0.3 * jacobian.T @ v, atol=1e-15)
    found = dense(gd.nagarajan_kolter(Chase(), 0.3), vector, like)[0]
    expected = v.copy()
    expected[0] -= 0.6 * jacobian[1:3, 0] @ v[1:3]
    np.testing.assert_allclose(found, expected, atol=1e-15)


class Turn(gd.AbstractFlow):
    """A flow that is no game, on one array."""

    def __call__(self, x):
        return jnp.stack([-x[1], x[0] ** 3])


def test_consensus_of_a_flow_that_is_no_game():
    x = jnp.array([0.5, -0.3])
    v, jacobian = map(np.asarray, dense(Turn(), x, x))
    np.testing.assert_allclose(gd.consensus(Turn(), 0.3)(x), v - 0.3 * jacobian.T @ v, atol=1e-15)


@pytest.mark.parametrize("make", [gd.jare, gd.nagarajan_kolter])
def test_couplings_need_players(make):
    with pytest.raises(ValueError, match=r"couples players; the state f64\[2\] has only one"):
        gd.equilibrium(make(Turn(), 0.3), jnp.ones(2))


def test_nagarajan_and_kolter_have_no_half():
    assert float(gd.nagarajan_kolter(GAME, 0.3).weight) == 0.6
    slope = jax.grad(lambda eta: gd.nagarajan_kolter(GAME, eta).weight)(0.3)
    assert float(slope) == 2.0


def test_switches_are_passed_on():
    game, x = gd.games.dirac(gd.objectives.hinge), gd.Players(jnp.asarray(0.5), jnp.asarray(-2.0))
    own = game.switches(x)
    np.testing.assert_array_equal(gd.consensus(game, 0.1).switches(x), own)
    np.testing.assert_array_equal(gd.consensus(gd.games.dirac(), 0.1, of=game).switches(x), own)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [{"flow": gd.SimGD(GAME, 0.1)}, {"of": gd.SimGD(GAME, 0.1)}, {"of": "raw"}])
def test_only_flows_have_norms(wrong):
    with pytest.raises(ValueError, match=rf"FieldNorm: {next(iter(wrong))} must be a flow or a game; got"):
        gd.consensus(**{"flow": GAME, "gamma": 0.1, **wrong})
