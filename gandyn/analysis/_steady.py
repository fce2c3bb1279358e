"""Branches of equilibria as paths: the equations, and the functions whose zeros are bifurcations."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._linear import eigenvalues
from ._memory import without
from ._path import AbstractProblem
from ._threshold import Moved, move


class Steady(AbstractProblem):
    """Equilibria of a system as one parameter moves.

    The leaves that it moves, a state for the structure, the parameter's unit, and what is no coordinate.
    """

    system: AbstractSystem
    moved: Moved
    like: PyTree
    unit: Scalar
    aside: Bool[Array, " n"] | None

    def at(self, point: Float[Array, " k"]) -> tuple[AbstractSystem, PyTree]:
        """The system and the state at a point of the path."""
        unravel = _tree.ravel(self.like)[1]
        return move(self.system, self.moved, point[-1] * self.unit), unravel(point[:-1])

    def residual(self, point: Float[Array, " k"]) -> Float[Array, " n"]:
        system, x = self.at(point)
        residual = _tree.ravel(system.residual(x))[0]
        if self.aside is None:
            return residual
        return jnp.where(self.aside, point[:-1] - _tree.ravel(self.like)[0], residual)

    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"]) -> Float[Array, " t"]:
        r"""Functions that change sign at a fold, a branch point, a Hopf or Neimark–Sacker point, and a flip (of maps only).

        In turn the parameter's part of the tangent, the determinant of the slope bordered by the tangent, the product of all
        :math:`\lambda_i + \lambda_j` (of maps :math:`\mu_i\mu_j - 1`), i < j, and that of all :math:`\mu_i + 1`.
        """
        slope = self.slope(point)
        n, discrete = slope.shape[0], isinstance(self.system, AbstractMap)
        matrix = without(slope[:, :n] + (jnp.eye(n, dtype=slope.dtype) if discrete else 0.0), self.aside)
        values = eigenvalues(matrix)
        sign, logarithm = jnp.linalg.slogdet(jnp.concatenate([slope, tangent[None]]))
        i, j = jnp.triu_indices(n, 1)
        if discrete:
            pairs, reverse = values[i] * values[j] - 1, [signed(values + 1)]
        else:
            scale = jnp.max(jnp.abs(values)) + jnp.finfo(slope.dtype).tiny
            pairs, reverse = (values[i] + values[j]) / scale, []
        return jnp.stack([tangent[-1], sign * jnp.exp(logarithm / (n + 1)), signed(pairs), *reverse])


def signed(factors: Array) -> Array:
    """The product of factors, each scaled by its own size, in a form that does not underflow."""
    size = jnp.abs(factors)
    logarithm = jnp.sum(jnp.log(jnp.where(size > 0, size, 1.0)))
    phase = jnp.prod(jnp.where(size > 0, factors / jnp.where(size > 0, size, 1.0), 0.0)).real
    return phase * jnp.exp(logarithm / max(factors.size, 1))
