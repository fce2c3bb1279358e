"""Penalties on a player's loss: a regulariser turns a game into a game."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractGame, Players
from ._gan import AbstractGAN
from ._measure import AbstractMeasure, AbstractRule, Image
from ._quadrature import Uniform


class Penalised(AbstractGame):
    r"""A game whose players pay a penalty, :math:`\ell_i + w R(x)`.

    Args:
        game: The game; penalties nest in any order.
        penalty: A function or module `(game, x) -> scalar`, called with the game under all penalties: `r1`, `r2`,
            `gradient_penalty(...)`, `weight_decay`, or one's own.
        weight: The weight w, a leaf.
        player: Who pays: a name of the state's fields, or a tuple of names.
    """

    game: AbstractGame
    penalty: Callable = eqx.field(converter=_tree.function)
    weight: Scalar = eqx.field(converter=_tree.real)
    player: Any = eqx.field(static=True, default="discriminator")

    def __check_init__(self):
        if not isinstance(self.game, AbstractGame):
            raise ValueError(
                f"Penalised takes a game, because a penalty is added to a loss; got {type(self.game).__name__}. "
                "Penalise the game first and regularise the field after: consensus(Penalised(game, r1, 0.3), 0.1)."
            )

    @property
    def base(self) -> AbstractGame:
        """The game under all penalties."""
        return self.game.base if isinstance(self.game, Penalised) else self.game

    def losses(self, x: PyTree) -> tuple[Scalar, ...]:
        """The game's losses, with the penalty added for those who pay."""
        names = self.player if isinstance(self.player, tuple) else (self.player,)
        paying = {_tree.player_index(x, name) for name in names}
        penalty = self.weight * self.penalty(self.base, x)
        return tuple(loss + penalty if i in paying else loss for i, loss in enumerate(self.game.losses(x)))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the game and of the penalty."""
        own = self.penalty.switches(self.base, x) if isinstance(self.penalty, GradientPenalty) else jnp.zeros((0,))
        return jnp.concatenate([self.game.switches(x), own])


def _gan(game: AbstractGame) -> AbstractGAN:
    if not isinstance(game, AbstractGAN):
        raise ValueError(f"This penalty needs a GAN, whose discriminator has an input gradient; got {type(game).__name__}.")
    return game


def _squared_slope(game: AbstractGame, x: Players) -> Callable[[Array], Scalar]:
    slope = jax.grad(_gan(game).critic(x))
    return lambda point: jnp.sum(slope(point) ** 2)


def r1(game: AbstractGame, x: Players) -> Scalar:
    r"""The zero-centred penalty on real data, :math:`\tfrac12\,\mathbb E_{\rm real}\lVert\nabla_x D\rVert^2`.

    Mescheder, Geiger and Nowozin (2018).
    """
    return _gan(game).data.expectation(_squared_slope(game, x)) / 2


def r2(game: AbstractGame, x: Players) -> Scalar:
    r"""The zero-centred penalty on generated data, :math:`\tfrac12\,\mathbb E_{\rm fake}\lVert\nabla_x D\rVert^2`.

    Mescheder, Geiger and Nowozin (2018).
    """
    return _gan(game).samples(x).expectation(_squared_slope(game, x)) / 2


def weight_decay(game: AbstractGame, x: PyTree) -> Scalar:
    r"""Half the squared norm of the state, :math:`\tfrac12\lVert x\rVert^2`; each payer feels its own part only."""
    return _tree.dot(x, x) / 2


def on_real(gan: AbstractGAN, x: Players) -> AbstractMeasure:
    """The real points."""
    return gan.data


def on_generated(gan: AbstractGAN, x: Players) -> AbstractMeasure:
    """The generated points."""
    return gan.samples(x)


def on_segments(gan: AbstractGAN, x: Players) -> AbstractMeasure:
    """One point between each real and each generated sample of a mini-batch, in pairs (Gulrajani et al., 2017).

    Independent samples may be paired in any order, and so the i-th of n pairs has its point at the share (i + 1/2)/n of the
    segment: every share is there once, which varies less than a draw of each. For laws with quadrature rules there is
    `Segments`, which takes all pairs.

    Raises:
        ValueError: The laws have different numbers of points.
    """
    ends, others = gan.data, gan.samples(x)
    count = len(ends.weights)
    if len(others.weights) != count:
        raise ValueError(
            f"on_segments pairs samples, as many real as generated; there are {count} and {len(others.weights)} points. Draw "
            "mini-batches, gd.Random(step, gd.training.Batches(128), key), or take gd.Segments()."
        )
    shares = (jnp.arange(count, dtype=ends.points.dtype) + 0.5) / count
    return Image(jax.vmap(_between)(shares, ends.points, others.points), ends.weights)


def _between(t: Array, a: Array, b: Array) -> Array:
    return (1 - t) * a + t * b


class Segments(AbstractRule):
    """Points between a real and a generated one, uniformly along the segment (Gulrajani et al., 2017).

    Args:
        order: Gauss–Legendre nodes along each segment.

    Raises:
        ValueError: An order below one.
    """

    order: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        if self.order < 1:
            raise ValueError(f"Segments: at least one node is needed along each segment; got order={self.order}.")

    def __call__(self, gan: AbstractGAN, x: Players) -> AbstractMeasure:
        """The law of the points of a GAN at a state."""
        ends, others = gan.data, gan.samples(x)
        kind = ends.points.dtype
        along = Uniform(jnp.zeros((), kind), jnp.ones((), kind), self.order)
        pairs = jax.vmap(jax.vmap(jax.vmap(_between, (0, None, None)), (None, None, 0)), (None, 0, None))
        points = pairs(along.points, ends.points, others.points)
        weights = ends.weights[:, None, None] * others.weights[None, :, None] * along.weights[None, None, :]
        return Image(points.reshape(-1, *points.shape[3:]), weights.reshape(-1))

    def companion(self) -> "Segments":
        """The same points with half as many nodes again."""
        return Segments(self.order * 3 // 2 + 1)


def _slope(squared: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The square root, with a zero subgradient at zero where its own derivative is infinite."""
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def two_sided(squared: Scalar, centre: Scalar) -> Scalar:
    r""":math:`\tfrac12 (s - g_0)^2` of the squared slope :math:`s^2`; a kink at zero slope unless :math:`g_0 = 0`."""
    return squared / 2 - centre * _slope(squared) + centre**2 / 2


def one_sided(squared: Scalar, centre: Scalar) -> Scalar:
    r""":math:`\tfrac12 \max(0, s - g_0)^2` of the squared slope :math:`s^2`; a kink at :math:`s = g_0 > 0`."""
    return jnp.where(_slope(squared) >= centre, two_sided(squared, centre), 0.0)


def quartic(squared: Scalar, centre: Scalar) -> Scalar:
    r""":math:`\tfrac14 (s^2 - g_0^2)^2` of the squared slope :math:`s^2`; smooth everywhere."""
    return (squared - centre**2) ** 2 / 4


class GradientPenalty(eqx.Module):
    """The penalty that `gradient_penalty` makes."""

    centre: Scalar = eqx.field(converter=_tree.real)
    form: Callable = eqx.field(converter=_tree.function)
    points: Callable = eqx.field(converter=_tree.function)

    def __call__(self, game: AbstractGame, x: Players) -> Scalar:
        squared = _squared_slope(game, x)
        return self.points(_gan(game), x).expectation(lambda point: self.form(squared(point), self.centre))

    def switches(self, game: AbstractGame, x: Players) -> Float[Array, " k"]:
        """Zero where `two_sided` has zero slope or `one_sided` the slope of its centre.

        With inputs of one coordinate the slope of `two_sided` has a sign, so that an orbit crosses zero; of more, it is a norm.
        """
        form = self.form.func if isinstance(self.form, jax.tree_util.Partial) else self.form
        if form not in (two_sided, one_sided):
            return jnp.zeros((0,))
        points = self.points(_gan(game), x).points
        slopes = _slope(jax.vmap(_squared_slope(game, x))(points))
        if form is two_sided and points.size == points.shape[0]:
            slopes = jax.vmap(jax.grad(_gan(game).critic(x)))(points).reshape(-1)
        return jnp.where(self.centre == 0, 1.0, slopes - self.centre if form is one_sided else slopes)


def gradient_penalty(
    centre: Scalar | float = 1.0, form: Callable = two_sided, points: Callable = Segments()
) -> GradientPenalty:
    r"""A penalty on the discriminator's input gradient, :math:`\mathbb E\,\rho(\lVert\nabla_x D\rVert, g_0)`.

    The default is that of WGAN-GP (Gulrajani et al., 2017) with the factor one half of R1.

    Args:
        centre: The wanted slope :math:`g_0`, a leaf.
        form: `two_sided`, `one_sided` (WGAN-LP) or `quartic`, or one's own function of the squared slope and the centre.
        points: `Segments()`, `on_segments`, `on_real` or `on_generated`: where the slope is taken.

    Returns:
        A penalty for `Penalised`.
    """
    return GradientPenalty(centre, form, points)
