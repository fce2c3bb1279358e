"""States as vectors, players, and lenses."""

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


class Three(NamedTuple):
    a: object
    b: object
    c: object


def state(seed):
    """A state with arrays of several ranks, two clocks and a key."""
    rng = np.random.default_rng(seed)
    return {
        "w": jnp.asarray(rng.normal(size=(2, 3))),
        "b": (jnp.asarray(rng.normal()), jnp.asarray(rng.normal(size=2))),
        "count": jnp.asarray(seed),
        "flag": jnp.asarray(True),
        "key": jax.random.key(seed),
    }


SEEDS = st.integers(0, 10_000)


# Numbers become arrays


@pytest.mark.parametrize("value", [1, 0.3, [1, 2], [0.5, 1.5], np.float64(2.0), jnp.asarray(0.3), np.arange(3)])
def test_parameters_are_strong_floats(value):
    found = _tree.real(value)
    assert found.dtype == jnp.float64
    assert not found.weak_type
    np.testing.assert_array_equal(found, np.asarray(value, float))


def test_single_precision_stays():
    assert _tree.real(jnp.float32(0.3)).dtype == jnp.float32
    assert _tree.array(np.float32(0.3)).dtype == jnp.float32


def test_numbers_in_states_become_arrays():
    found = _tree.state_arrays(gd.Players(1, (0.5, np.array([1, 2]))))
    assert found.generator.dtype == jnp.float64
    assert found.discriminator[0].dtype == jnp.float64
    # An array of integers is a clock, and stays one.
    assert found.discriminator[1].dtype == jnp.int64


@pytest.mark.parametrize("leaf", [True, "a", jnp.sin, object()])
def test_a_state_holds_numbers_only(leaf):
    with pytest.raises(ValueError, match="A state holds numbers and arrays; found"):
        _tree.state_arrays((1.0, leaf))


def test_system_numbers_become_arrays_and_the_rest_stays():
    class Own(eqx.Module):
        mu: float
        data: np.ndarray
        count: int

    found = _tree.system_arrays(Own(0.5, np.ones(2, np.float32), 3))
    assert isinstance(found.mu, jax.Array)
    assert not found.mu.weak_type
    assert found.data.dtype == jnp.float32
    assert found.count == 3


def test_a_function_holds_no_leaves_and_equals_itself():
    one, other = _tree.function(jnp.sinc.__wrapped__), _tree.function(jnp.sinc.__wrapped__)
    assert jax.tree.leaves(one) == []
    assert jax.tree.structure(one) == jax.tree.structure(other)
    module = eqx.nn.Identity()
    assert _tree.function(module) is module


def test_concrete():
    seen = []
    jax.jit(lambda v: (seen.append(_tree.concrete(v, 1.0)), v)[1])(1.0)
    assert seen == [False]
    assert _tree.concrete(jnp.ones(2), 1.0, "text")


# Vectors


@given(SEEDS)
def test_split_and_ravel_lose_nothing(seed):
    x = state(seed)
    vector, unravel = _tree.ravel(x)
    assert vector.shape == (_tree.size(x),) == (9,)
    for back in (unravel(vector), _tree.merge(*_tree.split(x))):
        assert jax.tree.structure(back) == jax.tree.structure(x)
        assert all(bool(jnp.all(a == b)) for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(x), strict=True))
    moved = unravel(2 * vector)
    assert moved["count"] == x["count"]
    np.testing.assert_array_equal(moved["w"], 2 * x["w"])


@given(SEEDS, st.floats(-3, 3))
def test_arithmetic_is_that_of_vectors(seed, a):
    x, y = state(seed), state(seed + 1)
    u, v = np.asarray(_tree.ravel(x)[0]), np.asarray(_tree.ravel(y)[0])
    # Sums of nine products of numbers of order one: a few roundings.
    np.testing.assert_allclose(_tree.dot(x, y), u @ v, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(_tree.norm(x), np.linalg.norm(u), rtol=1e-14)
    combined = _tree.axpy(a, x, y)
    np.testing.assert_allclose(_tree.ravel(combined)[0], a * u + v, rtol=1e-13, atol=1e-14)
    assert combined["count"] == y["count"]
    difference = _tree.subtract({**x, "key": x["count"]}, {**y, "key": y["count"]})
    np.testing.assert_array_equal(_tree.ravel(difference)[0], u - v)
    assert difference["count"] == 0


def test_one_step_size_per_leaf():
    x = gd.Players(jnp.ones(2), jnp.ones(()))
    found = _tree.axpy(gd.Players(2.0, 3.0), x, x)
    np.testing.assert_array_equal(_tree.ravel(found)[0], [3.0, 3.0, 4.0])


def test_a_step_takes_the_type_of_the_state():
    y = jnp.ones(2, jnp.float32)
    assert _tree.axpy(jnp.float64(0.1), jnp.ones(2), y).dtype == jnp.float32


def test_finite_looks_at_coordinates_only():
    assert bool(_tree.finite({"a": 1.0, "n": jnp.asarray(3)}))
    assert not bool(_tree.finite((jnp.ones(2), jnp.asarray([1.0, jnp.nan]))))
    assert not bool(_tree.finite((jnp.asarray(jnp.inf),)))
    assert bool(_tree.finite(()))


def test_eps_is_that_of_the_coarsest_type():
    fine, coarse = jnp.ones(1), jnp.ones(1, jnp.float32)
    assert _tree.eps((fine, coarse)) == np.finfo(np.float32).eps
    assert _tree.eps((fine, jnp.asarray(1))) == np.finfo(np.float64).eps


# Players


PLAYERS = {
    "named tuple": (gd.Players(1.0, (2.0, 3.0)), ["generator", "discriminator"]),
    "three": (Three(1.0, 2.0, jnp.ones(2)), ["a", "b", "c"]),
    "dictionary": ({"y": 1.0, "x": 2.0}, ["x", "y"]),
    "tuple": ((1.0, 2.0), [0, 1]),
    "array": (jnp.ones(3), [0]),
}


@pytest.mark.parametrize(("x", "names"), PLAYERS.values(), ids=PLAYERS)
def test_players_have_names_and_come_back(x, names):
    assert _tree.player_names(x) == names
    assert [_tree.player_index(x, name) for name in names] == list(range(len(names)))
    again = _tree.with_players(x, _tree.players(x))
    assert jax.tree.structure(again) == jax.tree.structure(x)
    np.testing.assert_array_equal(_tree.ravel(_tree.state_arrays(again))[0], _tree.ravel(_tree.state_arrays(x))[0])


def test_players_are_whole_subtrees():
    assert _tree.players(gd.Players(1.0, (2.0, 3.0))) == [1.0, (2.0, 3.0)]


def test_an_unknown_player_is_told_the_names():
    with pytest.raises(ValueError, match=r"no player 'critic'; its players are \['generator', 'discriminator'\]"):
        _tree.player_index(gd.Players(1.0, 2.0), "critic")


@pytest.mark.parametrize("other", [(1.0, 2.0), gd.Players(1.0, jnp.ones(2)), gd.Players(1.0, (2.0, 3.0))])
def test_unlike_states_are_refused_and_both_named(other):
    x = _tree.state_arrays(gd.Players(1.0, 2.0))
    with pytest.raises(ValueError, match=r"It has .*but a state Players\(generator=f64\[\], discriminator=f64\[\]\)"):
        _tree.check_like(_tree.state_arrays(other), x, "It has")


def test_states_in_words():
    assert _tree.numbers(gd.Players(jnp.asarray(1.5), jnp.asarray([1.0, 2.0]))) == "generator 1.5, discriminator (1, 2)"
    assert _tree.numbers((jnp.asarray(1.5), jnp.asarray(2.0))) == "1.5, 2"
    assert _tree.numbers(jnp.ones(13)) == "f64[13]"


# Lenses


def test_a_lens_picks_leaves_in_its_own_order():
    flow = gd.consensus(gd.Penalised(gd.games.dirac(), gd.r1, 0.3), 0.1)
    names = _tree.leaf_names(flow)
    both = _tree.select(flow, lambda s: (s.weight, s.flow.weight))
    assert [names[i] for i in both] == [".weight", ".flow.weight"]
    moved = _tree.replace(flow, both, 7)
    assert (moved.weight, moved.flow.weight) == (7.0, 7.0)
    assert moved.weight.dtype == jnp.float64
    assert flow.weight == 0.1


def test_a_value_takes_the_shape_and_type_of_its_leaf():
    tree = {"a": jnp.ones((2, 3), jnp.float32), "b": 1.0}
    moved = _tree.replace(tree, _tree.select(tree, lambda t: (t["a"], t["b"])), jnp.float64(0.5))
    assert moved["a"].dtype == jnp.float32
    np.testing.assert_array_equal(moved["a"], np.full((2, 3), 0.5))
    assert moved["b"].dtype == jnp.float64


@pytest.mark.parametrize(
    "where",
    [lambda s: (), lambda s: None, lambda s: 0.1, lambda s: s.gamma, lambda s: s["weight"], lambda s: 2 * s.weight],
    ids=["nothing", "none", "a number", "a wrong name", "a key", "an expression"],
)
def test_a_lens_that_picks_no_leaf_is_refused(where):
    with pytest.raises(ValueError, match="lens"):
        _tree.select(gd.consensus(gd.games.dirac(), 0.1), where)


def test_a_lens_that_picks_a_subtree_picks_its_leaves():
    flow = gd.consensus(gd.games.dirac(), 0.1)
    picked = _tree.select(flow, lambda s: s.flow.real)
    assert [_tree.leaf_names(flow)[i] for i in picked] == [".flow.real.atoms", ".flow.real.masses"]


def test_copies_move_together_or_not_at_all():
    game = gd.games.dirac(target=0.5)
    flow = gd.consensus(gd.Penalised(game, gd.r1, 0.3), 0.1, of=game)

    def check(where):
        _tree.check_tied(flow, _tree.select(flow, where), gd.AbstractSystem)

    check(lambda s: s.weight)
    check(lambda s: (s.flow.game.real.atoms, s.of.real.atoms))
    with pytest.raises(ValueError, match=r"moves \.flow\.game\.real\.atoms but not its copy \.of\.real\.atoms"):
        check(lambda s: s.flow.game.real.atoms)
    with pytest.raises(ValueError, match="return both, as a tuple"):
        check(lambda s: s.of.real.atoms)
