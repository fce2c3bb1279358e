"""Gaussian data and an affine generator: the games on which Farnia and Ozdaglar (2020) ask for a Nash equilibrium."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Scalar, ScalarLike

from .. import _tree
from .._constraint import AbstractConstraint, Ball, Box, Constraints, SpectralBall
from .._system import Players
from ..objectives import AbstractObjective, minimax, wasserstein
from ._gan import GAN
from ._piecewise import Kinked, Piecewise
from ._quadrature import Gaussian
from ._transport import TransportGAN


def _affine(parameters: tuple[Array, Array], z: Array) -> Array:
    a, b = parameters
    return (a @ z if a.ndim == 2 else a * z) + b


def _form(entries: Array, x: Array) -> Scalar:
    """The quadratic form with these entries on and above the diagonal, row by row."""
    if x.ndim == 0:
        return entries * x**2
    rows, columns = jnp.triu_indices(x.size)
    twice = jnp.where(rows == columns, 1.0, 2.0).astype(x.dtype)
    return jnp.sum(entries * twice * x[rows] * x[columns])


def _quadratic(parameters: tuple[Array, Array], x: Array) -> Scalar:
    entries, slope = parameters
    return _form(entries, x) + jnp.vdot(slope, x)


def _quadratic_and_constant(parameters: tuple[Array, Array, Array], x: Array) -> Scalar:
    entries, slope, constant = parameters
    return _form(entries, x) + jnp.vdot(slope, x) + constant


def _cone(centre: Array, x: Array) -> Scalar:
    return jnp.abs(x - centre)


def _kinks(x: Players) -> tuple[Array, Array]:
    (a, b), centre = x
    # A generator without slope puts all latent points on one side.
    slope = jnp.where(a == 0, 1.0, a)
    return centre[None], jnp.where(a == 0, 0.0, (centre - b) / slope)[None]


def _laws(covariance: _tree.Numbers, order: int | None) -> tuple[Gaussian, Gaussian]:
    spread = _tree.real(covariance)
    origin = jnp.zeros(spread.shape[:1], spread.dtype)
    return Gaussian(origin, spread, order), Gaussian(origin, jnp.ones((), spread.dtype), order)


def w2_gaussian(covariance: _tree.Numbers = 4.0, weight: ScalarLike = 1.0, order: int | None = 3) -> TransportGAN:
    r"""The W2GAN with Gaussian data: :math:`N(0, \Sigma)`, :math:`G(z) = Az + b`, :math:`D(x) = x^\top\Lambda x + g^\top x`.

    With the generator held by `unit_generator` and a variance above one in some direction it has no Nash equilibrium.
    Farnia and Ozdaglar (2020).

    Args:
        covariance: :math:`\Sigma`: a number for one dimension, a vector (a diagonal) or a matrix for more.
        weight: The weight :math:`\beta` of the cost.
        order: The order of the quadrature; 3 is exact for these generators and discriminators.

    Returns:
        A game on `Players((A, b), (entries, g))`: four numbers in one dimension, in n a matrix, a vector, the entries of
        :math:`\Lambda` on and above its diagonal row by row, and a vector.
    """
    real, latent = _laws(covariance, order)
    return TransportGAN(_affine, _quadratic, real, latent, weight)


def vanilla_gaussian(objective: AbstractObjective = minimax, covariance: _tree.Numbers = 4.0, order: int | None = None) -> GAN:
    r"""A GAN with the same data and generator as `w2_gaussian`, and :math:`D(x) = x^\top\Lambda x + g^\top x + c`.

    The family holds the logarithm of every ratio of two Gaussian densities, so that with `minimax` the best of these
    discriminators is the best of all. Farnia and Ozdaglar (2020).

    Args:
        objective: The formulation.
        covariance: As of `w2_gaussian`.
        order: The order of the quadrature. In one dimension that is Gauss–Legendre (see `Piecewise`) with 300 nodes unless told
            otherwise, which finds the best discriminator to ten digits; in more, that of `Gaussian`.

    Returns:
        A game on `Players((A, b), (entries, g, c))`.
    """
    if _tree.real(covariance).ndim:
        return GAN(_affine, _quadratic_and_constant, *_laws(covariance, order), objective)
    real, latent = (Piecewise(law, order=order or 300) for law in _laws(covariance, None))
    return GAN(_affine, _quadratic_and_constant, real, latent, objective)


def lipschitz_gaussian(covariance: ScalarLike = 4.0, order: int = 60) -> Kinked:
    r"""The 1-Lipschitz WGAN on the line: data :math:`N(0, \sigma^2)`, :math:`G(z) = az + b`, :math:`D(x) = |x - x_0|`.

    Against a generator of a smaller variance the best of these discriminators is the best of all that are 1-Lipschitz, and
    V is then the Wasserstein distance of first order. Farnia and Ozdaglar (2020).

    Args:
        covariance: The variance :math:`\sigma^2` of the data.
        order: Gauss–Legendre nodes on each side of the kink.

    Returns:
        A game on `Players((a, b), x0)`, all scalars.
    """
    real, latent = (Piecewise(law, order=order) for law in _laws(covariance, None))
    return Kinked(GAN(_affine, _cone, real, latent, wasserstein), _kinks)


def unit_generator(matrix: bool = False) -> AbstractConstraint:
    r"""The generators with :math:`\lVert A\rVert\le 1`, the largest singular value of A, and :math:`\lVert b\rVert\le 1`.

    Args:
        matrix: Whether A is a matrix, as in more than one dimension.

    Returns:
        A constraint for `Projected`, `Constrained` and the verbs that take one.
    """
    if not matrix:
        return Box(-1.0, 1.0, _generator)
    return Constraints((SpectralBall(1.0, _linear_part), Ball(1.0, _shift)))


def _generator(x: Players) -> Any:
    return x.generator


def _linear_part(x: Players) -> Any:
    return x.generator[0]


def _shift(x: Players) -> Any:
    return x.generator[1]
