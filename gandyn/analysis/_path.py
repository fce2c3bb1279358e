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

RUNNING, LEFT, STUCK, CLOSED, FAR = 0, 1, 2, 3, 4

_NEWTON = 8
# A tangent that turns further in a step may have jumped to another branch.
_TURN = 0.9
# A state this many times as far away as at the start is on its way to infinity.
_FAR = 1e4


class AbstractProblem(eqx.Module):
    """Equations that hold along a path: one fewer than a point has coordinates, the last of which is the free parameter."""

    @abstractmethod
    def residual(self, point: Float[Array, " k"]) -> Float[Array, " n"]:
        """What vanishes on the path."""

    @abstractmethod
    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"]) -> Float[Array, " t"]:
        """Functions that change sign where something happens."""

    def slope(self, point: Float[Array, " k"]) -> Float[Array, "n k"]:
        """The derivative of the residual."""
        return jax.jacfwd(self.residual)(point)

    def beside(self, point: Float[Array, " k"]) -> "AbstractProblem":
        """The equations for the next points beyond one of the path, where a condition refers to it."""
        return self


class Path(NamedTuple):
    """Points (coordinates of the state, then the parameter in its unit) and unit tangents; of which `filled` count."""

    points: Float[Array, "m k"]
    tangents: Float[Array, "m k"]
    filled: Int[Array, ""]
    code: Int[Array, ""]


def _newton(equations: Callable[[Array, Any], Array], guess: Array, steps: int) -> Any:
    """Newton's method to rounding, since it ends on a step shorter than the root of it; regular at branch points too."""
    tolerance = float(jnp.finfo(guess.dtype).eps) ** 0.65
    solver = optx.Newton(rtol=tolerance, atol=tolerance, linear_solver=lx.SVD())
    return optx.root_find(equations, solver, guess, max_steps=steps, throw=False)


def _corrected(problem: AbstractProblem, guess: Array, normal: Array) -> tuple[Array, Array, Array]:
    """The point of the branch on the plane through `guess`, whether Newton's method found it, and in how many steps."""

    def equations(point: Array, _: Any) -> Array:
        return jnp.append(problem.residual(point), normal @ (point - guess))

    found = _newton(equations, guess, _NEWTON)
    return found.value, found.result == optx.RESULTS.successful, found.stats["num_steps"]


def _along(problem: AbstractProblem, point: Array, before: Array) -> Array:
    """The unit tangent of the branch that goes on as `before` does."""
    matrix = jnp.concatenate([problem.slope(point), before[None]])
    tangent = jnp.linalg.solve(matrix, jnp.zeros_like(point).at[-1].set(1.0))
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


@eqx.filter_jit
def follow(equations: AbstractProblem, start: Array, tangent: Array, ends: Array, steps: Array, capacity: int) -> Path:
    """The path from `start` until its parameter leaves `ends`, it closes, or its room is used up.

    `steps` are the first, the smallest and the largest step along the arclength, the largest relative to one plus the norm of
    the state.
    """
    first, smallest, largest = steps
    points = jnp.zeros((capacity, start.size), start.dtype).at[0].set(start)
    tangents = jnp.zeros_like(points).at[0].set(tangent)
    parameter = jnp.zeros_like(start).at[-1].set(1.0)

    def body(carry: tuple[Path, Array]) -> tuple[Path, Array]:
        path, length = carry
        here, ahead = path.points[path.filled - 1], path.tangents[path.filled - 1]
        problem = equations.beside(here)
        found, converged, count = _corrected(problem, here + length * ahead, ahead)
        turned = _along(problem, found, ahead)
        good = converged & (turned @ ahead > _TURN) & jnp.all(jnp.isfinite(found)) & jnp.all(jnp.isfinite(turned))
        outside = good & ((found[-1] < ends[0]) | (found[-1] > ends[1]))
        bound = jnp.clip(found[-1], ends[0], ends[1])
        share = (bound - here[-1]) / jnp.where(found[-1] == here[-1], 1.0, found[-1] - here[-1])
        last, reached, _ = _corrected(problem, (here + share * (found - here)).at[-1].set(bound), parameter)
        found = jnp.where(outside, last, found)
        turned = jnp.where(outside, _along(problem, last, turned), turned)
        kept = jnp.where(outside, reached & jnp.all(jnp.isfinite(last)), good)
        closed = good & (path.filled > 5) & (jnp.linalg.norm(found - start) < length) & (turned @ tangent > _TURN)
        stuck = ~good & (length / 2 < smallest)
        far = good & (jnp.linalg.norm(found[:-1]) > _FAR * (1 + jnp.linalg.norm(start[:-1])))
        code = jnp.select([closed, outside, stuck, far], [jnp.asarray(c) for c in (CLOSED, LEFT, STUCK, FAR)], RUNNING)
        place = jnp.where(kept, path.filled, capacity)
        grown = Path(
            path.points.at[place].set(found, mode="drop"),
            path.tangents.at[place].set(turned, mode="drop"),
            path.filled + kept,
            code,
        )
        factor = jnp.where(good, jnp.where(count <= 3, 1.5, jnp.where(count > 5, 0.6, 1.0)), 0.5)
        return grown, jnp.minimum(length * factor, largest * (1 + jnp.linalg.norm(found[:-1])))

    def going(carry: tuple[Path, Array]) -> Array:
        return (carry[0].code == RUNNING) & (carry[0].filled < capacity)

    path = Path(points, tangents, jnp.asarray(1), jnp.asarray(RUNNING))
    return jax.lax.while_loop(going, body, (path, first))[0]


@eqx.filter_jit
def all_tests(problem: AbstractProblem, points: Array, tangents: Array) -> Float[Array, "m t"]:
    """`tests` at every point of a path."""
    return jax.vmap(lambda point, tangent: problem.tests(point, tangent))(points, tangents)


@eqx.filter_jit
def locate(
    equations: AbstractProblem, ends: Float[Array, "s 2 k"], tangents: Float[Array, "s 2 k"], which: Int[Array, " s"]
) -> Float[Array, "s k"]:
    """The points between neighbours at which a test function changes sign, by bisection to rounding."""

    def one(pair: Array, along: Array, index: Array) -> Array:
        (a, b), (before, after) = pair, along
        problem = equations.beside(a)
        length = before @ (b - a)

        def point(s: Array) -> tuple[Array, Array]:
            # Hermite's cubic, shifted on the plane at s, is where Newton's method starts.
            h, k = s / length, length / (before @ after)
            cubic = a + (b - a) * h**2 * (3 - 2 * h) + h * (1 - h) * (length * before * (1 - h) - k * after * h)
            found = _corrected(problem, cubic + before * (s - before @ (cubic - a)), before)[0]
            return found, _along(problem, found, before)

        def value(s: Array) -> Array:
            return problem.tests(*point(s))[index]

        low = value(jnp.zeros_like(length))

        def halve(_: Int[Array, ""], bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            left, right = bounds
            middle = (left + right) / 2
            same = jnp.sign(value(middle)) == jnp.sign(low)
            return jnp.where(same, middle, left), jnp.where(same, right, middle)

        left, right = jax.lax.fori_loop(0, 54, halve, (jnp.zeros_like(length), length))
        return point((left + right) / 2)[0]

    return jax.vmap(one)(ends, tangents, which)
