"""Grids of parameter values: what moves along which axis, and the blocks in which the cells are computed."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import _tree
from .._provenance import digest, is_key, placeless
from .._system import AbstractSystem

Axes = Mapping[str, tuple[Callable, _tree.Numbers]]
"""By name, a lens and the values of the leaf."""

# Up to this size a leaf is told by its numbers, beyond by its fingerprint.
_TOLD = 16


class Grid(NamedTuple):
    """The leaves and the values of each axis, by name and in order, and how much of each axis a block has."""

    leaves: dict[str, tuple[int, ...]]
    values: dict[str, Array]
    block: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(v.size for v in self.values.values())

    @property
    def blocks(self) -> tuple[int, ...]:
        """How many blocks there are along each axis."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.block, strict=True))

    def indices(self) -> list[tuple[int, ...]]:
        """The blocks in the order of the grid, each by its number along each axis."""
        return list(itertools.product(*map(range, self.blocks)))

    def parts(self, index: tuple[int, ...]) -> tuple[Array, ...]:
        """The values of a block, which repeat the last one where the block reaches beyond the grid."""
        spans = zip(self.values.values(), index, self.block, strict=True)
        return tuple(
            jnp.asarray(np.take(np.asarray(v), np.arange(i * size, (i + 1) * size), mode="clip")) for v, i, size in spans
        )

    def place(self, index: tuple[int, ...]) -> tuple[slice, ...]:
        """Where a block lies in the grid."""
        spans = zip(self.shape, index, self.block, strict=True)
        return tuple(slice(i * size, min(n, (i + 1) * size)) for n, i, size in spans)

    def inside(self, index: tuple[int, ...], cells: np.ndarray) -> np.ndarray:
        """The cells of a block that lie in the grid."""
        return cells[tuple(slice(place.stop - place.start) for place in self.place(index))]


def lay(system: AbstractSystem, axes: Axes, chunk: int) -> Grid:
    """The grid that the axes span, in blocks of at most `chunk` cells.

    Raises:
        ValueError: No axes, a lens that selects nothing, only one of two copies or what another axis moves, or values that
            are not a vector.
    """
    if not axes:
        raise ValueError('sweep: give at least one axis, such as {"gamma": (lambda s: s.weight, values)}.')
    leaves, values = {}, {}
    for name, (where, numbers) in axes.items():
        chosen = _tree.select(system, where)
        if set(chosen) & {i for other in leaves.values() for i in other}:
            raise ValueError(f"sweep: the axis {name!r} moves a leaf that another axis moves already.")
        leaves[name], values[name] = chosen, _vector(name, numbers)
    _tree.check_tied(system, tuple(i for chosen in leaves.values() for i in chosen), AbstractSystem)
    return Grid(leaves, values, block_of(tuple(v.size for v in values.values()), chunk))


def _vector(name: str, numbers: Any) -> Array:
    try:
        found = _tree.real(numbers)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sweep: the values of {name!r} are no numbers in a row: {error}") from error
    if found.ndim != 1 or found.size == 0 or jnp.iscomplexobj(found):
        raise ValueError(
            f"sweep: the values of {name!r} must be real and one-dimensional; got shape {found.shape} of {found.dtype}."
        )
    return found


def block_of(shape: tuple[int, ...], chunk: int) -> tuple[int, ...]:
    """How much of each axis to compute at once: whole later axes first, because they share the most."""
    sizes: list[int] = []
    for n in reversed(shape):
        sizes.insert(0, min(n, max(1, chunk)))
        chunk //= sizes[0]
    return tuple(sizes)


def settings(fn: Callable, system: AbstractSystem, grid: Grid) -> dict[str, Any]:
    """What is swept, in words and numbers: the function, the system, its leaves, and those that move along each axis."""
    names = _tree.leaf_names(system)
    moving = {name: [names[i] for i in chosen] for name, chosen in grid.leaves.items()}
    still = set(range(len(names))) - {i for chosen in grid.leaves.values() for i in chosen}
    leaves = jax.tree.leaves(system)
    return {
        "function": f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}",
        "system": placeless(_tree.describe(system)),
        "leaves": {names[i]: _told(leaves[i]) for i in sorted(still)},
        "axes": moving,
    }


def _told(leaf: Any) -> str:
    if not hasattr(leaf, "dtype"):
        return placeless(repr(leaf))
    return digest(leaf) if is_key(leaf) or leaf.size > _TOLD else str(leaf.tolist())
