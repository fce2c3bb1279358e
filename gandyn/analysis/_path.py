"""Paths of solutions: steps along the arclength, test functions at the points, and where they vanish."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jaxtyping import Array, Float, Int

RUNNING, LEFT, STUCK, CLOSED, FAR, SHRUNK, ENDLESS = range(7)
ENDS = ("points", "span", "lost", "closed", "unbounded", "Hopf point", "infinite period")
"""What a path ends in, by its code."""

_NEWTON = 8
# A tangent that turns further in a step may have jumped to another branch.
_TURN = 0.9
# A state this many times as far away as at the start is on its way to infinity.
_FAR = 1e4
# How many points there is room for, at least.
_ROOM = 512
# The secant method within brackets takes some ten steps.
_SECANT = 60


class AbstractProblem(eqx.Module):
    """Equations that hold along a path: one fewer than a point has coordinates, the last of which is the free parameter."""

    @abstractmethod
    def residual(self, point: Float[Array, " k"]) -> Float[Array, " n"]:
        """What vanishes on the path."""

    @abstractmethod
    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"], slope: Array, extra: Any) -> Float[Array, " t"]:
        """Functions that change sign where something happens, of what `measure` finds there and the tangent."""

    def slope(self, point: Float[Array, " k"]) -> Float[Array, "n k"]:
        """The derivative of the residual."""
        return jax.jacfwd(self.residual)(point)

    def beside(self, point: Float[Array, " k"]) -> "AbstractProblem":
        """The equations for the next points beyond one of the path, where a condition refers to it."""
        return self

    def rounding(self, point: Float[Array, " k"]) -> float:
        """To what part of a step a zero of a test function can be told."""
        return float(jnp.finfo(point.dtype).eps)

    def measure(self, point: Float[Array, " k"]) -> tuple[Float[Array, " n"], Float[Array, "n k"], Any]:
        """The residual, its derivative, and what comes with them at no cost and is to be kept: `extra`."""

        def twice(p: Array) -> tuple[Array, Array]:
            residual = self.residual(p)
            return residual, residual

        # In one program, which matters where the system is a solution of a differential equation.
        slope, residual = jax.jacfwd(twice, has_aux=True)(point)
        return residual, slope, None

    def halt(self, before: Float[Array, " k"], point: Float[Array, " k"], tangent: Array, extra: Any) -> Int[Array, ""]:
        """The code with which the path ends before a point that follows another, `RUNNING` if it goes on."""
        return jnp.asarray(RUNNING)


class Found(NamedTuple):
    """A point of a path, what is measured there, whether Newton's method came to rest at it, and in how many steps."""

    point: Float[Array, " k"]
    slope: Float[Array, "n k"]
    extra: Any
    converged: Array
    steps: Array


class Path(NamedTuple):
    """Points (coordinates of the state, then the parameter in its unit), unit tangents, `tests`, extras; `filled` of them."""

    points: Float[Array, "m k"]
    tangents: Float[Array, "m k"]
    tests: Float[Array, "m t"]
    extras: Any
    filled: Int[Array, ""]
    code: Int[Array, ""]


def _newton(equations: Callable[[Array, Any], Array], guess: Array, steps: int) -> Any:
    """Newton's method to rounding, since it ends on a step shorter than the root of it; regular at branch points too."""
    tolerance = float(jnp.finfo(guess.dtype).eps) ** 0.65
    solver = optx.Newton(rtol=tolerance, atol=tolerance, linear_solver=lx.SVD())
    return optx.root_find(equations, solver, guess, max_steps=steps, throw=False)


def _nothing(fn: Callable, *args: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), eqx.filter_eval_shape(fn, *args))


def corrected(problem: AbstractProblem, guess: Array, normal: Array) -> Found:
    """The point of the path on the plane through `guess`, by Newton's method to rounding; regular at branch points too.

    It has converged on a step shorter than the root of rounding; a last turn of its loop measures the point itself, so that
    equations which are solved together with their derivative are written into the program once.
    """
    tolerance = float(jnp.finfo(guess.dtype).eps) ** 0.65

    def turn(carry: tuple[Found, Array]) -> tuple[Found, Array]:
        found, _ = carry
        residual, slope, extra = problem.measure(found.point)
        value = jnp.append(residual, normal @ (found.point - guess))
        matrix = lx.MatrixLinearOperator(jnp.concatenate([slope, normal[None]]))
        step = lx.linear_solve(matrix, value, lx.SVD(), throw=False).value
        small = jnp.all(jnp.abs(value) <= tolerance) & jnp.all(jnp.abs(step) <= tolerance * (1 + jnp.abs(found.point)))
        point = jnp.where(found.converged, found.point, found.point - step)
        return Found(point, slope, extra, found.converged | small, found.steps + ~found.converged), found.converged

    def going(carry: tuple[Found, Array]) -> Array:
        return ~carry[1] & (carry[0].steps < _NEWTON)

    _, slope, extra = _nothing(problem.measure, guess)
    no = jnp.zeros((), bool)
    return jax.lax.while_loop(going, turn, (Found(guess, slope, extra, no, jnp.zeros((), int)), no))[0]


def _along(slope: Array, before: Array) -> Array:
    """The unit tangent of the branch that goes on as `before` does."""
    matrix = jnp.concatenate([slope, before[None]])
    tangent = jnp.linalg.solve(matrix, jnp.zeros_like(before).at[-1].set(1.0))
    tangent = tangent / jnp.linalg.norm(tangent)
    return jnp.where(jnp.all(jnp.isfinite(tangent)), tangent, before)


@eqx.filter_jit
def first_tangent(problem: AbstractProblem, point: Array) -> Array:
    """The unit tangent at a regular point, towards larger values of the parameter."""
    tangent = jnp.linalg.svd(problem.slope(point))[2][-1]
    return jnp.where(tangent[-1] < 0, -tangent, tangent)


@eqx.filter_jit
def branch_point(problem: AbstractProblem, guess: Array) -> Array:
    r"""The point at which two branches cross, near a guess, by Newton's method on a system that is regular there.

    The unknowns are the point u, a unit vector w and a number b that vanishes: :math:`F(u) + bw = 0`,
    :math:`DF(u)^\top w = 0` (Allgower and Georg, 2003, section 8.2).
    """
    n = guess.size - 1

    def system(unknown: Array, _: Any) -> Array:
        point, w, b = unknown[: n + 1], unknown[n + 1 : -1], unknown[-1]
        return jnp.concatenate([problem.residual(point) + b * w, problem.slope(point).T @ w, (w @ w - 1)[None]])

    left = jnp.linalg.svd(problem.slope(guess))[0][:, -1]
    start = jnp.concatenate([guess, left, jnp.zeros((1,), guess.dtype)])
    found = _newton(system, start, 4 * _NEWTON).value[: n + 1]
    return jnp.where(jnp.linalg.norm(found - guess) < 0.1 * (1 + jnp.linalg.norm(guess)), found, guess)


@eqx.filter_jit
def other_tangent(problem: AbstractProblem, point: Array, tangent: Array) -> Array:
    r"""The unit tangent of the branch that crosses another, with this tangent, at a branch point.

    In the slope's null space :math:`w^\top D^2F(\phi, \phi)` vanishes on the tangents of both branches, w spanning the null
    space of the transpose. NaN where it vanishes on none, as at an isolated point.
    """
    left, _, rows = jnp.linalg.svd(problem.slope(point))
    basis = rows[-2:]
    form = jax.vmap(lambda phi: basis @ (jax.jvp(lambda p: problem.slope(p), (point,), (phi,))[1].T @ left[:, -1]))(basis)
    (low, high), axes = jnp.linalg.eigh((form + form.T) / 2)
    roots = jnp.stack([jnp.sqrt(high), jnp.sqrt(-low)])
    both = jnp.stack([axes @ roots, axes @ (roots * jnp.asarray([1.0, -1.0], roots.dtype))]) @ basis
    both = both / jnp.linalg.norm(both, axis=1)[:, None]
    return both[jnp.argmin(jnp.abs(both @ tangent))]


class _Aim(NamedTuple):
    """Where the next point is looked for: on a plane through a guess, beyond a point and its tangent, so far along it."""

    here: Float[Array, " k"]
    ahead: Float[Array, " k"]
    guess: Float[Array, " k"]
    normal: Float[Array, " k"]
    length: Array
    landing: Array


def _factor(steps: Array, good: Array) -> Array:
    """By how much the next step is longer, by how easily the last one was corrected."""
    return jnp.where(good, jnp.where(steps <= 3, 1.5, jnp.where(steps > 5, 0.6, 1.0)), 0.5)


def _edge(here: Array, beyond: Array, ends: Array) -> Array:
    """Where the way to a point beyond the ends of the parameter leaves them."""
    bound = jnp.clip(beyond[-1], ends[0], ends[1])
    share = (bound - here[-1]) / jnp.where(beyond[-1] == here[-1], 1.0, beyond[-1] - here[-1])
    return (here + share * (beyond - here)).at[-1].set(bound)


def follow(equations: AbstractProblem, start: Array, tangent: Array, ends: Array, steps: Array, capacity: int) -> Path:
    """The path from `start` until its parameter leaves `ends`, it closes or ends by itself, or its room is used up.

    `steps` are the first, the smallest and the largest step along the arclength, the largest relative to one plus the norm of
    the state; all negative to go against the tangent, against which the tangents that are kept do not turn. The first point is
    the one of the path on the plane across `tangent`, which it keeps, since another path may cross there.
    """
    # Room is made in steps, so that another capacity need not be compiled for.
    room = max(_ROOM, 2 ** (capacity - 1).bit_length())
    return _follow(equations, start, tangent, ends, steps, room, jnp.asarray(capacity))


@eqx.filter_jit
def _follow(
    equations: AbstractProblem, start: Array, tangent: Array, ends: Array, steps: Array, capacity: int, limit: Array
) -> Path:
    first, smallest, largest = steps
    sense, outwards = jnp.sign(first), jnp.zeros_like(start).at[-1].set(1.0)

    def tested(found: Found, turned: Array) -> Array:
        return equations.beside(found.point).tests(found.point, sense * turned, found.slope, found.extra)

    def body(carry: tuple[Path, _Aim]) -> tuple[Path, _Aim]:
        path, aim = carry
        found = corrected(equations.beside(aim.here), aim.guess, aim.normal)
        point, later = found.point, path.filled > 0
        turned = jnp.where(later, _along(found.slope, aim.ahead), sense * tangent)
        good = found.converged & (turned @ aim.ahead > _TURN) & jnp.all(jnp.isfinite(point)) & jnp.all(jnp.isfinite(turned))
        outside = good & later & ~aim.landing & ((point[-1] < ends[0]) | (point[-1] > ends[1]))
        going = good & ~outside
        halt = jnp.where(going & later, equations.halt(aim.here, point, turned, found.extra), RUNNING)
        # What a path shrinks to it comes near to, by steps that are halved.
        far_off = (halt == SHRUNK) & (aim.length > jnp.abs(first) / 10)
        good, going, halt = good & ~far_off, going & ~far_off, jnp.where(far_off, RUNNING, halt)
        back = (path.filled > 5) & (jnp.linalg.norm(point - start) < aim.length) & (turned @ tangent * sense > _TURN)
        far = jnp.linalg.norm(point[:-1]) > _FAR * (1 + jnp.linalg.norm(start[:-1]))
        stuck = ~good & ((aim.length / 2 < jnp.abs(smallest)) | ~later)
        conditions = (halt != RUNNING, going & back, aim.landing, stuck, going & far)
        code = jnp.select(conditions, [halt, *(jnp.asarray(c) for c in (CLOSED, LEFT, STUCK, FAR))], RUNNING)
        kept = going & (halt == RUNNING)
        place, rows = jnp.where(kept, path.filled, capacity), (point, sense * turned, tested(found, turned), found.extra)
        filled = jax.tree.map(lambda old, row: old.at[place].set(row, mode="drop"), path[:4], rows)
        here, ahead = jnp.where(kept, point, aim.here), jnp.where(kept, turned, aim.ahead)
        most = jnp.abs(largest) * (1 + jnp.linalg.norm(here[:-1]))
        length = jnp.where(later & ~outside, jnp.minimum(aim.length * _factor(found.steps, good), most), aim.length)
        guess, normal = jnp.where(outside, _edge(here, point, ends), here + length * ahead), jnp.where(outside, outwards, ahead)
        following = _Aim(here, ahead, guess, normal, length, outside)
        return path._make((*filled, path.filled + kept, code)), following

    def going(carry: tuple[Path, _Aim]) -> Array:
        return (carry[0].code == RUNNING) & (carry[0].filled < limit)

    found = _nothing(lambda: corrected(equations, start, tangent))
    rows = (start, tangent, _nothing(lambda: tested(found, tangent)), found.extra)
    room = jax.tree.map(lambda row: jnp.zeros((capacity, *row.shape), row.dtype), rows)
    aim = _Aim(start, sense * tangent, start, tangent, jnp.abs(first), jnp.zeros((), bool))
    return jax.lax.while_loop(going, body, (Path._make((*room, jnp.asarray(0), jnp.asarray(RUNNING))), aim))[0]


@eqx.filter_jit
def pinpoint(
    equations: AbstractProblem,
    ends: Float[Array, "2 k"],
    tangents: Float[Array, "2 k"],
    values: Float[Array, "2"],
    which: Int[Array, ""],
) -> tuple[Float[Array, " k"], Any]:
    """The point between neighbours at which a test function changes sign, from its values at them, with its extra.

    By the secant method within brackets: when one end stays its value counts half (the Illinois method), so that both come in.
    """
    (a, b), (before, after) = ends, tangents
    problem = equations.beside(a)
    length = before @ (b - a)

    def measured(s: Array) -> tuple[tuple[Array, Any], Array]:
        # Hermite's cubic, shifted on the plane at s, is where Newton's method starts.
        h, k = s / length, length / (before @ after)
        cubic = a + (b - a) * h**2 * (3 - 2 * h) + h * (1 - h) * (length * before * (1 - h) - k * after * h)
        found = corrected(problem, cubic + before * (s - before @ (cubic - a)), before)
        value = problem.tests(found.point, _along(found.slope, before), found.slope, found.extra)[which]
        return (found.point, found.extra), value

    def narrower(carry: tuple) -> tuple:
        left, right, low, high, last, _, count, _ = carry
        s = right - high * (right - left) / (high - low)
        found, value = measured(s)
        same = value * low > 0
        left, right = jnp.where(same, s, left), jnp.where(same, right, s)
        low, high = jnp.where(same, value, low / 2), jnp.where(same, high / 2, value)
        near = jnp.abs(s - last) <= 2 * equations.rounding(a) * length
        return left, right, low, high, s, found, count + 1, near | (value == 0) | ~jnp.isfinite(value)

    nothing, no = _nothing(lambda: measured(length)[0]), jnp.zeros((), bool)
    start = (jnp.zeros_like(length), length, values[0], values[1], -length, nothing, jnp.zeros((), int), no)
    return jax.lax.while_loop(lambda carry: ~carry[7] & (carry[6] < _SECANT), narrower, start)[5]
