"""`gandyn notions`: which equilibrium a point is."""

from pathlib import Path
from typing import Any

from .. import _tree
from .._constraint import AbstractConstraint, Ball, Box, Constraints
from .._json import plain
from .._provenance import environment
from .._record import as_json, save
from ..analysis._equilibrium import equilibrium
from ..analysis._notions import notions
from ._console import check_figure, check_folder, describe, double_precision, draw, show, show_json
from ._games import as_number, choose
from ._options import FAILED, FINE, Flow, Words
from ._specs import NORMS, assemble, settings

PLAYERS = ("generator", "discriminator")


def run(
    game: str,
    options: Flow,
    norm: str,
    lams: tuple[float, ...],
    bounds: dict[str, Words],
    as_json_: bool,
    out: Path | None,
    figure: Path | None,
) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    for file in (out, figure):
        check_folder(file)
    check_figure(figure)
    distance, constraint = NORMS[choose(norm, NORMS, "norm")], _constraint(bounds)
    setup = assemble(game, options)
    # Where a constraint binds, the gradient does not vanish, so that the point is taken as it is.
    state = setup.guess if constraint is not None else equilibrium(setup.flow, setup.guess).state
    system: Any = setup.flow
    found = notions(system, state, norm=distance, constraint=constraint)
    verdicts = {f"{lam:g}": found.proximal_at(lam) for lam in lams}
    given = {"norm": norm, "lam": list(lams), **{name: list(words) for name, words in bounds.items()}}
    chosen = settings(game, options) | {key: value for key, value in given.items() if value}
    if out is not None:
        save(found, out, command="notions", settings=chosen)
    if figure is not None:
        from .. import plot

        draw(plot.notions(found), figure)
    if as_json_:
        parts = {"nash": found.nash.verdict, "stackelberg": found.stackelberg.verdict, "proximal": plain(found.proximal)}
        document = {"command": "notions", "settings": plain(chosen), **parts, "proximal_at": verdicts}
        show_json(document | {"notions": as_json(found), "provenance": environment()})
    else:
        lines = [f"at {lam:10}{verdict}" for lam, verdict in verdicts.items()]
        show(
            "\n".join([f"system       {describe(_texts(chosen))}", f"point        {_tree.numbers(state)}", str(found), *lines])
        )
    return FAILED if "undecided" in (found.nash.verdict, found.stackelberg.verdict) else FINE


def _texts(chosen: dict[str, Any]) -> dict[str, Any]:
    return {key: [str(v) for v in value] if isinstance(value, list) else value for key, value in chosen.items()}


def _constraint(bounds: dict[str, Words]) -> AbstractConstraint | None:
    """The constraints that `--ball generator=1` and `--box discriminator=-1:1` describe."""
    parts = []
    for kind, words in bounds.items():
        for word in words:
            player, _, text = word.partition("=")
            index = PLAYERS.index(choose(player, PLAYERS, "player"))
            numbers = [as_number(part, f"--{kind} {word}") for part in text.split(":")]
            if len(numbers) != (1 if kind == "ball" else 2):
                example = "--ball generator=1" if kind == "ball" else "--box discriminator=-1:1"
                raise ValueError(f"--{kind} {word}: the numbers are given as in {example}.")
            where = _lens(index)
            parts.append(Ball(numbers[0], where) if kind == "ball" else Box(numbers[0], numbers[1], where))
    return None if not parts else parts[0] if len(parts) == 1 else Constraints(tuple(parts))


def _lens(index: int) -> Any:
    return lambda x: x[index]
