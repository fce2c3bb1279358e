"""The games of the papers, one call each. None of them writes a field, a Jacobian or an optimum by hand."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar, ScalarLike

from .. import _tree
from .._system import AbstractGame, Players
from ..objectives import AbstractObjective, minimax
from ._composite import Product
from ._gan import GAN
from ._measure import Discrete
from ._quadrature import Gaussian, Uniform


def _scale(a: Array, z: Array) -> Array:
    return a * z


def _shift(b: Array, z: Array) -> Array:
    return b + z


def _affine(parameters: tuple[Array, Array], z: Array) -> Array:
    a, b = parameters
    return a * z + b


def _lift(parameters: tuple[Array, Array], z: Array) -> Array:
    a, b = parameters
    return jnp.stack([a * z, b])


def _linear(w: Array, x: Array) -> Scalar:
    return jnp.vdot(w, x)


def _square(w: Array, x: Array) -> Scalar:
    return w * x**2


def _quadratic(w: tuple[Array, Array], x: Array) -> Scalar:
    return w[0] * x + w[1] * x**2


def _square_and_height(w: tuple[Array, Array], x: Array) -> Scalar:
    return w[0] * x[0] ** 2 + w[1] * x[1]


def dirac(objective: AbstractObjective = minimax, target: ScalarLike = 0.0) -> GAN:
    r"""The Dirac-GAN: data at one point, generator :math:`\delta_\theta`, :math:`D(x) = \psi x`.

    Mescheder, Geiger and Nowozin (2018), with D > 0 for real: their :math:`\psi` is minus ours.

    Args:
        objective: The formulation.
        target: The point that carries the data.

    Returns:
        A game on `Players(theta, psi)`, both scalars; its equilibrium is `(target, 0)`.
    """
    point = _tree.real(target)
    return GAN(_shift, _linear, Discrete(point[None]), Discrete(jnp.zeros((1,))), objective)


def linear_scale(
    objective: AbstractObjective = minimax, mean: ScalarLike = 1.0, variance: ScalarLike = 0.25, order: int = 20
) -> GAN:
    r"""The linear GAN in one dimension: :math:`D(x) = wx`, :math:`G(z) = az`, data and latent :math:`N(m, s^2)`.

    Nagarajan and Kolter (2017).

    Args:
        objective: The formulation.
        mean: The mean of data and latent.
        variance: Their variance.
        order: Gauss–Hermite nodes.

    Returns:
        A game on `Players(a, w)`, both scalars; its equilibrium is `(1, 0)`.
    """
    law = Gaussian(mean, variance, order)
    return GAN(_scale, _linear, law, law, objective)


def uniform(objective: AbstractObjective = minimax, order: int = 20) -> GAN:
    r"""The uniform game: data and latent :math:`U[-1,1]`, :math:`D(x) = wx^2`, :math:`G(z) = az`.

    Nagarajan and Kolter (2017).

    Args:
        objective: The formulation.
        order: Gauss–Legendre nodes.

    Returns:
        A game on `Players(a, w)`, both scalars; its equilibria are `(1, 0)` and `(-1, 0)`.
    """
    law = Uniform(-1.0, 1.0, order)
    return GAN(_scale, _square, law, law, objective)


def uniform_affine(objective: AbstractObjective = minimax, order: int = 20) -> GAN:
    r"""The uniform game with two parameters a player: :math:`D(x) = w_1x + w_2x^2`, :math:`G(z) = az + b`.

    After Nagarajan and Kolter (2017).

    Args:
        objective: The formulation.
        order: Gauss–Legendre nodes.

    Returns:
        A game on `Players((a, b), (w1, w2))`, all scalars; an equilibrium is `((1, 0), (0, 0))`.
    """
    law = Uniform(-1.0, 1.0, order)
    return GAN(_affine, _quadratic, law, law, objective)


def linear(objective: AbstractObjective = minimax, mean: _tree.Numbers = (0.0, 2.0), sigma: ScalarLike = 0.7) -> GAN:
    r"""The linear GAN in any dimension: data :math:`N(v, \sigma^2 I)`, :math:`G(z) = \phi + z`, :math:`D(x) = \theta^\top x`.

    Nie and Patel (2019), whose code has the default numbers. Beyond three dimensions a cubature of degree 3 gives the
    spectrum at the equilibrium to rounding.

    Args:
        objective: The formulation.
        mean: The mean v, shape `(n,)`.
        sigma: The standard deviation of data and latent.

    Returns:
        A game on `Players(phi, theta)`, both of shape `(n,)`; its equilibrium is `(v, 0)`.
    """
    mean, variance = _tree.real(mean), _tree.real(sigma) ** 2
    return GAN(_shift, _linear, Gaussian(mean, variance), Gaussian(jnp.zeros_like(mean), variance), objective)


def segment(objective: AbstractObjective = minimax, order: int = 20) -> GAN:
    r"""Data on a segment in the plane: :math:`(U[-1,1], 0)`, :math:`G(z) = (az, b)`, :math:`D(x) = \psi_1x_1^2 + \psi_2x_2`.

    The data have no density, and across the segment the game is a Dirac-GAN: the setting of Mescheder, Geiger and
    Nowozin (2018), in which penalties are needed.

    Args:
        objective: The formulation.
        order: Gauss–Legendre nodes.

    Returns:
        A game on `Players((a, b), (psi1, psi2))`, all scalars; an equilibrium is `((1, 0), (0, 0))`.
    """
    law = Uniform(-1.0, 1.0, order)
    return GAN(_lift, _square_and_height, Product((law, Discrete([0.0]))), law, objective)


class Quadratic(AbstractGame):
    r"""The quadratic zero-sum game :math:`V = \tfrac12 x^\top A x + x^\top C y - \tfrac12 y^\top B y`, x minimising.

    Args:
        a: A scalar or a matrix `(n, n)`.
        c: A scalar or a matrix `(n, m)`.
        b: A scalar or a matrix `(m, m)`.
    """

    a: Float[Array, "..."] = eqx.field(converter=_tree.real)
    c: Float[Array, "..."] = eqx.field(converter=_tree.real)
    b: Float[Array, "..."] = eqx.field(converter=_tree.real)

    def __check_init__(self):
        n, m = self.c.shape if self.c.ndim == 2 else (1, 1)
        if self.c.ndim not in (0, 2) or self.a.shape not in ((), (n, n)) or self.b.shape not in ((), (m, m)):
            raise ValueError(
                f"Quadratic: with C of shape {self.c.shape}, A must be a scalar or {(n, n)} and B a scalar or {(m, m)}; "
                f"got {self.a.shape} and {self.b.shape}."
            )

    def losses(self, x: Players) -> tuple[Scalar, Scalar]:
        """V for the minimiser, minus V for the maximiser."""

        def form(u: Array, matrix: Array, w: Array) -> Scalar:
            return jnp.vdot(u, matrix @ w if matrix.ndim == 2 else matrix * w)

        u, w = x
        value = form(u, self.a, u) / 2 + form(u, self.c, w) - form(w, self.b, w) / 2
        return value, -value


def quadratic(a: _tree.Numbers = 0.0, c: _tree.Numbers = 1.0, b: _tree.Numbers = 0.0) -> Quadratic:
    """The quadratic game with these coefficients; see `Quadratic`.

    Returns:
        A game on `Players(x, y)`: scalars if all coefficients are, vectors otherwise.
    """
    return Quadratic(a, c, b)


def bilinear(c: _tree.Numbers = 1.0) -> Quadratic:
    r"""The bilinear game :math:`V = x^\top C y`, whose flow rotates for ever.

    Args:
        c: A scalar or a matrix `(n, m)`.

    Returns:
        A game on `Players(x, y)`.
    """
    return Quadratic(0.0, c, 0.0)
