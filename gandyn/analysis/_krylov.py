"""Leading eigenvalues without a matrix, for systems of more parameters than a dense eigensolver takes."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PyTree
from scipy.linalg import eigvalsh_tridiagonal
from scipy.sparse import linalg as sparse

from .. import _tree
from .._results import RESULTS, first, worst
from .._system import AbstractMap, AbstractSystem
from ..games._measure import companion
from ._memory import has_memory, settled, stationary_tolerance

# Lanczos's steps for a bound, and how probably the bound may fail.
_STEPS, _MISSED = 200, 1e-9


class Eigenpairs(eqx.Module):
    r"""Eigenpairs of a Jacobian from Krylov's method, the leading one first.

    `vectors` have one row per eigenvalue, of unit length, on the coordinates of the state. `shares` is the part of each
    eigenvector's squared length that belongs to each player. `residuals` are :math:`|Jv - \lambda v|`. `errors` bound how far
    a true eigenvalue is, to first order: the residual and the backward error of the Jacobian (rounding, and at an equilibrium
    that of quadratures and of the way to it), times the eigenvalue's condition number :math:`1/|w^* v|`, for which the left
    eigenvectors are computed too (infinite where they were not found).
    """

    values: Complex[Array, " k"]
    vectors: Complex[Array, "k n"]
    shares: Float[Array, "k p"]
    residuals: Float[Array, " k"]
    errors: Float[Array, " k"]


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
_SPARSE: Any = sparse


def eigenpairs(multiply: Callable, n: int, dtype: Any, *, symmetric: bool = False, **settings: Any) -> tuple[Any, Any]:
    """The eigenvalues of an operator that converge and their vectors, as columns; none where ARPACK gives up."""
    operator = _SPARSE.LinearOperator((n, n), matvec=multiply, dtype=dtype)
    try:
        return (_SPARSE.eigsh if symmetric else _SPARSE.eigs)(operator, **settings)
    except _SPARSE.ArpackNoConvergence as found:
        return found.eigenvalues, found.eigenvectors
    except _SPARSE.ArpackError:
        return np.zeros(0), np.zeros((n, 0))


def _eigs(multiply: Callable, n: int, which: str, arnoldi: Arnoldi, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """What converged, largest first; nothing if nothing did."""
    values, vectors = eigenpairs(multiply, n, dtype, which=which, **arnoldi.settings(n))
    order = np.argsort(-(np.real(values) if which == "LR" else np.abs(values)), kind="stable")
    return values[order], vectors[:, order]


def _highest(multiply: Callable, n: int, seed: int) -> float:
    r"""A bound on the largest eigenvalue of a symmetric operator, missed with a probability of at most `_MISSED`.

    The largest Ritz value of k steps of Lanczos's method from a random start lies below the eigenvalue by more than a share
    :math:`\epsilon` of the spectrum's width with probability at most
    :math:`1.648\sqrt n\,e^{-\sqrt\epsilon(2k - 1)}` (Kuczyński and Woźniakowski, 1992). A residual says nothing of the kind:
    it belongs to some eigenvalue, and in a cluster hardly ever to the last.
    """
    steps = min(n, _STEPS)
    basis, diagonal, beside = np.zeros((steps, n)), np.zeros(steps), np.zeros(steps)
    v = np.random.default_rng(seed).normal(size=n)
    for k in range(steps):
        basis[k] = v / np.linalg.norm(v)
        v = np.asarray(multiply(basis[k]), float)
        diagonal[k], scale = basis[k] @ v, np.linalg.norm(v)
        # Twice is enough to stay orthogonal to rounding.
        for _ in range(2):
            v = v - basis[: k + 1].T @ (basis[: k + 1] @ v)
        beside[k] = np.linalg.norm(v)
        if beside[k] <= n * np.finfo(float).eps * scale:
            # The start has a part in every eigenspace, and all of them are found.
            return float(eigvalsh_tridiagonal(diagonal[: k + 1], beside[:k])[-1])
    ritz = eigvalsh_tridiagonal(diagonal, beside[:-1])
    share = 0.0 if steps == n else (np.log(1.648 * n**0.5 / _MISSED) / (2 * steps - 1)) ** 2
    return float(ritz[-1] + share / (1 - 2 * share) * (ritz[-1] - ritz[0])) if share < 0.5 else np.inf


def _shares(x: PyTree, vectors: np.ndarray) -> np.ndarray:
    """The part of each vector's squared length that belongs to each player; one column where the state has no players."""
    parts = _tree.players(x) if isinstance(x, tuple) else [x]
    ends = np.cumsum([0, *map(_tree.size, parts)])
    square = np.abs(vectors) ** 2
    return np.stack([square[:, a:b].sum(axis=1) for a, b in itertools.pairwise(ends)], axis=1)


def _conditions(vectors: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The norms of the dual basis of the eigenvectors, from those of the transpose: 1/|w*v| of a simple eigenvalue."""
    if left.shape != vectors.shape:
        return np.full(vectors.shape[1], np.inf)
    try:
        dual = np.linalg.solve(left.T @ vectors, left.T)
    except np.linalg.LinAlgError:
        return np.full(vectors.shape[1], np.inf)
    return np.linalg.norm(dual, axis=1)


def _certificate(products: _Linear, n: int, arnoldi: Arnoldi, is_map: bool, level: float) -> float:
    """A bound on the growth of every mode: a flow's numerical abscissa, the logarithm of a map's largest singular value."""
    if is_map:
        square = _highest(lambda v: products.transposed(products.forward(v)), n, arnoldi.seed)
        return float(np.log(np.sqrt(max(square, 0.0)) + level))
    return _highest(lambda v: (products.forward(v) + products.transposed(v)) / 2, n, arnoldi.seed) + level


def _size(multiply: Callable, probes: np.ndarray) -> float:
    """The Frobenius norm of an operator, from its products with a few random vectors."""
    return float(np.sqrt(np.mean([np.sum(multiply(v) ** 2) for v in probes])))


def _displacement(system: AbstractSystem, x: PyTree, products: _Linear, probes: np.ndarray) -> float:
    """By how much the Jacobian differs from that at the equilibrium: by quadratures, and by the way there.

    That way is Newton's step of the finer quadrature, as far as a few dozen products solve for it; the Jacobian is compared
    with the one on its far side.
    """
    finer = companion(system)
    reference = system if finer is None else finer
    vector, unravel = _tree.ravel(x)
    residual = np.where(products.kept, np.asarray(_tree.ravel(reference.residual(x))[0]), 0.0)
    still = float(isinstance(system, AbstractMap))
    n, kind = vector.size, vector.dtype
    derivative = _SPARSE.LinearOperator((n, n), matvec=lambda v: products.forward(v) - still * v, dtype=kind)
    step = _SPARSE.gmres(derivative, residual, restart=30, maxiter=1)[0]
    there = linearised(reference, unravel(vector - 2 * jnp.asarray(step, kind)))
    moved = _size(lambda v: there.forward(v) - products.forward(v), probes)
    return 2 * moved


class Leading(NamedTuple):
    """What products tell of a spectrum: the pairs, the least and the largest growth, the size and the outcome."""

    pairs: Eigenpairs
    floor: float
    bound: float
    size: float
    result: RESULTS


def _none(n: int) -> Eigenpairs:
    nan, none = jnp.full((1,), jnp.nan), jnp.full((1, n), jnp.nan + 0j)
    return Eigenpairs(none[:, 0], none, nan[:, None], nan, nan)


def leading(system: AbstractSystem, x: PyTree, arnoldi: Arnoldi) -> Leading:
    """The leading eigenpairs: the rightmost of a flow, those of largest modulus of a map."""
    x = settled(system, x)
    products, n, is_map = linearised(system, x), _tree.size(x), isinstance(system, AbstractMap)
    if n <= arnoldi.count + 2:
        raise ValueError(f"Arnoldi finds at most n - 3 eigenvalues of n = {n}; got count={arnoldi.count}. Use gd.Dense().")
    which, dtype = "LM" if is_map else "LR", _tree.ravel(x)[0].dtype
    probes = np.random.default_rng(arnoldi.seed).normal(size=(4, n)).astype(dtype)
    size, residual = _size(products.forward, probes), float(_tree.norm(system.residual(x)))
    if not np.isfinite(size + residual):
        return Leading(_none(n), np.nan, np.nan, np.nan, first(system.failure(x), RESULTS.nonfinite))
    values, vectors = _eigs(products.forward, n, which, arnoldi, dtype)
    if not values.size:
        return Leading(_none(n), np.nan, np.nan, size, RESULTS.no_eigenvalue)
    left = _eigs(products.transposed, n, which, arnoldi, dtype)[1]
    residuals = np.linalg.norm(np.stack([products.forward(v) for v in vectors.T], axis=1) - vectors * values, axis=0)
    away = residual > stationary_tolerance(x, jnp.asarray(size + (n**0.5 if is_map else 0.0)))
    # Each product is a sum of n terms, whose roundings add up like random ones.
    level = 4 * n**0.5 * system.precision(x) * size + (0.0 if away else _displacement(system, x, products, probes))
    errors = _conditions(vectors, left) * (residuals + level)
    with np.errstate(divide="ignore"):
        lowest = np.log(np.maximum(np.abs(values) - errors, 0.0)) if is_map else np.real(values) - errors
    floor = float(np.max(lowest, initial=-np.inf))
    bound = _certificate(products, n, arnoldi, is_map, level) if floor <= 0 else np.inf
    # A bound that does not exclude growth is no certificate.
    bound = bound if bound < 0 else np.inf
    pairs = Eigenpairs(*map(jnp.asarray, (values, vectors.T, _shares(x, vectors.T), residuals, errors)))
    result = worst(
        (jnp.any(jnp.abs(system.switches(x)) <= _tree.eps(x) ** 0.5), RESULTS.switching),
        (away, RESULTS.not_stationary),
    )
    return Leading(pairs, floor, bound, size, result)
