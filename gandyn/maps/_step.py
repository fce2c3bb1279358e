"""Step sizes: one for all players, or one each."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import _tree


def check_step(h: PyTree, name: str) -> None:
    """Refuse step sizes that are not positive, finite scalars."""
    for value in jax.tree.leaves(h):
        if jnp.ndim(value) != 0:
            raise ValueError(f"{name}: a step size is a scalar, one for all or one per player; got shape {jnp.shape(value)}.")
        if _tree.concrete(value) and not 0 < np.asarray(value) < np.inf:
            raise ValueError(f"{name}: step sizes must be positive and finite; got {value}.")


def check_weight(weight: Array, name: str, low: float = 0.0, high: float = 1.0) -> None:
    """Refuse a weight outside an interval, whose ends count as inside."""
    if _tree.concrete(weight) and not low <= np.asarray(weight) <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}; got {weight}.")


def whole(count: Any) -> Any:
    """A count as it is, but a Python integer for one of NumPy: the converter of every static count."""
    return int(count) if isinstance(count, np.integer) else count


def turns(order: Any) -> tuple[Any, ...] | None:
    """An order of players as a tuple: the converter of every field `order`."""
    return None if order is None else tuple(order)


def steps(h: PyTree) -> PyTree:
    """Step sizes as arrays: the converter of every field `h`."""
    return jax.tree.map(_tree.real, h)


def _of_player(h: PyTree, x: PyTree, i: int) -> Array:
    sizes = _tree.players(h)
    if len(sizes) not in (1, len(_tree.players(x))):
        raise ValueError(f"{len(sizes)} step sizes for {len(_tree.players(x))} players; give one for all, or one each.")
    return sizes[i] if len(sizes) > 1 else sizes[0]


def advance_player(h: PyTree, x: PyTree, velocity: PyTree, i: int) -> PyTree:
    """The i-th player after a step along its part of a velocity."""
    return _tree.axpy(_of_player(h, x, i), _tree.players(velocity)[i], _tree.players(x)[i])


def advance(h: PyTree, x: PyTree, velocity: PyTree) -> PyTree:
    """The state after every player's step along a velocity."""
    return _tree.with_players(x, [advance_player(h, x, velocity, i) for i in range(len(_tree.players(x)))])
