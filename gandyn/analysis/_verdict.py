"""The spectrum at an equilibrium, and the verdict that follows from it."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, ScalarLike

from .. import _tree
from .._results import RESULTS
from ._eigenpairs import Eigenpairs, phase

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

    From `Arnoldi` the eigenvalues are the leading few and `pairs` says how well each is known. What was not found may grow
    faster: `floor` is what the growth is at least, and `bound` is infinite unless there is a certificate.
    """

    eigenvalues: Complex[Array, "*b n"]
    exponents: Complex[Array, "*b n"]
    bound: Float[Array, "*b"]
    scale: Float[Array, "*b"]
    result: RESULTS
    neutral: int = eqx.field(static=True, default=0)
    idle: Int[Array, "*b"] | int = 0
    projected: int = eqx.field(static=True, default=0)
    pairs: Eigenpairs | None = None
    floor: Float[Array, "*b"] | None = None

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
        grows = self.growth > self.error if self.floor is None else self.floor > 0
        conditions = [unsettled, failed, self.bound < 0, grows, marginal]
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
        return phase(self.eigenvalues)

    @property
    @eqx.filter_jit
    def tau(self) -> Float[Array, "*b"]:
        r"""The conditioning factor :math:`\max_i|\lambda_i| / \min_i|\lambda_i|` (Nie and Patel, 2019)."""
        modulus = jnp.abs(self.eigenvalues)
        return jnp.max(modulus, axis=-1) / jnp.min(modulus, axis=-1)

    @property
    @eqx.filter_jit
    def critical_step(self) -> Float[Array, "*b"]:
        r"""Of a flow, the step size above which `SimGD` is unstable, :math:`\min_i 2|{\rm Re}\,\lambda_i|/|\lambda_i|^2`.

        Zero where a mode does not decay: no step size is stable.
        """
        squared = jnp.abs(self.eigenvalues) ** 2
        steps = 2 * jnp.maximum(-self.eigenvalues.real, 0.0) / jnp.where(squared == 0, 1.0, squared)
        return jnp.min(steps, axis=-1)

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
        if self.pairs is not None and self.floor is not None:
            floor = f"{float(self.floor):.10g}"
            aside += (
                f"\nknown        {values.size} of {self.pairs.vectors.shape[-1]} eigenvalues; the growth is at least {floor}"
            )
        return (
            f"verdict      {self.verdict}\n"
            f"growth       {float(self.growth):.10g}  (error {float(self.error):.1g})\n"
            f"rate         {float(self.rate):.10g}\n"
            f"rotation     {float(self.rotation):.10g}\n"
            f"eigenvalues  {shown}{more}{aside}"
        )
