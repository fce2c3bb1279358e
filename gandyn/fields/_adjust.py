"""Adjustments of the field by its own Jacobian, and time scales of the players."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._system import AbstractFlow


class SymplecticAdjustment(AbstractFlow):
    r"""Symplectic gradient adjustment, :math:`v + \tfrac\lambda2 (J - J^\top)\,v` with :math:`J = Dv` (Balduzzi et al., 2018).

    Args:
        flow: The field.
        weight: The strength :math:`\lambda`, a leaf. Unit: time.
    """

    flow: AbstractFlow
    weight: Scalar = eqx.field(converter=_tree.real)

    def __call__(self, x: PyTree) -> PyTree:
        """The adjusted velocity."""
        velocity, pullback = jax.vjp(self.flow, x)
        forward = jax.jvp(self.flow, (x,), (velocity,))[1]
        return _tree.axpy(self.weight / 2, _tree.subtract(forward, pullback(velocity)[0]), velocity)

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the field."""
        return self.flow.switches(x)


class TimeScaled(AbstractFlow):
    r"""A flow whose players learn at their own speeds, :math:`\dot x_i = r_i v_i(x)` (Heusel et al., 2017).

    Args:
        flow: The field.
        rates: One positive number per player, in a tuple like the state; leaves.
    """

    flow: AbstractFlow
    rates: PyTree[Float[Array, ""]] = eqx.field(converter=lambda rates: jax.tree.map(_tree.real, rates))

    def __call__(self, x: PyTree) -> PyTree:
        """The scaled velocity."""
        parts, rates = _tree.players(self.flow(x)), _tree.players(self.rates)
        if len(parts) != len(rates):
            raise ValueError(f"TimeScaled: {len(rates)} rates for {len(parts)} players; give one each.")
        scaled = [jax.tree.map(lambda v, r=r: r.astype(v.dtype) * v, part) for part, r in zip(parts, rates, strict=True)]
        return _tree.with_players(x, scaled)

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the field."""
        return self.flow.switches(x)
