"""Regularisers of the field: every player also descends a squared norm of a field."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar, ScalarLike

from .. import _tree
from .._system import AbstractFlow, AbstractGame


def everyone(player: int, part: int) -> bool:
    """Every player descends the norm of the whole field."""
    return True


def others(player: int, part: int) -> bool:
    """Each player descends the norm of the other players' parts of the field."""
    return player != part


def generator_only(player: int, part: int) -> bool:
    """The first player descends the norm of the second one's part; nobody else descends anything."""
    return (player, part) == (0, 1)


class FieldNorm(AbstractFlow):
    r"""A flow whose players also descend squared norms of a field.

    .. math:: \dot x_i = v_i(x) - \frac w2 \nabla_{x_i} \sum_j [i \sim j]\, \lVert u_j(x) \rVert^2

    Args:
        flow: The field :math:`v` to regularise.
        weight: The weight w, a leaf.
        coupling: Which norms a player descends: `everyone`, `others` or `generator_only`.
        of: The field :math:`u` whose norm is taken; `flow` itself if left out. Pass the raw game to keep the norm from
            seeing other regularisers.
    """

    flow: AbstractFlow
    weight: Scalar = eqx.field(converter=_tree.real)
    coupling: Callable = eqx.field(converter=_tree.function)
    of: AbstractFlow | None = None

    def __check_init__(self):
        for name, field in (("flow", self.flow), ("of", self.of)):
            if field is not None and not isinstance(field, AbstractFlow):
                raise ValueError(f"FieldNorm: {name} must be a flow or a game; got {type(field).__name__}.")

    def __call__(self, x: PyTree) -> PyTree:
        """The regularised velocity."""
        parts = _tree.players(x)
        n = len(parts)
        if n < 2 and self.coupling(0, 0) is False:
            raise ValueError(f"This regulariser couples players; the state {_tree.describe(x)} has only one.")
        watched = [tuple(j for j in range(n) if self.coupling(i, j)) for i in range(n)]
        if self.of is None and isinstance(self.flow, AbstractGame):
            return self.flow.descending(x, watched, lambda field: self.weight / 2 * _tree.dot(field, field))
        normed = self.flow if self.of is None else self.of
        gradients = [jax.tree.map(jnp.zeros_like, part) for part in parts]
        for seen in sorted(set(watched) - {()}):
            field, pullback = jax.vjp(lambda y, seen=seen: [_tree.players(normed(y))[j] for j in seen], x)
            slopes = _tree.players(pullback(field)[0])
            gradients = [slopes[i] if watched[i] == seen else old for i, old in enumerate(gradients)]
        return _tree.axpy(-self.weight, _tree.with_players(x, gradients), self.flow(x))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of both fields."""
        own = self.flow.switches(x)
        return own if self.of is None else jnp.concatenate([own, self.of.switches(x)])


def consensus(flow: AbstractFlow, gamma: ScalarLike, of: AbstractFlow | None = None) -> FieldNorm:
    r"""Consensus optimisation, :math:`v - \tfrac\gamma2 \nabla \lVert u \rVert^2` (Mescheder, Nowozin and Geiger, 2017).

    Args:
        flow: The field to regularise.
        gamma: Strength, a leaf. Unit: time.
        of: The field u whose norm is taken; `flow` itself if left out.

    Returns:
        A flow on the same state.
    """
    return FieldNorm(flow, gamma, everyone, of)


def jare(flow: AbstractFlow, gamma: ScalarLike, of: AbstractFlow | None = None) -> FieldNorm:
    r"""Jacobian regularisation, :math:`v_i - \tfrac\gamma2 \nabla_i \sum_{j\ne i} \lVert u_j \rVert^2` (Nie and Patel, 2019).

    Args:
        flow: The field to regularise.
        gamma: Strength, a leaf. Unit: time.
        of: The field u whose norm is taken; `flow` itself if left out.

    Returns:
        A flow on the same state.
    """
    return FieldNorm(flow, gamma, others, of)


def nagarajan_kolter(flow: AbstractFlow, eta: ScalarLike, of: AbstractFlow | None = None) -> FieldNorm:
    r"""The gradient-norm regulariser, :math:`v_G - \eta \nabla_G \lVert u_D \rVert^2` (Nagarajan and Kolter, 2017).

    No factor one half: its `weight` is :math:`2\eta`.

    Args:
        flow: The field to regularise, on a state of generator, then discriminator.
        eta: Strength. Unit: time.
        of: The field u whose norm is taken; `flow` itself if left out.

    Returns:
        A flow on the same state.
    """
    return FieldNorm(flow, 2 * _tree.real(eta), generator_only, of)
