"""Leading eigenvalues without a matrix, for systems of more parameters than a dense eigensolver takes."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PyTree
from scipy.sparse import linalg as sparse

from .. import _tree
from .._results import RESULTS, first, worst
from .._system import AbstractMap, AbstractSystem
from ._memory import has_memory, settled, stationary_tolerance


class Eigenpairs(eqx.Module):
    r"""Eigenpairs of a Jacobian from Krylov's method, the leading one first.

    `vectors` have one row per eigenvalue, of unit length, on the coordinates of the state. `shares` is the part of each
    eigenvector's squared length that belongs to each player. `residuals` are :math:`|Jv - \lambda v|`. `errors` bound how far
    a true eigenvalue is, to first order: the residual and the rounding of the products, times the eigenvalue's condition
    number :math:`1/|w^* v|`, for which the left eigenvector w is computed too (infinite where it was not found).
    """

    values: Complex[Array, " k"]
    vectors: Complex[Array, "k n"]
    shares: Float[Array, "k p"]
    residuals: Float[Array, " k"]
    errors: Float[Array, " k"]
    products: int = eqx.field(static=True)


class _Linear(NamedTuple):
    """A linearisation as products: forward, transposed, and the coordinates that are none."""

    forward: Callable
    transposed: Callable
    kept: np.ndarray


@eqx.filter_jit
def _linearised(system: AbstractSystem, x: PyTree) -> tuple[Any, Any]:
    vector, unravel = _tree.ravel(x)

    def flat(v: Array) -> Array:
        return _tree.ravel(system(unravel(v)))[0]

    forward = jax.linearize(flat, vector)[1]
    return forward, jax.vjp(flat, vector)[1]


@eqx.filter_jit
def _apply(product: Callable, v: Array) -> Array:
    image = product(v)
    return image[0] if isinstance(image, tuple) else image


def linearised(system: AbstractSystem, x: PyTree) -> _Linear:
    """The products with the Jacobian and its transpose, each compiled once for all states of a kind.

    Numbers of a map's memory that nothing moves and that move nothing, which products with random vectors show, are set to
    zero in every product.
    """
    forward, transposed = _linearised(system, x)
    n = _tree.size(x)
    kept = np.ones(n, bool)
    if has_memory(system, x):
        probe = jnp.asarray(np.random.default_rng(0).normal(size=n))
        kept = np.asarray((_apply(forward, probe) != probe) | (_apply(transposed, probe) != probe))

    def masked(product: Any) -> Callable:
        def multiply(v: np.ndarray) -> np.ndarray:
            if np.iscomplexobj(v):
                return multiply(np.real(v)) + 1j * multiply(np.imag(v))
            return np.where(kept, np.asarray(_apply(product, jnp.asarray(np.where(kept, v, 0.0).reshape(n)))), 0.0)

        return multiply

    return _Linear(masked(forward), masked(transposed), kept)


class Arnoldi(eqx.Module):
    """The leading eigenvalues by the implicitly restarted Arnoldi method (ARPACK), from products with the Jacobian only.

    Args:
        count: How many eigenvalues.
        basis: The size of the Krylov basis; four times `count`, and at least 40, if left out. Where eigenvalues cluster, as
            along the imaginary axis of a GAN near its equilibrium, a larger basis converges and a smaller one does not.
        restarts: The most restarts.
        tolerance: The relative accuracy asked for; that of the numbers' type if zero.
        seed: That of the random start.
    """

    count: int = eqx.field(static=True, default=6)
    basis: int | None = eqx.field(static=True, default=None)
    restarts: int = eqx.field(static=True, default=300)
    tolerance: float = eqx.field(static=True, default=0.0)
    seed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if self.count < 1 or self.restarts < 1 or not 0 <= self.tolerance < 1:
            raise ValueError(
                "Arnoldi: count and restarts are at least one and the tolerance lies in [0, 1); got "
                f"count={self.count}, restarts={self.restarts}, tolerance={self.tolerance}."
            )
        if self.basis is not None and self.basis < self.count + 2:
            raise ValueError(f"Arnoldi: the basis needs at least count + 2 = {self.count + 2} vectors; got {self.basis}.")

    def settings(self, n: int) -> dict[str, Any]:
        """ARPACK's arguments in dimension n."""
        basis = max(4 * self.count, 40) if self.basis is None else self.basis
        start = np.random.default_rng(self.seed).normal(size=n)
        return {"k": self.count, "ncv": min(basis, n), "maxiter": self.restarts, "tol": self.tolerance, "v0": start}


# SciPy's own annotations know neither the keywords nor the results of these.
_ARPACK: Any = sparse


def _operator(multiply: Callable, n: int, dtype: Any) -> Any:
    return _ARPACK.LinearOperator((n, n), matvec=multiply, dtype=dtype)


def _eigs(multiply: Callable, n: int, which: str, arnoldi: Arnoldi, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """What converged, largest first; nothing if nothing did."""
    try:
        values, vectors = _ARPACK.eigs(_operator(multiply, n, dtype), which=which, **arnoldi.settings(n))
    except _ARPACK.ArpackNoConvergence as found:
        values, vectors = found.eigenvalues, found.eigenvectors
    except _ARPACK.ArpackError:
        return np.zeros(0, complex), np.zeros((n, 0), complex)
    order = np.argsort(-(np.real(values) if which == "LR" else np.abs(values)), kind="stable")
    return values[order], vectors[:, order]


def _top(multiply: Callable, n: int, arnoldi: Arnoldi, dtype: Any) -> tuple[float, float]:
    """The largest eigenvalue of a symmetric operator and its residual, infinite where Lanczos' method does not converge."""
    settings = arnoldi.settings(n) | {"k": 1}
    try:
        values, vectors = _ARPACK.eigsh(_operator(multiply, n, dtype), which="LA", **settings)
    except _ARPACK.ArpackError:
        return np.inf, np.inf
    return float(values[0]), float(np.linalg.norm(multiply(vectors[:, 0]) - values[0] * vectors[:, 0]))


def _shares(x: PyTree, vectors: np.ndarray) -> np.ndarray:
    """The part of each vector's squared length that belongs to each player; one column where the state has no players."""
    parts = _tree.players(x) if isinstance(x, tuple) else [x]
    ends = np.cumsum([0, *map(_tree.size, parts)])
    square = np.abs(vectors) ** 2
    return np.stack([square[:, a:b].sum(axis=1) for a, b in itertools.pairwise(ends)], axis=1)


def _conditions(values: np.ndarray, vectors: np.ndarray, dual: np.ndarray, left: np.ndarray) -> np.ndarray:
    """1/|w*v| of each eigenvalue, by the left eigenvector of the nearest eigenvalue of the transpose."""
    if not dual.size:
        return np.full(values.shape, np.inf)
    distance = np.abs(values[:, None] - dual[None, :])
    nearest = np.argmin(distance, axis=1)
    overlap = np.abs(np.sum(left[:, nearest] * vectors, axis=0))
    same = distance[np.arange(values.size), nearest] <= 1e-3 * np.abs(values).max()
    return np.where(same & (overlap > 0), 1 / np.where(overlap > 0, overlap, 1.0), np.inf)


def _certificate(products: _Linear, n: int, arnoldi: Arnoldi, dtype: Any, is_map: bool, backward: float) -> float:
    """A bound on the growth of every mode: a flow's numerical abscissa, the logarithm of a map's largest singular value."""
    if is_map:
        square, slack = _top(lambda v: products.transposed(products.forward(v)), n, arnoldi, dtype)
        return float(np.log(np.sqrt(max(square, 0.0) + slack) + backward))
    highest, slack = _top(lambda v: (products.forward(v) + products.transposed(v)) / 2, n, arnoldi, dtype)
    return highest + slack + backward


class Leading(NamedTuple):
    """What products tell of a spectrum: the pairs, the least and the largest growth, the size and the outcome."""

    pairs: Eigenpairs
    floor: float
    bound: float
    size: float
    result: RESULTS


def _none(n: int) -> Eigenpairs:
    nan, none = jnp.full((1,), jnp.nan), jnp.full((1, n), jnp.nan + 0j)
    return Eigenpairs(none[:, 0], none, nan[:, None], nan, nan, 0)


def leading(system: AbstractSystem, x: PyTree, arnoldi: Arnoldi) -> Leading:
    """The leading eigenpairs: the rightmost of a flow, those of largest modulus of a map."""
    x = settled(system, x)
    products, n, is_map = linearised(system, x), _tree.size(x), isinstance(system, AbstractMap)
    if n <= arnoldi.count + 2:
        raise ValueError(f"Arnoldi finds at most n - 3 eigenvalues of n = {n}; got count={arnoldi.count}. Use gd.Dense().")
    vector = np.asarray(_tree.ravel(x)[0])
    which, dtype, count = "LM" if is_map else "LR", vector.dtype, 0

    def multiply(v: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return products.forward(v)

    probes = np.random.default_rng(arnoldi.seed).normal(size=(4, n)).astype(dtype)
    size = float(np.sqrt(np.mean([np.sum(multiply(v) ** 2) for v in probes])))
    residual = float(_tree.norm(system.residual(x)))
    if not np.isfinite(size + residual):
        return Leading(_none(n), np.nan, np.nan, np.nan, first(system.failure(x), RESULTS.nonfinite))
    values, vectors = _eigs(multiply, n, which, arnoldi, dtype)
    if not values.size:
        return Leading(_none(n), np.nan, np.nan, size, RESULTS.no_eigenvalue)
    dual, left = _eigs(products.transposed, n, which, arnoldi, dtype)
    residuals = np.array([np.linalg.norm(multiply(v) - value * v) for value, v in zip(values, vectors.T, strict=True)])
    backward = 4 * np.sqrt(n) * system.precision(x) * size
    errors = _conditions(values, vectors, dual, left) * (residuals + backward)
    with np.errstate(divide="ignore"):
        lowest = np.log(np.maximum(np.abs(values) - errors, 0.0)) if is_map else np.real(values) - errors
    floor = float(np.max(lowest, initial=-np.inf))
    bound = _certificate(products, n, arnoldi, dtype, is_map, backward) if floor <= 0 else np.inf
    # A bound that does not exclude growth is no certificate.
    bound = bound if bound < 0 else np.inf
    pairs = Eigenpairs(
        jnp.asarray(values),
        jnp.asarray(vectors.T),
        jnp.asarray(_shares(x, vectors.T)),
        jnp.asarray(residuals),
        jnp.asarray(errors),
        count,
    )
    slope = size + (np.sqrt(n) if is_map else 0.0)
    result = worst(
        (jnp.any(jnp.abs(system.switches(x)) <= _tree.eps(x) ** 0.5), RESULTS.switching),
        (residual > stationary_tolerance(x, jnp.asarray(slope)), RESULTS.not_stationary),
    )
    return Leading(pairs, floor, bound, size, result)
