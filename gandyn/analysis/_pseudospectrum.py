"""The pseudospectrum around each eigenvalue: how far the growth may move when the matrix is not known exactly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ScalarLike

from ._linear import smallest_singular_value

_DIRECTIONS = np.exp(2j * np.pi * np.arange(8) / 8)
_BISECTIONS = 10
_MOST_MODES = 32


def _radius(matrix: Array, value: Array, level: Array) -> Array:
    """The radius of the pseudospectrum at `level` around an eigenvalue, to within a few per cent."""
    n = matrix.shape[0]
    eye = jnp.eye(n, dtype=value.dtype)
    size = jnp.linalg.norm(matrix) + level

    def inside(radius: Array) -> Array:
        ring = value + radius * jnp.asarray(_DIRECTIONS, value.dtype)
        return jnp.min(jax.vmap(lambda z: smallest_singular_value(matrix - z * eye))(ring)) < level

    def halve(_: ScalarLike, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        grow = inside(jnp.exp(middle))
        return jnp.where(grow, middle, low), jnp.where(grow, high, middle)

    # Between the normal case and Elsner's bound for a defective eigenvalue of full order.
    ends = jnp.log(level), jnp.log(2 * size) * (1 - 1 / n) + jnp.log(level) / n + jnp.log(2.0)
    return jnp.exp(jax.lax.fori_loop(0, _BISECTIONS, halve, ends)[1])


def _most_sensitive(matrix: Array, level: Array, growth: Callable[[Array], Array]) -> Array:
    """The modes of a large matrix whose growth a perturbation raises most, to first order."""
    values, vectors = jnp.linalg.eig(matrix)
    condition = jnp.linalg.norm(vectors, axis=0) * jnp.linalg.norm(jnp.linalg.inv(vectors), axis=1)
    steepness = jnp.abs(jax.vmap(jax.grad(growth))(values))
    raised = jax.vmap(growth)(values) + steepness * level * values.size * condition
    return values[jnp.argsort(-jnp.where(jnp.isnan(raised), jnp.inf, raised))[:_MOST_MODES]]


def perturbed_growth(matrix: Array, values: Array, level: Array, exponent: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The largest growth over the pseudospectrum at `level`, and the slope of the growth at the mode that reaches it.

    A growth that is positive may also fall: then the value lies at least as far above it as the fall is deep.
    """

    def growth(z: Array) -> Array:
        return exponent(z).real

    leading = values if values.size <= _MOST_MODES else _most_sensitive(matrix, level, growth)
    radius = jax.vmap(lambda value: _radius(matrix, value, level))(leading)
    gradient = jax.vmap(jax.grad(growth))(leading)
    steepness = jnp.abs(gradient)
    usable = jnp.isfinite(steepness) & (steepness > 0)
    ascent = radius * jnp.where(usable, jnp.conj(gradient) / jnp.where(usable, steepness, 1.0), 1.0)
    risen = growth(leading + ascent)
    top, highest = jnp.argmax(risen), jnp.argmax(growth(leading))
    peak, far = growth(leading[highest]), (leading - ascent)[highest]
    # A logarithm that has turned on the way passed minus infinity.
    turned = (jax.grad(growth)(far) * ascent[highest]).real <= 0
    fallen = jnp.where(turned, 0.0, jnp.maximum(growth(far), 0.0))
    return jnp.where(peak > 0, jnp.maximum(risen[top], 2 * peak - fallen), risen[top]), jnp.where(usable, steepness, 0.0)[top]
