"""Sections: surfaces for an orbit to cross."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from . import _tree
from ._evolve import prepare
from ._field import Flat
from ._system import AbstractFlow


class _Plane(eqx.Module):
    point: PyTree
    normal: PyTree

    def __call__(self, x: PyTree) -> Scalar:
        return _tree.dot(self.normal, _tree.subtract(x, self.point))


class Section(eqx.Module):
    r"""A surface :math:`g(x) = 0` for an orbit to cross.

    Args:
        function: Any scalar function of the state, or a module whose leaves are then parameters.
        direction: 1 for crossings at which g increases, -1 for those at which it decreases, 0 for both.
    """

    function: Callable = eqx.field(converter=_tree.function)
    direction: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"Section: the direction is 1, -1, or 0 for both; got {self.direction!r}.")

    def __call__(self, x: PyTree) -> Scalar:
        """The value of g."""
        return jnp.asarray(self.function(x))

    @staticmethod
    def through(point: PyTree, normal: PyTree, direction: int = 1) -> "Section":
        r"""The hyperplane :math:`n\cdot(x - p) = 0`.

        Args:
            point: A state p on it.
            normal: The normal n, like a state.
            direction: As of any section.

        Returns:
            A section whose point and normal are parameters.
        """
        point, normal = _tree.state_arrays(point), _tree.state_arrays(normal)
        _tree.check_like(normal, point, "Section.through was given the normal")
        return Section(_Plane(point, normal), direction)

    @staticmethod
    def across(flow: AbstractFlow, x: PyTree) -> "Section":
        """The hyperplane through a state at right angles to the velocity there, which the orbit crosses as squarely as it can.

        Args:
            flow: The flow.
            x: The state.

        Returns:
            A section, with the direction of the velocity.
        """
        flow, x = prepare(flow, x)
        return Section.through(x, _velocity(flow, x))


@eqx.filter_jit
def _velocity(flow: AbstractFlow, x: PyTree) -> PyTree:
    return flow(x)


class OnVectors(eqx.Module):
    """A section's function on vectors."""

    section: Section
    unravel: Callable

    def __call__(self, y: Float[Array, " n"]) -> Scalar:
        return self.section(self.unravel(y)).astype(y.dtype)


def on_vectors(section: Section, field: Flat) -> Callable[[Array], Scalar]:
    """A section's function on the vectors of a field."""
    return OnVectors(section, field.unravel)


def prepare_section(flow: AbstractFlow, x: PyTree, section: Section | None) -> Section:
    """The section with arrays for numbers, checked to be a scalar; the one across the flow if there is none."""
    chosen: Section = Section.across(flow, x) if section is None else _tree.system_arrays(section)
    shape = jax.eval_shape(chosen, x).shape
    if shape != ():
        raise ValueError(f"A section is a scalar function of the state; this one returns shape {shape}.")
    return chosen
