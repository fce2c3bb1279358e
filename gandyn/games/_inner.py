"""Steps of an inner optimisation, and the game with some of them in it: the unrolled discriminator."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._results import RESULTS, worst
from .._system import AbstractGame


def check_ahead(steps: Any, h: Array, name: str) -> None:
    """Refuse what is no number of steps, or no step size."""
    if not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"{name}: at least one step is foreseen; got {steps}. For none use the game itself.")
    if _tree.concrete(h) and not 0 < np.asarray(h) < np.inf:
        raise ValueError(f"{name}: the step size must be positive and finite; got {h}.")


def foresee(step: Callable[[PyTree], PyTree], x: PyTree, count: int) -> tuple[PyTree, Array]:
    """The state after some steps of all players but the first, and whether they overshoot.

    A small generic displacement of the inner players is carried along by the tangents of the steps. Steps that are too
    long for the curvature send it to the other side, and farther away than it was.
    """

    def advance(carry: tuple[PyTree, PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree, PyTree], None]:
        y, _, displacement = carry
        return (step(y), displacement, jax.jvp(step, (y,), (displacement,))[1]), None

    vector, unravel = _tree.ravel(x)
    generic = unravel(jnp.cos(jnp.arange(1.0, vector.size + 1)).astype(vector.dtype))
    still = jax.tree.map(jnp.zeros_like, _tree.players(x)[0])
    start = _tree.with_players(x, [still, *_tree.players(generic)[1:]])
    (ahead, before, after), _ = jax.lax.scan(advance, (x, start, start), length=count)
    grown = _tree.norm(after) > (1 + _tree.eps(x) ** 0.5) * _tree.norm(start)
    return ahead, (grown & (_tree.dot(before, after) < 0)) | ~_tree.finite(ahead)


class Unrolled(AbstractGame):
    r"""The unrolled game (Metz et al., 2017): the first player sees the others after some of their own gradient steps.

    The generator minimises :math:`\ell_G(\theta, \psi_k(\theta, \psi))` with :math:`\psi_{j+1} = \psi_j - h\nabla_\psi\ell_D`,
    differentiated through the steps; the discriminator's loss is untouched. Where the steps are so long that they overshoot,
    there is no value.

    Args:
        game: The game; its first player looks ahead.
        steps: How many steps k it foresees, at least one.
        h: Their size, a leaf.

    Raises:
        ValueError: No step, or a step size that is not positive.
    """

    game: AbstractGame
    steps: int = eqx.field(static=True)
    h: Scalar = eqx.field(converter=_tree.real)

    def __check_init__(self):
        check_ahead(self.steps, self.h, "Unrolled")

    def _ahead(self, x: PyTree) -> tuple[PyTree, Array]:
        leader = _tree.players(x)[0]

        def step(y: PyTree) -> PyTree:
            moved = _tree.players(_tree.axpy(self.h, self.game(y), y))
            return _tree.with_players(y, [leader, *moved[1:]])

        return foresee(step, x, self.steps)

    def losses(self, x: PyTree) -> tuple[Scalar, ...]:
        """The first player's loss after the foreseen steps, NaN if they overshoot, and the others' as they are."""
        ahead, diverged = self._ahead(x)
        loss = self.game.losses(ahead)[0]
        # As a factor, so that the gradient is none either.
        factor = jnp.where(diverged, jnp.nan, 1.0).astype(loss.dtype)
        return (factor * loss, *self.game.losses(x)[1:])

    def failure(self, x: PyTree) -> RESULTS:
        """The foreseen steps overshoot, unless it is the game that has no value here."""
        return worst((~_tree.finite(self.game(x)), super().failure(x)), (self._ahead(x)[1], RESULTS.inner_diverged))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the game."""
        return self.game.switches(x)
