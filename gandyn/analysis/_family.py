"""Families of closed orbits: the period as a function of where one starts."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, ScalarLike

from .. import _march, _tree
from .._crossing import GUARD, search
from .._evolve import prepare
from .._field import Flat
from .._march import Solver
from .._results import RESULTS, check
from .._system import AbstractFlow
from ._recurrence import across, same_to

RETURNS = 4


class Family(eqx.Module):
    """Orbits through several states, each followed until it comes back.

    `periods` are the times after which the orbits come back, `gaps` how far from their starts they then are, relative to the
    way they went: rounding for closed orbits, which are a family if they are neighbours of one another. `closed` says which
    close to within a thousand-millionth of it, or in single precision two parts in ten thousand: the errors of a turn at the
    tolerance of the solver, and some more.
    """

    periods: Float[Array, "*k"]
    gaps: Float[Array, "*k"]
    closed: Bool[Array, "*k"]
    states: PyTree
    result: RESULTS

    def __str__(self) -> str:
        return (
            f"{int(jnp.sum(self.closed))} of {self.closed.size} orbits closed; periods {float(jnp.nanmin(self.periods)):.10g} "
            f"to {float(jnp.nanmax(self.periods)):.10g}"
        )


@eqx.filter_jit
def _family(flow: AbstractFlow, states: PyTree, limit: Array, solver: Solver, max_steps: int) -> Family:
    def run(x: PyTree) -> Family:
        y, unravel = _tree.ravel(x)
        field = Flat(flow, unravel)
        (times, ends, _, _), end = search(field, across(field, y), y, RETURNS, limit.astype(y.dtype), GUARD, solver, max_steps)
        gaps = jnp.linalg.norm(ends - y[None], axis=1) / (jnp.linalg.norm(field(y)) * times)
        gaps = jnp.where(jnp.isfinite(gaps), gaps, jnp.inf)
        # The first that is as good as any, as an orbit that closes does so every time.
        same = same_to(solver)
        which = jnp.argmax(gaps <= 10 * jnp.min(gaps) + same)
        code = jnp.where(jnp.isfinite(times[which]), _march.ARRIVED, end.code)
        return Family(times[which], gaps[which], gaps[which] <= same, x, _march.outcome(code))

    return jax.vmap(run)(states)


def family(
    flow: AbstractFlow,
    states: PyTree,
    *,
    max_time: ScalarLike = 1e3,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    max_steps: int = 100_000,
    throw: bool = True,
) -> Family:
    """The orbits through several states, with their periods where they close: the period against the amplitude at a centre.

    Each orbit is followed back to the plane across the flow through its start.

    Args:
        flow: The flow or game.
        states: States along a leading axis.
        max_time: The time after which to give up.
        solver: A diffrax Runge–Kutta method; `diffrax.Dopri8()` if left out.
        rtol: Relative tolerance per step, and the absolute one; 1e-12 in double, 1e-5 in single precision.
        max_steps: Steps after which to give up.
        throw: Raise if an orbit does not come back to its plane.

    Returns:
        A `Family` with `.periods` and `.gaps`.

    Raises:
        ValueError: A map in place of a flow, or states of the wrong structure.
        RuntimeError: An orbit does not come back (with `throw`).
    """
    if not isinstance(flow, AbstractFlow):
        raise ValueError(f"family takes a flow; {type(flow).__name__} is none.")
    states = _tree.state_arrays(states)
    first = jax.tree.map(lambda leaf: leaf[0], states)
    flow, first = prepare(flow, first)
    found = _family(flow, states, _tree.real(max_time), _march.settings(first, solver, rtol, rtol), max_steps)
    check(found.result, throw, "family: ")
    return found
