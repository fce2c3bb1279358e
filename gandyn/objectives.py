r"""Formulations: how a discriminator's output becomes the players' payoffs.

The discriminator maximises :math:`V = \mathbb E_{\rm real}\,g_1(D(x)) + \mathbb E_{\rm fake}\,g_2(D(x))`; the generator
minimises :math:`V`, or :math:`\mathbb E_{\rm fake}\,g_3(D(x))` where the formulation names a loss of its own.
D > 0 means real, and D = 0 is the discriminator's optimum where both laws agree.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class AbstractObjective(eqx.Module):
    """A formulation. One's own has `real` and `fake`, and `generator` where the game is not zero-sum."""

    @abc.abstractmethod
    def real(self, t: Float[Array, ""]) -> Float[Array, ""]:
        """The discriminator's payoff g1 for output `t` on real data."""

    @abc.abstractmethod
    def fake(self, t: Float[Array, ""]) -> Float[Array, ""]:
        """The discriminator's payoff g2 for output `t` on generated data."""

    def generator(self, t: Float[Array, ""]) -> Float[Array, ""] | None:
        """The generator's loss g3 for output `t` on its data; None where it minimises V."""
        return None

    def switches(self, real: Float[Array, " n"], fake: Float[Array, " m"]) -> Float[Array, " k"]:
        """Zero where the payoffs have a kink at these outputs; none unless overridden."""
        return jnp.zeros((0,))


# JAX's own log-sigmoid has two exponentials and a logarithm in its derivative. These share one exponential between the
# derivatives of both players, exact to rounding in both tails and in every order, and an orbit takes a sixth of the time.


@jax.custom_jvp
def _sigmoids(t: Array) -> tuple[Array, Array]:
    """The sigmoid of t and of -t."""
    small = jnp.exp(-jnp.abs(t))
    return jnp.where(t >= 0, 1.0, small) / (1 + small), jnp.where(t >= 0, small, 1.0) / (1 + small)


@_sigmoids.defjvp
def _sigmoids_jvp(at: tuple[Array], along: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    up, down = _sigmoids(*at)
    slope = up * down * along[0]
    return (up, down), (slope, -slope)


@jax.custom_jvp
def _log_sigmoids(t: Array) -> tuple[Array, Array]:
    """The logarithms of the sigmoid of t and of -t."""
    rest = jnp.log1p(jnp.exp(-jnp.abs(t)))
    return jnp.minimum(t, 0.0) - rest, jnp.minimum(-t, 0.0) - rest


@_log_sigmoids.defjvp
def _log_sigmoids_jvp(at: tuple[Array], along: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    up, down = _sigmoids(*at)
    return _log_sigmoids(*at), (down * along[0], -up * along[0])


class Minimax(AbstractObjective):
    r"""The saturating GAN: :math:`g_1(t) = \log\sigma(t)`, :math:`g_2(t) = \log\sigma(-t)` (Goodfellow et al., 2014)."""

    def real(self, t: Array) -> Array:
        """Log-sigmoid."""
        return _log_sigmoids(t)[0]

    def fake(self, t: Array) -> Array:
        """Log-sigmoid of the opposite."""
        return _log_sigmoids(t)[1]


class NonSaturating(Minimax):
    r"""The non-saturating GAN: the generator minimises :math:`-\log\sigma(t)` (Goodfellow et al., 2014)."""

    def generator(self, t: Array) -> Array:
        """Minus log-sigmoid."""
        return -_log_sigmoids(t)[0]


class Wasserstein(AbstractObjective):
    r"""The Wasserstein GAN: :math:`g_1(t) = t`, :math:`g_2(t) = -t` (Arjovsky et al., 2017)."""

    def real(self, t: Array) -> Array:
        """The output."""
        return t

    def fake(self, t: Array) -> Array:
        """Its opposite."""
        return -t


class LeastSquares(AbstractObjective):
    r"""Least squares with any targets (Mao et al., 2017).

    :math:`g_1(t) = -\tfrac12 (t-b)^2`, :math:`g_2(t) = -\tfrac12 (t-a)^2`, :math:`g_3(t) = \tfrac12 (t-c)^2`. The optimum
    lies at D = (a + b)/2, which is zero for the default targets.

    Args:
        fake_target: The label a of generated data for the discriminator.
        real_target: The label b of real data.
        generator_target: The label c that the generator wants; None for the zero-sum game.
    """

    fake_target: float | Array = -1.0
    real_target: float | Array = 1.0
    generator_target: float | Array | None = 1.0

    def real(self, t: Array) -> Array:
        """Minus half the squared distance to the real label."""
        return -((t - self.real_target) ** 2) / 2

    def fake(self, t: Array) -> Array:
        """Minus half the squared distance to the fake label."""
        return -((t - self.fake_target) ** 2) / 2

    def generator(self, t: Array) -> Array | None:
        """Half the squared distance to the generator's label."""
        return None if self.generator_target is None else (t - self.generator_target) ** 2 / 2


class Hinge(AbstractObjective):
    r"""The hinge loss: :math:`g_1 = \min(0, t-1)`, :math:`g_2 = \min(0, -1-t)`, :math:`g_3 = -t` (Lim and Ye, 2017)."""

    def real(self, t: Array) -> Array:
        """Linear below the margin, zero above."""
        return -jax.nn.relu(1 - t)

    def fake(self, t: Array) -> Array:
        """Linear above the margin, zero below."""
        return -jax.nn.relu(1 + t)

    def generator(self, t: Array) -> Array:
        """Minus the output."""
        return -t

    def switches(self, real: Array, fake: Array) -> Array:
        """The margins."""
        return jnp.concatenate([real - 1, fake + 1])


def _below(t: Array, bound: float) -> Array:
    """`t`, with a NaN value and derivative outside the domain of a conjugate."""
    return t * jnp.where(t < bound, 1.0, jnp.nan)


class _Divergence(AbstractObjective):
    r"""The game of an f-divergence, shifted so that D = 0 at equilibrium (Nowozin et al., 2016).

    :math:`g_1(t) = \varphi'(1) + t`, :math:`g_2(t) = -\varphi^*(\varphi'(1) + t)`: so :math:`g_1'(0) = 1`,
    :math:`g_2'(0) = -1`, :math:`g_2''(0) = -1/\varphi''(1)` and V is the divergence at the optimal D. Outside the domain of
    the conjugate the payoff is NaN.
    """

    @abc.abstractmethod
    def conjugate(self, t: Array) -> Array:
        r""":math:`\varphi^*(\varphi'(1) + t)`."""

    @abc.abstractmethod
    def slope(self) -> float:
        r""":math:`\varphi'(1)`."""

    def real(self, t: Array) -> Array:
        """The shifted output."""
        return self.slope() + t

    def fake(self, t: Array) -> Array:
        """Minus the conjugate at the shifted output."""
        return -self.conjugate(t)


class KL(_Divergence):
    r"""Kullback–Leibler of real from generated: :math:`\varphi(u) = u\log u`, :math:`\varphi'' (1) = 1`."""

    def slope(self) -> float:
        """One."""
        return 1.0

    def conjugate(self, t: Array) -> Array:
        """The exponential."""
        return jnp.exp(t)


class ReverseKL(_Divergence):
    r"""Kullback–Leibler of generated from real: :math:`\varphi(u) = -\log u`, for D < 1."""

    def slope(self) -> float:
        """Minus one."""
        return -1.0

    def conjugate(self, t: Array) -> Array:
        """`-1 - log(1 - t)`."""
        return -1 - jnp.log1p(-_below(t, 1.0))


class Pearson(_Divergence):
    r"""Pearson chi-square: :math:`\varphi(u) = (u-1)^2`, :math:`\varphi''(1) = 2`; its conjugate is flat below D = -2."""

    def slope(self) -> float:
        """Zero."""
        return 0.0

    def conjugate(self, t: Array) -> Array:
        """`t + t^2/4`, and -1 below -2."""
        t = jnp.maximum(t, -2.0)
        return t + t**2 / 4


class Neyman(_Divergence):
    r"""Neyman chi-square: :math:`\varphi(u) = (1-u)^2/u`, :math:`\varphi''(1) = 2`, for D < 1."""

    def slope(self) -> float:
        """Zero."""
        return 0.0

    def conjugate(self, t: Array) -> Array:
        """`2 - 2 sqrt(1 - t)`."""
        return 2 - 2 * jnp.sqrt(1 - _below(t, 1.0))


class Hellinger(_Divergence):
    r"""Squared Hellinger: :math:`\varphi(u) = (\sqrt u - 1)^2`, :math:`\varphi''(1) = 1/2`, for D < 1."""

    def slope(self) -> float:
        """Zero."""
        return 0.0

    def conjugate(self, t: Array) -> Array:
        """`t / (1 - t)`."""
        t = _below(t, 1.0)
        return t / (1 - t)


class JensenShannon(_Divergence):
    r"""Jensen–Shannon: :math:`\varphi(u) = u\log u - (u+1)\log\tfrac{u+1}2`, :math:`\varphi''(1) = 1/2`, for D < log 2."""

    def slope(self) -> float:
        """Zero."""
        return 0.0

    def conjugate(self, t: Array) -> Array:
        """`-log(2 - exp t)`."""
        return -jnp.log1p(-jnp.expm1(_below(t, math.log(2))))


class TotalVariation(_Divergence):
    r"""Total variation: :math:`\varphi(u) = \tfrac12|u-1|`, for D <= 1/2, flat below -1/2; kinks at both ends."""

    def slope(self) -> float:
        """Zero, the middle of the subdifferential."""
        return 0.0

    def conjugate(self, t: Array) -> Array:
        """`t`, and -1/2 below -1/2."""
        return jnp.maximum(_below(t, 0.5), -0.5)

    def switches(self, real: Array, fake: Array) -> Array:
        """The ends of the interval on which the payoff is linear."""
        return jnp.concatenate([fake - 0.5, fake + 0.5])


minimax = Minimax()
nonsaturating = NonSaturating()
wasserstein = Wasserstein()
least_squares = LeastSquares()
least_squares_zero_sum = LeastSquares(generator_target=None)
hinge = Hinge()
kl = KL()
reverse_kl = ReverseKL()
pearson = Pearson()
neyman = Neyman()
hellinger = Hellinger()
jensen_shannon = JensenShannon()
total_variation = TotalVariation()
