"""Measures made of measures: mixtures, products and convolutions."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from .. import _tree
from ._measure import AbstractMeasure, Discrete, check_weights
from ._quadrature import Gaussian, coloured


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
        self.proportions = jnp.full((k,), 1 / k, self.components[0].points.dtype) if weights is None else _tree.real(weights)
        check_weights(self.proportions, k, "Mixture")

    @property
    def points(self) -> Float[Array, "n ..."]:
        """The components' nodes, one after another."""
        return jnp.concatenate([component.points for component in self.components])

    @property
    def weights(self) -> Float[Array, " n"]:
        """The components' weights times their proportions."""
        return jnp.concatenate([p * component.weights for p, component in zip(self.proportions, self.components, strict=True)])

    def sample(self, key: Key[Array, ""], count: int) -> Discrete:
        """Independent points: a component by its proportion, then a point of it."""
        choice, *keys = jax.random.split(key, len(self.components) + 1)
        which = jax.random.choice(choice, len(self.components), (count,), p=self.proportions)
        gaussians = [c for c in self.components if isinstance(c, Gaussian)]
        shapes = {c.covariance.shape for c in gaussians}
        if len(gaussians) == len(self.components) and len(shapes) == 1:
            return _of_gaussians(gaussians, which, keys[0])
        drawn = jnp.stack([c.sample(k, count).points for c, k in zip(self.components, keys, strict=True)])
        return Discrete(jax.vmap(lambda i, j: drawn[i, j])(which, jnp.arange(count)))


def _of_gaussians(components: list[Gaussian], which: Int[Array, " n"], key: Key[Array, ""]) -> Discrete:
    """A point of the chosen component each, from one draw of standard normal numbers for all of them."""
    means, roots = jnp.stack([c.mean for c in components]), jnp.stack([c.root for c in components])
    nodes = jax.random.normal(key, (len(which), *means.shape[1:]), means.dtype)
    return Discrete(jax.vmap(lambda i, node: coloured(means[i], roots[i], node))(which, nodes))


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

    def sample(self, key: Key[Array, ""], count: int) -> Discrete:
        """Independent points of every factor, side by side."""
        keys = jax.random.split(key, len(self.factors))
        drawn = [factor.sample(k, count).points.reshape(count, -1) for factor, k in zip(self.factors, keys, strict=True)]
        return Discrete(jnp.concatenate(drawn, axis=1))


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

        def raised(c: Array) -> Array:
            if c.ndim == rank:
                return c
            variances = jnp.broadcast_to(c, a.mean.shape)
            return variances if rank == 1 else jnp.diag(variances)

        total = raised(a.covariance) + raised(b.covariance)
        return Gaussian(a.mean + b.mean, total, max(a.order or 0, b.order or 0) or None)

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

    def sample(self, key: Key[Array, ""], count: int) -> Discrete:
        """Sums of independent points of both."""
        one, two = jax.random.split(key)
        return Discrete(self.first.sample(one, count).points + self.second.sample(two, count).points)
