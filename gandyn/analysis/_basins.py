"""Basins of attraction: which of several attractors each of many starts ends on."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, Int, PyTree, Scalar
from scipy.stats import qmc

from .. import _march, _tree
from .._evolve import prepare
from .._march import Solver
from .._results import RESULTS
from .._system import AbstractMap, AbstractSystem
from . import _fate, _follow
from ._attractor import Attractor, attractor

DIVERGED, UNDECIDED = -1, -2
_TAIL = 16
_CLOUD = 512
_BATCH = 256
_STEPS = 100_000
_ENDS = (_fate.EQUILIBRIUM, _fate.CYCLE, _fate.TORUS, _fate.CIRCLE, _fate.CHAOS, _fate.SLIDING)


class Basins(eqx.Module):
    """The attractor on which each start ends, and the shares of the starts.

    `labels` has the shape of the starts: the number of the attractor, -1 for those that run away, -2 for those that are on
    none of the attractors in the end; `box` the corners between which they lie. `attractors` are states on them, stacked,
    and `kinds` what they are. `fractions` are the shares of the attractors in turn, of divergence and of the undecided;
    `intervals` those of Wilson (1927) at the confidence asked for, as if the starts were drawn at random. `tolerance` is
    how near an attractor counts as on it.
    """

    labels: Int[Array, "*s"]
    box: tuple[PyTree, PyTree]
    attractors: PyTree
    kinds: tuple[str, ...] = eqx.field(static=True)
    fractions: Float[Array, " k"]
    intervals: Float[Array, "k 2"]
    tolerance: Scalar
    result: RESULTS

    def __str__(self) -> str:
        names = [
            f"{kind} at {_tree.numbers(jax.tree.map(lambda leaf, i=i: leaf[i], self.attractors))}"
            for i, kind in enumerate(self.kinds)
        ]
        rows = zip([*names, "divergence", "undecided"], np.asarray(self.fractions), np.asarray(self.intervals), strict=True)
        return "\n".join(f"{share:8.4f}  [{low:.4f}, {high:.4f}]  {name}" for name, share, (low, high) in rows)


def _starts(box: tuple[PyTree, PyTree], counts: int | Sequence[int]) -> tuple[PyTree, tuple[int, ...]]:
    """Stacked states in a box, on a grid or quasi-random, and the shape of the grid."""
    low, high = (_tree.state_arrays(corner) for corner in box)
    _tree.check_like(high, low, "The box has an upper corner")
    a, unravel = _tree.ravel(low)
    b = _tree.ravel(high)[0]
    shape = (counts,) if isinstance(counts, int) else tuple(counts)
    if min(shape) < 1 or not (isinstance(counts, int) or len(shape) == a.size):
        raise ValueError(f"basins: give a number of starts, or one count for each of {a.size} coordinates; got {counts}.")
    if not bool(jnp.all(a <= b)):
        raise ValueError(f"basins: the lower corner {a} must not lie above the upper corner {b}.")
    if isinstance(counts, int):
        parts = qmc.Sobol(a.size, rng=0).random_base2(int(np.ceil(np.log2(max(counts, 2)))))[:counts]
    else:
        axes = [np.linspace(0, 1, count) if count > 1 else np.array([0.5]) for count in shape]
        parts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, a.size)
    return jax.vmap(lambda part: unravel(a + (b - a) * part))(jnp.asarray(parts, a.dtype)), shape


@eqx.filter_jit
def _labels(
    system: AbstractSystem,
    starts: PyTree,
    span: Array,
    clouds: Float[Array, "k c n"],
    tolerance: Scalar,
    solver: Solver,
) -> Int[Array, " s"]:
    """The attractor near which every one of the last states of each orbit lies."""

    def label(x: PyTree) -> Array:
        if isinstance(system, AbstractMap):
            seen = _follow.sample_map(system, x, span.astype(int), jnp.asarray(1), _TAIL)
        else:
            ts = span * (0.8 + 0.2 * jnp.arange(1.0, _TAIL + 1) / _TAIL).astype(span.dtype)
            seen = _follow.sample_flow(system, x, ts, solver, _STEPS)
        apart = jnp.linalg.norm(seen.ys[:, None, None] - clouds[None], axis=-1)
        farthest = jnp.max(jnp.min(apart, axis=2), axis=0)
        near = jnp.where(jnp.min(farthest) <= tolerance, jnp.argmin(farthest), UNDECIDED)
        ran = (seen.code == _march.DIVERGED) | ~jnp.all(jnp.isfinite(seen.ys))
        return jnp.where(ran, DIVERGED, jnp.where(seen.code == _march.RUNNING, near, UNDECIDED))

    return jax.lax.map(label, starts, batch_size=_BATCH)


def _point(system: AbstractSystem, given: Any) -> tuple[str, PyTree]:
    """What an attractor is called, and a state on it."""
    if isinstance(given, Attractor):
        return given.kind, given.state
    return "attractor", prepare(system, given)[1]


def _searched(system: AbstractSystem, starts: PyTree, searches: int) -> list[tuple[str, PyTree]]:
    """What the orbits from some of the starts end on."""
    total = jax.tree.leaves(starts)[0].shape[0]
    chosen = np.random.default_rng(0).permutation(total)[:searches]
    found = [attractor(system, jax.tree.map(lambda leaf, i=i: leaf[i], starts), turns=300, throw=False) for i in chosen]
    return [(one.kind, one.state) for one in found if one.kind in _ENDS]


def _cloud(system: AbstractSystem, state: PyTree, span: Array, solver: Solver) -> np.ndarray:
    """Points along the orbit of an attractor."""
    if isinstance(system, AbstractMap):
        one = jnp.asarray(1)
        return np.asarray(_follow.sample_map(system, state, 0 * one, one, _CLOUD).ys)
    ts = span * jnp.arange(1.0, _CLOUD + 1).astype(span.dtype) / _CLOUD
    return np.asarray(_follow.sample_flow(system, state, ts, solver, _STEPS).ys)


def _apart(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The smallest distance between points of two clouds, and the largest of a point of either to the other cloud."""
    distances = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return float(distances.min()), float(max(distances.min(axis=0).max(), distances.min(axis=1).max()))


def _distinct(clouds: list[np.ndarray]) -> list[int]:
    """The first of each group of clouds that lie on one another."""
    kept: list[int] = []
    size = max(float(np.linalg.norm(np.ptp(np.concatenate(clouds), axis=0))), 1e-9)
    for i, cloud in enumerate(clouds):
        if all(_apart(cloud, clouds[j])[1] > 0.05 * size for j in kept):
            kept.append(i)
    return kept


def _nearness(clouds: list[np.ndarray]) -> float:
    """A quarter of the smallest distance between clouds; a twentieth of the size of one alone."""
    if len(clouds) == 1:
        return 0.05 * (1 + float(np.linalg.norm(np.ptp(clouds[0], axis=0))))
    return min(_apart(a, b)[0] for i, a in enumerate(clouds) for b in clouds[:i]) / 4


def basins(
    system: AbstractSystem,
    box: tuple[PyTree, PyTree],
    counts: int | Sequence[int],
    attractors: Sequence[Any] | None = None,
    *,
    span: float | None = None,
    tolerance: float | None = None,
    confidence: float = 0.95,
    searches: int = 16,
) -> Basins:
    """Which attractor each of many starts in a box ends on, in one compiled call.

    An orbit is on an attractor if the last fifth of it (of a map the last sixteen states) keeps near points of that attractor.

    Args:
        system: A flow or a map.
        box: Two states, the lower and the upper corner.
        counts: How many starts of each coordinate make a regular grid, one for a coordinate that stays in the middle; or a
            single number of quasi-random starts.
        attractors: States on the attractors, or results of `attractor`; if left out they are looked for from some of the
            starts.
        span: The time, or the number of applications, to follow each orbit for; 200 for flows, 5000 for maps if left out.
            Orbits that need longer are undecided.
        tolerance: How near an attractor is on it; if left out, a quarter of the smallest distance between two of them, with one
            alone a twentieth of its size and one.
        confidence: That of the intervals.
        searches: From how many starts to look for attractors.

    Returns:
        `Basins` with `.labels`, `.fractions` and `.intervals`.

    Raises:
        ValueError: An empty box, counts that do not fit the state, no attractors, or two of them that cannot be told apart.
    """
    system, low = prepare(system, box[0])
    starts, shape = _starts((low, box[1]), counts)
    dtype = _tree.ravel(low)[0].dtype
    span = (5000.0 if isinstance(system, AbstractMap) else 200.0) if span is None else span
    if not span > 0 or not 0 < confidence < 1:
        raise ValueError(f"basins: the span must be positive and the confidence between 0 and 1; got {span} and {confidence}.")
    solver = _march.settings(low, None, 1e-8 if _tree.eps(low) < 1e-10 else 1e-5, None)
    duration = jnp.asarray(span, dtype)
    known = _searched(system, starts, searches) if attractors is None else [_point(system, one) for one in attractors]
    if not known:
        raise ValueError("basins: no attractor is known, and none was found; give states on them, or more `searches`.")
    clouds = [_cloud(system, state, duration, solver) for _, state in known]
    kept = _distinct(clouds) if attractors is None else list(range(len(known)))
    known, clouds = [known[i] for i in kept], [clouds[i] for i in kept]
    near = _nearness(clouds) if tolerance is None else tolerance
    if not near > 0:
        raise ValueError("basins: two of the attractors coincide; give each once.")
    labels = _labels(system, starts, duration, jnp.asarray(np.stack(clouds), dtype), jnp.asarray(near, dtype), solver)
    numbers = np.asarray(labels)
    totals = [int(np.sum(numbers == i)) for i in (*range(len(known)), DIVERGED, UNDECIDED)]
    rows = [scipy.stats.binomtest(total, numbers.size).proportion_ci(confidence, "wilson") for total in totals]
    return Basins(
        labels.reshape(shape),
        (low, _tree.state_arrays(box[1])),
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *[state for _, state in known]),
        tuple(kind for kind, _ in known),
        jnp.asarray(np.array(totals) / numbers.size, dtype),
        jnp.asarray([(row.low, row.high) for row in rows], dtype),
        jnp.asarray(near, dtype),
        RESULTS.successful,
    )
