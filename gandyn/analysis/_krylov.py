"""A few eigenvalues from products only, by ARPACK; which ones, and how they are found."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from scipy.sparse import linalg as sparse

from ._products import Products

# SciPy's own annotations know neither the keywords nor the results of these.
SPARSE: Any = sparse

_WHOLE = 0.99


class Ritz(NamedTuple):
    """What was found: eigenvalues, eigenvectors as columns, whether conjugates belong to them, and whether none is missing."""

    values: np.ndarray
    vectors: np.ndarray
    paired: bool = True
    complete: bool = True


class AbstractTarget(eqx.Module):
    """Which eigenvalues are wanted: those of the least `rank`."""

    @abc.abstractmethod
    def rank(self, values: np.ndarray, is_map: bool) -> np.ndarray:
        """Least for the eigenvalue wanted first."""

    @abc.abstractmethod
    def find(self, products: Products, arnoldi: "Arnoldi", is_map: bool) -> Ritz:
        """What was found, in any order; nothing where nothing converged."""


class Rightmost(AbstractTarget):
    """The eigenvalues of largest real part, the leading ones of a flow."""

    def rank(self, values: np.ndarray, is_map: bool) -> np.ndarray:
        """By real part."""
        return -np.real(values)

    def find(self, products: Products, arnoldi: "Arnoldi", is_map: bool) -> Ritz:
        """From products with the Jacobian itself."""
        return Ritz(*arpack(products.forward, products.n, products.dtype, which="LR", **arnoldi.settings(products)))


class Largest(AbstractTarget):
    """The eigenvalues of largest modulus, the leading ones of a map."""

    def rank(self, values: np.ndarray, is_map: bool) -> np.ndarray:
        """By modulus."""
        return -np.abs(values)

    def find(self, products: Products, arnoldi: "Arnoldi", is_map: bool) -> Ritz:
        """From products with the Jacobian itself."""
        return Ritz(*arpack(products.forward, products.n, products.dtype, which="LM", **arnoldi.settings(products)))


class Arnoldi(eqx.Module):
    """A few eigenvalues by the implicitly restarted Arnoldi method (ARPACK), from products with the Jacobian only.

    Products run wherever JAX does, compiled once for all points of a system; the basis is kept, and restarted, in the host's
    memory: `basis` vectors of the state's type.

    Args:
        count: How many eigenvalues.
        target: Which: `Rightmost()`, `Largest()`, `Nearest(point)` or `Critical()`. If left out the leading ones: the rightmost
            of a flow, the largest of a map.
        basis: The size of the Krylov basis; four times `count`, and at least 40, if left out. Where eigenvalues cluster, as
            along the imaginary axis of a GAN near its equilibrium, a larger basis converges and a smaller one does not.
        restarts: The most restarts.
        tolerance: The relative accuracy asked for; that of the numbers' type if zero.
        seed: That of the random start.
    """

    count: int = eqx.field(static=True, default=6)
    target: AbstractTarget | None = None
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
        if self.basis is not None and self.basis < self.count + 3:
            raise ValueError(f"Arnoldi: the basis needs at least count + 3 = {self.count + 3} vectors; got {self.basis}.")

    def settings(self, products: Products) -> dict[str, Any]:
        """ARPACK's arguments for an operator."""
        basis = max(4 * self.count, 40) if self.basis is None else self.basis
        # Without a part in what is no coordinate, whose eigenvalue is a zero of no meaning.
        start = np.where(products.kept, np.random.default_rng(self.seed).normal(size=products.n), 0.0)
        return {
            # The last may be half of a pair of conjugates.
            "k": self.count + 1,
            "ncv": min(basis, products.n),
            "maxiter": self.restarts,
            "tol": self.tolerance,
            "v0": start.astype(products.dtype),
        }

    def search(self, products: Products, is_map: bool) -> Ritz:
        """The eigenvalues wanted, the first one first, with the conjugates of what was found."""
        target = self.target or (Largest() if is_map else Rightmost())
        values, vectors, paired, complete = target.find(products, self, is_map)
        # Of such a half ARPACK may return a part of the vector only.
        whole = np.linalg.norm(vectors, axis=0) > _WHOLE
        values, vectors = values[whole], vectors[:, whole]
        if paired:
            values, vectors = _closed(values, vectors)
        order = np.argsort(target.rank(values, is_map), kind="stable")
        return Ritz(values[order], vectors[:, order], paired, complete)


def _closed(values: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With the conjugate of each eigenvalue of a real matrix, of which ARPACK's last may lack it."""
    above, below = np.flatnonzero(np.imag(values) > 0), np.flatnonzero(np.imag(values) < 0)
    few, many = sorted((above, below), key=len)
    for i in few:
        many = np.delete(many, np.argmin(np.abs(values[many] - np.conj(values[i]))))
    return np.concatenate([values, np.conj(values[many])]), np.concatenate([vectors, np.conj(vectors[:, many])], axis=1)


def arpack(multiply: Callable, n: int, dtype: Any, *, symmetric: bool = False, **settings: Any) -> tuple[Any, Any]:
    """The eigenvalues of an operator that converge and their vectors, as columns; none where ARPACK gives up."""
    operator = SPARSE.LinearOperator((n, n), matvec=multiply, dtype=dtype)
    try:
        return (SPARSE.eigsh if symmetric else SPARSE.eigs)(operator, **settings)
    except SPARSE.ArpackNoConvergence as found:
        values, vectors = found.eigenvalues, found.eigenvectors
    except SPARSE.ArpackError:
        values, vectors = np.zeros(0), np.zeros((n, 0))
    kind = float if symmetric else complex
    return values.astype(kind), vectors.astype(kind)
