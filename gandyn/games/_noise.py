"""Instance noise: real and generated points are both blurred before the discriminator sees them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ScalarLike

from .. import _tree
from .._system import AbstractGame
from ._composite import Convolution
from ._gan import AbstractGAN
from ._measure import AbstractMeasure
from ._quadrature import Gaussian


def instance_noise(game: AbstractGame, noise: ScalarLike | AbstractMeasure) -> AbstractGame:
    r"""Convolve the real and the generated law with one noise (Sønderby et al., 2017; Arjovsky and Bottou, 2017).

    Args:
        game: A GAN, or penalties around one; penalties then see the blurred points too.
        noise: A standard deviation :math:`\sigma` of Gaussian noise, in units of the data, or a measure on points of
            their shape, such as `gd.Gaussian(0.0, sigma**2, order=40)`.

    Returns:
        The same game with noise; noise that was there already is convolved.

    Raises:
        ValueError: The game holds no GAN, or the standard deviation is negative.
    """

    def is_gan(node: Any) -> bool:
        return isinstance(node, AbstractGAN) and "noise" in vars(node)

    def blur(gan: AbstractGAN) -> AbstractGAN:
        law = noise
        if not isinstance(law, AbstractMeasure):
            sigma = _tree.real(law)
            if _tree.concrete(sigma) and not np.asarray(sigma) >= 0:
                raise ValueError(f"instance_noise: the standard deviation must not be negative; got {sigma}.")
            origin = jnp.zeros_like(gan.real.points[0])
            law = Gaussian(origin, sigma.astype(origin.dtype) ** 2)
        own = vars(gan)["noise"]
        total = law if own is None else Convolution(own, law)
        return eqx.tree_at(lambda g: vars(g)["noise"], gan, total, is_leaf=lambda leaf: leaf is None)

    if not any(is_gan(node) for node in jax.tree.leaves(game, is_leaf=is_gan)):
        raise ValueError(f"instance_noise needs a GAN, whose data can be blurred; {type(game).__name__} holds none.")
    return jax.tree.map(lambda node: blur(node) if is_gan(node) else node, game, is_leaf=is_gan)
