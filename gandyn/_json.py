"""Results as JSON nodes and back, to the last bit; the schema is on the documentation's page of results."""

import dataclasses
import functools
import sys
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._crossing import Crossings
from ._evolve import Trajectory
from ._results import OUTCOMES, RESULTS, codes
from ._system import Players
from .analysis._assumptions import Assumption, Assumptions
from .analysis._attractor import Attractor
from .analysis._basins import Basins
from .analysis._batches import BatchSpectra, Extremes
from .analysis._boundary import Boundary, Codim2
from .analysis._branch import Branch, Special
from .analysis._circle import Circle
from .analysis._compare import Comparison
from .analysis._conserved import Conserved
from .analysis._cycle import Cycle
from .analysis._deviation import Deviation
from .analysis._eigenpairs import Eigenpairs
from .analysis._endpoint import EndPoint
from .analysis._equilibria import Equilibria
from .analysis._equilibrium import Equilibrium, Manifold
from .analysis._family import Family
from .analysis._lyapunov import Lyapunov
from .analysis._normal_form import NormalForm
from .analysis._notion import Notion, Notions
from .analysis._orbit import PeriodicOrbit
from .analysis._predict import Prediction
from .analysis._pursuit import Pursuit
from .analysis._rate import Rate
from .analysis._schur import Blocks
from .analysis._second_order import Condition
from .analysis._sweep import Sweep
from .analysis._threshold import Threshold
from .analysis._transient import Transient
from .analysis._verdict import Stability

_RESULTS = (Trajectory, Crossings, Equilibrium, Equilibria, Manifold, Stability, Eigenpairs, Threshold, Sweep, Transient)
_SPECTRA = (BatchSpectra, Extremes)
_MEASURED = (NormalForm, Prediction, Rate, Comparison, Lyapunov, Deviation, Pursuit, EndPoint)
_ORBITS = (Attractor, Basins, Boundary, Codim2, Branch, Special, PeriodicOrbit, Cycle, Family, Circle, Conserved)
_THEOREMS = (Assumption, Assumptions)
_NOTIONS = (Notions, Notion, Condition, Blocks)
TYPES = {c.__name__: c for c in (*_RESULTS, *_SPECTRA, *_MEASURED, *_ORBITS, *_THEOREMS, *_NOTIONS)}
_CLASSES = {**TYPES, "Players": Players}


def encode(value: Any, where: str) -> Any:
    """A value as a node; `where` names it in errors.

    Raises:
        ValueError: Something in it, such as a function, has no form in JSON.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if np.isfinite(value) else {"kind": "float", "value": _float(value)}
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _encode_array(value, where)
    if isinstance(value, RESULTS):
        return _encode_outcome(value)
    if type(value) in (tuple, list):
        return {"kind": type(value).__name__, "items": [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]}
    if type(value) is dict:
        items = [[encode(key, where), encode(item, f"{where}[{key!r}]")] for key, item in value.items()]
        return {"kind": "dict", "items": items}
    if isinstance(value, tuple) and (names := getattr(value, "_fields", None)):
        fields = {name: encode(item, f"{where}.{name}") for name, item in zip(names, value, strict=True)}
        return {"kind": "namedtuple", "type": _class_name(type(value)), "fields": fields}
    if isinstance(value, eqx.Module):
        return {"kind": "module", "type": _class_name(type(value)), "fields": encode_fields(value, where)}
    raise ValueError(f"{where} is a {type(value).__name__}, which has no form in JSON: {value!r}.")


def encode_fields(module: eqx.Module, where: str) -> dict[str, Any]:
    """The fields of a module as nodes, by name."""
    present = [field.name for field in dataclasses.fields(module) if field.name in vars(module)]
    return {name: encode(getattr(module, name), f"{where}.{name}") for name in present}


def decode(node: Any) -> Any:
    """The value that a node stands for.

    Raises:
        ValueError: A node of an unknown kind, or one that does not fit its kind.
    """
    if not isinstance(node, dict):
        return node
    if node.get("kind") not in _DECODERS:
        raise ValueError(f"a value is of the unknown kind {node.get('kind')!r}; the kinds are {sorted(_DECODERS)}")
    return _DECODERS[node["kind"]](node)


def build(kind: type, nodes: dict[str, Any]) -> Any:
    """The module with these fields, put together as `jax.tree.unflatten` does it: without its `__init__`."""
    names = {field.name for field in dataclasses.fields(kind)}
    if not nodes.keys() <= names:
        raise ValueError(f"{kind.__name__} has the fields {sorted(names)}; the file has {sorted(nodes)}")
    module = object.__new__(kind)
    for name, node in nodes.items():
        object.__setattr__(module, name, decode(node))
    return module


def plain(value: Any) -> Any:
    """A setting or a derived number as plain JSON: arrays as nested lists, complex numbers as pairs.

    Raises:
        ValueError: It holds something that has no form in JSON.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return plain(np.asarray(value).tolist())
    if isinstance(value, complex):
        return [_float(value.real), _float(value.imag)]
    if isinstance(value, float):
        return _float(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    raise ValueError(f"A {type(value).__name__} has no form in JSON: {value!r}.")


def _float(value: float) -> float | str:
    return value if np.isfinite(value) else f"{'-' if np.signbit(value) else ''}{abs(value)}"


def _numbers(array: np.ndarray) -> list[Any]:
    flat = array.reshape(-1)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        return [[_float(z.real), _float(z.imag)] for z in flat.tolist()]
    if jnp.issubdtype(array.dtype, jnp.floating):
        values = flat.astype(np.float64)
        return values.tolist() if np.isfinite(values).all() else [_float(value) for value in values.tolist()]
    return flat.tolist()


def _encode_array(value: Any, where: str) -> dict[str, Any]:
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        data = _encode_array(jax.random.key_data(value), where)
        return {"kind": "key", "implementation": str(jax.random.key_impl(value)), "data": data}
    array = np.asarray(value)
    if not (array.dtype == bool or jnp.issubdtype(array.dtype, jnp.number)):
        raise ValueError(f"{where} is an array of type {array.dtype}, which has no form in JSON.")
    return {"kind": "array", "dtype": array.dtype.name, "shape": list(array.shape), "data": _numbers(array)}


def _decode_array(node: dict[str, Any]) -> Array:
    dtype, data = jnp.dtype(node["dtype"]), node["data"]
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(
            f"the numbers are {dtype.name}, which JAX would cut to single precision; call "
            'jax.config.update("jax_enable_x64", True) first'
        )
    if jnp.issubdtype(dtype, jnp.complexfloating):
        # Pairs viewed as complex: re + 1j * im would turn an infinite part into NaN.
        flat = np.array([[float(re), float(im)] for re, im in data]).reshape(-1, 2).view(np.complex128).astype(dtype)
    elif jnp.issubdtype(dtype, jnp.floating):
        flat = np.array([float(x) for x in data]).astype(dtype)
    else:
        flat = np.array(data, dtype)
    return jnp.asarray(flat.reshape(node["shape"]))


def _encode_outcome(value: Any) -> dict[str, Any]:
    found = np.asarray(jax.tree.leaves(value)[0])
    names = {code: name for name, code in codes().items()}
    return {"kind": "outcome", "shape": list(found.shape), "names": [names[code] for code in found.reshape(-1).tolist()]}


def _decode_outcome(node: dict[str, Any]) -> Any:
    known, unknown = codes(), sorted(set(node["names"]) - set(OUTCOMES))
    if unknown:
        raise ValueError(f"this gandyn knows no outcome {unknown}; it knows {list(OUTCOMES)}")
    values = np.array([known[name] for name in node["names"]], np.int32).reshape(node["shape"])
    return jax.tree.unflatten(jax.tree.structure(RESULTS.successful), [jnp.asarray(values)])


def _class_name(kind: type) -> str:
    return kind.__name__ if _CLASSES.get(kind.__name__) is kind else f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> type | None:
    """A class of gandyn, or of a module that is imported already, so that loading a file runs no code of anybody's."""
    module, _, path = name.rpartition(":")
    if not module:
        return _CLASSES.get(name)
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


@functools.lru_cache
def _stand_in(name: str, fields: tuple[str, ...]) -> type:
    return namedtuple(name, fields)


def _decode_named(node: dict[str, Any]) -> Any:
    fields = tuple(node["fields"])
    kind = _class(node["type"])
    if kind is None or not issubclass(kind, tuple) or getattr(kind, "_fields", None) != fields:
        kind = _stand_in(node["type"].rpartition(":")[2].rpartition(".")[2], fields)
    return tuple.__new__(kind, [decode(item) for item in node["fields"].values()])


def _decode_module(node: dict[str, Any]) -> Any:
    kind = _class(node["type"])
    if kind is None or not issubclass(kind, eqx.Module):
        raise ValueError(f"the class {node['type']} is not there; import its module before loading")
    return build(kind, node["fields"])


_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "array": _decode_array,
    "key": lambda node: jax.random.wrap_key_data(decode(node["data"]), impl=node["implementation"]),
    "float": lambda node: float(node["value"]),
    "outcome": _decode_outcome,
    "tuple": lambda node: tuple(decode(item) for item in node["items"]),
    "list": lambda node: [decode(item) for item in node["items"]],
    "dict": lambda node: {decode(key): decode(item) for key, item in node["items"]},
    "namedtuple": _decode_named,
    "module": _decode_module,
}
