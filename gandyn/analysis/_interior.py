"""Eigenvalues in the interior of a spectrum, by inverting the Jacobian less a shift."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
import scipy.linalg

from ._krylov import SPARSE, AbstractTarget, Arnoldi, Largest, Ritz, arpack
from ._products import Products, size

# Up to how many coordinates the matrix is formed and factorised.
_FITS = 2000
# The inner solver's basis, and its most cycles.
_INNER, _CYCLES = 80, 15


def _matrix(products: Products) -> np.ndarray:
    return products.images(np.eye(products.n, dtype=products.dtype))


class _Unsolved(Exception):
    """A linear system that did not converge."""


def _factorised(products: Products, shift: complex, kind: Any, aside: float) -> Callable:
    """Solving with the Jacobian less a shift by its factors; the shift moves `aside` where that is singular."""
    matrix = _matrix(products).astype(kind) - shift * np.eye(products.n, dtype=kind)
    if np.linalg.cond(matrix, 1) * np.finfo(products.dtype).eps > 1e-2:
        matrix = matrix - aside * np.eye(products.n, dtype=kind)
    factors = scipy.linalg.lu_factor(matrix)
    return lambda v: scipy.linalg.lu_solve(factors, v.reshape(products.n))


def _iterated(products: Products, shift: complex, kind: Any) -> Callable:
    """Solving by GMRES, as long as it converges."""
    n, eps = products.n, float(np.finfo(products.dtype).eps)
    operator = SPARSE.LinearOperator((n, n), matvec=lambda v: products.forward(v) - shift * v.reshape(n), dtype=kind)
    settings = {"rtol": eps**0.6, "atol": 0.0, "maxiter": _CYCLES, "restart": min(_INNER, n)}

    def solve(v: np.ndarray) -> np.ndarray:
        found, stopped = SPARSE.gmres(operator, v.reshape(n).astype(kind), **settings)
        if stopped:
            raise _Unsolved
        return found

    return solve


class Nearest(AbstractTarget):
    r"""The eigenvalues nearest to a point :math:`\sigma`, as the largest of :math:`(J - \sigma)^{-1}`.

    Up to 2000 coordinates the matrix is factorised. Beyond, each product with the inverse is a linear system solved by a Krylov
    method without a preconditioner (GMRES): where many eigenvalues surround the point it does not converge, and nothing is
    found. A pair whose residual exceeds the root of rounding counts as not found. A tenth of the restarts is made.

    Args:
        point: The point, a real or complex number.
    """

    point: complex = eqx.field(static=True, converter=complex, default=0j)

    def rank(self, values: np.ndarray, is_map: bool) -> np.ndarray:
        """By distance."""
        return np.abs(values - self.point)

    def find(self, products: Products, arnoldi: Arnoldi, is_map: bool) -> Ritz:
        """From products with the inverse of the shifted Jacobian."""
        real, eps = self.point.imag == 0, float(np.finfo(products.dtype).eps)
        magnitude = size(products.forward, products.probes(arnoldi.seed))
        kind = products.dtype if real else np.result_type(products.dtype, np.complex64)
        shift: Any = self.point.real if real else self.point
        fits = products.n <= _FITS
        inverse = _factorised(products, shift, kind, eps**0.5 * magnitude) if fits else _iterated(products, shift, kind)
        # Each product is a linear system, and what has not converged by then lies in a cluster.
        settings = {
            **arnoldi.settings(products),
            "tol": max(arnoldi.tolerance, eps**0.6),
            "maxiter": max(arnoldi.restarts // 10, 1),
        }
        try:
            vectors = arpack(inverse, products.n, kind, which="LM", **settings)[1]
        except _Unsolved:
            vectors = np.zeros((products.n, 0), complex)
        images = products.images(vectors)
        values = np.sum(np.conj(vectors) * images, axis=0)
        exact = np.linalg.norm(images - vectors * values, axis=0) <= eps**0.5 * magnitude
        return Ritz(values[exact], vectors[:, exact], paired=real)


class Critical(AbstractTarget):
    """The eigenvalues nearest to the border of stability: to the imaginary axis for a flow, to the unit circle for a map.

    Up to 2000 coordinates they are picked from all. Beyond, those nearest to points of the border are found, one point after
    the other, so that the discs around them in which all is known cover the border, up to the largest modulus; where the
    `shifts` do not suffice, as in a cluster, the result says so.

    Args:
        shifts: The most points.
    """

    shifts: int = eqx.field(static=True, default=20)

    def rank(self, values: np.ndarray, is_map: bool) -> np.ndarray:
        """By distance."""
        return np.abs(np.abs(values) - 1) if is_map else np.abs(np.real(values))

    def find(self, products: Products, arnoldi: Arnoldi, is_map: bool) -> Ritz:
        """All of them, or those around points of the border."""
        if products.n <= _FITS:
            values, vectors = np.linalg.eig(_matrix(products)[np.ix_(products.kept, products.kept)])
            whole = np.zeros((products.n, values.size), complex)
            whole[products.kept] = vectors
            return Ritz(values.astype(complex), whole)
        largest = Largest().find(products, arnoldi, is_map).values
        end = np.pi if is_map else float(np.max(np.abs(largest), initial=0.0))
        values, vectors, position = np.zeros(0, complex), np.zeros((products.n, 0), complex), 0.0
        for _ in range(self.shifts):
            here = Nearest(np.exp(1j * position) if is_map else 1j * position)
            found = here.find(products, arnoldi, is_map)
            # Those above the real axis stand for their conjugates.
            below = np.imag(found.values) < 0
            upper = np.where(below, np.conj(found.values), found.values)
            directions = np.where(below, np.conj(found.vectors), found.vectors)
            new = np.min(np.abs(upper[:, None] - values[None]), axis=1, initial=np.inf) > 1e-8 * end
            values = np.concatenate([values, upper[new]])
            vectors = np.concatenate([vectors, directions[:, new]], axis=1)
            if found.values.size <= arnoldi.count:
                return Ritz(values, vectors, complete=False)
            known = np.max(np.abs(found.values - here.point))
            wanted = np.sort(self.rank(values, is_map))[: arnoldi.count][-1]
            position += np.sqrt(max(known**2 - wanted**2, 0.0))
            if position >= end:
                return Ritz(values, vectors)
        return Ritz(values, vectors, complete=False)
