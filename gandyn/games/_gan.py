"""The generative adversarial network as a game, for any generator, discriminator, data and formulation."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractGame, Players
from ..objectives import AbstractObjective
from ._composite import Convolution
from ._measure import AbstractMeasure, Image


def _applied(name: str, player: Callable, parameters: PyTree, point: Array) -> Array:
    try:
        return player(parameters, point)
    except (TypeError, ValueError) as error:
        # JAX's remarks on its own frames come below.
        reason = str(error).split("\n")[0]
        raise TypeError(
            f"The {name} cannot take points of shape {jnp.shape(point)} with the parameters it was given: {reason}"
        ) from error


class AbstractGAN(AbstractGame):
    """What all games of a generator against a discriminator share, on the state `Players(generator, discriminator)`.

    One's own has these fields, `value` and `losses`; penalties and norms of the discriminator take it then. If it has a field
    `noise`, that law is added to real and generated points alike, and `instance_noise` takes it too.
    """

    generator: eqx.AbstractVar[Callable]
    discriminator: eqx.AbstractVar[Callable]
    real: eqx.AbstractVar[AbstractMeasure]
    latent: eqx.AbstractVar[AbstractMeasure]

    def __check_init__(self):
        name = type(self).__name__
        laws = {"real": self.real, "latent": self.latent, **({} if self._noise is None else {"noise": self._noise})}
        for law, measure in laws.items():
            if not isinstance(measure, AbstractMeasure):
                raise ValueError(f"{name}: {law} must be a measure, such as gd.Gaussian(0.0, 1.0); got {measure!r}.")

    @abc.abstractmethod
    def value(self, x: Players) -> Scalar:
        """The objective V, which the discriminator maximises."""

    @property
    def _noise(self) -> AbstractMeasure | None:
        return vars(self).get("noise")

    def _blurred(self, law: AbstractMeasure) -> AbstractMeasure:
        return law if self._noise is None else Convolution(law, self._noise)

    @property
    def data(self) -> AbstractMeasure:
        """The law of the real points that the discriminator sees."""
        return self._blurred(self.real)

    def samples(self, x: Players) -> AbstractMeasure:
        """The law of the generated points that the discriminator sees."""
        points = jax.vmap(lambda z: _applied("generator", self.generator, x.generator, z))(self.latent.points)
        if points.shape[1:] != self.real.points.shape[1:]:
            raise ValueError(
                f"The generator returns points of shape {points.shape[1:]}, the data have shape "
                f"{self.real.points.shape[1:]}; both must agree."
            )
        return self._blurred(Image(points, self.latent.weights))

    def critic(self, x: Players) -> Callable[[Array], Scalar]:
        """The discriminator at its current parameters, as a function of one point."""

        def output(point: Array) -> Scalar:
            value = _applied("discriminator", self.discriminator, x.discriminator, point)
            if jnp.shape(value) != ():
                raise ValueError(f"The discriminator must return a scalar; it returned shape {jnp.shape(value)}.")
            return value

        return output


class GAN(AbstractGAN):
    r"""A GAN on the state `Players(generator, discriminator)`, its expectations weighted sums.

    .. math:: V(\theta, \psi) = \mathbb E_{x\sim p}\,g_1(D_\psi(x)) + \mathbb E_{z}\,g_2(D_\psi(G_\theta(z)))

    Args:
        generator: A function or module `(parameters, z) -> x`.
        discriminator: A function or module `(parameters, x) -> scalar`; positive means real.
        real: The law of the data.
        latent: The law of the generator's input.
        objective: A formulation from `gd.objectives`.
        noise: A law added to real and generated points alike; see `instance_noise`.
    """

    generator: Callable = eqx.field(converter=_tree.function)
    discriminator: Callable = eqx.field(converter=_tree.function)
    real: AbstractMeasure
    latent: AbstractMeasure
    objective: AbstractObjective
    noise: AbstractMeasure | None = None

    def __check_init__(self):
        if not isinstance(self.objective, AbstractObjective):
            raise ValueError(f"GAN: objective must be one of gd.objectives, such as minimax; got {self.objective!r}.")

    def value(self, x: Players) -> Scalar:
        """The objective V, which the discriminator maximises."""
        critic, g = self.critic(x), self.objective
        return self.data.expectation(lambda p: g.real(critic(p))) + self.samples(x).expectation(lambda p: g.fake(critic(p)))

    def losses(self, x: Players) -> tuple[Scalar, Scalar]:
        """The generator's loss, and minus V for the discriminator."""
        check_players(x)
        critic, value = self.critic(x), self.value(x)
        if self.objective.generator(jnp.zeros_like(value)) is None:
            return value, -value
        return self.samples(x).expectation(lambda p: self.objective.generator(critic(p))), -value

    def switches(self, x: Players) -> Float[Array, " k"]:
        """Zero where an output lies on a kink of the formulation."""
        critic = jax.vmap(self.critic(x))
        return self.objective.switches(critic(self.data.points), critic(self.samples(x).points))


def check_players(x: Any) -> None:
    """Refuse a state that is no `Players`."""
    if not isinstance(x, Players):
        raise ValueError(f"A GAN's state is gd.Players(generator, discriminator); got {_tree.describe(x)}.")


class _Apply(eqx.Module):
    static: Any = eqx.field(static=True)

    def __call__(self, parameters: PyTree, x: Array) -> Array:
        return eqx.combine(parameters, self.static)(x)


def _is_memory(node: Any) -> bool:
    return isinstance(node, eqx.nn.StateIndex)


def network(module: eqx.Module) -> tuple[PyTree, Callable[[PyTree, Array], Array]]:
    """An Equinox module as parameters and a function `(parameters, x) -> output`, for use in `GAN`.

    Args:
        module: Any callable module, such as `eqx.nn.MLP`.

    Returns:
        Its floating-point arrays, which become a player's state, and the function that applies it.

    Raises:
        ValueError: A layer that remembers what it has seen, such as `eqx.nn.BatchNorm`.
    """
    if any(map(_is_memory, jax.tree.leaves(module, is_leaf=_is_memory))):
        raise ValueError(
            "network: a layer keeps a state of its own (eqx.nn.BatchNorm, eqx.nn.SpectralNorm), so that its output is no "
            "function of the parameters and one point. Batch normalisation: take eqx.nn.LayerNorm or eqx.nn.GroupNorm. "
            "Spectral normalisation: gd.training.spectral_normalised(module), exact and without a memory."
        )
    parameters, static = eqx.partition(module, eqx.is_inexact_array)
    return parameters, _Apply(static)
