"""Solutions of flows, by diffrax."""

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, ScalarLike

from . import _tree
from ._evolve import Trajectory, prepare
from ._results import RESULTS, check, worst
from ._system import AbstractFlow


def _velocity(t: ScalarLike, x: PyTree, flow: PyTree) -> PyTree:
    return flow(x)


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
    hundreds of turns; a loose tolerance turns centres into spirals.

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
    eps = _tree.eps(x)
    default = 1e-12 if eps < 1e-10 else 1e-5
    tolerances = (default if rtol is None else rtol, default if atol is None else atol)
    if tolerances[0] < 50 * eps:
        raise ValueError(
            f"rtol={tolerances[0]:g} is below 50 machine epsilons of the state's type ({50 * eps:.1g}); the step "
            "controller would stall. Use a larger tolerance, or double precision (jax_enable_x64)."
        )
    trajectory = _integrate(
        flow, x, times, solver or diffrax.Dopri8(), tolerances, max_steps, progress or diffrax.NoProgressMeter()
    )
    check(trajectory.result, throw, "integrate: ")
    return trajectory
