"""What products with a Jacobian tell of stability: the leading eigenpairs, and a bound on the modes that were not found."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .. import _tree
from .._results import RESULTS, first, worst
from .._system import AbstractMap, AbstractSystem
from ..games._measure import companion
from ._certificate import certificate
from ._eigenpairs import Eigenpairs, nothing, rounding, search
from ._krylov import SPARSE, Arnoldi
from ._memory import settled, stationary_tolerance
from ._products import Products, linearised, size


class Leading(NamedTuple):
    """What products tell of a spectrum: the pairs, the least and the largest growth, the size and the outcome."""

    pairs: Eigenpairs
    floor: float
    bound: float
    size: float
    result: RESULTS


def _displacement(system: AbstractSystem, x: PyTree, products: Products, probes: np.ndarray) -> float:
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
    derivative = SPARSE.LinearOperator((n, n), matvec=lambda v: products.forward(v) - still * v, dtype=kind)
    step = SPARSE.gmres(derivative, residual, restart=30, maxiter=1)[0]
    there = linearised(reference, unravel(vector - 2 * jnp.asarray(step, kind)))
    moved = size(lambda v: there.forward(v) - products.forward(v), probes)
    return 2 * moved


def leading(system: AbstractSystem, x: PyTree, arnoldi: Arnoldi) -> Leading:
    """The leading eigenpairs, or those that `arnoldi` is after, any one of which may prove growth."""
    x = settled(system, x)
    products, is_map = linearised(system, x), isinstance(system, AbstractMap)
    probes = products.probes(arnoldi.seed)
    magnitude, residual = size(products.forward, probes), float(_tree.norm(system.residual(x)))
    if not np.isfinite(magnitude + residual):
        return Leading(nothing(x), np.nan, np.nan, np.nan, first(system.failure(x), RESULTS.nonfinite))
    found = search(products, arnoldi, is_map)
    if not found.values.size:
        return Leading(nothing(x), np.nan, np.nan, magnitude, RESULTS.no_eigenvalue)
    away = residual > stationary_tolerance(x, jnp.asarray(magnitude + (products.n**0.5 if is_map else 0.0)))
    level = rounding(system, x, magnitude) + (0.0 if away else _displacement(system, x, products, probes))
    pairs = found.pairs(x, level)
    errors = np.asarray(pairs.errors)
    with np.errstate(divide="ignore"):
        lowest = np.log(np.maximum(np.abs(found.values) - errors, 0.0)) if is_map else np.real(found.values) - errors
    floor = float(np.max(lowest, initial=-np.inf))
    bound = certificate(products, x, arnoldi.seed, is_map, level) if floor <= 0 else np.inf
    result = worst(
        (jnp.any(jnp.abs(system.switches(x)) <= _tree.eps(x) ** 0.5), RESULTS.switching),
        (away, RESULTS.not_stationary),
    )
    return Leading(pairs, floor, bound, magnitude, result)
