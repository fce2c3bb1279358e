"""Stability of equilibria of flows and fixed points of maps, with a verdict that knows its own error."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PyTree, Scalar, ScalarLike

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, worst
from .._system import AbstractMap, AbstractSystem
from ..games._measure import companion
from ._equilibrium import Manifold
from ._linear import eigenvalues, jacobian, smallest_singular_value, solve

STABLE, UNSTABLE, MARGINAL, UNDECIDED, FAILED = 0, 1, 2, 3, 4
VERDICTS = ("stable", "unstable", "marginal", "undecided", "failed")


class Stability(eqx.Module):
    r"""The spectrum at an equilibrium and what follows from it.

    `eigenvalues` are those of the Jacobian of the flow or map; `exponents` are the eigenvalues :math:`\lambda` of a flow
    (per unit time) or :math:`\log\mu` of a map (per application). `bound` is the largest growth of any matrix within the
    backward error of the Jacobian: rounding, the residual of the equilibrium and the error of quadratures. `scale` is the
    size of the Jacobian in units of growth. `neutral` counts the modes along a manifold of equilibria that were set aside.
    """

    eigenvalues: Complex[Array, "*b n"]
    exponents: Complex[Array, "*b n"]
    bound: Float[Array, "*b"]
    scale: Float[Array, "*b"]
    result: RESULTS
    neutral: int = eqx.field(static=True, default=0)

    def _leading(self) -> Array:
        index = jnp.argmax(self.exponents.real, axis=-1)[..., None]
        return jnp.take_along_axis(self.exponents, index, axis=-1)[..., 0]

    @property
    def growth(self) -> Float[Array, "*b"]:
        """The largest real part of an exponent."""
        return self._leading().real

    @property
    def rotation(self) -> Float[Array, "*b"]:
        """The angular speed of the leading mode."""
        return jnp.abs(self._leading().imag)

    @property
    def rate(self) -> Float[Array, "*b"]:
        """The factor by which errors shrink (or grow) per unit time or per application: exp(growth)."""
        return jnp.exp(self.growth)

    @property
    def error(self) -> Float[Array, "*b"]:
        """By how much the growth may be too small."""
        return jnp.where(jnp.isinf(self.growth) & jnp.isinf(self.bound), 0.0, self.bound - self.growth)

    @property
    def code(self) -> Int[Array, "*b"]:
        """The verdict as a number: 0 stable, 1 unstable, 2 marginal, 3 undecided, 4 failed."""
        failed = self.result != RESULTS.successful
        marginal = self.error <= jnp.sqrt(jnp.finfo(self.bound.dtype).eps) * self.scale
        conditions = [failed, self.bound < 0, self.growth > self.error, marginal]
        choices = [jnp.full_like(self.growth, c, dtype=int) for c in (FAILED, STABLE, UNSTABLE, MARGINAL)]
        return jnp.select(conditions, choices, UNDECIDED)

    @property
    def verdict(self) -> str | np.ndarray:
        """`stable`, `unstable`, `marginal`, `undecided`, or `failed`; an array of them after `vmap`."""
        codes = np.asarray(self.code)
        return VERDICTS[int(codes)] if codes.ndim == 0 else np.array(VERDICTS)[codes]

    @property
    def zeta(self) -> Float[Array, "*b"]:
        r"""The phase factor :math:`\max_i |{\rm Im}\,\lambda_i / {\rm Re}\,\lambda_i|` (Nie and Patel, 2019)."""
        real, imaginary = jnp.abs(self.eigenvalues.real), jnp.abs(self.eigenvalues.imag)
        ratio = jnp.where(imaginary == 0, 0.0, imaginary / jnp.where(real > 0, real, 1.0))
        return jnp.max(jnp.where((real == 0) & (imaginary > 0), jnp.inf, ratio), axis=-1)

    @property
    def tau(self) -> Float[Array, "*b"]:
        r"""The conditioning factor :math:`\max_i|\lambda_i| / \min_i|\lambda_i|` (Nie and Patel, 2019)."""
        modulus = jnp.abs(self.eigenvalues)
        return jnp.max(modulus, axis=-1) / jnp.min(modulus, axis=-1)

    @property
    def kind(self) -> str:
        """The type of equilibrium: node, focus, saddle, centre or degenerate, with its stability."""
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
        return (
            f"verdict      {self.verdict}\n"
            f"growth       {float(self.growth):.10g}  (error {float(self.error):.1g})\n"
            f"rate         {float(self.rate):.10g}\n"
            f"rotation     {float(self.rotation):.10g}\n"
            f"eigenvalues  {shown}{more}{aside}"
        )


def _largest(growths: Float[Array, " n"]) -> Scalar:
    return jnp.max(growths, initial=-jnp.inf)


_DIRECTIONS = np.exp(2j * np.pi * np.arange(8) / 8)
_BISECTIONS = 10
_MOST_MODES = 32


def _radius(matrix: Array, value: Array, level: Array) -> Array:
    """The radius of the pseudospectrum at `level` around an eigenvalue, to within a few per cent."""
    n = matrix.shape[0]
    eye = jnp.eye(n, dtype=value.dtype)
    size = jnp.linalg.norm(matrix) + level

    def inside(radius: Array) -> Array:
        ring = value + radius * jnp.asarray(_DIRECTIONS, value.dtype)
        return jnp.min(jax.vmap(lambda z: smallest_singular_value(matrix - z * eye))(ring)) < level

    def halve(_: ScalarLike, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        grow = inside(jnp.exp(middle))
        return jnp.where(grow, middle, low), jnp.where(grow, high, middle)

    # Between the normal case and Elsner's bound for a defective eigenvalue of full order.
    ends = jnp.log(level), jnp.log(2 * size) * (1 - 1 / n) + jnp.log(level) / n + jnp.log(2.0)
    return jnp.exp(jax.lax.fori_loop(0, _BISECTIONS, halve, ends)[1])


def _perturbed_growth(matrix: Array, values: Array, level: Array, exponent: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The growth over the pseudospectrum, and the largest slope of the growth along it."""
    few = values.shape[0] <= _MOST_MODES
    leading = values if few else values[jnp.argsort(-exponent(values).real)[:_MOST_MODES]]
    radius = jax.vmap(lambda value: _radius(matrix, value, level))(leading)
    gradient = jax.vmap(jax.grad(lambda z: exponent(z).real))(leading)
    steepness = jnp.abs(gradient)
    usable = jnp.isfinite(steepness) & (steepness > 0)
    ascent = jnp.where(usable, jnp.conj(gradient) / jnp.where(usable, steepness, 1.0), 1.0)
    return _largest(exponent(leading + radius * ascent).real), jnp.max(jnp.where(usable, steepness, 0.0))


def _shifted(x: PyTree, jacobian_of_residual: Array, residual: PyTree) -> PyTree:
    """The state after a Newton step that ignores the directions in which the Jacobian is singular to rounding."""
    vector, unravel = _tree.ravel(x)
    a, r = jacobian_of_residual, _tree.ravel(residual)[0]
    damping = jnp.finfo(a.dtype).eps * jnp.sum(a**2) + jnp.finfo(a.dtype).tiny
    return unravel(vector - solve(a.T @ a + damping * jnp.eye(a.shape[0], dtype=a.dtype), a.T @ r))


@eqx.filter_jit
def _stability(system: AbstractSystem, x: PyTree, tangent: Array | None) -> Stability:
    inner, image = system.spectrum_of()
    other = companion(inner)
    matrix, residual = jacobian(inner, x), inner.residual(x)
    n = matrix.shape[0]
    eye = jnp.eye(n, dtype=matrix.dtype)
    of_residual = matrix - eye if isinstance(inner, AbstractMap) else matrix
    moved = jacobian(inner if other is None else other, _shifted(x, of_residual, residual))
    eps = _tree.eps(x)
    size = jnp.linalg.norm(matrix)
    level = 4 * n * eps * size + jnp.linalg.norm(moved - matrix) + jnp.finfo(matrix.dtype).tiny
    distance = _tree.norm(residual)
    result = worst(
        (~(jnp.isfinite(distance) & jnp.all(jnp.isfinite(matrix))), system.failure(x)),
        (~jnp.isfinite(level), RESULTS.nonfinite),
        (jnp.any(jnp.abs(system.switches(x)) <= eps**0.5), RESULTS.switching),
        (distance > eps**0.5 * jnp.linalg.norm(of_residual) * (1 + _tree.norm(x)), RESULTS.not_stationary),
    )
    neutral = 0
    if tangent is not None and tangent.shape[1]:
        neutral = tangent.shape[1]
        basis = jnp.linalg.qr(jnp.concatenate([tangent, eye], axis=1))[0][:, neutral:n]
        matrix = basis.T @ matrix @ basis
    matrix = jnp.where(jnp.isfinite(matrix), matrix, 0.0)

    def exponent(z: Array) -> Array:
        return system.exponents(image(z))

    values = eigenvalues(matrix)
    exponents = exponent(values)
    bound, steepness = _perturbed_growth(matrix, values, level, exponent)
    leading = jnp.argmax(exponents.real)
    rounding = 4 * eps * jnp.abs(jax.grad(lambda z: system.exponents(z).real)(image(values)[leading]) * image(values)[leading])
    bound = bound + jnp.where(jnp.isfinite(rounding), rounding, 0.0)
    scale = jnp.maximum(steepness * size, jnp.finfo(matrix.dtype).tiny)
    spectrum = image(values)
    failed = result != RESULTS.successful
    spectrum, exponents, bound, scale = (jnp.where(failed, jnp.nan, v) for v in (spectrum, exponents, bound, scale))
    return Stability(spectrum, exponents, bound, scale, result, neutral)


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
        RuntimeError: The point is no equilibrium, the Jacobian is not finite, or the field has a kink there (with
            `throw`; inside `jit` and `vmap` the verdict reads `failed`).
    """
    system, x = prepare(system, x)
    if modulo is not None and modulo.tangent.shape[0] != _tree.size(x):
        raise ValueError(
            f"The manifold lies in {modulo.tangent.shape[0]} dimensions, the state has {_tree.size(x)}; "
            "compute it from the same system."
        )
    found = _stability(system, x, None if modulo is None else modulo.tangent)
    check(found.result, throw, "stability: ")
    return found
