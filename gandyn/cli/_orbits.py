"""`gandyn cycle` and `gandyn attractor`: closed orbits, and what an orbit ends on."""

import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

from .._json import plain
from .._provenance import environment
from .._record import as_json as result_as_json
from .._record import save
from ..analysis._attractor import attractor
from ..analysis._cycle import cycle
from ._console import check_figure, check_folder, describe, double_precision, draw, show, show_json
from ._options import FAILED, FINE, Flow, System
from ._specs import Setup, assemble, settings


class _Clock:
    """The seconds that a command takes, and those of them that go into tracing and compiling."""

    def __init__(self) -> None:
        self.start, self.compiling = time.perf_counter(), 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **kwargs: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            self.compiling += duration_secs

    def __str__(self) -> str:
        return f"{time.perf_counter() - self.start:.1f} s, of which compilation {self.compiling:.1f} s"


def run_cycle(game: str, options: Flow, period: float | None, as_json: bool, out: Path | None, figure: Path | None) -> int:
    """Carry `gandyn cycle` out and return its exit code."""
    setup, chosen, clock = _begin("cycle", game, options, out, figure)
    found = cycle(setup.flow, setup.guess, period)
    if figure is not None:
        from .. import plot

        draw(plot.cycle(setup.flow, found), figure)
    given = chosen | ({} if period is None else {"period": period})
    _end("cycle", found, given, as_json, out, clock)
    return FAILED if found.verdict in ("undecided", "failed") else FINE


def run_attractor(game: str, options: System, turns: int, as_json: bool, out: Path | None) -> int:
    """Carry `gandyn attractor` out and return its exit code."""
    setup, chosen, clock = _begin("attractor", game, options, out, None)
    found = attractor(setup.system, setup.guess if setup.step is None else setup.step.init(setup.guess), turns=turns)
    _end("attractor", found, chosen | {"turns": turns}, as_json, out, clock)
    return FAILED if found.kind == "undecided" else FINE


def _begin(command: str, game: str, options: Flow, out: Path | None, figure: Path | None) -> tuple[Setup, dict, _Clock]:
    double_precision()
    clock = _Clock()
    check_folder(out)
    check_folder(figure)
    check_figure(figure)
    if options.at is None:
        raise ValueError(f"{command} follows an orbit: say where it starts, the state's numbers in order, as in --at 1,0.5.")
    return assemble(game, options), settings(game, options), clock


def _end(command: str, found: eqx.Module, chosen: dict[str, Any], as_json: bool, out: Path | None, clock: _Clock) -> None:
    if out is not None:
        save(found, out, command=command, settings=chosen)
    if as_json:
        show_json({"command": command, "settings": plain(chosen), command: result_as_json(found), "provenance": environment()})
    else:
        show(f"system       {describe(chosen)}\n{found}\ntook         {clock}")
