"""Training algorithms by name, as `--map` has them: `momentum=0.2,beta=-0.3,order=generator:discriminator`."""

import dataclasses
from collections.abc import Callable
from typing import Any

from .._system import AbstractFlow, AbstractMap
from ..maps._extra import ExtraGradient, Lookahead, Optimistic
from ..maps._gradient import AltGD, SimGD
from ..maps._implicit import Competitive, FollowTheRidge, Implicit, ProximalPoint
from ..maps._momentum import Momentum
from ..maps._optax import OPTIMISERS, Optax, Rule
from ..maps._runge_kutta import EULER, HEUN, MIDPOINT, RK4, RungeKutta
from ._games import as_number


@dataclasses.dataclass(frozen=True)
class Spec:
    """The words of a `--map`: step sizes, and settings by name; `text` is quoted in errors."""

    text: str
    sizes: tuple[float, ...]
    words: dict[str, str]

    @property
    def h(self) -> Any:
        """One step size, or one for each player."""
        return self.sizes[0] if len(self.sizes) == 1 else self.sizes

    def number(self, key: str, default: float) -> float:
        """A setting that is a number."""
        return as_number(self.words[key], f"--map {self.text}") if key in self.words else default

    def flag(self, key: str) -> bool:
        """A setting that is there or not."""
        if self.words.get(key):
            raise ValueError(f"--map {self.text}: {key} takes no value.")
        return key in self.words

    def order(self) -> tuple[str | int, ...] | None:
        """Who moves in turn; None for everybody at once, or in the state's own order."""
        return as_names(self.words["order"]) if "order" in self.words else None

    def single(self) -> float:
        """The step size of a method that has but one."""
        size, *others = self.sizes
        if others:
            raise ValueError(f"--map {self.text}: this method has one step size for all players.")
        return size


def as_names(text: str) -> tuple[str | int, ...]:
    """Players' names, or their positions, with colons between."""
    return tuple(int(word) if word.isdigit() else word for word in text.split(":"))


def _counts(text: str) -> tuple[int, ...]:
    if not all(word.isdigit() for word in text.split(":")):
        raise ValueError(f"steps={text}: give a whole number for each player, as in steps=1:5.")
    return tuple(int(word) for word in text.split(":"))


def _altgd(flow: AbstractFlow, spec: Spec) -> AbstractMap:
    return AltGD(flow, spec.h, spec.order(), _counts(spec.words["steps"]) if "steps" in spec.words else None)


def _momentum(flow: AbstractFlow, spec: Spec) -> AbstractMap:
    if "beta" not in spec.words:
        raise ValueError(f"--map {spec.text}: say how much momentum, as in momentum=0.2,beta=-0.3.")
    return Momentum(flow, spec.h, spec.number("beta", 0.0), spec.flag("nesterov"), spec.order())


def _lookahead(flow: AbstractFlow, spec: Spec) -> AbstractMap:
    counts = _counts(spec.words.get("steps", "5"))
    if len(counts) != 1:
        raise ValueError(f"--map {spec.text}: give one number of inner steps, as in steps=5.")
    return Lookahead(SimGD(flow, spec.h), counts[0], spec.number("alpha", 0.5))


def _optimiser(name: str) -> Callable[[AbstractFlow, Spec], AbstractMap]:
    def build(flow: AbstractFlow, spec: Spec) -> AbstractMap:
        numbers = {key: spec.number(key, 0.0) for key in spec.words if key not in ("order", "nesterov")}
        switches = {"nesterov": True} if spec.flag("nesterov") else {}
        rules = tuple(Rule(OPTIMISERS[name], learning_rate=size, **numbers, **switches) for size in spec.sizes)
        return Optax(flow, rules[0] if len(rules) == 1 else rules, order=spec.order())

    return build


def _tableau(tableau: Any) -> Callable[[AbstractFlow, Spec], AbstractMap]:
    return lambda flow, spec: RungeKutta(flow, spec.single(), tableau)


@dataclasses.dataclass(frozen=True)
class Known:
    """A training algorithm: what it is, how it is built, the settings that it takes and those that may move."""

    what: str
    build: Callable[[AbstractFlow, Spec], AbstractMap]
    keys: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    def settings(self) -> tuple[str, ...]:
        """All settings."""
        return self.keys + self.numbers


_MOMENTUM = "momentum of either sign: beta=-0.3,nesterov,order=generator:discriminator"
_ADAM = ("b1", "b2", "eps", "eps_root")
MAPS = {
    "simgd": Known("simultaneous gradient descent", lambda flow, spec: SimGD(flow, spec.h)),
    "altgd": Known("alternating gradient descent: steps=1:5,order=discriminator:generator", _altgd, ("order", "steps")),
    "extragradient": Known("the field taken a step ahead", lambda flow, spec: ExtraGradient(flow, spec.h)),
    "optimistic": Known("the optimistic gradient, which remembers the last field", lambda flow, spec: Optimistic(flow, spec.h)),
    "momentum": Known(_MOMENTUM, _momentum, ("nesterov", "order"), ("beta",)),
    "lookahead": Known("simgd inside, then an average with the start: steps=5,alpha=0.5", _lookahead, ("steps",), ("alpha",)),
    "proximal": Known("the proximal point method, implicit Euler", lambda flow, spec: ProximalPoint(flow, spec.h)),
    "implicit_midpoint": Known("the implicit midpoint rule", lambda flow, spec: Implicit(flow, spec.h, 0.5)),
    "euler": Known("the explicit Euler method", _tableau(EULER)),
    "midpoint": Known("the explicit midpoint method of order two", _tableau(MIDPOINT)),
    "heun": Known("Heun's method of order two", _tableau(HEUN)),
    "rk4": Known("the classical Runge–Kutta method of order four", _tableau(RK4)),
    "competitive": Known("competitive gradient descent", lambda flow, spec: Competitive(flow, spec.single())),
    "ridge": Known("Follow-the-Ridge, the first player leading", lambda flow, spec: FollowTheRidge(flow, spec.single())),
    "sgd": Known("optax.sgd: momentum=0.9,nesterov", _optimiser("sgd"), ("order", "nesterov"), ("momentum",)),
    "adam": Known("optax.adam: b1=0.5,b2=0.99,eps=1e-8,eps_root=1e-8", _optimiser("adam"), ("order", "nesterov"), _ADAM),
    "rmsprop": Known(
        "optax.rmsprop: decay=0.9,eps=1e-8", _optimiser("rmsprop"), ("order", "nesterov"), ("decay", "eps", "momentum")
    ),
}


def flow_of(step: Any) -> Any:
    """The flow inside a training algorithm, as a lens."""
    inner: Any = step.map if isinstance(step, Lookahead) else step
    return inner.flow


def lens(name: str) -> Callable[[Any], Any]:
    """The lens to a number of a training algorithm; of one rule for each player, to all their copies."""

    def where(step: Any) -> Any:
        if not isinstance(step, Optax):
            return getattr(step, name)
        rules = step.rules if isinstance(step.rules, tuple) else (step.rules,)
        return tuple(rule.numbers[name] for rule in rules)

    return where
