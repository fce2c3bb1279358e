"""Continuation: a branch of equilibria as a parameter moves, its stability, and the bifurcations on it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check
from .._system import AbstractMap, AbstractSystem
from ._equilibrium import _equilibrium, default_solver
from ._linear import jacobian
from ._memory import idle, settled
from ._normal_form import normal_form
from ._path import (
    CLOSED,
    FAR,
    LEFT,
    RUNNING,
    STUCK,
    Path,
    all_tests,
    branch_point,
    first_tangent,
    follow,
    locate,
    other_tangent,
)
from ._stability import _stability
from ._steady import Steady
from ._threshold import move
from ._verdict import Stability

# Test functions this many roundings from zero have no sign.
_NOISE = 1e3
_ENDS = {RUNNING: "points", LEFT: "span", STUCK: "lost", CLOSED: "closed", FAR: "unbounded"}


def _exact(eps: float) -> float:
    """How exactly a bifurcation is located, relative to its eigenvalues: a little worse than the root of rounding."""
    return eps**0.375


class Special(eqx.Module):
    r"""A bifurcation on a branch: where, of which kind, and what its normal form says.

    `kind` is `fold`, `branch point`, `Hopf`, `Neimark-Sacker` or `flip`. `coefficient` is that of the normal form: the real
    part of the cubic one of an oscillating mode (see `normal_form`), of a fold the quadratic one, :math:`w^\top D^2F(v, v)/2`
    with :math:`w^\top v = 1` and v of unit length; NaN where there is none, as when another mode leads. `character` says
    `supercritical`, `subcritical` or `degenerate` (as at a centre) of an oscillating mode, and is empty otherwise. At a branch
    point `other` is the tangent of the branch that crosses (state, then parameter): `continuation` follows it when it is given
    the point instead of a guess.
    """

    value: Scalar
    state: PyTree
    eigenvalue: Array
    coefficient: Scalar
    other: Float[Array, " k"]
    kind: str = eqx.field(static=True)
    character: str = eqx.field(static=True, default="")

    def __str__(self) -> str:
        more = f", {self.character}" if self.character else ""
        return f"{self.kind} at {float(self.value):.12g}{more} (coefficient {float(self.coefficient):.6g})"


class Branch(eqx.Module):
    """A branch of equilibria, in the order of its arclength.

    `values` of the parameter, `states` stacked along the first axis, the `stability` at each, and the bifurcations, `specials`,
    in the order in which the branch meets them. `ends` says how either end came about: `span` (the parameter left the span),
    `unbounded` (the state did), `closed` (the branch is a loop), `lost` or `points` (there were no more).
    """

    values: Float[Array, " m"]
    states: PyTree
    stability: Stability
    specials: tuple[Special, ...]
    ends: tuple[str, str] = eqx.field(static=True)
    result: RESULTS

    def __str__(self) -> str:
        values = np.asarray(self.values)
        extent = f"{values.min():.6g} to {values.max():.6g}, {values.size} points; ends: {', '.join(self.ends)}"
        return "\n".join([f"branch       {extent}", *map(str, self.specials)])


def _kinds(discrete: bool) -> tuple[str, ...]:
    return ("fold", "branch point", "Neimark-Sacker", "flip") if discrete else ("fold", "branch point", "Hopf")


def _critical(values: np.ndarray, kind: str, discrete: bool) -> complex:
    """The eigenvalue that makes a bifurcation of this kind: of a conjugate pair the upper one."""
    if kind in ("Hopf", "Neimark-Sacker"):
        rotating = values[np.imag(values) > 0]
        off = np.abs(np.abs(rotating) - 1) if discrete else np.abs(np.real(rotating))
        return complex(rotating[np.argmin(off)]) if rotating.size else complex(np.nan)
    target = -1.0 if kind == "flip" else float(discrete)
    return complex(values[np.argmin(np.abs(values - target))])


@eqx.filter_jit
def _fold_coefficient(system: AbstractSystem, x: PyTree) -> Array:
    vector, unravel = _tree.ravel(x)

    def residual(v: Array) -> Array:
        return _tree.ravel(system.residual(unravel(v)))[0]

    u, _, vh = jnp.linalg.svd(jax.jacfwd(residual)(vector))
    left, right = u[:, -1], vh[-1]
    curvature = jax.jvp(lambda v: jax.jvp(residual, (v,), (right,))[1], (vector,), (right,))[1]
    return left @ curvature / (2 * (left @ right))


def _special(problem: Steady, point: Array, tangent: Array, kind: str) -> Special | None:
    """What is at a point where a test function vanishes; nothing if it is no bifurcation, as at a neutral saddle."""
    point = branch_point(problem, point) if kind == "branch point" else point
    system, x = problem.at(point)
    discrete = isinstance(system, AbstractMap)
    values = np.linalg.eigvals(np.asarray(eqx.filter_jit(jacobian)(system, x)))
    value, scale = _critical(values, kind, discrete), 1 + np.abs(values).max()
    exact = _exact(_tree.eps(problem.like)) * scale
    oscillating = kind in ("Hopf", "Neimark-Sacker")
    off = abs(abs(value) - 1) if discrete else abs(value.real)
    # Where the eigenvalues of a pair are real the test function vanishes too, at a neutral saddle.
    if oscillating and not (off <= exact and abs(value.imag) > exact):
        return None
    coefficient, character = jnp.asarray(jnp.nan), ""
    if kind == "fold":
        coefficient = _fold_coefficient(system, x)
    elif kind != "branch point":
        try:
            form = normal_form(system, x)
        except ValueError:
            form = None
        if form is not None and form.bifurcation == kind:
            coefficient, character = form.coefficient.real, form.character
    other = jnp.full_like(point, jnp.nan)
    if kind == "branch point":
        other = other_tangent(problem, point, tangent)
        other = other.at[-1].multiply(problem.unit)
    return Special(point[-1] * problem.unit, x, jnp.asarray(value), coefficient, other, kind, character)


def _signs(values: np.ndarray, eps: float) -> np.ndarray:
    """The signs of test functions, zero where they are zero to rounding."""
    return np.where(np.abs(values) > _NOISE * eps * np.abs(values).max(axis=0), np.sign(values), 0.0)


def _padded(array: Array) -> Array:
    """Repeats of the last row, up to a power of two, so that paths of other lengths do not compile anew."""
    more = 2 ** int(np.ceil(np.log2(len(array)))) - len(array)
    return jnp.concatenate([array, jnp.repeat(array[-1:], more, axis=0)])


def _specials(problem: Steady, points: Array, tangents: Array, eps: float) -> tuple[Special, ...]:
    """The bifurcations between the points of a path, in its order."""
    kinds = _kinds(isinstance(problem.system, AbstractMap))
    signs = _signs(np.asarray(all_tests(problem, _padded(points), _padded(tangents)))[: len(points)], eps)
    places, which = np.nonzero(signs[1:] * signs[:-1] < 0)
    if not places.size:
        return ()
    pairs = jnp.stack([jnp.stack([points[i], points[i + 1]]) for i in places])
    along = jnp.stack([jnp.stack([tangents[i], tangents[i + 1]]) for i in places])
    where = locate(problem, _padded(pairs), _padded(along), _padded(jnp.asarray(which)))[: len(which)]
    found: list[tuple[int, float, Special]] = []
    for place, kind, point in zip(places, which, where, strict=True):
        # Not the tangent at the point itself, which has no one solution where two branches cross.
        special = _special(problem, point, tangents[place] + tangents[place + 1], kinds[kind])
        if special is not None:
            found.append((int(place), float(tangents[place] @ (point - points[place])), special))
    found.sort(key=lambda entry: entry[:2])
    crossed = [(place, along) for place, along, special in found if special.kind == "branch point"]

    def turns_there(place: int, along: float) -> bool:
        """On a pitchfork's bent branch the parameter turns back at the branch point, which is no fold."""
        return any(place == other and abs(along - s) < _exact(eps) for other, s in crossed)

    return tuple(special for place, s, special in found if not (special.kind == "fold" and turns_there(place, s)))


@eqx.filter_jit
def _along(problem: Steady, points: Array) -> tuple[PyTree, Stability]:
    """The states at points of a path, and their stability."""

    def one(point: Array) -> tuple[PyTree, Stability]:
        system, x = problem.at(point)
        return x, _stability(system, x, None)

    return jax.vmap(one)(points)


def _begin(
    system: AbstractSystem, where: Callable, guess: PyTree | Special, span: tuple[float, float], throw: bool
) -> tuple[Steady, Array, Array, Array]:
    """What is followed, from which point, in which direction, and between which values of the parameter."""
    low, high = map(float, span)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"The span must be two increasing finite numbers; got {span}.")
    chosen = _tree.select(system, where)
    _tree.check_tied(system, chosen, AbstractSystem)
    moved, crossing = tuple((i, jnp.ones(())) for i in chosen), isinstance(guess, Special)
    if crossing and not bool(jnp.all(jnp.isfinite(guess.other))):
        raise ValueError(f"At a {guess.kind} no other branch of equilibria crosses; pass a branch point, or a state.")
    value = float(guess.value if crossing else _tree.real(jax.tree.leaves(where(system))[0]))
    if not low <= value <= high:
        raise ValueError(f"The parameter starts at {value}, outside the span {span}.")
    system, state = prepare(system, guess.state if crossing else guess)
    system, state = move(system, moved, jnp.asarray(value)), settled(system, state)
    if not crossing:
        found = _equilibrium(system, state, default_solver(state), 256)
        check(found.result, throw, "continuation: ")
        state = found.state
    vector = _tree.ravel(state)[0]
    unit = jnp.asarray(high - low, vector.dtype)
    aside = idle(system, state, eqx.filter_jit(jacobian)(system, state), None)
    problem, start = Steady(system, moved, state, unit, aside), jnp.append(vector, value / unit)
    tangent = guess.other.at[-1].divide(unit) if crossing else first_tangent(problem, start)
    return problem, start, tangent / jnp.linalg.norm(tangent), jnp.asarray([low, high], vector.dtype) / unit


def _joined(back: Path | None, ahead: Path) -> tuple[Array, Array]:
    """The points and tangents of a path in both directions, in one order; the start stands once."""
    points, tangents = ahead.points[: int(ahead.filled)], ahead.tangents[: int(ahead.filled)]
    if back is None:
        return points, tangents
    before = slice(int(back.filled) - 1, 0, -1)
    return jnp.concatenate([back.points[before], points]), jnp.concatenate([-back.tangents[before], tangents])


def continuation(
    system: AbstractSystem,
    where: Callable[[Any], Any],
    guess: PyTree | Special,
    span: tuple[float, float],
    *,
    step: float = 0.05,
    points: int = 400,
    throw: bool = True,
) -> Branch:
    """The branch of equilibria through a state as a parameter moves, both ways, through folds, with the bifurcations on it.

    Pseudo-arclength continuation: a step along the tangent, a Newton correction across it, a step size that adapts. A fixed
    point of `Iterated(map, k)` is an orbit of period k, and one of a `PoincareMap` a limit cycle; then the multipliers tell its
    bifurcations (a fold of cycles, a period doubling by a flip, a torus by a Neimark–Sacker point). Sign changes of test
    functions between points find the bifurcations, and bisection locates them to rounding; two of a kind within one step
    may be missed.

    Args:
        system: A flow or a map, at the parameter value where the branch starts.
        where: A lens to one array leaf, or to several that share one value.
        guess: A state near the equilibrium, or a branch point from `specials`, from which the other branch is followed.
        span: The lowest and the highest value of the parameter; the start lies between them.
        step: The largest step along the arclength, relative to one plus the norm of the state; the parameter is measured in
            widths of the span.
        points: How many points to go each way, at most.
        throw: Raise if the branch is lost before it leaves the span.

    Returns:
        A `Branch`.

    Raises:
        ValueError: An empty span, a start outside it, a lens that selects nothing or only one of two copies, a bifurcation at
            which no branch crosses, or a step or number of points that is not positive.
        RuntimeError: No equilibrium near the guess, or the branch is lost or longer than `points` (with `throw`).
    """
    if not (step > 0 and points >= 1):
        raise ValueError(f"continuation: step must be positive and points at least one; got {step} and {points}.")
    problem, start, tangent, ends = _begin(system, where, guess, span, throw)
    eps = _tree.eps(problem.like)
    lengths = jnp.asarray([step / 5, step * eps**0.5, step], start.dtype)
    ahead = follow(problem, start, tangent, ends, lengths, points + 1)
    closed = int(ahead.code) == CLOSED
    back = None if closed else follow(problem, start, -tangent, ends, lengths, points + 1)
    path, along = _joined(back, ahead)
    codes = int(ahead.code if back is None else back.code), int(ahead.code)
    result = RESULTS.branch_lost if STUCK in codes else RESULTS.branch_long if RUNNING in codes else RESULTS.successful
    check(result, throw, "continuation: ")
    states, stability = jax.tree.map(lambda leaf: leaf[: len(path)], _along(problem, _padded(path)))
    specials = _specials(problem, path, along, eps)
    return Branch(path[:, -1] * problem.unit, states, stability, specials, (_ENDS[codes[0]], _ENDS[codes[1]]), result)
