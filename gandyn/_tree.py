"""Pytrees as vectors: the arithmetic of states, players, and lenses. The only file that flattens."""

import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, PyTree, Scalar

Numbers = ArrayLike | Sequence[Any]
"""Whatever `jnp.asarray` takes: numbers, arrays and nested sequences of them."""


def array(value: Any) -> Array:
    """The value as an array; Python numbers take the default float type."""
    if isinstance(value, (bool, int, float)):
        return jnp.asarray(value, jnp.result_type(float))
    value = jnp.asarray(value)
    # Named again, because JAX compiles anew for the weak type that it gives to a Python number.
    return jnp.asarray(value, value.dtype)


def real(value: Any) -> Array:
    """The value as a floating-point array: the converter of every parameter field."""
    value = array(value)
    return value if jnp.issubdtype(value.dtype, jnp.inexact) else value.astype(jnp.result_type(float))


def concrete(*values: Any) -> bool:
    """Whether the values are known now, outside `jit`, `vmap` and `grad`, so that they can be checked."""
    return not any(isinstance(value, Tracer) for value in jax.tree.leaves(values))


def function(f: Callable) -> Callable:
    """A bare function as a pytree without leaves, so that systems hold arrays only."""
    return jtu.Partial(f) if isinstance(f, types.FunctionType | types.BuiltinFunctionType) else f


def system_arrays(system: PyTree) -> PyTree:
    """Python floats and NumPy arrays in a system become arrays: a new value never compiles again."""

    def convert(leaf: Any) -> Any:
        return array(leaf) if isinstance(leaf, (float, np.ndarray, np.generic)) else leaf

    return jax.tree.map(convert, system)


def state_arrays(x: PyTree) -> PyTree:
    """Python numbers in a state become arrays of the default float type; booleans are refused."""

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, bool) or not isinstance(leaf, (int, float, complex, np.ndarray, np.generic, jax.Array)):
            raise ValueError(f"A state holds numbers and arrays; found {leaf!r}. Pass functions in the system instead.")
        return array(leaf)

    return jax.tree.map(convert, x)


def is_coordinate(leaf: Any) -> bool:
    """Whether a leaf spans directions of the phase space: floats and Python numbers do; counters, flags and keys are clocks."""
    return eqx.is_inexact_array(leaf) or (isinstance(leaf, (int, float)) and not isinstance(leaf, bool))


def split(x: PyTree) -> tuple[PyTree, PyTree]:
    """The coordinates of a state, and its clocks."""
    moving, still = eqx.partition(x, is_coordinate)
    return jax.tree.map(array, moving), still


def merge(moving: PyTree, still: PyTree) -> PyTree:
    """Undo `split`."""
    return eqx.combine(moving, still)


def ravel(x: PyTree) -> tuple[Float[Array, " n"], Callable[[Float[Array, " n"]], PyTree]]:
    """The coordinates of a state as one vector, and the way back."""
    moving, still = split(x)
    vector, unravel = ravel_pytree(moving)
    return vector, lambda v: merge(unravel(v), still)


def size(x: PyTree) -> int:
    """The number of coordinates of a state."""
    return sum(leaf.size for leaf in jax.tree.leaves(split(x)[0]))


def axpy(a: Any, x: PyTree, y: PyTree) -> PyTree:
    """`a x + y` in the type of `y`; `a` is a scalar or one scalar per leaf. Clocks of `y` stay."""
    if jax.tree.structure(a) != jax.tree.structure(y):
        a = jax.tree.map(lambda _: a, y)

    def step(s: Any, u: Any, v: Any) -> Any:
        if not is_coordinate(v):
            return v
        v = array(v)
        return v + jnp.asarray(s, v.dtype) * jnp.asarray(u, v.dtype)

    return jax.tree.map(step, a, x, y)


def subtract(x: PyTree, y: PyTree) -> PyTree:
    """`x - y` on coordinates, zero on clocks."""
    return jax.tree.map(lambda u, v: u - v if is_coordinate(u) else jnp.zeros_like(u), x, y)


def dot(x: PyTree, y: PyTree) -> Scalar:
    """The Euclidean inner product of two states' coordinates."""
    pairs = zip(jax.tree.leaves(split(x)[0]), jax.tree.leaves(split(y)[0]), strict=True)
    products = [jnp.vdot(u, v) for u, v in pairs] or [jnp.zeros(())]
    return sum(products[1:], start=products[0])


def norm(x: PyTree) -> Scalar:
    """The Euclidean norm of a state's coordinates."""
    return jnp.linalg.norm(ravel(x)[0])


def finite(x: PyTree) -> Array:
    """Whether every coordinate is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(split(x)[0])] or [jnp.array(True)]))


def eps(x: PyTree) -> float:
    """The machine epsilon of a state's coarsest type."""
    kinds = [leaf.dtype for leaf in jax.tree.leaves(split(x)[0])]
    return max((float(jnp.finfo(kind).eps) for kind in kinds), default=float(jnp.finfo(jnp.result_type(float)).eps))


def _level(x: PyTree) -> tuple[list[tuple[Any, PyTree]], Any]:
    pairs, structure = jtu.tree_flatten_with_path(x, is_leaf=lambda node: node is not x)
    return [(path, child) for path, child in pairs], structure


def players(x: PyTree) -> list[PyTree]:
    """The players of a state: its children one level down, or the state itself if it is one array."""
    return [child for _, child in _level(x)[0]]


def with_players(x: PyTree, children: list[PyTree]) -> PyTree:
    """A state like `x` with other players."""
    return jtu.tree_unflatten(_level(x)[1], children)


def player_names(x: PyTree) -> list[Any]:
    """The names of a state's players: fields of a named tuple, keys of a dictionary, positions of a tuple."""
    names = []
    for path, _ in _level(x)[0]:
        entry = path[0] if path else None
        names.append(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", 0))))
    return names


def player_index(x: PyTree, name: Any) -> int:
    """The position of the player called `name`."""
    names = player_names(x)
    if name not in names:
        raise ValueError(f"The state has no player {name!r}; its players are {names}.")
    return names.index(name)


T = TypeVar("T")


def inside(tree: PyTree, kind: type[T]) -> T:
    """The outermost part of a system that is of a kind: the flow that a map discretises, or its game.

    Raises:
        ValueError: There is none.
    """
    for part in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, kind)):
        if isinstance(part, kind):
            return part
    raise ValueError(f"There is no {kind.__name__.removeprefix('Abstract').lower()} inside {type(tree).__name__}.")


def check_like(x: PyTree, y: PyTree, what: str) -> None:
    """Refuse two states of different structure or shape, naming both."""

    def shape(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: getattr(leaf, "shape", ()), tree)

    if jax.tree.structure(x) != jax.tree.structure(y) or shape(x) != shape(y):
        raise ValueError(f"{what} {describe(x)}, but a state {describe(y)} is expected.")


def describe(x: PyTree) -> str:
    """A state's structure and shapes in one line."""
    return eqx.tree_pformat(x, short_arrays=True, struct_as_array=True).replace("\n", "").replace("  ", "")


def numbers(x: PyTree) -> str:
    """A small state's numbers in one line, by player; a large one's structure."""
    if size(x) > 12:
        return describe(x)

    def show(player: PyTree) -> str:
        values = [f"{value:.6g}" for value in np.asarray(ravel(player)[0])]
        return values[0] if len(values) == 1 else "(" + ", ".join(values) + ")"

    pairs = zip(player_names(x), players(x), strict=True)
    return ", ".join(show(player) if isinstance(name, int) else f"{name} {show(player)}" for name, player in pairs)


# Lenses


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    return concrete(a, b) and np.shape(a) == np.shape(b) and bool(np.array_equal(a, b))


def select(tree: PyTree, where: Callable[[PyTree], Any]) -> tuple[int, ...]:
    """The positions of the leaves that a lens picks, in the order it returns them.

    Raises:
        ValueError: The lens picks nothing, or something that is no array leaf.
    """
    leaves, structure = jax.tree.flatten(tree)
    marks = [object() for _ in leaves]
    position = {id(mark): i for i, mark in enumerate(marks)}
    try:
        picked = jax.tree.leaves(where(jax.tree.unflatten(structure, marks)))
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"The lens failed on {type(tree).__name__}: {error}. It must return array leaves.") from error
    chosen = tuple(position.get(id(leaf), -1) for leaf in picked)
    if not chosen or -1 in chosen:
        raise ValueError(
            f"The lens must return one array leaf of {type(tree).__name__}, or a tuple of leaves; "
            f"the leaves are {leaf_names(tree)}."
        )
    return chosen


def leaf_names(tree: PyTree) -> list[str]:
    """The paths of a tree's leaves, such as `.flow.weight`."""
    return [jtu.keystr(path) for path, _ in jtu.tree_leaves_with_path(tree)]


def replace(tree: PyTree, chosen: tuple[int, ...], value: Any) -> PyTree:
    """The tree with the chosen leaves set to one value, in each leaf's own type and shape."""
    leaves, structure = jax.tree.flatten(tree)
    for i in chosen:
        leaf = array(leaves[i])
        leaves[i] = jnp.broadcast_to(jnp.asarray(value, leaf.dtype), leaf.shape)
    return jax.tree.unflatten(structure, leaves)


def check_tied(tree: PyTree, chosen: tuple[int, ...], kind: type) -> None:
    """Refuse a lens that moves a leaf of one copy of a subtree of type `kind` and not its twin."""
    leaves, structure = jax.tree.flatten(tree)
    places: list[tuple[Any, list[int]]] = []

    def visit(node: PyTree) -> None:
        if isinstance(node, kind):
            indices, inner = jax.tree.flatten(node)
            for other, twin in places:
                if other == inner and all(_same(leaves[i], leaves[j]) for i, j in zip(indices, twin, strict=True)):
                    for i, j in zip(indices, twin, strict=True):
                        if (i in chosen) != (j in chosen):
                            names = leaf_names(tree)
                            raise ValueError(
                                f"The lens moves {names[i if i in chosen else j]} but not its copy "
                                f"{names[j if i in chosen else i]}: return both, as a tuple."
                            )
            places.append((inner, indices))
        for child in players(node) if jax.tree.leaves(node) != [node] else []:
            visit(child)

    visit(jax.tree.unflatten(structure, list(range(len(leaves)))))
