"""The pseudospectrum around each eigenvalue: how far the growth may move when the matrix is not known exactly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, ScalarLike

from ._linear import smallest_singular_value

_DIRECTIONS = np.exp(2j * np.pi * np.arange(8) / 8)
_BISECTIONS = 10
# Singular values of more than a few dozen rows cost more than the spectrum itself.
_LARGE = 32
_MOST_MODES = 4


def _radius(matrix: Array, value: Array, level: Array, distance: Callable[[Array], Array]) -> Array:
    """The radius of the pseudospectrum at `level` around an eigenvalue, to within a few per cent."""
    n = matrix.shape[0]
    size = jnp.linalg.norm(matrix) + level

    def inside(radius: Array) -> Array:
        ring = value + radius * jnp.asarray(_DIRECTIONS, value.dtype)
        return jnp.min(jax.vmap(distance)(ring)) < level

    def halve(_: ScalarLike, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        grow = inside(jnp.exp(middle))
        return jnp.where(grow, middle, low), jnp.where(grow, high, middle)

    # Between the normal case and Elsner's bound for a defective eigenvalue of full order.
    ends = jnp.log(level), jnp.log(2 * size) * (1 - 1 / n) + jnp.log(level) / n + jnp.log(2.0)
    return jnp.exp(jax.lax.fori_loop(0, _BISECTIONS, halve, ends)[1])


def _to_singular(matrix: Array) -> Callable[[Array], Array]:
    r"""The distance of :math:`A - zI` to the singular matrices, at most.

    For a large matrix three inverse iterations on its Schur form, which find it to well within a factor of two, and half of
    what they find.
    """
    n = matrix.shape[0]
    kind = jnp.result_type(matrix.dtype, jnp.complex64)
    eye = jnp.eye(n, dtype=kind)
    if n <= _LARGE:
        return lambda z: smallest_singular_value(matrix - z * eye)
    triangle = jax.scipy.linalg.schur(matrix, output="complex")[0].astype(kind)
    generic = jnp.exp(1j * jnp.arange(1.0, n + 1)).astype(kind)

    def distance(z: Array) -> Array:
        shifted = triangle - z * eye

        def invert(_: ScalarLike, v: Array) -> Array:
            v = v / jnp.linalg.norm(v)
            return solve_triangular(shifted, solve_triangular(shifted, v, trans="C"))

        grown = jnp.linalg.norm(jax.lax.fori_loop(0, 3, invert, generic))
        return jnp.where(jnp.isfinite(grown), 0.5 / jnp.sqrt(grown), 0.0)

    return distance


def _upwards(values: Array, growth: Callable[[Array], Array]) -> Array:
    """The direction in which each value's growth rises fastest; any where there is none, as at a zero multiplier."""
    gradient = jax.vmap(jax.grad(growth))(values)
    steepness = jnp.abs(gradient)
    usable = jnp.isfinite(steepness) & (steepness > 0)
    return jnp.where(usable, jnp.conj(gradient) / jnp.where(usable, steepness, 1.0), 1.0)


def _raised(matrix: Array, level: Array, growth: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The eigenvalues whose growth a perturbation raises most, and by how much, to first order, it raises the others'."""
    values, vectors = jnp.linalg.eig(matrix)
    condition = jnp.linalg.norm(vectors, axis=0) * jnp.linalg.norm(jnp.linalg.inv(vectors), axis=1)
    raised = jax.vmap(growth)(values + 2 * level * condition * _upwards(values, growth))
    order = jnp.argsort(-jnp.where(jnp.isnan(raised), jnp.inf, raised))
    return values[order[:_MOST_MODES]], raised[order[_MOST_MODES]]


def perturbed_growth(matrix: Array, values: Array, level: Array, exponent: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The largest growth over the pseudospectrum at `level`, and the slope of the growth at the mode that reaches it.

    A growth that is positive may also fall: then the value lies at least as far above it as the fall is deep.
    """

    def growth(z: Array) -> Array:
        return exponent(z).real

    large = values.size > _LARGE
    leading, others = _raised(matrix, level, growth) if large else (values, -jnp.inf)
    distance = _to_singular(matrix)
    radius = jax.vmap(lambda value: _radius(matrix, value, level, distance))(leading)
    steepness = jnp.abs(jax.vmap(jax.grad(growth))(leading))
    ascent = radius * _upwards(leading, growth)
    risen = growth(leading + ascent)
    top, highest = jnp.argmax(risen), jnp.argmax(growth(leading))
    peak, far = growth(leading[highest]), (leading - ascent)[highest]
    # A logarithm that has turned on the way passed minus infinity.
    turned = (jax.grad(growth)(far) * ascent[highest]).real <= 0
    fallen = jnp.where(turned, 0.0, jnp.maximum(growth(far), 0.0))
    bound = jnp.maximum(jnp.where(peak > 0, jnp.maximum(risen[top], 2 * peak - fallen), risen[top]), others)
    return bound, jnp.where(jnp.isfinite(steepness), steepness, 0.0)[top]
