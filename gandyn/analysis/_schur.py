"""The curvature of what the generator faces once the discriminator answers, freely or at a price."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Bool, Float, Scalar

from .._results import RESULTS
from ._cone import least, null_space

_GRID, _NEAR = np.arange(-12, 12.25, 0.25), -8


class Blocks(eqx.Module):
    r"""The second derivatives at a point, on the tangent space of what binds each player.

    With the generator's loss :math:`\ell_1` and the discriminator's :math:`\ell_2`: `a` is
    :math:`\partial^2_{\theta\theta}\ell_1`, `b` is :math:`\partial^2_{\psi\psi}\ell_2`, `c` and `f` are
    :math:`\partial^2_{\theta\psi}\ell_1` and :math:`\partial^2_{\psi\psi}\ell_1`, `e` is :math:`-\partial^2_{\psi\theta}\ell_2`
    (the transpose of `c` in a zero-sum game), `push` is :math:`\partial_\psi\ell_1` and `metric` half the norm's Hessian.
    `level` and `metric_level` bound their errors in norm; `zero_sum` says whether the losses add up to a constant. Where
    constraints hold without a force, `cone_a` and `cone_b` have a row for each: the player may move where it is not negative;
    `sure` is false where a force is neither zero nor not, or not unique, so that nothing is refuted.
    """

    a: Float[Array, "n n"]
    b: Float[Array, "m m"]
    c: Float[Array, "n m"]
    e: Float[Array, "m n"]
    f: Float[Array, "m m"]
    push: Float[Array, " m"]
    metric: Float[Array, "m m"]
    cone_a: Float[Array, "p n"]
    cone_b: Float[Array, "q m"]
    level: Scalar
    metric_level: Scalar
    slack: Scalar
    zero_sum: Bool[Array, ""]
    sure: Bool[Array, ""]

    def held(self) -> "Blocks":
        """The same with the discriminator kept on every constraint that touches it."""
        basis = jnp.asarray(null_space(np.asarray(self.cone_b), 1e-10))
        inner = (basis.T @ m @ basis for m in (self.b, self.f, self.metric))
        b, f, metric = inner
        parts = (b, self.c @ basis, basis.T @ self.e, f, basis.T @ self.push, metric, self.cone_b[:0] @ basis)
        return eqx.tree_at(lambda s: (s.b, s.c, s.e, s.f, s.push, s.metric, s.cone_b), self, parts)

    def across(self, flat: np.ndarray) -> "Blocks":
        """The same without some directions of the generator, orthonormal columns."""
        basis = jnp.asarray(null_space(flat.T, 1e-10))
        parts = (basis.T @ self.a @ basis, basis.T @ self.c, self.e @ basis, self.cone_a @ basis)
        return eqx.tree_at(lambda s: (s.a, s.c, s.e, s.cone_a), self, parts)

    def free(self) -> "Blocks":
        """The same without the constraints that touch the discriminator and do not push."""
        return eqx.tree_at(lambda s: s.cone_b, self, self.cone_b[:0])


class Schur(NamedTuple):
    """A generalised Schur complement: the form on `span`, its error, and what its discriminator's block is like.

    `null` spans the directions in which that block is singular; `coupled` says whether the generator sees them: then the
    inner maximum grows linearly off `span`. `slope` is the first derivative of what the generator minimises.
    """

    form: np.ndarray
    error: float
    span: np.ndarray
    null: np.ndarray
    answer: np.ndarray
    coupled: bool
    concave: bool
    slope: float


def schur(blocks: Blocks, lam: float) -> Schur:
    r"""The second derivative of :math:`\ell_1(\theta, r(\theta)) - \lambda d(r(\theta), \psi)` with the best response r.

    In a zero-sum game that is :math:`A + C(B + 2\lambda M)^+C^\top`, on the v whose :math:`C^\top v` lies in the range.
    """
    a, b, c, e, f, metric, push = map(
        np.asarray, (blocks.a, blocks.b, blocks.c, blocks.e, blocks.f, blocks.metric, blocks.push)
    )
    cut = float(blocks.level + 2 * lam * blocks.metric_level)
    values, vectors = np.linalg.eigh(b + 2 * lam * metric) if b.size else (np.zeros(0), np.zeros((0, 0)))
    regular = np.abs(values) > cut
    null, inverse = vectors[:, ~regular], vectors[:, regular] / values[regular] @ vectors[:, regular].T
    lost, response = null.T @ e, inverse @ e
    steep = 1 + float(np.linalg.norm(response, 2)) if response.size else 1.0
    tolerance = 10 * cut * steep
    span = null_space(lost, tolerance) if lost.size else np.eye(len(a))
    cross = (c + response.T @ (f - 2 * lam * metric)) @ inverse
    form = a + c @ response + (c @ response).T + response.T @ (f - 2 * lam * metric) @ response
    form = span.T @ (form + form.T) @ span / 2
    error = cut * steep**2 + 2 * float(np.linalg.norm(cross)) * cut * steep
    return Schur(
        form,
        error,
        span,
        null,
        inverse,
        span.shape[1] < len(a),
        bool(np.all(values > -cut)),
        float(np.linalg.norm(push @ response @ span)) / steep,
    )


def curvature(blocks: Blocks, lam: float) -> tuple[float, float]:
    """The least curvature of what the generator faces at a price, and its error."""
    found = schur(blocks, lam)
    cone = np.asarray(blocks.cone_a) @ found.span
    return least(found.form, cone)[0], found.error


class Limit(NamedTuple):
    """The largest price at which a point is a proximal equilibrium, its error, and why there is none."""

    value: float
    error: float
    result: RESULTS


def _first(fails: Callable[[int], bool], count: int, monotone: bool) -> int:
    """The first index that fails, or the count; by bisection where all after it fail too."""
    if not monotone:
        return next((i for i in range(count) if fails(i)), count)
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fails(middle) else (middle + 1, high)
    return low


def limit(blocks: Blocks) -> Limit:
    """Where the least curvature first changes its sign as the price rises from zero."""
    metric = float(np.linalg.norm(blocks.metric))
    scale = (
        sum(float(np.linalg.norm(m)) for m in (blocks.a, blocks.b, blocks.e)) / metric
        if metric > blocks.metric_level
        else np.nan
    )
    if not scale > 0 or schur(blocks, scale).coupled:
        return Limit(np.nan, np.nan, RESULTS.inner_flat)
    lams = scale * 10.0**_GRID

    def sign(i: int) -> int:
        value, error = curvature(blocks, lams[i])
        return 1 if value > error else -1 if value < -error else 0

    first = _first(lambda i: sign(i) < 0, len(lams), bool(blocks.zero_sum))
    if first == len(lams):
        return Limit(np.nan, np.nan, RESULTS.undecided)
    before = next((i for i in range(first - 1, -1, -1) if sign(i) > 0), None)
    if before is None:
        # Nothing holds clearly: none at all if the first refutation lies at once beside zero.
        return Limit(0.0 if _GRID[first] <= _NEAR else np.nan, float(lams[first]), RESULTS.undecided)
    ends = np.log(lams[[before, first]])
    root: Any = scipy.optimize.brentq(lambda t: curvature(blocks, np.exp(t))[0], *ends, xtol=1e-15)
    slope = abs(curvature(blocks, np.exp(root + 1e-5))[0] - curvature(blocks, np.exp(root - 1e-5))[0]) / 2e-5
    value = float(np.exp(root))
    error = curvature(blocks, value)[1] / slope if slope > 0 else np.inf
    return Limit(value, value * (error + 4e-16), RESULTS.successful)
