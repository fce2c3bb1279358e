"""Stability of equilibria of flows and fixed points of maps, with a verdict that knows its own error."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PyTree, ScalarLike

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first, worst
from .._system import AbstractMap, AbstractSystem
from ..games._measure import companion
from ._equilibrium import Manifold
from ._linear import damped_solve, eigenvalues, jacobian, smallest_singular_value

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
        """The factor by which errors shrink (or grow) per unit time or per application: exp(growth)."""
        return jnp.exp(self.growth)

    @property
    @eqx.filter_jit
    def error(self) -> Float[Array, "*b"]:
        """By how much the growth may be too small."""
        return jnp.where(jnp.isinf(self.growth) & jnp.isinf(self.bound), 0.0, self.bound - self.growth)

    @property
    @eqx.filter_jit
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


def _most_sensitive(matrix: Array, level: Array, exponent: Callable[[Array], Array]) -> Array:
    """The modes of a large matrix whose growth a perturbation raises most, to first order."""
    values, vectors = jnp.linalg.eig(matrix)
    condition = jnp.linalg.norm(vectors, axis=0) * jnp.linalg.norm(jnp.linalg.inv(vectors), axis=1)
    steepness = jnp.abs(jax.vmap(jax.grad(lambda z: exponent(z).real))(values))
    raised = exponent(values).real + steepness * level * values.size * condition
    return values[jnp.argsort(-jnp.where(jnp.isnan(raised), jnp.inf, raised))[:_MOST_MODES]]


def _perturbed_growth(matrix: Array, values: Array, level: Array, exponent: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The largest growth over the pseudospectrum, and the slope of the growth at the mode that reaches it.

    A growth that is positive may also fall: then the bound lies at least as far above it as the fall is deep.
    """
    leading = values if values.size <= _MOST_MODES else _most_sensitive(matrix, level, exponent)
    radius = jax.vmap(lambda value: _radius(matrix, value, level))(leading)
    gradient = jax.vmap(jax.grad(lambda z: exponent(z).real))(leading)
    steepness = jnp.abs(gradient)
    usable = jnp.isfinite(steepness) & (steepness > 0)
    ascent = radius * jnp.where(usable, jnp.conj(gradient) / jnp.where(usable, steepness, 1.0), 1.0)
    risen = exponent(leading + ascent).real
    growth = exponent(leading).real
    top, highest = jnp.argmax(risen), jnp.argmax(growth)
    fallen = jnp.maximum(exponent((leading - ascent)[highest]).real, 0.0)
    bound = jnp.where(growth[highest] > 0, jnp.maximum(risen[top], 2 * growth[highest] - fallen), risen[top])
    return bound, jnp.where(usable, steepness, 0.0)[top]


def _shifted(system: AbstractSystem, x: PyTree, derivative: Array, residual: PyTree, tangent: Array | None) -> PyTree:
    """A state on the far side of the equilibrium: twice a Newton step away, the rounding of the residual included.

    The step is damped by the residual (Fan and Yuan, 2005), so that it stays short along manifolds of equilibria and is
    Newton's own at folds, whose root may lie at twice its length.
    """
    vector, unravel = _tree.ravel(x)
    r = _tree.ravel(residual)[0]
    eps = _tree.eps(x)
    rounding = jnp.abs(derivative) @ jnp.abs(vector) + (jnp.abs(vector) if isinstance(system, AbstractMap) else 0.0)
    r = r + jnp.where(r < 0, -eps, eps) * rounding
    tiny = jnp.finfo(vector.dtype).tiny
    size, reach = jnp.linalg.norm(derivative) + tiny, 100 * (1 + jnp.linalg.norm(vector))
    a, r = derivative / size, r / size

    def step(rest: Array) -> Array:
        return damped_solve(a, r, jnp.linalg.norm(rest) / reach + tiny)

    # The second damping sees only the part of the residual that the first step leaves.
    move = step(r - a @ step(r))
    return unravel(vector - 2 * (move if tangent is None else move - tangent @ (tangent.T @ move)))


def _backward_error(system: AbstractSystem, x: PyTree, matrix: Array, tangent: Array | None) -> tuple[Array, PyTree, Array]:
    """By how much the Jacobian may be wrong, the residual, and the norm of the residual's own derivative."""
    derivative = matrix - jnp.eye(matrix.shape[0], dtype=matrix.dtype) if isinstance(system, AbstractMap) else matrix
    finer = companion(system)
    reference = system if finer is None else finer
    moved = jacobian(reference, _shifted(system, x, derivative, reference.residual(x), tangent))
    rounding = 4 * matrix.shape[0] * _tree.eps(x) * jnp.linalg.norm(matrix)
    # Twice, because a Newton step towards a root of higher order covers only a part of the way.
    level = rounding + 2 * jnp.linalg.norm(moved - matrix) + jnp.finfo(matrix.dtype).tiny
    return level, system.residual(x), jnp.linalg.norm(derivative)


@eqx.filter_jit
def _stability(system: AbstractSystem, x: PyTree, tangent: Array | None) -> Stability:
    inner, image = system.spectrum_of()
    matrix = jacobian(inner, x)
    n = matrix.shape[0]
    eps, tiny = _tree.eps(x), jnp.finfo(matrix.dtype).tiny
    level, residual, slope = _backward_error(inner, x, matrix, tangent)
    distance = _tree.norm(residual)
    broken = ~(jnp.isfinite(distance) & jnp.all(jnp.isfinite(matrix)))
    result = worst(
        (broken, first(system.failure(x), RESULTS.nonfinite)),
        (jnp.any(jnp.abs(system.switches(x)) <= eps**0.5), RESULTS.switching),
        (distance > eps**0.5 * slope * (1 + _tree.norm(x)), RESULTS.not_stationary),
        (~jnp.isfinite(level), RESULTS.nonfinite),
    )
    neutral = 0
    if tangent is not None and tangent.shape[1]:
        neutral = tangent.shape[1]
        basis = jnp.linalg.qr(jnp.concatenate([tangent, jnp.eye(n, dtype=matrix.dtype)], axis=1))[0][:, neutral:n]
        matrix = basis.T @ matrix @ basis
    size = jnp.linalg.norm(matrix)
    matrix = jnp.where(jnp.isfinite(matrix), matrix, 0.0)

    def exponent(z: Array) -> Array:
        return system.exponents(image(z))

    values = eigenvalues(matrix)
    exponents = exponent(values)
    bound, steepness = _perturbed_growth(matrix, values, level, exponent)
    leading = jnp.argmax(exponents.real)
    rounding = 4 * eps * jnp.abs(jax.grad(lambda z: system.exponents(z).real)(image(values)[leading]) * image(values)[leading])
    bound = bound + jnp.where(jnp.isfinite(rounding), rounding, 0.0)
    scale = steepness * size + tiny / eps
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
    if modulo is not None and modulo.dimension == modulo.tangent.shape[0]:
        raise ValueError("Every direction is tangent to the manifold of equilibria: no mode is left to be stable or not.")
    found = _stability(system, x, None if modulo is None else modulo.tangent)
    check(found.result, throw, "stability: ")
    return found
