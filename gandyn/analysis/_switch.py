"""Where a branch starts: at a state, at a cycle, or at a bifurcation of another branch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _march, _tree
from .._evolve import prepare
from .._results import check
from .._system import AbstractFlow, AbstractMap, AbstractSystem
from ..maps._wrap import Iterated
from ._branch import Special
from ._cycle import Cycle
from ._equilibrium import _equilibrium, default_solver
from ._linear import jacobian
from ._memory import idle, settled
from ._moved import Moved, as_one, move, shared_value
from ._path import first_tangent
from ._periodic import NODES, Periodic
from ._shooting import follow
from ._steady import Steady

# The first cycle beside a Hopf point is so large, relative to one plus the norm of the state.
_SMALL = 1e-3


class Start(NamedTuple):
    """What is followed, from which point, in which direction; and what the branch comes from, if it goes one way only."""

    problem: Steady | Periodic
    point: Float[Array, " k"]
    tangent: Float[Array, " k"]
    origin: Special | None = None


def start(
    system: AbstractSystem, where: Callable[[Any], Any], guess: PyTree | Special | Cycle, span: tuple[float, float], throw: bool
) -> Start:
    """Where the branch of a guess starts.

    Raises:
        ValueError: The start lies outside the span, or no branch of one dimension leaves from there.
        RuntimeError: There is no equilibrium near the guess (with `throw`).
    """
    if isinstance(guess, Special) and isinstance(system, AbstractMap):
        system, where = repeated(system, where, guess.times * (2 if guess.kind == "flip" else 1))
    chosen = _tree.select(system, where)
    _tree.check_tied(system, chosen, AbstractSystem)
    moved = as_one(chosen)
    value = guess.value if isinstance(guess, Special) else shared_value(system, where)
    if not span[0] <= float(value) <= span[1]:
        raise ValueError(f"The parameter starts at {float(value)}, outside the span {span}.")
    state = guess.state if isinstance(guess, Special | Cycle) else guess
    system, state = prepare(system, state)
    system, state = move(system, moved, value), settled(system, state)
    unit = jnp.asarray(span[1] - span[0], _tree.ravel(state)[0].dtype)
    if isinstance(guess, Cycle) or (isinstance(guess, Special) and (guess.kind == "Hopf" or guess.period is not None)):
        if not isinstance(system, AbstractFlow):
            raise ValueError(f"Cycles are those of a flow; {type(system).__name__} is none.")
        return _cycles(system, moved, state, unit, value, guess)
    return _equilibria(system, moved, state, unit, value, guess, throw)


def repeated(system: AbstractMap, where: Callable, times: int) -> tuple[AbstractMap, Callable]:
    """The map applied several times, and the lens to the same leaves in it."""
    if times == 1:
        return system, where
    if isinstance(system, Iterated):
        return Iterated(system.map, system.times * times), where
    return Iterated(system, times), lambda repeated: where(repeated.map)


def _mode(matrix: np.ndarray, value: complex) -> np.ndarray:
    """The eigenvector that belongs to an eigenvalue, of unit length."""
    values, vectors = np.linalg.eig(matrix)
    return vectors[:, np.argmin(np.abs(values - value))]


def _equilibria(
    system: AbstractSystem, moved: Moved, state: PyTree, unit: Scalar, value: Scalar, guess: PyTree | Special, throw: bool
) -> Start:
    times = 1
    if not isinstance(guess, Special):
        found = _equilibrium(system, state, default_solver(state), 256)
        check(found.result, throw, "continuation: ")
        state = found.state
    vector, matrix = _tree.ravel(state)[0], eqx.filter_jit(jacobian)(system, state)
    point = jnp.append(vector, jnp.asarray(value, vector.dtype) / unit)
    if isinstance(guess, Special):
        times = guess.times * (2 if guess.kind == "flip" else 1)
    problem = Steady(system, moved, state, unit, idle(system, state, matrix, None), times)
    if not isinstance(guess, Special):
        return Start(problem, point, first_tangent(problem, point))
    if guess.kind == "flip":
        # Of the map applied twice the mode is one that neither grows nor turns.
        tangent = jnp.append(jnp.asarray(np.real(_mode(np.asarray(matrix), 1.0)), vector.dtype), 0.0)
    elif guess.kind == "branch point":
        tangent = jnp.asarray(guess.other, vector.dtype).at[-1].divide(unit)
    else:
        tangent = jnp.full_like(point, jnp.nan)
    return Start(problem, point, _leaving(tangent, guess))


def _leaving(tangent: Array, special: Special) -> Array:
    if not bool(jnp.all(jnp.isfinite(tangent))):
        hint = "; the invariant circle that is born there is one of `invariant_circle`" * (special.kind == "Neimark-Sacker")
        raise ValueError(
            f"At a {special.kind} no other branch leaves that could be followed{hint}. Pass a branch point, a Hopf point of a "
            "flow, a flip of a map, a period doubling of cycles, a state, or a cycle."
        )
    return tangent / jnp.linalg.norm(tangent)


def _cycles(flow: AbstractFlow, moved: Moved, state: PyTree, unit: Scalar, value: Scalar, guess: Special | Cycle) -> Start:
    kind = unit.dtype
    value = jnp.asarray(value, kind)
    anchor = jnp.zeros((NODES * _tree.size(state) + 2,), kind).at[-1].set(value / unit)
    problem = Periodic(flow, moved, state, unit, _march.settings(state, None, None, None), anchor)
    if isinstance(guess, Cycle):
        check(guess.result, True, "continuation: ")
        states = jax.vmap(lambda x: _tree.ravel(x)[0])(guess.xs)[:-1]
        point = problem.point(states[(jnp.arange(NODES) * len(states)) // NODES], guess.period, value)
        tangent, flatness = _regular(problem.beside(point), point)
        # A hundred times the errors of a turn.
        if float(flatness) <= 100 * problem.precision():
            raise ValueError(
                "There are cycles beside this one at every value of the parameter, as around a centre: it is on no one branch. "
                "See `family`."
            )
        return Start(problem.beside(point), point, tangent)
    if guess.kind == "Hopf":
        return _born(problem, flow, state, value, guess)
    count, doubled = (NODES // 2, 2) if guess.kind == "period doubling" else (NODES, 1)
    period = jnp.asarray(guess.period, kind)
    nodes, displaced = _around(problem, _tree.ravel(state)[0], period, count, jnp.real(guess.eigenvalue).astype(kind))
    point = problem.point(jnp.tile(nodes, (doubled, 1)), doubled * period, value)
    if doubled == 2:
        tangent = jnp.append(jnp.concatenate([displaced, -displaced]).reshape(-1), jnp.zeros(2, kind))
    else:
        tangent = jnp.asarray(guess.other, kind).at[-1].divide(unit)
    return Start(problem.beside(point), point, _leaving(tangent, guess), guess if doubled == 2 else None)


@eqx.filter_jit
def _regular(problem: Periodic, point: Array) -> tuple[Array, Array]:
    """The unit tangent towards larger values of the parameter, and how far the point is from one through which more go."""
    _, sizes, rows = jnp.linalg.svd(problem.measure(point)[1])
    return jnp.where(rows[-1, -1] < 0, -rows[-1], rows[-1]), sizes[-1] / sizes[0]


@eqx.filter_jit
def _around(problem: Periodic, y: Array, period: Array, count: int, multiplier: Array) -> tuple[Array, Array]:
    """States of a cycle at equal times, and the displacements that return as `multiplier` times themselves."""
    n, start = y.size, jnp.append(y, problem.anchor[-1])
    pieces = follow(problem.field(), problem.solver, start, period, count, start)
    carried = jax.lax.scan(lambda total, m: (m @ total, total), jnp.eye(n + 1, dtype=y.dtype), pieces.matrices)
    whole, matrices = carried[0][:n, :n], carried[1][:, :n, :n]
    mode = jnp.linalg.svd(whole - multiplier * jnp.eye(n, dtype=y.dtype))[2][-1]
    return pieces.starts[:, :n], matrices @ mode


def _born(problem: Periodic, flow: AbstractFlow, state: PyTree, value: Scalar, special: Special) -> Start:
    """The first small cycle beside a Hopf point: the equilibrium with a turn of its mode."""
    vector, kind = _tree.ravel(state)[0], problem.unit.dtype
    speed = float(np.imag(special.eigenvalue))
    mode = _mode(np.asarray(eqx.filter_jit(jacobian)(flow, state)), complex(special.eigenvalue))
    turn = np.real(mode * np.exp(2j * np.pi * np.arange(NODES) / NODES)[:, None])
    rest = problem.point(jnp.broadcast_to(vector, (NODES, vector.size)), jnp.asarray(2 * np.pi / speed, kind), value)
    tangent = jnp.append(jnp.asarray(turn / np.linalg.norm(turn), kind).reshape(-1), jnp.zeros(2, kind))
    point = rest + _SMALL * (1 + jnp.linalg.norm(rest[:-2])) * tangent
    return Start(problem.beside(point), point, tangent, special)
