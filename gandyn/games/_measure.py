"""Measures: probability laws whose every expectation is a weighted sum, and whose numbers stay parameters."""

import abc
import functools
import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .. import _tree


class AbstractMeasure(eqx.Module):
    """A probability measure on points of any one shape.

    `points` has shape `(n, *event)` and `weights` shape `(n,)`; both are computed from the measure's leaves. A measure
    of one's own is a subclass with these two properties.
    """

    @property
    @abc.abstractmethod
    def points(self) -> Float[Array, "n ..."]:
        """The nodes of the quadrature rule."""

    @property
    @abc.abstractmethod
    def weights(self) -> Float[Array, " n"]:
        """The weights of the nodes; they sum to one."""

    def companion(self) -> "AbstractMeasure":
        """The same measure under a rule of another order; itself where the sum is exact."""

        def is_part(node: PyTree) -> bool:
            return node is not self and isinstance(node, AbstractMeasure)

        return jax.tree.map(lambda node: node.companion() if is_part(node) else node, self, is_leaf=is_part)

    def expectation(self, fn: Callable) -> PyTree:
        r""":math:`\mathbb E\,f(x)`, where `fn` takes one point and returns any pytree of arrays."""
        return jax.tree.map(lambda value: jnp.tensordot(self.weights, value, axes=1), jax.vmap(fn)(self.points))

    def error(self, fn: Callable) -> PyTree:
        """The quadrature error of `expectation(fn)`, estimated by a rule of another order."""
        return jax.tree.map(lambda a, b: jnp.abs(a - b), self.expectation(fn), self.companion().expectation(fn))


def companion(system: PyTree) -> PyTree | None:
    """The system with every measure under its companion rule; None where every expectation is an exact sum."""

    def is_measure(node: PyTree) -> bool:
        return isinstance(node, AbstractMeasure)

    other = jax.tree.map(lambda node: node.companion() if is_measure(node) else node, system, is_leaf=is_measure)
    return None if jax.tree.structure(other) == jax.tree.structure(system) else other


def _check_weights(weights: Array, count: int, what: str) -> None:
    if weights.shape != (count,):
        raise ValueError(f"{what}: {count} weights are needed, one each; got shape {weights.shape}.")
    if not _tree.concrete(weights):
        return
    values = np.asarray(weights)
    total = float(values.sum())
    if not np.all(values >= 0):
        raise ValueError(f"{what}: weights must not be negative; got {values}.")
    if not abs(total - 1) <= 100 * count * float(jnp.finfo(weights.dtype).eps):
        raise ValueError(f"{what}: weights must sum to 1; they sum to {total:.6g}. Divide them by their sum.")


class Discrete(AbstractMeasure):
    """Atoms: the empirical measure of a sample where the weights are left out.

    Args:
        points: Shape `(n, *event)`.
        weights: Shape `(n,)`, not negative, summing to one; `1/n` each if left out.

    Raises:
        ValueError: Weights of the wrong shape, negative, or not summing to one.
    """

    atoms: Float[Array, "n ..."]
    masses: Float[Array, " n"]

    def __init__(self, points: _tree.Numbers, weights: _tree.Numbers | None = None):
        self.atoms = _tree.real(points)
        if self.atoms.ndim == 0:
            raise ValueError("Discrete needs points of shape (n, *event); got a single number. Wrap it: [x].")
        n = self.atoms.shape[0]
        self.masses = jnp.full((n,), 1 / n, self.atoms.dtype) if weights is None else _tree.real(weights)
        _check_weights(self.masses, n, "Discrete")

    @property
    def points(self) -> Float[Array, "n ..."]:
        """The atoms."""
        return self.atoms

    @property
    def weights(self) -> Float[Array, " n"]:
        """Their masses."""
        return self.masses


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

    def companion(self) -> AbstractMeasure:
        """The same law with half as many nodes again."""
        return Uniform(self.low, self.high, self.order * 3 // 2 + 1)


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
        if self.order is not None and (self.order < 1 or (self._cubature and self.order not in (2, 3))):
            raise ValueError(
                f"Gaussian: no rule of order {self.order} in {m.size} dimensions; beyond {_GAUSS_HERMITE_DIMENSIONS} "
                "take order 2 or 3, or pass samples as Discrete(points)."
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

    def _rule(self) -> tuple[np.ndarray, np.ndarray]:
        if self._cubature:
            return _cubature(self.order or 2, self.mean.size)
        return _tensor_rule(np.polynomial.hermite_e.hermegauss, self.order or 20, max(self.mean.size, 1))

    @property
    def points(self) -> Float[Array, "n ..."]:
        """Nodes of the standard normal law, coloured and shifted."""
        nodes = jnp.asarray(self._rule()[0], self.mean.dtype).reshape(-1, *self.mean.shape)
        if self.covariance.ndim == 2:
            root = jnp.linalg.cholesky(self.covariance)
            return jax.vmap(lambda node: self.mean + root @ node)(nodes)
        root = jnp.sqrt(self.covariance)
        return jax.vmap(lambda node: self.mean + root * node)(nodes)

    @property
    def weights(self) -> Float[Array, " n"]:
        """The rule's weights, normalised; cubature of order 3 has negative ones beyond four dimensions."""
        return jnp.asarray(self._rule()[1], self.mean.dtype)

    def companion(self) -> AbstractMeasure:
        """The same law under a finer rule; in high dimension the other one of the two cubatures."""
        if self._cubature:
            return Gaussian(self.mean, self.covariance, 3 if (self.order or 2) == 2 else 2)
        return Gaussian(self.mean, self.covariance, (self.order or 20) * 3 // 2 + 1)


class Mixture(AbstractMeasure):
    """A mixture of measures on points of one shape.

    Args:
        components: The measures.
        weights: One each, not negative, summing to one; equal if left out.

    Raises:
        ValueError: No components, components of different shapes, or bad weights.
    """

    components: tuple[AbstractMeasure, ...]
    proportions: Float[Array, " k"]

    def __init__(self, components: tuple[AbstractMeasure, ...], weights: _tree.Numbers | None = None):
        self.components = tuple(components)
        k = len(self.components)
        shapes = {component.points.shape[1:] for component in self.components}
        if len(shapes) != 1:
            raise ValueError(f"Mixture: components must be measures on points of one shape; got {sorted(shapes)}.")
        self.proportions = jnp.full((k,), 1 / k) if weights is None else _tree.real(weights)
        _check_weights(self.proportions, k, "Mixture")

    @property
    def points(self) -> Float[Array, "n ..."]:
        """The components' nodes, one after another."""
        return jnp.concatenate([component.points for component in self.components])

    @property
    def weights(self) -> Float[Array, " n"]:
        """The components' weights times their proportions."""
        return jnp.concatenate([p * component.weights for p, component in zip(self.proportions, self.components, strict=True)])


def _pair_weights(a: Array, b: Array) -> Array:
    return (a[:, None] * b[None, :]).reshape(-1)


class Product(AbstractMeasure):
    """Independent coordinates: the points of the factors side by side in one vector.

    Args:
        factors: Measures on scalars or vectors.
    """

    factors: tuple[AbstractMeasure, ...] = eqx.field(converter=tuple)

    def __check_init__(self):
        if not self.factors:
            raise ValueError("Product: at least one factor is needed.")

    @property
    def points(self) -> Float[Array, "n d"]:
        """Every combination of the factors' nodes."""
        grids = [factor.points.reshape(factor.points.shape[0], -1) for factor in self.factors]

        def pair(a: Array, b: Array) -> Array:
            left = jnp.repeat(a, b.shape[0], axis=0)
            return jnp.concatenate([left, jnp.tile(b, (a.shape[0], 1))], axis=1)

        return functools.reduce(pair, grids)

    @property
    def weights(self) -> Float[Array, " n"]:
        """Products of the factors' weights."""
        return functools.reduce(_pair_weights, [factor.weights for factor in self.factors])


class Convolution(AbstractMeasure):
    """The law of the sum of two independent points; of two Gaussians again a Gaussian rule.

    Args:
        first: A measure.
        second: A measure on points of the same shape, such as the noise added to `first`.
    """

    first: AbstractMeasure
    second: AbstractMeasure

    def __check_init__(self):
        a, b = self.first.points.shape[1:], self.second.points.shape[1:]
        if a != b:
            raise ValueError(f"Convolution: both measures must live on points of one shape; got {a} and {b}.")

    def _gaussian(self) -> Gaussian | None:
        a, b = self.first, self.second
        if not (isinstance(a, Gaussian) and isinstance(b, Gaussian)):
            return None
        rank = max(a.covariance.ndim, b.covariance.ndim)
        eye = jnp.eye(a.mean.size, dtype=a.mean.dtype)
        total = [
            c if c.ndim == rank else (c * jnp.ones(a.mean.shape, c.dtype) if rank == 1 else c * eye)
            for c in (a.covariance, b.covariance)
        ]
        return Gaussian(a.mean + b.mean, total[0] + total[1], max(a.order or 0, b.order or 0) or None)

    @property
    def points(self) -> Float[Array, "n ..."]:
        """Every sum of one node of each."""
        gaussian = self._gaussian()
        if gaussian is not None:
            return gaussian.points
        sums = self.first.points[:, None] + self.second.points[None]
        return sums.reshape(-1, *sums.shape[2:])

    @property
    def weights(self) -> Float[Array, " n"]:
        """Products of both weights."""
        gaussian = self._gaussian()
        return gaussian.weights if gaussian is not None else _pair_weights(self.first.weights, self.second.weights)
