"""All equilibria in a box, each with its type."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree, Scalar
from scipy.stats import qmc

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS
from .._system import AbstractSystem
from ._equilibrium import from_starts, newton
from ._stability import stability
from ._verdict import Stability


class Equilibria(eqx.Module):
    """The distinct equilibria found in a box, stacked along a leading axis.

    `stability` holds the spectrum and the verdict at each; `kinds` their types in words; `isolated` is False for a point
    with a singular Jacobian, which may lie on a manifold of equilibria; `reached` is the share of starts that led into the
    box.
    """

    states: PyTree
    residuals: Float[Array, " k"]
    isolated: Bool[Array, " k"]
    reached: Scalar
    stability: Stability

    def __len__(self) -> int:
        return self.residuals.shape[0]

    def __getitem__(self, i: int) -> PyTree:
        """The state of the i-th equilibrium."""
        return jax.tree.map(lambda leaf: leaf[i], self.states)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The type of each, a node, focus, saddle, centre or degenerate one, with its stability."""
        return tuple(jax.tree.map(lambda leaf, i=i: leaf[i], self.stability).kind for i in range(len(self)))

    def __str__(self) -> str:
        rows = [f"{kind:18s} {_tree.numbers(self[i])}" for i, kind in enumerate(self.kinds)]
        return "\n".join(rows) or "no equilibria found"


def _distinct(points: np.ndarray, residuals: np.ndarray, radius: float) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(residuals):
        if all(np.linalg.norm(points[i] - points[j]) > radius * (1 + np.linalg.norm(points[j])) for j in kept):
            kept.append(int(i))
    return kept


@eqx.filter_jit
def _stabilities(system: AbstractSystem, states: PyTree) -> Stability:
    return jax.vmap(lambda state: stability(system, state))(states)


def equilibria(
    system: AbstractSystem, box: tuple[PyTree, PyTree], *, starts: int = 128, solver: Any = None, max_steps: int = 256
) -> Equilibria:
    """All equilibria that a quasi-random search finds in a box, each once, and classified.

    The search proves nothing absent; `starts` says how hard it looks. Points of a manifold of equilibria all count and
    are marked as not isolated.

    Args:
        system: A flow or a map.
        box: Two states, the lower and the upper corner.
        starts: How many Sobol points to start from; a power of two.
        solver: An optimistix root finder; Newton's method if left out.
        max_steps: As in `equilibrium`.

    Returns:
        `Equilibria`, ordered by their coordinates; possibly none.

    Raises:
        ValueError: Corners of different structure, or a lower one not below the upper one.
    """
    system, low = prepare(system, box[0])
    high = _tree.state_arrays(box[1])
    _tree.check_like(high, low, "The box has an upper corner")
    a, unravel = _tree.ravel(low)
    b = _tree.ravel(high)[0]
    if not bool(jnp.all(a < b)):
        raise ValueError(f"The box is empty: the lower corner {a} must lie below the upper corner {b}.")
    sample = qmc.Sobol(a.size, rng=0).random(starts)
    points = jax.vmap(lambda s: unravel(a + (b - a) * s))(jnp.asarray(sample, a.dtype))
    found, singular = from_starts(system, points, solver or newton(low), max_steps)
    vectors = np.asarray(jax.vmap(lambda s: _tree.ravel(s)[0])(found.state))
    eps = _tree.eps(low)
    lowest, highest = np.asarray(a - eps**0.5 * (b - a)), np.asarray(b + eps**0.5 * (b - a))
    inside = np.all((vectors >= lowest) & (vectors <= highest), axis=1)
    good = np.asarray(found.result == RESULTS.successful) & inside
    index = np.flatnonzero(good)
    kept = index[_distinct(vectors[index], np.asarray(found.residual)[index], eps**0.25)]
    kept = kept[np.lexsort(np.round(vectors[kept], 6).T[::-1])] if kept.size else kept
    values = np.asarray(singular)[kept]
    isolated = values[:, -1] > eps**0.5 * values[:, 0] if kept.size else np.zeros((0,), bool)
    states = jax.tree.map(lambda leaf: leaf[kept], found.state)
    spectra = _stabilities(system, states)
    return Equilibria(states, found.residual[kept], jnp.asarray(isolated), jnp.asarray(good.mean()), spectra)
