"""Spectra of networks on their data: over mini-batches with error bars, and of each player's own block."""

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Key, PyTree

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, worst
from .._system import AbstractSystem
from ._eigenpairs import Eigenpairs, eigenpairs
from ._krylov import Arnoldi, arpack
from ._products import linearised, size


class BatchSpectra(eqx.Module):
    """Eigenvalues on several independent mini-batches, each row in the order asked for.

    `mean` and `error` are the mean over the batches and its standard error, of the real and of the imaginary part (whose
    sign is left out, since conjugates have no order). They are those of the batch's spectrum: the leading eigenvalue of a
    batch's Jacobian lies on average to the right of the leading one on all data, by an amount that falls with the size of the
    batch and that more batches do not show.
    """

    values: Complex[Array, "b k"]
    result: RESULTS

    def _parts(self) -> Float[Array, "b 2 k"]:
        return jnp.stack([self.values.real, jnp.abs(self.values.imag)], axis=1)

    @property
    def mean(self) -> Float[Array, "2 k"]:
        """The mean of the real and of the imaginary parts."""
        return jnp.mean(self._parts(), axis=0)

    @property
    def error(self) -> Float[Array, "2 k"]:
        """Their standard errors."""
        return jnp.std(self._parts(), axis=0, ddof=1) / jnp.sqrt(self.values.shape[0])

    def __str__(self) -> str:
        rows = zip(*np.asarray(self.mean), *np.asarray(self.error), strict=True)
        return "\n".join(f"{x:.6g} +- {a:.1g}, +-i {y:.6g} +- {b:.1g}" for x, y, a, b in rows)


def batch_spectra(
    system: AbstractSystem,
    x: PyTree,
    redraw: Callable,
    key: Key[Array, ""],
    *,
    batches: int = 16,
    spectrum: Arnoldi = Arnoldi(tolerance=1e-6),
    throw: bool = True,
) -> BatchSpectra:
    """The eigenvalues asked for on several mini-batches, compiled once.

    Args:
        system: A flow or a map on all data.
        x: A point.
        redraw: A function or module `(key, system) -> system`, such as `Minibatch(lambda s: s.real, 128)`.
        key: A random key.
        batches: How many.
        spectrum: Which eigenvalues.
        throw: Raise if not all converged on every batch.

    Returns:
        A `BatchSpectra`.

    Raises:
        ValueError: Fewer than two batches.
        RuntimeError: Not all eigenvalues converged on every batch (with `throw`).
    """
    if batches < 2:
        raise ValueError(f"batch_spectra: an error needs at least two batches; got {batches}.")
    redrawn = eqx.filter_jit(redraw)
    systems = (redrawn(k, system) for k in jax.random.split(key, batches))
    found: list[Eigenpairs] = [eigenpairs(one, x, spectrum=spectrum, throw=False) for one in systems]
    result = RESULTS.successful
    for pairs in found:
        result = first(result, pairs.result)
    check(result, throw, "batch_spectra: ")
    return BatchSpectra(jnp.stack([pairs.values for pairs in found]), result)


class Extremes(eqx.Module):
    """The least and the largest eigenvalue of each player's own block, by rows, with their residuals.

    Of a game they are minus the curvatures of the player's loss in its own parameters. A residual bounds the distance to some
    eigenvalue of the block.
    """

    values: Float[Array, "p 2"]
    residuals: Float[Array, "p 2"]
    result: RESULTS


def block_extremes(
    system: AbstractSystem, x: PyTree, *, restarts: int = 300, tolerance: float = 1e-8, seed: int = 0, throw: bool = True
) -> Extremes:
    """The extreme eigenvalues of the symmetric part of each player's own block, by Lanczos's method (ARPACK) from products.

    Args:
        system: A flow or a map whose state has players.
        x: A point.
        restarts: The most restarts.
        tolerance: The residual asked for, relative to the block.
        seed: That of the random start.
        throw: Raise if not all converge.

    Returns:
        An `Extremes` with a row for each player.

    Raises:
        RuntimeError: A product is not finite, or not all converged (with `throw`).
    """
    system, x = prepare(system, x)
    products = linearised(system, x)
    ends = [0, *itertools.accumulate(map(_tree.size, _tree.players(x)))]
    values, residuals = np.full((len(ends) - 1, 2), np.nan), np.full((len(ends) - 1, 2), np.nan)
    finite = np.isfinite(size(products.forward, products.probes(seed)))
    for player, (a, b) in enumerate(itertools.pairwise(ends) if finite else ()):

        def multiply(v: np.ndarray, a: int = a, b: int = b) -> np.ndarray:
            whole = np.zeros(products.n, products.dtype)
            whole[a:b] = v.reshape(b - a)
            return (products.forward(whole)[a:b] + products.transposed(whole)[a:b]) / 2

        values[player], residuals[player] = _ends(multiply, b - a, products.dtype, restarts, tolerance, seed)
    unknown = jnp.asarray(bool(np.any(np.isnan(values))))
    result = worst((jnp.asarray(not finite), RESULTS.nonfinite), (unknown, RESULTS.few_eigenvalues))
    check(result, throw, "block_extremes: ")
    return Extremes(jnp.asarray(values), jnp.asarray(residuals), result)


def _ends(
    multiply: Callable, n: int, dtype: np.dtype, restarts: int, tolerance: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of a symmetric operator's spectrum, and what they leave over; NaN where they did not converge."""
    start = np.random.default_rng(seed).normal(size=n).astype(dtype)
    if n <= 2 or not np.any(multiply(start)):
        matrix = np.stack([multiply(row) for row in np.eye(n, dtype=dtype)]) if n <= 2 else np.zeros((1, 1))
        values = np.linalg.eigvalsh(matrix)[[0, -1]]
        return values, np.zeros(2)
    settings = {"k": 2, "which": "BE", "ncv": min(n, 40), "maxiter": restarts, "tol": tolerance, "v0": start}
    values, vectors = arpack(multiply, n, dtype, symmetric=True, **settings)
    if values.size < 2:
        return np.full(2, np.nan), np.full(2, np.nan)
    order = np.argsort(values)
    images = np.stack([multiply(v) for v in vectors.T], axis=1)
    return values[order], np.linalg.norm(images - vectors * values, axis=0)[order]
