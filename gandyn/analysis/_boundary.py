"""Boundaries: the curve of a bifurcation in the plane of two parameters, and the points of codimension two on it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._results import RESULTS, check
from .._system import AbstractSystem
from ._branch import Special, exact, joined, padded
from ._critical import AbstractCurve
from ._curve import SLACK, begin, solved
from ._path import CLOSED, ENDS, LEFT, RUNNING, STUCK, Path, follow, pinpoint

# Where a coefficient vanishes, and what ends a rotation.
_OF_COEFFICIENT = ("cusp", "generalised flip", "generalised Hopf", "Chenciner")
_ROTATIONS = ("Bogdanov-Takens", "1:1 resonance", "1:2 resonance")


class Codim2(eqx.Module):
    """A point of codimension two on a boundary: where in the plane, the state, the speed of the rotation, and of which kind."""

    values: Float[Array, "2"]
    state: PyTree
    rotation: Scalar
    kind: str = eqx.field(static=True)

    def __str__(self) -> str:
        return f"{self.kind} at ({float(self.values[0]):.12g}, {float(self.values[1]):.12g})"


class Boundary(eqx.Module):
    r"""The curve of a bifurcation in the plane of two parameters, in the order of its arclength.

    `values` are the two parameters in columns, `states` are stacked along the first axis; `kind` is `fold`, `branch point`,
    `flip`, `Hopf` or `Neimark-Sacker`, or that of the bifurcation of cycles from which it was followed. `rotation` is the
    angular speed of the critical mode per unit time, or its angle per application: zero at a fold or branch point,
    :math:`\pi` at a flip. `coefficients` are those of the normal form as in `Special`, zero where they are so to rounding and
    NaN where there are none; `growth` is that of the fastest other mode: where it is negative the curve bounds a region of
    stability. `corners` are the points of codimension two. `ends` are as in `Branch`, or the corner in which the curve ends.
    """

    values: Float[Array, "m 2"]
    states: PyTree
    rotation: Float[Array, " m"]
    coefficients: Float[Array, " m"]
    growth: Float[Array, " m"]
    corners: tuple[Codim2, ...]
    kind: str = eqx.field(static=True)
    ends: tuple[str, str] = eqx.field(static=True)
    result: RESULTS

    @property
    def degenerate(self) -> bool:
        """Whether the coefficient vanishes all along the curve, as that of linear dynamics: then it says nothing."""
        known = np.asarray(self.coefficients)
        known = known[np.isfinite(known)]
        return known.size > 0 and not known.any()

    def __str__(self) -> str:
        low, high = np.asarray(self.values).min(axis=0), np.asarray(self.values).max(axis=0)
        extent = " x ".join(f"[{a:.6g}, {b:.6g}]" for a, b in zip(low, high, strict=True))
        more = "; degenerate: the coefficient vanishes on all of it" if self.degenerate else ""
        lines = [f"{self.kind} curve in {extent}, {len(self.values)} points; ends: {', '.join(self.ends)}{more}"]
        return "\n".join([*lines, *map(str, self.corners)])


def _landed(problem: AbstractCurve, here: Array, ahead: np.ndarray) -> tuple[np.ndarray | None, int]:
    """Where the curve leaves its bounds ahead of the last point within them, and which of the bounded coordinates does."""
    low, high = np.asarray(problem.bounds)
    found: list[tuple[float, np.ndarray, int]] = []
    for i, speed in enumerate(ahead[-low.size :]):
        axis = np.zeros_like(ahead)
        axis[ahead.size - low.size + i] = 1.0
        away = (high[i] if speed > 0 else low[i]) - axis @ np.asarray(here)
        if speed == 0 or not np.isfinite(away):
            continue
        solution = solved(problem, here, here + jnp.asarray(away / speed * ahead), jnp.asarray(axis))
        point, onwards = np.asarray(solution.point), float(np.dot(solution.point - here, ahead))
        inside = np.all((point[-low.size :] >= low - SLACK) & (point[-low.size :] <= high + SLACK))
        if bool(solution.converged) and inside and onwards >= 0:
            found.append((onwards, point, i))
    _, nearest, first = min(found, key=lambda entry: entry[0], default=(0.0, None, 0))
    return nearest, first


class _Facts(NamedTuple):
    """What is at points of a curve: the state, the rotation, the coefficient, and the eigenvalues of the other modes."""

    state: PyTree
    rotation: Array
    coefficient: Array
    others: Array
    growth: Array


@eqx.filter_jit
def _facts(problem: AbstractCurve, points: Array) -> _Facts:
    def one(point: Array) -> _Facts:
        system, x = problem.at(point)
        (matrix, coefficient), critical = problem.local(point), problem.eigenvalue(point)
        others = problem.others(matrix, point)
        rotation = jnp.abs(jnp.angle(critical)) if problem.discrete else jnp.abs(critical.imag)
        growth = jnp.max(system.exponents(others).real, initial=-jnp.inf)
        return _Facts(x, rotation, coefficient, others, growth)

    return jax.lax.map(one, points)


def _second_mode(problem: AbstractCurve, kind: str, others: np.ndarray, near: float) -> bool:
    """Whether another pair is critical at a corner that says so: of two real modes the test function vanishes too."""
    paired = kind in ("Hopf-Hopf", "double Neimark-Sacker") or (
        problem.kind in ("fold", "flip") and kind.endswith(("Hopf", "Neimark-Sacker"))
    )
    rotating = others[np.abs(np.imag(others)) > near * np.abs(others).max(initial=0)]
    off = np.abs(np.abs(rotating) - 1) if problem.discrete else np.abs(np.real(rotating)) / np.abs(rotating)
    return not paired or bool(np.any(off <= near))


def _corners(problem: AbstractCurve, path: Path) -> list[tuple[np.ndarray, str, float]]:
    """Where a test function changes sign between the points of a curve, in its order, what may be there, and its size."""
    points, tangents, tests = (np.asarray(rows) for rows in path[:3])
    signs = np.sign(tests)
    places, which = np.nonzero(signs[1:] * signs[:-1] < 0)
    if not places.size:
        return []
    found = []
    for i, j in zip(places, which, strict=True):
        ends = slice(i, i + 2)
        point = np.asarray(pinpoint(problem, path.points[ends], path.tangents[ends], path.tests[ends, j], jnp.asarray(j))[0])
        way = tangents[i] @ (point - points[i])
        found.append((i, way, (point, problem.corners[j], np.abs(tests[ends, j]).max())))
    return [corner for _, _, corner in sorted(found, key=lambda entry: entry[:2])]


def _end(problem: AbstractCurve, path: Path, sense: int) -> tuple[np.ndarray, str]:
    """The point in which a path leaves its bounds, as a row to add to it, and what the end is called."""
    code, last = int(path.code), int(path.filled) - 1
    if code != LEFT:
        return np.zeros((0, path.points.shape[1])), ENDS[code]
    ahead = sense * np.asarray(path.tangents)[last]
    point, first = _landed(problem, path.points[last], ahead)
    if point is None:
        return np.zeros((0, ahead.size)), ENDS[STUCK]
    if first + 2 < problem.bounds.shape[1]:
        name = "Bogdanov-Takens" if not problem.discrete else "1:1 resonance" if ahead[-3] > 0 else "1:2 resonance"
        return point[None], name
    return point[None], ENDS[LEFT]


def boundary(
    system: AbstractSystem,
    where: tuple[Callable[[Any], Any], Callable[[Any], Any]],
    guess: PyTree | Special,
    spans: tuple[tuple[float, float], tuple[float, float]],
    *,
    step: float = 0.02,
    points: int = 400,
    throw: bool = True,
) -> Boundary:
    r"""The curve of a bifurcation in the plane of two parameters, both ways, with the points of codimension two on it.

    Pseudo-arclength continuation of the equilibrium together with its critical mode: of a fold and of a flip by the real
    eigenvector, of a Hopf and of a Neimark–Sacker point by a vector in the plane that the mode rotates in, so that the curve is
    regular up to the point where the rotation ends (Kuznetsov, 2004, section 10.4; Roose and Hlavaček, 1985). A fixed
    point of `Iterated(map, k)` is an orbit of period k, and one of a `PoincareMap` a limit cycle.

    Located to rounding, by functions that change sign there, are on a curve of

    - branch points, where the equilibrium stays for all values of both parameters: as on folds, but no `cusp`;
    - folds: `cusp`, `Bogdanov-Takens` (of maps `1:1 resonance`), `fold-Hopf`, of maps `fold-flip`, `fold-Neimark-Sacker`;
    - flips: `generalised flip`, `1:2 resonance`, `fold-flip`, `flip-Neimark-Sacker`;
    - Hopf points: `generalised Hopf` (Bautin), `fold-Hopf`, `Hopf-Hopf`; the curve ends in a `Bogdanov-Takens` point;
    - Neimark–Sacker points: `Chenciner`, `1:3 resonance`, `1:4 resonance`, `fold-Neimark-Sacker`, `flip-Neimark-Sacker`,
      `double Neimark-Sacker`; the curve ends in a `1:1 resonance` or a `1:2 resonance`.

    Two of a kind within one step may be missed.

    Args:
        system: A flow or a map, at values of the two parameters where the curve starts.
        where: Two lenses, each to one array leaf, or to several that share one value.
        guess: A bifurcation from the `specials` of a continuation in the first parameter; or the equilibrium where the system
            is at a critical value, whose leading mode then says of which kind it is.
        spans: The lowest and the highest value of each parameter; the start lies between them.
        step: The largest step along the arclength, relative to one plus the norm of the unknowns; a parameter is measured in
            widths of its span, and the square of a frequency relative to that at the start.
        points: How many points to go each way, at most.
        throw: Raise if the curve is lost before it leaves the spans.

    Returns:
        A `Boundary`.

    Raises:
        ValueError: Empty spans, a start outside them, a lens that selects nothing or only one of two copies, lenses that move
            one leaf, a point that has no curve, or a step or number of points that is not positive.
        RuntimeError: No such bifurcation near the start, or the curve is lost or longer than `points` (with `throw`).
    """
    if not (step > 0 and points >= 1):
        raise ValueError(f"boundary: step must be positive and points at least one; got {step} and {points}.")
    problem, tangent = begin(system, where, guess, spans)
    start, eps = problem.origin, _tree.eps(problem.like)
    lengths = jnp.asarray([step / 5, step * eps**0.5, step], start.dtype)
    everywhere = jnp.asarray([-jnp.inf, jnp.inf], start.dtype)
    ahead = follow(problem, start, tangent, everywhere, lengths, points + 1)
    closed = int(ahead.code) == CLOSED
    back = None if closed else follow(problem, start, tangent, everywhere, -lengths, points + 1)
    codes = int(ahead.code if back is None else back.code), int(ahead.code)
    result = RESULTS.branch_lost if STUCK in codes else RESULTS.branch_long if RUNNING in codes else RESULTS.successful
    check(result, throw, "boundary: ")
    path = joined(back, ahead)
    after, last = _end(problem, ahead, 1)
    before, first = (np.asarray(path.points[:1]), last) if back is None else _end(problem, back, -1)
    whole = np.concatenate([np.asarray(path.points), before] if closed else [before, np.asarray(path.points), after])
    flagged = [(point, first, np.inf) for point in before if first in _ROTATIONS] + _corners(problem, path)
    flagged += [(point, last, np.inf) for point in after if last in _ROTATIONS]
    rows = np.concatenate([whole, *(entry[0][None] for entry in flagged)])
    facts = jax.tree.map(lambda leaf: np.asarray(leaf)[: len(rows)], _facts(problem, padded(jnp.asarray(rows))))
    m, values = len(whole), rows[:, -2:] * np.asarray(problem.units)

    def corner(i: int, kind: str) -> Codim2:
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf[i]), facts.state)
        return Codim2(jnp.asarray(values[i]), state, jnp.asarray(facts.rotation[i]), kind)

    corners = tuple(
        corner(i, kind)
        for i, (_, kind, size) in enumerate(flagged, start=m)
        if _second_mode(problem, kind, facts.others[i], exact(eps))
        # A coefficient also changes its sign through infinity, where another mode is critical.
        and (kind not in _OF_COEFFICIENT or abs(facts.coefficient[i]) < size)
    )
    along = jax.tree.map(lambda leaf: jnp.asarray(leaf[:m]), facts)
    kind = problem.kind if not isinstance(guess, Special) else guess.kind
    numbers = (along.state, along.rotation, along.coefficient, along.growth)
    return Boundary(jnp.asarray(values[:m]), *numbers, corners, kind, (first, last), result)
