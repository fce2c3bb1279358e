"""Squared distances between two discriminators, which the proximal objective charges for."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree, Scalar

from .. import _tree
from .._system import AbstractGame, Players
from ._penalty import _gan


def beneath(game: AbstractGame) -> AbstractGame:
    """The game under all games that are made of a game, such as penalties."""
    while isinstance(inner := vars(game).get("game"), AbstractGame):
        game = inner
    return game


def euclidean(game: AbstractGame, x: PyTree, y: PyTree) -> Scalar:
    r"""The squared distance of the parameters, :math:`\lVert\psi_x - \psi_y\rVert^2`: of every player but the first.

    Args:
        game: The game; any will do.
        x: A state.
        y: Another.

    Returns:
        A scalar that the first players of the states have no part in.
    """
    difference = _tree.players(_tree.subtract(x, y))[1:]
    return _tree.dot(difference, difference)


def sobolev(game: AbstractGame, x: Players, y: Players) -> Scalar:
    r"""The squared Sobolev distance on the data, :math:`\mathbb E_{\rm real}\lVert\nabla D_x - \nabla D_y\rVert^2`.

    The gradients are those in the input, so that it does not depend on how the discriminator is parametrised (Farnia and
    Ozdaglar, 2020). It is singular in directions that change no slope at the data, such as an additive constant.

    Args:
        game: A GAN, or games around one: `Penalised` and the like.
        x: A state.
        y: Another.

    Returns:
        A scalar that the generators of the states have no part in.

    Raises:
        ValueError: The game beneath is no GAN.
    """
    gan = _gan(beneath(game))
    one, other = jax.grad(gan.critic(x)), jax.grad(gan.critic(y))

    def squared(point: Array) -> Scalar:
        return jnp.sum((one(point) - other(point)) ** 2)

    return gan.data.expectation(squared)
