"""The crossings of an orbit with a section: found between the steps of a solver, and polished by steps of their own."""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, Scalar, ScalarLike

from . import _march, _tree
from ._evolve import prepare
from ._field import Flat
from ._march import March, Solver, Step
from ._results import RESULTS, check
from ._section import OnVectors, Section, prepare_section
from ._system import AbstractFlow

NODES = 8
CLOSEST = 1e-3
# In first steps of the solver: how far from the section a start counts as on it. Rounding is added to it.
GUARD = 1e-9


class Crossings(eqx.Module):
    """Where an orbit crosses a section, in the order of time.

    `ts` and `xs` are the times from the start and the states; `directions` are the signs with which the section's function
    passes zero; `angles` are the sines of the angles between orbit and section, one where they are at right angles, zero where
    they touch. Rows that a failed search did not fill are NaN. `time` and `state` are where the search ended.
    """

    ts: Float[Array, "*b c"]
    xs: PyTree
    directions: Float[Array, "*b c"]
    angles: Float[Array, "*b c"]
    time: Float[Array, "*b"]
    state: PyTree
    result: RESULTS
    stats: dict[str, Any]

    def __str__(self) -> str:
        found = int(np.sum(np.isfinite(self.ts)))
        if not found:
            return f"No crossing up to t = {float(self.time):g}"
        return (
            f"{found} crossings from t = {float(self.ts[0]):.10g} to {float(np.nanmax(self.ts)):.10g}; "
            f"smallest angle {float(np.nanmin(self.angles)):.3g}"
        )


class _Record(NamedTuple):
    """A step with a crossing in it: its start, and between which parts of it the crossing lies."""

    t: Scalar
    y: Float[Array, " n"]
    h: Scalar
    left: Scalar
    right: Scalar


class _Search(NamedTuple):
    march: March
    value: Scalar
    scale: Scalar
    filled: Int[Array, ""]
    records: _Record


def _pieces(values: Array, slopes: Array) -> tuple[Array, Array, Array]:
    """A step's section function in monotone pieces, by cubics between nodes: the ends' parts of the step and values there.

    Third, the smallest distance between two zeros at an extremum, as a part of the step: that which the extremum's height and
    curvature give, whether or not the function gets there.
    """
    width = 1 / (values.size - 1)
    a, b, c0, c3 = values[:-1], values[1:], slopes[:-1] * width, slopes[1:] * width
    c1, c2 = 6 * (b - a) - 4 * c0 - 2 * c3, -6 * (b - a) + 3 * (c0 + c3)
    root = jnp.sqrt(jnp.maximum(c1**2 - 4 * c2 * c0, 0.0))
    half = -(c1 + jnp.where(c1 >= 0, root, -root)) / 2
    roots = jnp.stack([half / jnp.where(c2 == 0, jnp.nan, c2), c0 / jnp.where(half == 0, jnp.nan, half)])
    inside = (roots > 0) & (roots <= 1) & (c1**2 >= 4 * c2 * c0)[None]
    roots = jnp.where(inside, roots, 0.0)
    u = jnp.stack([jnp.minimum(*roots), jnp.maximum(*roots)])
    heights = [a + v * (c0 + v * (c1 / 2 + v * c2 / 3)) for v in u]
    curvatures = jnp.stack([jnp.abs(c1 + 2 * c2 * v) for v in u])
    heights_over = 8 * jnp.abs(jnp.stack(heights)) / jnp.maximum(curvatures, jnp.finfo(values.dtype).tiny)
    apart = width * jnp.sqrt(jnp.min(jnp.where(u > 0, heights_over, jnp.inf)))
    starts = jnp.arange(values.size - 1, dtype=values.dtype)
    places = jnp.stack([width * (starts + v) for v in (jnp.zeros_like(a), *u, jnp.ones_like(a))], axis=1)
    return places, jnp.stack([a, *heights, b], axis=1), apart


def _unresolved(values: Array, slopes: Array) -> Bool[Array, ""]:
    """Whether cubics through every other node miss those between, so that more could hide between all of them."""
    width = 2 / (values.size - 1)
    middle = (values[:-1:2] + values[2::2]) / 2 + (slopes[:-1:2] - slopes[2::2]) * (width / 8)
    noise = 1e4 * jnp.finfo(values.dtype).eps * (1 + jnp.max(jnp.abs(values)))
    return jnp.max(jnp.abs(values[1::2] - middle)) > 1e-3 * (jnp.max(values) - jnp.min(values)) + noise


def _along(on: OnVectors, solver: Solver, before: _Search, after: March, step: Step) -> tuple[Array, Array]:
    """The section's function and its slope at nodes of a step, with the step's length as unit."""
    kind, n = after.y.dtype, after.y.size
    # Constants, so that the interpolation's own weights are the same for all orbits of a batch.
    zero, one, nodes = jnp.zeros((), kind), jnp.ones((), kind), jnp.linspace(0, 1, NODES + 1, dtype=kind)
    path = solver.solver.interpolation_cls(t0=zero, t1=one, **step.dense)
    ends = before.value, on(after.y)
    values, slopes = jax.vmap(lambda s: jax.jvp(lambda r: on(path.evaluate(r)[:n]), (s,), (one,)))(nodes)
    values = values.at[0].set(ends[0]).at[-1].set(ends[1])
    straight = ends[0] + nodes * (ends[1] - ends[0])
    values = jnp.where(step.jumped, straight, values)
    return values, jnp.where(step.jumped, ends[1] - ends[0], slopes)


def _begin(field: Flat, on: OnVectors, y: Array, solver: Solver, count: int, guard: float) -> _Search:
    """The search at its start; a start on the section counts as beside it, on the side to which the orbit goes."""
    march, velocity = solver.start(field, y), field(y)
    value, rate = jax.jvp(on, (y,), (velocity,))
    steep = jnp.linalg.norm(jax.grad(on)(y))
    rounding = 100 * jnp.finfo(y.dtype).eps * steep * (1 + jnp.linalg.norm(y))
    starts_on = jnp.abs(value) <= guard * jnp.abs(rate) * march.h + rounding
    touches = starts_on & (jnp.abs(rate) <= 1e-6 * steep * jnp.linalg.norm(velocity))
    beside = jnp.where(rate >= 0, 1.0, -1.0) * jnp.finfo(y.dtype).tiny
    code = jnp.where(touches, _march.TANGENT, march.code)
    code = jnp.where(solver.rests(field, y), _march.AT_REST, code)
    lane = jnp.zeros((count,), y.dtype)
    records = _Record(lane, jnp.zeros((count, y.size), y.dtype), lane, lane, lane)
    zero = jnp.zeros((), int)
    return _Search(march._replace(code=code), jnp.where(starts_on, beside, value), jnp.ones((), y.dtype), zero, records)


def _advance(field: Flat, on: OnVectors, solver: Solver, limit: Scalar, search: _Search) -> _Search:
    """One attempted step; it is taken again at half its length where it holds more than one crossing."""
    before = search.march
    after, step = solver.attempt(field, before, limit, search.scale)
    values, slopes = _along(on, solver, search, after, step)
    places, heights, apart = _pieces(values, slopes)
    low, high = heights[:, :-1] < 0, heights[:, 1:] >= 0
    up, down = low & high, ~low & ~high
    direction = on.section.direction
    wanted = up if direction > 0 else down if direction < 0 else up | down
    many = (jnp.sum(wanted) > 1) & ~step.jumped
    touches = step.kept & ~step.jumped & (apart < CLOSEST)
    again = many & (search.scale > 1e-4) | _unresolved(values, slopes) & ~step.jumped & (search.scale > 0.01)
    taken = step.kept & ~again & ~touches
    code = jnp.where(touches | step.kept & many & ~again, _march.TANGENT, after.code)
    code = jnp.where(taken & (code == _march.RUNNING) & solver.rests(field, after.y), _march.AT_REST, code)
    slot = jnp.where(taken & jnp.any(wanted), search.filled, search.records.t.size)
    left, right = (jnp.min(jnp.where(wanted, ends, jnp.inf)) for ends in (places[:, :-1], places[:, 1:]))
    found = _Record(before.t, before.y, step.h, left, right)
    here = jnp.arange(search.records.t.size) == slot
    records = jax.tree.map(lambda rows, row: jnp.where(here.reshape(-1, *[1] * row.ndim), row, rows), search.records, found)
    kept_going = jax.tree.map(lambda a, b: jnp.where(step.kept & ~taken, b, a), after, before)
    march = kept_going._replace(code=code, steps=after.steps)
    scale = jnp.where(step.kept & again, search.scale / 2, jnp.where(taken, 1.0, search.scale))
    value = jnp.where(taken, values[-1], search.value)
    return _Search(march, value, scale, search.filled + (slot < search.records.t.size).astype(int), records)


def _polish(field: Flat, on: OnVectors, solver: Solver, found: _Record) -> tuple[Scalar, Array, Scalar, Scalar]:
    """The time, state, direction and angle of a crossing, by Newton's method on the length of one step taken again.

    The method keeps its full order, which an interpolation does not.
    """

    def at(part: Scalar) -> tuple[Array, Scalar, Scalar]:
        y = solver.retake(field, found.y, part * found.h)
        value, rate = jax.jvp(on, (y,), (field(y),))
        return y, value, rate * found.h

    def refine(carry: tuple) -> tuple:
        part, _, low, high, count = carry
        _, value, rate = at(part)
        rising = jnp.sign(rate)
        low, high = jnp.where(value * rising < 0, part, low), jnp.where(value * rising >= 0, part, high)
        newton = part - value / rate
        newton = jnp.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        return newton, jnp.abs(newton - part), low, high, count + 1

    eps, margin = jnp.finfo(found.h.dtype).eps, 0.01
    start = (found.left + found.right) / 2
    begin = (start, jnp.ones_like(start), found.left - margin, found.right + margin, jnp.zeros((), int))
    part = jax.lax.while_loop(lambda c: (c[1] > 4 * eps) & (c[-1] < 60), refine, begin)[0]
    y, _, rate = at(part)
    velocity = field(y)
    steep = jnp.linalg.norm(jax.grad(on)(y)) * jnp.linalg.norm(velocity) * found.h
    return found.t + part * found.h, y, jnp.sign(rate), jnp.abs(rate) / steep


def search(
    field: Flat, section: Section, y: Array, count: int, limit: Scalar, guard: float, solver: Solver, max_steps: int
) -> tuple[tuple[Array, Array, Array, Array], March]:
    """The first `count` crossings, as far as there are, and where the search ended."""
    on = OnVectors(section, field.unravel)

    def going(s: _Search) -> Array:
        march = s.march
        return (march.code == _march.RUNNING) & (s.filled < count) & (march.t < limit) & (march.steps < max_steps)

    begin = _begin(field, on, y, solver, count, guard)
    ended = jax.lax.while_loop(going, lambda s: _advance(field, on, solver, limit, s), begin)
    crossings = jax.vmap(lambda found: _polish(field, on, solver, found))(ended.records)
    there = jnp.arange(count) < ended.filled
    crossings = jax.tree.map(lambda v: jnp.where(there.reshape(-1, *[1] * (v.ndim - 1)), v, jnp.nan), crossings)
    code = jnp.where((ended.march.code == _march.RUNNING) & (ended.march.t < limit), _march.STEPS, ended.march.code)
    return crossings, ended.march._replace(code=jnp.where(ended.filled >= count, _march.ARRIVED, code))


@eqx.filter_jit
def _crossings(
    flow: AbstractFlow, x: PyTree, section: Section, count: int, limit: Scalar, solver: Solver, max_steps: int
) -> Crossings:
    y, unravel = _tree.ravel(x)
    (ts, ys, directions, angles), end = search(Flat(flow, unravel), section, y, count, limit, GUARD, solver, max_steps)
    result = _march.outcome(end.code)
    return Crossings(ts, jax.vmap(unravel)(ys), directions, angles, end.t, unravel(end.y), result, {"steps": end.steps})


def crossings(
    flow: AbstractFlow,
    x: PyTree,
    section: Section | None = None,
    count: int = 1,
    *,
    max_time: ScalarLike = 1e4,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int = 100_000,
    throw: bool = True,
) -> Crossings:
    """The next crossings of an orbit with a section, in one compiled loop.

    The section's function is looked at inside every step, so that two crossings in one step are both found, and each crossing
    is polished to the accuracy of the integration. A start on the section (to rounding) is no crossing. Where two crossings
    would lie closer than a thousandth of a step, or the orbit touches the section, the search ends with the result `tangent`.

    Args:
        flow: The flow or game.
        x: The state at time zero.
        section: A `Section`; the hyperplane through `x` across the flow if left out.
        count: How many crossings in the section's direction.
        max_time: The time after which to give up.
        solver: A diffrax Runge–Kutta method; `diffrax.Dopri8()` if left out.
        rtol: Relative tolerance per step; 1e-12 in double, 1e-5 in single precision.
        atol: Absolute tolerance per step; as `rtol`.
        max_steps: Steps after which to give up.
        throw: Raise if there are fewer.

    Returns:
        `Crossings` with `.ts` and `.xs`.

    Raises:
        ValueError: A map in place of a flow, a state of the wrong structure, a section that is no scalar, or a tolerance below
            fifty times the machine epsilon.
        RuntimeError: The orbit does not meet the section so often, touches it, diverges, or comes to rest (with `throw`).
    """
    if not isinstance(flow, AbstractFlow):
        raise ValueError(f"crossings takes a flow; {type(flow).__name__} is none. For a map use `iterate`.")
    if count < 1:
        raise ValueError(f"At least one crossing is to be found; got count={count}.")
    flow, x = prepare(flow, x)
    section = prepare_section(flow, x, section)
    limit = _tree.real(max_time).astype(_tree.ravel(x)[0].dtype)
    found = _crossings(flow, x, section, count, limit, _march.settings(x, solver, rtol, atol), max_steps)
    check(found.result, throw, "crossings: ")
    return found
