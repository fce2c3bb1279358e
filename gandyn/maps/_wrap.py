"""Maps made of maps: repeated, projected, averaged."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._constraint import AbstractConstraint, check_constraint
from .._results import RESULTS
from .._system import AbstractMap
from ._step import check_weight, whole


class AbstractWrapper(AbstractMap):
    """A map around another one, its field `map`; everything is that map's own unless overridden."""

    map: eqx.AbstractVar[AbstractMap]

    def inner(self, state: PyTree) -> PyTree:
        """The inner map's state in a state; the same unless overridden."""
        return state

    def init(self, point: PyTree) -> PyTree:
        """That of the map."""
        return self.map.init(point)

    def point(self, state: PyTree) -> PyTree:
        """That of the map."""
        return self.map.point(self.inner(state))

    def settle(self, state: PyTree) -> PyTree:
        """That of the map."""
        return self.map.settle(state)

    def failure(self, x: PyTree) -> RESULTS:
        """That of the map."""
        return self.map.failure(self.inner(x))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the map."""
        return self.map.switches(self.inner(x))

    def precision(self, x: PyTree) -> float:
        """That of the map."""
        return self.map.precision(self.inner(x))

    def projected(self) -> int:
        """That of the map."""
        return self.map.projected()

    def step_size(self) -> PyTree:
        """That of the map."""
        return self.map.step_size()

    def time(self) -> Array:
        """That of the map."""
        return self.map.time()

    def evaluations(self) -> float:
        """Those of the map."""
        return self.map.evaluations()


class Iterated(AbstractWrapper):
    """A map applied k times; its fixed points are the map's points of period k.

    Args:
        map: The map.
        times: How often, at least once.
    """

    map: AbstractMap
    times: int = eqx.field(static=True, converter=whole)

    def __check_init__(self):
        if not isinstance(self.times, int) or self.times < 1:
            raise ValueError(f"Iterated: a map is applied at least once; got {self.times}.")

    def __call__(self, x: PyTree) -> PyTree:
        """All the applications."""
        return jax.lax.scan(lambda y, _: (self.map(y), None), x, length=self.times)[0]

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the map, all along the orbit."""
        return jax.lax.scan(lambda y, _: (self.map(y), self.map.switches(y)), x, length=self.times)[1].reshape(-1)

    def time(self) -> Array:
        """That of the map, so many times."""
        return self.times * self.map.time()

    def evaluations(self) -> float:
        """Those of the map, so many times."""
        return self.times * self.map.evaluations()


class Projected(AbstractWrapper):
    """A map followed by the projection of its point on a constraint, such as weight clipping.

    Of a map whose players move in turn, every move is followed by the projection.

    Args:
        map: The map; for one whose state is more than its point, the constraint's lens starts at the state.
        constraint: A `Box`, `Ball`, `SpectralBall` or one's own.
    """

    map: AbstractMap
    constraint: AbstractConstraint

    def __check_init__(self):
        check_constraint(self.constraint, "Projected")

    def init(self, point: PyTree) -> PyTree:
        """That of the map, projected."""
        return self.constraint.project(self.map.init(_tree.state_arrays(point)))

    def __call__(self, x: PyTree) -> PyTree:
        """Every move of the map, each with the projection after it."""
        for part in self.map.parts(x):
            x = self.constraint.project(part(x))
        return x

    def parts(self, state: PyTree) -> tuple[AbstractMap, ...]:
        """Those of the map, projected."""
        return tuple(Projected(part, self.constraint) for part in self.map.parts(state))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the map, and the boundary of the constraint at the image of each move."""
        own, margins = self.map.switches(x), []
        for part in self.map.parts(x):
            moved = part(x)
            margins.append(self.constraint.margins(moved))
            x = self.constraint.project(moved)
        return jnp.concatenate([own, *margins])


class WithAverage(NamedTuple):
    """The state of a map with weight averaging: the map's own state, and the average of its points."""

    state: PyTree
    average: PyTree


class Averaged(AbstractWrapper):
    r"""A map with an exponential moving average beside it, :math:`\bar x \leftarrow \beta\bar x + (1-\beta)\,x` (EMA).

    The average does not act back, so its own multipliers are all :math:`\beta`.

    Args:
        map: The map.
        decay: The factor :math:`\beta`, a leaf.
    """

    map: AbstractMap
    decay: Scalar = eqx.field(converter=_tree.real)

    def __check_init__(self):
        check_weight(self.decay, "Averaged: the decay")

    def inner(self, state: WithAverage) -> PyTree:
        """Beside the average."""
        return state.state

    def init(self, point: PyTree) -> WithAverage:
        """The map's state, with the point as average."""
        point = _tree.state_arrays(point)
        return WithAverage(self.map.init(point), point)

    def point(self, state: WithAverage) -> PyTree:
        """The average, which is what one evaluates."""
        return state.average

    def settle(self, state: WithAverage) -> WithAverage:
        """That of the map, beside the average."""
        return WithAverage(self.map.settle(state.state), state.average)

    def __call__(self, x: WithAverage) -> WithAverage:
        """One application, then the average of its point."""
        state = self.map(x.state)
        gap = _tree.subtract(self.map.point(state), x.average)
        return WithAverage(state, _tree.axpy(1 - self.decay, gap, x.average))
