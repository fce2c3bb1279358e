"""Laws with a density and their quadrature rules: Gauss–Legendre, Gauss–Hermite, cubature."""

import functools
import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from .. import _tree
from ._measure import AbstractMeasure, Discrete


@functools.lru_cache
def _tensor_rule(rule: Callable, order: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = rule(order)
    grid = np.array(list(itertools.product(nodes, repeat=dimension)))
    return grid, np.prod(np.array(list(itertools.product(weights / weights.sum(), repeat=dimension))), axis=1)


@functools.lru_cache
def _cubature(order: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Stroud's rules for the standard Gaussian: degree 3 with 2n points, degree 5 with 2n^2 + 1."""
    n = dimension
    axes = np.concatenate([np.eye(n), -np.eye(n)])
    if order == 2:
        return np.sqrt(n) * axes, np.full(2 * n, 1 / (2 * n))
    pairs = [
        s * np.eye(n)[i] + t * np.eye(n)[j] for i, j in itertools.combinations(range(n), 2) for s in (1, -1) for t in (1, -1)
    ]
    nodes = np.concatenate([np.zeros((1, n)), np.sqrt(n + 2) * axes, np.sqrt((n + 2) / 2) * np.array(pairs)])
    weights = [2 / (n + 2), *[(4 - n) / (2 * (n + 2) ** 2)] * (2 * n), *[1 / (n + 2) ** 2] * len(pairs)]
    return nodes, np.array(weights)


_GAUSS_HERMITE_DIMENSIONS = 3
_LARGEST_RULE = 2**20
_LARGEST_HERMITE = 300  # NumPy's nodes of higher orders overflow.


class Uniform(AbstractMeasure):
    """The uniform law on an interval or a box, by Gauss–Legendre quadrature of `order` nodes per dimension.

    Args:
        low: Lower bounds: a scalar, or shape `(d,)`.
        high: Upper bounds, above `low`, of the same shape.
        order: Nodes per dimension; polynomials of degree `2 order - 1` are integrated exactly.

    Raises:
        ValueError: Bounds of different shapes, empty intervals, or more than 2^20 nodes.
    """

    low: Float[Array, "*event"] = eqx.field(converter=_tree.real)
    high: Float[Array, "*event"] = eqx.field(converter=_tree.real)
    order: int = eqx.field(static=True, default=20)

    def __check_init__(self):
        if self.low.shape != self.high.shape or self.low.ndim > 1:
            raise ValueError(f"Uniform: bounds must be two scalars or two vectors; got {self.low.shape}, {self.high.shape}.")
        if self.order < 1 or self.order ** max(self.low.size, 1) > _LARGEST_RULE:
            raise ValueError(
                f"Uniform: order {self.order} in {self.low.size} dimensions is no usable tensor rule. "
                "Choose a smaller positive order, or pass samples as Discrete(points)."
            )
        if _tree.concrete(self.low, self.high) and not np.all(np.asarray(self.low) < np.asarray(self.high)):
            raise ValueError(f"Uniform: low must lie below high; got low={self.low}, high={self.high}.")

    @property
    def points(self) -> Float[Array, "n ..."]:
        """Gauss–Legendre nodes scaled to the box."""
        nodes, _ = _tensor_rule(np.polynomial.legendre.leggauss, self.order, max(self.low.size, 1))
        nodes = jnp.asarray(nodes, self.low.dtype).reshape(-1, *self.low.shape)
        return jax.vmap(lambda node: (self.low + self.high) / 2 + (self.high - self.low) / 2 * node)(nodes)

    @property
    def weights(self) -> Float[Array, " n"]:
        """Gauss–Legendre weights, normalised."""
        return jnp.asarray(_tensor_rule(np.polynomial.legendre.leggauss, self.order, max(self.low.size, 1))[1], self.low.dtype)

    def sample(self, key: Key[Array, ""], count: int) -> Discrete:
        """Independent uniform points."""
        shape = (count, *self.low.shape)
        return Discrete(jax.random.uniform(key, shape, self.low.dtype, self.low, self.high))

    def companion(self) -> AbstractMeasure:
        """The same law with half as many nodes again, or with fewer where those are too many."""
        finer = self.order * 3 // 2 + 1
        fits = finer ** max(self.low.size, 1) <= _LARGEST_RULE
        return Uniform(self.low, self.high, finer if fits else self.order * 2 // 3)


def coloured(mean: Array, root: Array, node: Array) -> Array:
    """A point of a standard normal law, carried over to another one by the square root of its covariance."""
    return mean + (root @ node if root.ndim == 2 else root * node)


class Gaussian(AbstractMeasure):
    r"""The normal law :math:`N(m, \Sigma)`.

    By Gauss–Hermite quadrature up to three dimensions (20 nodes each unless told otherwise), by cubature beyond:
    order 2 takes :math:`2d` points, order 3 takes :math:`2d^2+1`. Order `q` integrates degree `2 q - 1` exactly.

    Args:
        mean: A scalar, or shape `(d,)`.
        covariance: A scalar (variance of every coordinate), shape `(d,)` (a diagonal; zeros allowed), or `(d, d)`,
            symmetric and positive definite.
        order: The order of the rule.

    Raises:
        ValueError: A negative variance, a matrix that is not positive definite, shapes that do not fit, or an order
            that has no rule in this dimension.
    """

    mean: Float[Array, "*event"] = eqx.field(converter=_tree.real)
    covariance: Float[Array, "..."] = eqx.field(converter=_tree.real)
    order: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        m, c = self.mean, self.covariance
        if m.ndim > 1 or c.shape not in {(), m.shape, (m.size, m.size)} or (m.ndim == 0 and c.ndim > 0):
            raise ValueError(
                f"Gaussian: a mean of shape {m.shape} goes with a covariance that is a scalar, {m.shape} or "
                f"{(m.size, m.size)}; got {c.shape}."
            )
        if self.order is not None and not self._has_rule(self.order):
            raise ValueError(
                f"Gaussian: no rule of order {self.order} in {m.size} dimensions. Take order 2 or 3 beyond "
                f"{_GAUSS_HERMITE_DIMENSIONS} dimensions and 1 to {_LARGEST_HERMITE} below, with at most 2^20 nodes, or "
                "pass samples as Discrete(points)."
            )
        if _tree.concrete(c):
            self._check_covariance(np.asarray(c))

    @staticmethod
    def _check_covariance(c: np.ndarray) -> None:
        if c.ndim < 2 and not np.all(c >= 0):
            raise ValueError(f"Gaussian: a variance must not be negative or NaN; got {c}.")
        if c.ndim == 2:
            if not np.allclose(c, c.T):
                raise ValueError(f"Gaussian: the covariance matrix must be symmetric; got {c.tolist()}.")
            smallest = np.linalg.eigvalsh(c)[0]
            if not smallest > 0:
                raise ValueError(
                    f"Gaussian: the covariance matrix must be positive definite; its smallest eigenvalue is "
                    f"{smallest:.3g}. For a degenerate law pass the variances as a vector, or a Product with Discrete."
                )

    @property
    def _cubature(self) -> bool:
        return self.mean.size > _GAUSS_HERMITE_DIMENSIONS

    def _has_rule(self, order: int) -> bool:
        if self._cubature:
            return order in (2, 3)
        return 1 <= order <= _LARGEST_HERMITE and order**self.mean.size <= _LARGEST_RULE

    def _rule(self) -> tuple[np.ndarray, np.ndarray]:
        if self._cubature:
            return _cubature(self.order or 2, self.mean.size)
        return _tensor_rule(np.polynomial.hermite_e.hermegauss, self.order or 20, max(self.mean.size, 1))

    @property
    def points(self) -> Float[Array, "n ..."]:
        """Nodes of the standard normal law, coloured and shifted."""
        return self._coloured(jnp.asarray(self._rule()[0], self.mean.dtype))

    @property
    def root(self) -> Float[Array, "..."]:
        """A square root of the covariance: of its numbers, or Cholesky's of a matrix."""
        return jnp.linalg.cholesky(self.covariance) if self.covariance.ndim == 2 else jnp.sqrt(self.covariance)

    def _coloured(self, standard: Array) -> Array:
        root = self.root
        return jax.vmap(lambda node: coloured(self.mean, root, node))(standard.reshape(-1, *self.mean.shape))

    @property
    def weights(self) -> Float[Array, " n"]:
        """The rule's weights, normalised; cubature of order 3 has negative ones beyond four dimensions."""
        return jnp.asarray(self._rule()[1], self.mean.dtype)

    def sample(self, key: Key[Array, ""], count: int) -> Discrete:
        """Independent normal points."""
        return Discrete(self._coloured(jax.random.normal(key, (count, self.mean.size), self.mean.dtype)))

    def companion(self) -> AbstractMeasure:
        """The same law under a finer rule, or a coarser one where that is too large; the other one of two cubatures."""
        if self._cubature:
            return Gaussian(self.mean, self.covariance, 3 if (self.order or 2) == 2 else 2)
        order = self.order or 20
        finer = order * 3 // 2 + 1
        return Gaussian(self.mean, self.covariance, finer if self._has_rule(finer) else order * 2 // 3)
