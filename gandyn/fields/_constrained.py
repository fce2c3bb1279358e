"""Flows on a convex set: the velocity is projected on the tangent cone, so that orbits slide along the boundary."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._constraint import AbstractConstraint, check_constraint
from .._system import AbstractFlow


class Constrained(AbstractFlow):
    r"""The projected flow :math:`\dot x = \Pi_{T_C(x)}\,v(x)` on a closed convex set C (Nagurney and Zhang, 1996).

    At the boundary an outward velocity loses the part that would leave: the limit of projected gradient steps as the step
    size goes to zero, such as weight clipping. The field jumps there, and `switches` says so.

    Args:
        flow: The field.
        constraint: A `Box`, `Ball`, `SpectralBall` or one's own. States outside stand for their projection.
    """

    flow: AbstractFlow
    constraint: AbstractConstraint

    def __check_init__(self):
        check_constraint(self.constraint, "Constrained")

    def __call__(self, x: PyTree) -> PyTree:
        """The velocity that does not leave the set."""
        inside = self.constraint.project(x)
        return self.constraint.tangent(inside, self.flow(inside))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the flow, and the boundary."""
        return jnp.concatenate([self.flow.switches(x), self.constraint.margins(x)])
