"""Momentum of either sign, simultaneous and alternating."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractFlow, AbstractMap
from ._step import advance_player, check_step, steps, turns


class Moving(NamedTuple):
    """The state of a method with momentum: the point, and the velocity it has gathered."""

    point: PyTree
    velocity: PyTree


class Momentum(AbstractMap):
    r"""Gradient descent with momentum, :math:`m \leftarrow \beta m + v(x)`, :math:`x \leftarrow x + h m`.

    Heavy ball (Polyak, 1964), or Nesterov's, which takes the field at :math:`x + h\beta m`. A negative :math:`\beta`
    damps rotation when the players alternate (Gidel et al., 2019).

    Args:
        flow: The field.
        h: The step size, positive: a scalar, or one per player.
        beta: The momentum, a leaf.
        nesterov: Whether to take the field ahead.
        order: The players' names in the order in which they move; simultaneously if left out.
    """

    flow: AbstractFlow
    h: PyTree[Float[Array, ""]] = eqx.field(converter=steps)
    beta: Scalar = eqx.field(converter=_tree.real)
    nesterov: bool = eqx.field(static=True, default=False)
    order: tuple[Any, ...] | None = eqx.field(static=True, default=None, converter=turns)

    def __check_init__(self):
        check_step(self.h, "Momentum")

    def init(self, point: PyTree) -> Moving:
        """The point at rest."""
        point = _tree.state_arrays(point)
        return Moving(point, jax.tree.map(jnp.zeros_like, point))

    def point(self, state: Moving) -> PyTree:
        """The point."""
        return state.point

    def _field(self, x: Moving) -> PyTree:
        if not self.nesterov:
            return self.flow(x.point)
        ahead = jax.tree.map(lambda m: self.beta.astype(m.dtype) * m, x.velocity)
        count = range(len(_tree.players(x.point)))
        return self.flow(_tree.with_players(x.point, [advance_player(self.h, x.point, ahead, i) for i in count]))

    def _move(self, x: Moving, players: list[int]) -> Moving:
        gathered = _tree.axpy(self.beta, x.velocity, self._field(x))
        points, velocities = _tree.players(x.point), _tree.players(x.velocity)
        for i in players:
            velocities[i] = _tree.players(gathered)[i]
            points[i] = advance_player(self.h, x.point, gathered, i)
        return Moving(_tree.with_players(x.point, points), _tree.with_players(x.velocity, velocities))

    def __call__(self, x: Moving) -> Moving:
        """One step of every player."""
        names = _tree.player_names(x.point)
        if self.order is None:
            return self._move(x, list(range(len(names))))
        if set(self.order) != set(names):
            raise ValueError(f"Momentum: order={self.order} must name each of the players {names}.")
        for name in self.order:
            x = self._move(x, [names.index(name)])
        return x
