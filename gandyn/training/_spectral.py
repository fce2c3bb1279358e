"""Spectral normalisation: weights divided by their largest singular value, exact and differentiable."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar


def is_layer(node: Any) -> bool:
    """Whether a node is a linear map or a convolution of Equinox."""
    return isinstance(node, eqx.nn.Linear | eqx.nn.Conv | eqx.nn.ConvTranspose)


def spectral_norm(matrix: Float[Array, "m n"]) -> Scalar:
    r"""The largest singular value of a matrix, exact, with its derivatives.

    The derivatives are those of a simple singular value, up to the third. Where others tie with it within rounding, as in an
    orthogonal matrix, the largest is not differentiable, and the derivatives are those along one of its vectors, held fixed.

    Args:
        matrix: Any matrix.
    """
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    # Some accelerators round the factors of a product to ten bits unless told otherwise.
    gram = jnp.matmul(short, short.T, precision="highest")
    values, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(gram))
    top, others = vectors[:, -1], vectors[:, :-1]
    gaps = values[-1] - values[:-1]
    tied = gaps <= values.size * jnp.finfo(values.dtype).eps * values[-1]
    # Zero, as is the turn of the vector that follows, but their derivatives are not. A Rayleigh quotient squares what the
    # vector lacks beyond the first order, so that three orders of the value are right.
    change = gram - jax.lax.stop_gradient(gram)
    turn = jnp.where(tied, 0.0, others.T @ change @ top / jnp.where(tied, 1.0, gaps))
    vector = top + others @ turn
    return jnp.sqrt((values[-1] + values[:-1] @ turn**2 + vector @ change @ vector) / (1 + turn @ turn))


class SpectralNormalised(eqx.Module):
    """A linear map or convolution with its weight divided by its largest singular value; see `spectral_normalised`."""

    layer: Any

    def __call__(self, x: Float[Array, "..."], *, key: Key[Array, ""] | None = None) -> Float[Array, "..."]:
        """The normalised layer's output."""
        weight = self.layer.weight
        norm = spectral_norm(weight.reshape(weight.shape[0], -1))
        return eqx.tree_at(lambda it: it.weight, self.layer, weight / norm)(x)


def spectral_normalised(module: eqx.Module) -> eqx.Module:
    """A network whose every weight is divided by its largest singular value (Miyato, Kataoka, Koyama and Yoshida, 2018).

    The value is exact at every evaluation and differentiated; the paper follows it by a power iteration, whose vectors would be
    a memory of the network. As there, a convolution's is that of its kernel as a matrix of output channels by everything else,
    which is not the norm of the convolution as a linear map.

    Args:
        module: Any Equinox module; its linear maps and convolutions are normalised.

    Returns:
        A module with as many parameters.

    Raises:
        ValueError: There is nothing to normalise.
    """

    def stop(node: Any) -> bool:
        return is_layer(node) or isinstance(node, SpectralNormalised)

    if not any(map(is_layer, jax.tree.leaves(module, is_leaf=stop))):
        raise ValueError(
            f"spectral_normalised: {type(module).__name__} has no linear map and no convolution left to normalise."
        )
    return jax.tree.map(lambda node: SpectralNormalised(node) if is_layer(node) else node, module, is_leaf=stop)
