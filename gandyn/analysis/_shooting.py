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
from ._recurrence import same_to

# How many pieces an orbit is followed in: enough for one turn to look smooth, and for the multipliers of stiff cycles.
PIECES = 120
# Steps in a piece after which to give up: 240,000 in a turn, those of van der Pol's oscillator at mu = 400.
PIECE_STEPS = 2000


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
        # So far a point that is on a switch by rounding may be from it, and more.
        near = 5e4 * jnp.finfo(y.dtype).eps
        little = near * (1 + jnp.linalg.norm(y)) / (1e-3 + jnp.linalg.norm(field(y))) if sides.size else 0.0

        def until(march: March) -> Scalar:
            # A cycle that starts on a switch is there again at the end, and has yet to cross it.
            return span + jnp.where(last & jnp.any(march.sides != aim), little, 0.0)

        def going(march: March) -> Array:
            return (march.t < until(march)) & (march.code == _march.RUNNING) & (march.steps < PIECE_STEPS)

        end = jax.lax.while_loop(going, lambda m: solver.attempt(whole, m, until(m))[0], march)
        z = jnp.where(end.t < span, jnp.nan, end.y)
        return (z[: y.size], jnp.minimum(end.h, span), end.sides, steps + end.steps), (y, z)

    start = (y, jnp.minimum(first.h, span), first.sides, first.steps)
    (end, _, _, steps), (starts, zs) = jax.lax.scan(piece, start, jnp.arange(count) == count - 1)
    return Pieces(starts, zs[:, y.size : -1].reshape(count, y.size, y.size), zs[:, -1], end, steps)


# Compiled by itself so that it is traced once, however often a root finder traces its function.
@eqx.filter_jit
def follow_each(field: Flat, solver: Solver, nodes: Array, time: Scalar, count: int, onto: Array) -> Pieces:
    """`follow` from several states abreast."""
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
    (s, n), kind = nodes.shape, nodes.dtype
    count = -(-PIECES // s)

    def closing(z: Array, _: None) -> tuple[Array, tuple[Array, Scalar, Pieces, Scalar]]:
        here = jax.lax.stop_gradient(z)
        nodes, period = here[:-1].reshape(s, n).astype(kind), here[-1].astype(kind)
        onto = jnp.roll(nodes, -1, axis=0)
        pieces = follow_each(field, solver, nodes, period / s, count, onto)
        gaps = pieces.end - onto
        height, normal = jax.value_and_grad(on_vectors(section, field))(nodes[0])
        steep = jnp.linalg.norm(normal)
        residual = jnp.append(gaps.reshape(-1), height / steep)
        jacobian = jnp.zeros((s * n + 1, s * n + 1), kind)
        for i in range(s):
            j, rows = (i + 1) % s, slice(i * n, (i + 1) * n)
            jacobian = jacobian.at[rows, i * n : (i + 1) * n].add(product(pieces.matrices[i]))
            jacobian = jacobian.at[rows, j * n : (j + 1) * n].add(-jnp.eye(n, dtype=kind))
            jacobian = jacobian.at[rows, -1].set(field(pieces.end[i]) / s)
        jacobian = jacobian.at[-1, :n].set(normal / steep)
        gap = jnp.max(jnp.linalg.norm(gaps, axis=1))
        # The matrices of the orbit are the derivative, which nothing else has to find again.
        return residual + jacobian @ (z - here), (nodes, period, pieces, gap)

    # Root finders work in the default type, whatever that of the state is.
    guess = jnp.append(nodes.reshape(-1), period).astype(jnp.result_type(float))
    solution = optx.root_find(closing, root_finder, guess, has_aux=True, max_steps=max_steps, throw=False)
    nodes, period, pieces, gap = solution.aux
    reach = 1 + jnp.max(jnp.abs(nodes))
    steep = 1 + jnp.max(jnp.abs(pieces.matrices))
    # Some more than what Newton's method stops at (see `finder`), as displacements grow in a turn.
    found = (gap <= 1e3 * solver.rtol * reach * steep) & (period > 0) & jnp.isfinite(gap)
    return Shot(nodes, period, pieces, gap, found, solution.stats["num_steps"])


def finder(solver: Solver) -> Any:
    """Powell's dogleg, by singular values without those of families of cycles."""
    # 6e-11 in double precision and 6e-5 in single: what the errors of a turn's steps may add up to. A residual that remains
    # shows in the multipliers, larger by how they change beside the cycle.
    tolerance = solver.rtol**0.85
    return optx.Dogleg(rtol=tolerance, atol=tolerance, linear_solver=lx.SVD(rcond=same_to(solver)))


def states_at(
    field: Flat, solver: Solver, starts: Float[Array, "l n"], parts: Float[Array, " k"], period: Scalar
) -> Float[Array, "k n"]:
    """States at parts of a closed orbit of which the states at equal times are known: from the nearest of these on."""
    step, places = period / starts.shape[0], (parts % 1.0) * starts.shape[0]
    # A place that is one of the known up to rounding is that one.
    i = jnp.floor(places + 100 * jnp.finfo(parts.dtype).eps * starts.shape[0])
    spans = jnp.maximum(places - i, 0.0) * step
    run = jax.vmap(lambda y, span: _march.flow_map(field, y, span, solver, PIECE_STEPS))
    return run(starts[i.astype(int) % starts.shape[0]], spans)


def neutral_direction(matrix: Float[Array, "n n"], velocity: Array, normal: Array) -> tuple[Scalar, Float[Array, " n"]]:
    """How far the equations of a closed orbit are from singular, and the displacement along which they nearly are.

    The distance is relative to the size of the matrix. At an orbit of a family it is the errors of a turn, and the
    displacement is along the family.
    """
    n = velocity.size
    unit = velocity / jnp.linalg.norm(velocity)
    whole = jnp.zeros((n + 1, n + 1), matrix.dtype)
    whole = whole.at[:n, :n].set(matrix - jnp.eye(n, dtype=matrix.dtype)).at[:n, n].set(unit)
    whole = whole.at[n, :n].set(normal / jnp.linalg.norm(normal))
    _, sizes, rows = jnp.linalg.svd(whole)
    return sizes[-1] / (1 + jnp.linalg.norm(matrix)), rows[-1, :n]
