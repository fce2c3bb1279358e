"""A linearisation as products with vectors, compiled once for all points."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._memory import has_memory

_PROBES = 4


class Products(NamedTuple):
    """The Jacobian as products on vectors of NumPy, real or complex: forward, transposed, and the coordinates that are none."""

    forward: Callable
    transposed: Callable
    kept: np.ndarray
    dtype: np.dtype

    @property
    def n(self) -> int:
        """The dimension."""
        return self.kept.size

    def transpose(self) -> "Products":
        """Those of the transpose."""
        return self._replace(forward=self.transposed, transposed=self.forward)

    def probes(self, seed: int) -> np.ndarray:
        """A few random vectors."""
        return np.random.default_rng(seed).normal(size=(_PROBES, self.n)).astype(self.dtype)

    def images(self, vectors: np.ndarray) -> np.ndarray:
        """The products with each column."""
        return np.stack([self.forward(v) for v in vectors.T], axis=1) if vectors.size else vectors


@eqx.filter_jit
def _linearised(system: AbstractSystem, x: PyTree) -> tuple[PyTree, Any]:
    vector, unravel = _tree.ravel(x)

    def flat(v: Array) -> tuple[Array, PyTree]:
        image = system(unravel(v))
        return _tree.ravel(image)[0], image

    _, forward, image = jax.linearize(flat, vector, has_aux=True)
    return image, forward


@eqx.filter_jit
def _forward(product: Callable, v: Array) -> Array:
    return product(v)


@eqx.filter_jit
def _transposed(product: Callable, v: Array) -> Array:
    return jax.linear_transpose(product, v)(v)[0]


def carried(step: AbstractMap, x: PyTree, displacement: Array, count: int) -> Array:
    """An infinitesimal displacement after some applications of a map, as the state moves."""
    for _ in range(count):
        x, product = _linearised(step, x)
        displacement = _forward(product, displacement)
    return displacement


def linearised(system: AbstractSystem, x: PyTree) -> Products:
    """The products with the Jacobian and its transpose, each compiled once for all states of a kind.

    Numbers of a map's memory that nothing moves and that move nothing, which products with random vectors show, are set to
    zero in every product.
    """
    _, product = _linearised(system, x)
    n, dtype = _tree.size(x), _tree.ravel(x)[0].dtype
    kept = np.ones(n, bool)
    if has_memory(system, x):
        probe = jnp.asarray(np.random.default_rng(0).normal(size=n), dtype)
        kept = np.asarray((_forward(product, probe) != probe) | (_transposed(product, probe) != probe))

    def masked(apply: Callable) -> Callable:
        def multiply(v: np.ndarray) -> np.ndarray:
            if np.iscomplexobj(v):
                return multiply(np.real(v)) + 1j * multiply(np.imag(v))
            return np.where(kept, np.asarray(apply(product, jnp.asarray(np.where(kept, v.reshape(n), 0.0), dtype))), 0.0)

        return multiply

    return Products(masked(_forward), masked(_transposed), kept, np.dtype(dtype))


def size(multiply: Callable, probes: np.ndarray) -> float:
    """The Frobenius norm of an operator, from its products with a few random vectors."""
    return float(np.sqrt(np.mean([np.sum(multiply(v) ** 2) for v in probes])))
