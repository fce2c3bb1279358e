"""The least curvature of what each player faces, without a matrix."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array

from .._system import Players
from ..games._distance import beneath
from ._blocks import Local
from ._krylov import arpack
from ._second_order import NO, STRICT, UNDECIDED, Condition

_DECADES, _CLOSE = 5, 1e-7


class Lanczos(eqx.Module):
    r"""Extreme eigenvalues by Lanczos's method from a random start, each product costing a few gradients.

    One Ritz vector of negative curvature refutes. That there is none rests on the convergence of the method, which finds a
    direction that the start has a part in: the verdict is *strict* where the least Ritz value exceeds its residual and the
    rounding of the products, and *undecided* where zero lies between. The discriminator's block is solved with by conjugate
    gradients.

    Args:
        count: How many of the least eigenvalues to find.
        basis: The size of the Krylov basis.
        restarts: How often to restart it.
        tolerance: The residual wanted, relative to the largest eigenvalue; also that of conjugate gradients.
        steps: The most steps of conjugate gradients.
        seed: Of the random start.
    """

    count: int = eqx.field(static=True, default=2)
    basis: int = eqx.field(static=True, default=40)
    restarts: int = eqx.field(static=True, default=50)
    tolerance: float = eqx.field(static=True, default=1e-8)
    steps: int = eqx.field(static=True, default=500)
    seed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if not 1 <= self.count < self.basis:
            raise ValueError(f"Lanczos: count must be at least one and below basis={self.basis}; got {self.count}.")


class Products(eqx.Module):
    """Products with the second derivatives of a game at a point, and with half the Hessian of a norm."""

    game: Local
    norm: Callable

    def _slope(self, player: int, u: Array, w: Array) -> Array:
        if player == 0:
            return jax.grad(lambda u: self.game.losses(Players(u, w))[0])(u)
        return jax.grad(lambda w: self.game.losses(Players(u, w))[1])(w)

    @eqx.filter_jit
    def block(self, player: int, v: Array) -> Array:
        """The Hessian of a player's loss in its own coordinates, times a vector."""
        u, w = self.game.start()
        if player == 0:
            return jax.jvp(lambda u: self._slope(0, u, w), (u,), (v,))[1]
        return jax.jvp(lambda w: self._slope(1, u, w), (w,), (v,))[1]

    @eqx.filter_jit
    def priced(self, lam: Array, v: Array) -> Array:
        """The discriminator's Hessian with the price of its moves, times a vector."""
        y = self.game.start()
        here, inside = self.game.state(y), beneath(self.game.game)

        def price(w: Array) -> Array:
            return self.norm(inside, self.game.state(Players(y.generator, w)), here)

        return self.block(1, v) + lam * jax.jvp(jax.grad(price), (y.discriminator,), (v,))[1]

    @eqx.filter_jit
    def answer(self, v: Array) -> Array:
        """By how much the discriminator's gradient falls as the generator moves."""
        u, w = self.game.start()
        return -jax.jvp(lambda u: self._slope(1, u, w), (u,), (v,))[1]

    @eqx.filter_jit
    def push(self) -> Array:
        """The size of the generator's gradient in the discriminator's parameters."""
        u, w = self.game.start()
        return jnp.linalg.norm(jax.grad(lambda w: self.game.losses(Players(u, w))[0])(w))

    def generator(self, v: Array, q: Array) -> tuple[Array, Array]:
        """The second derivatives of the generator's loss, times a move of both players."""
        u, w = self.game.start()
        slope = jax.grad(lambda y: self.game.losses(y)[0])
        moved = jax.jvp(slope, (Players(u, w),), (Players(v, q),))[1]
        return moved.generator, moved.discriminator

    def back(self, q: Array) -> Array:
        """The transpose of `answer`."""
        u, w = self.game.start()
        return -jax.grad(lambda u: jnp.vdot(self._slope(1, u, w), q))(u)


@eqx.filter_jit
def _schur(products: Products, lam: Array, v: Array, tolerance: float, steps: int) -> tuple[Array, Array]:
    """The Schur complement times a vector, and the relative residual of the linear systems inside."""

    def solve(right: Array, floor: Any) -> Array:
        return jax.scipy.sparse.linalg.cg(lambda q: products.priced(lam, q), right, tol=tolerance, atol=floor, maxiter=steps)[0]

    right = products.answer(v)
    size = jnp.linalg.norm(right)
    q = solve(right, 0.0)
    residual = jnp.linalg.norm(products.priced(lam, q) - right) / jnp.where(size > 0, size, 1.0)
    first, second = products.generator(v, q)
    left = second - (products.priced(lam, q) - products.block(1, q))
    # In a zero-sum game nothing is left but rounding.
    p = solve(left, tolerance * size)
    return first + products.back(p), residual


class Extreme(NamedTuple):
    """The least Ritz values, their residuals, the size of the operator, and the Ritz vector of the least."""

    values: np.ndarray
    residuals: np.ndarray
    size: float
    vector: np.ndarray | None


def least_values(product: Callable[[Array], Array], like: Array, lanczos: Lanczos, start: np.ndarray | None = None) -> Extreme:
    """The least eigenvalues of a symmetric operator on vectors such as `like`, with what they leave over.

    There are none where none converged, and a size that is no number where a product has an entry that is none.
    """
    n = like.size

    def multiply(v: np.ndarray) -> np.ndarray:
        return np.asarray(product(jnp.asarray(v.reshape(n), like.dtype)), float)

    start = np.random.default_rng(lanczos.seed).normal(size=n) if start is None else start
    if not np.all(np.isfinite(multiply(start))):
        return Extreme(np.zeros(0), np.zeros(0), np.nan, None)
    if n <= lanczos.basis:
        matrix = np.stack([multiply(row) for row in np.eye(n)])
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        size, vectors = float(np.abs(values).max()), vectors[:, : lanczos.count]
    else:
        size = float(np.abs(_ritz(multiply, 1, "LM", lanczos, start, 1e-2)[0]).max(initial=0.0))
        # Shifted, because ARPACK's tolerance is relative to the eigenvalue, and those wanted may be zero.
        vectors = _ritz(lambda v: multiply(v) - size * v.reshape(n), lanczos.count, "SA", lanczos, start)[1]
    images = np.stack([multiply(v) for v in vectors.T], axis=1) if vectors.size else vectors
    values = np.sum(vectors * images, axis=0)
    order = np.argsort(values)
    residuals = np.linalg.norm(images - vectors * values, axis=0)
    return Extreme(values[order], residuals[order], size, vectors[:, order[0]] if vectors.size else None)


def _ritz(
    multiply: Callable, count: int, which: str, lanczos: Lanczos, start: np.ndarray, tolerance: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The Ritz pairs that converged, or one direction and the form along it."""
    tolerance = lanczos.tolerance if tolerance is None else tolerance
    settings: dict[str, Any] = {"k": count, "which": which, "v0": start, "ncv": lanczos.basis, "maxiter": lanczos.restarts}
    values, vectors = arpack(multiply, start.size, float, symmetric=True, tol=tolerance, **settings)
    if not values.size:
        # A start that is an eigenvector, as of a multiple of the identity; or else a direction that may refute.
        v = start / np.linalg.norm(start)
        return np.array([v @ multiply(v)]), v[:, None]
    return values, vectors


class Judged(NamedTuple):
    """A condition without a matrix, the size of its form and the direction in which it is least."""

    condition: Condition
    size: float
    vector: np.ndarray | None

    @property
    def code(self) -> int:
        """The verdict as a number."""
        return int(self.condition.code)


def _judged(found: Extreme, extra: float, fine: float, n: int, tolerance: float) -> Judged:
    if not found.values.size:
        nothing = Condition(jnp.zeros((0,)), jnp.asarray(jnp.inf), jnp.asarray(UNDECIDED))
        return Judged(nothing, found.size, None)
    error = float(found.residuals[0]) + (extra + 10 * fine * n**0.5) * found.size
    least = found.values[0]
    # The Rayleigh quotient is no less than the least eigenvalue; above it the residual counts.
    converged = float(found.residuals[0]) <= 10 * max(tolerance, fine) * found.size
    code = STRICT if least > error and converged else NO if least < -error else UNDECIDED
    values = jnp.asarray(found.values)
    return Judged(Condition(values, jnp.asarray(error), jnp.asarray(code)), found.size, found.vector)


class MatrixFree:
    """The conditions at a point, each from products only."""

    def __init__(self, local: Local, norm: Callable, lanczos: Lanczos):
        self.products, self.lanczos = Products(local, norm), lanczos
        self.y = local.start()
        self.fine = local.precision(self.y)
        self.concave_from = np.inf

    def alone(self, player: int) -> Judged:
        """A player's own loss, the other staying."""
        n = self.y[player].size
        found = least_values(lambda v: self.products.block(player, v), self.y[player], self.lanczos)
        return _judged(found, 0.0, self.fine, n, self.lanczos.tolerance)

    def coupling(self) -> float:
        """How strongly the discriminator's gradient depends on the generator, along a random direction."""
        return float(jnp.linalg.norm(self.products.answer(self._generic(0))))

    def push(self) -> float:
        """The size of the generator's gradient in the discriminator's parameters, zero where the game is zero-sum."""
        return float(self.products.push())

    def scale(self, size: float) -> float:
        """A price at which moves cost about as much as they lose."""
        v = self._generic(1)
        one, two = (self.products.priced(jnp.asarray(lam, v.dtype), v) for lam in (0.0, 1.0))
        metric = float(jnp.linalg.norm(two - one)) / 2
        return max(size, self.coupling()) / metric if metric > 0 else np.nan

    def _generic(self, player: int) -> Array:
        v = np.random.default_rng(self.lanczos.seed).normal(size=self.y[player].size)
        return jnp.asarray(v / np.linalg.norm(v), self.y[player].dtype)

    def answered(self, lam: float, start: np.ndarray | None = None) -> Judged:
        """The generator's loss, the discriminator answering at a price."""
        n, m = (player.size for player in self.y)
        price, worst = jnp.asarray(lam, self.y[1].dtype), 0.0

        def product(v: Array) -> Array:
            nonlocal worst
            image, residual = _schur(self.products, price, v, max(self.lanczos.tolerance, self.fine), self.lanczos.steps)
            worst = max(worst, float(residual))
            return image

        if lam < self.concave_from:
            inner = least_values(lambda v: self.products.priced(price, v), self.y[1], self.lanczos)
            if _judged(inner, 0.0, self.fine, m, self.lanczos.tolerance).code != STRICT:
                return _judged(inner._replace(values=inner.values[:0]), 0.0, self.fine, m, self.lanczos.tolerance)
            # The price only adds to it.
            self.concave_from = lam
        found = least_values(product, self.y[0], self.lanczos, start)
        return _judged(found, worst, self.fine, n, self.lanczos.tolerance)


class Search(NamedTuple):
    """The prices looked at, with the least curvature and its error at each; and the price at which it vanishes."""

    prices: list[float]
    curvatures: list[float]
    errors: list[float]
    value: float
    error: float


def search(free: MatrixFree, scale: float, start: np.ndarray | None) -> Search:
    """Where the least curvature vanishes as the price rises from one at which the point is proximal."""
    seen: dict[float, tuple[float, float]] = {}

    def least(t: float) -> float:
        if t not in seen:
            found = free.answered(float(np.exp(t)), start)
            known = found.condition.eigenvalues.size > 0
            seen[t] = (float(found.condition.eigenvalues[0]), float(found.condition.error)) if known else (np.nan, np.inf)
        return seen[t][0]

    low = high = float(np.log(scale))
    for _ in range(_DECADES):
        low = low if least(low) > 0 else low - np.log(10)
        high = high if least(high) < 0 else high + np.log(10)
    value = error = np.nan
    if least(low) > 0 > least(high):
        root: Any = scipy.optimize.brentq(least, low, high, xtol=_CLOSE)
        value, slope = float(np.exp(root)), (least(root + 1e-3) - least(root - 1e-3)) / 2e-3
        least(root)
        error = value * (_CLOSE + seen[root][1] / abs(slope))
    numbers = [(float(np.exp(t)), *pair) for t, pair in sorted(seen.items())]
    prices, curvatures, errors = (list(column) for column in zip(*numbers, strict=True))
    return Search(prices, curvatures, errors, value, error)
