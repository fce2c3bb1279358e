"""`gandyn assumptions`: do the papers' theorems apply at an equilibrium of a game?"""

from pathlib import Path

from .. import _tree
from .._json import plain
from .._provenance import environment
from .._record import as_json as result_as_json
from .._record import save
from .._system import AbstractGame
from ..analysis._assumptions import assumptions
from ..analysis._equilibrium import equilibrium
from ._console import check_folder, describe, double_precision, show, show_json
from ._options import FAILED, FINE, Flow
from ._specs import assemble, settings


def run(game: str, options: Flow, as_json: bool, out: Path | None) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    check_folder(out)
    setup, chosen = assemble(game, options), settings(game, options)
    if not isinstance(setup.flow, AbstractGame):
        raise ValueError("assumptions: the theorems are on games; leave --field out.")
    point = equilibrium(setup.flow, setup.guess)
    found = assumptions(setup.flow, point.state)
    if out is not None:
        save(found, out, command="assumptions", settings=chosen)
    if as_json:
        document = {"equilibrium": result_as_json(point), "verdicts": found.verdicts, "assumptions": result_as_json(found)}
        show_json({"command": "assumptions", "settings": plain(chosen)} | document | {"provenance": environment()})
    else:
        at = f"{_tree.numbers(point.state)}  (residual {float(point.residual):.1g})"
        show(f"system       {describe(chosen)}\nequilibrium  {at}\n{found}")
    return FAILED if "undecided" in found.verdicts.values() else FINE
