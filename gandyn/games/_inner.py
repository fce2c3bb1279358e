"""Games with an inner optimisation: the unrolled discriminator."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractGame


class Unrolled(AbstractGame):
    r"""The unrolled game (Metz et al., 2017): the first player sees the others after some of their own gradient steps.

    The generator minimises :math:`\ell_G(\theta, \psi_k(\theta, \psi))` with :math:`\psi_{j+1} = \psi_j - h\nabla_\psi\ell_D`,
    differentiated through the steps; the discriminator's loss is untouched.

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
        if self.steps < 1:
            raise ValueError(f"Unrolled: at least one step is foreseen; got {self.steps}. For none use the game itself.")
        if _tree.concrete(self.h) and not 0 < np.asarray(self.h) < np.inf:
            raise ValueError(f"Unrolled: the step size must be positive and finite; got {self.h}.")

    def losses(self, x: PyTree) -> tuple[Scalar, ...]:
        """The first player's loss after the foreseen steps, and the others' as they are."""
        leader = _tree.players(x)[0]

        def step(y: PyTree, _: None) -> tuple[PyTree, None]:
            moved = _tree.players(_tree.axpy(self.h, self.game(y), y))
            return _tree.with_players(y, [leader, *moved[1:]]), None

        ahead = jax.lax.scan(step, x, length=self.steps)[0]
        return (self.game.losses(ahead)[0], *self.game.losses(x)[1:])

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the game."""
        return self.game.switches(x)
