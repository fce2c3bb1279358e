"""Orbits of maps, and the trajectory that every orbit and every solution is."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from . import _tree
from ._constraint import AbstractConstraint, check_projection
from ._results import RESULTS, check, first, worst
from ._system import AbstractMap, AbstractSystem


class Trajectory(eqx.Module):
    """States along time.

    `ts` are times of a flow, or numbers of applications of a map; `xs` are the states, stacked along a leading axis.
    """

    ts: Float[Array, " t"]
    xs: PyTree
    result: RESULTS
    stats: dict[str, Any]

    @property
    def final(self) -> PyTree:
        """The last state."""
        return jax.tree.map(lambda leaf: leaf[-1], self.xs)

    def __str__(self) -> str:
        norm = jnp.linalg.norm(_tree.ravel(self.final)[0])
        return f"Trajectory of {self.ts.size} states from t = {self.ts[0]:g} to {self.ts[-1]:g}; |x| ends at {norm:.6g}"


def _everything(x: PyTree) -> PyTree:
    return x


S = TypeVar("S", bound=AbstractSystem)


def _image(system: AbstractSystem, x: PyTree) -> PyTree:
    return system(x)


def _start(system: AbstractMap, x: PyTree) -> PyTree:
    return system.init(system.point(x))


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def _evaluate(f: Callable, arrays: PyTree, leaves: tuple[Any, ...], structure: Any, x: PyTree) -> PyTree:
    return f(eqx.combine(arrays, jax.tree.unflatten(structure, leaves)), x)


def shape(f: Callable, system: AbstractSystem, x: PyTree) -> PyTree:
    """The structure and shapes of `f(system, x)`; traced once for each system and state of one structure."""
    arrays, rest = eqx.partition(system, eqx.is_array)
    leaves, structure = jax.tree.flatten(rest)
    return _evaluate.eval_shape(f, arrays, tuple(leaves), structure, x)


def check_state(system: AbstractSystem, x: PyTree) -> None:
    """Refuse a state that the system does not map into its own structure, or whose point is not finite."""
    name = type(system).__name__
    try:
        if isinstance(system, AbstractMap):
            what = f"A map with memory takes `map.init(point)`, at a point of the flow. {name} was given the state"
            _tree.check_like(x, shape(_start, system, x), what)
        image = shape(_image, system, x)
    except (TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{name} cannot be evaluated on the state {_tree.describe(x)}: {error}. A map with memory takes `map.init(point)`."
        ) from error
    _tree.check_like(x, image, f"{name} was given the state")
    point = system.point(x) if isinstance(system, AbstractMap) else x
    if _tree.concrete(point) and not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(_tree.split(point)[0])):
        raise ValueError(f"The state has a non-finite entry: {eqx.tree_pformat(point, short_arrays=False)}.")
    if any(map(_is_constraint, jax.tree.leaves(system, is_leaf=_is_constraint))) and _tree.concrete(system, x):
        _check_constraints(system, x)


def _is_constraint(node: Any) -> bool:
    return isinstance(node, AbstractConstraint)


def _check_constraints(system: AbstractSystem, x: PyTree) -> None:
    """Check the projections in a system and in the systems inside it, each at its own state of the same point."""
    point = system.point(x) if isinstance(system, AbstractMap) else x
    for part in vars(system).values():
        if isinstance(part, AbstractConstraint):
            check_projection(part, x)
        elif isinstance(part, AbstractSystem):
            _check_constraints(part, part.init(point) if isinstance(part, AbstractMap) else point)


def prepare(system: S, x: PyTree) -> tuple[S, PyTree]:
    """Arrays at the door of every verb: numbers become arrays, and the state is checked against the system."""
    if not isinstance(system, AbstractSystem):
        raise ValueError(f"A flow, a map or a game is expected first; got {type(system).__name__}.")
    system, x = _tree.system_arrays(system), _tree.state_arrays(x)
    check_state(system, x)
    return system, x


@eqx.filter_jit
def _iterate(system: AbstractMap, x: PyTree, steps: int, every: int, observe: Callable) -> Trajectory:
    def advance(y: PyTree, _: None) -> tuple[PyTree, PyTree]:
        y = jax.lax.scan(lambda z, _: (system(z), None), y, length=every)[0]
        return y, observe(y)

    final, seen = jax.lax.scan(advance, x, length=steps // every)
    xs = jax.tree.map(lambda first, rest: jnp.concatenate([jnp.asarray(first)[None], rest]), observe(x), seen)
    ts = every * jnp.arange(steps // every + 1, dtype=jnp.result_type(float))
    return Trajectory(ts, xs, worst((~_tree.finite(final), RESULTS.nonfinite)), {"steps": jnp.asarray(steps)})


def iterate(
    system: AbstractMap, x: PyTree, steps: int, *, every: int = 1, observe: Callable = _everything, throw: bool = True
) -> Trajectory:
    """Apply a map again and again, in one compiled loop; under `jax.vmap` in one for many starts.

    Args:
        system: The map.
        x: Its state; for a map with memory `system.init(point)`.
        steps: How often to apply it.
        every: Keep the start and every so-many-th state; a divisor of `steps`.
        observe: What to keep of a state; a function defined once, such as one that returns a norm.
        throw: Raise if the orbit becomes non-finite.

    Returns:
        A `Trajectory` of `steps // every + 1` states.

    Raises:
        ValueError: A flow in place of a map, a state of the wrong structure, or steps that do not fit.
        RuntimeError: The orbit left the finite numbers (with `throw`).
    """
    if not isinstance(system, AbstractMap):
        raise ValueError(f"iterate takes a map; {type(system).__name__} is none. Build one, such as gd.SimGD(flow, 0.1).")
    if steps < 1 or every < 1 or steps % every:
        raise ValueError(f"steps={steps} must be a positive multiple of every={every}.")
    system, x = prepare(system, x)
    trajectory = _iterate(system, x, steps, every, observe)
    result = trajectory.result
    if throw and _tree.concrete(result) and result != RESULTS.successful:
        # A map that says why it has no value at the start knows more than that the orbit has none.
        result = first(system.failure(x), result)
    check(result, throw, "iterate: ")
    return trajectory
