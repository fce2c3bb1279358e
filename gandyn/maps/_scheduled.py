"""Schedules: maps some of whose numbers follow a clock."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from .. import _tree
from .._results import RESULTS
from .._system import AbstractMap
from ._wrap import AbstractWrapper

_LAST = np.iinfo(np.int32).max
BEFORE_THE_LAST = np.concatenate([[0], 2 ** np.arange(30)])
"""How far before a counter's last value to look whether anything still changes."""


class Clocked(NamedTuple):
    """The state of a scheduled map: the state of the map, and the number of applications so far."""

    state: PyTree
    clock: Int[Array, ""]


class Scheduled(AbstractWrapper):
    """A map with numbers that a schedule sets before each application: step sizes, momentum, penalties, the width of noise.

    The clock is an integer and no coordinate. At a fixed point it stands at its last value, the largest integer, if the
    schedule has become constant there; if not, the verdict is undecided. With a period it starts again and again: a fixed
    point is then one of `Iterated(Scheduled(...), period)`.

    Args:
        map: The map.
        where: A lens from the map to one number, or to several in a tuple.
        schedule: A function of the clock, such as `optax.exponential_decay(0.1, 100, 0.9)`, with one value for all the
            numbers or a tuple like theirs. Of an Equinox module the numbers are leaves.
        period: After how many applications the clock is back at zero; never if left out.

    Raises:
        ValueError: A lens that picks no number, or a period below one.
    """

    map: AbstractMap
    where: Callable = eqx.field(converter=_tree.function)
    schedule: Callable = eqx.field(converter=_tree.function)
    period: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        _tree.select(self.map, self.where)
        if self.period is not None and self.period < 1:
            raise ValueError(f"Scheduled: a period is at least one application; got {self.period}.")

    def at(self, clock: Int[Array, ""]) -> AbstractMap:
        """The map at a time."""
        value, old = self.schedule(_wide(clock)), self.where(self.map)
        if jax.tree.structure(value) != jax.tree.structure(old):
            value = jax.tree.map(lambda _: value, old)
        return eqx.tree_at(self.where, self.map, jax.tree.map(_like, value, old))

    def inner(self, state: Clocked) -> PyTree:
        """Beside the clock."""
        return state.state

    def init(self, point: PyTree) -> Clocked:
        """That of the map at its start, with the clock at zero."""
        zero = jnp.zeros((), jnp.int32)
        return Clocked(self.at(zero).init(point), zero)

    def settle(self, state: Clocked) -> Clocked:
        """That of the map at the end of the schedule; with the clock as it is where the schedule has no end."""
        clock = state.clock
        if self.period is None:
            clock = jnp.where(self._constant(), _LAST, clock).astype(clock.dtype)
        return Clocked(self.at(clock).settle(state.state), clock)

    def _constant(self) -> Bool[Array, ""]:
        values = jax.vmap(self.schedule)(_wide(jnp.asarray(_LAST - BEFORE_THE_LAST)))
        return jnp.stack([jnp.all(leaf == leaf[:1]) for leaf in jax.tree.leaves(values)]).all()

    def __call__(self, x: Clocked) -> Clocked:
        """An application at the time of the clock, which moves on."""
        later = jnp.minimum(x.clock, _LAST - 1) + 1
        return Clocked(self.at(x.clock)(x.state), later if self.period is None else later % self.period)

    def failure(self, x: Clocked) -> RESULTS:
        """That of the map at the time of the clock."""
        return self.at(x.clock).failure(x.state)

    def switches(self, x: Clocked) -> Float[Array, " k"]:
        """Those of the map at the time of the clock."""
        return self.at(x.clock).switches(x.state)

    def _moves_the_step(self) -> bool:
        try:
            sizes = _tree.select(self.map, lambda step: step.step_size())
        except ValueError:
            return False
        return bool(set(sizes) & set(_tree.select(self.map, self.where)))

    def step_size(self) -> PyTree:
        """That of the map, unless it is what follows the schedule.

        Raises:
            ValueError: The step size follows the schedule, or there is none.
        """
        if self._moves_the_step():
            raise ValueError(
                "Scheduled: the step size follows the schedule, so that there is none to move. Make the schedule an Equinox "
                "module with a number of its own, and use gd.threshold(step, lambda s: s.schedule.number, ...)."
            )
        return self.map.step_size()

    def time(self) -> Array:
        """That of the map; NaN where the step size follows the schedule."""
        return jnp.asarray(jnp.nan) if self._moves_the_step() else self.map.time()


def _wide(clock: Array) -> Array:
    # From a 32-bit integer JAX computes fractions in single precision, whatever the state's.
    return clock.astype(jnp.result_type(int))


def _like(value: Any, old: Any) -> Array:
    old = _tree.array(old)
    return jnp.broadcast_to(jnp.asarray(value, old.dtype), old.shape)
