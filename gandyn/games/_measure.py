"""Measures: probability laws whose every expectation is a weighted sum, and whose numbers stay parameters."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from .. import _tree


class AbstractRule(eqx.Module):
    """Anything that holds a quadrature rule, and knows the rule of another order that shows its error."""

    @abc.abstractmethod
    def companion(self) -> "AbstractRule":
        """The same under a rule of another order; itself where the sum is exact."""


class AbstractMeasure(AbstractRule):
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

    def sample(self, key: Key[Array, ""], count: int) -> "Discrete":
        """Independent points of the law: its nodes, drawn by their weights, unless it knows better."""
        return Discrete(jax.random.choice(key, self.points, (count,), p=self.weights))

    def expectation(self, fn: Callable) -> PyTree:
        r""":math:`\mathbb E\,f(x)`, where `fn` takes one point and returns any pytree of arrays."""
        return jax.tree.map(lambda value: jnp.tensordot(self.weights, value, axes=1), jax.vmap(fn)(self.points))

    def error(self, fn: Callable) -> PyTree:
        """The quadrature error of `expectation(fn)`, estimated by a rule of another order."""
        return jax.tree.map(lambda a, b: jnp.abs(a - b), self.expectation(fn), self.companion().expectation(fn))


def companion(system: PyTree) -> PyTree | None:
    """The system with every quadrature under its companion rule; None where every expectation is an exact sum."""

    def is_rule(node: PyTree) -> bool:
        return isinstance(node, AbstractRule)

    other = jax.tree.map(lambda node: node.companion() if is_rule(node) else node, system, is_leaf=is_rule)
    return None if jax.tree.structure(other) == jax.tree.structure(system) else other


def check_weights(weights: Array, count: int, what: str) -> None:
    """Refuse weights of the wrong number, negative, or not summing to one."""
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
        check_weights(self.masses, n, "Discrete")

    @property
    def points(self) -> Float[Array, "n ..."]:
        """The atoms."""
        return self.atoms

    @property
    def weights(self) -> Float[Array, " n"]:
        """Their masses."""
        return self.masses


class Image(AbstractMeasure):
    """What a function makes of another measure's nodes, with their weights, which a cubature's may be negative."""

    nodes: Float[Array, "n ..."]
    masses: Float[Array, " n"]

    @property
    def points(self) -> Float[Array, "n ..."]:
        """The images."""
        return self.nodes

    @property
    def weights(self) -> Float[Array, " n"]:
        """The weights."""
        return self.masses
