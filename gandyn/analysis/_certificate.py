"""Bounds on the growth of all modes at once, from products only: certificates of stability."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from ._products import Products

# Lanczos's steps for a bound, and how probably the bound may fail.
_STEPS, _MISSED = 200, 1e-9


def highest(multiply: Callable, n: int, seed: int) -> float:
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


def certificate(products: Products, seed: int, is_map: bool, level: float) -> float:
    """A bound on the growth of every mode: a flow's numerical abscissa, the logarithm of a map's largest singular value."""
    if is_map:
        square = highest(lambda v: products.transposed(products.forward(v)), products.n, seed)
        return float(np.log(np.sqrt(max(square, 0.0)) + level))
    return highest(lambda v: (products.forward(v) + products.transposed(v)) / 2, products.n, seed) + level
