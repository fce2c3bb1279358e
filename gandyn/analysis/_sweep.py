"""Sweeps: any function of a system over values of any of its leaves, in memory or in a folder."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import lazy_loader
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .. import _tree
from .._provenance import digest, environment, placeless
from .._system import AbstractSystem
from ._bar import Bar
from ._dataset import dataset, variables
from ._devices import cells_of, evaluate
from ._grid import Axes, Grid, lay, settings
from ._store import DONE, Store, create

if TYPE_CHECKING:
    import xarray
else:
    xarray = lazy_loader.load("xarray")


class Sweep(eqx.Module):
    """Values of a function over a grid: `axes` by name, in order, and `values` stacked along one axis for each.

    `complete` is False after an interrupt; the first axis then ends where the work did. `settings` says what was swept, as
    JSON.
    """

    axes: dict[str, Float[Array, " n"]]
    values: PyTree
    complete: bool = eqx.field(static=True, default=True)
    settings: str = eqx.field(static=True, default="{}")

    def to_xarray(self) -> "xarray.Dataset":
        """The sweep as a data set: a coordinate for each axis and a variable for each array, by its path in the result.

        Verdicts and outcomes are numbers with their meanings (`flag_values` and `flag_meanings`, as CF has it), and the numbers
        of failed cells are NaN, of which the outcome is the reason. The attributes say what was swept, where and when.

        Raises:
            ValueError: Two arrays of one name, or one that has no form in a data set.
        """
        found = jax.device_get(variables(self.values, tuple(self.axes)))
        axes = {name: np.asarray(values) for name, values in self.axes.items()}
        return dataset(axes, found, json.loads(self.settings) | {"complete": self.complete})


@dataclasses.dataclass(frozen=True, eq=False)
class StoredSweep:
    """A sweep in a folder, of which nothing is in memory but its `axes`.

    `done` says which blocks are finished. After a call of `sweep`, `held` counts those left out because other processes were
    computing them, and `interrupted` says whether it ended by an interrupt from the keyboard.
    """

    path: Path
    axes: dict[str, Float[np.ndarray, " n"]]
    done: Bool[np.ndarray, "..."]
    held: int = 0
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether every block is finished."""
        return bool(self.done.all())

    def to_xarray(self) -> "xarray.Dataset":
        """The sweep as a data set, like that of a `Sweep`, read from the folder as it is needed.

        What is not finished is NaN, a verdict or outcome the number that means `pending`; other whole numbers and booleans,
        which have nothing of the kind, are zero there.
        """
        found = xarray.open_zarr(self.path, chunks=None, consolidated=False, drop_variables=DONE)
        return found.assign_attrs(complete=self.complete)

    def __str__(self) -> str:
        held = f", {self.held} held by other processes" if self.held else ""
        return (
            f"sweep        {self.path}\n"
            f"axes         {', '.join(f'{name} ({values.size})' for name, values in self.axes.items())}\n"
            f"blocks       {int(self.done.sum())} of {self.done.size} finished{held}"
        )


def open_sweep(path: str | os.PathLike[str]) -> StoredSweep:
    """The sweep in a folder, complete or not.

    Args:
        path: The `store` that was given to `sweep`.

    Returns:
        A `StoredSweep`.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no sweep, one of a newer schema, or one of which parts are missing.
    """
    return _as_stored(Store(Path(path).expanduser()))


def _as_stored(store: Store, held: int = 0, interrupted: bool = False) -> StoredSweep:
    return StoredSweep(store.path, store.axes, store.done(), held, interrupted)


@overload
def sweep(
    fn: Callable[[Any], PyTree],
    system: AbstractSystem,
    axes: Axes,
    *,
    chunk: int = ...,
    store: None = ...,
    shard: None = ...,
    progress: bool = ...,
) -> Sweep: ...


@overload
def sweep(
    fn: Callable[[Any], PyTree],
    system: AbstractSystem,
    axes: Axes,
    *,
    chunk: int = ...,
    store: str | os.PathLike[str],
    shard: tuple[int, int] | None = ...,
    progress: bool = ...,
) -> StoredSweep: ...


def sweep(
    fn: Callable[[Any], PyTree],
    system: AbstractSystem,
    axes: Axes,
    *,
    chunk: int = 65_536,
    store: str | os.PathLike[str] | None = None,
    shard: tuple[int, int] | None = None,
    progress: bool = True,
) -> Sweep | StoredSweep:
    """Evaluate a function of a system on a grid of parameter values, compiled once and in blocks.

    A failed cell raises nothing; it carries its reason in the `.result` of what `fn` returns. An interrupt from the
    keyboard ends the sweep and returns what was finished.

    With a `store` each block goes into a folder when it is finished, so that a sweep may be larger than memory. The same
    call again computes what is missing, after whatever ended the first one; several at the same time share the blocks, each
    of which one process holds while it computes it. The store knows a sweep by its axes and their values, by the leaves of the
    system, and by the program of `fn` with the constants in it; not by the versions of libraries and the device, which its
    attributes name as they were at the start.

    The cells of a block are spread over the local devices, or computed on the one chosen by `jax.default_device`. Of the
    processes of JAX's distributed runtime (`jax.distributed.initialize`) each takes its own part of a store's blocks, and then
    what the others have left; without a store each computes the whole. Nothing is sent between devices or processes. On
    several devices numbers may differ in their last digits from those on one, because another shape is compiled to another
    order of the arithmetic.

    Args:
        fn: A function of the system that returns arrays or a result, such as a growth. Define it once: a new function
            compiles anew.
        system: The system whose leaves move.
        axes: By name, a lens and the values of the leaf, as many as one likes for each: the cells are those of the grid. The
            order of the axes is that of the result, and what is common to the cells of the later ones is computed once.
        chunk: How many cells to compute at once, at most; a store keeps the blocks with which it was begun.
        store: The folder, made if it is not there.
        shard: (i, n), to compute only the i-th of n parts of the blocks of a store, counted from one.
        progress: Show a bar on stderr when it is a terminal, and otherwise a line a minute.

    Returns:
        A `Sweep`, or with a store a `StoredSweep`.

    Raises:
        ValueError: No axes, a lens that selects nothing or only one of two copies, values that are not a vector, a shard
            without a store or out of range, or a folder that holds something else or another sweep.
        OSError: The store cannot be written; what is finished stays.
    """
    if shard is not None and (store is None or not 1 <= shard[0] <= shard[1]):
        raise ValueError(
            f"sweep: shard=(i, n) is part i = 1, ..., n of the blocks of a store; got {shard} and store={store!r}."
        )
    if chunk < 1:
        raise ValueError(f"sweep: chunk is the most cells at once, at least one; got {chunk}.")
    grid = lay(system, axes, chunk)
    system = _tree.system_arrays(system)
    about = settings(fn, system, grid) | environment()
    with Bar(progress) as bar:
        if store is None:
            return _in_memory(fn, system, grid, about, bar)
        return _in_folder(fn, system, grid, about, bar, Path(store).expanduser(), shard)


def _in_memory(fn: Callable, system: AbstractSystem, grid: Grid, about: dict[str, Any], bar: Bar) -> Sweep:
    bar.show(0, len(grid.indices()))
    stacked: PyTree = None
    finished, per_row = 0, len(grid.indices()) // grid.blocks[0]
    try:
        for index in grid.indices():
            cells = jax.device_get(evaluate(fn, system, tuple(grid.leaves.values()), grid.parts(index)))
            if stacked is None:
                stacked = jax.tree.map(lambda leaf: np.empty(grid.shape + leaf.shape[len(grid.shape) :], leaf.dtype), cells)
            for whole, part in zip(jax.tree.leaves(stacked), jax.tree.leaves(cells), strict=True):
                whole[grid.place(index)] = grid.inside(index, part)
            finished += 1
            bar.show(finished, len(grid.indices()))
    except KeyboardInterrupt:
        if finished < per_row:
            raise
    rows = min(grid.shape[0], finished // per_row * grid.block[0])
    first, values = next(iter(grid.values.items()))
    kept = jax.tree.map(lambda leaf: jnp.asarray(leaf[:rows]), stacked)
    return Sweep({**grid.values, first: values[:rows]}, kept, rows == grid.shape[0], json.dumps(about))


def _in_folder(
    fn: Callable,
    system: AbstractSystem,
    grid: Grid,
    about: dict[str, Any],
    bar: Bar,
    path: Path,
    shard: tuple[int, int] | None,
) -> StoredSweep:
    store = _opened(fn, system, grid, about, path)
    grid, names = grid._replace(block=store.block), tuple(grid.values)
    mine = _in_order(grid.indices(), shard)
    left, before, interrupted = [index for index in mine if not store.finished(index)], None, False
    try:
        # Again as long as something changes: a block that another process held may be free by now.
        while left and left != before:
            before, finished = left, len(mine) - len(left)
            for index in left:
                bar.show(finished, len(mine))
                with store.claim(index) as free:
                    if free:
                        cells = variables(evaluate(fn, system, tuple(grid.leaves.values()), grid.parts(index)), names)
                        store.write(index, {name: grid.inside(index, v.data) for name, v in jax.device_get(cells).items()})
                        finished += 1
            left = [index for index in left if not store.finished(index)]
    except KeyboardInterrupt:
        interrupted = True
    store.tidy()
    held = 0 if interrupted else sum(not store.finished(index) for index in mine)
    return _as_stored(store, held, interrupted)


def _in_order(blocks: list[tuple[int, ...]], shard: tuple[int, int] | None) -> list[tuple[int, ...]]:
    """The blocks to compute: those of a shard, or of a process of several its own part and then what the others left."""
    if shard is not None:
        return blocks[shard[0] - 1 :: shard[1]]
    first, count = jax.process_index(), jax.process_count()
    return [block for i in range(count) for block in blocks[(first + i) % count :: count]]


def _opened(fn: Callable, system: AbstractSystem, grid: Grid, about: dict[str, Any], path: Path) -> Store:
    """The store of a sweep, begun if there is none."""
    program = eqx.filter_make_jaxpr(fn)(system)[0]
    about = about | {"program": digest((placeless(str(program)), *program.consts))}
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; a sweep is stored in a folder.")
    if not path.exists() or not any(path.iterdir()):
        cells = eqx.filter_eval_shape(cells_of, fn, system, tuple(grid.leaves.values()), grid.parts(grid.indices()[0]))
        create(path, grid, eqx.filter_eval_shape(variables, cells, tuple(grid.values)), about)
    store = Store(path, writable=True)
    store.check(grid, about)
    return store
