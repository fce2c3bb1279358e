"""`gandyn sweep`: stability over a grid of the system's numbers."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._json import plain
from .._provenance import environment
from .._record import as_json as result_as_json
from .._record import save
from .._results import first
from ..analysis._dataset import PENDING
from ..analysis._equilibrium import equilibrium
from ..analysis._stability import stability
from ..analysis._sweep import StoredSweep, Sweep, sweep
from ..analysis._verdict import VERDICTS, Stability
from ._console import check_figure, check_folder, describe, double_precision, draw, messages, show, show_json
from ._maps import flow_of
from ._options import FINE, INTERRUPTED, System, Words
from ._specs import Number, Setup, assemble, parse_axis, settings

# Small enough for the bar to move and for an interrupt to find something finished.
_CHUNK = 8192

# How many cells of a store the summary reads at once.
_READ = 2**20


def run(
    game: str,
    options: System,
    axis: Words,
    as_json: bool,
    out: Path | None,
    figure: Path | None,
    store: Path | None,
    shard: str | None,
) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    check_folder(out)
    check_folder(figure)
    if out is not None and store is not None:
        raise ValueError("--out keeps a sweep that fits in memory, --store one that need not; give one of them.")
    part = _parse_shard(shard, store)
    setup = assemble(game, options)
    axes = dict(parse_axis(spec, setup.numbers) for spec in axis)
    if len(axes) < len(axis):
        raise ValueError(f"--axis: every number can move along one axis only; got {', '.join(axis)}.")
    _check_figure(figure, len(axes))
    chosen = settings(game, options) | {"axis": list(axis)}
    moving = {name: setup.numbers[name] for name in axes}
    cell, places = _cell(setup, list(moving.values())), {name: (moving[name].where, axes[name]) for name in axes}
    document = {"command": "sweep", "settings": plain(chosen)}
    if store is None:
        found = sweep(cell, setup.system, places, chunk=_CHUNK)
        document |= {"sweep": result_as_json(found)} if as_json else {}
    else:
        found = sweep(cell, setup.system, places, chunk=_CHUNK, store=store, shard=part)
        blocks = {"blocks": found.done.size, "finished": int(found.done.sum())}
        document |= {"store": {"path": str(store), **blocks, "complete": found.complete}}
    if out is not None and isinstance(found, Sweep):
        save(found, out, command="sweep", settings=chosen)
    if figure is not None:
        _draw(found, figure)
    if as_json:
        show_json(document | {"provenance": environment()})
    else:
        show(_text(found, chosen))
    return _end(found, axes)


def _parse_shard(shard: str | None, store: Path | None) -> tuple[int, int] | None:
    if shard is None:
        return None
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ValueError(f"--shard {shard}: give which part of how many, as in 3/16; the first is 1.")
    if store is None:
        raise ValueError(f"--shard {shard} computes a part of the blocks of a store: give --store as well.")
    return int(part), int(parts)


def _cell(setup: Setup, moving: list[Number]) -> Callable[[Any], Stability]:
    """The stability of a system at the equilibrium that belongs to its numbers, of which those that move are as the options."""

    def cell(system: Any) -> Stability:
        for number in moving:
            system = eqx.tree_at(lambda s, at=number.where: jax.tree.leaves(at(s)), system, replace_fn=number.leaf)
        flow = system if setup.step is None else flow_of(system)
        point = equilibrium(flow, setup.guess, throw=False)
        state = point.state if setup.step is None else system.init(point.state)
        found = stability(system, state, throw=False)
        return dataclasses.replace(found, result=first(point.result, found.result))

    return cell


def _check_figure(figure: Path | None, count: int) -> None:
    check_figure(figure)
    if figure is not None and count > 2:
        raise ValueError(
            f"--figure draws one or two axes; there are {count}. Keep the sweep with --store or --out and draw slices of it."
        )


def _draw(found: Sweep | StoredSweep, figure: Path) -> None:
    from .. import plot

    draw(plot.paths(found) if len(found.axes) == 1 else plot.chart(found), figure)


def _slabs(found: Sweep | StoredSweep) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The verdicts and growths of a sweep, so many values of the first axis at once as fit in memory."""
    data, first_axis = found.to_xarray()[["verdict", "growth"]], next(iter(found.axes))
    rows = max(1, _READ * data.sizes[first_axis] // data["verdict"].size)
    for start in range(0, data.sizes[first_axis], rows):
        slab = data.isel({first_axis: slice(start, start + rows)})
        yield start, np.asarray(slab["verdict"]), np.asarray(slab["growth"])


def _text(found: Sweep | StoredSweep, chosen: dict[str, Any]) -> str:
    counts, best, place = np.zeros(len(VERDICTS) - PENDING, int), np.inf, ()
    for start, codes, growth in _slabs(found):
        counts += np.bincount(codes.reshape(-1) - PENDING, minlength=counts.size)
        if np.any(growth < best):
            i, *rest = np.unravel_index(np.nanargmin(growth), growth.shape)
            best, place = growth[i, *rest], (start + i, *rest)
    words = [f"{word} {count}" for word, count in zip(("pending", *VERDICTS), counts, strict=True) if count]
    lines = [f"system       {describe(chosen)}"]
    if isinstance(found, StoredSweep):
        lines.append(f"store        {found.path}: {found.done.sum()} of {found.done.size} blocks are finished")
    lines.append(f"cells        {' x '.join(str(values.size) for values in found.axes.values())}: {', '.join(words)}")
    if place:
        where = ", ".join(f"{name} = {values[i]:.6g}" for (name, values), i in zip(found.axes.items(), place, strict=True))
        lines.append(f"lowest       growth {best:.10g} at {where}")
    if len(found.axes) == 1:
        codes = np.concatenate([codes for _, codes, _ in _slabs(found)])
        lines += _runs(*next(iter(found.axes.items())), codes)
    return "\n".join(lines)


def _runs(name: str, values: Any, codes: np.ndarray) -> list[str]:
    """Where one verdict holds, line by line."""
    lines, start = [], 0
    for code, run_of in itertools.groupby(codes.tolist()):
        end = start + len(list(run_of)) - 1
        word = "pending" if code == PENDING else VERDICTS[code]
        lines.append(f"{word:12s} {name} from {values[start]:.6g} to {values[end]:.6g}")
        start = end + 1
    return lines


def _end(found: Sweep | StoredSweep, axes: dict[str, np.ndarray]) -> int:
    """Say what is left to do, and return the exit code."""
    if isinstance(found, StoredSweep):
        if found.held:
            messages().print(f"gandyn: {found.held} blocks are left to the processes that are computing them.")
        if found.interrupted:
            messages().print("gandyn: interrupted; the same command goes on from the finished blocks.")
        return INTERRUPTED if found.interrupted else FINE
    if found.complete:
        return FINE
    name, values = next(iter(axes.items()))
    messages().print(f"gandyn: interrupted; {found.axes[name].size} of {values.size} values of {name} were finished.")
    return INTERRUPTED
