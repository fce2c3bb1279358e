"""Where a verdict changes as a parameter moves: thresholds, and critical step sizes as the case that has its own name."""

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
from ..maps._gradient import SimGD
from ._equilibrium import Manifold, _equilibrium, newton
from ._moved import Moved, as_one, move, moved_by
from ._sensitivity import carry, primal
from ._stability import _stability, stability, tangent_of
from ._verdict import MARGINAL, STABLE, UNSTABLE, VERDICTS


class Threshold(eqx.Module):
    """The parameter values at which the verdict changes, ascending, and the verdicts on either side of each.

    The values are differentiable functions of the system's other leaves, see `threshold`.
    """

    values: Float[Array, " k"]
    verdicts: tuple[tuple[str, str], ...] = eqx.field(static=True)
    result: RESULTS

    @property
    def value(self) -> Scalar:
        """The lowest crossing; NaN if there is none."""
        return self.values[0] if self.values.size else jnp.asarray(jnp.nan)

    def __str__(self) -> str:
        pairs = zip(np.asarray(self.values), self.verdicts, strict=True)
        lines = [f"{value:.12g}: {before} -> {after}" for value, (before, after) in pairs]
        return "\n".join(lines) or "the verdict does not change"


@eqx.filter_jit
def _codes(system: AbstractSystem, chosen: Moved, guess: PyTree, tangent: Array | None, solver: Any, values: Array) -> Array:
    def code(value: Array) -> Array:
        moved = move(system, chosen, value)
        return _stability(moved, _equilibrium(moved, guess, solver, 256).state, tangent).code

    return jax.vmap(code)(values)


SAMPLES = 129
_DECIDED = (STABLE, UNSTABLE, MARGINAL)


def samples(low: float, high: float) -> np.ndarray:
    """Where a bracket is sampled: geometrically where its ends are positive and more than a decade apart."""
    logarithmic = low > 0 and high / low > 10
    return np.geomspace(low, high, SAMPLES) if logarithmic else np.linspace(low, high, SAMPLES)


def _changes(values: np.ndarray, codes: np.ndarray) -> list[tuple[float, float, int, int]]:
    kept = np.isin(codes, _DECIDED)
    values, codes = values[kept], codes[kept]
    jumps = np.flatnonzero(codes[1:] != codes[:-1])
    return [(values[i], values[i + 1], int(codes[i]), int(codes[i + 1])) for i in jumps]


def _edge(codes_at: Callable, a: float, b: float, code: int, eps: float) -> tuple[float, int]:
    """Where going from `a` to `b` the verdict first is another one than `code`, to rounding, and which one."""
    smallest = eps * abs(b - a)
    while True:
        grid = np.linspace(a, b, SAMPLES)
        codes = codes_at(grid)
        codes[0] = code
        others = np.flatnonzero(codes != code)
        i = int(others[0]) if others.size else SAMPLES - 1
        done = abs(b - a) <= 4 * eps * max(abs(a), abs(b), smallest) or (grid[i - 1], grid[i]) in ((a, b), (a, a))
        a, b = grid[i - 1], grid[i]
        if done:
            return (a + b) / 2, int(codes[i])


def _near(value: float, eps: float, width: float) -> float:
    return max(eps**0.5 * abs(value), eps**0.75 * width)


def _crossings(codes_at: Callable[[np.ndarray], np.ndarray], low: float, high: float, eps: float) -> list[tuple]:
    """Every change of the verdict that the samples show, refined by the same compiled call.

    A band without a verdict is bridged where it is as narrow as rounding makes it, and has two edges where it is wide.
    """
    found = []
    values = samples(low, high)
    for left, right, before, after in _changes(values, codes_at(values)):
        value, code = _edge(codes_at, left, right, before, eps)
        if code in _DECIDED:
            found.append((value, before, code))
            before = code
        if before == after:
            continue
        last, inner = _edge(codes_at, right, value, after, eps)
        if last - value <= _near(value, eps, high - low):
            found.append(((value + last) / 2, before, after))
        else:
            found += [(value, before, code)] * (code != before) + [(last, inner, after)]
    return found


def _merged(crossings: list[tuple], eps: float, width: float) -> list[tuple]:
    """Crossings that rounding has split at a band of marginal verdicts, put together again."""
    merged: list[tuple] = []
    for value, before, after in crossings:
        if merged and abs(value - merged[-1][0]) <= _near(value, eps, width) and merged[-1][2] == before:
            last = merged.pop()
            if last[1] != after:
                merged.append(((last[0] + value) / 2, last[1], after))
        else:
            merged.append((value, before, after))
    return merged


def find_crossings(codes_at: Callable[[np.ndarray], np.ndarray], low: float, high: float, eps: float) -> list[tuple]:
    """Every change of the verdict in a bracket: the values, with the codes before and after, ascending."""
    return _merged(_crossings(codes_at, low, high, eps), eps, high - low)


def threshold(
    system: AbstractSystem,
    where: Callable[[Any], Any],
    guess: PyTree,
    bracket: tuple[float, float],
    *,
    modulo: Manifold | None = None,
    solver: Any = None,
    throw: bool = True,
) -> Threshold:
    """Where the verdict changes as one parameter moves through a bracket.

    The equilibrium is solved for again at each value. The bracket is sampled at 129 values (geometrically where its
    ends are positive and more than a decade apart) and each change of the verdict is refined to rounding; two changes
    between neighbouring samples may be missed. Between two verdicts there may be a band without one (undecided, or no
    equilibrium): both of its edges are reported unless it is as narrow as rounding makes it.

    Every value is differentiable once in the system's other leaves, by the implicit function theorem on the growth at the
    equilibrium, so that `jax.grad` and `jax.jvp` of a function that calls `threshold` are exact. The derivative is NaN where
    there is none, or first derivatives do not tell it: where two modes cross together or a double eigenvalue is defective,
    where the growth touches zero or is zero on one side, at the end of a band without a verdict, and where branches cross. On
    a manifold of equilibria the state is taken to move across it, from a guess that is one of them.

    Args:
        system: A flow or a map.
        where: A lens to one array leaf, or to several that share one value.
        guess: A state near the equilibrium throughout.
        bracket: The lowest and the highest value.
        modulo: The manifold of equilibria (see `manifold`), if they lie on one; the verdicts are then those of the modes
            transverse to it. Its tangent space must be the same at every value; where it is not there is no verdict.
        solver: An optimistix root finder; Newton's method if left out, since the guess is close.
        throw: Raise if the verdict does not change.

    Returns:
        A `Threshold`: `.value` is the lowest crossing, `.values` are all.

    Raises:
        ValueError: An empty bracket, a lens that selects nothing or only one of two copies, or a call inside `jit` or `vmap`.
        RuntimeError: The verdict does not change (with `throw`).
    """
    chosen = _tree.select(system, where)
    _tree.check_tied(primal(system), chosen, AbstractSystem)
    found = _threshold(system, as_one(chosen), guess, bracket, modulo, solver)
    check(found.result, throw, "threshold: ")
    return found


def _threshold(
    system: AbstractSystem,
    chosen: Moved,
    guess: PyTree,
    bracket: tuple[float, float],
    modulo: Manifold | None,
    solver: Any = None,
) -> Threshold:
    still, start = prepare(*primal((system, guess)))
    moved, tangent = primal(chosen), tangent_of(modulo, start)
    low, high = map(float, bracket)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"The bracket must be two increasing finite numbers; got {bracket}.")
    solver, eps = solver or newton(start), _tree.eps(start)

    def codes_at(values: np.ndarray) -> np.ndarray:
        return np.array(_codes(still, moved, start, tangent, solver, _tree.real(values)))

    crossings = find_crossings(codes_at, low, high, eps)
    values = _tree.real(np.array([value for value, _, _ in crossings], dtype=float))
    verdicts = tuple((VERDICTS[before], VERDICTS[after]) for _, before, after in crossings)
    if crossings:
        values = carry(values, system, chosen, guess, tangent, _tree.real(high - low))
        return Threshold(values, verdicts, RESULTS.successful)
    decided = np.all(np.isin(codes_at(samples(low, high)), _DECIDED))
    return Threshold(values, verdicts, RESULTS.no_crossing if decided else RESULTS.no_verdict)


def critical_step(
    step: AbstractMap,
    x: PyTree,
    bracket: tuple[float, float] = (1e-4, 1e2),
    *,
    modulo: Manifold | None = None,
    throw: bool = True,
) -> Threshold:
    r"""The step size above which a training algorithm is no longer stable.

    For `SimGD` in closed form, :math:`h_c = \min_i 2|{\rm Re}\,\lambda_i|/|\lambda_i|^2`; for every other map by
    `threshold` on its step size, which agrees, and with the same derivative. Several step sizes are moved by one factor, and
    the first is reported.

    Args:
        step: A map with a step size (see `AbstractMap.step_size`).
        x: An equilibrium of the map.
        bracket: Where the general method looks.
        modulo: The manifold of equilibria through `x` (see `manifold`), along which nothing is asked to decay.
        throw: Raise if no step size in reach is critical.

    Returns:
        A `Threshold`.

    Raises:
        ValueError: The map has no step size, or a call inside `jit` or `vmap`.
        RuntimeError: The map is stable for no step size, or for all in the bracket (with `throw`).
    """
    if not (isinstance(step, SimGD) and step.spectrum_of()[0] is step.flow):
        found = _threshold(step, moved_by(step, lambda s: s.step_size()), x, bracket, modulo)
        check(found.result, throw, "critical_step: ")
        return found
    flow = stability(*primal((step.flow, x)), modulo=modulo, throw=throw)
    found = Threshold(jnp.zeros((0,)), (), RESULTS.no_crossing)
    if flow.verdict == "stable":
        value = flow.critical_step
        tangent, moved = tangent_of(modulo, _tree.state_arrays(primal(x))), moved_by(step, lambda s: s.h)
        value = carry(value[None], step, moved, x, tangent, value)
        found = Threshold(value, (("stable", "unstable"),), RESULTS.successful)
    check(found.result, throw, "critical_step: ")
    return found
