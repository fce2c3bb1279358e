"""One adaptive step of a flow at a time, stopping at surfaces where the field is not smooth.

Everything that looks between steps (returns, cycles) is built on this; whoever wants states at given times uses `integrate`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, Scalar, ScalarLike

from . import _tree
from ._field import Ahead, Sided, Tangent, ahead_of, hop, rounding, strayed, switches
from ._results import RESULTS, worst

RUNNING, ARRIVED, TANGENT, DIVERGED, AT_REST, TIMEOUT, STEPS, SLIDING, BROKEN = range(9)
FAR, APPROACH, DENSE = 1e9, 0.9, 64


def outcome(code: Int[Array, "*b"]) -> RESULTS:
    """The result that a code stands for; a search that ran out of time met no section."""
    return worst(
        (code == TANGENT, RESULTS.tangent),
        (code == DIVERGED, RESULTS.diverged),
        (code == AT_REST, RESULTS.at_rest),
        ((code == TIMEOUT) | (code == RUNNING), RESULTS.no_return),
        (code == STEPS, RESULTS.max_steps),
        (code == SLIDING, RESULTS.sliding),
        (code == BROKEN, RESULTS.nonfinite),
    )


def _velocity(t: ScalarLike, y: Array, field: Callable) -> Array:
    return field(y)


_TERM = diffrax.ODETerm(_velocity)


class March(NamedTuple):
    """Where an orbit is, and how it goes on: the next step's length, and on which sides of the switches it is."""

    t: Scalar
    y: Float[Array, " n"]
    h: Scalar
    memory: Any
    sides: Bool[Array, " k"]
    steps: Int[Array, ""]
    code: Int[Array, ""]


class Step(NamedTuple):
    """An attempted step: its length, whether it is kept, the data of its interpolation, and whether it jumped a switch."""

    h: Scalar
    kept: Bool[Array, ""]
    dense: Any
    jumped: Bool[Array, ""]


class Solver(eqx.Module):
    """A diffrax solver with its tolerances."""

    solver: diffrax.AbstractSolver
    rtol: float = eqx.field(static=True)
    atol: float = eqx.field(static=True)

    def _controller(self) -> diffrax.PIDController:
        return diffrax.PIDController(self.rtol, self.atol)

    def _memory(self, field: Any, y: Float[Array, " n"], h: Scalar) -> Any:
        return self.solver.init(_TERM, jnp.zeros_like(h), h, y, field)

    def start(self, field: Any, y: Float[Array, " n"]) -> March:
        """An orbit at its start."""
        zero, order = jnp.zeros((), y.dtype), self.solver.error_order(_TERM)
        first, memory = self._controller().init(_TERM, zero, zero + 1, y, None, field, self.solver.func, order)
        h, sides = jnp.asarray(first), self.sides(field, y)
        finite = jnp.all(jnp.isfinite(y)) & jnp.isfinite(h)
        state = self._memory(*_beside(field, y, sides), h)
        return March(zero, y, h, (state, memory), sides, jnp.zeros((), int), jnp.where(finite, RUNNING, BROKEN))

    def sides(self, field: Any, z: Float[Array, " m"]) -> Bool[Array, " k"]:
        """On which side of each switch a state is; on one, that to which the orbit goes."""
        y = field.point(z)
        values, rates = jax.jvp(field.base.switches, (y,), (field.base(y),))
        return jnp.where(jnp.abs(values) <= rounding(y), rates >= 0, values >= 0)

    def resume(self, field: Any, y: Float[Array, " n"], h: Scalar, sides: Bool[Array, " k"]) -> March:
        """An orbit that goes on with a step of a given length, on given sides of the switches."""
        zero, order = jnp.zeros((), y.dtype), self.solver.error_order(_TERM)
        _, memory = self._controller().init(_TERM, zero, zero + 1, y, h, field, self.solver.func, order)
        state = self._memory(*_beside(field, y, sides), h)
        return March(
            zero, y, h, (state, memory), sides, jnp.zeros((), int), jnp.where(jnp.all(jnp.isfinite(y)), RUNNING, BROKEN)
        )

    def rests(self, field: Any, y: Float[Array, " n"]) -> Bool[Array, ""]:
        """Whether a state is an equilibrium to within the tolerances."""
        return jnp.all(jnp.abs(field(y)) <= 100 * (self.atol + self.rtol * jnp.abs(y)))

    def retake(self, field: Any, y: Float[Array, " n"], h: Scalar) -> Float[Array, " n"]:
        """One step of any length from a state, without a look at its error."""
        return self.solver.step(_TERM, jnp.zeros_like(h), h, y, field, self._memory(field, y, h), made_jump=False)[0]

    def attempt(self, field: Any, march: March, limit: Scalar, scale: Scalar | float = 1.0) -> tuple[March, Step]:
        """A step up to the time `limit` at most, or a part of one: the orbit after it, where it was if the step is not kept."""
        proposed, (state, memory), sides = march.h, march.memory, march.sides
        rest, zero = limit - march.t, jnp.zeros_like(march.t)
        h = jnp.minimum(proposed * scale, rest)
        ahead = ahead_of(field, march.y, sides) if sides.size else None
        if ahead is not None:
            h = jnp.where(ahead.time < h, jnp.maximum(APPROACH * ahead.time, ahead.short / 2), h)
        inner, y = _beside(field, march.y, sides)
        end, error, dense, later, _ = self.solver.step(_TERM, zero, h, y, inner, state, made_jump=False)
        error = jnp.where(jnp.isfinite(jnp.asarray(error)), jnp.asarray(error), jnp.inf)
        order = self.solver.error_order(_TERM) or 1
        good, begin, finish, _, memory, _ = self._controller().adapt_step_size(zero, h, y, end, inner, error, order, memory)
        kept = jnp.asarray(good)
        # A step that was cut short says little about the next one's length.
        following = jnp.where(kept & (h < proposed), jnp.maximum(finish - begin, proposed), finish - begin)
        t = jnp.where(h >= rest, limit, march.t + h)
        moved = March(t, end[: march.y.size], following, (later, memory), sides, march.steps, march.code)
        jumped = jnp.zeros((), bool)
        if ahead is not None:
            left = jnp.any(dense["k"][..., -1] != 0) | strayed(field, moved.y, sides)
            kept, following = kept & ~left, jnp.where(left, h / 2, following)
            jumped = ahead.time <= ahead.short
            over = self._over(field, march, ahead)
            moved = jax.tree.map(lambda a, b: jnp.where(jumped, a, b), over, moved)
            kept, h = kept | jumped, jnp.where(jumped, ahead.time + ahead.short, h)
        still = march._replace(h=following, memory=(state, memory))
        moved = jax.tree.map(lambda a, b: jnp.where(kept, a, b), moved, still)
        far = ~(jnp.linalg.norm(moved.y) < FAR)
        stuck = ~(moved.h > jnp.finfo(y.dtype).eps ** 2)
        code = jnp.where(moved.code != RUNNING, moved.code, jnp.where(far, DIVERGED, jnp.where(stuck, BROKEN, RUNNING)))
        return moved._replace(steps=march.steps + 1, code=code), Step(h, kept, dense, jumped)

    def _over(self, field: Any, march: March, ahead: Ahead) -> March:
        """The orbit on the other side of a switch."""
        way = hop(field, march.y, ahead)
        y = field.land(march.y, way)
        sides = switches(field, y) >= 0
        back = way.rate_behind * way.rate < -1e3 * jnp.finfo(y.dtype).eps * way.rate**2
        code = jnp.where(back, SLIDING, jnp.where(sides[way.which] == march.sides[way.which], TANGENT, RUNNING))
        state = self._memory(*_beside(field, y, sides), march.h)
        t = march.t + ahead.time + ahead.short
        return March(t, y, march.h, (state, march.memory[1]), sides, march.steps, code)


def _beside(field: Any, y: Float[Array, " n"], sides: Bool[Array, " k"]) -> tuple[Any, Float[Array, " m"]]:
    """The field and the state that a step takes: with one more coordinate where there are switches."""
    return (Sided(field, sides), jnp.append(y, 0.0)) if sides.size else (field, y)


def settings(x: PyTree, solver: diffrax.AbstractSolver | None, rtol: float | None, atol: float | None) -> Solver:
    """A solver with the tolerances that the state's type allows.

    Raises:
        ValueError: A tolerance at which the step controller would stall.
    """
    eps = _tree.eps(x)
    default = 1e-12 if eps < 1e-10 else 1e-5
    rtol, atol = default if rtol is None else rtol, default if atol is None else atol
    if rtol < 50 * eps:
        raise ValueError(
            f"rtol={rtol:g} is below 50 machine epsilons of the state's type ({50 * eps:.1g}); the step "
            "controller would stall. Use a larger tolerance, or double precision (jax_enable_x64)."
        )
    return Solver(solver or diffrax.Dopri8(), rtol, atol)


@eqx.filter_custom_jvp
def flow_map(field: Any, y: Float[Array, " n"], time: Scalar, solver: Solver, max_steps: int) -> Float[Array, " n"]:
    """The state after a time, not finite if the solve failed.

    Its derivatives of every order come from the variational equation, solved to the same tolerances; across switches, those of
    first order.
    """

    def going(march: March) -> Array:
        return (march.t < time) & (march.code == RUNNING) & (march.steps < max_steps)

    final = jax.lax.while_loop(going, lambda march: solver.attempt(field, march, time)[0], solver.start(field, y))
    return jnp.where(final.t < time, jnp.nan, final.y)


@flow_map.def_jvp
def _flow_map_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    field, y, time, solver, max_steps = primals
    shift, dy, dt, _, _ = tangents
    # The end is solved for by itself, because no primal value may depend on a tangent.
    end = flow_map(field, y, time, solver, max_steps)
    change = carried(field, y, time, solver, max_steps, (shift, dy))
    return end, change if dt is None else change + field(end) * dt


def carried(
    field: Any, y: Float[Array, " n"], time: Scalar, solver: Solver, max_steps: int, tangents: tuple[PyTree, Array | None]
) -> Float[Array, " n"]:
    """What becomes of a displacement of the field's leaves and of the state after a time."""
    vector, unravel = _tree.ravel(tangents)

    def push(w: Array) -> Array:
        shift, dy = unravel(w)
        start = jnp.concatenate([y, jnp.zeros_like(y) if dy is None else dy])
        return jnp.split(flow_map(Tangent(field, shift), start, time, solver, max_steps), 2)[1]

    # A few directions as a matrix, which unlike an adaptive solve can be transposed: root finders ask for gradients.
    return vector @ jax.vmap(push)(jnp.eye(vector.size, dtype=vector.dtype)) if vector.size <= DENSE else push(vector)
