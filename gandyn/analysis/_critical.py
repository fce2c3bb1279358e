"""Curves of bifurcations in the plane of two parameters as paths: the equations, and the functions whose zeros are corners."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int, PyTree

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._linear import eigenvalues, jacobian
from ._memory import point_rows, without
from ._moved import Moved, move
from ._normal_form import _coefficient
from ._path import CLOSED, LEFT, RUNNING, AbstractProblem
from ._steady import signed

# Numbers this many roundings from zero have no sign.
_NOISE = 1e3


def _clean(value: Array, size: Array) -> Array:
    """A number, or zero where it is that to within the rounding of its terms."""
    return jnp.where(jnp.abs(value) <= _NOISE * jnp.finfo(value.dtype).eps * size, 0.0, value)


def _product(factors: Array) -> Array:
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

    def measure(self, point: Float[Array, " k"]) -> tuple[Float[Array, " e"], Float[Array, "e k"], Any]:
        def twice(p: Array) -> tuple[Array, Array]:
            residual = self.residual(p)
            return residual, residual

        # In one program, which matters where the system is a solution of a differential equation.
        slope, residual = jax.jacfwd(twice, has_aux=True)(point)
        return residual, slope, None

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
        pair = 2 if isinstance(self, Pair) else 1
        off = jnp.abs((values - critical) * (values - critical.conj()))
        return values[jnp.argsort(off)[pair:]]

    def beside_others(self, others: Complex[Array, " o"]) -> list[Array]:
        """Test functions that vanish where another mode, or another pair, is critical too."""
        i, j = jnp.triu_indices(others.size, 1)
        if self.discrete:
            return [_product(others - 1), _product(others + 1), _product(others[i] * others[j] - 1)]
        scale = jnp.max(jnp.abs(others), initial=jnp.finfo(others.dtype).tiny)
        return [_product(others / scale), _product((others[i] + others[j]) / scale)]

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
        cubic, size = _coefficient(system, x, matrix, value, right, left / product)
        cubic = jnp.where(jnp.abs(product) > 10 * jnp.finfo(left.dtype).eps ** 0.5, cubic, jnp.nan)
        unit = jnp.linalg.norm(point_rows(system, x) @ right) ** 2 * (2 if isinstance(self, Pair) else 3)
        return _clean((cubic.real / unit).astype(point.dtype), self.size * size / unit)


class Simple(AbstractCurve):
    r"""A real critical mode v: :math:`F = 0,\ (J - \sigma)v = 0,\ |v| = 1`; at a fold or a flip.

    The multiplier :math:`\sigma` is 1 at a fold and -1 at a flip of a map, and 0 at a fold of a flow.
    """

    target: float = eqx.field(static=True)

    def residual(self, point: Float[Array, " k"]) -> Float[Array, " e"]:
        v = point[self.size : 2 * self.size]
        mode = self.applied(point, v) - self.target * v
        return jnp.concatenate([self.equilibrium(point), mode, (v @ v - 1)[None]])

    def eigenvalue(self, point: Float[Array, " k"]) -> Complex[Array, ""]:
        return jnp.asarray(self.target, jnp.result_type(point.dtype, jnp.complex64))

    def _left(self, matrix: Array, v: Array) -> Array:
        """The unit left null vector, with a sign that does not jump: that of the adjugate's rows."""
        u, _, rows = jnp.linalg.svd(matrix - self.target * jnp.eye(self.size, dtype=matrix.dtype))
        return jnp.linalg.det(u) * jnp.linalg.det(rows) * (rows[-1] @ v) * u[:, -1]

    def _curvature(self, slope: Array, v: Array, left: Array) -> Array:
        """The left null vector on the second derivative along the mode, which is part of the derivative of the residual."""
        n, size = self.size, jnp.linalg.norm(self.from_slope(slope))
        second = slope[n : 2 * n, :n] @ v
        return _clean(left @ second, jnp.abs(left) @ jnp.abs(second) + size)

    def local(self, point: Float[Array, " k"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
        if self.target < 0:
            matrix = self.matrix(point)
            return matrix, self.cubic(point, matrix)
        slope, v = self.slope(point), point[self.size : 2 * self.size]
        matrix = self.from_slope(slope)
        left = self._left(matrix, v)
        return matrix, self._curvature(slope, v, left) / (2 * (left @ v))

    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"], slope: Array, extra: Any) -> Float[Array, " t"]:
        """In the order of `corners`: where the coefficient vanishes, the eigenvalue is double, or another is critical too."""
        matrix, v = self.from_slope(slope), point[self.size : 2 * self.size]
        left = self._left(matrix, v)
        flip = self.target < 0
        first = self.cubic(point, matrix) if flip else self._curvature(slope, v, left)
        more = self.beside_others(self.others(matrix, point))
        return jnp.stack([first, _clean(left @ v, jnp.ones(())), *([more[0], more[2]] if flip else more[1:])])

    @property
    def kind(self) -> str:
        return "flip" if self.target < 0 else "fold"

    @property
    def corners(self) -> tuple[str, ...]:
        if self.target < 0:
            return ("generalised flip", "1:2 resonance", "fold-flip", "flip-Neimark-Sacker")
        if self.discrete:
            return ("cusp", "1:1 resonance", "fold-flip", "fold-Neimark-Sacker")
        return ("cusp", "Bogdanov-Takens", "fold-Hopf")


class Pair(AbstractCurve):
    r"""A rotating critical mode: :math:`F = 0,\ Q(J)v = 0,\ |v| = 1,\ l^\top v = 0`; at a Hopf or Neimark–Sacker point.

    The quadratic polynomial :math:`J^2 + \kappa\omega_0^2` of a flow, with the square :math:`\kappa` of the frequency in its
    unit, and :math:`J^2 - 2\kappa J + 1` of a map, with the cosine :math:`\kappa` of the angle, vanishes on the mode's plane,
    and is regular where the rotation ends (Roose and Hlavaček, 1985). The vector l of that plane fixes v in it.
    """

    tempo: Float[Array, ""]
    fixed: Float[Array, " n"]

    def _quadratic(self, point: Array) -> Array:
        """The polynomial of the Jacobian as a matrix."""
        matrix, turn = self.matrix(point), point[2 * self.size]
        eye = jnp.eye(self.size, dtype=matrix.dtype)
        if self.discrete:
            return matrix @ matrix - 2 * turn * matrix + eye
        return matrix @ matrix / self.tempo**2 + turn * eye

    def beside(self, point: Float[Array, " k"]) -> "Pair":
        """With the plane's vector at right angles to the one of this point."""
        rows = jnp.linalg.svd(self._quadratic(point))[2][-2:]
        shares = rows @ point[self.size : 2 * self.size]
        across = shares[0] * rows[1] - shares[1] * rows[0]
        return eqx.tree_at(lambda s: s.fixed, self, across / jnp.linalg.norm(across))

    def residual(self, point: Float[Array, " k"]) -> Float[Array, " e"]:
        n, turn = self.size, point[2 * self.size]
        v = point[n : 2 * n]
        once = self.applied(point, v)
        twice = self.applied(point, once)
        mode = twice - 2 * turn * once + v if self.discrete else twice / self.tempo**2 + turn * v
        return jnp.concatenate([self.equilibrium(point), mode, jnp.stack([v @ v - 1, self.fixed @ v])])

    def eigenvalue(self, point: Float[Array, " k"]) -> Complex[Array, ""]:
        turn = point[2 * self.size]
        if self.discrete:
            turn = jnp.clip(turn, -1.0, 1.0)
            return turn + 1j * jnp.sqrt(1 - turn**2)
        return 1j * jnp.sqrt(jnp.maximum(turn, 0.0)) * self.tempo

    def local(self, point: Float[Array, " k"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
        matrix = self.matrix(point)
        return matrix, self.cubic(point, matrix)

    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"], slope: Array, extra: Any) -> Float[Array, " t"]:
        """In the order of `corners`: where the coefficient vanishes, the angle is resonant, or another mode is critical too."""
        matrix, turn = self.from_slope(slope), point[2 * self.size]
        resonances = [turn + 0.5, turn] if self.discrete else []
        return jnp.stack([self.cubic(point, matrix), *resonances, *self.beside_others(self.others(matrix, point))])

    @property
    def kind(self) -> str:
        return "Neimark-Sacker" if self.discrete else "Hopf"

    @property
    def corners(self) -> tuple[str, ...]:
        if self.discrete:
            pairs = ("fold-Neimark-Sacker", "flip-Neimark-Sacker", "double Neimark-Sacker")
            return ("Chenciner", "1:3 resonance", "1:4 resonance", *pairs)
        return ("generalised Hopf", "fold-Hopf", "Hopf-Hopf")
