"""The distance of optimal transport between two laws: in closed form for Gaussians, exactly for atoms."""

import numpy as np
from jaxtyping import Scalar
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import coo_array
from scipy.spatial.distance import cdist

from .. import _tree
from ._measure import AbstractMeasure, Discrete
from ._quadrature import Gaussian

_LARGEST_PLAN = 10**6


def wasserstein2(p: AbstractMeasure, q: AbstractMeasure) -> Scalar:
    r"""The Wasserstein distance of second order, :math:`W_2(p, q) = \bigl(\min\mathbb E\lVert x - y\rVert^2\bigr)^{1/2}`.

    Of two Gaussians :math:`W_2^2 = \lVert m_p - m_q\rVert^2 + \lVert R_p - R_q U\rVert_F^2`, with any square roots
    :math:`RR^\top = \Sigma` and the orthogonal U that makes it least: the form of Bures that keeps all digits near zero. Of two
    sets of atoms by an assignment if all weights agree, otherwise by linear programming.

    Args:
        p: A `Gaussian` or a `Discrete` law.
        q: Another of the same kind, on points of the same shape.

    Returns:
        The distance, in the unit of the points; a number, not to be differentiated.

    Raises:
        ValueError: Laws of other or of different kinds, points of different shapes, or more than 10^6 pairs of weighted atoms.
        RuntimeError: The linear program was not solved.
    """
    if not (isinstance(p, (Gaussian, Discrete)) and type(p) is type(q)):
        raise ValueError(
            f"wasserstein2 takes two Gaussian or two Discrete laws; got {type(p).__name__} and {type(q).__name__}. "
            "Any law can be drawn from: law.sample(key, count)."
        )
    if p.points.shape[1:] != q.points.shape[1:]:
        raise ValueError(f"wasserstein2: points of shape {p.points.shape[1:]} and {q.points.shape[1:]}; both must agree.")
    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        squared = between_gaussians(*(np.asarray(moment) for law in (p, q) for moment in (law.mean, law.covariance)))
    else:
        squared = _of_atoms(p, q)
    return _tree.real(float(np.sqrt(squared)))


def _root(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """A square root of the covariance, as a matrix; singular ones too."""
    full = covariance if covariance.ndim == 2 else np.diag(np.broadcast_to(covariance, (max(mean.size, 1),)))
    values, vectors = np.linalg.eigh(full)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def between_gaussians(mean: np.ndarray, covariance: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray) -> float:
    """The squared distance of two Gaussians from their moments, whose covariances may be singular."""
    one, other = _root(mean, covariance), _root(mean2, covariance2)
    left, _, right = np.linalg.svd(other.T @ one)
    return float(np.sum((mean - mean2) ** 2) + np.sum((one - other @ left @ right) ** 2))


def _of_atoms(p: AbstractMeasure, q: AbstractMeasure) -> float:
    x, y = (np.asarray(law.points).reshape(law.points.shape[0], -1) for law in (p, q))
    cost = cdist(x, y, "sqeuclidean")
    a, b = np.asarray(p.weights, float), np.asarray(q.weights, float)
    if len(a) == len(b) and np.ptp(np.concatenate([a, b])) <= 4 * np.finfo(float).eps:
        return float(np.mean(cost[linear_sum_assignment(cost)]))
    return _by_programming(cost, a, b)


def _by_programming(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """The cost of the cheapest plan with these marginals."""
    if cost.size > _LARGEST_PLAN:
        raise ValueError(
            f"wasserstein2: {cost.shape[0]} by {cost.shape[1]} weighted atoms are too many for linear programming; give both "
            "laws equally many atoms of equal weight, such as samples."
        )
    rows, columns = (index.reshape(-1) for index in np.indices(cost.shape))
    pairs = np.arange(cost.size)
    marginals = coo_array(
        (np.ones(2 * cost.size), (np.concatenate([rows, len(a) + columns]), np.concatenate([pairs, pairs]))),
        shape=(len(a) + len(b), cost.size),
    )
    # HiGHS checks that the totals agree, so that rounding must not tell them apart.
    found = linprog(cost.reshape(-1), A_eq=marginals, b_eq=np.concatenate([a / a.sum(), b / b.sum()]), method="highs")
    if found.x is None:
        raise RuntimeError(f"wasserstein2: the linear program was not solved: {found.message}")
    return float(cost.reshape(-1) @ found.x)
