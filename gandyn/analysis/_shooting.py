"""Closed orbits by shooting: an orbit in pieces, the matrices that carry displacements along, and Newton's method."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jaxtyping import Array, Bool, Float, Scalar

from .. import _march
from .._field import Flat, Hop
from .._march import March, Solver
from .._section import Section, on_vectors
from ._floquet import product

# How many pieces an orbit is followed in: divisible by most small numbers, so that most shorter periods are seen without error.
PIECES = 120
# Singular values below this part of the largest are those of directions along families of cycles.
FLAT_DIRECTION = 1e-9


class Variational(eqx.Module):
    r"""A field with its fundamental matrix and :math:`\int {\rm tr}\,Dv`, as one vector; across switches both jump."""

    field: Flat

    def _parts(self, z: Float[Array, " m"]) -> tuple[Array, Array, Array]:
        n = size(z)
        return z[:n], z[n:-1].reshape(n, n), z[-1]

    def __call__(self, z: Float[Array, " m"]) -> Float[Array, " m"]:
        """The velocities of all three."""
        y, matrix, _ = self._parts(z)
        velocity, push = jax.linearize(self.field, y)
        jacobian = jax.vmap(push, 1, 1)(jnp.eye(y.size, dtype=y.dtype))
        return _packed(velocity, jacobian @ matrix, jnp.trace(jacobian))

    @property
    def base(self) -> Flat:
        """The field."""
        return self.field

    def point(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        """The state."""
        return z[: size(z)]

    def land(self, z: Float[Array, " m"], hop: Hop) -> Float[Array, " m"]:
        """The state behind a switch, with the saltation and the logarithm of its determinant."""
        y, matrix, total = self._parts(z)
        slope = jax.grad(lambda u: self.field.switches(u)[hop.which])(y)
        jump = jnp.outer(hop.behind - hop.before, slope @ matrix / hop.rate)
        return _packed(hop.y, matrix + jump, total + jnp.log(jnp.abs(hop.rate_behind / hop.rate)))


def size(z: Float[Array, " m"]) -> int:
    """The dimension n of a state, of a vector of n + n^2 + 1 numbers."""
    return int((z.size - 1) ** 0.5)


def _packed(y: Array, matrix: Array, total: Array) -> Array:
    return jnp.concatenate([y, matrix.reshape(-1), total[None]])


class Pieces(NamedTuple):
    """A stretch of an orbit in pieces: the states at their starts, their matrices and integrals of the divergence; its end."""

    starts: Float[Array, "l n"]
    matrices: Float[Array, "l n n"]
    logs: Float[Array, " l"]
    end: Float[Array, " n"]
    steps: Array


def follow(field: Flat, solver: Solver, y: Float[Array, " n"], time: Scalar, count: int, onto: Float[Array, " n"]) -> Pieces:
    """The orbit from a state for a time, in pieces of equal time; at the end on the same side of the switches as `onto`."""
    whole, eye, span = Variational(field), jnp.eye(y.size, dtype=y.dtype), time / count
    first = solver.start(field, y)
    aim = solver.sides(field, onto) if first.sides.size else first.sides

    def piece(carry: tuple[Array, Array, Array, Array], last: Array) -> tuple[tuple, tuple]:
        y, h, sides, steps = carry
        # Sides of the switches are carried on: a piece may end where a switch is all but reached.
        march = solver.resume(whole, _packed(y, eye, jnp.zeros((), y.dtype)), h, sides)
        little = 1e-11 * (1 + jnp.linalg.norm(y)) / (1e-3 + jnp.linalg.norm(field(y))) if sides.size else 0.0

        def until(march: March) -> Scalar:
            # A cycle that starts on a switch is there again at the end, and has yet to cross it.
            return span + jnp.where(last & jnp.any(march.sides != aim), little, 0.0)

        def going(march: March) -> Array:
            return (march.t < until(march)) & (march.code == _march.RUNNING) & (march.steps < 2000)

        end = jax.lax.while_loop(going, lambda m: solver.attempt(whole, m, until(m))[0], march)
        z = jnp.where(end.t < span, jnp.nan, end.y)
        return (z[: y.size], jnp.minimum(end.h, span), end.sides, steps + end.steps), (y, z)

    start = (y, jnp.minimum(first.h, span), first.sides, first.steps)
    (end, _, _, steps), (starts, zs) = jax.lax.scan(piece, start, jnp.arange(count) == count - 1)
    return Pieces(starts, zs[:, y.size : -1].reshape(count, y.size, y.size), zs[:, -1], end, steps)


# Compiled by itself so that it is traced once, however often a root finder traces its function.
@eqx.filter_jit
def _follow(field: Flat, solver: Solver, nodes: Array, time: Scalar, count: int, onto: Array) -> Pieces:
    return jax.vmap(lambda y, o: follow(field, solver, y, time, count, o))(nodes, onto)


class Shot(NamedTuple):
    """What shooting found: the segments' starts, the period, the orbit's pieces, and how well it closes."""

    nodes: Float[Array, "s n"]
    period: Scalar
    pieces: Pieces
    gap: Scalar
    found: Bool[Array, ""]
    steps: Array


def shoot(
    field: Flat, solver: Solver, nodes: Float[Array, "s n"], period: Scalar, section: Section, root_finder: Any, max_steps: int
) -> Shot:
    """A closed orbit near the guess: each segment ends where the next begins, and the first begins on the section."""
    s, n = nodes.shape
    count = -(-PIECES // s)

    def closing(z: Array, _: None) -> tuple[Array, tuple[Array, Scalar, Pieces, Scalar]]:
        here = jax.lax.stop_gradient(z)
        nodes, period = here[:-1].reshape(s, n), here[-1]
        onto = jnp.roll(nodes, -1, axis=0)
        pieces = _follow(field, solver, nodes, period / s, count, onto)
        gaps = pieces.end - onto
        height, normal = jax.value_and_grad(on_vectors(section, field))(nodes[0])
        steep = jnp.linalg.norm(normal)
        residual = jnp.append(gaps.reshape(-1), height / steep)
        jacobian = jnp.zeros((s * n + 1, s * n + 1), z.dtype)
        for i in range(s):
            j, rows = (i + 1) % s, slice(i * n, (i + 1) * n)
            jacobian = jacobian.at[rows, i * n : (i + 1) * n].add(product(pieces.matrices[i]))
            jacobian = jacobian.at[rows, j * n : (j + 1) * n].add(-jnp.eye(n, dtype=z.dtype))
            jacobian = jacobian.at[rows, -1].set(field(pieces.end[i]) / s)
        jacobian = jacobian.at[-1, :n].set(normal / steep)
        gap = jnp.max(jnp.linalg.norm(gaps, axis=1))
        # The matrices of the orbit are the derivative, which nothing else has to find again.
        return residual + jacobian @ (z - here), (nodes, period, pieces, gap)

    guess = jnp.append(nodes.reshape(-1), period)
    solution = optx.root_find(closing, root_finder, guess, has_aux=True, max_steps=max_steps, throw=False)
    nodes, period, pieces, gap = solution.aux
    reach = 1 + jnp.max(jnp.abs(nodes))
    steep = 1 + jnp.max(jnp.abs(pieces.matrices))
    found = (gap <= 1e3 * solver.rtol * reach * steep) & (period > 0) & jnp.isfinite(gap)
    return Shot(nodes, period, pieces, gap, found, solution.stats["num_steps"])


def finder(solver: Solver) -> Any:
    """Powell's dogleg, by singular values without those of families of cycles."""
    tolerance = 100 * solver.rtol
    return optx.Dogleg(rtol=tolerance, atol=tolerance, linear_solver=lx.SVD(rcond=FLAT_DIRECTION))


def states_at(field: Flat, starts: Float[Array, "l n"], parts: Float[Array, " k"], period: Scalar) -> Float[Array, "k n"]:
    """States at parts of a closed orbit of which the states at equal times are known, by cubics between them."""
    count = starts.shape[0]
    step = period / count
    place = (parts % 1.0) * count
    i = jnp.floor(place + 1e-9).astype(int)
    u = (place - i)[:, None]
    a, b = starts[i % count], starts[(i + 1) % count]
    p, q = step * jax.vmap(field)(a), step * jax.vmap(field)(b)
    return a + u * (p + u * ((3 * (b - a) - 2 * p - q) + u * (2 * (a - b) + p + q)))


def neutral_direction(matrix: Float[Array, "n n"], velocity: Array, normal: Array) -> tuple[Scalar, Float[Array, " n"]]:
    """How far the equations of a closed orbit are from singular, and the displacement along which they nearly are.

    The distance is relative to the size of the matrix. At an orbit of a family it is rounding, and the displacement is along
    the family.
    """
    n = velocity.size
    unit = velocity / jnp.linalg.norm(velocity)
    whole = jnp.zeros((n + 1, n + 1), matrix.dtype)
    whole = whole.at[:n, :n].set(matrix - jnp.eye(n, dtype=matrix.dtype)).at[:n, n].set(unit)
    whole = whole.at[n, :n].set(normal / jnp.linalg.norm(normal))
    _, sizes, rows = jnp.linalg.svd(whole)
    return sizes[-1] / (1 + jnp.linalg.norm(matrix)), rows[-1, :n]
