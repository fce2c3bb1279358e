"""Noise: maps some of whose leaves are drawn anew at every application."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Key, PyTree

from .. import _tree
from .._system import AbstractMap, AbstractSystem
from ._wrap import AbstractWrapper


class Drawn(NamedTuple):
    """The state of a random map: the state of the map, and the key of the next draw."""

    state: PyTree
    key: Key[Array, ""]


class Random(AbstractWrapper):
    """A map that is drawn anew at every application: mini-batches, or any other noise in its leaves.

    Its key is a clock of the state, so that an orbit repeats bit by bit from the same key. A method that alternates
    draws once for each player's moves.

    Args:
        map: The map.
        redraw: A function or module `(key, map) -> map`, such as `Minibatch(...)`.
        key: The key that `init` starts from, `jax.random.key(0)`.
    """

    map: AbstractMap
    redraw: Callable = eqx.field(converter=_tree.function)
    key: Key[Array, ""]

    def init(self, point: PyTree) -> Drawn:
        """That of the map, with the key."""
        return Drawn(self.map.init(point), self.key)

    def inner(self, state: Drawn) -> PyTree:
        """Beside the key."""
        return state.state

    def settle(self, state: Drawn) -> Drawn:
        """That of the map."""
        return Drawn(self.map.settle(state.state), state.key)

    def __call__(self, x: Drawn) -> Drawn:
        """A draw and an application, for each part of the map."""
        state, key = x
        for part in self.map.parts(state):
            key, now = jax.random.split(key)
            state = self.redraw(now, part)(state)
        return Drawn(state, key)


class Minibatch(eqx.Module):
    """A redraw: the points of measures are replaced by samples of them.

    Args:
        where: A lens from the map (or flow) to a `Discrete` measure, or to a tuple of them, such as `lambda s: s.flow.real`.
        size: How many points to draw, with replacement.

    Raises:
        ValueError: A size that is not positive.
    """

    where: Callable = eqx.field(converter=_tree.function)
    size: int = eqx.field(static=True)

    def __check_init__(self):
        if self.size < 1:
            raise ValueError(f"Minibatch: at least one point is drawn; got {self.size}.")

    def __call__(self, key: Key[Array, ""], step: AbstractSystem) -> AbstractSystem:
        """The map, or flow, with samples in place of the measures."""
        measures = self.where(step)
        several = isinstance(measures, tuple)
        parts = measures if several else (measures,)
        keys = jax.random.split(key, len(parts))
        drawn = tuple(part.sample(k, self.size) for k, part in zip(keys, parts, strict=True))
        return eqx.tree_at(self.where, step, drawn if several else drawn[0])
