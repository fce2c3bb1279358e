"""Curves of folds, flips and branch points: one real mode is critical."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from ._critical import AbstractCurve, clean
from ._path import RUNNING, STUCK

# How large what an equilibrium of a branch point lacks may be.
OPEN = 1e-6


class AbstractReal(AbstractCurve):
    r"""A real critical mode v: :math:`F = 0,\ (J - \sigma)v = 0,\ |v| = 1`.

    The eigenvalue :math:`\sigma` is 1 at a fold or branch point and -1 at a flip of a map, and 0 at a fold or branch point of a
    flow.
    """

    target: eqx.AbstractVar[float]

    @property
    def multiplicity(self) -> int:
        return 1

    def eigenvalue(self, point: Float[Array, " k"]) -> Complex[Array, ""]:
        return jnp.asarray(self.target, jnp.result_type(point.dtype, jnp.complex64))

    def mode(self, point: Float[Array, " k"]) -> tuple[Float[Array, " n"], Float[Array, " e"]]:
        """The mode, and what vanishes because it is critical and of unit length."""
        v = point[self.size : 2 * self.size]
        return v, jnp.append(self.applied(point, v) - self.target * v, v @ v - 1)

    def left(self, matrix: Float[Array, "n n"], v: Float[Array, " n"]) -> Float[Array, " n"]:
        """The unit left null vector, with a sign that does not jump: that of the adjugate's rows."""
        u, _, rows = jnp.linalg.svd(matrix - self.target * jnp.eye(self.size, dtype=matrix.dtype))
        return jnp.linalg.det(u) * jnp.linalg.det(rows) * (rows[-1] @ v) * u[:, -1]


class Simple(AbstractReal):
    """A fold or a flip."""

    target: float = eqx.field(static=True)

    def residual(self, point: Float[Array, " k"]) -> Float[Array, " e"]:
        return jnp.concatenate([self.equilibrium(point), self.mode(point)[1]])

    def _curvature(self, slope: Array, v: Array, left: Array) -> Array:
        """The left null vector on the second derivative along the mode, which is part of the derivative of the residual."""
        n, size = self.size, jnp.linalg.norm(self.from_slope(slope))
        second = slope[n : 2 * n, :n] @ v
        return clean(left @ second, jnp.abs(left) @ jnp.abs(second) + size)

    def local(self, point: Float[Array, " k"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
        if self.target < 0:
            matrix = self.matrix(point)
            return matrix, self.cubic(point, matrix)
        slope, v = self.slope(point), point[self.size : 2 * self.size]
        matrix = self.from_slope(slope)
        left = self.left(matrix, v)
        return matrix, self._curvature(slope, v, left) / (2 * (left @ v))

    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"], slope: Array, extra: Any) -> Float[Array, " t"]:
        """In the order of `corners`: where the coefficient vanishes, the eigenvalue is double, or another is critical too."""
        matrix, v = self.from_slope(slope), point[self.size : 2 * self.size]
        left, flip = self.left(matrix, v), self.target < 0
        first = self.cubic(point, matrix) if flip else self._curvature(slope, v, left)
        more = self.beside_others(self.others(matrix, point))
        return jnp.stack([first, clean(left @ v, jnp.ones(())), *([more[0], more[2]] if flip else more[1:])])

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


class Crossing(AbstractReal):
    r"""A branch point: an equilibrium that stays as the parameters move, as by symmetry, and is crossed by other ones.

    There the equations of a fold are singular. With the left null vector w one more condition, :math:`w^\top F_p = 0` for the
    first parameter p, goes with one more unknown, b in :math:`F + bw_0 = 0`, which vanishes while the equilibrium stays
    (Allgower and Georg, 2003, section 8.2). `border` holds the null vectors of a reference point in rows, the left one first.
    """

    target: float = eqx.field(static=True)
    border: Float[Array, "2 n"]

    def beside(self, point: Float[Array, " k"]) -> "Crossing":
        """With the null vectors of this point."""
        v = point[self.size : 2 * self.size]
        return eqx.tree_at(lambda s: s.border, self, jnp.stack([self.left(self.matrix(point), v), v]))

    def unfolded(self, point: Float[Array, " k"], left: Float[Array, " n"]) -> Float[Array, "2"]:
        """By how much the two parameters move the residual out of the Jacobian's range: zero where the equilibrium stays."""
        axes = jnp.eye(point.size, dtype=point.dtype)[-2:]
        return jax.vmap(lambda axis: jax.jvp(self.equilibrium, (point,), (axis,))[1])(axes) @ left

    def residual(self, point: Float[Array, " k"]) -> Float[Array, " e"]:
        reference, right = self.border
        matrix = self.matrix(point) - self.target * jnp.eye(self.size, dtype=point.dtype)
        bordered = jnp.block([[matrix.T, right[:, None]], [reference[None], jnp.zeros((1, 1), point.dtype)]])
        left = jnp.linalg.solve(bordered, jnp.zeros((self.size + 1,), point.dtype).at[-1].set(1.0))[:-1]
        missing = self.equilibrium(point) + point[2 * self.size] * reference
        return jnp.concatenate([missing, self.mode(point)[1], self.unfolded(point, left)[:1]])

    def halt(self, before: Array, point: Array, tangent: Array, extra: Any) -> Int[Array, ""]:
        """Ends where the equilibrium no longer stays, too."""
        code = AbstractCurve.halt(self, before, point, tangent, extra)
        return jnp.where((code == RUNNING) & (jnp.abs(point[2 * self.size]) > OPEN), STUCK, code)

    def local(self, point: Float[Array, " k"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
        return self.matrix(point), jnp.full((), jnp.nan, point.dtype)

    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"], slope: Array, extra: Any) -> Float[Array, " t"]:
        """In the order of `corners`: where the eigenvalue is double, or another is critical too."""
        matrix, v = self.from_slope(slope), point[self.size : 2 * self.size]
        more = self.beside_others(self.others(matrix, point))
        return jnp.stack([clean(self.left(matrix, v) @ v, jnp.ones(())), *more[1:]])

    @property
    def kind(self) -> str:
        return "branch point"

    @property
    def corners(self) -> tuple[str, ...]:
        return ("1:1 resonance", "fold-flip", "fold-Neimark-Sacker") if self.discrete else ("Bogdanov-Takens", "fold-Hopf")
