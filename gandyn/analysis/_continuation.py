"""Continuation: a branch of equilibria or cycles as a parameter moves, its stability, and the bifurcations on it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._results import RESULTS, check, worst
from .._system import AbstractSystem
from ._branch import Branch, Special, joined, padded, specials
from ._cycle import Cycle
from ._linear import jacobian
from ._path import CLOSED, ENDS, RUNNING, STUCK, Path, follow
from ._periodic import NODES, STATES, Periodic, Turn
from ._stability import _stability
from ._steady import Steady
from ._switch import Start, start
from ._verdict import Stability

# What a branch that goes one way from a bifurcation ends in there.
_BIRTHS = {"Hopf": "Hopf point", "period doubling": "period doubling"}


@eqx.filter_jit
def _equilibria(problem: Steady, points: Array) -> tuple[PyTree, Stability]:
    """The states at points of a path, and their stability."""

    def one(point: Array) -> tuple[PyTree, Stability]:
        system, x = problem.at(point)
        return x, _stability(system, x, None)

    return jax.vmap(one)(points)


@eqx.filter_jit
def _cycles(problem: Periodic, points: Array, turns: Turn) -> tuple[PyTree, Array, Stability]:
    """The orbits at points of a path, their periods, and their stability."""

    def one(point: Array, turn: Turn) -> tuple[PyTree, Array, Stability]:
        found, period = problem.multipliers(point, turn), jnp.exp(point[-2])
        bound = jnp.max(found.logs.real + jnp.log1p(found.errors)) / period
        scale = (1 + jnp.max(jnp.abs(found.logs))) / period
        good = jnp.isfinite(bound) | jnp.isposinf(bound)
        result = worst((~good, RESULTS.nonfinite))
        spectrum = Stability(jnp.exp(found.logs), found.logs / period, bound, scale, result)
        return problem.orbit(turn), period, spectrum

    return jax.vmap(one)(points, turns)


def _at_birth(problem: Periodic, special: Special) -> tuple[Array, PyTree, Array, Stability]:
    """The Hopf point as the first row of the branch that is born there: a cycle of no size."""
    matrix = eqx.filter_jit(jacobian)(problem.at(problem.anchor)[0], special.state)
    values = np.linalg.eigvals(np.asarray(matrix))
    # Of the critical pair one makes the trivial multiplier, and the other one that is one as well.
    kept = jnp.asarray(np.delete(values, np.argmin(np.abs(values - complex(special.eigenvalue)))))
    period, size = 2 * jnp.pi / jnp.abs(special.eigenvalue.imag), jnp.linalg.norm(matrix)
    bound = jnp.max(kept.real) + 4 * values.size * problem.precision() * size
    spectrum = Stability(jnp.exp(kept * period), kept, bound, size, RESULTS.successful)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (NODES * STATES + 1, *leaf.shape)), special.state)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (special.value, states, period, spectrum))


def _branch(begin: Start, path: Path, ends: tuple[str, str], result: RESULTS) -> Branch:
    """The branch of a path, with what is known of its points."""
    problem, count, points = begin.problem, len(path.points), padded(path.points)
    if isinstance(problem, Steady):
        states, stability = jax.tree.map(lambda leaf: leaf[:count], _equilibria(problem, points))
        found = specials(problem, path, np.asarray(stability.code))
        return Branch(path.points[:, -1] * problem.unit, states, stability, found, None, ends, result)
    rows = _cycles(problem, points, jax.tree.map(padded, path.extras))
    rows = path.points[:, -1] * problem.unit, *jax.tree.map(lambda leaf: leaf[:count], rows)
    found = specials(problem, path, np.asarray(rows[-1].code))
    if begin.origin is not None and begin.origin.kind == "Hopf":
        rows = jax.tree.map(lambda first, rest: jnp.concatenate([first, rest]), _at_birth(problem, begin.origin), rows)
    values, states, periods, stability = rows
    return Branch(values, states, stability, found, periods, ends, result)


def continuation(
    system: AbstractSystem,
    where: Callable[[Any], Any],
    guess: PyTree | Special | Cycle,
    span: tuple[float, float],
    *,
    step: float = 0.05,
    points: int = 400,
    throw: bool = True,
) -> Branch:
    """The branch of equilibria or cycles as a parameter moves, both ways, through folds, with the bifurcations on it.

    Pseudo-arclength continuation: a step along the tangent, a Newton correction across it, a step size that adapts. A fixed
    point of `Iterated(map, k)` is an orbit of period k. Sign changes of test functions between points find the bifurcations,
    which are then located; two of a kind within one step may be missed.

    What the guess is decides what is followed. A state: the equilibria through the one near it. A `Cycle`: the cycles through
    it, by shooting from eight nodes, their phase tied to that of the last one. A bifurcation from another branch's `specials`:
    the branch that leaves there, which is at a branch point the one that crosses, at a Hopf point of a flow the cycles that are
    born there (both directions of the amplitude are the same cycle, so that it goes one way), at a flip of a map the orbits of
    twice the period (fixed points of `Iterated(map, 2)`), at a period doubling the cycles of twice the period. Where the
    bifurcation is degenerate, as at a centre, that branch is `vertical`.

    Equilibria and their bifurcations are located to rounding. A turn of a cycle is followed with a relative tolerance of 1e-12
    a step, in single precision 1e-5, and its bifurcations are located to the errors that add up in it, some 1e-10, divided
    by how fast the multiplier moves with the parameter.

    Args:
        system: A flow or a map, at the parameter value where the branch starts.
        where: A lens to one array leaf, or to several that share one value.
        guess: A state near the equilibrium, a `Cycle`, or a bifurcation from which another branch leaves. With a bifurcation
            the system is always the one whose branch of equilibria was followed first.
        span: The lowest and the highest value of the parameter; the start lies between them.
        step: The largest step along the arclength, relative to one plus the norm of the state (of a cycle the mean over its
            nodes, and the logarithm of the period); the parameter is measured in widths of the span.
        points: How many points to go each way, at most.
        throw: Raise if the branch is lost before it leaves the span.

    Returns:
        A `Branch`.

    Raises:
        ValueError: An empty span, a start outside it, a lens that selects nothing or only one of two copies, a bifurcation from
            which no branch leaves, a cycle of a family, or a step or number of points that is not positive.
        RuntimeError: No equilibrium near the guess, or the branch is lost or longer than `points` (with `throw`).
    """
    if not (step > 0 and points >= 1):
        raise ValueError(f"continuation: step must be positive and points at least one; got {step} and {points}.")
    low, high = map(float, span)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"The span must be two increasing finite numbers; got {span}.")
    begin = start(system, where, guess, (low, high), throw)
    problem, kind = begin.problem, begin.point.dtype
    ends, lengths = (
        jnp.asarray(span, kind) / problem.unit,
        jnp.asarray([step / 5, step * float(jnp.finfo(kind).eps) ** 0.5, step], kind),
    )
    ahead = follow(problem, begin.point, begin.tangent, ends, lengths, points + 1)
    one_way = int(ahead.code) == CLOSED or begin.origin is not None
    back = None if one_way else follow(problem, begin.point, begin.tangent, ends, -lengths, points + 1)
    codes = int(ahead.code if back is None else back.code), int(ahead.code)
    result = RESULTS.branch_lost if STUCK in codes else RESULTS.branch_long if RUNNING in codes else RESULTS.successful
    check(result, throw, "continuation: ")
    origin = None if begin.origin is None else _BIRTHS[begin.origin.kind]
    return _branch(begin, joined(back, ahead), (origin or ENDS[codes[0]], ENDS[codes[1]]), result)
