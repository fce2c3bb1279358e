"""`gandyn continue`: a branch of equilibria as a number moves, its bifurcations, and the cycles that are born there."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import scipy.optimize

from .. import _tree
from .._json import plain
from .._provenance import environment
from .._record import as_json as result_as_json
from .._record import save
from ..analysis._branch import Branch
from ..analysis._continuation import continuation
from ._console import check_figure, check_folder, describe, double_precision, draw, show, show_json
from ._games import as_number, choose
from ._options import FAILED, FINE, Continuing, System
from ._specs import Number, Setup, assemble, settings

# From which bifurcations of equilibria other orbits go on.
_ORBITS = ("Hopf", "flip")


def run(game: str, options: System, continuing: Continuing, as_json: bool, out: Path | None, figure: Path | None) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    check_folder(out)
    check_folder(figure)
    check_figure(figure)
    setup = assemble(game, options)
    name = choose(continuing.parameter, setup.numbers, "number of this system")
    found = _branches(setup, setup.numbers[name], _span(continuing.span), continuing.cycles)
    given = {key: value for key, value in dataclasses.asdict(continuing).items() if value}
    chosen = settings(game, options) | given | {"parameter": name}
    if out is not None:
        for i, branch in enumerate(found):
            file = out if i == 0 else out.with_suffix(f".{i + 1}{out.suffix}")
            save(branch, file, command="continue", settings=chosen)
    if figure is not None:
        from .. import plot

        draw(plot.branch(found, name=name), figure)
    if as_json:
        document = {"command": "continue", "settings": plain(chosen), "branches": [result_as_json(one) for one in found]}
        show_json(document | {"provenance": environment()})
    else:
        show("\n".join([f"system       {describe(chosen)}", *map(str, found)]))
    return FAILED if any("lost" in one.ends for one in found) else FINE


def _span(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError(f"--span {text}: give the lowest and the highest value, as in --span 0,2.")
    low, high = (as_number(part, f"--span {text}") for part in parts)
    if not low < high:
        raise ValueError(f"--span {text}: the lowest value comes first.")
    return low, high


def _branches(setup: Setup, number: Number, span: tuple[float, float], cycles: bool) -> list[Branch]:
    """The branch of equilibria, and what leaves it where cycles are asked for."""
    low, high = (float(np.asarray(number.leaf(value))) for value in span)
    start = setup.guess if setup.step is None else setup.step.init(setup.guess)
    found = [continuation(setup.system, number.where, start, (low, high), throw=False)]
    if cycles:
        from_points = [special for special in found[0].specials if special.kind in _ORBITS]
        found += [continuation(setup.system, number.where, special, (low, high), throw=False) for special in from_points]
    return [_in_options(branch, number.leaf, span) for branch in found]


def _in_options(branch: Branch, leaf: Callable[[Any], Any], span: tuple[float, float]) -> Branch:
    """The branch with the values that the option has, where the leaf holds another number, such as a variance."""
    if all(float(np.asarray(leaf(value))) == value for value in np.linspace(*span, 5)):
        return branch
    low, high = (float(np.asarray(leaf(value))) for value in span)

    def asked(held: Any) -> Any:
        # Rounding may have put an end beyond the span.
        inside = np.clip(np.ravel(held), low, high)
        values = [scipy.optimize.toms748(lambda v, x=x: float(leaf(v) - x), *span) for x in inside]
        return _tree.real(np.array(values, dtype=float).reshape(np.shape(held)))

    specials = tuple(eqx.tree_at(lambda s: s.value, special, asked(special.value)) for special in branch.specials)
    return eqx.tree_at(lambda b: (b.values, b.specials), branch, (asked(branch.values), specials))
