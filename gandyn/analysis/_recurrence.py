"""Where an orbit comes back closest to itself: the guess that shooting for a closed orbit starts from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .. import _march
from .._crossing import search
from .._field import Flat
from .._march import Solver
from .._section import Section, on_vectors

RETURNS = 24
MAX_TIME = 1e3


class Guess(NamedTuple):
    """Where to start shooting: a state and a period, whether there are such, and how the search for them ended."""

    y: Float[Array, " n"]
    period: Scalar
    found: Array
    code: Array


def _closest(states: Array, times: Array, speeds: Array, period: Scalar | None) -> tuple[Array, Array, Array]:
    """Which two returns differ least, relative to the way between them; the fewest and earliest where several are alike."""
    count = times.size
    span = times[None, :] - times[:, None]
    way = speeds[:, None] * jnp.abs(span)
    distance = jnp.linalg.norm(states[None] - states[:, None], axis=-1) / jnp.where(way > 0, way, jnp.nan)
    turns = jnp.arange(count)[None, :] - jnp.arange(count)[:, None]
    fits = jnp.isfinite(distance) & (turns > 0)
    if period is not None:
        fits &= jnp.abs(span - period) < 0.3 * period
    distance = jnp.where(fits, distance, jnp.inf)
    alike = distance <= 10 * jnp.min(distance) + 1e-9
    alike &= turns == jnp.min(jnp.where(alike & fits, turns, count))
    index = jnp.argmax(alike.reshape(-1))
    return index // count, index % count, jnp.any(fits)


def closest_return(field: Flat, solver: Solver, y: Array, section: Section | None, period: Scalar | None) -> Guess:
    """The closest return of the orbit to itself; where the section is left behind, of a later part of it."""
    limit = jnp.full((), MAX_TIME, y.dtype)

    def attempt(carry: tuple[Guess, Array, Array]) -> tuple[Guess, Array, Array]:
        _, start, tries = carry
        surface = across(field, start) if section is None else section
        (times, states, _, _), end = search(field, surface, start, RETURNS, limit, 1e-9, solver, 20_000)
        value, slope = jax.value_and_grad(on_vectors(surface, field))(start)
        on = jnp.abs(value) <= 1e-9 * jnp.linalg.norm(slope) * (1 + jnp.linalg.norm(start))
        times = jnp.concatenate([jnp.where(on, 0.0, jnp.nan)[None], times])
        states = jnp.concatenate([start[None], states])
        speeds = jnp.linalg.norm(jax.vmap(field)(states), axis=1)
        i, j, found = _closest(states, times, speeds, period)
        return Guess(states[i], times[j] - times[i], found, end.code), end.y, tries + 1

    def again(carry: tuple[Guess, Array, Array]) -> Array:
        guess, start, tries = carry
        return ~guess.found & (tries < (2 if period is None else 1)) & jnp.all(jnp.isfinite(start))

    nothing = Guess(y, jnp.zeros((), y.dtype), jnp.zeros((), bool), jnp.full((), _march.BROKEN))
    guess = jax.lax.while_loop(again, attempt, (nothing, y, jnp.zeros((), int)))[0]
    if period is None:
        return guess
    resting = guess.code == _march.AT_REST
    return Guess(
        jnp.where(guess.found, guess.y, y), jnp.where(guess.found, guess.period, period), guess.found | ~resting, guess.code
    )


def across(field: Flat, y: Array) -> Section:
    """The plane through a state at right angles to the flow."""
    return Section.through(field.unravel(y), field.unravel(field(y)))
