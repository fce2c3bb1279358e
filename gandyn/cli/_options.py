"""The options that commands share, and the exit codes. Nothing here imports JAX."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

FINE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

Words = tuple[str, ...]
Game = Annotated[
    str,
    Parameter(
        help="A game of the library (see `gandyn list`), or path/to/file.py:name, where name is a game, a pair "
        "(game, guess), or a function that returns one."
    ),
]
Json = Annotated[bool, Parameter(name="--json", help="Print JSON instead of text.")]
Out = Annotated[Path | None, Parameter(metavar="FILE", help="Keep the result in this file, for `gd.load`.")]


_SYSTEM = Parameter(name="*", group=Group("The system", sort_key=0))


@_SYSTEM
@dataclass(frozen=True, kw_only=True)
class Flow:
    """The options that make a flow of a game, in the order in which they apply, and where to look for an equilibrium."""

    objective: Annotated[str | None, Parameter(metavar="NAME", help="A formulation, such as wasserstein.")] = None
    changes: Annotated[
        Words,
        Parameter(
            name="--set",
            metavar="LEAF=VALUE",
            help="Change a number of the game, by its path from `gandyn list --leaves GAME`: --set .real.atoms=0.5. "
            "May be repeated.",
        ),
    ] = ()
    noise: Annotated[float | None, Parameter(metavar="SIGMA", help="Instance noise of this standard deviation.")] = None
    penalty: Annotated[
        Words,
        Parameter(
            metavar="NAME=WEIGHT",
            help="A penalty on a loss: r1=0.3, r2=0.3, weight_decay=0.1, or gp=0.7,centre=1,form=one_sided,points=real; with "
            "player=generator another one pays. May be repeated.",
        ),
    ] = ()
    field: Annotated[
        Words,
        Parameter(
            metavar="NAME=WEIGHT",
            help="A regulariser of the field: consensus=0.1, jare=0.1 or nagarajan_kolter=0.1. The norm is that of the field "
            "it wraps, or with of=game that of the game without penalties. May be repeated; the later wraps the earlier.",
        ),
    ] = ()
    at: Annotated[
        str | None,
        Parameter(
            metavar="NUMBERS",
            allow_leading_hyphen=True,
            help="Where to start looking for the equilibrium, or where an orbit starts, the state's numbers in order: "
            "--at 0.1,-0.2",
        ),
    ] = None


@_SYSTEM
@dataclass(frozen=True, kw_only=True)
class System(Flow):
    """The options that make a system of a game: a flow, and a map of it if there is a training algorithm."""

    step: Annotated[
        str | None,
        Parameter(
            name="--map",
            metavar="NAME=STEP",
            help="A training algorithm (see `gandyn list`) and its step size: simgd=0.2, or with settings "
            "altgd=0.2,steps=1:5,order=discriminator:generator, or momentum=0.2,beta=-0.3. A step size for each player: "
            "altgd=0.1:0.4.",
        ),
    ] = None


@Parameter(name="*", group=Group("The sweep", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class Sweeping:
    """The options of a sweep: what moves, what is computed, where it is kept, and who shares the work."""

    axis: Annotated[
        Words,
        Parameter(
            metavar="NAME=LOW:HIGH:COUNT",
            help="A number that moves: a penalty or field by its name, `noise`, the step size `h`, any other number of the "
            "game by its path from `gandyn list --leaves GAME`. With a fourth part `log`, as in h=0.01:6:300:log, the values "
            "are spaced by a constant factor. May be repeated.",
        ),
    ]
    quantity: Annotated[
        Words,
        Parameter(
            metavar="NAME",
            help="What each cell has besides its stability: equilibrium, the state; or critical_step, of a flow and simgd the "
            "step size above which simgd is unstable. May be repeated.",
        ),
    ] = ()
    store: Annotated[
        Path | None,
        Parameter(
            metavar="FOLDER",
            help="Keep the sweep in this folder, block by block: it may be larger than memory, the same command goes on after "
            "whatever ended it, and several at once share the work. For `gd.open_sweep`.",
        ),
    ] = None
    chunk: Annotated[
        int,
        Parameter(metavar="COUNT", show_default=True, help="How many cells a block has, at most: what a process does at once."),
    ] = 8192
    shard: Annotated[
        str | None,
        Parameter(metavar="I/N", help="Compute only the I-th of N parts of the blocks of --store, for an array of jobs."),
    ] = None
    distributed: Annotated[
        bool,
        Parameter(
            help="Be one of several processes of a job that share the blocks of --store; SLURM, Open MPI and Kubernetes say "
            "which, elsewhere the next three options do."
        ),
    ] = False
    coordinator: Annotated[str | None, Parameter(metavar="HOST:PORT", help="The address of the first process.")] = None
    processes: Annotated[int | None, Parameter(metavar="COUNT", help="How many processes there are.")] = None
    process: Annotated[int | None, Parameter(metavar="NUMBER", help="Which one this is, from zero.")] = None


@Parameter(name="*", group=Group("The branch", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class Continuing:
    """The number that moves, how far, and what is followed besides."""

    parameter: Annotated[
        str,
        Parameter(
            metavar="NAME",
            help="The number that moves, as for `gandyn sweep --axis`: a penalty or field by its name, `noise`, the step size "
            "`h`, any other number of the game by its path from `gandyn list --leaves GAME`.",
        ),
    ]
    span: Annotated[
        str,
        Parameter(
            metavar="LOW,HIGH",
            allow_leading_hyphen=True,
            help="Its lowest and highest value; the one that the options give, where the branch starts, lies between them.",
        ),
    ]
    cycles: Annotated[
        bool,
        Parameter(
            help="Also follow the cycles that are born at Hopf points, and of a map the orbits from its flips; --out NAME.json "
            "then keeps them beside the branch, as NAME.2.json, NAME.3.json, ..."
        ),
    ] = False
