"""What is measured of the players along a run: losses, gradients, the path's angle, and leading eigenvalues."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from .. import _tree
from .._system import AbstractFlow, AbstractGame, AbstractMap, AbstractSystem
from ..analysis._eigenpairs import eigenpairs
from ..analysis._endpoint import mean_field
from ..analysis._krylov import Arnoldi
from ..analysis._linear import Dense
from ._batches import Batches


def point_of(system: AbstractSystem, state: PyTree) -> PyTree:
    """The players' parameters in a state of a map, or of a flow, which is the same."""
    return system.point(state) if isinstance(system, AbstractMap) else state


def _by_player(what: str, x: PyTree, values: list[Array]) -> dict[str, Array]:
    return {f"{what}.{name}": value for name, value in zip(_tree.player_names(x), values, strict=True)}


@eqx.filter_jit
def _losses(game: AbstractGame, x: PyTree, batches: Batches, key: Key[Array, ""]) -> list[Array]:
    return list(batches(key, game).losses(x))


class Losses(eqx.Module):
    """The losses of the game that is trained, penalties included, on a sample.

    Args:
        size: The sample's size.
    """

    size: int = eqx.field(static=True, default=2048)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """`loss.generator` and so on."""
        x = point_of(system, state)
        return _by_player("loss", x, _losses(_tree.inside(system, AbstractGame), x, Batches(self.size), key))


@eqx.filter_jit
def _field(flow: AbstractFlow, x: PyTree, batches: Batches, key: Key[Array, ""]) -> PyTree:
    return batches(key, flow)(x)


@eqx.filter_jit
def _norms(field: PyTree) -> list[Array]:
    return [_tree.norm(part) for part in _tree.players(field)]


class GradientNorms(eqx.Module):
    """The norms of the players' parts of the field that is discretised, regularisers included, on a sample.

    Args:
        size: The sample's size.
    """

    size: int = eqx.field(static=True, default=2048)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """`gradient.generator` and so on."""
        x = point_of(system, state)
        return _by_player("gradient", x, _norms(_field(_tree.inside(system, AbstractFlow), x, Batches(self.size), key)))


@eqx.filter_jit
def _between(a: PyTree, b: PyTree, t: Array) -> PyTree:
    return _tree.axpy(t, _tree.subtract(b, a), a)


@eqx.filter_jit
def _cosine(velocity: PyTree, a: PyTree, b: PyTree) -> Array:
    way = _tree.subtract(b, a)
    return _tree.dot(velocity, way) / (_tree.norm(velocity) * _tree.norm(way))


class PathAngle(eqx.Module):
    """The path's angle (Berard et al., 2020): the cosine of the field with the way from a start to where the run is now.

    It is taken at points along the straight line between the two. Where the run is attracted without rotation, the cosine is
    near one until the end of the line; a bump beside a change of sign shows rotation. NaN at the start itself.

    Args:
        start: A point of the players' parameters, such as the first of the run.
        count: How many points along the line.
        size: The sample's size.
    """

    start: PyTree
    count: int = eqx.field(static=True, default=11)
    size: int = eqx.field(static=True, default=2048)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """`path_angle`, a cosine for each point."""
        flow, a, b = _tree.inside(system, AbstractFlow), self.start, point_of(system, state)
        # Point by point, since the field is compiled already where gradients are measured on samples of this size.
        points = (_between(a, b, t) for t in jnp.linspace(0.0, 1.0, self.count))
        return {"path_angle": jnp.stack([_cosine(_field(flow, x, Batches(self.size), key), a, b) for x in points])}


class Spectrum(eqx.Module):
    """Eigenvalues of the flow and multipliers of the map at the current point, for the same mini-batches each time.

    They are those of a point that moves, and no verdict: for that there is `endpoint`. Of a map that draws mini-batches they
    are those of the mean field, and of the map on it. What does not converge is NaN.

    Args:
        spectrum: `gd.Arnoldi(count)` for the leading ones, `gd.Dense()` for all of a small network.
        draws: How many mini-batches the mean field is the mean of.
        seed: That of the mini-batches.
    """

    spectrum: Dense | Arnoldi = Arnoldi(2, basis=20, restarts=5, tolerance=1e-2)
    draws: int = eqx.field(static=True, default=8)
    seed: int = eqx.field(static=True, default=0)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Any]:
        """`eigenvalues.flow` with `zeta` and `tau`, `eigenvalues.map`, and the leading ones' `growth.flow` and `growth.map`.

        The growth of the map is that per application, the logarithm of the largest modulus.
        """
        if not isinstance(system, AbstractMap):
            return self._of_flow(system, state)
        flow, under, inner = mean_field(system, state, jax.random.key(self.seed), self.draws)
        values = eigenpairs(under, inner, spectrum=self.spectrum, throw=False).values
        growth = jnp.log(jnp.nanmax(jnp.abs(values)))
        return self._of_flow(flow, system.point(state)) | {"eigenvalues.map": values, "growth.map": growth}

    def _of_flow(self, flow: AbstractSystem, x: PyTree) -> dict[str, Any]:
        pairs = eigenpairs(flow, x, spectrum=self.spectrum, throw=False)
        growth = jnp.nanmax(pairs.values.real)
        return {"eigenvalues.flow": pairs.values, "growth.flow": growth, "zeta": pairs.zeta, "tau": pairs.tau}
