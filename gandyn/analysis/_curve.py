"""Where the curve of a bifurcation begins: the equations for a point that is given, and the nearest solution of them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import _tree
from .._evolve import prepare
from .._section import Section
from .._system import AbstractMap, AbstractSystem
from ..maps._return import PoincareMap
from ._branch import Special
from ._critical import AbstractCurve
from ._linear import jacobian
from ._memory import idle, settled, without
from ._moved import as_one, move, shared_value
from ._pair import Pair
from ._path import Found, corrected
from ._real_mode import OPEN, Crossing, Simple
from ._switch import repeated

# By how much a point on a bound may seem to lie beyond it.
SLACK = 1e-8
# How far the first point may be from the guess, relative to one plus the norm of all but the parameters.
_NEAR = 0.1
_OF_CYCLES = {"fold of cycles": "fold", "period doubling": "flip", "torus": "Neimark-Sacker"}


def _critical(values: np.ndarray, guess: Any, discrete: bool) -> tuple[str, complex]:
    """The kind of bifurcation at a state, and the critical eigenvalue: the named one's, or whichever is nearest to being it."""
    if isinstance(guess, Special):
        value = complex(values[np.argmin(np.abs(values - complex(np.asarray(guess.eigenvalue))))])
        return _OF_CYCLES.get(guess.kind, guess.kind), value if value.imag >= 0 else value.conjugate()
    upper = values[np.imag(values) >= 0]
    off = np.abs(np.log(np.maximum(np.abs(upper), 1e-300))) if discrete else np.abs(np.real(upper))
    value = complex(upper[np.argmin(off)])
    if abs(value.imag) > 1e-6 * np.abs(values).max():
        return "Neimark-Sacker" if discrete else "Hopf", value
    return "flip" if discrete and value.real < 0 else "fold", value


def _null(matrix: np.ndarray, count: int) -> np.ndarray:
    """Unit vectors, in rows, that a matrix all but takes to zero."""
    return np.linalg.svd(matrix)[2][-count:]


def _stays(crossing: Crossing) -> np.ndarray:
    """Whether the equilibrium stays as either parameter moves, so that other ones cross it and it vanishes in no fold."""
    return np.abs(np.asarray(eqx.filter_jit(Crossing.unfolded)(crossing, crossing.origin, crossing.border[0]))) <= OPEN


def _checked(crossing: Crossing) -> Crossing:
    if not _stays(crossing)[1]:
        raise ValueError(
            "boundary: as the second parameter moves the branch point breaks up into folds, so that it has no curve; follow a "
            "fold from beside it."
        )
    return crossing


def _start(
    system: AbstractSystem, chosen: tuple, guess: Any, values: np.ndarray, state: PyTree, bounds: np.ndarray
) -> AbstractCurve:
    """The equations, with the point nearest to the guess that one can tell without solving them as the origin."""
    moved = (as_one(chosen[0]), as_one(chosen[1]))
    for part, value in zip(moved, values, strict=True):
        system = move(system, part, jnp.asarray(value))
    state = settled(system, state)
    vector = _tree.ravel(state)[0]
    n, kind, discrete = vector.size, vector.dtype, isinstance(system, AbstractMap)
    full = eqx.filter_jit(jacobian)(system, state)
    aside = idle(system, state, full, None)
    matrix = np.asarray(without(full, aside))
    name, value = _critical(np.linalg.eigvals(matrix), guess, discrete)
    units = bounds[1] - bounds[0]
    ends, plane = [values / units], bounds / units
    common = (system, moved, state, jnp.asarray(units, kind), aside)
    if name in ("fold", "flip", "branch point"):
        target = -1.0 if name == "flip" else float(discrete)
        mode = _null(matrix - target * np.eye(n), 1)[0]
        origin = jnp.asarray(np.concatenate([vector, mode, *ends]), kind)
        if name == "branch point" or (name == "fold" and not isinstance(guess, Special)):
            blank = Crossing(*common, jnp.asarray(plane, kind), jnp.insert(origin, 2 * n, 0.0), target, jnp.zeros((2, n), kind))
            crossing = eqx.filter_jit(Crossing.beside)(blank, blank.origin)
            if name == "branch point" or _stays(crossing).all():
                return _checked(crossing)
        return Simple(*common, jnp.asarray(plane, kind), origin, target)
    if name not in ("Hopf", "Neimark-Sacker"):
        raise ValueError(f"boundary: a {name} has no curve; pass a fold, flip, Hopf, Neimark–Sacker or branch point.")
    turn, tempo = (value.real / abs(value), 1.0) if discrete else (1.0, abs(value.imag))
    polynomial = matrix @ matrix - 2 * turn * matrix + np.eye(n) if discrete else matrix @ matrix + tempo**2 * np.eye(n)
    mode, across = _null(polynomial, 2)
    plane = np.column_stack([(-1.0, 1.0) if discrete else (0.0, np.inf), plane])
    origin = jnp.asarray(np.concatenate([vector, mode, [turn], *ends]), kind)
    return Pair(*common, jnp.asarray(plane, kind), origin, jnp.asarray(tempo, kind), jnp.asarray(across, kind))


def _spans(spans: tuple[tuple[float, float], tuple[float, float]]) -> np.ndarray:
    """The lowest values of the parameters, and the highest."""
    found = np.asarray(spans, float)
    if found.shape != (2, 2) or not np.all(np.isfinite(found)) or not np.all(found[:, 0] < found[:, 1]):
        raise ValueError(f"boundary: the spans are two pairs of increasing finite numbers; got {spans}.")
    return found.T


Lenses = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def _of_special(system: Any, where: Lenses, special: Special) -> tuple[AbstractSystem, Lenses]:
    """The system of which a bifurcation's state is an equilibrium: a map applied several times, or the return map of cycles."""
    if special.period is not None:
        at = move(system, as_one(_tree.select(system, where[0])), special.value)
        returns = PoincareMap(system, Section.across(at, special.state))
        return returns, (lambda s: where[0](s.flow), lambda s: where[1](s.flow))
    if special.times > 1:
        first, second = (repeated(system, lens, special.times) for lens in where)
        return first[0], (first[1], second[1])
    return system, where


def begin(system: AbstractSystem, where: Lenses, guess: PyTree | Special, spans: Any) -> tuple[AbstractCurve, Array]:
    """The equations with a point of the curve as their origin, and the tangent there."""
    bounds = _spans(spans)
    if isinstance(guess, Special):
        system, where = _of_special(system, where, guess)
    chosen = tuple(_tree.select(system, lens) for lens in where)
    if set(chosen[0]) & set(chosen[1]):
        raise ValueError("boundary: both lenses move the same leaf; give two parameters.")
    _tree.check_tied(system, chosen[0] + chosen[1], AbstractSystem)
    values = np.array([float(shared_value(system, lens)) for lens in where])
    if isinstance(guess, Special):
        values[0] = float(guess.value)
    if np.any(values < bounds[0]) or np.any(values > bounds[1]):
        raise ValueError(f"boundary: the parameters start at {tuple(values.tolist())}, outside the spans {spans}.")
    system, state = prepare(system, guess.state if isinstance(guess, Special) else guess)
    problem = _start(system, chosen, guess, values, state, bounds)
    point, tangent = _nearest(problem, bounds / (bounds[1] - bounds[0]))
    return eqx.tree_at(lambda p: p.origin, problem, jnp.asarray(point, problem.origin.dtype)), tangent


@eqx.filter_jit
def solved(problem: AbstractCurve, beside: Array, guess: Array, normal: Array) -> Found:
    """The point of the curve on the plane through a guess, with the conditions that hold beside another point."""
    return corrected(problem.beside(beside), guess, normal)


def _nearest(problem: AbstractCurve, ends: np.ndarray) -> tuple[np.ndarray, Array]:
    """The point of the curve near its origin, for one of the two parameters, and the curve's tangent."""
    start = np.asarray(problem.origin)
    for fixed in (-1, -2):
        found = solved(problem, problem.origin, problem.origin, jnp.zeros_like(problem.origin).at[fixed].set(1.0))
        point = np.asarray(found.point)
        inside = np.all((point[-2:] >= ends[0] - SLACK) & (point[-2:] <= ends[1] + SLACK))
        near = np.linalg.norm(point - start) < _NEAR * (1 + np.linalg.norm(start[:-2]))
        if bool(found.converged) and inside and near:
            tangent = np.linalg.svd(np.asarray(found.slope))[2][-1]
            return point, jnp.asarray(tangent * (1 if tangent[-1] >= 0 else -1), found.point.dtype)
    place = tuple((start[-2:] * np.asarray(problem.units)).tolist())
    raise RuntimeError(
        f"boundary: there is no {problem.kind} point near {place}. Start from one of `continuation(...)` in the first "
        "parameter, or at a critical value and the equilibrium there."
    )
