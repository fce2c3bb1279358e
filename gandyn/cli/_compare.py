"""`gandyn compare`: a flow and training algorithms in one table."""

from pathlib import Path

from .. import _tree
from .._json import plain
from .._provenance import environment
from .._record import as_json as result_as_json
from .._record import save
from .._system import AbstractFlow, AbstractMap
from ..analysis._compare import compare
from ..analysis._equilibrium import equilibrium
from ._console import check_figure, check_folder, describe, double_precision, draw, show, show_json
from ._options import FAILED, FINE, Flow, Words
from ._specs import assemble, build_map, settings


def run(game: str, options: Flow, maps: Words, as_json: bool, out: Path | None, figure: Path | None) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    for file in (out, figure):
        check_folder(file)
    check_figure(figure)
    setup = assemble(game, options)
    named = _named(setup.flow, maps)
    point = equilibrium(setup.flow, setup.guess)
    found = compare(setup.flow, named, point.state)
    chosen = settings(game, options) | {"map": list(maps)}
    if out is not None:
        save(found, out, command="compare", settings=chosen)
    if figure is not None:
        from .. import plot

        draw(plot.comparison(found), figure)
    if as_json:
        document = {"command": "compare", "settings": plain(chosen), "equilibrium": result_as_json(point)}
        show_json(document | {"comparison": result_as_json(found), "provenance": environment()})
    else:
        show(f"system       {describe(chosen)}")
        show(f"equilibrium  {_tree.numbers(point.state)}  (residual {float(point.residual):.1g})\n")
        show(str(found))
    return FAILED if {"undecided", "failed"} & set(found.verdicts) else FINE


def _named(flow: AbstractFlow, maps: Words) -> dict[str, AbstractMap]:
    """The maps by their names, or where there are two of a name by all that was said of them."""
    short = [spec.partition("=")[0] for spec in maps]
    names = [spec if short.count(name) > 1 else name for name, spec in zip(short, maps, strict=True)]
    if len(set(names)) < len(names):
        raise ValueError(f"--map: one of them is there twice: {', '.join(maps)}.")
    return {name: build_map(flow, spec)[0] for name, spec in zip(names, maps, strict=True)}
