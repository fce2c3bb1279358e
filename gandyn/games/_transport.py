"""The game of optimal transport with a quadratic cost, its c-transform solved."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Scalar

from .. import _tree
from .._results import RESULTS, first, worst
from .._system import Players
from ._gan import AbstractGAN, check_players
from ._measure import AbstractMeasure


def _solve(product: Callable[[Array], Array], right: Array) -> Array:
    """The solution of a small linear system; not finite where it is singular."""
    return jnp.linalg.solve(jax.jacobian(product)(jnp.zeros_like(right)), right)


def c_transform(critic: Callable[[Array], Scalar], y: Array, weight: Scalar) -> tuple[Scalar, Array, Bool[Array, ""]]:
    r"""The transform :math:`D^c(y) = \sup_x D(x) - \beta\lVert x - y\rVert^2`, by Newton's method from y.

    One step solves it for a quadratic D, and it is the supremum wherever D minus the cost is concave: where D is c-concave.
    Elsewhere it is a local maximum. Differentiable to any order by the implicit function theorem.

    Args:
        critic: The function D of one point.
        y: The point.
        weight: The weight :math:`\beta` of the cost.

    Returns:
        The transform, the x where it is attained, and whether that is a maximum; if it is none, the other two are NaN.
    """
    origin, unravel = ravel_pytree(y)
    weight = weight.astype(origin.dtype)

    def payoff(u: Array) -> Scalar:
        return critic(unravel(u)).astype(origin.dtype) - weight * jnp.sum((u - origin) ** 2)

    tolerance = 100 * _tree.eps(origin)
    newton = optx.Newton(rtol=tolerance, atol=tolerance)

    def search(slope: Callable[[Array], Array], guess: Array) -> Array:
        solution = optx.root_find(lambda u, _: slope(u), newton, guess, max_steps=64, throw=False)
        return jnp.where(solution.result == optx.RESULTS.successful, solution.value, jnp.nan)

    found = jax.lax.custom_root(jax.grad(payoff), origin, search, _solve)
    curvature = jax.hessian(payoff)(jax.lax.stop_gradient(found))
    # Of a matrix that is not positive definite there is no Cholesky factor, and JAX says so by NaN.
    good = jnp.all(jnp.isfinite(jnp.linalg.cholesky(-curvature))) & jnp.all(jnp.isfinite(found))
    # As a factor, so that the gradient is none either.
    factor = jnp.where(good, 1.0, jnp.nan).astype(origin.dtype)
    return factor * payoff(found), unravel(factor * found), good


class TransportGAN(AbstractGAN):
    r"""The Wasserstein GAN of second order (W2GAN): optimal transport with the cost :math:`\beta\lVert x - y\rVert^2`.

    .. math::

        V = \mathbb E_{\rm real} D(x) - \mathbb E_{\rm fake} D^c(y), \qquad
        D^c(y) = \sup_x D(x) - \beta\lVert x - y\rVert^2

    Zero-sum; its maximum over all D is the cost of optimal transport. The transform is solved at every generated point by
    `c_transform`. A discriminator whose curvature reaches :math:`2\beta` is not c-concave: the game has no value there, and
    `failure` says so. Farnia and Ozdaglar (2020).

    Args:
        generator: A function or module `(parameters, z) -> x`.
        discriminator: A smooth function or module `(parameters, x) -> scalar`; larger means real.
        real: The law of the data.
        latent: The law of the generator's input.
        weight: The weight :math:`\beta` of the cost, a leaf.
        noise: A law added to real and generated points alike; see `instance_noise`.
    """

    generator: Callable = eqx.field(converter=_tree.function)
    discriminator: Callable = eqx.field(converter=_tree.function)
    real: AbstractMeasure
    latent: AbstractMeasure
    weight: Scalar = eqx.field(converter=_tree.real, default=1.0)
    noise: AbstractMeasure | None = None

    def __check_init__(self):
        if _tree.concrete(self.weight) and not 0 < np.asarray(self.weight) < np.inf:
            raise ValueError(f"TransportGAN: the weight of the cost must be positive and finite; got {self.weight}.")

    def transform(self, x: Players) -> Callable[[Array], Scalar]:
        """The c-transform of the discriminator at its current parameters, as a function of one point."""
        critic = self.critic(x)
        return lambda y: c_transform(critic, y, self.weight)[0]

    def transport(self, x: Players) -> Callable[[Array], Array]:
        """Where the discriminator would send a generated point: to where its transform is attained."""
        critic = self.critic(x)
        return lambda y: c_transform(critic, y, self.weight)[1]

    def value(self, x: Players) -> Scalar:
        """The objective V, which the discriminator maximises."""
        return self.data.expectation(self.critic(x)) - self.samples(x).expectation(self.transform(x))

    def losses(self, x: Players) -> tuple[Scalar, Scalar]:
        """V for the generator, minus V for the discriminator."""
        check_players(x)
        value = self.value(x)
        return value, -value

    def failure(self, x: Players) -> RESULTS:
        """The discriminator is not c-concave, unless it is not even finite."""
        critic, points = self.critic(x), self.samples(x).points
        concave = jax.vmap(lambda y: c_transform(critic, y, self.weight)[2])(points)
        whole = jnp.all(jnp.isfinite(jax.vmap(critic)(self.data.points))) & jnp.all(jnp.isfinite(points))
        steep = worst((~whole, RESULTS.nonfinite), (~jnp.all(concave), RESULTS.not_concave))
        return first(steep, super().failure(x))
