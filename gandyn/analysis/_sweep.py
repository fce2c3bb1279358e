"""Sweeps: any function of a system over values of any of its leaves."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree
from rich.console import Console
from rich.progress import Progress

from .. import _tree
from .._system import AbstractSystem


class Sweep(eqx.Module):
    """Values of a function over a grid: `axes` by name, in order, and `values` stacked along one axis for each.

    `complete` is False after an interrupt; the first axis then ends where the work did.
    """

    axes: dict[str, Float[Array, " n"]]
    values: PyTree
    complete: bool = eqx.field(static=True, default=True)


@eqx.filter_jit
def _cells(fn: Callable, system: AbstractSystem, chosen: tuple[tuple[int, ...], ...], values: tuple[Array, ...]) -> PyTree:
    def cell(*point: Array) -> PyTree:
        moved = system
        for leaves, value in zip(chosen, point, strict=True):
            moved = _tree.replace(moved, leaves, value)
        return fn(moved)

    # Nested rather than flat, so that what does not depend on an inner axis is computed once.
    for axis in reversed(range(len(values))):
        cell = jax.vmap(cell, tuple(0 if i == axis else None for i in range(len(values))))
    return cell(*values)


def _resolve(system: AbstractSystem, axes: dict[str, tuple[Callable, _tree.Numbers]]) -> tuple[tuple, dict[str, Array]]:
    if not axes:
        raise ValueError('sweep: give at least one axis, such as {"gamma": (lambda s: s.weight, values)}.')
    chosen, values = [], {}
    for name, (where, grid) in axes.items():
        leaves = _tree.select(system, where)
        if set(leaves) & {i for other in chosen for i in other}:
            raise ValueError(f"sweep: the axis {name!r} moves a leaf that another axis moves already.")
        chosen.append(leaves)
        values[name] = _tree.real(grid)
        if values[name].ndim != 1 or values[name].size == 0:
            raise ValueError(f"sweep: the values of {name!r} must be one-dimensional; got shape {values[name].shape}.")
    _tree.check_tied(system, tuple(i for leaves in chosen for i in leaves), AbstractSystem)
    return tuple(chosen), values


def _block(shape: tuple[int, ...], chunk: int) -> tuple[int, ...]:
    """How much of each axis to compute at once: whole later axes first, because they share the most."""
    sizes: list[int] = []
    for n in reversed(shape):
        sizes.insert(0, min(n, max(1, chunk)))
        chunk //= sizes[0]
    return tuple(sizes)


def _put(stacked: PyTree, cells: PyTree, start: tuple[int, ...]) -> None:
    """Write a block of cells into its place, without the repeated ends by which it reaches beyond the grid."""

    def put(whole: np.ndarray, part: np.ndarray) -> None:
        place = whole[tuple(slice(i, i + size) for i, size in zip(start, part.shape, strict=False))]
        place[...] = part[tuple(slice(n) for n in place.shape[: len(start)])]

    jax.tree.map(put, stacked, cells)


def sweep(
    fn: Callable[[Any], PyTree],
    system: AbstractSystem,
    axes: dict[str, tuple[Callable, _tree.Numbers]],
    *,
    chunk: int = 65_536,
    progress: bool = True,
) -> Sweep:
    """Evaluate a function of a system on a grid of parameter values, compiled once and in chunks.

    A failed cell raises nothing; it carries its reason in the `.result` of what `fn` returns. An interrupt from the
    keyboard ends the sweep and returns what was finished.

    Args:
        fn: A function of the system that returns arrays or a result, such as a growth. Define it once: a new function
            compiles anew.
        system: The system whose leaves move.
        axes: By name, a lens and the values of the leaf; the order of the axes is that of the result, and what is
            common to the cells of the later ones is computed once.
        chunk: How many cells to compute at once, at most.
        progress: Show a bar on stderr when it is a terminal.

    Returns:
        A `Sweep`.

    Raises:
        ValueError: No axes, a lens that selects nothing or only one of two copies, or values that are not a vector.
    """
    chosen, values = _resolve(system, axes)
    system = _tree.system_arrays(system)
    grids = tuple(values.values())
    shape = tuple(v.size for v in grids)
    block = _block(shape, chunk)
    starts = list(itertools.product(*(range(0, n, size) for n, size in zip(shape, block, strict=True))))
    per_row = sum(start[0] == 0 for start in starts)
    stacked: PyTree = None
    finished = 0
    with Progress(console=Console(stderr=True), transient=True, disable=not (progress and sys.stderr.isatty())) as bar:
        task = bar.add_task("sweep", total=len(starts))
        try:
            for start in starts:
                parts = tuple(
                    jnp.take(v, jnp.arange(i, i + size), mode="clip") for v, i, size in zip(grids, start, block, strict=True)
                )
                cells = jax.device_get(_cells(fn, system, chosen, parts))
                if stacked is None:
                    stacked = jax.tree.map(lambda leaf: np.empty(shape + leaf.shape[len(shape) :], leaf.dtype), cells)
                _put(stacked, cells, start)
                finished += 1
                bar.advance(task)
        except KeyboardInterrupt:
            if finished < per_row:
                raise
    rows = min(shape[0], finished // per_row * block[0])
    first = next(iter(values))
    kept = jax.tree.map(lambda leaf: jnp.asarray(leaf[:rows]), stacked)
    return Sweep({**values, first: grids[0][:rows]}, kept, rows == shape[0])
