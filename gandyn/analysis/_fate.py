"""What a stretch of an orbit shows of its end: rest, a closed orbit, or neither yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, PyTree

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._follow import closing
from ._linear import jacobian
from ._normal_form import normal_form

EQUILIBRIUM, CYCLE, CENTRE, TORUS, CIRCLE = "equilibrium", "limit cycle", "centre", "torus", "invariant circle"
CHAOS, DIVERGENCE, SLIDING, UNDECIDED = "chaos", "divergence", "sliding", "undecided"

# At rest: a millionth of the way is left, far above the equilibrium's own error, and too little to be the passage of a saddle
# but of orbits on its stable manifold.
ARRIVED = 1e-6
# Nearer to a saddle than this, relative to the way, rounding and the errors of the steps decide on which side it is left.
LOST = 1e-9
# Closed: returns agree to this part of the orbit's size. The steps of a turn, some hundred at 1e-11, err by a tenth of it.
CLOSED = 1e-8
# A largest multiplier so near to one may be one: differences of returns at a distance _STEP err by that and their rounding,
# CLOSED / _STEP, which is 1e-4 as well.
NEUTRAL = 2e-4
_STEP = 1e-4
# Neighbours whose closing shows a centre: so far beside, relative to the size, that a cycle of second-order attraction, which
# moves them by the square of it, 4e-4, cannot pass for one.
_BESIDE = 0.02
# Returns after which a cycle may close: with several loops, or of a doubled period.
MOST_TURNS = 16
# Steps of Newton's method: at degenerate equilibria it halves the distance only.
NEWTON = 64


@dataclass
class Orbit:
    """An orbit that is being followed: the system, the coordinates of its start, and what has been found out so far."""

    system: AbstractSystem
    start: np.ndarray
    unravel: Callable
    switching: bool
    reach: float = 0.0
    form: tuple[np.ndarray, float] | None = None
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def discrete(self) -> bool:
        return isinstance(self.system, AbstractMap)

    def state(self, y: np.ndarray) -> PyTree:
        return self.unravel(np.asarray(y, self.start.dtype))

    def ends(self, kind: str, why: str, **evidence: Any) -> dict[str, Any]:
        """A verdict, with all the evidence that has come together."""
        self.found.update(evidence)
        return {"kind": kind, "why": why, **self.found}


@dataclass(frozen=True)
class Rest:
    """The equilibrium nearest to an orbit: its coordinates, and the exponents and modes of the linearisation."""

    y: np.ndarray
    exponents: np.ndarray
    modes: np.ndarray
    tolerance: float

    @property
    def growth(self) -> float:
        return float(np.real(self.exponents).max())

    @property
    def marginal(self) -> bool:
        return abs(self.growth) <= self.tolerance


@dataclass(frozen=True)
class Returns:
    """Successive returns of an orbit, in rows; directions along which to leave the orbit, and how to follow a neighbour."""

    points: np.ndarray
    times: np.ndarray
    size: float
    basis: np.ndarray
    follow: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]


@eqx.filter_jit
def linear_part(system: AbstractSystem, x: PyTree) -> tuple[Array, Array]:
    """The residual and the Jacobian at a state."""
    return _tree.ravel(system.residual(x))[0], jacobian(system, x)


def _newton_step(orbit: Orbit, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Newton's step towards an equilibrium, and the Jacobian; None where no step takes the residual away."""
    residual, matrix = (np.asarray(v) for v in linear_part(orbit.system, orbit.state(y)))
    if not np.all(np.isfinite(matrix)):
        return None
    slope = matrix - np.eye(len(matrix)) * orbit.discrete
    step = np.linalg.lstsq(slope, residual)[0]
    # Rounding aside: near a degenerate equilibrium nothing else may be left of the residual.
    error = np.linalg.norm(slope @ step - residual)
    fits = error <= 1e-6 * np.linalg.norm(residual) + 1e-13 * np.linalg.norm(slope) * np.linalg.norm(y)
    return (step, matrix) if fits else None


def nearest_rest(orbit: Orbit, end: PyTree) -> Rest | None:
    """The equilibrium that Newton's method finds from the end of an orbit; one step of it where the field has switches.

    On a switch there may be rest for those who come from one side only, and no linearisation but that of their side.
    """
    y, eps = np.asarray(_tree.ravel(end)[0]), _tree.eps(end)
    matrix, size = np.zeros((y.size, y.size)), np.inf
    for _ in range(1 if orbit.switching else NEWTON):
        found = _newton_step(orbit, y)
        if found is None:
            return None
        step, matrix = found
        y, size = y - step, float(np.linalg.norm(step))
        if size <= 4 * eps * np.linalg.norm(y):
            break
    # Where roots are double the last steps are half the digits long.
    if not orbit.switching and not size <= 1e-8 * (1 + np.linalg.norm(y)):
        return None
    values, modes = np.linalg.eig(matrix)
    if orbit.discrete:
        values = np.log(np.maximum(np.abs(values), 1e-300)) + 1j * np.angle(values)
    return Rest(y, values, modes, eps**0.5 * max(float(np.linalg.norm(matrix)), 1e-300))


def rests(orbit: Orbit, rest: Rest, ys: np.ndarray) -> dict[str, Any] | None:
    """Whether the orbit has come to rest; a passage near a saddle has not."""
    distances = np.linalg.norm(ys - rest.y, axis=1)
    orbit.reach = max(orbit.reach, float(distances.max()), float(np.linalg.norm(orbit.start - rest.y)))
    near = ARRIVED * orbit.reach
    # An orbit that has never been farther away than rounding has no way to compare with.
    if orbit.reach > 1e-12 * (1 + np.linalg.norm(rest.y)) and distances[-1] > near:
        return None
    # A start at an equilibrium, to the digits that Newton's method may leave, stays, stable or not.
    there = orbit.reach <= 1e-9 * (1 + np.linalg.norm(rest.y))
    evidence = {"growth": rest.growth, "residual": float(distances[-1]), "place": rest.y}
    if there or rest.growth < -rest.tolerance:
        return orbit.ends(EQUILIBRIUM, "the orbit has come to rest" if not there else "it starts at rest", **evidence)
    if rest.growth > rest.tolerance:
        # Rounding alone would have moved it, unless nothing whatever has pointed along the modes that grow since the start.
        growing = np.abs(rest.modes[:, np.real(rest.exponents) > rest.tolerance]).max(axis=1) > 1e-9
        if distances.max() <= near and not np.any((np.stack([ys[-1], orbit.start]) - rest.y)[:, growing]):
            return orbit.ends(EQUILIBRIUM, "it stays at an unstable equilibrium, on whose stable manifold it lies", **evidence)
        if distances.min() <= LOST * orbit.reach:
            return orbit.ends(UNDECIDED, "the orbit passes a saddle so closely that rounding decides where it goes", **evidence)
        return None
    if distances[-1] <= distances[0]:
        return orbit.ends(EQUILIBRIUM, "the orbit has come to rest, at an equilibrium that is not hyperbolic", **evidence)
    return None


def spirals_in(orbit: Orbit, rest: Rest, returns: Returns, ys: np.ndarray) -> dict[str, Any] | None:
    """Whether an orbit that is still on its way approaches an equilibrium just as its linear or cubic part says."""
    distances, times = np.linalg.norm(returns.points - rest.y, axis=1)[-13:], returns.times[-13:]
    squares = np.sum((ys - rest.y) ** 2, axis=1)
    shape = float(np.mean(squares) / np.mean(distances**2))
    if orbit.discrete:
        # Iterates have no common phase; their mean squares over parts of the orbit are those of the normal form.
        parts = squares[-(len(squares) // 16) * 16 :].reshape(16, -1)
        distances, times, shape = np.sqrt(parts.mean(axis=1)), returns.times[-1] * np.arange(16) / 16, 1.0
    if len(distances) < 12 or not np.all(np.diff(distances) < 0):
        return None
    gaps = np.diff(times)
    evidence = {"growth": rest.growth, "residual": float(distances[-1]), "place": rest.y}
    if rest.growth < -rest.tolerance:
        rates = np.diff(np.log(distances)) / gaps
        # Twelve rates, each within two parts in a hundred of the one predicted: terms of second order have died out.
        if np.all(np.abs(rates / rest.growth - 1) < 0.02):
            return orbit.ends(EQUILIBRIUM, "the orbit spirals in at the rate of the linearisation", **evidence)
        return None
    slope = decay(orbit, rest)
    measured = np.diff(distances**-2.0) / gaps / shape
    # Slopes of 1/r^2 are measured with the orbit's shape in them, and terms of fifth order die out slowly.
    if slope > 0 and np.all(np.abs(measured / slope - 1) < 0.2):
        why = "the orbit spirals in algebraically, as the normal form says"
        return orbit.ends(EQUILIBRIUM, why, slope=slope, **evidence)
    return None


def decay(orbit: Orbit, rest: Rest) -> float:
    """The slope of one over the square distance that the normal form predicts; zero where there is none."""
    if not rest.marginal:
        return 0.0
    if orbit.form is None or np.linalg.norm(orbit.form[0] - rest.y) > ARRIVED * orbit.reach:
        try:
            slope = float(normal_form(orbit.system, orbit.state(rest.y)).slope)
        except (ValueError, RuntimeError):
            slope = 0.0
        orbit.form = rest.y, slope
    return orbit.form[1]


def excused(orbit: Orbit, rest: Rest | None, returns: Returns, ended: dict[str, Any] | None) -> dict[str, Any] | None:
    """The verdict of `closes`, but for a centre where a decay is known that is too slow to show in returns."""
    if rest is None or ended is None or ended["kind"] != CENTRE:
        return ended
    # A decay that would move a return by less than a hundred times what counts as closed.
    hidden = abs(rest.growth) * ended["period"] < 100 * CLOSED
    if hidden and abs(rest.growth) > 1e-3 * rest.tolerance and not orbit.switching:
        return None
    slope, size = decay(orbit, rest), float(np.linalg.norm(returns.points[-1] - rest.y))
    if slope * size**2 * ended["period"] > 100 * CLOSED or not slope:
        return ended if not slope else None
    if slope < 0:
        return None
    orbit.found.pop("period")
    why = "the orbit closes to within the tolerance, yet the normal form says that it spirals in algebraically"
    return orbit.ends(EQUILIBRIUM, why, slope=slope, growth=rest.growth, residual=size, place=rest.y)


def closes(orbit: Orbit, returns: Returns) -> dict[str, Any] | None:
    """Whether the orbit has closed, and whether its neighbours come to it, close by themselves, or do neither."""
    points, size = returns.points, returns.size
    # Rounding of the coordinates is no orbit.
    if size <= 1e-12 * (1 + np.linalg.norm(points[-1])):
        return None
    k = closing(points, 4 * MOST_TURNS if orbit.discrete else MOST_TURNS, CLOSED * size)
    if not k:
        return None
    period = float(returns.times[-1] - returns.times[-1 - k])
    drift = float(np.linalg.norm(points[-1] - points[-1 - k])) / size
    multipliers, vectors = _multipliers(returns, k, period)
    if multipliers is None:
        return None
    leading = int(np.argmax(np.abs(multipliers))) if multipliers.size else -1
    size_of_leading = float(np.abs(multipliers[leading])) if multipliers.size else 0.0
    orbit.found.update(period=period, drift=drift, multiplier=size_of_leading, loops=k, residual=drift, place=points[-1])
    if size_of_leading < 1 - NEUTRAL:
        return orbit.ends(CYCLE, "the orbit closes and its neighbours come closer at every return")
    if size_of_leading > 1 + NEUTRAL:
        return None
    sides = _neighbours_close(returns, np.real(vectors[:, np.argmin(np.abs(multipliers - 1))]), k, period)
    if all(sides):
        return orbit.ends(CENTRE, "the orbit closes, and so do its neighbours on both sides")
    if any(sides):
        return orbit.ends(CENTRE, "the orbit closes, and so do its neighbours on one side: it is the edge of a centre")
    return None


def _image(returns: Returns, q: np.ndarray, k: int, time: float) -> np.ndarray | None:
    points, _ = returns.follow(q, time)
    return points[k] if len(points) > k else None


def _multipliers(returns: Returns, k: int, period: float) -> tuple[np.ndarray | None, np.ndarray]:
    """The eigenvalues of the return map's derivative, by differences of returns, so that jumps of the field count.

    Where the derivatives to both sides differ, the one with the larger eigenvalue counts.
    """
    step, sides = _STEP * returns.size, []
    for sign in (1, -1):
        ends = [_image(returns, returns.points[-1] + sign * step * u, k, 1.4 * period) for u in returns.basis.T]
        if any(end is None for end in ends):
            return None, returns.basis
        sides.append([returns.basis.T @ (end - returns.points[-1]) * sign / step for end in ends])
    if not returns.basis.shape[1]:
        return np.zeros(0), np.zeros((0, 0))
    one, other = (np.stack(side, axis=1) for side in sides)
    # Differences on the two sides agree to first order in the step, unless the map has a kink here.
    matrices = [(one + other) / 2] if np.abs(one - other).max() < 100 * _STEP * (1 + np.abs(one).max()) else [one, other]
    values, vectors = max((np.linalg.eig(matrix) for matrix in matrices), key=lambda pair: np.abs(pair[0]).max())
    return values, returns.basis @ vectors


def _neighbours_close(returns: Returns, direction: np.ndarray, k: int, period: float) -> list[bool]:
    """Whether orbits that start at a small but finite distance on either side close as well."""
    direction = direction / max(float(np.linalg.norm(direction)), 1e-300)
    found = []
    for sign in (1, -1):
        beside = returns.points[-1] + sign * _BESIDE * returns.size * direction
        points, _ = returns.follow(beside, 12 * period)
        # A neighbour that has come to this orbit closes with it and shows nothing.
        apart = len(points) > 0 and np.linalg.norm(points[-1] - returns.points[-1]) > _BESIDE / 4 * returns.size
        found.append(bool(apart) and closing(points, max(MOST_TURNS, k), CLOSED * returns.size) > 0)
    return found
