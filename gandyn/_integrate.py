"""Solutions of flows, by diffrax."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, ScalarLike

from . import _march, _tree
from ._evolve import Trajectory, prepare
from ._field import Flat
from ._march import March, Solver
from ._results import RESULTS, check, worst
from ._system import AbstractFlow


def _velocity(t: ScalarLike, x: PyTree, flow: PyTree) -> PyTree:
    return flow(x)


@eqx.filter_jit
def _through_switches(
    flow: AbstractFlow,
    x: PyTree,
    ts: Float[Array, " t"],
    solver: Solver,
    max_steps: int,
    progress: diffrax.AbstractProgressMeter,
) -> Trajectory:
    """Step by step, with a stop at every surface on which the field is not smooth."""
    y, unravel = _tree.ravel(x)
    field, spans = Flat(flow, unravel), (ts - ts[0]).astype(y.dtype)

    def to(carry: tuple[March, PyTree], span: Array) -> tuple[tuple[March, PyTree], Array]:
        march, meter = carry

        def going(m: March) -> Array:
            return (m.t < span) & (m.code == _march.RUNNING) & (m.steps < max_steps)

        march = jax.lax.while_loop(going, lambda m: solver.attempt(field, m, span)[0], march)
        reached = jnp.where(march.t < span, jnp.nan, march.y)
        return (march, progress.step(meter, span / spans[-1])), reached

    (end, meter), ys = jax.lax.scan(to, (solver.start(field, y), progress.init()), spans)
    progress.close(meter)
    result = worst(
        (end.code == _march.BROKEN, RESULTS.nonfinite),
        (end.code != _march.RUNNING, _march.outcome(end.code)),
        (end.t < spans[-1], RESULTS.max_steps),
    )
    return Trajectory(ts, jax.vmap(unravel)(ys), result, {"num_steps": end.steps, "max_steps": max_steps})


@eqx.filter_jit
def _integrate(
    flow: AbstractFlow,
    x: PyTree,
    ts: Float[Array, " t"],
    solver: diffrax.AbstractSolver,
    tolerances: tuple[float, float],
    max_steps: int,
    progress: diffrax.AbstractProgressMeter,
) -> Trajectory:
    rtol, atol = tolerances
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_velocity),
        solver,
        ts[0],
        ts[-1],
        None,
        x,
        flow,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol, atol),
        max_steps=max_steps,
        progress_meter=progress,
        throw=False,
    )
    result = worst(
        (~_tree.finite(flow(x)), RESULTS.nonfinite),
        (solution.result == diffrax.RESULTS.max_steps_reached, RESULTS.max_steps),
        (~_tree.finite(solution.ys), RESULTS.nonfinite),
        (solution.result != diffrax.RESULTS.successful, RESULTS.nonfinite),
    )
    return Trajectory(jnp.asarray(solution.ts), solution.ys, result, solution.stats)


def integrate(
    flow: AbstractFlow,
    x: PyTree,
    ts: _tree.Numbers,
    *,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int = 100_000,
    progress: diffrax.AbstractProgressMeter | None = None,
    throw: bool = True,
) -> Trajectory:
    r"""Solve :math:`\dot x = v(x)` by an adaptive solver.

    The default, order eight at a relative tolerance of 1e-12 in double precision, keeps the radius of a centre for
    hundreds of turns; a loose tolerance turns centres into spirals. At surfaces on which the field is not smooth (see
    `AbstractSystem.switches`) an explicit Runge–Kutta method stops and goes on from the other side; any other solver steps
    across them, at the price of its accuracy.

    Args:
        flow: The flow or game.
        x: The state at the first time.
        ts: The times at which to keep the state, increasing; the first is the start.
        solver: A diffrax solver; `diffrax.Dopri8()` if left out.
        rtol: Relative tolerance per step; 1e-12 in double, 1e-5 in single precision.
        atol: Absolute tolerance per step; as `rtol`.
        max_steps: Steps after which to give up.
        progress: A diffrax progress meter for long runs.
        throw: Raise if the solve fails.

    Returns:
        A `Trajectory`; after a failure the states it did not reach are not finite.

    Raises:
        ValueError: A map in place of a flow, times that do not increase, a state of the wrong structure, or a tolerance
            below fifty times the machine epsilon.
        RuntimeError: The solve failed (with `throw`).
    """
    if not isinstance(flow, AbstractFlow):
        raise ValueError(f"integrate takes a flow; {type(flow).__name__} is none. For a map use `iterate`.")
    flow, x = prepare(flow, x)
    times = _tree.real(ts)
    if times.ndim != 1 or times.size < 2 or (_tree.concrete(times) and not np.all(np.diff(times) > 0)):
        raise ValueError(f"ts must hold at least two increasing times; got {times}.")
    chosen, meter = _march.settings(x, solver, rtol, atol), progress or diffrax.NoProgressMeter()
    if isinstance(chosen.solver, diffrax.AbstractERK) and jax.eval_shape(flow.switches, x).size:
        trajectory = _through_switches(flow, x, times, chosen, max_steps, meter)
    else:
        trajectory = _integrate(flow, x, times, chosen.solver, (chosen.rtol, chosen.atol), max_steps, meter)
    check(trajectory.result, throw, "integrate: ")
    return trajectory
