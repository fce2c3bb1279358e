"""A map's memory: which of its numbers are no coordinates, and what of it does not come to rest."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._linear import jacobian


def settled(system: AbstractSystem, x: PyTree) -> PyTree:
    """The state with a map's clocks where training at rest takes them."""
    return system.settle(x) if isinstance(system, AbstractMap) else x


def point_rows(system: AbstractSystem, x: PyTree) -> Float[Array, "m n"]:
    """How the point of the flow's phase space depends on the coordinates of the state."""
    vector, unravel = _tree.ravel(x)
    if not isinstance(system, AbstractMap):
        return jnp.eye(vector.size, dtype=vector.dtype)
    return jax.jacfwd(lambda v: _tree.ravel(system.point(unravel(v)))[0])(vector)


def has_memory(system: AbstractSystem, x: PyTree) -> bool:
    """Whether a state is more than its point."""
    return isinstance(system, AbstractMap) and _tree.size(system.point(x)) < _tree.size(x)


def idle(system: AbstractSystem, x: PyTree, matrix: Float[Array, "n n"], tangent: Array | None) -> Bool[Array, " n"] | None:
    """The numbers of a memory that nothing moves and that move nothing, such as injected hyperparameters: no coordinates."""
    n = matrix.shape[0]
    if not has_memory(system, x):
        return None
    eye = jnp.eye(n, dtype=matrix.dtype)
    alone = jnp.all(matrix == eye, axis=0) & jnp.all(matrix == eye, axis=1)
    known = jnp.zeros((n,), bool) if tangent is None else jnp.linalg.norm(tangent, axis=1) > 0.5
    return alone & jnp.all(point_rows(system, x) == 0, axis=0) & ~known


def without(array: Float[Array, "*n"], aside: Bool[Array, " n"] | None) -> Float[Array, "*n"]:
    """A vector or matrix with zeros for what is no coordinate."""
    if aside is None:
        return array
    return jnp.where(aside if array.ndim == 1 else aside[:, None] | aside[None, :], jnp.zeros((), array.dtype), array)


def _data(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def restless(
    system: AbstractSystem, x: PyTree, matrix: Float[Array, "n n"], aside: Bool[Array, " n"] | None, tolerance: Array
) -> Bool[Array, " l"]:
    """Which leaves of a state still change although its point is at rest, other than those without any effect.

    A clock has none if it stays; a number that is no coordinate has none if the Jacobian does not change with it.
    """
    leaves = jax.tree.leaves(x)
    if not isinstance(system, AbstractMap) or (aside is None and all(map(_tree.is_coordinate, leaves))):
        return jnp.zeros((len(leaves),), bool)
    image = system(x)
    clocks = [
        jnp.zeros((), bool) if _tree.is_coordinate(old) else jnp.any(_data(old) != _data(new))
        for old, new in zip(leaves, jax.tree.leaves(image), strict=True)
    ]
    if aside is None:
        return jnp.stack(clocks)
    vector, unravel = _tree.ravel(x)
    change = _tree.ravel(image)[0] - vector
    rows = point_rows(system, x)
    drift = jnp.where(aside, change, 0.0)
    later = without(jacobian(system, unravel(vector + drift)), aside)
    matters = jnp.any(drift != 0) & (jnp.linalg.norm(later - matrix) > 10 * _tree.eps(x) * jnp.linalg.norm(matrix))
    rest = jnp.linalg.norm(rows @ change) <= tolerance
    unrest = jnp.all(rows == 0, axis=0) & (jnp.abs(change) > tolerance)
    moving = jnp.where(aside, (drift != 0) & matters, unrest & rest)
    marked = unravel(moving.astype(vector.dtype))
    floats = [jnp.any(leaf != 0) if _tree.is_coordinate(leaf) else jnp.zeros((), bool) for leaf in jax.tree.leaves(marked)]
    return jnp.stack(clocks) | jnp.stack(floats)


def names(x: PyTree, marks: Bool[Array, " l"]) -> str:
    """The paths of marked leaves."""
    paths = [jtu.keystr(path) for path, _ in jtu.tree_leaves_with_path(x)]
    return ", ".join(path for path, mark in zip(paths, np.asarray(marks), strict=True) if mark)


@eqx.filter_jit
def restless_leaves(system: AbstractSystem, x: PyTree) -> Bool[Array, " l"]:
    """`restless` for a message."""
    x = settled(system, x)
    matrix = jacobian(system, x)
    aside = idle(system, x, matrix, None)
    slope = jnp.linalg.norm(matrix - jnp.eye(matrix.shape[0], dtype=matrix.dtype))
    return restless(system, x, without(matrix, aside), aside, stationary_tolerance(x, slope))


def stationary_tolerance(x: PyTree, slope: Array) -> Array:
    """How large a residual may be at an equilibrium, where its derivative has the norm `slope`."""
    return _tree.eps(x) ** 0.5 * slope * (1 + _tree.norm(x))
