"""Modified equations: the flow that a map follows to second order in its step, derived from the map itself."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from .. import _tree
from .._system import AbstractFlow, AbstractMap


def _own_step(step: Any) -> Any:
    return step.h


class Modified(AbstractFlow):
    r"""The flow whose solution a map follows with a local error of third order in its step size.

    With the map's Taylor series :math:`F_h(x) = x + h f_1(x) + h^2 f_2(x) + \dots` it is

    .. math:: \tilde v = f_1 + h\,(f_2 - \tfrac12 Df_1\,f_1),

    so for `SimGD` :math:`v - \tfrac h2 Dv\,v` (backward error analysis: Hairer, Lubich and Wanner, 2006; for games Rosca et
    al., 2021). A memory, such as a momentum, follows the point on a slow manifold, whose first two terms are solved for.

    Args:
        map: A map with a step size.
        where: A lens to its step size, or step sizes in a tuple; `map.h` if left out.
    """

    map: AbstractMap
    where: Callable = eqx.field(converter=_tree.function, default=_own_step)

    def _step(self, x: PyTree) -> tuple[Callable, Array]:
        """The map as `(point, memory, scale of the step) -> (point, memory)` on vectors, and the memory it starts with."""
        rest = self.map.settle(self.map.init(x))
        at = self.map.point
        point, to_point = _tree.ravel(x)
        whole, to_state = _tree.ravel(rest)
        marks = eqx.tree_at(at, jax.tree.map(jnp.zeros_like, rest), jax.tree.map(jnp.ones_like, at(rest)))
        count = whole.size - point.size
        order = jnp.argsort(_tree.ravel(marks)[0], stable=True)

        def step(position: Array, memory: Array, scale: Array) -> tuple[Array, Array]:
            scaled = eqx.tree_at(self.where, self.map, jax.tree.map(lambda h: scale.astype(h.dtype) * h, self.where(self.map)))
            state = to_state(jnp.zeros_like(whole).at[order[:count]].set(memory))
            image = scaled(eqx.tree_at(at, state, to_point(position)))
            return _tree.ravel(at(image))[0], _tree.ravel(image)[0][order[:count]]

        return step, whole[order[:count]]

    def __call__(self, x: PyTree) -> PyTree:
        """The modified velocity, in the unit of time of the flow."""
        position, to_point = _tree.ravel(x)
        step, start = self._step(x)
        zero, one = jnp.zeros((), position.dtype), jnp.ones((), position.dtype)

        def memory(y: Array) -> Array:
            return _slaved(lambda m: step(y, m, zero)[1], start)

        def first(y: Array, m: Array) -> Array:
            return jax.jvp(lambda s: step(y, m, s)[0], (zero,), (one,))[1]

        def leading(y: Array) -> Array:
            return first(y, memory(y))

        m = memory(position)
        velocity, along = jax.jvp(leading, (position,), (leading(position),))
        second = jax.jvp(lambda s: jax.jvp(lambda r: step(position, m, r)[0], (s,), (one,))[1], (zero,), (one,))[1] / 2
        if m.size:
            lag = jax.jvp(memory, (position,), (velocity,))[1]
            pushed = jax.jvp(lambda s: step(position, m, s)[1], (zero,), (one,))[1] - lag
            response = jnp.eye(m.size, dtype=m.dtype) - jax.jacfwd(lambda k: step(position, k, zero)[1])(m)
            second = second + jax.jvp(lambda k: first(position, k), (m,), (jnp.linalg.solve(response, pushed),))[1]
        unit = jax.tree.leaves(self.where(self.map))[0]
        return to_point((velocity + second - along / 2) / unit.astype(position.dtype))

    def switches(self, x: PyTree) -> Float[Array, " k"]:
        """Those of the map."""
        return self.map.switches(self.map.init(x))


def _slaved(update: Callable[[Array], Array], start: Array) -> Array:
    """The memory that a resting point ends up with; differentiable by the implicit function theorem."""
    if start.size == 0:
        return start
    tolerance = 100 * _tree.eps(start)
    solver = optx.Newton(rtol=tolerance, atol=tolerance)
    return optx.root_find(lambda m, _: update(m) - m, solver, start, throw=False).value
