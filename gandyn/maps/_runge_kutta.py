"""Runge–Kutta methods with a fixed step as training algorithms."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Scalar

from .. import _tree
from .._system import AbstractFlow, AbstractMap, AbstractSystem
from ._step import check_step


def _weights(row: Any) -> tuple[float, ...]:
    return tuple(map(float, row))


class Tableau(eqx.Module):
    """An explicit Butcher tableau: the strictly lower rows of A, and the weights b.

    Raises:
        ValueError: Rows that do not grow by one entry each, or weights that are not one per stage or do not add up to one.
    """

    a: tuple[tuple[float, ...], ...] = eqx.field(static=True, converter=lambda rows: tuple(map(_weights, rows)))
    b: tuple[float, ...] = eqx.field(static=True, converter=_weights)

    def __check_init__(self):
        if [len(row) for row in self.a] != list(range(1, len(self.b))):
            raise ValueError(
                f"Tableau: a method with {len(self.b)} weights has rows of 1 to {len(self.b) - 1} entries; got {self.a}."
            )
        # A method that is off by less than this is of order one for every purpose.
        if abs(sum(self.b) - 1) > 1e-9:
            raise ValueError(f"Tableau: the weights must add up to one; got {self.b}.")


EULER = Tableau((), (1.0,))
MIDPOINT = Tableau(((0.5,),), (0.0, 1.0))
HEUN = Tableau(((1.0,),), (0.5, 0.5))
RK4 = Tableau(((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))


def _tableau(value: Any) -> Tableau:
    """A tableau of ours, or that of an explicit diffrax solver or tableau."""
    if isinstance(value, Tableau):
        return value
    if (type(value).__module__.partition(".")[0], type(value).__name__) == ("diffrax", "Euler"):
        return EULER  # The one explicit solver of diffrax that brings no tableau.
    other = getattr(value, "tableau", value)
    if not hasattr(other, "a_lower") or getattr(other, "implicit", False):
        raise ValueError(
            "RungeKutta takes an explicit tableau or an explicit diffrax solver, such as gd.RK4 or diffrax.Dopri5(); "
            f"got {value!r}. Implicit steps are gd.Implicit."
        )
    return Tableau(other.a_lower, np.asarray(other.b_sol))


class RungeKutta(AbstractMap):
    r"""An explicit Runge–Kutta step, :math:`k_i = v(x + h\sum_j a_{ij}k_j)`, :math:`x \leftarrow x + h\sum_i b_i k_i`.

    Higher-order steps follow the flow where gradient descent does not (Qin et al., 2020).

    Args:
        flow: The field.
        h: The step size, positive.
        tableau: `EULER`, `MIDPOINT`, `HEUN`, `RK4`, or an explicit diffrax solver such as `diffrax.Dopri5()`.
    """

    flow: AbstractFlow
    h: Scalar = eqx.field(converter=_tree.real)
    tableau: Tableau = eqx.field(converter=_tableau, default=RK4)

    def __check_init__(self):
        check_step(self.h, "RungeKutta")

    def _combine(self, x: PyTree, weights: tuple[float, ...], slopes: list[PyTree]) -> PyTree:
        for weight, slope in zip(weights, slopes, strict=False):
            x = _tree.axpy(self.h * weight, slope, x)
        return x

    def __call__(self, x: PyTree) -> PyTree:
        """One step."""
        slopes = [self.flow(x)]
        for row in self.tableau.a:
            slopes.append(self.flow(self._combine(x, row, slopes)))
        return self._combine(x, self.tableau.b, slopes)

    def amplification(self, z: Array) -> Array:
        r"""The stability function R(z), which turns :math:`z = h\lambda` into a multiplier."""
        stages = [jnp.ones_like(z)]
        for row in self.tableau.a:
            stages.append(1 + z * sum(a * stage for a, stage in zip(row, stages, strict=True)))
        return 1 + z * sum(b * stage for b, stage in zip(self.tableau.b, stages, strict=True))

    def spectrum_of(self) -> tuple[AbstractSystem, Callable[[Array], Array]]:
        """The flow, by the stability function."""
        return self.flow, lambda eigenvalues: self.amplification(self.h * eigenvalues)

    def evaluations(self) -> float:
        """One for each stage."""
        return float(len(self.tableau.b))
