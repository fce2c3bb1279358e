"""What can go wrong at run time, each with a message that says what to try."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool


class RESULTS(eqx.Enumeration):
    """The outcome of a computation; a result whose `.result` is not `successful` holds no verdict."""

    successful = ""
    nonfinite = (
        "A non-finite value (NaN or infinity) appeared. The state may have left the domain of the objective, or the "
        "orbit diverged: try a smaller step or time, another start, or an objective defined everywhere."
    )
    max_steps = (
        "The solver used up its steps. Raise `max_steps`, loosen `rtol` and `atol`, integrate for a shorter time, or "
        "pass a stiff solver such as diffrax.Kvaerno5()."
    )
    not_converged = (
        "No equilibrium was found from this guess: the residual stayed above the tolerance. Try another guess, "
        "`equilibria` over a box, or another root finder."
    )
    not_stationary = (
        "The point is not an equilibrium of this system: its residual is too large for a verdict. Pass the state "
        "returned by `equilibrium`; for the spectrum at an arbitrary point use `linearize`."
    )
    no_eigenvalue = (
        "No eigenvalue converged within the restarts. Give `Arnoldi` a larger `basis` or more `restarts`, or take "
        "spectrum=gd.Dense() where the matrix fits."
    )
    few_eigenvalues = (
        "Fewer eigenvalues converged within the restarts than were asked for. Give `Arnoldi` a larger `basis`, more `restarts` "
        "or a looser `tolerance`, or take spectrum=gd.Dense() where the matrix fits; with throw=False the rows that did not "
        "converge are NaN."
    )
    border_not_covered = (
        "The search for the eigenvalues nearest to the border of stability ended before it had covered it, so that nearer ones "
        "may be missing. Give `Critical` more `shifts` or `Arnoldi` a larger `count`, or take spectrum=gd.Dense() where the "
        "matrix fits; what was found is returned with throw=False."
    )
    not_tangent = (
        "The manifold given as `modulo` is not one of equilibria of this system at this point: the residual changes along it. "
        "Compute it by `manifold` from the same system and state."
    )
    switching = (
        "The point lies on a surface where the field is not smooth, so it has no Jacobian there. Look at the one-sided "
        "fields beside it, or use a smooth penalty or objective."
    )
    unsettled = (
        "Part of the map's memory still changes although its point is at rest, so that the state is no fixed point. Run a "
        "periodic clock under gd.Iterated, give a map with a clock a `settle` that says where training ends, or pass the "
        "memory that it comes to rest in; for a map with noise there is `stationary`."
    )
    no_step = "The equation of an implicit step has no solution that Newton's method reaches. Use a smaller step size."
    singular_step = (
        "The linear system that the step solves is singular: the follower's own Jacobian of Follow-the-Ridge, which needs a "
        "curvature in every direction (a penalty gives one), or that of competitive gradient descent, which another step size "
        "makes regular."
    )
    inner_diverged = (
        "The inner maximisation diverges: its steps overshoot, and a displacement comes back larger on the other side. Use a "
        "smaller inner step, below two over the largest curvature of the inner loss."
    )
    inner_unbounded = (
        "The inner maximisation has no maximum in reach: the discriminator's payoff less the price of moving rises for as long "
        "as its solver steps, or the solver stops where there is a slope, as at a kink. Raise `lam`, or pass another solver."
    )
    inner_saddle = (
        "The inner maximisation is at rest where it has no maximum: the discriminator's payoff curves upwards there by more "
        "than the price of moving. Raise `lam` above half of that curvature in the Euclidean norm, or take another point."
    )
    inner_flat = (
        "The inner maximum is not strict: in some direction neither the discriminator's payoff nor the norm has a curvature. "
        "Raise `lam` from zero, take a norm that charges for every direction, such as `euclidean`, or add a penalty "
        "(weight_decay)."
    )
    not_concave = (
        "The c-transform of the discriminator has no maximum in reach of Newton's method: the discriminator is not c-concave. "
        "Its curvature must stay below twice the weight of the cost: start from a flatter one, penalise it, or take a larger "
        "weight."
    )
    singular_rule = (
        "The optimiser's step has no derivative at rest: it divides by the square root of a second moment that is zero there, "
        "or takes a sign. Pass a positive `eps_root` (optax.adam(..., eps_root=1e-8)), or study it by `iterate`."
    )
    not_stable = "The mean square grows, so that there is no stationary covariance. Use a smaller step size or larger batches."
    no_verdict = (
        "Part of the bracket has no verdict, because no equilibrium was found there or numerics cannot tell; elsewhere the "
        "verdict does not change. Look at `equilibrium` and `stability` at both ends."
    )
    no_crossing = "The verdict does not change within the bracket. Widen the bracket, or look at `stability` at both ends."
    branch_lost = (
        "The branch was lost: Newton's method did not find its next point at the smallest step. It may end where the field is "
        "not smooth or not defined; look at the points found with throw=False, or take a smaller `step`."
    )
    branch_long = "The branch did not leave the span within `points`. Raise `points`, take a larger `step`, or a narrower span."
    no_return = (
        "The orbit did not meet the section so often in the time and the steps allowed. Take another section, such as one "
        "through a point of the orbit, or the other direction; raise `max_time` or `max_steps` where they are arguments; give "
        "`cycle` a `period` and a state near the orbit, or for a stiff field a larger `rtol`."
    )
    tangent = (
        "The orbit touches the section, or crosses it twice within a thousandth of a step, so that whether it crosses "
        "cannot be told. Take another section: that across the flow (Section.across) is tangent nowhere near its point."
    )
    diverged = "The orbit runs away: its norm passed 1e9. Take another start, or look at its direction in time."
    at_rest = (
        "The orbit is at rest, at an equilibrium to within the tolerances, so that it crosses nothing any more and belongs "
        "to no cycle. Take another start; see `equilibrium` and `stability`."
    )
    no_cycle = (
        "No closed orbit was found from this guess: shooting did not converge. Take a state nearer to the cycle, give "
        "`period`, or use more `segments`."
    )
    no_period = "The guessed period is not positive. Leave it out to have it read off the orbit's returns."
    sliding = (
        "The orbit reaches a surface where the field is not smooth and from both sides of which it is driven back: it "
        "slides, and the field does not say how. Use a smooth field, or gd.Constrained for a constraint."
    )
    infeasible = (
        "The point breaks a constraint: a margin is negative. Pass `constraint.project(x)`, or another constraint, with "
        "`where` for the part of the state that it binds."
    )
    not_stackelberg = (
        "The point is no Stackelberg equilibrium, or the discriminator is not at a maximum, so that it is proximal for no "
        "lambda. The conditions of the result say which player has what curvature."
    )
    undecided = (
        "The second-order conditions do not decide: an eigenvalue is zero to within its error, and what lies beyond second "
        "order does not tell either. Pass a more exact point, quadratures of higher order, or a penalty that curves flat "
        "directions."
    )
    no_circle = (
        "The orbit is on no invariant circle: it came to rest, is still on its way, or is chaotic, so that the averages "
        "along it do not converge. Raise `transient` and `steps`, or ask `attractor` what the orbit ends on."
    )


OUTCOMES = (
    "successful",
    "nonfinite",
    "max_steps",
    "not_converged",
    "not_stationary",
    "no_eigenvalue",
    "few_eigenvalues",
    "border_not_covered",
    "not_tangent",
    "switching",
    "unsettled",
    "no_step",
    "singular_step",
    "inner_diverged",
    "not_concave",
    "inner_unbounded",
    "inner_saddle",
    "inner_flat",
    "singular_rule",
    "not_stable",
    "no_verdict",
    "no_crossing",
    "branch_lost",
    "branch_long",
    "no_circle",
    "no_return",
    "tangent",
    "diverged",
    "at_rest",
    "sliding",
    "no_cycle",
    "no_period",
    "infeasible",
    "not_stackelberg",
    "undecided",
)


def codes() -> dict[str, int]:
    """The number by which each outcome is carried, by its name."""
    return {name: int(jax.tree.leaves(getattr(RESULTS, name))[0]) for name in OUTCOMES}


def worst(*pairs: tuple[Bool[Array, ""], RESULTS]) -> RESULTS:
    """The first outcome whose condition holds, or `successful`."""
    result = RESULTS.successful
    for failed, outcome in reversed(pairs):
        result = RESULTS.where(failed, outcome, result)
    return result


def first(a: RESULTS, b: RESULTS) -> RESULTS:
    """`a` where it failed, otherwise `b`."""
    return RESULTS.where(a == RESULTS.successful, b, a)


def check(result: RESULTS, throw: bool, what: str = "") -> None:
    """Raise a `RuntimeError` for a failed result.

    Inside `jit` and `vmap` nothing can be raised: a failed lane is read off its `.result`.
    """
    failed = jnp.asarray(result != RESULTS.successful)
    if throw and not isinstance(failed, Tracer) and bool(jnp.any(failed)):
        if jnp.ndim(failed):
            raise RuntimeError(f"{what}{int(failed.sum())} of {failed.size} lanes failed; pass throw=False and read `.result`.")
        raise RuntimeError(what + message(result))


def message(result: RESULTS) -> str:
    """The text of a concrete result; empty when it succeeded."""
    return RESULTS[result]
