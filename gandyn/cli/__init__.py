"""The command line. JAX is imported inside the commands, so that help is instant."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter

from ._options import FAILED, FINE, INTERRUPTED, MISUSED, Continuing, Flow, Game, Json, Out, Sweeping, System, Words
from ._toml import expand

_HELP = """GAN training as a dynamical system.

Results go to stdout, progress and messages to stderr. Exit codes: 0; 1 if a claim failed or there is no verdict; 2 for bad
use; 130 after an interrupt, with what was finished written."""
_EXAMPLES = """Examples:

  gandyn list
  gandyn reproduce NK05 --out report
  gandyn stability dirac --objective wasserstein --penalty r1=0.3
  gandyn stability dirac --field consensus=0.1,of=game --map altgd=0.2
  gandyn stability path/to/file.py:game --json
  gandyn assumptions segment --objective nonsaturating
  gandyn compare dirac --penalty r1=0.3 --map simgd=0.2 --map altgd=0.2 --map extragradient=0.2
  gandyn continue dirac --penalty r1=0.3 --map simgd=0.5 --parameter h --span 0.2,2
  gandyn cycle dirac --objective wasserstein --penalty gp=0.7,points=real --at 1,0.5
  gandyn attractor dirac --objective nonsaturating --map simgd=0.2 --at 1,0.5
  gandyn notions uniform --penalty r1=0.3
  gandyn notions w2_gaussian --norm sobolev --at 1,0,0.5,0 --box generator=-1:1 --lam 0.4
  gandyn train ring --animation ring.gif
  gandyn sweep dirac --penalty r1=1 --axis r1=0:2:100 --out sweep.json
  gandyn sweep dirac --penalty r1=1 --map simgd=1 \\
    --axis r1=0:2:300 --axis h=0.01:6:300 --figure map.svg
  gandyn sweep chart.toml --store chart.zarr --shard 3/16
"""

app = App(
    name="gandyn",
    help=_HELP,
    help_epilogue=_EXAMPLES,
    help_format="plaintext",
    version=lambda: metadata.version("gandyn"),
    default_parameter=Parameter(negative=(), show_default=False),
    error_formatter=lambda error: f"gandyn: {error}",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


@app.command
def reproduce(
    *claims: Annotated[str, Parameter(help="Keys of claims, or how keys begin: NK05, MD. All of them if left out.")],
    out: Annotated[Path, Parameter(metavar="FOLDER", show_default=True, help="The folder of the report.")] = Path(
        "gandyn-report"
    ),
    as_json: Json = False,
) -> int:
    """Check the claims of the papers and write the report."""
    from ._console import double_precision, several_at_once

    # Before the claims are imported, some of whose games are made then.
    several_at_once()
    double_precision()
    from ._reproduce import run

    return run(claims, out, as_json)


@app.command
def stability(game: Game, /, *, system: System | None = None, as_json: Json = False, out: Out = None) -> int:
    """Find an equilibrium and say whether it is stable."""
    from ._stability import run

    return run(game, system or System(), as_json, out)


@app.command
def assumptions(game: Game, /, *, flow: Flow | None = None, as_json: Json = False, out: Out = None) -> int:
    """Find an equilibrium and say which assumptions of the papers' theorems hold there, each with its number."""
    from ._assumptions import run

    return run(game, flow or Flow(), as_json, out)


@app.command
def compare(
    game: Game,
    /,
    *,
    flow: Flow | None = None,
    maps: Annotated[
        Words,
        Parameter(
            name="--map",
            metavar="NAME=STEP",
            help="A training algorithm (see `gandyn list`), as for `gandyn stability`: simgd=0.2, altgd=0.2,steps=1:5, "
            "adam=0.01,b1=0.5,eps_root=1e-8. May be repeated.",
        ),
    ],
    as_json: Json = False,
    out: Out = None,
    figure: Annotated[
        Path | None,
        Parameter(metavar="FILE", help="Draw the growth of each map over its step size, as svg, pdf or png."),
    ] = None,
) -> int:
    """The flow and training algorithms in one table: rates, critical and best step sizes, costs."""
    from ._compare import run

    return run(game, flow or Flow(), maps, as_json, out, figure)


@app.command
def sweep(
    game: Annotated[str, Parameter(help="As for `gandyn stability`, or a TOML file with `game` and these options in it.")],
    /,
    *,
    system: System | None = None,
    sweeping: Sweeping,
    as_json: Json = False,
    out: Out = None,
    figure: Annotated[
        Path | None,
        Parameter(
            metavar="FILE",
            help="Draw one axis (paths of the eigenvalues) or two (a stability map) as svg, pdf or png.",
        ),
    ] = None,
) -> int:
    """Stability over values of one or more numbers of the system."""
    from ._sweep import run

    return run(game, system or System(), sweeping, as_json, out, figure)


@app.command(name="continue")
def continue_(
    game: Game,
    /,
    *,
    system: System | None = None,
    continuing: Continuing,
    as_json: Json = False,
    out: Out = None,
    figure: Annotated[Path | None, Parameter(metavar="FILE", help="Draw the branches, as svg, pdf or png.")] = None,
) -> int:
    """Follow an equilibrium as a number moves, both ways and through folds, and say which bifurcations it meets."""
    from ._continue import run

    return run(game, system or System(), continuing, as_json, out, figure)


@app.command
def cycle(
    game: Game,
    /,
    *,
    flow: Flow | None = None,
    period: Annotated[
        float | None, Parameter(metavar="TIME", help="The period, roughly; read off the orbit's returns if left out.")
    ] = None,
    as_json: Json = False,
    out: Out = None,
    figure: Annotated[Path | None, Parameter(metavar="FILE", help="Draw the cycle, as svg, pdf or png.")] = None,
) -> int:
    """Find a closed orbit, its period and its Floquet multipliers; --at is a state near it or attracted by it."""
    from ._orbits import run_cycle

    return run_cycle(game, flow or Flow(), period, as_json, out, figure)


@app.command
def attractor(
    game: Game,
    /,
    *,
    system: System | None = None,
    turns: Annotated[
        int,
        Parameter(
            show_default=True,
            help="For how many turns to wait for the orbit to rest or to close; of a map a hundred times as many applications.",
        ),
    ] = 1000,
    as_json: Json = False,
    out: Out = None,
) -> int:
    """Follow the orbit from --at and say what it ends on: an equilibrium, a limit cycle, a centre, chaos, ..."""
    from ._orbits import run_attractor

    return run_attractor(game, system or System(), turns, as_json, out)


@app.command
def notions(
    game: Game,
    /,
    *,
    flow: Flow | None = None,
    norm: Annotated[
        str, Parameter(metavar="NAME", help="What a move of the discriminator is charged for: euclidean or sobolev.")
    ] = "euclidean",
    lam: Annotated[
        tuple[float, ...], Parameter(metavar="PRICE", help="Also say whether it is proximal at this price. May be repeated.")
    ] = (),
    ball: Annotated[
        Words,
        Parameter(metavar="PLAYER=RADIUS", help="Keep a player in a ball around zero: --ball generator=1. May be repeated."),
    ] = (),
    box: Annotated[
        Words,
        Parameter(metavar="PLAYER=LOW:HIGH", help="Keep a player's numbers in a box: --box generator=-1:1. May be repeated."),
    ] = (),
    as_json: Json = False,
    out: Out = None,
    figure: Annotated[
        Path | None, Parameter(metavar="FILE", help="Draw the generator's curvature over the price, as svg, pdf or png.")
    ] = None,
) -> int:
    """Find an equilibrium and say which it is: Nash, Stackelberg, proximal. With --ball or --box, --at is the point itself."""
    from ._notions import run

    return run(game, flow or Flow(), norm, lam, {"ball": ball, "box": box}, as_json, out, figure)


@app.command
def train(
    name: Annotated[str, Parameter(help="An experiment; `gandyn list` has them.")],
    /,
    *,
    full: Annotated[bool, Parameter(help="The paper's setting; the small one takes up to two minutes.")] = False,
    steps: Annotated[int | None, Parameter(metavar="COUNT", help="Another number of steps; more prolong what was run.")] = None,
    seeds: Annotated[str | None, Parameter(metavar="NUMBERS", help="From which seeds, as in --seeds 0,1,2.")] = None,
    out: Annotated[
        Path | None,
        Parameter(
            metavar="FOLDER", help="Where runs and report are kept; gandyn-runs/NAME if left out. What is there goes on."
        ),
    ] = None,
    dtype: Annotated[str, Parameter(metavar="NAME", show_default=True, help="float32 or float64.")] = "float32",
    jobs: Annotated[
        int, Parameter(metavar="COUNT", show_default=True, help="How many runs are made at once, each on about a core.")
    ] = 2,
    as_json: Json = False,
    animation: Annotated[
        Path | None, Parameter(metavar="FILE", help="Also make a moving picture of the first arm's first run, as gif.")
    ] = None,
) -> int:
    """Train the arms of an experiment of the papers, and say whether its effects appear. A run that is stopped goes on."""
    from ._train import run

    return run(name, full, steps, seeds, out, dtype, jobs, as_json, animation)


@app.command(name="list")
def list_(
    *, leaves: Annotated[str | None, Parameter(metavar="GAME", help="List the numbers of this game instead.")] = None
) -> int:
    """List the games, objectives, penalties, fields, maps, experiments and claims."""
    from ._list import run

    return run(leaves)


def run(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: The words after `gandyn`; those of the process if left out.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if words is None else words)
    try:
        if words[:1] == ["sweep"]:
            words = ["sweep", *expand(words[1:], _options("sweep"))]
        return app(words, exit_on_error=False) or FINE
    except CycloptsError:
        return MISUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # JAX is there by now, or the error is one of ours.
        from ._errors import explain

        return explain(error)


def _options(command: str) -> list[str]:
    return [argument.name for argument in app[command].assemble_argument_collection() if argument.name.startswith("--")]


def main() -> NoReturn:
    """The console script."""
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)
