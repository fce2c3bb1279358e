"""Branches of equilibria as paths: the equations, and the functions whose zeros are bifurcations."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._branch import SEVERAL, AbstractBranch, Special, exact
from ._linear import eigenvalues, jacobian
from ._local import local
from ._memory import without
from ._moved import Moved, move
from ._path import branch_point, other_tangent

# Test functions this many roundings from zero have no sign.
_NOISE = 1e3


class Steady(AbstractBranch):
    """Equilibria of a system as one parameter moves.

    The leaves that it moves, a state for the structure, the parameter's unit, and what is no coordinate. The system is the one
    that was asked for, applied `times` times.
    """

    system: AbstractSystem
    moved: Moved
    like: PyTree
    unit: Scalar
    aside: Bool[Array, " n"] | None
    times: int = 1

    def at(self, point: Float[Array, " k"]) -> tuple[AbstractSystem, PyTree]:
        """The system and the state at a point of the path."""
        unravel = _tree.ravel(self.like)[1]
        return move(self.system, self.moved, point[-1] * self.unit), unravel(point[:-1])

    def residual(self, point: Float[Array, " k"]) -> Float[Array, " n"]:
        """That of the system."""
        system, x = self.at(point)
        residual = _tree.ravel(system.residual(x))[0]
        if self.aside is None:
            return residual
        return jnp.where(self.aside, point[:-1] - _tree.ravel(self.like)[0], residual)

    def tests(self, point: Float[Array, " k"], tangent: Float[Array, " k"], slope: Array, extra: Any) -> Float[Array, " t"]:
        r"""Functions that change sign at a fold, a branch point, a Hopf or Neimark–Sacker point, and a flip (of maps only).

        In turn the parameter's part of the tangent, the smallest singular value of the slope bordered by the tangent with the
        sign of the determinant, the product of all :math:`\lambda_i + \lambda_j` (of maps :math:`\mu_i\mu_j - 1`), i < j, and
        that of all :math:`\mu_i + 1`. Where several modes cross at once these may keep their signs, and only the last changes:
        the growth of the leading mode, of maps its modulus less one.
        """
        n, discrete = slope.shape[0], isinstance(self.system, AbstractMap)
        matrix = without(slope[:, :n] + (jnp.eye(n, dtype=slope.dtype) if discrete else 0.0), self.aside)
        values = eigenvalues(matrix)
        i, j = jnp.triu_indices(n, 1)
        if discrete:
            pairs, reverse, growth = values[i] * values[j] - 1, [signed(values + 1)], jnp.max(jnp.abs(values)) - 1
        else:
            scale = jnp.max(jnp.abs(values)) + jnp.finfo(slope.dtype).tiny
            pairs, reverse, growth = (values[i] + values[j]) / scale, [], jnp.max(values.real)
        return jnp.stack([tangent[-1], bordered(slope, tangent), signed(pairs), *reverse, growth])

    def kinds(self) -> tuple[str, ...]:
        """In the order of `tests`."""
        discrete = isinstance(self.system, AbstractMap)
        return ("fold", "branch point", *(("Neimark-Sacker", "flip") if discrete else ("Hopf",)), SEVERAL)

    def noise(self, tests: np.ndarray) -> np.ndarray | float:
        """A thousand roundings of the largest value."""
        return _NOISE * self.precision() * np.nanmax(np.abs(tests), axis=0)

    def precision(self) -> float:
        """That of the type."""
        return _tree.eps(self.like)

    def special(self, point: Float[Array, " k"], tangent: Float[Array, " k"], kind: str, extra: Any) -> Special | None:
        """With the eigenvalues and the normal form of the equilibrium."""
        point = branch_point(self, point) if kind == "branch point" else point
        system, x = self.at(point)
        if kind == SEVERAL:
            eigenvalue = several(np.linalg.eigvals(np.asarray(jacobian(system, x))), isinstance(system, AbstractMap))
            nothing = jnp.full_like(point, jnp.nan)
            return Special(
                point[-1] * self.unit, x, jnp.asarray(eigenvalue), nothing[0], nothing, None, None, kind, "", self.times
            )
        found = local(system, x, kind, exact(self.precision()))
        if found is None:
            return None
        other = jnp.full_like(point, jnp.nan)
        if kind == "branch point":
            other = other_tangent(self, point, tangent).at[-1].multiply(self.unit)
        value, (eigenvalue, coefficient, character) = point[-1] * self.unit, found
        return Special(value, x, eigenvalue, coefficient, other, None, None, kind, character, self.times)


def several(values: np.ndarray, discrete: bool) -> complex:
    """The eigenvalue with which several modes cross: the leading one, of a pair the upper."""
    leading = values[np.argmax(np.abs(values) if discrete else np.real(values))]
    return complex(np.real(leading), abs(np.imag(leading)))


def bordered(slope: Float[Array, "n k"], tangent: Float[Array, " k"]) -> Scalar:
    """The smallest singular value of a slope bordered by the tangent, with the sign of the determinant."""
    matrix = jnp.concatenate([slope, tangent[None]])
    return jnp.linalg.slogdet(matrix)[0] * jnp.linalg.svd(matrix, compute_uv=False)[-1]


def signed(factors: Array) -> Array:
    """The product of factors, each scaled by its own size, in a form that does not underflow."""
    size = jnp.abs(factors)
    logarithm = jnp.sum(jnp.log(jnp.where(size > 0, size, 1.0)))
    phase = jnp.prod(jnp.where(size > 0, factors / jnp.where(size > 0, size, 1.0), 0.0)).real
    return phase * jnp.exp(logarithm / max(factors.size, 1))
