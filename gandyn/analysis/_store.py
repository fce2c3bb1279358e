"""A sweep in a folder: a zarr group whose chunks are the blocks, each of them written by one process and then flagged."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import lazy_loader
import numpy as np

from ._dataset import Variable, coordinate
from ._grid import Grid

if TYPE_CHECKING:
    import zarr
    import zarr.codecs
else:
    zarr = lazy_loader.load("zarr")

FORMAT, SCHEMA = "gandyn sweep", 1

# The array of flags, one for each block; the locks lie in its folder, where no reader of zarr looks.
DONE = "done"


class Store:
    """An open folder.

    Args:
        path: The folder.
        writable: Whether to write to it.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no sweep, one of a newer schema, or one of which parts are missing.
    """

    def __init__(self, path: Path, *, writable: bool = False):
        self.path = path
        self.settings = _described(path, writable)
        self._group = zarr.open_group(path, mode="r+" if writable else "r")
        self._done: Any = self._group[DONE]
        names = self.settings["axes"]
        self.axes = {name: np.asarray(self._array(name)[...]) for name in names}
        self.arrays = [self._array(name) for name in sorted(self._group.array_keys()) if name not in (DONE, *names)]
        self.block: tuple[int, ...] = self.arrays[0].chunks[: len(names)]
        finished = int(self.done().sum())
        if damaged := [array.path for array in self.arrays if array.nchunks_initialized < finished]:
            raise ValueError(
                f"{path} is damaged: of {finished} finished blocks {', '.join(damaged)} has fewer. Put a copy back, or delete "
                f"the folder {path / DONE / 'c'} to have every block computed again."
            )

    def _array(self, name: str) -> Any:
        found: Any = self._group[name]
        # A chunk of nothing but missing values or flags is written like any other.
        return found.with_config({"write_empty_chunks": True})

    def done(self) -> np.ndarray:
        """Which blocks are finished."""
        return np.asarray(self._done[...])

    def finished(self, index: tuple[int, ...]) -> bool:
        """Whether a block is finished."""
        return bool(self._done[index])

    def check(self, grid: Grid, settings: dict[str, Any]) -> None:
        """Refuse to go on with another sweep than the one that the folder holds.

        Raises:
            ValueError: It is another one, and in what.
        """
        if other := _differences(self, grid, settings):
            raise ValueError(
                f"{self.path} holds another sweep: {'; '.join(other)}. Choose another folder, or go on with what it was "
                "started with."
            )

    @contextlib.contextmanager
    def claim(self, index: tuple[int, ...]) -> Iterator[bool]:
        """Whether a block is there to be computed, which no one else does meanwhile; the claim of a process dies with it."""
        lock = filelock.FileLock(self.path / DONE / f"{'.'.join(map(str, index))}.lock", blocking=False)
        with self._writing():
            try:
                lock.acquire()
            except filelock.Timeout:
                yield False
                return
        try:
            yield not self.finished(index)
        finally:
            lock.release()

    def write(self, index: tuple[int, ...], values: dict[str, np.ndarray]) -> None:
        """Write a block, flush it to the disk, and flag it as finished.

        Raises:
            OSError: It cannot be written.
        """
        with self._writing():
            for array in self.arrays:
                # Whole chunks, so that no two blocks ever share a file.
                array.blocks[index] = values[array.path]
            for array in self.arrays:
                key = array.metadata.encode_chunk_key((*index, *[0] * (array.ndim - len(index))))
                with open(self.path / array.path / key, "rb+") as file:
                    os.fsync(file.fileno())
            self._done.blocks[index] = True

    def tidy(self) -> None:
        """Once every block is finished, and no one writes any more: remove what killed processes left behind."""
        if self.done().all():
            for stray in (*self.path.rglob("*.partial"), *(self.path / DONE).glob("*.lock")):
                stray.unlink(missing_ok=True)
            for stray in self.path.parent.glob(f".{escape(self.path.name)}.{'[0-9a-f]' * 8}.partial"):
                shutil.rmtree(stray, ignore_errors=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"{self.path} cannot be written ({error.strerror or error}). The finished blocks are kept: make room or choose "
                "another folder, and the same call goes on from there."
            ) from error


def create(path: Path, grid: Grid, layout: dict[str, Variable], settings: dict[str, Any]) -> None:
    """Lay out an empty store beside its place, and move it there; if another process was first, leave its store alone.

    Raises:
        ValueError: A name that an array in a folder cannot have.
        OSError: The folder cannot be written.
    """
    for name in (*grid.values, *layout):
        if name == DONE or "/" in name or name.startswith("__"):
            raise ValueError(f"A store holds nothing called {name!r}: choose another name for the axis or for the value.")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        group = zarr.create_group(temporary, attributes={"format": FORMAT, "schema": SCHEMA, **settings})
        for name, values in grid.values.items():
            found = np.asarray(values)
            group.create_array(name, data=found, dimension_names=[name], attributes=coordinate(settings, name))
        for name, variable in layout.items():
            inner = tuple(variable.data.shape[len(grid.block) :])
            group.create_array(
                name,
                shape=grid.shape + inner,
                chunks=grid.block + inner,
                dtype=np.dtype(variable.data.dtype),
                fill_value=variable.missing,
                dimension_names=variable.dims,
                attributes=variable.attributes,
                # With a checksum, so that damage is not read as numbers.
                compressors=zarr.codecs.ZstdCodec(level=1, checksum=True),
            )
        flags = [f"{name}_block" for name in grid.values]
        group.create_array(DONE, shape=grid.blocks, chunks=(1,) * len(flags), dtype=bool, dimension_names=flags)
        temporary.rename(path)
    except OSError as error:
        if not (path / "zarr.json").exists():
            raise OSError(
                f"{path} cannot be written ({error.strerror or error}); choose a folder that exists and is writable."
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _described(path: Path, writable: bool) -> dict[str, Any]:
    """The attributes of a store."""
    if not path.is_dir():
        raise OSError(f"{path} holds no sweep: there is no such folder.")
    if not (path / "zarr.json").exists():
        raise ValueError(
            f"{path} is a folder that holds no sweep{'; choose an empty folder or a new one' if writable else ''}."
        )
    known = dict(zarr.open_group(path, mode="r").attrs)
    if known.get("format") != FORMAT or known.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} holds no sweep that this gandyn knows; it should be of the format {FORMAT!r}, schema {SCHEMA}."
        )
    return known


def _differences(store: Store, grid: Grid, settings: dict[str, Any]) -> list[str]:
    """In what two sweeps differ, in words; what an axis moves is no leaf of its own."""
    known, found = store.settings, []
    if list(known["axes"]) != list(grid.values):
        return [f"its axes are {list(known['axes'])}, these are {list(grid.values)}"]
    for name, values in grid.values.items():
        if known["axes"][name] != settings["axes"][name]:
            found.append(f"its axis {name!r} moves {known['axes'][name]}, this one {settings['axes'][name]}")
        if not np.array_equal(store.axes[name], values, equal_nan=True):
            found.append(f"its axis {name!r} has other values")
    leaves = known["leaves"], settings["leaves"]
    for name in sorted(leaves[0].keys() | leaves[1].keys()):
        there, here = (side.get(name, "missing") for side in leaves)
        if there != here:
            found.append(f"its leaf {name} is {there}, this one {here}")
    if not found and known["program"] != settings["program"]:
        there, here = (f"{at['function']} under gandyn {at['gandyn']} and jax {at['jax']}" for at in (known, settings))
        found.append(f"its cells are of another program, {there}; this is {here}")
    return found
