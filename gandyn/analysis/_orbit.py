"""Periodic orbits of maps, with their minimal period and their multipliers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, PyTree, Scalar

from .. import _tree
from .._evolve import prepare
from .._results import RESULTS, check, first
from .._system import AbstractMap
from ..maps._wrap import Iterated
from ._equilibrium import equilibrium
from ._stability import stability
from ._verdict import Stability


class PeriodicOrbit(eqx.Module):
    """An orbit of a map that closes after `period` applications, and not before.

    `states` are its points in turn, along a leading axis; `residual` is by how much it does not close; `stability` is that of
    its first point under the map applied `period` times, the eigenvalues of which are the `multipliers` of the orbit.
    """

    states: PyTree
    period: int = eqx.field(static=True)
    residual: Scalar
    stability: Stability
    result: RESULTS

    @property
    def multipliers(self) -> Complex[Array, " n"]:
        """The eigenvalues of the derivative once round; stable if all lie inside the unit circle."""
        return self.stability.eigenvalues

    @property
    def verdict(self) -> str | np.ndarray:
        """`stable`, `unstable`, `marginal` or `undecided`; `failed` where there is no orbit."""
        return self.stability.verdict

    def __str__(self) -> str:
        start = jax.tree.map(lambda leaf: leaf[0], self.states)
        shown = ", ".join(f"{value:.8g}" for value in np.asarray(self.multipliers)[:8])
        return (
            f"period       {self.period}, {self.verdict}\n"
            f"through      {_tree.numbers(start)}; closes within {float(self.residual):.2g}\n"
            f"multipliers  {shown}"
        )


@eqx.filter_jit
def _around(system: AbstractMap, x: PyTree, period: int) -> tuple[PyTree, Array]:
    """The points of an orbit, and how far each of its next points is from the first."""

    def step(y: PyTree, _: None) -> tuple[PyTree, tuple[PyTree, Array]]:
        following = system(y)
        return following, (y, _tree.norm(_tree.subtract(following, x)))

    return jax.lax.scan(step, x, length=period)[1]


def periodic(system: AbstractMap, guess: PyTree, period: int, *, max_steps: int = 256, throw: bool = True) -> PeriodicOrbit:
    """A periodic orbit of a map near a guess: a fixed point of the map applied so many times.

    Args:
        system: The map.
        guess: A state near one of the orbit's points.
        period: The number of applications after which it closes; an orbit that closes earlier is returned with its own, minimal
            period, a fixed point with period one.
        max_steps: Steps of the root finder after which to give up.
        throw: Raise if there is no orbit.

    Returns:
        A `PeriodicOrbit` with `.states`, `.period`, `.multipliers` and `.verdict`.

    Raises:
        ValueError: A flow, whose periodic orbits are cycles; a period below one; a guess of the wrong structure.
        RuntimeError: No orbit was found (with `throw`).
    """
    if not isinstance(system, AbstractMap):
        raise ValueError(f"periodic takes a map; {type(system).__name__} is none. For a flow use `cycle`.")
    if period < 1:
        raise ValueError(f"periodic: the period is a number of applications, at least one; got {period}.")
    system, guess = prepare(system, guess)
    found = equilibrium(Iterated(system, period), guess, max_steps=max_steps, throw=False)
    check(found.result, throw, "periodic: ")
    states, gaps = _around(system, found.state, period)
    closed = np.asarray(gaps) <= _tree.eps(guess) ** (2 / 3) * (1 + float(_tree.norm(found.state)))
    minimal = next((d for d in range(1, period) if period % d == 0 and closed[d - 1]), period)
    spectrum = stability(Iterated(system, minimal), found.state, throw=False)
    states = jax.tree.map(lambda leaf: leaf[:minimal], states)
    return PeriodicOrbit(states, minimal, jnp.asarray(gaps[minimal - 1]), spectrum, first(found.result, spectrum.result))
