"""`gandyn sweep`: stability over a grid of the system's numbers."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._json import plain
from .._provenance import environment
from .._record import as_json as result_as_json
from .._record import save
from .._results import RESULTS, first
from ..analysis._equilibrium import equilibrium
from ..analysis._stability import stability
from ..analysis._sweep import StoredSweep, Sweep, sweep
from ..maps._gradient import SimGD
from ._cluster import join
from ._console import check_figure, check_folder, double_precision, draw, messages, show, show_json
from ._games import choose
from ._maps import flow_of
from ._options import FINE, INTERRUPTED, Sweeping, System, Words
from ._specs import Number, Setup, assemble, parse_axis, settings
from ._summary import text

# What a cell has besides its stability, if it is asked for.
_QUANTITIES = ("stability", "equilibrium", "critical_step")

# Seconds between looks at what the other processes of a job have left.
_WAIT = 1.0


def run(game: str, options: System, sweeping: Sweeping, as_json: bool, out: Path | None, figure: Path | None) -> int:
    """Carry the command out and return its exit code."""
    part = _parse_shard(sweeping, out)
    if sweeping.distributed:
        join(sweeping.coordinator, sweeping.processes, sweeping.process)
    double_precision()
    check_folder(out)
    check_folder(figure)
    setup = assemble(game, options)
    axes = dict(parse_axis(spec, setup.numbers) for spec in sweeping.axis)
    if len(axes) < len(sweeping.axis):
        raise ValueError(f"--axis: every number can move along one axis only; got {', '.join(sweeping.axis)}.")
    _check_figure(figure, len(axes))
    moving = {name: setup.numbers[name] for name in axes}
    cell = _cell(setup, list(moving.values()), _quantities(setup, sweeping.quantity))
    places = {name: (moving[name].where, axes[name]) for name in axes}
    found = _swept(cell, setup, places, sweeping, part)
    if jax.process_index() == 0:
        chosen = settings(game, options) | _asked(sweeping)
        if out is not None and isinstance(found, Sweep):
            save(found, out, command="sweep", settings=chosen)
        if figure is not None:
            _draw(found, figure)
        if as_json:
            show_json(_document(found, chosen))
        else:
            show(text(found, chosen, discrete=setup.step is not None))
    return _end(found, axes)


def _asked(sweeping: Sweeping) -> dict[str, Any]:
    """What was asked for, by the names of the options."""
    return {"axis": list(sweeping.axis)} | ({"quantity": list(sweeping.quantity)} if sweeping.quantity else {})


def _document(found: Sweep | StoredSweep, chosen: dict[str, Any]) -> dict[str, Any]:
    document = {"command": "sweep", "settings": plain(chosen)}
    if isinstance(found, Sweep):
        document["sweep"] = result_as_json(found)
    else:
        blocks = {"blocks": found.done.size, "finished": int(found.done.sum())}
        document["store"] = {"path": str(found.path), **blocks, "complete": found.complete}
    return document | {"provenance": environment()}


def _swept(
    cell: Callable[[Any], Any], setup: Setup, places: dict[str, Any], sweeping: Sweeping, part: tuple[int, int] | None
) -> Sweep | StoredSweep:
    if sweeping.store is None:
        return sweep(cell, setup.system, places, chunk=sweeping.chunk)
    while True:
        found = sweep(cell, setup.system, places, chunk=sweeping.chunk, store=sweeping.store, shard=part)
        # The processes of a job end together, and what one that died has held is free for the others.
        if not sweeping.distributed or found.complete or found.interrupted:
            return found
        time.sleep(_WAIT)


def _parse_shard(sweeping: Sweeping, out: Path | None) -> tuple[int, int] | None:
    """Which part of the blocks is asked for, once the options that say who computes what fit together."""
    store, shard = sweeping.store, sweeping.shard
    if out is not None and store is not None:
        raise ValueError("--out keeps a sweep that fits in memory, --store one that need not; give one of them.")
    if sweeping.chunk < 1:
        raise ValueError(f"--chunk {sweeping.chunk}: a block has at least one cell.")
    if (sweeping.coordinator, sweeping.processes, sweeping.process) != (None, None, None) and not sweeping.distributed:
        raise ValueError("--coordinator, --processes and --process say who shares the work: give --distributed as well.")
    if sweeping.distributed and (store is None or shard is not None):
        raise ValueError("--distributed shares the blocks of a store among the processes: give --store, and no --shard.")
    if shard is None:
        return None
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ValueError(f"--shard {shard}: give which part of how many, as in 3/16; the first is 1.")
    if store is None:
        raise ValueError(f"--shard {shard} computes a part of the blocks of a store: give --store as well.")
    return int(part), int(parts)


def _quantities(setup: Setup, names: Words) -> tuple[str, ...]:
    """What is asked for besides the stability.

    Raises:
        ValueError: It is not known, or has no closed form for this map.
    """
    chosen = [choose(name, _QUANTITIES, "quantity of a cell called") for name in names]
    step = setup.step
    if "critical_step" in chosen and not (step is None or (isinstance(step, SimGD) and step.spectrum_of()[0] is step.flow)):
        raise ValueError(
            "--quantity critical_step is known in closed form for the flow and for simgd with one step size. For another map "
            "let h be an axis, or see `gandyn compare`."
        )
    return tuple(name for name in dict.fromkeys(chosen) if name != "stability")


def _cell(setup: Setup, moving: list[Number], quantities: tuple[str, ...]) -> Callable[[Any], Any]:
    """The stability of a system at the equilibrium that belongs to its numbers, of which those that move are as the options."""

    def cell(system: Any) -> Any:
        for number in moving:
            system = eqx.tree_at(lambda s, at=number.where: jax.tree.leaves(at(s)), system, replace_fn=number.leaf)
        flow = system if setup.step is None else flow_of(system)
        point = equilibrium(flow, setup.guess, throw=False)
        state = point.state if setup.step is None else system.init(point.state)
        found = stability(system, state, throw=False)
        found = dataclasses.replace(found, result=first(point.result, found.result))
        others: dict[str, Any] = {"equilibrium": point}
        if "critical_step" in quantities:
            spectrum = found if setup.step is None else stability(flow, point.state, throw=False)
            others["critical_step"] = jnp.where(point.result == RESULTS.successful, spectrum.critical_step, jnp.nan)
        return {"stability": found} | {name: others[name] for name in quantities} if quantities else found

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
