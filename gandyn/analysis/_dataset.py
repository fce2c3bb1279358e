"""Results on a grid as named variables, the contents of a data set."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lazy_loader
import numpy as np
from jaxtyping import Array, Bool, PyTree

from .. import _tree
from .._results import RESULTS, codes
from ._verdict import VERDICTS, Stability

if TYPE_CHECKING:
    import xarray
else:
    xarray = lazy_loader.load("xarray")

# What a verdict and an outcome read where a cell is not computed yet.
PENDING = -1

_DERIVED = {
    "growth": "largest real part of an exponent",
    "rotation": "angular speed of the leading mode",
    "rate": "factor by which errors change per unit time or per application",
    "error": "by how much the growth may be too small",
}


class Variable(eqx.Module):
    """An array of a data set, the names of its dimensions, and whether its numbers stand for words."""

    data: Array
    dims: tuple[str, ...] = eqx.field(static=True)
    about: str = eqx.field(static=True, default="")

    @property
    def attributes(self) -> dict[str, Any]:
        """What the numbers mean, by the conventions of CF where they stand for words."""
        if self.about == "verdict":
            return _flags({name: code for code, name in enumerate(VERDICTS)}) | {"long_name": "verdict"}
        if self.about == "outcome":
            known = codes()
            texts = [RESULTS[getattr(RESULTS, name)] for name in known]
            return _flags(known) | {"long_name": "why a cell failed", "flag_texts": ["", *texts]}
        return {"long_name": self.about} if self.about else {}

    @property
    def missing(self) -> Any:
        """What stands for a cell that is not computed yet."""
        kind = np.dtype(self.data.dtype).kind
        return PENDING if self.about in ("verdict", "outcome") else {"f": np.nan, "c": complex(np.nan, np.nan)}.get(kind, 0)


def _flags(meanings: dict[str, int]) -> dict[str, Any]:
    return {"flag_values": [PENDING, *meanings.values()], "flag_meanings": " ".join(["pending", *meanings])}


@eqx.filter_jit
def variables(values: PyTree, axes: tuple[str, ...]) -> dict[str, Variable]:
    """The arrays of a result on a grid, by their paths in it; what comes with a failed outcome is masked by NaN.

    A `Stability` has its growth, rotation, rate, error and verdict besides its fields.

    Raises:
        ValueError: No arrays, two of one name, or one that has no form in a data set.
    """
    found: dict[str, Variable] = {}
    for name, variable in _visit(values, "", axes, jnp.asarray(False)):
        if name in (*found, *axes) or len(set(variable.dims)) < len(variable.dims):
            raise ValueError(f"A data set holds one thing called {name!r}: choose another name for the axis or for the value.")
        if getattr(variable.data.dtype, "kind", "") not in tuple("biufc"):
            raise ValueError(f"The value {name} is of type {variable.data.dtype}, which has no form in a data set.")
        if variable.data.size:
            found[name] = variable
    if not found:
        raise ValueError("The swept function returns no arrays.")
    return found


def _visit(node: PyTree, path: str, axes: tuple[str, ...], failed: Bool[Array, "*b"]) -> Iterator[tuple[str, Variable]]:
    if node is None or isinstance(node, int | float | complex):
        # A number that no cell has of its own, as in a result put together by hand.
        return
    prefix = f"{path}." if path else ""
    if isinstance(node, RESULTS):
        yield path or "result", Variable(jax.tree.leaves(node)[0].astype(jnp.int8), axes, "outcome")
    elif hasattr(node, "dtype"):
        yield path or "value", _masked(node, path or "value", axes, failed)
    else:
        result = getattr(node, "result", None)
        failed = failed | (result != RESULTS.successful) if isinstance(result, RESULTS) else failed
        if isinstance(node, Stability):
            yield prefix + "verdict", Variable(node.code.astype(jnp.int8), axes, "verdict")
            for name, about in _DERIVED.items():
                yield prefix + name, Variable(_masked(getattr(node, name), name, axes, failed).data, axes, about)
        for name, child in zip(_tree.player_names(node), _tree.players(node), strict=True):
            yield from _visit(child, f"{prefix}{name}", axes, failed)


def _masked(leaf: Array, name: str, axes: tuple[str, ...], failed: Bool[Array, "*b"]) -> Variable:
    inner = leaf.ndim - len(axes)
    stem, _, last = name.rpartition(".")
    dims = tuple(f"{name}_{i}" for i in range(inner))
    if last in ("eigenvalues", "exponents") and inner == 1:
        dims = (f"{stem}.mode" if stem else "mode",)
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        leaf = jnp.where(jnp.broadcast_to(failed[(..., *[None] * inner)], leaf.shape), jnp.nan, leaf)
    return Variable(leaf, (*axes, *dims))


def dataset(axes: dict[str, np.ndarray], values: dict[str, Variable], settings: dict[str, Any]) -> "xarray.Dataset":
    """The data set of what `variables` found; `settings` go to its attributes and name the leaf of each axis."""
    coordinates = {name: (name, grid, coordinate(settings, name)) for name, grid in axes.items()}
    arrays = {name: (found.dims, np.asarray(found.data), found.attributes) for name, found in values.items()}
    return xarray.Dataset(arrays, coordinates, settings)


def coordinate(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """The attributes of an axis: the leaves that move along it."""
    return {"long_name": ", ".join(settings.get("axes", {}).get(name, [])) or name}
