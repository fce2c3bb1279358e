"""Following an orbit for as long as it takes: the compiled parts of `attractor` and `basins`, and the statistics of returns."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, Scalar

from .. import _march, _tree
from .._field import Flat
from .._march import Solver
from .._system import AbstractMap, AbstractSystem
from ._circle import birkhoff

# In a stretch: sixteen a turn at first, of which the spread and the share on switches are measured.
SAMPLES = 512


class Seen(NamedTuple):
    """A stretch of an orbit: states in rows, turns made up to each, when and why it ended, and the state there."""

    ys: Float[Array, "s n"]
    turns: Float[Array, " s"]
    time: Scalar
    code: Int[Array, ""]
    end: PyTree


def _turn(before: Array, after: Array) -> Array:
    """The angle between two directions, in turns."""
    return jnp.arctan2(jnp.linalg.norm(after - before), jnp.linalg.norm(after + before)) / jnp.pi


def _direction(velocity: Array) -> Array:
    size = jnp.linalg.norm(velocity)
    return velocity / jnp.where(size > 0, size, 1.0)


@eqx.filter_jit
def sample_flow(flow: AbstractSystem, x: PyTree, ts: Float[Array, " s"], solver: Solver, max_steps: int) -> Seen:
    """The states at some times, stopping at every switch of the field; where the orbit ends the last is repeated.

    The turns are those of the velocity's direction, of which a closed orbit makes one at least (Fenchel, 1929).
    """
    y, unravel = _tree.ravel(x)
    field = Flat(flow, unravel)  # pyright: ignore[reportArgumentType]

    def upto(carry: tuple, t: Array) -> tuple[tuple, tuple[Array, Array]]:
        def going(c: tuple) -> Array:
            return (c[0].t < t) & (c[0].code == _march.RUNNING) & (c[0].steps < max_steps)

        def step(c: tuple) -> tuple:
            march = solver.attempt(field, c[0], t)[0]
            following = _direction(field(march.y))
            return march, following, c[2] + _turn(c[1], following)

        carry = jax.lax.while_loop(going, step, carry)
        return carry, (carry[0].y, carry[2])

    start = (solver.start(field, y), _direction(field(y)), jnp.zeros((), y.dtype))
    (end, _, _), (ys, turns) = jax.lax.scan(upto, start, ts)
    code = jnp.where((end.code == _march.RUNNING) & (end.steps >= max_steps), _march.STEPS, end.code)
    return Seen(ys, turns, end.t, code, unravel(end.y))


@eqx.filter_jit
def sample_map(system: AbstractMap, x: PyTree, burn: Int[Array, ""], every: Int[Array, ""], count: int) -> Seen:
    """The states after `burn` applications and after every so many of the next; an orbit that runs away is stopped there."""

    def advance(_: Any, y: PyTree) -> PyTree:
        following, size = system(y), _tree.norm(y)
        return jax.tree.map(lambda a, b: jnp.where(size < _march.FAR, a, b), following, y)

    def step(carry: tuple, _: None) -> tuple[tuple, tuple[Array, Array]]:
        y, direction, turns = carry
        ahead = advance(0, y)
        move = _direction(_tree.ravel(_tree.subtract(ahead, y))[0])
        turns = turns + _turn(direction, move)
        return (jax.lax.fori_loop(1, every, advance, ahead), move, turns), (_tree.ravel(y)[0], turns)

    x = jax.lax.fori_loop(0, burn, advance, x)
    start = (x, jnp.zeros_like(_tree.ravel(x)[0]), jnp.zeros((), _tree.ravel(x)[0].dtype))
    (end, _, _), (ys, turns) = jax.lax.scan(step, start, length=count)
    code = jnp.where(_tree.norm(end) < _march.FAR, _march.RUNNING, _march.DIVERGED)
    return Seen(ys, turns, jnp.asarray(burn + count * every, ys.dtype), code, end)


@eqx.filter_jit
def rows(xs: PyTree) -> Float[Array, "s n"]:
    """The coordinates of stacked states, in rows."""
    return jax.vmap(lambda x: _tree.ravel(x)[0])(xs)


@eqx.filter_jit
def on_switch(system: AbstractSystem, x: PyTree, ys: Float[Array, "s n"]) -> Scalar:
    """The share of states that lie on a surface where the field is not smooth."""
    unravel = _tree.ravel(x)[1]

    def lies(y: Array) -> Array:
        values = system.switches(unravel(y))
        # Orbits on a switch keep to it by rounding alone; one that crosses it is as near for no sample.
        return jnp.any(jnp.abs(values) <= 1e-9 * (1 + jnp.linalg.norm(y))) if values.size else jnp.zeros((), bool)

    return jnp.mean(jax.vmap(lies)(ys).astype(ys.dtype))


def closing(points: np.ndarray, most: int, tolerance: float) -> int:
    """After how many rows the points repeat themselves at the end, to within a tolerance; zero if they do not."""
    for k in range(1, min(most, len(points) // 2) + 1):
        count = max(k, 6)
        if len(points) < count + k:
            break
        gaps = np.linalg.norm(points[-count:] - points[-count - k : -k], axis=1)
        if gaps.max() <= tolerance:
            return k
    return 0


def contraction(points: np.ndarray, most: int) -> tuple[int, float]:
    """The number of rows after which points come closer to themselves by a constant factor, and that factor for one round."""
    for k in range(1, most + 1):
        gaps = np.linalg.norm(points[k:] - points[:-k], axis=1)[-24:]
        if len(gaps) < 12 or gaps.min() <= 0:
            continue
        j = np.arange(len(gaps))
        slope, start = np.polyfit(j, np.log(gaps), 1)
        # Five parts in a hundred over all of them, on a line to two parts in a hundred of that.
        if slope * len(gaps) < -0.05 and np.std(np.log(gaps) - start - slope * j) < 0.02 * abs(slope) * len(gaps):
            return k, float(np.exp(slope * k))
    return 0, np.nan


def unsteadiness(points: np.ndarray) -> float:
    """By how much weighted averages over the two halves differ, relative to the spread: tiny where motion is quasi-periodic."""
    half = len(points) // 2
    values = jnp.concatenate([points, points**2], axis=1)
    spread = np.std(values, axis=0).max()
    return float(np.abs(birkhoff(values[:half])[0] - birkhoff(values[half:])[0]).max() / max(spread, np.finfo(float).tiny))
