"""Curves of Hopf and Neimark–Sacker points: a pair of rotating modes is critical."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from ._critical import AbstractCurve


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
    def multiplicity(self) -> int:
        return 2

    @property
    def kind(self) -> str:
        return "Neimark-Sacker" if self.discrete else "Hopf"

    @property
    def corners(self) -> tuple[str, ...]:
        if self.discrete:
            pairs = ("fold-Neimark-Sacker", "flip-Neimark-Sacker", "double Neimark-Sacker")
            return ("Chenciner", "1:3 resonance", "1:4 resonance", *pairs)
        return ("generalised Hopf", "fold-Hopf", "Hopf-Hopf")
