"""Extrapolation: extragradient, optimistic gradient, and averaging with a point in the past (lookahead)."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractFlow, AbstractMap, AbstractSystem
from ._step import advance, check_step, check_weight, steps, whole
from ._wrap import AbstractWrapper


class ExtraGradient(AbstractMap):
    r"""Extragradient, :math:`x \leftarrow x + h\,v(x + h\,v(x))` (Korpelevich, 1976).

    Args:
        flow: The field.
        h: The step size, positive: a scalar, or one per player.
    """

    flow: AbstractFlow
    h: PyTree[Float[Array, ""]] = eqx.field(converter=steps)

    def __check_init__(self):
        check_step(self.h, "ExtraGradient")

    def __call__(self, x: PyTree) -> PyTree:
        """One step, two gradients."""
        return advance(self.h, x, self.flow(advance(self.h, x, self.flow(x))))

    def spectrum_of(self) -> tuple[AbstractSystem, Callable[[Array], Array]]:
        r"""For one step size the flow, by :math:`\mu = 1 + h\lambda + h^2\lambda^2`."""
        if isinstance(self.h, jax.Array):
            return self.flow, lambda eigenvalues: 1 + self.h * eigenvalues * (1 + self.h * eigenvalues)
        return super().spectrum_of()

    def evaluations(self) -> float:
        """Two."""
        return 2.0


class Past(NamedTuple):
    """The state of a method that remembers one field: the point, and the field seen last."""

    point: PyTree
    field: PyTree


class Optimistic(AbstractMap):
    r"""The optimistic (past) gradient, :math:`x_{t+1} = x_t + h\left((1 + \beta)\,v(x_t) - \beta\,v(x_{t-1})\right)`.

    Popov (1980); Daskalakis et al. (2018), where :math:`\beta = 1`; Mokhtari, Ozdaglar and Pattathil (2020).

    Its state is `Past(point, field)`: `init` starts as if the point had been standing, so the first step is plain.

    Args:
        flow: The field.
        h: The step size, positive: a scalar, or one per player.
        beta: How much of the change since the last field is expected again, a leaf.
    """

    flow: AbstractFlow
    h: PyTree[Float[Array, ""]] = eqx.field(converter=steps)
    beta: Scalar = eqx.field(converter=_tree.real, default=1.0)

    def __check_init__(self):
        check_step(self.h, "Optimistic")

    def init(self, point: PyTree) -> Past:
        """The point with its own field."""
        point = _tree.state_arrays(point)
        return Past(point, self.flow(point))

    def point(self, state: Past) -> PyTree:
        """The point."""
        return state.point

    def __call__(self, x: Past) -> Past:
        """One step, one gradient."""
        field = self.flow(x.point)
        expected = _tree.axpy(self.beta, _tree.subtract(field, x.field), field)
        return Past(advance(self.h, x.point, expected), field)


class Lookahead(AbstractWrapper):
    r"""Lookahead, :math:`x \leftarrow x + \alpha\,(F^k(x) - x)` (Zhang et al., 2019; Chavdarova et al., 2021).

    Args:
        map: The inner map F; a memory is averaged with the point.
        steps: How many inner steps k, at least one.
        alpha: The weight of the new point.

    Raises:
        ValueError: No inner step.
    """

    map: AbstractMap
    steps: int = eqx.field(static=True, converter=whole)
    alpha: Scalar = eqx.field(converter=_tree.real, default=0.5)

    def __check_init__(self):
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"Lookahead: at least one inner step is needed; got {self.steps}.")
        check_weight(self.alpha, "Lookahead: alpha")

    def __call__(self, x: PyTree) -> PyTree:
        """The inner steps, then the average."""
        ahead = jax.lax.scan(lambda y, _: (self.map(y), None), x, length=self.steps)[0]
        average = _tree.axpy(self.alpha, _tree.subtract(ahead, x), x)
        return _tree.merge(_tree.split(average)[0], _tree.split(ahead)[1])

    def spectrum_of(self) -> tuple[AbstractSystem, Callable[[Array], Array]]:
        r"""That of the inner map, by :math:`1 - \alpha + \alpha\mu^k`."""
        inner, image = self.map.spectrum_of()
        return inner, lambda eigenvalues: 1 - self.alpha + self.alpha * image(eigenvalues) ** self.steps

    def time(self) -> Array:
        r"""The inner map's, :math:`\alpha k` times."""
        return self.alpha * self.steps * self.map.time()

    def evaluations(self) -> float:
        """The inner map's, k times."""
        return self.steps * self.map.evaluations()
