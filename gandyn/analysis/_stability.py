"""Stability of equilibria of flows and fixed points of maps, with a verdict that knows its own error."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PyTree, ScalarLike

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, message, worst
from .._system import AbstractMap, AbstractSystem
from ..games._measure import companion
from ._equilibrium import Manifold
from ._linear import across, damped_solve, eigenvalues, jacobian, smallest_singular_value
from ._memory import idle, names, restless, restless_leaves, settled, stationary_tolerance, without
from ._pseudospectrum import perturbed_growth

STABLE, UNSTABLE, MARGINAL, UNDECIDED, FAILED = 0, 1, 2, 3, 4
VERDICTS = ("stable", "unstable", "marginal", "undecided", "failed")


class Stability(eqx.Module):
    r"""The spectrum at an equilibrium and what follows from it.

    `eigenvalues` are those of the Jacobian of the flow or map; `exponents` are the eigenvalues :math:`\lambda` of a flow
    (per unit time) or :math:`\log\mu` of a map (per application). `bound` is the largest growth of any matrix within the
    backward error of the Jacobian: rounding, the residual of the equilibrium and the error of quadratures. `scale` is the
    size of the Jacobian in units of growth. `neutral` counts the modes along a manifold of equilibria that were set aside,
    `idle` the numbers of a map's memory that nothing moves and that move nothing, which are no coordinates (after `vmap` they
    stay among the eigenvalues, as zeros), `projected` the multipliers left out that are zero by construction, as along a flow.
    """

    eigenvalues: Complex[Array, "*b n"]
    exponents: Complex[Array, "*b n"]
    bound: Float[Array, "*b"]
    scale: Float[Array, "*b"]
    result: RESULTS
    neutral: int = eqx.field(static=True, default=0)
    idle: Int[Array, "*b"] | int = 0
    projected: int = eqx.field(static=True, default=0)

    def _leading(self) -> Array:
        index = jnp.argmax(self.exponents.real, axis=-1)[..., None]
        return jnp.take_along_axis(self.exponents, index, axis=-1)[..., 0]

    @property
    @eqx.filter_jit
    def growth(self) -> Float[Array, "*b"]:
        """The largest real part of an exponent."""
        return self._leading().real

    @property
    @eqx.filter_jit
    def rotation(self) -> Float[Array, "*b"]:
        """The angular speed of the leading mode."""
        return jnp.abs(self._leading().imag)

    @property
    @eqx.filter_jit
    def rate(self) -> Float[Array, "*b"]:
        """The factor by which errors shrink (or grow) per unit time or per application, exp(growth)."""
        return jnp.exp(self.growth)

    @property
    @eqx.filter_jit
    def error(self) -> Float[Array, "*b"]:
        """By how much the growth may be too small."""
        return jnp.where(jnp.isinf(self.growth) & jnp.isinf(self.bound), 0.0, self.bound - self.growth)

    @property
    @eqx.filter_jit
    def code(self) -> Int[Array, "*b"]:
        """The verdict as a number (0 stable, 1 unstable, 2 marginal, 3 undecided, 4 failed)."""
        unsettled = self.result == RESULTS.unsettled
        failed = (self.result != RESULTS.successful) & ~unsettled
        marginal = self.error <= jnp.sqrt(jnp.finfo(self.bound.dtype).eps) * self.scale
        conditions = [unsettled, failed, self.bound < 0, self.growth > self.error, marginal]
        choices = [jnp.full_like(self.growth, c, dtype=int) for c in (UNDECIDED, FAILED, STABLE, UNSTABLE, MARGINAL)]
        return jnp.select(conditions, choices, UNDECIDED)

    @property
    def verdict(self) -> str | np.ndarray:
        """`stable`, `unstable`, `marginal`, `undecided`, or `failed`; an array of them after `vmap`."""
        codes = np.asarray(self.code)
        return VERDICTS[int(codes)] if codes.ndim == 0 else np.array(VERDICTS)[codes]

    @property
    @eqx.filter_jit
    def zeta(self) -> Float[Array, "*b"]:
        r"""The phase factor :math:`\max_i |{\rm Im}\,\lambda_i / {\rm Re}\,\lambda_i|` (Nie and Patel, 2019)."""
        real, imaginary = jnp.abs(self.eigenvalues.real), jnp.abs(self.eigenvalues.imag)
        ratio = jnp.where(imaginary == 0, 0.0, imaginary / jnp.where(real > 0, real, 1.0))
        return jnp.max(jnp.where((real == 0) & (imaginary > 0), jnp.inf, ratio), axis=-1)

    @property
    @eqx.filter_jit
    def tau(self) -> Float[Array, "*b"]:
        r"""The conditioning factor :math:`\max_i|\lambda_i| / \min_i|\lambda_i|` (Nie and Patel, 2019)."""
        modulus = jnp.abs(self.eigenvalues)
        return jnp.max(modulus, axis=-1) / jnp.min(modulus, axis=-1)

    @property
    def kind(self) -> str:
        """The type of equilibrium, a node, focus, saddle, centre or degenerate one, with its stability."""
        if self.verdict in ("undecided", "failed"):
            return str(self.verdict)
        real = np.asarray(self.exponents.real)
        rotating = np.any(np.abs(np.asarray(self.exponents.imag)) > float(self.error) + 1e-14 * float(self.scale))
        if self.verdict == "unstable" and real.min() < -float(self.error):
            return "saddle"
        if self.verdict == "marginal":
            return "centre" if rotating and np.all(np.abs(real) <= float(self.error)) else "degenerate"
        return f"{self.verdict} {'focus' if rotating else 'node'}"

    def iterations(self, factor: ScalarLike) -> Float[Array, "*b"]:
        r"""The predicted time or number of applications to reduce an error by a factor, :math:`\log F/|\text{growth}|`.

        Args:
            factor: The reduction F, above one: 1e6 for six digits.

        Returns:
            Infinite unless stable. A defective leading eigenvalue adds a logarithm that this leaves out.
        """
        return jnp.where(self.code == STABLE, -jnp.log(_tree.real(factor)) / self.growth, jnp.inf)

    def __str__(self) -> str:
        values = np.asarray(self.eigenvalues).reshape(-1)
        shown = ", ".join(f"{value:.6g}" for value in values[np.argsort(-np.abs(values))][:8])
        more = ", ..." if values.size > 8 else ""
        aside = f"\nset aside    {self.neutral} modes along a manifold of equilibria" if self.neutral else ""
        aside += f"\nno part      {int(self.idle)} numbers of the memory that nothing moves" if np.any(self.idle) else ""
        aside += f"\nzero         {self.projected} multiplier along the flow, by construction" if self.projected else ""
        return (
            f"verdict      {self.verdict}\n"
            f"growth       {float(self.growth):.10g}  (error {float(self.error):.1g})\n"
            f"rate         {float(self.rate):.10g}\n"
            f"rotation     {float(self.rotation):.10g}\n"
            f"eigenvalues  {shown}{more}{aside}"
        )


def _steps(a: Array, r: Array, reach: Array, eps: float, tangent: Array | None) -> tuple[Array, Array, Array]:
    """Newton's step to a root beside, in two parts: along strong directions and along weak ones.

    In a weak direction `a` is all but singular and the step may be noise: it is kept within `reach`, and the largest slope
    of such a direction comes third.
    """
    size = jnp.linalg.norm(a)
    known = jnp.where(size > 0, size, 1.0)
    a, r = a / known, r / known
    strong = damped_solve(a, r, jnp.asarray(eps, a.dtype))
    weak = damped_solve(a, r - a @ strong, jnp.asarray(eps**2, a.dtype))
    weak = weak * jnp.minimum(1.0, reach / (jnp.linalg.norm(weak) + jnp.finfo(a.dtype).tiny))
    if tangent is not None:
        strong, weak = (step - tangent @ (tangent.T @ step) for step in (strong, weak))
    slopes = smallest_singular_value(a)[None] if r.size < 3 else jnp.linalg.svd(a, compute_uv=False)
    return strong, weak, known * jnp.max(jnp.where(slopes < 10 * eps**0.5, slopes, 0.0), initial=0.0)


def _backward_error(
    system: AbstractSystem, x: PyTree, matrix: Array, aside: Array | None, tangent: Array | None
) -> tuple[Array, Array, Array]:
    """By how much the Jacobian may be wrong, the residual, and the norm of the residual's own derivative.

    The Jacobian is compared with those on the far side of the equilibrium, twice Newton's step away, and the change
    counts twice: so an equilibrium that is a root of higher order, whose Jacobian is singular, covers the singular one.
    """
    eps, fine, size = _tree.eps(x), system.precision(x), jnp.linalg.norm(matrix)
    derivative = matrix - jnp.eye(matrix.shape[0], dtype=matrix.dtype) if isinstance(system, AbstractMap) else matrix
    finer = companion(system)
    reference = system if finer is None else finer
    vector, unravel = _tree.ravel(x)
    residual = without(_tree.ravel(reference.residual(x))[0], aside)
    noise = jnp.abs(derivative) @ jnp.abs(vector) + (jnp.abs(vector) if isinstance(system, AbstractMap) else 0.0)
    residual = residual + fine * jnp.where(residual < 0, -noise, noise)
    strong, weak, slope = _steps(derivative, residual, 0.01 * (1 + jnp.linalg.norm(vector)), eps, tangent)

    def change(step: Array) -> Array:
        return jnp.linalg.norm(without(jacobian(reference, unravel(vector - 2 * step)), aside) - matrix)

    moved, turned = jax.vmap(change)(jnp.stack([strong, weak]))
    weakly = jnp.where(turned < 2 * slope, 2 * turned, 4 * slope)
    level = 4 * matrix.shape[0] * fine * size + 2 * moved + weakly + jnp.finfo(matrix.dtype).tiny
    return level, without(_tree.ravel(system.residual(x))[0], aside), jnp.linalg.norm(derivative)


def _leaves(system: AbstractSystem, matrix: Array, tangent: Array | None) -> Array:
    """Whether the residual changes along what is called the tangent space, which `manifold` knows to some four digits."""
    if tangent is None:
        return jnp.asarray(False)
    still = jnp.eye(matrix.shape[0], dtype=matrix.dtype) if isinstance(system, AbstractMap) else 0.0
    return jnp.linalg.norm((matrix - still) @ tangent) > jnp.finfo(matrix.dtype).eps ** 0.25 * jnp.linalg.norm(matrix)


@eqx.filter_jit
def _stability(system: AbstractSystem, x: PyTree, tangent: Array | None, still: bool = True) -> Stability:
    """`stability` in compiled code; what is set aside need not be `still` where it is no manifold of equilibria."""
    x = settled(system, x)
    inner, image = system.spectrum_of()
    matrix = jacobian(inner, x)
    aside = idle(inner, x, matrix, tangent)
    matrix = without(matrix, aside)
    eps, tiny = _tree.eps(x), jnp.finfo(matrix.dtype).tiny
    level, residual, slope = _backward_error(inner, x, matrix, aside, tangent)
    distance, tolerance = jnp.linalg.norm(residual), stationary_tolerance(x, slope)
    broken = ~(jnp.isfinite(distance) & jnp.all(jnp.isfinite(matrix)))
    reason = first(system.failure(x), RESULTS.nonfinite)
    result = worst(
        (broken, reason),
        (jnp.any(jnp.abs(system.switches(x)) <= eps**0.5), RESULTS.switching),
        (jnp.any(restless(inner, x, matrix, aside, tolerance)), RESULTS.unsettled),
        (distance > tolerance, RESULTS.not_stationary),
        (_leaves(inner, matrix, tangent) & still, RESULTS.not_tangent),
        (~jnp.isfinite(level), RESULTS.nonfinite),
    )
    matrix, neutral = (matrix, 0) if tangent is None else (across(matrix, tangent), tangent.shape[1])
    size = jnp.linalg.norm(matrix)
    matrix = jnp.where(jnp.isfinite(matrix), matrix, 0.0)

    def exponent(z: Array) -> Array:
        return system.exponents(image(z))

    values = eigenvalues(matrix)
    exponents = exponent(values)
    none = jnp.zeros(values.shape, bool)
    if aside is not None:
        # Their rows and columns are zero, so that they are as many of the smallest eigenvalues; others that vanish are equal.
        none = jnp.argsort(jnp.argsort(jnp.abs(values))) < jnp.sum(aside)
        exponents = jnp.where(none, -jnp.inf, exponents)
        values = jnp.where(none, values[jnp.argmax(exponents.real)], values)
    bound, steepness = perturbed_growth(matrix, values, level, exponent)
    leading = jnp.argmax(exponents.real)
    rounding = jnp.abs(jax.grad(lambda z: system.exponents(z).real)(image(values)[leading]) * image(values)[leading])
    bound = bound + jnp.where(jnp.isfinite(rounding), 4 * inner.precision(x) * rounding, 0.0)
    scale = steepness * size + tiny / eps
    spectrum = jnp.where(none, 0.0, image(values))
    result = first(result, worst((~jnp.all(jnp.isfinite(spectrum)), reason)))
    numbers = (spectrum, exponents, bound, scale)
    spectrum, exponents, bound, scale = (jnp.where(result == RESULTS.successful, v, jnp.nan) for v in numbers)
    forgotten = system.projected() if isinstance(system, AbstractMap) else 0
    if forgotten:
        kept = jnp.sort(jnp.argsort(jnp.abs(spectrum))[forgotten:])
        spectrum, exponents = spectrum[kept], exponents[kept]
    return Stability(spectrum, exponents, bound, scale, result, neutral, jnp.sum(none), forgotten)


def tangent_of(modulo: Manifold | None, x: PyTree) -> Array | None:
    """The tangent space to set aside at a state, refused where it is one of another system or leaves nothing."""
    if modulo is None:
        return None
    if modulo.tangent.shape[0] != _tree.size(x):
        raise ValueError(
            f"The manifold lies in {modulo.tangent.shape[0]} dimensions, the state has {_tree.size(x)}; "
            "compute it from the same system."
        )
    if modulo.dimension == modulo.tangent.shape[0]:
        raise ValueError("Every direction is tangent to the manifold of equilibria: no mode is left to be stable or not.")
    return modulo.tangent


def stability(system: AbstractSystem, x: PyTree, *, modulo: Manifold | None = None, throw: bool = True) -> Stability:
    r"""Whether an equilibrium is stable: :math:`{\rm Re}\,\lambda < 0` for a flow, :math:`|\mu| < 1` for a map.

    The growth is compared with its own error, the growth of the worst matrix within the backward error of the Jacobian
    (its pseudospectral abscissa), so that a defective eigenvalue is no surprise. The verdict is `stable` or `unstable`
    where the error cannot change the sign, `marginal` where the growth is zero to within rounding, and `undecided`
    otherwise.

    Args:
        system: A flow or a map.
        x: An equilibrium of it; for a map with memory a state of the map.
        modulo: The manifold of equilibria through `x` (see `manifold`); the verdict is then that of the modes
            transverse to it.
        throw: Raise if there is no verdict.

    Returns:
        A `Stability` with `.eigenvalues`, `.exponents`, `.growth`, `.rotation`, `.rate`, `.error` and `.verdict`.

    Raises:
        ValueError: A state of the wrong structure or not finite.
        RuntimeError: The point is no equilibrium, the Jacobian is not finite, the field has a kink there (with `throw`;
            inside `jit` and `vmap` the verdict reads `failed`), or a part of the map's memory, which is named, does not come to
            rest (the verdict reads `undecided`).
    """
    system, x = prepare(system, x)
    found = _stability(system, x, tangent_of(modulo, x))
    if throw and _tree.concrete(found) and found.result == RESULTS.unsettled:
        raise RuntimeError(f"stability: {message(found.result)} It is {names(x, restless_leaves(system, x))}.")
    check(found.result, throw, "stability: ")
    if _tree.concrete(found) and found.idle:
        order = np.argsort(np.abs(np.asarray(found.eigenvalues)), stable=True)
        kept = np.sort(order[int(found.idle) :])
        found = eqx.tree_at(lambda s: (s.eigenvalues, s.exponents), found, (found.eigenvalues[kept], found.exponents[kept]))
    return found
