"""One block of a grid's cells, on one device or spread over all that a process has."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend import core
from jax.interpreters import mlir
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, PyTree

from .. import _tree
from .._system import AbstractSystem
from ._grid import block_of

Leaves = tuple[tuple[int, ...], ...]
"""For each axis the positions of the leaves that it moves."""

# From this many operations on jaxlib splits a batch of LAPACK calls among the threads that run its CPU devices, and waits
# there; a call on an n by n matrix counts for at most so many times n cubed. Devices that wait for one another's threads wait
# for ever: where there are several, no batch may be that large.
_SPLIT, _COST = 200_000, 30
_LAPACK = {
    core.primitives.cholesky_p,
    core.primitives.eig_p,
    core.primitives.eigh_p,
    core.primitives.hessenberg_p,
    core.primitives.householder_product_p,
    core.primitives.lu_p,
    core.primitives.qr_p,
    core.primitives.schur_p,
    core.primitives.svd_p,
    core.primitives.triangular_solve_p,
    core.primitives.tridiagonal_p,
    core.primitives.tridiagonal_solve_p,
}

# JAX's types do not say what it holds.
_CONFIG: Any = jax.config


def evaluate(fn: Callable, system: AbstractSystem, chosen: Leaves, values: tuple[Array, ...]) -> PyTree:
    """A function of a system on the cells of a block.

    The cells are spread over the local devices, which do not wait for one another, along the first axis that has a value for
    each of them. A default device that was chosen (`jax.default_device`) is the only one.

    Args:
        fn: A function of the system.
        system: The system whose leaves move.
        chosen: The leaves that each axis moves.
        values: The values of each axis.

    Returns:
        What the function returns, stacked along one axis for each of `values`; along one of them beyond its values, with the
        last repeated, where the devices do not divide it.

    Raises:
        RuntimeError: On several CPU devices, a function that solves so many problems at once in a cell that the devices would
            wait for one another for ever.
    """
    devices = jax.local_devices()
    if len(devices) == 1 or _CONFIG.jax_default_device is not None:
        return cells_of(fn, system, chosen, values)
    sizes = [v.size for v in values]
    axis = next((i for i, n in enumerate(sizes) if n >= len(devices)), int(np.argmax(sizes)))
    ends = jnp.arange(math.ceil(sizes[axis] / len(devices)) * len(devices))
    spread = tuple(jnp.take(v, ends, mode="clip") if i == axis else v for i, v in enumerate(values))
    return _shards(fn, system, chosen, spread, Mesh(np.array(devices), ("device",)), axis)


@eqx.filter_jit
def cells_of(fn: Callable, system: AbstractSystem, chosen: Leaves, values: tuple[Array, ...]) -> PyTree:
    """The cells of a block on one device."""
    return _nested(_cell(fn, system, chosen), values, tuple(v.size for v in values))


@eqx.filter_jit
def _shards(fn: Callable, system: AbstractSystem, chosen: Leaves, values: tuple[Array, ...], mesh: Mesh, axis: int) -> PyTree:
    arrays, static = eqx.partition((fn, system), eqx.is_array)
    sizes = tuple(v.size // mesh.size if i == axis else v.size for i, v in enumerate(values))
    at_once = sizes
    if mesh.devices.flat[0].platform == "cpu":
        at_once = block_of(sizes, _together(_cell(fn, system, chosen), values))

    def cells(arrays: PyTree, *values: Array) -> PyTree:
        fn, system = eqx.combine(arrays, static)
        return _nested(_cell(fn, system, chosen), values, at_once)

    parts = (jax.ShapeDtypeStruct((size,), v.dtype) for size, v in zip(sizes, values, strict=True))
    program, found = jax.make_jaxpr(cells, return_shape=True)(arrays, *parts)

    def shard(arrays: PyTree, *values: Array) -> PyTree:
        return jax.tree.unflatten(jax.tree.structure(found), _traced.bind(*jax.tree.leaves((arrays, values)), program=program))

    split = [PartitionSpec("device") if i == axis else PartitionSpec() for i in range(len(values))]
    place = PartitionSpec(*(None,) * axis, "device")
    # No device needs to know that another's cells vary: the check would be met by collectives, at which all wait.
    each = jax.shard_map(shard, mesh=mesh, in_specs=(PartitionSpec(), *split), out_specs=place, check_vma=False)
    return each(arrays, *values)


def _lower(context: mlir.LoweringRuleContext, *values: Any, program: core.ClosedJaxpr) -> Any:
    return mlir.lower_fun(core.jaxpr_as_fun(program))(context.replace(avals_in=program.in_avals), *values)


# A program that was traced outside of `shard_map`, inside of which the type of every array names the mesh: lineax, which
# compares types, then takes equal ones for different.
_traced = core.Primitive("traced")
_traced.multiple_results = True
_traced.def_abstract_eval(lambda *_, program: program.out_avals)
mlir.register_lowering(_traced, _lower)


def _cell(fn: Callable, system: AbstractSystem, chosen: Leaves) -> Callable[..., PyTree]:
    def cell(*point: Array) -> PyTree:
        moved = system
        for leaves, value in zip(chosen, point, strict=True):
            moved = _tree.replace(moved, leaves, value)
        return fn(moved)

    return cell


def _nested(cell: Callable[..., PyTree], values: tuple[Array, ...], at_once: tuple[int, ...]) -> PyTree:
    """A function of one value of each axis at all of them, of so many of each axis at once."""
    # Nested rather than flat, so that what does not depend on an inner axis is computed once.
    for axis in reversed(range(len(values))):
        whole = at_once[axis] == values[axis].size
        cell = jax.vmap(cell, _only(axis, len(values))) if whole else _in_parts(cell, axis, at_once[axis])
    return cell(*values)


def _only(axis: int, count: int) -> tuple[int | None, ...]:
    return tuple(0 if i == axis else None for i in range(count))


def _in_parts(cell: Callable[..., PyTree], axis: int, size: int) -> Callable[..., PyTree]:
    def parts(*point: Array) -> PyTree:
        def at(value: Array) -> PyTree:
            return cell(*point[:axis], value, *point[axis + 1 :])

        return jax.lax.map(at, point[axis], batch_size=size)

    return parts


def _together(cell: Callable[..., PyTree], values: tuple[Array, ...]) -> int:
    """How many cells a CPU device may compute at once."""
    jaxpr = jax.make_jaxpr(cell)(*(v[0] for v in values))
    most = math.prod(v.size for v in values)
    for shape in _solved(jaxpr.jaxpr):
        operations = _COST * math.prod(shape) * max(shape[-2:], default=1)
        if operations >= _SPLIT and math.prod(shape[:-2]) > 1:
            raise RuntimeError(
                f"A cell solves {math.prod(shape[:-2])} problems of size {shape[-1]} at once, where several devices of one CPU "
                "may wait for one another for ever. Take one device (jax.default_device) and several processes or shards."
            )
        most = min(most, max(1, (_SPLIT - 1) // operations))
    return most


def _solved(jaxpr: core.Jaxpr) -> Iterator[tuple[int, ...]]:
    """The shapes of what is passed to LAPACK."""
    for equation in jaxpr.eqns:
        if equation.primitive in _LAPACK:
            yield from (v.aval.shape for v in equation.invars if isinstance(v.aval, ShapedArray))
        for inner in core.jaxprs_in_params(equation.params):
            yield from _solved(inner)
