"""Where an orbit comes back closest to itself: the guess that shooting for a closed orbit starts from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from .. import _march
from .._crossing import GUARD, search
from .._field import Flat
from .._march import Solver
from .._section import Section, on_vectors

# An irregular orbit comes back to itself the more closely the more returns there are to choose from.
RETURNS = 24
# What bounds the search is work, not time: cycles may be slow.
STEPS = 20_000


class Guess(NamedTuple):
    """Where to start shooting: a state and a period, how nearly the orbit closes there, if at all, and how the search ended.

    The gap is relative to the way that the orbit goes in between.
    """

    y: Float[Array, " n"]
    period: Scalar
    gap: Scalar
    found: Bool[Array, ""]
    code: Array


def same_to(solver: Solver) -> float:
    """To what part of an orbit's length two of its states are the same: 1e-9 in double, 2e-4 in single precision.

    It lies between the errors of a turn, some ten to a hundred times `rtol`, and what distinct states differ by.
    """
    return solver.rtol**0.75


def _closest(states: Array, times: Array, speeds: Array, period: Scalar, same: float) -> tuple[Array, Array, Scalar]:
    """Which two returns differ least, and by how much; the fewest turns apart and the earliest where several are alike."""
    count = times.size
    span = times[None, :] - times[:, None]
    way = speeds[:, None] * jnp.abs(span)
    gaps = jnp.linalg.norm(states[None] - states[:, None], axis=-1) / jnp.where(way > 0, way, jnp.nan)
    turns = jnp.arange(count)[None, :] - jnp.arange(count)[:, None]
    # Rough guesses are allowed, yet the next multiple of a period but a few must not be taken for it.
    near = jnp.isnan(period) | (jnp.abs(span - period) < 0.3 * period)
    gaps = jnp.where(jnp.isfinite(gaps) & (turns > 0) & near, gaps, jnp.inf)
    # Gaps of one order of magnitude are alike, and so are those that are rounding.
    alike = jnp.isfinite(gaps) & (gaps <= 10 * jnp.min(gaps) + same)
    alike &= turns == jnp.min(jnp.where(alike, turns, count))
    index = jnp.argmax(alike.reshape(-1))
    i, j = index // count, index % count
    # Where a part of that time, once more or less exactly, brings the orbit as near, it is the multiple of a shorter period.
    apart, later = jnp.linalg.norm(states - states[i][None], axis=-1), times > times[i]
    parts = span[i, j] / jnp.where(later, span[i], jnp.nan)
    shorter = (jnp.abs(parts - jnp.round(parts)) <= 0.01) & (apart <= 2 * apart[j] + same * way[i, j])
    return i, jnp.where(jnp.any(shorter), jnp.argmax(shorter), j), gaps[i, j]


def closest_return(field: Flat, solver: Solver, y: Float[Array, " n"], section: Section | None, period: Scalar) -> Guess:
    """The closest return of the orbit to itself; where the section is left behind, of a later part of it.

    With a `period` that is not NaN, the closest after about that time, and the state itself where there is none.
    """
    limit, given, same = jnp.full((), jnp.inf, y.dtype), ~jnp.isnan(period), same_to(solver)

    def attempt(carry: tuple[Guess, Array, Array]) -> tuple[Guess, Array, Array]:
        _, start, tries = carry
        surface = across(field, start) if section is None else section
        (times, states, _, _), end = search(field, surface, start, RETURNS, limit, GUARD, solver, STEPS)
        value, slope = jax.value_and_grad(on_vectors(surface, field))(start)
        on = jnp.abs(value) <= same * jnp.linalg.norm(slope) * (1 + jnp.linalg.norm(start))
        times = jnp.concatenate([jnp.where(on, 0.0, jnp.nan)[None], times])
        states = jnp.concatenate([start[None], states])
        speeds = jnp.linalg.norm(jax.vmap(field)(states), axis=1)
        i, j, gap = _closest(states, times, speeds, period, same)
        return Guess(states[i], times[j] - times[i], gap, jnp.isfinite(gap), end.code), end.y, tries + 1

    def again(carry: tuple[Guess, Array, Array]) -> Array:
        guess, start, tries = carry
        return ~guess.found & (tries < jnp.where(given, 1, 2)) & jnp.all(jnp.isfinite(start))

    zero, no = jnp.zeros((), y.dtype), jnp.zeros((), bool)
    nothing = Guess(y, zero, zero + jnp.inf, no, jnp.full((), _march.BROKEN))
    found = jax.lax.while_loop(again, attempt, (nothing, y, jnp.zeros((), int)))[0]
    itself = ~found.found & given
    return found._replace(
        y=jnp.where(itself, y, found.y),
        period=jnp.where(itself, period, found.period),
        found=found.found | itself & (found.code != _march.AT_REST),
    )


def across(field: Flat, y: Array) -> Section:
    """The plane through a state at right angles to the flow."""
    return Section.through(field.unravel(y), field.unravel(field(y)))
