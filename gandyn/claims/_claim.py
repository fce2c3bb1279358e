"""What a claim is: a system, a formula as code, the value computed from the game, and how the two are compared."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class Source(NamedTuple):
    """A paper: how it is cited in a line, and in full."""

    short: str
    full: str


NAGARAJAN_KOLTER = Source(
    "Nagarajan and Kolter (2017)",
    "V. Nagarajan and J. Z. Kolter. Gradient descent GAN optimization is locally stable. NeurIPS 2017.",
)
MESCHEDER = Source(
    "Mescheder, Geiger and Nowozin (2018)",
    "L. Mescheder, A. Geiger and S. Nowozin. Which training methods for GANs do actually converge? ICML 2018.",
)
NUMERICS = Source(
    "Mescheder, Nowozin and Geiger (2017)",
    "L. Mescheder, S. Nowozin and A. Geiger. The numerics of GANs. NeurIPS 2017.",
)
GULRAJANI = Source(
    "Gulrajani et al. (2017)",
    "I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin and A. Courville. Improved training of Wasserstein GANs. NeurIPS 2017.",
)
FARNIA_OZDAGLAR = Source(
    "Farnia and Ozdaglar (2020)", "F. Farnia and A. Ozdaglar. Do GANs always have Nash equilibria? ICML 2020."
)
NIE_PATEL = Source(
    "Nie and Patel (2019)",
    "W. Nie and A. B. Patel. Towards a better understanding and regularization of GAN training dynamics. UAI 2019.",
)


class Measured(NamedTuple):
    """A computed value with an absolute error bound, for what no arithmetic can give to ten digits (a double eigenvalue)."""

    value: Any
    error: float


@dataclass(frozen=True)
class Claim:
    r"""One checkable statement.

    Args:
        key: Its short name, such as `NK05`.
        source: The paper it comes from.
        title: The statement in words, one line.
        formula: The closed form in LaTeX.
        predict: The formula as code: a setting's entries as keywords, a dictionary of named values out.
        compute: The same names, from the game by automatic differentiation. Complex vectors are spectra, compared
            without order; a `Measured` carries its own error bound; strings and booleans must be equal.
        settings: The published settings, one dictionary each.
        draw: A random setting from a NumPy generator; the claim is checked at several.
        published: For each published setting the digits found in the literature; compared to 1e-9.
        literal: What the source says where it is wrong, as code; shown beside, never counted.
        correction: What is wrong in the source and what is true instead; empty if nothing is.
        tolerance: The relative error allowed.
        figure: Draws the claim on a matplotlib Axes; called with the Axes.
    """

    key: str
    source: Source
    title: str
    formula: str
    predict: Callable[..., dict[str, Any]]
    compute: Callable[..., dict[str, Any]]
    settings: tuple[dict[str, Any], ...] = ({},)
    draw: Callable[[np.random.Generator], dict[str, Any]] | None = None
    published: tuple[dict[str, Any], ...] = ()
    literal: Callable[..., dict[str, Any]] | None = None
    correction: str = ""
    tolerance: float = 1e-10
    figure: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Check:
    """One value of one setting: predicted, computed, their relative error, and the error that would be allowed."""

    setting: dict[str, Any]
    name: str
    predicted: Any
    computed: Any
    error: float
    allowed: float
    drawn: bool = False
    literal: Any = None

    @property
    def agrees(self) -> bool:
        """Whether the error is within what is allowed; a NaN is not."""
        return bool(self.error <= self.allowed)


@dataclass(frozen=True)
class Outcome:
    """What became of a claim: every check, the time it took, and the message if the computation failed."""

    claim: Claim
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0
    message: str = ""

    @property
    def verdict(self) -> str:
        """`holds`, `corrected` (the source is wrong and the correction holds), or `fails`."""
        if self.message or not self.checks or not all(check.agrees for check in self.checks):
            return "fails"
        return "corrected" if self.claim.correction else "holds"

    @property
    def error(self) -> float:
        """The largest relative error."""
        return max((check.error for check in self.checks), default=float("nan"))


def match(predicted: Any, computed: Any) -> tuple[Any, Any]:
    """The two spectra in the order in which they lie closest."""
    a, b = np.atleast_1d(np.asarray(predicted)), np.atleast_1d(np.asarray(computed))
    _, order = linear_sum_assignment(np.abs(a[:, None] - b[None, :]))
    return a, b[order]


def _compare(predicted: Any, computed: Any, tolerance: float) -> tuple[Any, float, float]:
    """The computed value, its error relative to the largest entry predicted, and the error allowed."""
    bound = 0.0
    if isinstance(computed, Measured):
        computed, bound = computed
    if isinstance(predicted, str | bool | np.bool_):
        return computed, 0.0 if predicted == computed else float("inf"), 0.0
    a, b = np.asarray(predicted), np.asarray(computed)
    if a.shape != b.shape:
        return computed, float("inf"), 0.0
    if a.ndim == 1 and (np.iscomplexobj(a) or np.iscomplexobj(b)):
        a, b = match(a, b)
    scale = float(np.max(np.abs(a), initial=0.0)) or 1.0
    return b, float(np.max(np.abs(a - b), initial=0.0)) / scale, max(tolerance, bound / scale)


def verify(claim: Claim, draws: int = 3, seed: int = 0) -> Outcome:
    """Check a claim at its published settings and at random ones.

    Args:
        claim: The claim.
        draws: How many random settings to add, where the claim says how to draw one.
        seed: Seed of the generator that draws them.

    Returns:
        An `Outcome`; a computation that raises makes the claim fail with the message.
    """
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    drawn = [claim.draw(rng) for _ in range(draws)] if claim.draw else []
    checks: list[Check] = []
    try:
        for i, setting in enumerate([*claim.settings, *drawn]):
            checks += _checks(claim, setting, i)
    except (ValueError, RuntimeError, ArithmeticError, KeyError, TypeError) as error:
        return Outcome(claim, checks, time.perf_counter() - start, f"{type(error).__name__}: {error}")
    return Outcome(claim, checks, time.perf_counter() - start)


def _checks(claim: Claim, setting: dict[str, Any], i: int) -> list[Check]:
    predicted, computed = claim.predict(**setting), claim.compute(**setting)
    literal = claim.literal(**setting) if claim.literal else {}
    if predicted.keys() != computed.keys():
        raise ValueError(f"{claim.key} predicts {sorted(predicted)} and computes {sorted(computed)}.")
    checks = []
    for name, value in predicted.items():
        shown, error, allowed = _compare(value, computed[name], claim.tolerance)
        checks.append(Check(setting, name, value, shown, error, allowed, i >= len(claim.settings), literal.get(name)))
    for name, digits in (claim.published[i] if i < len(claim.published) else {}).items():
        shown, error, allowed = _compare(digits, computed[name], 1e-9)
        checks.append(Check(setting, f"{name} (published digits)", digits, shown, error, allowed))
    return checks
