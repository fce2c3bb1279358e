"""What the spectrum at an equilibrium says of the distance to it: exponential, algebraic, none or growing."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Array, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._system import AbstractMap, AbstractSystem
from ._linear import jacobian
from ._memory import point_rows, settled
from ._normal_form import normal_form
from ._stability import stability

EXPONENTIAL, ALGEBRAIC, NONE, GROWING, UNDECIDED = "exponential", "algebraic", "none", "growing", "undecided"


class Prediction(eqx.Module):
    r"""How the distance to an equilibrium changes near it, as the linearisation and the normal form predict it.

    `kind`: `exponential` for :math:`r \sim t^k e^{gt}` with the growth g < 0; `algebraic` for
    :math:`1/r^2 \sim` `slope` :math:`\cdot t`, that is :math:`r \sim t^{-1/2}`; `none` at a centre; `growing`; or
    `undecided`. `power` is k, not zero where the leading eigenvalue is defective, and `shear` the norm of its nilpotent part,
    so that errors shrink like :math:`(1 + {\rm shear}\,t)^k e^{gt}`.

    Times are those of the flow, or numbers of applications of the map. Only modes that show in the map's point count: the
    second moments of Adam decay at a pace of their own.
    """

    kind: str = eqx.field(static=True)
    growth: Scalar
    rotation: Scalar
    power: int = eqx.field(static=True)
    shear: Scalar
    slope: Scalar

    @property
    def rate(self) -> Scalar:
        """The factor by which errors shrink per unit time or per application, exp(growth)."""
        return jnp.exp(self.growth)

    @property
    def exponent(self) -> Scalar:
        """The exponent p of an algebraic decay :math:`t^{-p}`, one half; NaN for the other kinds."""
        return jnp.asarray(0.5 if self.kind == ALGEBRAIC else jnp.nan)

    def time(self, error: float, start: float = 1.0) -> float:
        """The time, or the number of applications, from a distance to a smaller one.

        Args:
            error: The distance to reach.
            start: The distance at the beginning, small enough for the prediction to hold.

        Returns:
            Infinite where there is no decay.
        """
        if error >= start:
            return 0.0
        if self.kind == ALGEBRAIC:
            return float((1 / error**2 - 1 / start**2) / self.slope)
        if self.kind != EXPONENTIAL:
            return float("inf")
        decay, digits = -float(self.growth), float(np.log(start / error))
        if not self.power or not np.isfinite(decay):
            return digits / decay

        def missing(t: float) -> float:
            return decay * t - self.power * np.log1p(float(self.shear) * t) - digits

        # Beyond the bump of the polynomial factor, where the distance falls for good.
        end = (digits + 1) / decay
        while missing(end) < 0:
            end *= 2
        start_of_fall = max(0.0, self.power / decay - 1 / float(self.shear))
        return float(scipy.optimize.root_scalar(missing, bracket=(start_of_fall, end)).root)

    def __str__(self) -> str:
        factor = f", times t^{self.power}" if self.power else ""
        text = {
            EXPONENTIAL: f"growth {float(self.growth):.10g}{factor}",
            GROWING: f"growth {float(self.growth):.10g}{factor}",
            ALGEBRAIC: f"exponent 1/2, slope of 1/r^2 {float(self.slope):.10g}",
        }
        return f"{self.kind} {text[self.kind]}" if self.kind in text else self.kind


@eqx.filter_jit
def linear_part(system: AbstractSystem, x: PyTree) -> tuple[Array, Array]:
    """The Jacobians of a system and of a map's point."""
    return jacobian(system, x), point_rows(system, x)


def visible(matrices: Sequence[np.ndarray], rows: np.ndarray, eps: float) -> np.ndarray:
    """An orthonormal basis, in columns, of what the point shows of the linear parts in the course of time, after Kalman."""
    tolerance = eps**0.5
    basis = scipy.linalg.orth(rows.T, rcond=tolerance)
    scale = max(max(np.linalg.norm(matrix, 2) for matrix in matrices), tolerance)
    while True:
        images = np.concatenate([matrix.T @ basis for matrix in matrices], axis=1)
        rest = images - basis @ (basis.T @ images)
        rest -= basis @ (basis.T @ rest)
        u, sizes, _ = np.linalg.svd(rest, full_matrices=False)
        new = u[:, sizes > tolerance * scale]
        if not new.shape[1]:
            return basis
        basis = np.concatenate([basis, new], axis=1)


def _jordan(matrix: np.ndarray, value: complex, eps: float) -> tuple[complex, int, float]:
    """The eigenvalue at `value`, the power of t that its Jordan block brings, and the norm of its nilpotent part."""
    values = np.linalg.eigvals(matrix)
    size = max(np.linalg.norm(matrix, 2), np.finfo(float).tiny)
    order = np.argsort(np.abs(values - value))
    for count in range(len(values), 1, -1):
        # What rounding makes of one eigenvalue in a Jordan block of this size.
        spread = 10 * size * (count * eps) ** (1 / count)
        near = values[order[:count]]
        if np.ptp(near.real) + np.ptp(near.imag) > spread:
            continue
        centre = near.mean()
        # LAPACK asks of each eigenvalue whether it belongs to the block that comes first.
        block, _, found = scipy.linalg.schur(  # pyright: ignore[reportAssignmentType]
            matrix, output="complex", sort=lambda z, c=centre, s=spread: abs(z - c) <= s
        )
        if found != count:
            continue
        nilpotent = np.triu(block[:count, :count], 1)
        power, product = 0, nilpotent
        while power < count - 1 and np.linalg.norm(product, 2) > spread * size**power:
            power, product = power + 1, product @ nilpotent
        return complex(centre), power, float(np.linalg.norm(nilpotent, 2)) if power else 0.0
    return complex(value), 0, 0.0


def predict(system: AbstractSystem, x: PyTree) -> Prediction:
    """How the distance to an equilibrium will change: exponentially, algebraically, not at all, or growing.

    Where the growth is zero and the leading mode rotates, the first Lyapunov coefficient decides (see `normal_form`).

    Args:
        system: A flow or a map.
        x: An equilibrium of it; for a map with memory a state of the map.

    Returns:
        A `Prediction`; beside the measured `rate` when that is given the system.

    Raises:
        ValueError: A state of the wrong structure or not finite.
        RuntimeError: The point is no equilibrium, or it has no Jacobian.
    """
    system, x = prepare(system, x)
    found = stability(system, x)
    discrete = isinstance(system, AbstractMap)
    state = settled(system, x)
    eps = _tree.eps(x)
    matrix, rows = map(np.asarray, linear_part(system, state))
    basis = visible([matrix], rows, eps)
    matrix = basis.T @ matrix @ basis
    values = np.linalg.eigvals(matrix)
    value = values[np.argmax(np.abs(values) if discrete else values.real)]
    value, power, shear = _jordan(matrix, value, eps)
    if discrete:
        shear /= max(abs(value), np.finfo(float).tiny)
        value = complex(np.log(value)) if value else complex(-np.inf)
    kind, slope = _kind(system, x, str(found.verdict), value.real, float(found.error))
    numbers = (value.real, abs(value.imag), shear, slope)
    growth, rotation, shear, slope = (_tree.real(number) for number in numbers)
    return Prediction(kind, growth, rotation, power, shear, slope)


def _kind(system: AbstractSystem, x: PyTree, verdict: str, growth: float, error: float) -> tuple[str, float]:
    if verdict == "stable" or growth < -error:
        return EXPONENTIAL, np.nan
    if verdict == "unstable" and growth > error:
        return GROWING, np.nan
    if verdict != "marginal":
        return UNDECIDED, np.nan
    try:
        slope = float(normal_form(system, x).slope)
    except ValueError:
        return UNDECIDED, np.nan
    return {1: ALGEBRAIC, 0: NONE, -1: GROWING}[int(np.sign(slope))], slope
