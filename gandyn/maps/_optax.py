"""Any optax optimiser as a training map, its moments part of the phase space and its numbers leaves."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from .. import _tree
from .._results import RESULTS, worst
from .._system import AbstractFlow, AbstractMap
from ._scheduled import BEFORE_THE_LAST
from ._step import turns

OPTIMISERS = {"sgd": optax.sgd, "adam": optax.adam, "rmsprop": optax.rmsprop}
"""What the command line knows by name."""


class Rule(eqx.Module):
    """An optax optimiser as a factory and its arguments: floats and Equinox modules are leaves, everything else is static.

    Args:
        factory: A function that returns an `optax.GradientTransformation`, such as `optax.adam`.
        numbers: Its keyword arguments; a schedule that is an Equinox module keeps its numbers as leaves.

    Raises:
        ValueError: An argument that the factory does not take.
    """

    factory: Callable = eqx.field(static=True)
    numbers: dict[str, Any]
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __init__(self, factory: Callable, **numbers: Any):
        def is_number(name: str, value: Any) -> bool:
            # Other integers are counts, which say how much memory there is.
            kinds = float | jax.Array | np.ndarray | np.generic | eqx.Module
            return isinstance(value, kinds) or (name == "learning_rate" and isinstance(value, int))

        self.factory = factory
        self.numbers = {name: jax.tree.map(_tree.real, value) for name, value in numbers.items() if is_number(name, value)}
        self.settings = tuple((name, value) for name, value in numbers.items() if not is_number(name, value))
        try:
            self.build()
        except TypeError as error:
            raise ValueError(
                f"Rule: {getattr(factory, '__name__', factory)} does not take these arguments: {error}."
            ) from error

    def build(self) -> optax.GradientTransformation:
        """The optimiser at the current numbers."""
        rule = self.factory(**self.numbers, **dict(self.settings))
        return rule.gradient_transformation() if isinstance(rule, optax.MultiSteps) else rule


class Optimised(NamedTuple):
    """The state of a map made of optimisers: the point, and one optax state per player."""

    point: PyTree
    memory: tuple[Any, ...]


def _like(new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda n, o: jnp.asarray(n, jnp.asarray(o).dtype), new, old)


def _at_rest(field: PyTree, point: PyTree) -> PyTree:
    """The field with exact zeros where an equilibrium leaves a residual, whose square root a second moment would take."""
    small = _tree.eps(point) ** 0.5 * (1 + _tree.norm(point))
    return jax.tree.map(lambda v: jnp.where(jnp.abs(v) <= small.astype(v.dtype), 0.0, v), field)


def _is_counter(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.integer)


def _settled(rule: optax.GradientTransformation, gradient: PyTree, memory: PyTree, part: PyTree) -> PyTree:
    """The memory after some steps at rest, with counters at their maximum where they stay and change nothing any more."""

    def update(old: PyTree) -> PyTree:
        return _like(rule.update(gradient, old, part)[1], old)

    def late(before: Array, which: list[Any]) -> PyTree:
        pairs = zip(leaves, which, strict=True)
        moved = [
            jnp.where(moves, jnp.iinfo(leaf.dtype).max - before.astype(leaf.dtype), leaf) if _is_counter(leaf) else leaf
            for leaf, moves in pairs
        ]
        return jax.tree.unflatten(structure, moved)

    leaves, structure = jax.tree.flatten(memory)
    if any(map(_is_counter, leaves)):
        full = late(jnp.array(0), [True] * len(leaves))
        stays = [jnp.all(a == b) for a, b in zip(jax.tree.leaves(full), jax.tree.leaves(update(full)), strict=True)]
        found = jax.vmap(lambda before: _response(rule, gradient, late(before, stays), part))(jnp.asarray(BEFORE_THE_LAST))
        constant = jnp.all((found == found[:1]) | jnp.isnan(found))
        memory = late(jnp.array(0), [stay & constant for stay in stays])
    return jax.lax.scan(lambda m, _: (update(m), None), memory, length=8)[0]


def _response(rule: optax.GradientTransformation, gradient: PyTree, memory: PyTree, part: PyTree) -> Array:
    """What some steps make of a small generic gradient: a vector that tells schedules at different times apart."""
    moving, still = _tree.split(memory)

    def steps(g: PyTree, m: PyTree) -> Array:
        def step(old: PyTree, _: None) -> tuple[PyTree, PyTree]:
            updates, new = rule.update(g, old, part)
            return _like(new, old), updates

        final, updates = jax.lax.scan(step, _tree.merge(m, still), length=8)
        return jnp.concatenate([_tree.ravel(updates)[0], _tree.ravel(final)[0]])

    ones = jax.tree.map(jnp.ones_like, (gradient, moving))
    value, slope = jax.jvp(steps, (gradient, moving), ones)
    return jnp.concatenate([value, slope])


def _smooth(rule: optax.GradientTransformation, gradient: PyTree, memory: PyTree, part: PyTree) -> Array:
    """Whether the step has a derivative in the gradient here, and does not jump either."""

    def step(g: PyTree) -> Array:
        return _tree.ravel(rule.update(g, memory, part)[0])[0]

    ones = jax.tree.map(jnp.ones_like, gradient)
    value, slope = jax.jvp(step, (gradient,), (ones,))
    tiny = jnp.sqrt(jnp.finfo(value.dtype).tiny)
    jump = step(_tree.axpy(tiny, ones, gradient)) - value
    scale = jnp.abs(value) + jnp.abs(slope) + 1
    return jnp.all(jnp.isfinite(slope)) & jnp.all(jnp.abs(jump - tiny * slope) <= 10 * jnp.finfo(value.dtype).eps * scale)


class Optax(AbstractMap):
    r"""A training step by optax optimisers, one per player, each given minus its part of the field as gradient.

    Counters and flags are clocks, not coordinates: in iteration they are exact, and at a fixed point `settle` puts
    them at their limit.

    Args:
        flow: The field.
        factory: A function such as `optax.adam`, for every player; or a tuple like the state of one `Rule` each.
        order: The players' names in the order in which they move, several times for several moves; simultaneously if left
            out.
        numbers: The factory's arguments, such as `learning_rate=1e-2, b1=0.5`; floats are leaves of `rules`.

    Raises:
        ValueError: An argument that the factory does not take, or a rule that is none.
    """

    flow: AbstractFlow
    rules: Any
    order: tuple[Any, ...] | None = eqx.field(static=True)

    def __init__(self, flow: AbstractFlow, factory: Any, *, order: tuple[Any, ...] | None = None, **numbers: Any):
        self.flow = flow
        self.order = turns(order)
        if isinstance(factory, Rule) or (isinstance(factory, tuple) and all(isinstance(rule, Rule) for rule in factory)):
            if numbers:
                raise ValueError(f"Optax: {sorted(numbers)} belong inside the rules: gd.Rule(optax.adam, learning_rate=1e-3).")
            self.rules = factory
        elif callable(factory):
            self.rules = Rule(factory, **numbers)
        else:
            raise ValueError(
                "Optax takes a factory and its numbers, gd.Optax(flow, optax.adam, learning_rate=1e-3), or one gd.Rule per "
                f"player; got {factory!r}."
            )

    def _rule(self, i: int, count: int) -> optax.GradientTransformation:
        if isinstance(self.rules, Rule):
            return self.rules.build()
        if len(self.rules) != count:
            raise ValueError(f"Optax: {len(self.rules)} rules for {count} players; give one for all, or one each.")
        return self.rules[i].build()

    def init(self, point: PyTree) -> Optimised:
        """The point with fresh optimisers, as training starts."""
        point = _tree.state_arrays(point)
        players = _tree.players(point)
        return Optimised(point, tuple(self._rule(i, len(players)).init(player) for i, player in enumerate(players)))

    def point(self, state: Optimised) -> PyTree:
        """The point."""
        return state.point

    def __call__(self, x: Optimised) -> Optimised:
        """One update of every player; in turn, one for each time that `order` names it."""
        if self.order is None:
            return self.move(x, list(range(len(_tree.players(x.point)))))
        for i in self._turns(x):
            x = self.move(x, [i])
        return x

    def parts(self, state: Optimised) -> tuple[AbstractMap, ...]:
        """One map for each player's update, if they move in turn."""
        return (self,) if self.order is None else tuple(_Turn(self.flow, self.rules, i) for i in self._turns(state))

    def _turns(self, x: Optimised) -> list[int]:
        names = _tree.player_names(x.point)
        if self.order is None or set(self.order) != set(names):
            raise ValueError(f"Optax: order={self.order} must name each of the players {names}.")
        return [names.index(name) for name in self.order]

    def move(self, x: Optimised, moving: list[int]) -> Optimised:
        """The state after an update of some of the players at once."""
        parts, field = _tree.players(x.point), _tree.players(self.flow(x.point))
        memory = list(x.memory)
        for i in moving:
            descent = jax.tree.map(jnp.negative, field[i])
            updates, memory[i] = self._rule(i, len(parts)).update(descent, x.memory[i], parts[i])
            parts[i] = jax.tree.map(lambda p, u: p + u.astype(p.dtype), parts[i], updates)
            memory[i] = _like(memory[i], x.memory[i])
        return Optimised(_tree.with_players(x.point, parts), tuple(memory))

    def _each(self, x: Optimised) -> list[tuple[Any, ...]]:
        """For every player the rule, the gradient at rest, the memory and the parameters."""
        parts = _tree.players(x.point)
        field = _tree.players(_at_rest(self.flow(x.point), x.point))
        gradients = [jax.tree.map(jnp.negative, part) for part in field]
        return [(self._rule(i, len(parts)), gradients[i], x.memory[i], parts[i]) for i in range(len(parts))]

    def settle(self, state: Optimised) -> Optimised:
        """The state that training at rest ends in: flags settled by a few steps at the point, counters at their maximum.

        A clock that does not stay at its maximum, such as the one of `optax.MultiSteps`, is periodic and is left where it is,
        and so is that of a schedule which never becomes constant. A rule whose step has no derivative at rest gets a memory
        of NaN, which `failure` explains.
        """
        settled = Optimised(state.point, tuple(_settled(*each) for each in self._each(state)))
        smooth = self._smooth(settled)
        memory = jax.tree.map(lambda m: jnp.where(smooth, m, jnp.nan) if _tree.is_coordinate(m) else m, settled.memory)
        return Optimised(state.point, memory)

    def _smooth(self, x: Optimised) -> Array:
        return jnp.stack([_smooth(*each) for each in self._each(x)]).all()

    def evaluations(self) -> float:
        """One for each time that every player moves."""
        return 1.0 if self.order is None else len(self.order) / len(set(self.order))

    def step_size(self) -> PyTree:
        """The rules' learning rates.

        Raises:
            ValueError: A rule without a number `learning_rate`.
        """
        rules = (self.rules,) if isinstance(self.rules, Rule) else self.rules
        if any(isinstance(rule.numbers.get("learning_rate", rule), eqx.Module) for rule in rules):
            raise ValueError(
                "Optax: a rule has no number `learning_rate`, or has a schedule in its place; there is no step size."
            )
        rates = tuple(rule.numbers["learning_rate"] for rule in rules)
        return rates[0] if len(rates) == 1 else rates

    def time(self) -> Array:
        """NaN: what a learning rate means is the optimiser's own."""
        return jnp.asarray(jnp.nan)

    def failure(self, x: Optimised) -> RESULTS:
        """A preconditioner that is singular at rest, such as Adam's with `eps_root = 0`."""
        return worst((_tree.finite(self.flow(x.point)), RESULTS.singular_rule), (~_tree.finite(self(x)), super().failure(x)))

    def switches(self, x: Optimised) -> Float[Array, " k"]:
        """Those of the flow; and zero for a rule without numbers in its memory whose step jumps, such as a sign."""
        own = self.flow.switches(x.point)
        if _tree.size(x.memory):
            return own
        return jnp.concatenate([own, self._smooth(x)[None].astype(own.dtype)])


class _Turn(AbstractMap):
    """The update of one player while the others rest."""

    flow: AbstractFlow
    rules: Any
    player: int = eqx.field(static=True)

    def __call__(self, x: Optimised) -> Optimised:
        return Optax(self.flow, self.rules).move(x, [self.player])
