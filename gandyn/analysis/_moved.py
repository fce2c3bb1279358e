"""Parameters that move: the leaves that a lens picks, and a system at another value of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import _tree
from .._system import AbstractSystem

Moved = tuple[tuple[int, Array], ...]
"""The leaves that a parameter moves, each with the factor by which it is multiplied there."""


def moved_by(system: Any, where: Callable[[Any], Any]) -> Moved:
    """The leaves that a lens picks, to be moved by one factor, as multiples of the first."""
    chosen = _tree.select(system, where)
    _tree.check_tied(system, chosen, AbstractSystem)
    leaves = [_tree.real(leaf) for leaf in jax.tree.leaves(where(system))]
    return tuple((i, leaf / leaves[0]) for i, leaf in zip(chosen, leaves, strict=True))


def as_one(chosen: tuple[int, ...]) -> Moved:
    """Leaves that are all set to the parameter's value."""
    return tuple((i, jnp.ones(())) for i in chosen)


def shared_value(system: Any, where: Callable[[Any], Any]) -> Array:
    """The one value of all the leaves that a lens picks.

    Raises:
        ValueError: They have several, which a path that sets them all to one would not start from.
    """
    values = np.concatenate([np.ravel(np.asarray(leaf, float)) for leaf in jax.tree.leaves(where(system))])
    if not values.size or np.any(values != values[0]):
        raise ValueError(
            f"The leaves that the lens picks have the values {values[:6].tolist()}, and a parameter has one. Pick one leaf, or "
            "leaves of one value; several step sizes are moved by one factor by `critical_step`."
        )
    return _tree.real(values[0])


def move(system: Any, moved: Moved, value: Array) -> Any:
    """The system at a value of the parameter."""
    for i, factor in moved:
        system = _tree.replace(system, (i,), factor * value)
    return system
