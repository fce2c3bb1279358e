"""Fix one player and keep optimising the other: whether what training ended on was an equilibrium."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._constraint import AbstractConstraint, check_constraint
from .._evolve import iterate, prepare
from .._integrate import integrate
from .._results import RESULTS, check, first, message
from .._system import AbstractFlow, AbstractGame, AbstractMap
from ..fields._adjust import TimeScaled
from ..fields._constrained import Constrained
from ..maps._wrap import Projected


class Pursuit(eqx.Module):
    """The losses of all players while one goes on and the others stay.

    `ts` are times of the flow or numbers of steps, `losses` has one row for each and one column per player, `final` is the last
    state, and `player` the position of who goes on. At a Nash equilibrium that player's loss never falls below its first value.
    """

    ts: Float[Array, " t"]
    losses: Float[Array, "t n"]
    final: PyTree
    player: int = eqx.field(static=True)
    discrete: bool = eqx.field(static=True)
    result: RESULTS

    @property
    def loss(self) -> Float[Array, " t"]:
        """The loss of the player who goes on."""
        return self.losses[..., self.player]

    @property
    def gain(self) -> Scalar:
        """What that player has gained at best; a lower bound on what it can gain."""
        return self.loss[..., 0] - jnp.min(self.loss, axis=-1)

    def __str__(self) -> str:
        if self.result != RESULTS.successful:
            return message(self.result)
        name, unit = _tree.player_names(self.final)[self.player], "steps" if self.discrete else "time"
        return (
            f"{name} alone over {unit} {self.ts[-1]:g}: its loss goes from {self.loss[0]:.6g} to {self.loss[-1]:.6g}, "
            f"a gain of {self.gain:.6g}"
        )


@eqx.filter_jit
def _here(game: AbstractGame, x: PyTree) -> Float[Array, " n"]:
    return jnp.stack(game.losses(x))


@eqx.filter_jit
def _along(game: AbstractGame, xs: PyTree) -> Float[Array, "t n"]:
    return jax.lax.map(lambda x: jnp.stack(game.losses(x)), xs)


def _steps(game: AbstractGame, step: AbstractMap, x: PyTree, times: int, every: int) -> tuple[Array, PyTree, RESULTS]:
    """The losses after every so many steps, and the last point; the states between, which may be large, are not kept."""
    state, result = step.init(x), RESULTS.successful
    losses = [_here(game, step.point(state))]
    for _ in range(times):
        orbit = iterate(step, state, every, every=every, throw=False)
        state, result = orbit.final, first(result, orbit.result)
        losses.append(_here(game, step.point(state)))
        if _tree.concrete(result) and result != RESULTS.successful:
            losses += [jnp.full_like(losses[0], jnp.nan)] * (times + 1 - len(losses))
            break
    return jnp.stack(losses), step.point(state), result


def keep_optimising(
    game: AbstractGame,
    x: PyTree,
    duration: float | int,
    *,
    player: Any = "generator",
    method: Callable[[AbstractFlow], AbstractMap] | None = None,
    constraint: AbstractConstraint | None = None,
    points: int = 100,
    throw: bool = True,
) -> Pursuit:
    """Fix every player but one at a state, and let that one go on minimising its loss (Farnia and Ozdaglar, 2020).

    The game's own flow with all other players at rest; where it falls, the state was no Nash equilibrium. A player at rest on
    the top of a hill stays there: start a little beside it. Any game will do, networks too.

    Args:
        game: The game.
        x: The state, such as that at the end of training.
        duration: For how long: the time of the flow, or the number of steps of the method.
        player: The name of who goes on.
        method: What makes a training map of a flow, defined once: `functools.partial(gd.SimGD, h=0.1)`, or
            `functools.partial(gd.Optax, factory=optax.adam, learning_rate=1e-3)`; the flow itself if left out.
        constraint: A convex set to keep to; as in `Projected` its lens starts at the state of the method's map.
        points: How many values of the losses to keep, about.
        throw: Raise if the losses become non-finite.

    Returns:
        A `Pursuit` with `.losses`, `.gain` and `.final`.

    Raises:
        ValueError: A flow that is no game, a player that is not there, or a duration that is not positive.
        RuntimeError: The orbit left the finite numbers (with `throw`).
    """
    if not isinstance(game, AbstractGame):
        raise ValueError(f"keep_optimising needs a game, whose players have losses; got {type(game).__name__}.")
    if constraint is not None:
        check_constraint(constraint, "keep_optimising")
    if not duration > 0 or points < 2 or (method is not None and duration != int(duration)):
        raise ValueError(f"keep_optimising: the duration is a positive time, or number of steps of a method; got {duration}.")
    game, x = prepare(game, x)
    index, names = _tree.player_index(x, player), _tree.player_names(x)
    flow: AbstractFlow = TimeScaled(game, tuple(1.0 if i == index else 0.0 for i in range(len(names))))
    if method is None:
        flow = flow if constraint is None else Constrained(flow, constraint)
        trajectory = integrate(flow, x, np.linspace(0.0, duration, points), throw=False)
        ts, final, losses = trajectory.ts, trajectory.final, _along(game, trajectory.xs)
        ended = trajectory.result
    else:
        step = method(flow) if constraint is None else Projected(method(flow), constraint)
        every = max(1, int(duration) // points)
        times = int(duration) // every
        losses, final, ended = _steps(game, step, x, times, every)
        ts = every * jnp.arange(times + 1, dtype=losses.dtype)
    result = first(ended, RESULTS.where(jnp.all(jnp.isfinite(losses)), RESULTS.successful, RESULTS.nonfinite))
    check(result, throw, "keep_optimising: ")
    return Pursuit(ts, losses, final, index, method is not None, result)
