"""The options as objects: games, penalties, fields and maps by name, and the numbers in them that a sweep may move."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import PyTree

from .. import _tree
from .._evolve import prepare
from .._system import AbstractFlow, AbstractGame, AbstractMap, AbstractSystem, Players
from ..fields._norm import consensus, jare, nagarajan_kolter
from ..games._distance import euclidean, sobolev
from ..games._noise import instance_noise
from ..games._penalty import (
    Penalised,
    Segments,
    gradient_penalty,
    on_generated,
    on_real,
    one_sided,
    quartic,
    r1,
    r2,
    two_sided,
    weight_decay,
)
from ..games._proximal import Proximal
from ._games import as_game, as_number, changed, choose, find, formulated, leaf_at
from ._maps import MAPS, Spec, as_names, flow_of, lens
from ._options import Flow, System

PENALTIES = {"r1": r1, "r2": r2, "gp": gradient_penalty, "weight_decay": weight_decay, "proximal": Proximal}
NORMS = {"euclidean": euclidean, "sobolev": sobolev}
FORMS = {"two_sided": two_sided, "one_sided": one_sided, "quartic": quartic}
POINTS = {"segments": Segments(), "real": on_real, "generated": on_generated}
FIELDS = {"consensus": consensus, "jare": jare, "nagarajan_kolter": nagarajan_kolter}


@dataclasses.dataclass(frozen=True)
class Number:
    """A number of a system: the lenses to its copies, and what a leaf holds where the option says a value."""

    lenses: tuple[Callable[[Any], Any], ...]
    leaf: Callable[[Any], Any] = lambda value: value

    def inside(self, part: Callable[[Any], Any]) -> "Number":
        """The same number in a system of which `part` is the old one."""
        return Number(tuple(lambda s, at=at: at(part(s)) for at in self.lenses), self.leaf)

    def where(self, system: Any) -> tuple[Any, ...]:
        """The leaves, as a lens."""
        return tuple(at(system) for at in self.lenses)


@dataclasses.dataclass(frozen=True)
class Setup:
    """What the options describe: a flow, a map of it where one is asked for, a guess, and the numbers that may move."""

    flow: AbstractFlow
    step: AbstractMap | None
    guess: PyTree
    numbers: dict[str, Number]

    @property
    def system(self) -> AbstractSystem:
        """The map if there is one, otherwise the flow."""
        return self.flow if self.step is None else self.step


def assemble(text: str, options: Flow) -> Setup:
    """The system that a game and the options describe.

    Raises:
        ValueError: A name that is not known, a number that is none, or a combination that the package refuses.
    """
    game, guess = find(text)
    game = changed(formulated(game, options.objective), options.changes)
    quiet = set(_tree.leaf_names(game))
    if options.noise is not None:
        game = instance_noise(as_game(game, "--noise"), options.noise)
    raw = {path: Number((leaf_at(path),)) for path in _tree.leaf_names(game)}
    if options.noise is not None:
        variance = [path for path in raw if path not in quiet and path.endswith((".noise.covariance", ".second.covariance"))]
        raw["noise"] = Number(tuple(map(leaf_at, variance)), lambda deviation: deviation**2)
    flow, numbers = game, dict(raw)
    for spec in options.penalty:
        flow, numbers = _penalised(flow, numbers, spec)
    for spec in options.field:
        flow, numbers = _regularised(flow, numbers, spec, game, raw)
    guess = _guess(text, guess, options.at)
    step = None
    if isinstance(options, System) and options.step is not None:
        step, own = build_map(flow, options.step)
        numbers = {name: number.inside(flow_of) for name, number in numbers.items()} | own
    setup = Setup(flow, step, guess, numbers)
    # Before anything is compiled, so that what does not fit is told at once.
    prepare(setup.system, guess if step is None else step.init(guess))
    return setup


def settings(text: str, options: Flow) -> dict[str, Any]:
    """What was asked for, by the names of the options."""
    names = {"changes": "set", "step": "map"}
    given = {key: value for key, value in dataclasses.asdict(options).items() if value not in (None, ())}
    return {"game": text} | {
        names.get(key, key): list(value) if isinstance(value, tuple) else value for key, value in given.items()
    }


def parse_axis(spec: str, numbers: dict[str, Number]) -> tuple[str, np.ndarray]:
    """The name of a number and the values that it takes.

    Raises:
        ValueError: There is no such number, or the values are not as in `0:2:300`.
    """
    name, _, text = spec.partition("=")
    name = choose(name, numbers, "number of this system")
    parts = text.split(":")
    spaced = parts[3:] == ["log"]
    if not (len(parts) == 3 or spaced) or not parts[2].isdigit() or parts[2] == "0":
        raise ValueError(f"--axis {spec}: the values are given as low:high:count or low:high:count:log, as in {name}=0:2:300.")
    low, high = (as_number(part, f"--axis {spec}") for part in parts[:2])
    if spaced and not (low > 0 and high > 0):
        raise ValueError(f"--axis {spec}: values spaced by a constant factor must be positive.")
    return name, (np.geomspace if spaced else np.linspace)(low, high, int(parts[2]))


def _game(system: Any) -> Any:
    return system.game


def _flow(system: Any) -> Any:
    return system.flow


def _raw(system: Any) -> Any:
    return system.of


def _weight(system: Any) -> Any:
    return system.weight


def _price(system: Any) -> Any:
    return system.lam


def _step(system: Any) -> Any:
    return system.step_size()


def _centre(system: Any) -> Any:
    return system.penalty.centre


def _parse(spec: str, known: dict[str, Any], what: str, keys: Callable[[str], tuple[str, ...]]) -> tuple[str, str, dict]:
    """`name=value,key=word,...` in its parts."""
    first, *rest = spec.split(",")
    name, equals, value = first.partition("=")
    name = choose(name, known, what)
    if not equals:
        raise ValueError(f"The {what} {name} needs a number, as in {name}=0.3.")
    pairs = [word.partition("=")[::2] for word in rest]
    allowed = keys(name)
    return name, value, {choose(key, allowed, f"setting of the {what} {name},"): word for key, word in pairs}


def _with(numbers: dict[str, Number], name: str, number: Number) -> dict[str, Number]:
    """The numbers and one more; a name that is taken gets a count, as in `r1_2`."""
    taken = sum(key.rstrip("0123456789").removesuffix("_") == name or key == name for key in numbers)
    return numbers | {f"{name}_{taken + 1}" if taken else name: number}


def _penalised(flow: Any, numbers: dict[str, Number], spec: str) -> tuple[AbstractGame, dict[str, Number]]:
    keys = {"gp": ("centre", "form", "points", "player"), "proximal": ("norm",)}
    name, weight, words = _parse(spec, PENALTIES, "penalty", lambda name: keys.get(name, ("player",)))
    if name == "proximal":
        norm = NORMS[choose(words.get("norm", "euclidean"), NORMS, "norm of a discriminator")]
        inside = {key: number.inside(_game) for key, number in numbers.items()}
        return Proximal(flow, as_number(weight, f"--penalty {spec}"), norm), _with(inside, name, Number((_price,)))
    penalty, player = PENALTIES[name], as_names(words.get("player", "discriminator"))
    if name == "gp":
        penalty = gradient_penalty(
            as_number(words.get("centre", "1"), f"--penalty {spec}"),
            FORMS[choose(words.get("form", "two_sided"), FORMS, "form of a gradient penalty")],
            POINTS[choose(words.get("points", "segments"), POINTS, "place for a gradient penalty")],
        )
    numbers = {key: number.inside(_game) for key, number in numbers.items()}
    numbers = _with(numbers, name, Number((_weight,)))
    if name == "gp":
        numbers = _with(numbers, "gp.centre", Number((_centre,)))
    return Penalised(flow, penalty, as_number(weight, f"--penalty {spec}"), player), numbers


def _regularised(
    flow: AbstractFlow, numbers: dict[str, Number], spec: str, game: AbstractFlow, raw: dict[str, Number]
) -> tuple[AbstractFlow, dict[str, Number]]:
    name, weight, words = _parse(spec, FIELDS, "field", lambda name: ("of",))
    of = {"": None, "game": game}[choose(words["of"], ["game"], "field to take the norm of called") if words else ""]
    value = as_number(weight, f"--field {spec}")
    numbers = {key: number.inside(_flow) for key, number in numbers.items()}
    if of is not None:
        copies = {key: number.inside(_raw).lenses for key, number in raw.items()}
        numbers = {key: Number(number.lenses + copies.get(key, ()), number.leaf) for key, number in numbers.items()}
    # Nagarajan and Kolter's penalty has no factor one half, so that its leaf holds twice the number.
    leaf = (lambda eta: 2 * eta) if name == "nagarajan_kolter" else (lambda gamma: gamma)
    return FIELDS[name](flow, value, of), _with(numbers, name, Number((_weight,), leaf))


def build_map(flow: AbstractFlow, spec: str) -> tuple[AbstractMap, dict[str, Number]]:
    """The training algorithm that a `--map` describes, and its numbers that may move.

    Raises:
        ValueError: There is no such algorithm or setting, or a number is none.
    """
    name, size, words = _parse(spec, MAPS, "map", lambda name: MAPS[name].settings())
    sizes = tuple(as_number(word, f"--map {spec}") for word in size.split(":"))
    step = MAPS[name].build(flow, Spec(spec, sizes, words))
    numbers = {key: Number((lens(key),)) for key in MAPS[name].numbers if key in words}
    return step, {"h": Number((_step,))} | numbers


def _guess(text: str, guess: PyTree | None, at: str | None) -> PyTree:
    if at is None and guess is None:
        raise ValueError(
            f"{text} does not say where to look for an equilibrium: give --at, or let it be a pair (game, guess), "
            "where the guess is a state near the equilibrium."
        )
    if at is None:
        return guess
    values = [as_number(word, f"--at {at}") for word in at.split(",")]
    if guess is None:
        if len(values) != 2:
            raise ValueError(f"--at {at}: for a state of other than two numbers let {text} be a pair (game, guess).")
        return _tree.state_arrays(Players(*values))
    vector, unravel = _tree.ravel(guess)
    if len(values) != vector.size:
        raise ValueError(f"--at {at}: the state has {vector.size} numbers, {_tree.describe(guess)}; got {len(values)}.")
    return unravel(_tree.real(np.array(values)).astype(vector.dtype))
