"""Eigenpairs of a Jacobian at any point, with how well each is known."""

import itertools
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Complex, Float, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, worst
from .._system import AbstractMap, AbstractSystem
from ._krylov import Arnoldi, Largest, Rightmost
from ._linear import Dense, matrix
from ._products import Products, linearised, size


class Eigenpairs(eqx.Module):
    r"""Eigenpairs of a Jacobian, the one asked for first first.

    `vectors` have one row per eigenvalue, of unit length, on the coordinates of the state. `shares` is the part of each
    eigenvector's squared length that belongs to each player. `residuals` are :math:`|Jv - \lambda v|`. `errors` bound how far
    a true eigenvalue is, to first order: the residual and the backward error of the Jacobian (rounding, and at an equilibrium
    that of quadratures and of the way to it), times the eigenvalue's condition number :math:`1/|w^* v|`, for which the left
    eigenvectors are computed too (infinite where they were not found). Rows that did not converge are NaN.
    """

    values: Complex[Array, " k"]
    vectors: Complex[Array, "k n"]
    shares: Float[Array, "k p"]
    residuals: Float[Array, " k"]
    errors: Float[Array, " k"]
    result: RESULTS

    @property
    def zeta(self) -> Scalar:
        r"""The phase factor :math:`\max_i |{\rm Im}\,\lambda_i / {\rm Re}\,\lambda_i|` (Nie and Patel, 2019).

        Of a part of the spectrum it is a lower bound on that of the whole.
        """
        return phase(self.values[jnp.isfinite(self.values)])

    @property
    def tau(self) -> Scalar:
        r"""The conditioning factor :math:`\max_i|\lambda_i| / \min_i|\lambda_i|` (Nie and Patel, 2019).

        Of a part of the spectrum it is a lower bound on that of the whole.
        """
        modulus = jnp.abs(self.values)
        return jnp.nanmax(modulus) / jnp.nanmin(modulus)

    def __str__(self) -> str:
        rows = zip(*map(np.asarray, (self.values, self.shares, self.errors)), strict=True)
        lines = [f"{z:.10g}  error {e:.1g}  players {', '.join(f'{s:.0%}' for s in shares)}" for z, shares, e in rows]
        return "\n".join([*lines[:8], *(["..."] if len(lines) > 8 else [])])


def phase(values: Complex[Array, "*b n"]) -> Float[Array, "*b"]:
    """The largest ratio of imaginary to real parts, zero where all are real."""
    real, imaginary = jnp.abs(values.real), jnp.abs(values.imag)
    ratio = jnp.where(imaginary == 0, 0.0, imaginary / jnp.where(real > 0, real, 1.0))
    return jnp.max(jnp.where((real == 0) & (imaginary > 0), jnp.inf, ratio), axis=-1, initial=0.0)


def player_shares(x: PyTree, vectors: np.ndarray) -> np.ndarray:
    """The part of each row's squared length that belongs to each player; one column where the state has no players."""
    parts = _tree.players(x) if isinstance(x, tuple) else [x]
    ends = np.cumsum([0, *map(_tree.size, parts)])
    square = np.abs(vectors) ** 2
    return np.stack([square[:, a:b].sum(axis=1) for a, b in itertools.pairwise(ends)], axis=1)


def conditions(vectors: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The norms of the dual basis of the eigenvectors, from those of the transpose: 1/|w*v| of a simple eigenvalue."""
    if left.shape != vectors.shape:
        return np.full(vectors.shape[1], np.inf)
    try:
        dual = np.linalg.solve(left.T @ vectors, left.T)
    except np.linalg.LinAlgError:
        return np.full(vectors.shape[1], np.inf)
    return np.linalg.norm(dual, axis=1)


class Found(NamedTuple):
    """Eigenpairs on NumPy's arrays: vectors as columns, and the condition numbers of the values."""

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    conditions: np.ndarray
    complete: bool = True

    def pairs(self, x: PyTree, level: float) -> Eigenpairs:
        """The result, with a backward error of the Jacobian."""
        errors = self.conditions * (self.residuals + level)
        columns = (self.values, self.vectors.T, player_shares(x, self.vectors.T), self.residuals, errors)
        values, vectors, shares, residuals, errors = map(jnp.asarray, columns)
        return Eigenpairs(values, vectors, shares, residuals, errors, RESULTS.successful)


def _none(n: int) -> Found:
    return Found(np.zeros(0, complex), np.zeros((n, 0), complex), np.zeros(0), np.zeros(0))


def search(products: Products, arnoldi: Arnoldi, is_map: bool) -> Found:
    """What Krylov's method finds, with the left eigenvectors for the condition numbers."""
    if products.n <= arnoldi.count + 2:
        raise ValueError(
            f"Arnoldi finds at most n - 3 eigenvalues of n = {products.n}; got count={arnoldi.count}. Use gd.Dense()."
        )
    values, vectors, _, complete = arnoldi.search(products, is_map)
    left = arnoldi.search(products.transpose(), is_map).vectors if values.size else vectors
    known = conditions(vectors, left)
    values, vectors, known = values[: arnoldi.count], vectors[:, : arnoldi.count], known[: arnoldi.count]
    residuals = np.linalg.norm(products.images(vectors) - vectors * values, axis=0)
    return Found(values, vectors, residuals, known, complete)


def _all(system: AbstractSystem, x: PyTree, is_map: bool) -> Found:
    """Every eigenpair, the leading one first; a Jacobian that is not finite has none."""
    a = np.asarray(matrix(system, x))
    if not np.all(np.isfinite(a)):
        return _none(len(a))
    # SciPy's own annotations take the number of results for unknown.
    found: Any = scipy.linalg.eig(a, left=True)
    values, left, right = found
    order = np.argsort((Largest() if is_map else Rightmost()).rank(values, is_map), kind="stable")
    # LAPACK gives real vectors where all eigenvalues are real.
    values, left, right = values[order], left[:, order].astype(complex), right[:, order].astype(complex)
    overlap = np.abs(np.sum(left.conj() * right, axis=0))
    residuals = np.linalg.norm(a @ right - right * values, axis=0)
    return Found(values, right, residuals, 1 / np.maximum(overlap, np.finfo(float).tiny))


def _padded(pairs: Eigenpairs, count: int, result: RESULTS) -> Eigenpairs:
    """The first so many rows, and NaN below."""

    def resize(leaf: Array) -> Array:
        rest = jnp.full((max(count - leaf.shape[0], 0), *leaf.shape[1:]), jnp.nan, leaf.dtype)
        return jnp.concatenate([leaf[:count], rest])

    values, vectors, shares = resize(pairs.values), resize(pairs.vectors), resize(pairs.shares)
    return Eigenpairs(values, vectors, shares, resize(pairs.residuals), resize(pairs.errors), result)


def nothing(x: PyTree) -> Eigenpairs:
    """A single row, which did not converge."""
    return _padded(_none(_tree.size(x)).pairs(x, 0.0), 1, RESULTS.no_eigenvalue)


def rounding(system: AbstractSystem, x: PyTree, magnitude: float) -> float:
    """The backward error of products by rounding: each is a sum of n terms, whose roundings add up like random ones."""
    return 4 * _tree.size(x) ** 0.5 * system.precision(x) * magnitude


def eigenpairs(system: AbstractSystem, x: PyTree, *, spectrum: Dense | Arnoldi = Arnoldi(), throw: bool = True) -> Eigenpairs:
    """Eigenvalues and eigenvectors of the Jacobian at any point, an equilibrium or not: of a network while it trains.

    Nothing is concluded from them; for that there is `stability`. The products are compiled once for all points of a system,
    and of all systems that differ in the values of their leaves only: mini-batches, step sizes.

    Args:
        system: A flow (eigenvalues per unit time) or a map (multipliers per application).
        x: A point; for a map with memory a state of the map.
        spectrum: `Arnoldi(count, target)` for a few eigenvalues, from products; `Dense()` for all of them, from the matrix, up
            to a few thousand coordinates. Neither runs inside `jit`.
        throw: Raise if there are fewer than were asked for.

    Returns:
        An `Eigenpairs` with as many rows as eigenvalues were asked for.

    Raises:
        ValueError: A state of the wrong structure or not finite, or fewer coordinates than eigenvalues asked for.
        RuntimeError: Fewer eigenvalues converged than were asked for, or the Jacobian is not finite (with `throw`).
    """
    system, x = prepare(system, x)
    is_map = isinstance(system, AbstractMap)
    products = linearised(system, x)
    magnitude = size(products.forward, products.probes(0))
    count = spectrum.count if isinstance(spectrum, Arnoldi) else products.n
    finite = bool(np.isfinite(magnitude))
    if isinstance(spectrum, Dense):
        found = _all(system, x, is_map)
    elif finite:
        found = search(products, spectrum, is_map)
    else:
        found = _none(products.n)
    few, sparse = found.values.size < count, not found.complete
    missing = worst((jnp.asarray(few), RESULTS.few_eigenvalues), (jnp.asarray(sparse), RESULTS.border_not_covered))
    result = missing if finite else first(system.failure(x), RESULTS.nonfinite)
    check(result, throw, "eigenpairs: ")
    return _padded(found.pairs(x, rounding(system, x, magnitude)), count, result)
