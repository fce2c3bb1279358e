"""Mini-batches of a whole training map."""

from typing import Any, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ..games._gan import AbstractGAN

T = TypeVar("T", bound=eqx.Module)


class Batches(eqx.Module):
    """A redraw for `Random`: fresh samples of the data and of the latent law, in every GAN inside the map.

    Copies of one GAN, as in `consensus(flow, gamma, of=game)`, see the same sample. Instance noise is left to its quadrature.

    Args:
        size: How many points of each law, with replacement.

    Raises:
        ValueError: A size that is not positive.
    """

    size: int = eqx.field(static=True)

    def __check_init__(self):
        if self.size < 1:
            raise ValueError(f"Batches: at least one point is drawn; got {self.size}.")

    def __call__(self, key: Key[Array, ""], system: T) -> T:
        """The map, flow or game with samples in place of its laws."""
        real, latent = jax.random.split(key)

        def draw(node: Any) -> Any:
            if not isinstance(node, AbstractGAN):
                return node
            laws = node.real.sample(real, self.size), node.latent.sample(latent, self.size)
            return eqx.tree_at(lambda gan: (gan.real, gan.latent), node, laws)

        return jax.tree.map(draw, system, is_leaf=lambda node: isinstance(node, AbstractGAN))
