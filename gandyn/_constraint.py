"""Constraints: convex sets of states, each with its projection."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Scalar

from . import _tree


class AbstractConstraint(eqx.Module):
    """A closed convex set of states. One's own implements `project`, and `tangent` where a flow is to be constrained."""

    @abc.abstractmethod
    def project(self, x: PyTree) -> PyTree:
        """The nearest state of the set."""

    @abc.abstractmethod
    def tangent(self, x: PyTree, velocity: PyTree) -> PyTree:
        """The nearest velocity that does not leave the set: the projection on its tangent cone at `x`."""

    @abc.abstractmethod
    def margins(self, x: PyTree) -> Array:
        """Positive inside, zero on the boundary, one entry per inequality."""


def check_constraint(value: Any, name: str) -> None:
    """Refuse what is no constraint.

    Raises:
        ValueError: It is not an `AbstractConstraint`.
    """
    if not isinstance(value, AbstractConstraint):
        raise ValueError(f"{name} needs a constraint, such as gd.Box(-1.0, 1.0); got {type(value).__name__}.")


def check_projection(constraint: AbstractConstraint, x: PyTree) -> None:
    """Refuse a constraint whose projection moves its own image, at a concrete state and at some around it.

    Raises:
        ValueError: The projection is not idempotent; the state, its image and the image of that are named.
    """
    vector, unravel = _tree.ravel(x)
    tolerance = _tree.eps(x) ** 0.5
    for seed, reach in ((0, 0.0), (1, 1.0), (2, 10.0)):
        away = np.random.default_rng(seed).normal(size=vector.shape) * reach * (1 + float(jnp.linalg.norm(vector)))
        start = unravel(vector + jnp.asarray(away, vector.dtype))
        once = constraint.project(start)
        twice = constraint.project(once)
        if float(_tree.norm(_tree.subtract(twice, once))) > tolerance * (1 + float(_tree.norm(once))):
            raise ValueError(
                f"{type(constraint).__name__} is no projection: it moves {_tree.numbers(start)} to {_tree.numbers(once)}, and "
                f"that again to {_tree.numbers(twice)}. `project` must leave the states of the set where they are, and all "
                "others go to the nearest of them."
            )


def _everything(x: PyTree) -> PyTree:
    return x


def _apply(where: Callable, x: PyTree, fn: Callable, *others: PyTree) -> PyTree:
    return eqx.tree_at(where, x, jax.tree.map(fn, where(x), *(where(other) for other in others)))


class Box(AbstractConstraint):
    """Bounds on every coordinate of a part of the state: weight clipping.

    Args:
        low: The lower bound, a scalar or a tree like the part.
        high: The upper bound, above it.
        where: The part, as a lens: `lambda x: x.discriminator`; the whole state if left out.
    """

    low: Any = eqx.field(converter=lambda v: jax.tree.map(_tree.real, v))
    high: Any = eqx.field(converter=lambda v: jax.tree.map(_tree.real, v))
    where: Callable = eqx.field(converter=_tree.function, default=_everything)

    def __check_init__(self):
        pairs = zip(jax.tree.leaves(self.low), jax.tree.leaves(self.high), strict=True)
        if any(_tree.concrete(a, b) and not np.all(np.asarray(a) < np.asarray(b)) for a, b in pairs):
            raise ValueError(f"Box: low must lie below high; got {self.low} and {self.high}.")

    def _bounds(self, part: PyTree) -> tuple[PyTree, PyTree]:
        def spread(bound: PyTree) -> PyTree:
            if jax.tree.structure(bound) == jax.tree.structure(part):
                return bound
            return jax.tree.map(lambda leaf: jnp.broadcast_to(bound.astype(leaf.dtype), leaf.shape), part)

        return spread(self.low), spread(self.high)

    def project(self, x: PyTree) -> PyTree:
        """Every coordinate clipped."""
        low, high = self._bounds(self.where(x))
        return eqx.tree_at(self.where, x, jax.tree.map(jnp.clip, self.where(x), low, high))

    def tangent(self, x: PyTree, velocity: PyTree) -> PyTree:
        """No coordinate at a bound moves outwards."""
        low, high = self._bounds(self.where(x))

        def stop(v: Array, u: Array, a: Array, b: Array) -> Array:
            return jnp.where(((u <= a) & (v < 0)) | ((u >= b) & (v > 0)), jnp.zeros((), v.dtype), v)

        kept = jax.tree.map(stop, self.where(velocity), self.where(x), low, high)
        return eqx.tree_at(self.where, velocity, kept)

    def margins(self, x: PyTree) -> Array:
        """Distances to the bounds."""
        part = self.where(x)
        low, high = self._bounds(part)
        gaps = jax.tree.map(lambda u, a, b: jnp.stack([u - a, b - u]), part, low, high)
        return _tree.ravel(gaps)[0]


class Ball(AbstractConstraint):
    """A Euclidean ball around zero for a part of the state.

    Args:
        radius: Positive.
        where: The part, as a lens; the whole state if left out.
    """

    radius: Scalar = eqx.field(converter=_tree.real)
    where: Callable = eqx.field(converter=_tree.function, default=_everything)

    def __check_init__(self):
        if _tree.concrete(self.radius) and not np.asarray(self.radius) > 0:
            raise ValueError(f"Ball: the radius must be positive; got {self.radius}.")

    def project(self, x: PyTree) -> PyTree:
        """The part scaled back to the radius."""
        part = self.where(x)
        square = _tree.dot(part, part)
        outside = square > self.radius**2
        factor = jnp.where(outside, self.radius / jnp.sqrt(jnp.where(outside, square, 1.0)), 1.0)
        return eqx.tree_at(self.where, x, jax.tree.map(lambda leaf: factor.astype(leaf.dtype) * leaf, part))

    def tangent(self, x: PyTree, velocity: PyTree) -> PyTree:
        """On the sphere, no outward radial part."""
        part, move = self.where(x), self.where(velocity)
        square, outward = _tree.dot(part, part), _tree.dot(part, move)
        stop = (square >= self.radius**2) & (outward > 0)
        factor = jnp.where(stop, outward / jnp.where(square > 0, square, 1.0), 0.0)
        return eqx.tree_at(self.where, velocity, _tree.axpy(-factor, part, move))

    def margins(self, x: PyTree) -> Array:
        """Radius minus norm."""
        part = self.where(x)
        square = _tree.dot(part, part)
        # At the centre the norm has no derivative, but the bound is far.
        return (self.radius - jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0))[None]


class SpectralBall(AbstractConstraint):
    """Matrices whose largest singular value is at most a radius.

    Args:
        radius: Positive.
        where: A lens to one matrix of the state.
    """

    radius: Scalar = eqx.field(converter=_tree.real)
    where: Callable = eqx.field(converter=_tree.function, default=_everything)

    def __check_init__(self):
        if _tree.concrete(self.radius) and not np.asarray(self.radius) > 0:
            raise ValueError(f"SpectralBall: the radius must be positive; got {self.radius}.")

    def project(self, x: PyTree) -> PyTree:
        """Singular values clipped, which is the nearest matrix in the Frobenius norm."""
        u, s, v = jnp.linalg.svd(self.where(x), full_matrices=False)
        return eqx.tree_at(self.where, x, (u * jnp.minimum(s, self.radius.astype(s.dtype))[None]) @ v)

    def tangent(self, x: PyTree, velocity: PyTree) -> PyTree:
        """Along singular directions at the radius, no part that lengthens them."""
        u, s, v = jnp.linalg.svd(self.where(x), full_matrices=False)
        move = self.where(velocity)
        active = s >= self.radius * (1 - 100 * jnp.finfo(s.dtype).eps)
        basis_u, basis_v = u * active[None], v.T * active[None]
        inner = basis_u.T @ move @ basis_v
        values, vectors = jnp.linalg.eigh((inner + inner.T) / 2)
        outward = (vectors * jnp.maximum(values, 0.0)[None]) @ vectors.T
        return eqx.tree_at(self.where, velocity, move - basis_u @ outward @ basis_v.T)

    def margins(self, x: PyTree) -> Array:
        """Radius minus singular values."""
        return self.radius - jnp.linalg.svd(self.where(x), compute_uv=False)


class Constraints(AbstractConstraint):
    """Several constraints at once, each on a part of the state of its own.

    Args:
        parts: The constraints; no two of them may bound the same coordinates, because projections that share some do not
            compose.
    """

    parts: tuple[AbstractConstraint, ...] = eqx.field(converter=tuple)

    def __check_init__(self):
        for part in self.parts:
            check_constraint(part, "Constraints")

    def project(self, x: PyTree) -> PyTree:
        """Every projection in turn."""
        for part in self.parts:
            x = part.project(x)
        return x

    def tangent(self, x: PyTree, velocity: PyTree) -> PyTree:
        """Every projection on a tangent cone in turn."""
        for part in self.parts:
            velocity = part.tangent(x, velocity)
        return velocity

    def margins(self, x: PyTree) -> Array:
        """Those of all."""
        return jnp.concatenate([part.margins(x) for part in self.parts])
