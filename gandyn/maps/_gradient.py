"""Gradient steps: simultaneous and alternating."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from .. import _tree
from .._system import AbstractFlow, AbstractMap, AbstractSystem
from ._step import advance, advance_player, check_step, steps, turns, whole


class SimGD(AbstractMap):
    r"""Simultaneous gradient descent, the explicit Euler step :math:`x_i \leftarrow x_i + h_i v_i(x)`.

    Args:
        flow: The field.
        h: The step size, positive: a scalar, or one per player in a tuple like the state.

    Raises:
        ValueError: A step size that is not positive and finite.
    """

    flow: AbstractFlow
    h: PyTree[Float[Array, ""]] = eqx.field(converter=steps)

    def __check_init__(self):
        check_step(self.h, "SimGD")

    def __call__(self, x: PyTree) -> PyTree:
        """One step."""
        return advance(self.h, x, self.flow(x))

    def spectrum_of(self) -> tuple[AbstractSystem, Callable[[Array], Array]]:
        r"""For one step size the flow, by :math:`\mu = 1 + h\lambda`."""
        if isinstance(self.h, jax.Array):
            return self.flow, lambda eigenvalues: 1 + self.h * eigenvalues
        return super().spectrum_of()


class _PlayerStep(AbstractMap):
    """A gradient step of one player while the others rest."""

    flow: AbstractFlow
    h: PyTree[Float[Array, ""]]
    player: int = eqx.field(static=True)

    def __call__(self, x: PyTree) -> PyTree:
        moved = _tree.players(x)
        moved[self.player] = advance_player(self.h, x, self.flow(x), self.player)
        return _tree.with_players(x, moved)


def _counts(values: Any) -> tuple[Any, ...] | None:
    return None if values is None else tuple(map(whole, values))


class AltGD(AbstractMap):
    r"""Alternating gradient descent: one player after another, each seeing the steps made before its own.

    Args:
        flow: The field.
        h: The step size, positive: a scalar, or one per player in a tuple like the state.
        order: The players' names in the order in which they move; the state's own order if left out.
        steps: How many steps each of them makes, in the same order; one each if left out.

    Raises:
        ValueError: A step size or a number of steps that is not positive, or a name that the state does not have.
    """

    flow: AbstractFlow
    h: PyTree[Float[Array, ""]] = eqx.field(converter=steps)
    order: tuple[Any, ...] | None = eqx.field(static=True, default=None, converter=turns)
    steps: tuple[int, ...] | None = eqx.field(static=True, default=None, converter=_counts)

    def __check_init__(self):
        check_step(self.h, "AltGD")
        if self.steps is not None:
            if any(not isinstance(n, int) or n < 1 for n in self.steps):
                raise ValueError(f"AltGD: every player needs at least one step; got steps={self.steps}.")
            if self.order is not None and len(self.steps) != len(self.order):
                raise ValueError(f"AltGD: order={self.order} and steps={self.steps} must be of one length.")

    def __call__(self, x: PyTree) -> PyTree:
        """One round: every player's steps."""
        for i, count in self._schedule(x):
            x = self._move(x, i, count)
        return x

    def parts(self, state: PyTree) -> tuple[AbstractMap, ...]:
        """One map for each step of each player."""
        return tuple(_PlayerStep(self.flow, self.h, i) for i, count in self._schedule(state) for _ in range(count))

    def _schedule(self, x: PyTree) -> list[tuple[int, int]]:
        """Who moves, and how often, in turn."""
        names = _tree.player_names(x)
        order = names if self.order is None else self.order
        if set(order) != set(names):
            raise ValueError(f"AltGD: order={order} must name each of the players {names}.")
        if self.steps is not None and len(self.steps) != len(order):
            raise ValueError(f"AltGD: steps={self.steps} for the players {order}; give one number each.")
        counts = self.steps or (1,) * len(order)
        return [(_tree.player_index(x, name), count) for name, count in zip(order, counts, strict=True)]

    def _move(self, x: PyTree, i: int, count: int) -> PyTree:
        step = _PlayerStep(self.flow, self.h, i)
        return step(x) if count == 1 else jax.lax.scan(lambda y, _: (step(y), None), x, length=count)[0]

    def evaluations(self) -> float:
        """One for each step of all the players."""
        return 1.0 if self.steps is None else sum(self.steps) / len(self.steps)
