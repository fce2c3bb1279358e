"""Bounds on the growth of all modes at once, from products only: certificates of stability."""

from collections.abc import Callable

import numpy as np
import scipy.linalg
from jaxtyping import PyTree

from .. import _tree
from ._products import Products

# Lanczos's steps for a bound, and for one that has to resolve the small end of a spectrum.
_STEPS, _MANY = 200, 600
# The most numbers of a basis: two gigabytes.
_ROOM = 2**28
# How probably a single bound may fail; a certificate takes several, which together fail with a probability of at most 1e-9.
_MISSED = 1e-10
_PROBES, _FACTOR = 10, 8.0
_CROSS = np.geomspace(0.05, 2.0, 40)


def extremes(multiply: Callable, n: int, seed: int, steps: int = _STEPS) -> tuple[float, float]:
    r"""Bounds on the smallest and the largest eigenvalue of a symmetric operator, missed with a probability of `_MISSED`.

    The largest Ritz value of k steps of Lanczos's method from a random start lies below the eigenvalue by more than a share
    :math:`\epsilon` of the spectrum's width with probability at most
    :math:`1.648\sqrt n\,e^{-\sqrt\epsilon(2k - 1)}` (Kuczyński and Woźniakowski, 1992). A residual says nothing of the kind:
    it belongs to some eigenvalue, and in a cluster hardly ever to the last.
    """
    steps = min(n, steps, max(_ROOM // n, 2))
    basis, diagonal, beside, k = np.zeros((steps, n)), np.zeros(steps), np.zeros(steps), 0
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
            steps = n
            break
    ritz = scipy.linalg.eigvalsh_tridiagonal(diagonal[: k + 1], beside[:k])
    share = 0.0 if steps == n else (np.log(1.648 * n**0.5 / _MISSED) / (2 * steps - 1)) ** 2
    slack = share / (1 - 2 * share) * (ritz[-1] - ritz[0]) if share < 0.5 else np.inf
    return float(ritz[0] - slack), float(ritz[-1] + slack)


def _norm(multiply: Callable, n: int, seed: int) -> float:
    r"""A bound on the norm of an operator that ought to vanish, missed with a probability of `_MISSED`.

    Of k Gaussian vectors none is enlarged by more than a share :math:`1/\alpha` of the norm with probability at most
    :math:`(\sqrt{2/\pi}/\alpha)^k` (Halko, Martinsson and Tropp, 2011, lemma 4.1).
    """
    vectors = np.random.default_rng(seed).normal(size=(_PROBES, n))
    return _FACTOR * max(float(np.linalg.norm(multiply(v))) for v in vectors)


def damped_growth(damping: tuple[float, float], coupling: float, level: float) -> float:
    r"""A bound on the growth of all matrices within `level` of one of the form :math:`[[0, -P^\top], [P, -Q]]`.

    With :math:`q \le Q \le L` symmetric and :math:`\sigma` below the singular values of P, and the pseudo-inverse :math:`P^+`,

    .. math:: V = |g|^2 + |d|^2 - 2\epsilon\,g^\top P^+ d, \qquad
        -\tfrac12\dot V = d^\top Q d - \epsilon\,d^\top PP^+d + \epsilon|g|^2 - \epsilon\,g^\top P^+Qd

    are both bounded by forms in :math:`|g|` and :math:`z = (d^\top Qd)^{1/2}`, the smallest ratio of which is a rate at
    which V falls. A perturbation adds its norm times the condition of V. Without one the eigenvalues satisfy the pencil
    :math:`\lambda^2 + \lambda Q + PP^\top`, and the best that is true of all such matrices is
    :math:`-\min(q, L - \sqrt{(L^2 - 4\sigma^2)_+})/2`, which this is within a small factor of.

    Args:
        damping: Bounds q and L.
        coupling: The bound :math:`\sigma`.
        level: How far the matrix may be from that form.

    Returns:
        The bound, or infinity where there is none.
    """
    low, high = damping
    if not (low > 0 and coupling > 0):
        return np.inf
    rates = []
    for cross in _CROSS * min(low, coupling**2 / high):
        tilt = cross / coupling
        if tilt >= 1:
            continue
        falls = np.array([[cross, -tilt * high**0.5 / 2], [-tilt * high**0.5 / 2, 1 - cross / low]])
        stands = np.array([[1.0, tilt / low**0.5], [tilt / low**0.5, 1 / low]])
        rates.append(scipy.linalg.eigh(falls, stands, eigvals_only=True)[0] - level * (1 + tilt) / (1 - tilt))
    return -float(max(rates))


def _pencil(products: Products, split: int, seed: int, level: float) -> float:
    """`damped_growth` of a zero-sum game whose first player has no curvature of its own, as a generator of the data's law."""
    n, m = split, products.n - split

    def on(player: int, v: np.ndarray, product: Callable) -> tuple[np.ndarray, np.ndarray]:
        zeros = np.zeros(m if player == 0 else n)
        image = product(np.concatenate([zeros, v] if player else [v, zeros]))
        return image[:n], image[n:]

    def push(v: np.ndarray) -> np.ndarray:
        return on(0, v, products.forward)[1]

    def back(w: np.ndarray) -> np.ndarray:
        return on(1, w, products.transposed)[0]

    own = _norm(lambda v: on(0, v, products.forward)[0], n, seed)
    unlike = _norm(lambda w: on(1, w, products.forward)[0] + back(w), m, seed)
    turned = _norm(lambda w: on(1, w, products.forward)[1] - on(1, w, products.transposed)[1], m, seed)
    off = level + own + unlike + turned
    low, high = extremes(lambda w: -on(1, w, products.forward)[1], m, seed, _MANY)
    if low <= off:
        return np.inf
    least, most = extremes(lambda v: back(push(v)), n, seed, _MANY)
    # What rounding makes of the products, once and squared.
    least -= 2 * level * most**0.5 + level**2
    return damped_growth((low - level, high + level), max(least, 0.0) ** 0.5, off)


def certificate(products: Products, x: PyTree, seed: int, is_map: bool, level: float) -> float:
    """A bound on the growth of every mode, or infinity.

    Of a flow the numerical abscissa; of one with two players also what the pencil of a damped second-order system gives. Of a
    map the logarithm of the largest singular value.
    """
    if is_map:
        square = extremes(lambda v: products.transposed(products.forward(v)), products.n, seed)[1]
        bound = float(np.log(np.sqrt(max(square, 0.0)) + level))
    else:
        bound = extremes(lambda v: (products.forward(v) + products.transposed(v)) / 2, products.n, seed)[1] + level
        players = _tree.players(x) if isinstance(x, tuple) else []
        if bound >= 0 and len(players) == 2:
            bound = _pencil(products, _tree.size(players[0]), seed, level)
    return bound if bound < 0 else np.inf
