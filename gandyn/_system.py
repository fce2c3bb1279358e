"""Systems: flows, maps and games, Equinox modules `x -> system(x)` whose every array leaf is a parameter."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PyTree, Scalar

from . import _tree
from ._results import RESULTS, first, worst


class Players(NamedTuple):
    """The state of a two-player GAN: the parameters of the generator, then of the discriminator.

    Each is any pytree of arrays. A game with other players uses any tuple of its own.
    """

    generator: Any
    discriminator: Any


class AbstractSystem(eqx.Module):
    """A dynamical system on any pytree of arrays; its equilibria are the zeros of `residual`."""

    @abc.abstractmethod
    def __call__(self, x: PyTree) -> PyTree:
        """The velocity of a flow, or the next state of a map."""

    @abc.abstractmethod
    def residual(self, x: PyTree) -> PyTree:
        """Zero exactly at equilibria, with the structure of the state."""

    @abc.abstractmethod
    def exponents(self, eigenvalues: Complex[Array, "*n"]) -> Complex[Array, "*n"]:
        """Growth (real part) and rotation (imaginary part) of the modes with these eigenvalues."""

    @abc.abstractmethod
    def spectrum_of(self) -> tuple["AbstractSystem", Callable[[Array], Array]]:
        """A system and a function that turns its Jacobian's eigenvalues into this one's.

        A map that is an analytic function of a flow's linear part names the flow, so that a sweep of the step size
        solves one eigenproblem.
        """

    def failure(self, x: PyTree) -> RESULTS:
        """Why the system has no finite value at `x`, asked only then: the reason of a flow in its fields, if that has one."""
        point = self.point(x) if isinstance(self, AbstractMap) else x
        result = worst((~_tree.finite(self(x)), RESULTS.nonfinite))
        for inner in vars(self).values():
            if isinstance(inner, AbstractFlow):
                result = first(inner.failure(point), result)
        return result

    def precision(self, x: PyTree) -> float:
        """How exactly the system is evaluated, relative to its values: the machine epsilon unless overridden."""
        return _tree.eps(x)

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Functions whose zeros are the surfaces on which the field is not smooth; none unless overridden."""
        return jnp.zeros((0,))


def _identity(eigenvalues: Array) -> Array:
    return eigenvalues


class AbstractFlow(AbstractSystem):
    r"""A flow :math:`\dot x = v(x)`; calling it gives the velocity. Time has the unit of plain gradient flow."""

    def residual(self, x: PyTree) -> PyTree:
        """The velocity."""
        return self(x)

    def exponents(self, eigenvalues: Complex[Array, "*n"]) -> Complex[Array, "*n"]:
        r"""The eigenvalues :math:`\lambda` themselves, per unit time."""
        return eigenvalues

    def spectrum_of(self) -> tuple[AbstractSystem, Callable[[Array], Array]]:
        """The flow itself."""
        return self, _identity


class AbstractMap(AbstractSystem):
    """A map `x -> F(x)`; calling it gives the next state.

    A map with memory has a larger phase space than the flow it was built from: `init` lifts a point into it and
    `point` reads the point off.
    """

    def residual(self, x: PyTree) -> PyTree:
        """`F(x) - x` on the coordinates of the state."""
        return _tree.subtract(self(x), x)

    def exponents(self, eigenvalues: Complex[Array, "*n"]) -> Complex[Array, "*n"]:
        r""":math:`\log\mu` of the multipliers, per application; a zero multiplier gives minus infinity."""
        return jnp.log(eigenvalues)

    def spectrum_of(self) -> tuple[AbstractSystem, Callable[[Array], Array]]:
        """The map itself."""
        return self, _identity

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the field `flow` at the point, if the map has one; none otherwise."""
        flow = vars(self).get("flow")
        return flow.switches(self.point(x)) if isinstance(flow, AbstractFlow) else super().switches(x)

    def init(self, point: PyTree) -> PyTree:
        """The state of the map at a point of the flow's phase space."""
        return point

    def point(self, state: PyTree) -> PyTree:
        """The point of the flow's phase space in a state of the map."""
        return state

    def parts(self, state: PyTree) -> tuple["AbstractMap", ...]:
        """Maps that make up this one when applied in turn: one for each player's move of a method that alternates."""
        return (self,)

    def settle(self, state: PyTree) -> PyTree:
        """The state with its clocks where training at rest takes them; asked for by the verbs on fixed points."""
        return state

    def projected(self) -> int:
        """How many multipliers are zero by construction, because the map forgets so many directions; none unless overridden."""
        return 0

    def step_size(self) -> PyTree:
        """The leaf or leaves that scale a step, for use as a lens: `critical_step` and `compare` move them by one factor.

        The field `h` unless overridden.

        Raises:
            ValueError: There is none.
        """
        if "h" not in vars(self):
            raise ValueError(
                f"{type(self).__name__} has no step size: it needs a field `h`, or a method `step_size` of its own."
            )
        return vars(self)["h"]

    def time(self) -> Array:
        """The flow's time that one application takes: the first player's step size unless overridden.

        NaN where the step size is no time, as with optimisers that rescale their gradients.
        """
        return jax.tree.leaves(self.step_size())[0]

    def evaluations(self) -> float:
        """How often one application evaluates the field, one player's part counting as its share; once unless overridden.

        NaN where a step solves an equation, whose cost is the solver's.
        """
        return 1.0


class AbstractGame(AbstractFlow):
    r"""A game as a flow: each player descends its own loss, :math:`\dot x_i = -\nabla_{x_i} \ell_i(x)`.

    A game of one's own implements `losses` and nothing else.
    """

    @abc.abstractmethod
    def losses(self, x: PyTree) -> tuple[Scalar, ...]:
        """One loss per player, in the order of the state's players."""

    def __call__(self, x: PyTree) -> PyTree:
        """The simultaneous gradient field."""
        return self.descending(x, [()] * len(_tree.players(x)), lambda parts: jnp.zeros(()))

    def descending(self, x: PyTree, watched: Sequence[tuple[int, ...]], price: Callable[[list[PyTree]], Scalar]) -> PyTree:
        """The field if every player descends, beside its loss, a price of some players' parts of the field.

        A player's own losses are differentiated along its own parameters, and from one evaluation, so that nothing is
        computed that a program written by hand would leave out.

        Args:
            x: A state.
            watched: For each player, whose parts of the field it pays for.
            price: What it pays for these parts.
        """
        x = jax.tree.map(_tree.array, x)
        parts, gradients = _tree.players(x), []
        for i, part in enumerate(parts):

            def total(own: PyTree, i: int = i) -> Scalar:
                losses, field = self._evaluate(_tree.with_players(x, [*parts[:i], own, *parts[i + 1 :]]), watched[i])
                return losses[i] + price(field) if field else losses[i]

            loss, pullback = jax.vjp(total, part)
            gradients.append(jax.tree.map(jnp.negative, pullback(jnp.ones_like(loss))[0]))
        return _tree.with_players(x, gradients)

    def _evaluate(self, x: PyTree, watched: tuple[int, ...]) -> tuple[tuple[Scalar, ...], list[PyTree]]:
        """The losses, and some parts of the field from the same evaluation."""
        parts, field, losses = _tree.players(x), [], ()
        for i in watched:

            def loss(own: PyTree, i: int = i) -> tuple[Scalar, tuple[Scalar, ...]]:
                losses = self._checked(_tree.with_players(x, [*parts[:i], own, *parts[i + 1 :]]))
                return losses[i], losses

            value, pullback, losses = jax.vjp(loss, parts[i], has_aux=True)
            field.append(jax.tree.map(jnp.negative, pullback(jnp.ones_like(value))[0]))
        return losses or self._checked(x), field

    def _checked(self, x: PyTree) -> tuple[Scalar, ...]:
        losses, n = tuple(self.losses(x)), len(_tree.players(x))
        if len(losses) != n:
            raise ValueError(
                f"{type(self).__name__} has {len(losses)} losses, but the state {_tree.describe(x)} has {n} players; "
                "return one loss per player, in the order of the state."
            )
        return losses
