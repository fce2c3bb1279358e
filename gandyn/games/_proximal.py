"""The proximal objective: what the generator faces once the discriminator has improved, at a price for moving."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._results import RESULTS, first, worst
from .._system import AbstractFlow, AbstractGame
from ._distance import beneath, euclidean
from ._inner import check_ahead, foresee

Vector = Float[Array, " n"]
_STEPS = 256


def _check(game: Any, lam: Array, name: str) -> None:
    if not isinstance(game, AbstractGame):
        raise ValueError(f"{name} takes a game, because a player's loss is optimised; got {type(game).__name__}.")
    if _tree.concrete(lam) and not 0 <= np.asarray(lam) < np.inf:
        raise ValueError(f"{name}: lam must be finite and not negative; got {lam}.")


def _two(x: PyTree, name: str) -> tuple[PyTree, PyTree]:
    players = _tree.players(x)
    if len(players) != 2:
        raise ValueError(f"{name} takes a game of a generator and a discriminator; the state is {_tree.describe(x)}.")
    return players[0], players[1]


def _solve(product: Callable[[Vector], Vector], right: Vector) -> Vector:
    """The solution of a symmetric linear system."""
    return jnp.linalg.solve(jax.vmap(product)(jnp.eye(right.size, dtype=right.dtype)), right)


def _newton(cost: Callable[[Vector], Scalar], w: Vector) -> tuple[Vector, Array, Array]:
    """Newton's steps from nearby: where they end, the length of the last, and the smallest curvature there.

    Curvatures that are zero to rounding count as zero, and their directions are left alone.
    """
    eps = jnp.finfo(w.dtype).eps

    def step(v: Vector, _: None) -> tuple[Vector, tuple[Array, Array]]:
        sizes, basis = jnp.linalg.eigh(jax.hessian(cost)(v))
        largest = jnp.max(jnp.abs(sizes))
        flat = jnp.abs(sizes) <= 10 * v.size * eps * largest
        move = basis @ jnp.where(flat, 0.0, (jax.grad(cost)(v) @ basis) / jnp.where(flat, 1.0, sizes))
        return v - move, (jnp.linalg.norm(move), jnp.where(flat, 0.0, sizes)[0])

    end, (lengths, smallest) = jax.lax.scan(step, w, length=4)
    return end, lengths[-1], smallest[-1]


def _minimum(cost: Callable[[Vector], Scalar], start: Vector, solver: Any) -> tuple[Vector, RESULTS]:
    """The minimum that descent from a start leads to, to rounding, and what was found if there is none."""
    # In the default type, which optimistix takes for granted.
    kind, eps = jnp.result_type(float), jnp.finfo(start.dtype).eps

    def wide(w: Vector, _: None) -> Scalar:
        return cost(w.astype(start.dtype)).astype(kind)

    tolerance = float(eps) ** 0.5
    solver = optx.BFGS(rtol=tolerance, atol=tolerance) if solver is None else solver
    descent = optx.minimise(wide, solver, start.astype(kind), max_steps=_STEPS, throw=False)
    end, length, smallest = _newton(cost, descent.value.astype(start.dtype))
    found = length <= eps**0.5 * (1 + jnp.linalg.norm(end))
    convex = found & (smallest > 0)
    lost = (descent.result != optx.RESULTS.successful) | ~found
    result = worst(
        (convex, RESULTS.successful),
        (lost, RESULTS.inner_unbounded),
        (smallest < 0, RESULTS.inner_saddle),
        (~convex, RESULTS.inner_flat),
    )
    return end, result


class Proximal(AbstractGame):
    r"""The proximal game (Farnia and Ozdaglar, 2020): the discriminator's payoff is the best one nearby, at a price for moving.

    .. math:: V_\lambda(\theta, \psi) = \max_{\tilde\psi}\; -\ell_D(\theta, \tilde\psi) - \lambda\, d(\tilde\psi, \psi)

    with a squared distance d, attained at :math:`\tilde\psi`. The discriminator's loss is :math:`-V_\lambda`; the generator's
    is its own at :math:`\tilde\psi` less the same price, :math:`\ell_G(\theta, \tilde\psi) - \lambda\,d(\tilde\psi, \psi)`.
    In a zero-sum game that is :math:`V_\lambda`, and it changes continuously as the discriminator is given a penalty of its
    own; in other games the generator also foresees what the discriminator will answer, which moves the equilibria. An
    equilibrium of a zero-sum game is a proximal one if the generator cannot lower :math:`V_\lambda` there. Large
    :math:`\lambda` give the game itself; at zero the generator faces the discriminator's best response (Stackelberg).

    The maximum is the one that ascent from :math:`\psi` leads to, solved for to rounding by a dense Newton's method at the end
    and differentiated by the implicit function theorem: the gradient is then that of the envelope theorem, and the Jacobian
    knows that the maximum moves. Where there is no strict maximum there is no value, and `failure` says what was found. For
    networks see `ProximalTraining`.

    Args:
        game: A game of two players, zero-sum or not, with or without penalties.
        lam: The price :math:`\lambda`, a leaf, not negative.
        norm: The squared distance: `euclidean`, `sobolev`, or any function `(game, x, y) -> scalar` of two states that looks at
            their discriminators only, called with the game beneath all penalties; least, and zero, at equal ones.
        solver: An optimistix minimiser; BFGS if left out.

    Raises:
        ValueError: No game, or a negative price.
    """

    game: AbstractGame
    lam: Scalar = eqx.field(converter=_tree.real)
    norm: Callable = eqx.field(converter=_tree.function, default=euclidean)
    solver: Any = eqx.field(static=True, default=None)

    def __check_init__(self):
        _check(self.game, self.lam, "Proximal")

    def _inner(self, x: PyTree) -> tuple[Callable[[Vector], Scalar], Vector, Callable[[Vector], PyTree]]:
        """What the discriminator pays as a function of its parameters, those it has, and the state with others."""
        leader, follower = _two(x, "Proximal")
        start, unravel = _tree.ravel(follower)

        def state(w: Vector) -> PyTree:
            return _tree.with_players(x, [leader, unravel(w)])

        def cost(w: Vector) -> Scalar:
            return self._losses(state(w), x)[1]

        return cost, start, state

    def _losses(self, y: PyTree, x: PyTree) -> tuple[Scalar, Scalar]:
        """The losses after a move from `x` to `y`, whose price goes from one player to the other."""
        price = self.lam * self.norm(beneath(self.game), y, x)
        generator, discriminator = self.game.losses(y)
        return generator - price, discriminator + price

    @eqx.filter_jit
    def _search(self, x: PyTree) -> tuple[Vector, RESULTS]:
        cost, start, _ = self._inner(x)
        return _minimum(cost, start, self.solver)

    # Compiled as one function, whose trace is used again wherever a verb evaluates the game.
    @eqx.filter_jit
    def _maximum(self, x: PyTree) -> PyTree:
        cost, start, state = self._inner(x)

        def solve(*_: Any) -> Vector:
            end, result = self._search(x)
            return jnp.where(result == RESULTS.successful, end, jnp.nan)

        return state(jax.lax.custom_root(jax.grad(cost), start, solve, _solve))

    def maximum(self, x: PyTree) -> PyTree:
        r"""The state with the discriminator at :math:`\tilde\psi`, differentiable; NaN there if there is no maximum."""
        return self._maximum(x)

    def losses(self, x: PyTree) -> tuple[Scalar, Scalar]:
        """The generator's and the discriminator's loss at the inner maximum; NaN if there is none."""
        return self._losses(self.maximum(x), x)

    def failure(self, x: PyTree) -> RESULTS:
        """What was found in place of a maximum, unless it is the game that has no value here."""
        found = RESULTS.where(_tree.finite(self.game(x)), self._search(x)[1], RESULTS.successful)
        return first(found, super().failure(x))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the game at the inner maximum."""
        return self.game.switches(self.maximum(x))


class ProximalTraining(AbstractFlow):
    r"""Proximal training (Farnia and Ozdaglar, 2020): the proximal game's field after finitely many steps of its inner ascent.

    .. math::
        \tilde\psi_0 = \psi, \qquad \tilde\psi_{j+1} = \tilde\psi_j
        - h\,\nabla_{\tilde\psi}\bigl(\ell_D(\theta, \tilde\psi_j) + \lambda\,d(\tilde\psi_j, \psi)\bigr)

    .. math::
        \dot\theta = -\nabla_\theta\,\ell_G(\theta, \tilde\psi_k), \qquad
        \dot\psi = -\lambda\,\nabla_\psi\,d(\tilde\psi_k, \psi)

    The gradients hold :math:`\tilde\psi_k` fixed and the Jacobian does not. In zero-sum games the field tends to that of
    `Proximal` as the steps grow in number; in others the generator there also foresees how the discriminator answers. Under
    `SimGD`, `AltGD` or `Optax` it is the training algorithm. Where the inner steps overshoot there is no value.

    Args:
        game: A game of two players.
        lam: The price :math:`\lambda`, a leaf, not negative.
        steps: How many inner steps k, at least one.
        h: Their size, a leaf.
        norm: The squared distance d, as in `Proximal`.

    Raises:
        ValueError: No game, a negative price, no step, or a step size that is not positive.
    """

    game: AbstractGame
    lam: Scalar = eqx.field(converter=_tree.real)
    steps: int = eqx.field(static=True)
    h: Scalar = eqx.field(converter=_tree.real)
    norm: Callable = eqx.field(converter=_tree.function, default=euclidean)

    def __check_init__(self):
        _check(self.game, self.lam, "ProximalTraining")
        check_ahead(self.steps, self.h, "ProximalTraining")

    def _pull(self, y: PyTree, x: PyTree) -> PyTree:
        r"""The discriminator's part of :math:`-\lambda\nabla_y\,d(y, x)`."""
        slope = jax.grad(lambda z: self.norm(beneath(self.game), z, x))(y)
        return jax.tree.map(lambda s: -self.lam.astype(s.dtype) * s, _tree.players(slope)[1])

    def _ahead(self, x: PyTree) -> tuple[PyTree, Array]:
        leader, _ = _two(x, "ProximalTraining")

        def step(y: PyTree) -> PyTree:
            moved = _tree.axpy(1.0, self._pull(y, x), _tree.players(self.game(y))[1])
            return _tree.with_players(x, [leader, _tree.axpy(self.h, moved, _tree.players(y)[1])])

        return foresee(step, x, self.steps)

    def __call__(self, x: PyTree) -> PyTree:
        """The velocity; NaN if the inner steps overshoot."""
        ahead, diverged = self._ahead(x)
        field = _tree.with_players(x, [_tree.players(self.game(ahead))[0], self._pull(x, ahead)])
        return jax.tree.map(lambda v: jnp.where(diverged, jnp.nan, v), field)

    def losses(self, x: PyTree) -> tuple[Scalar, Scalar]:
        r"""The proximal game's losses after the inner steps, with :math:`\tilde\psi_k` held fixed in their derivatives."""
        ahead = jax.lax.stop_gradient(self._ahead(x)[0])
        ahead = _tree.with_players(x, [_two(x, "ProximalTraining")[0], _tree.players(ahead)[1]])
        price = self.lam * self.norm(beneath(self.game), ahead, x)
        generator, discriminator = self.game.losses(ahead)
        return generator - price, discriminator + price

    def failure(self, x: PyTree) -> RESULTS:
        """The inner steps overshoot, unless it is the game that has no value here."""
        return worst((~_tree.finite(self.game(x)), super().failure(x)), (self._ahead(x)[1], RESULTS.inner_diverged))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the game after the inner steps."""
        return self.game.switches(self._ahead(x)[0])
