"""`gandyn sweep`: stability over a grid of the system's numbers."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import _tree
from .._json import plain
from .._provenance import environment
from .._record import as_json as result_as_json
from .._record import save
from .._results import first
from ..analysis._equilibrium import equilibrium
from ..analysis._stability import stability
from ..analysis._sweep import Sweep, sweep
from ..analysis._verdict import VERDICTS, Stability
from ._console import check_figure, check_folder, describe, double_precision, draw, messages, show, show_json
from ._maps import flow_of
from ._options import FINE, INTERRUPTED, System, Words
from ._specs import Setup, assemble, parse_axis, settings

# Small enough for the bar to move and for an interrupt to find something finished.
_CHUNK = 8192


def run(game: str, options: System, axis: Words, as_json: bool, out: Path | None, figure: Path | None) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    check_folder(out)
    check_folder(figure)
    setup = assemble(game, options)
    axes = dict(parse_axis(spec, setup.numbers) for spec in axis)
    if len(axes) < len(axis):
        raise ValueError(f"--axis: every number can move along one axis only; got {', '.join(axis)}.")
    _check_figure(figure, len(axes))
    moving = {name: (setup.numbers[name].where, setup.numbers[name].leaf(values)) for name, values in axes.items()}
    found = sweep(_cell(setup), setup.system, moving, chunk=_CHUNK)
    # The leaves may hold other numbers than the options, such as a variance for a standard deviation.
    sizes = {name: values.size for name, values in found.axes.items()}
    found = dataclasses.replace(found, axes={name: _tree.real(values[: sizes[name]]) for name, values in axes.items()})
    chosen = settings(game, options) | {"axis": list(axis)}
    if out is not None:
        save(found, out, command="sweep", settings=chosen)
    if figure is not None:
        _draw(found, figure)
    if as_json:
        document = {"command": "sweep", "settings": plain(chosen), "sweep": result_as_json(found)}
        show_json(document | {"provenance": environment()})
    else:
        show(_text(found, chosen))
    if found.complete:
        return FINE
    name, values = next(iter(axes.items()))
    messages().print(f"gandyn: interrupted; {sizes[name]} of {values.size} values of {name} were finished.")
    return INTERRUPTED


def _cell(setup: Setup) -> Callable[[Any], Stability]:
    """The stability of a system at the equilibrium that belongs to its numbers."""

    def cell(system: Any) -> Stability:
        flow = system if setup.step is None else flow_of(system)
        point = equilibrium(flow, setup.guess, throw=False)
        state = point.state if setup.step is None else system.init(point.state)
        found = stability(system, state, throw=False)
        return dataclasses.replace(found, result=first(point.result, found.result))

    return cell


def _check_figure(figure: Path | None, count: int) -> None:
    check_figure(figure)
    if figure is not None and count > 2:
        raise ValueError(f"--figure draws one or two axes; there are {count}. Keep the sweep with --out and draw slices of it.")


def _draw(found: Sweep, figure: Path) -> None:
    from .. import plot

    draw(plot.paths(found) if len(found.axes) == 1 else plot.chart(found), figure)


def _text(found: Sweep, chosen: dict[str, Any]) -> str:
    codes, growth = np.asarray(found.values.code), np.asarray(found.values.growth)
    counts = [f"{VERDICTS[code]} {np.sum(codes == code)}" for code in range(len(VERDICTS)) if np.any(codes == code)]
    lines = [
        f"system       {describe(chosen)}",
        f"cells        {' x '.join(str(values.size) for values in found.axes.values())}: {', '.join(counts)}",
    ]
    if np.any(np.isfinite(growth)):
        best = np.unravel_index(np.nanargmin(growth), growth.shape)
        place = ", ".join(f"{name} = {values[i]:.6g}" for (name, values), i in zip(found.axes.items(), best, strict=True))
        lines.append(f"lowest       growth {growth[best]:.10g} at {place}")
    if len(found.axes) == 1:
        lines += _runs(*next(iter(found.axes.items())), codes)
    return "\n".join(lines)


def _runs(name: str, values: Any, codes: np.ndarray) -> list[str]:
    """Where one verdict holds, line by line."""
    lines, start = [], 0
    for code, run_of in itertools.groupby(codes.tolist()):
        end = start + len(list(run_of)) - 1
        lines.append(f"{VERDICTS[code]:12s} {name} from {values[start]:.6g} to {values[end]:.6g}")
        start = end + 1
    return lines
