"""Games whose discriminator has kinks on the line, integrated piece by piece."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, Scalar

from .. import _tree
from .._system import AbstractGame, Players
from ._gan import GAN
from ._measure import AbstractMeasure, Discrete
from ._quadrature import Gaussian, Uniform

# The mass of a normal law beyond so many standard deviations is 2e-19.
_TAILS = 9.0


class Piecewise(AbstractMeasure):
    """A normal or uniform law on the line whose integrals are split: by Gauss–Legendre quadrature of each piece.

    Functions that are smooth between the given points are integrated to rounding, kinks and jumps at the points or not. The
    points are leaves, and derivatives with respect to them are as exact.

    Args:
        law: A `Gaussian` or `Uniform` law of a number.
        at: Where to split, shape `(k,)`, in any order; points outside the support do no harm.
        order: Nodes per piece.

    Raises:
        ValueError: Another law, one of vectors, or an order below one.
    """

    law: AbstractMeasure
    at: Float[Array, " k"] = eqx.field(converter=_tree.real, default=())
    order: int = eqx.field(static=True, default=60)

    def __check_init__(self):
        if not isinstance(self.law, (Gaussian, Uniform)) or self.law.points.ndim != 1:
            raise ValueError(f"Piecewise: a Gaussian or Uniform law of a number is expected; got {self.law!r}.")
        if self.order < 1:
            raise ValueError(f"Piecewise: at least one node is needed in each piece; got order={self.order}.")

    def _density(self) -> tuple[Scalar, Scalar, Callable[[Array], Array]]:
        """The ends of the support, and the density up to a factor."""
        if isinstance(self.law, Uniform):
            return self.law.low, self.law.high, jnp.ones_like
        assert isinstance(self.law, Gaussian)
        mean, spread = self.law.mean, jnp.sqrt(self.law.covariance)
        return mean - _TAILS * spread, mean + _TAILS * spread, lambda u: jnp.exp(-(((u - mean) / spread) ** 2) / 2)

    def _rule(self) -> tuple[Array, Array]:
        low, high, density = self._density()
        inner = jnp.clip(self.at.astype(low.dtype), low, high)
        edges = jnp.sort(jnp.concatenate([low[None], inner, high[None]]))
        nodes, weights = (jnp.asarray(v, low.dtype) for v in np.polynomial.legendre.leggauss(self.order))

        def piece(a: Array, b: Array) -> tuple[Array, Array]:
            points = (a + b) / 2 + (b - a) / 2 * nodes
            return points, (b - a) / 2 * weights * density(points)

        points, masses = (v.reshape(-1) for v in jax.vmap(piece)(edges[:-1], edges[1:]))
        return points, masses / jnp.sum(masses)

    @property
    def points(self) -> Float[Array, " n"]:
        """The nodes of all pieces."""
        return self._rule()[0]

    @property
    def weights(self) -> Float[Array, " n"]:
        """Their weights, normalised."""
        return self._rule()[1]

    def sample(self, key: Key[Array, ""], count: int) -> Discrete:
        """Independent points of the law."""
        return self.law.sample(key, count)

    def companion(self) -> "Piecewise":
        """The same law with half as many nodes again in each piece."""
        return Piecewise(self.law, self.at, self.order * 3 // 2 + 1)


class Kinked(AbstractGame):
    """A GAN on the line whose integrands have kinks: both laws are split where the kinks are, at every state anew.

    The losses and all their derivatives are exact then, although the discriminator is not smooth.

    Args:
        game: The GAN, with `Piecewise` laws of the data and of the latent.
        kinks: A function or module `x -> (points, points)`: where the payoff has kinks as a function of the data, and of the
            latent; each of shape `(k,)`.

    Raises:
        ValueError: Laws that are not `Piecewise`.
    """

    game: GAN
    kinks: Callable = eqx.field(converter=_tree.function)

    def __check_init__(self):
        if not (isinstance(self.game.real, Piecewise) and isinstance(self.game.latent, Piecewise)):
            raise ValueError("Kinked splits the laws of its GAN: both must be gd.Piecewise(law).")

    def split(self, x: Players) -> GAN:
        """The GAN with its laws split where this state has kinks."""
        return eqx.tree_at(lambda gan: (gan.real.at, gan.latent.at), self.game, self.kinks(x))

    def losses(self, x: PyTree) -> tuple[Scalar, ...]:
        """Those of the GAN."""
        return self.split(x).losses(x)

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the GAN."""
        return self.split(x).switches(x)
