"""Second derivatives of the two players' losses at a point, on the tangent space of what binds them there."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._constraint import AbstractConstraint
from .._system import AbstractGame, Players
from ..games._distance import beneath
from ..games._measure import companion
from ._stability import _steps

_RETRACTIONS = 8


class Local(AbstractGame):
    """A game in coordinates of each player's own: its parameters, or those along the constraints that bind it.

    The level set of the constraints is followed by Newton's method across it, so that the second derivatives of a loss are
    those of its Lagrangian on the tangent space.
    """

    game: AbstractGame
    x: PyTree
    constraint: AbstractConstraint | None = None
    along: tuple[Array | None, Array | None] = (None, None)
    across: tuple[Array | None, Array | None] = (None, None)
    active: tuple[tuple[int, ...], tuple[int, ...]] = eqx.field(static=True, default=((), ()))

    def start(self) -> Players:
        """The coordinates of the point."""
        vectors = [_tree.ravel(player)[0] for player in _tree.players(self.x)]
        pairs = zip(vectors, self.along, strict=True)
        return Players(*(v if basis is None else basis.T @ v for v, basis in pairs))

    def _player(self, i: int, y: Array) -> PyTree:
        players = _tree.players(self.x)
        centre, unravel = _tree.ravel(players[i])
        along, across, constraint = self.along[i], self.across[i], self.constraint
        if along is None or across is None or constraint is None:
            return unravel(y)

        def margins(v: Array) -> Array:
            state = _tree.with_players(self.x, [unravel(v) if j == i else p for j, p in enumerate(players)])
            return constraint.margins(state)[np.array(self.active[i])]

        level = margins(centre)
        moved = centre + along @ (y - along.T @ centre)
        back = jax.lax.scan(lambda v, _: (v - across @ (margins(v) - level), None), moved, length=_RETRACTIONS)[0]
        return unravel(back)

    def state(self, y: Players) -> PyTree:
        """The state with these coordinates."""
        return _tree.with_players(self.x, [self._player(i, v) for i, v in enumerate(y)])

    def losses(self, x: Players) -> tuple[Scalar, Scalar]:
        """Those of the game."""
        generator, discriminator = self.game.losses(self.state(x))
        return generator, discriminator

    def precision(self, x: Players) -> float:
        """That of the game."""
        return self.game.precision(self.state(x))

    def switches(self, x: Players) -> Float[Array, " k"]:
        """Those of the game."""
        return self.game.switches(self.state(x))


class Derivatives(NamedTuple):
    """Gradients `(2, n)` and Hessians `(2, n, n)` of both losses, half the norm's Hessian, and bounds on their errors."""

    gradients: Array
    hessians: Array
    metric: Array
    level: Array
    metric_level: Array
    aside: Array
    zero_sum: Array


def finest(game: "Local") -> "Local":
    """The game under quadratures of another order, or itself."""
    other = companion(game)
    return game if other is None else other


def losses_at(game: AbstractGame, y: Players, v: Array) -> Array:
    """Both losses at a vector of coordinates."""
    return jnp.stack(game.losses(_tree.ravel(y)[1](v)))


@eqx.filter_jit
def derivatives(game: Local, norm: Callable) -> Derivatives:
    """The derivatives at the point itself, compared with those on the far side of the stationary point beside it.

    As in `stability`: a stationary point of higher order, whose Hessian is singular, is covered with its singular one; and
    with those under quadratures of another order.
    """
    y, reference = game.start(), finest(game)
    vector = _tree.ravel(y)[0]
    eps, fine, k = _tree.eps(y), game.precision(y), y.generator.size

    def slopes(g: Local, v: Array) -> Array:
        return jax.jacrev(lambda u: losses_at(g, y, u))(v)

    def curvatures(g: Local, v: Array) -> Array:
        return jax.jacfwd(lambda u: slopes(g, u))(v)

    def field(rows: Array) -> Array:
        return jnp.concatenate([rows[0, :k], rows[1, k:]])

    def metric(g: Local) -> Array:
        here = g.state(y)
        inside = beneath(g.game)
        return jax.hessian(lambda w: norm(inside, g.state(Players(y.generator, w)), here))(y.discriminator) / 2

    hessians, squares = curvatures(game, vector), metric(game)
    residual, slope = field(slopes(reference, vector)), field(hessians)
    noise = jnp.abs(slope) @ jnp.abs(vector)
    residual = residual + fine * jnp.where(residual < 0, -noise, noise)
    strong, weak, steep = _steps(slope, residual, 0.01 * (1 + jnp.linalg.norm(vector)), eps, None)
    aside = jnp.stack([vector, vector - 2 * strong, vector - 2 * weak])

    def change(v: Array) -> Array:
        return jnp.linalg.norm(curvatures(reference, v) - hessians, axis=(1, 2)).max()

    moved, turned = jax.lax.map(change, aside[1:])
    weakly = jnp.where(turned < 2 * steep, 2 * turned, 4 * steep)
    size = jnp.linalg.norm(hessians, axis=(1, 2)).max()
    tiny = jnp.finfo(vector.dtype).tiny
    level = 4 * vector.size * fine * size + 2 * moved + weakly + tiny
    blur = 4 * vector.size * fine * jnp.linalg.norm(squares) + 2 * jnp.linalg.norm(squares - metric(reference)) + tiny
    return Derivatives(slopes(game, vector), hessians, squares, level, blur, aside, opposed(game))


@eqx.filter_jit
def opposed(game: Local) -> Array:
    """Whether the losses add up to a constant, here and around: whether the game is zero-sum."""
    y = game.start()
    vector = _tree.ravel(y)[0]
    generic = jnp.cos(jnp.outer(jnp.arange(1.0, 4.0), jnp.arange(1.0, vector.size + 1))).astype(vector.dtype)
    away = vector[None] + 0.01 * (1 + jnp.abs(vector))[None] * generic
    both = jax.lax.map(lambda v: losses_at(game, y, v), jnp.concatenate([vector[None], away]))
    return jnp.ptp(both.sum(axis=1)) <= 1e3 * game.precision(y) * (1 + jnp.abs(both).max())
