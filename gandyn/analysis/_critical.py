"""Curves of bifurcations in the plane of two parameters as paths: the equations, and the functions whose zeros are corners."""

from abc import abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int, PyTree

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._linear import eigenvalues, jacobian
from ._memory import point_rows, without
from ._moved import Moved, move
from ._normal_form import cubic_coefficient
from ._path import CLOSED, LEFT, RUNNING, AbstractProblem
from ._steady import signed

# Numbers this many roundings from zero have no sign.
_NOISE = 1e3


def clean(value: Array, size: Array) -> Array:
    """A number, or zero where it is that to within the rounding of its terms."""
    return jnp.where(jnp.abs(value) <= _NOISE * jnp.finfo(value.dtype).eps * size, 0.0, value)


def product(factors: Array) -> Array:
    """A number with the sign of a product, zero where a factor is that to rounding."""
    known = jnp.all(jnp.abs(factors) > _NOISE * jnp.finfo(factors.dtype).eps)
    return jnp.where(known, signed(factors), 0.0)


class AbstractCurve(AbstractProblem):
    """Equilibria with a critical mode as two parameters move.

    A point holds the coordinates of the state, a vector in the mode's space, of a rotating mode what tells its speed, and the
    two parameters in their units. `bounds` are the lowest and highest values of the last coordinates; `origin` is the point
    from which the curve is followed.
    """

    system: AbstractSystem
    moved: tuple[Moved, Moved]
    like: PyTree
    units: Float[Array, "2"]
    aside: Bool[Array, " n"] | None
    bounds: Float[Array, "2 m"]
    origin: Float[Array, " k"]

    @abstractmethod
    def eigenvalue(self, point: Float[Array, " k"]) -> Complex[Array, ""]:
        """The critical eigenvalue."""

    @abstractmethod
    def local(self, point: Float[Array, " k"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
        """The Jacobian, and the normal form's coefficient, zero where it is that to rounding."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """The bifurcation."""

    @property
    @abstractmethod
    def corners(self) -> tuple[str, ...]:
        """The points of codimension two at which the test functions vanish."""

    @property
    @abstractmethod
    def multiplicity(self) -> int:
        """How many eigenvalues are critical."""

    @property
    def discrete(self) -> bool:
        """Whether the system is a map."""
        return isinstance(self.system, AbstractMap)

    @property
    def size(self) -> int:
        """The number of coordinates of the state."""
        return _tree.size(self.like)

    def at(self, point: Float[Array, " k"]) -> tuple[AbstractSystem, PyTree]:
        """The system and the state at a point of the curve."""
        system, unravel = self.system, _tree.ravel(self.like)[1]
        for moved, value in zip(self.moved, point[-2:] * self.units, strict=True):
            system = move(system, moved, value)
        return system, unravel(point[: self.size])

    def matrix(self, point: Float[Array, " k"]) -> Float[Array, "n n"]:
        """The Jacobian, without what is no coordinate."""
        return without(jacobian(*self.at(point)), self.aside)

    def from_slope(self, slope: Float[Array, "e k"]) -> Float[Array, "n n"]:
        """The same from the derivative of the residual."""
        n = self.size
        return without(slope[:n, :n] + (jnp.eye(n, dtype=slope.dtype) if self.discrete else 0.0), self.aside)

    def equilibrium(self, point: Float[Array, " k"]) -> Float[Array, " n"]:
        """What vanishes at an equilibrium."""
        system, x = self.at(point)
        residual = _tree.ravel(system.residual(x))[0]
        return (
            residual if self.aside is None else jnp.where(self.aside, point[: self.size] - self.origin[: self.size], residual)
        )

    def applied(self, point: Float[Array, " k"], vector: Float[Array, " n"]) -> Float[Array, " n"]:
        """The Jacobian times a vector."""
        system, x = self.at(point)
        flat, unravel = _tree.ravel(x)

        def image(v: Array) -> Array:
            return _tree.ravel(system(unravel(v)))[0]

        return without(jax.jvp(image, (flat,), (without(vector, self.aside),))[1], self.aside)

    def others(self, matrix: Float[Array, "n n"], point: Float[Array, " k"]) -> Complex[Array, " o"]:
        """The eigenvalues but the critical ones."""
        values, critical = eigenvalues(matrix), self.eigenvalue(point)
        off = jnp.abs((values - critical) * (values - critical.conj()))
        return values[jnp.argsort(off)[self.multiplicity :]]

    def beside_others(self, others: Complex[Array, " o"]) -> list[Array]:
        """Test functions that vanish where another mode, or another pair, is critical too."""
        i, j = jnp.triu_indices(others.size, 1)
        if self.discrete:
            return [product(others - 1), product(others + 1), product(others[i] * others[j] - 1)]
        scale = jnp.max(jnp.abs(others), initial=jnp.finfo(others.dtype).tiny)
        return [product(others / scale), product((others[i] + others[j]) / scale)]

    def halt(self, before: Array, point: Array, tangent: Array, extra: Any) -> Int[Array, ""]:
        """Ends where a coordinate leaves its bounds, or beside the origin whatever the vector in the mode's space is there."""
        n, (low, high) = self.size, self.bounds
        a, b, start = (jnp.concatenate([p[:n], p[2 * n :]]) for p in (before, point, self.origin))
        step = jnp.linalg.norm(b - a)
        closed = (jnp.linalg.norm(b - start) < step) & (jnp.linalg.norm(a - start) > 0.1 * step)
        ending = point[-low.size :]
        outside = jnp.any((ending < low) | (ending > high))
        return jnp.where(outside, LEFT, jnp.where(closed, CLOSED, RUNNING))

    def cubic(self, point: Array, matrix: Array) -> Array:
        """The cubic coefficient of an oscillating mode, in the units of `normal_form`."""
        (system, x), value = self.at(point), self.eigenvalue(point)
        matrix = matrix.astype(value.dtype)
        u, _, rows = jnp.linalg.svd(matrix - value * jnp.eye(self.size, dtype=value.dtype))
        right, left = rows[-1].conj(), u[:, -1]
        product = (left.conj() @ right).conj()
        cubic, size = cubic_coefficient(system, x, matrix, value, right, left / product)
        cubic = jnp.where(jnp.abs(product) > 10 * jnp.finfo(left.dtype).eps ** 0.5, cubic, jnp.nan)
        unit = jnp.linalg.norm(point_rows(system, x) @ right) ** 2 * (3 if self.multiplicity == 1 else 2)
        return clean((cubic.real / unit).astype(point.dtype), self.size * size / unit)
