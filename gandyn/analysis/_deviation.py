"""Global checks on small games: a player's best response in a box, or a bound on what any other move gains."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._constraint import AbstractConstraint, check_constraint
from .._evolve import prepare
from .._results import RESULTS, check, first, message
from .._system import AbstractGame
from ..games._measure import companion
from ._cells import Cells, Search, polish, refine

_NUMBERS = ("gain", "bound", "error", "tolerance", "resolution", "undefined")


class Deviation(eqx.Module):
    """What a player gains by the best move that was found while all others stay, and what no move gains more than.

    `move` is the state after it, `gain` the loss that it saves, zero if none was found; `bound` an upper bound on the gain of
    every move in the box, `error` the numerical error of a gain (quadrature and rounding) and `tolerance` the gain that counts.
    `resolution` is the width of the smallest cell that was looked at beside that of the box, and `undefined` the share of the
    box where the loss has no finite value, of which the bound does not speak. `player` is the position of who moves.
    """

    move: PyTree
    gain: Scalar
    bound: Scalar
    error: Scalar
    tolerance: Scalar
    resolution: Scalar
    undefined: Scalar
    player: int = eqx.field(static=True)
    result: RESULTS
    stats: dict[str, Any]

    @property
    def verdict(self) -> str:
        """`profitable`, `none` (no gain above the tolerance, by the bound), or `undecided`; `failed` without a loss."""
        if self.result != RESULTS.successful:
            return "failed"
        if self.gain - self.error > self.tolerance:
            return "profitable"
        return "none" if self.bound + self.error <= self.tolerance and self.undefined == 0 else "undecided"

    def __str__(self) -> str:
        if self.result != RESULTS.successful:
            return message(self.result)
        name = _tree.player_names(self.move)[self.player]
        lines = [f"verdict     {self.verdict}: {name} gains {self.gain:.9g}, at most {self.bound:.6g}; error {self.error:.1e}"]
        lines += [f"move        {_tree.numbers(self.move)}"]
        lines += [f"resolution  {self.resolution:.1e} of the box, {int(self.stats['cells'])} cells"]
        return "\n".join(lines)


def _corner(value: PyTree, part: PyTree) -> Float[Array, " d"]:
    vector = _tree.ravel(part)[0]
    given = _tree.ravel(_tree.state_arrays(value))[0].astype(vector.dtype)
    if given.size not in (1, vector.size):
        raise ValueError(f"best_response: a corner of the box needs one number or {vector.size}; got {given.size}.")
    return jnp.broadcast_to(given.reshape(-1), vector.shape)


@eqx.filter_jit
def _losses(game: AbstractGame, x: PyTree) -> tuple[Scalar, ...]:
    return game.losses(x)


def _loss(game: AbstractGame, x: PyTree, player: int) -> float:
    return float(_losses(game, x)[player])


def _errors(game: AbstractGame, states: tuple[PyTree, PyTree], player: int, gain: float) -> float:
    """The numerical error of a gain between two states: of quadrature, and of rounding."""
    size = max(abs(_loss(game, state, player)) for state in states)
    other = companion(game)
    quadrature = 0.0 if other is None else abs(_loss(other, states[0], player) - _loss(other, states[1], player) - gain)
    return quadrature + 100 * _tree.eps(states[0]) * (1 + size)


def best_response(
    game: AbstractGame,
    x: PyTree,
    player: Any,
    box: tuple[PyTree, PyTree],
    *,
    constraint: AbstractConstraint | None = None,
    tolerance: float = 1e-3,
    cells: int = 20_000,
    throw: bool = True,
) -> Deviation:
    r"""The best move of one player in a box while the others stay: a profitable deviation, or a bound on the gain of all.

    The box is covered by cells, and those that may hold the best move are halved until the bound is within half the tolerance
    of the best loss found, which a local search polishes. In a cell with centre c and half-widths h the loss is never below
    :math:`\ell(c) - \sum_i|\partial_i\ell(c)|h_i - \tfrac M2\lVert h\rVert^2`. The bound rests on M, one and a half times
    the largest downward curvature that was met at any centre: it is a proof for quadratic losses, and for others as good as the
    cells are close. Meant for a player of up to six parameters; for more there is `keep_optimising`.

    Args:
        game: The game; its losses have two derivatives.
        x: The state.
        player: The name of who moves, such as `"generator"`.
        box: The lowest and the highest values of that player's part, each a tree like it, or one number for all coordinates.
        constraint: A convex set of states to keep to, besides the box.
        tolerance: The gain that counts, in the unit of the loss.
        cells: How many cells to look at, at most about so many.
        throw: Raise if the player has no finite loss at the state.

    Returns:
        A `Deviation` with `.move`, `.gain`, `.bound` and `.verdict`.

    Raises:
        ValueError: A flow that is no game, a player that is not there, an empty box, or a tolerance that is not positive.
        RuntimeError: The loss at the state is not finite (with `throw`).
    """
    if not isinstance(game, AbstractGame):
        raise ValueError(f"best_response needs a game, whose players have losses; got {type(game).__name__}.")
    if constraint is not None:
        check_constraint(constraint, "best_response")
    if not tolerance > 0 or cells < 1:
        raise ValueError(f"best_response: the tolerance and the cells must be positive; got {tolerance} and {cells}.")
    game, x = prepare(game, x)
    index = _tree.player_index(x, player)
    part = _tree.players(x)[index]
    low, high = (_corner(corner, part) for corner in box)
    if not bool(jnp.all(low < high)):
        raise ValueError(f"best_response: the lower corner {low} of the box must lie below the upper corner {high}.")
    search = Search(game, x, _tree.system_arrays(constraint), low, high, index)
    now = _loss(game, x, index)
    if not np.isfinite(now):
        nothing, result = jnp.asarray(jnp.nan), first(game.failure(x), RESULTS.nonfinite)
        check(result, throw, "best_response: ")
        return Deviation(x, **dict.fromkeys(_NUMBERS, nothing), player=index, result=result, stats={"cells": jnp.asarray(0)})
    return _search(search, now, tolerance, cells)


def _search(search: Search, now: float, tolerance: float, limit: int) -> Deviation:
    known = Cells(search)
    refine(known, now, tolerance / 2, limit)
    start = int(np.argmin(known.reached))
    u, loss = jnp.asarray(known.points[start]), float(known.reached[start])
    polished, lower = polish(search, u) if np.isfinite(loss) else (u, np.inf)
    u, loss = (polished, float(lower)) if float(lower) <= loss else (u, loss)
    kept = _tree.ravel(_tree.players(search.x)[search.player])[0]
    u, loss = (u, loss) if loss < now else (kept, now)
    move, gain = search.state(u) if loss < now else search.x, now - loss
    values = (
        gain,
        max(now - float(np.min(known.bounds())), gain),
        _errors(search.game, (search.x, move), search.player, gain),
        tolerance,
        float(np.min(known.halves * 2 / np.asarray(search.high - search.low))),
        known.undefined(),
    )
    numbers = {name: jnp.asarray(value, u.dtype) for name, value in zip(_NUMBERS, values, strict=True)}
    stats = {"cells": jnp.asarray(known.evaluated), "curvature": jnp.asarray(known.curvature, u.dtype)}
    return Deviation(move, **numbers, player=search.player, result=RESULTS.successful, stats=stats)
