"""What is measured of the players along a run: losses, gradients, the path's angle, and leading eigenvalues."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from .. import _tree
from .._system import AbstractFlow, AbstractGame, AbstractMap, AbstractSystem
from ..analysis._eigenpairs import eigenpairs
from ..analysis._krylov import Arnoldi
from ..analysis._linear import Dense
from ._batches import Batches, still


def point_of(system: AbstractSystem, state: PyTree) -> PyTree:
    """The players' parameters in a state of a map, or of a flow, which is the same."""
    return system.point(state) if isinstance(system, AbstractMap) else state


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
        values = _losses(_tree.inside(system, AbstractGame), x, Batches(self.size), key)
        return {f"loss.{name}": value for name, value in zip(_tree.player_names(x), values, strict=True)}


@eqx.filter_jit
def _norms(flow: AbstractFlow, x: PyTree, batches: Batches, key: Key[Array, ""]) -> list[Array]:
    return [_tree.norm(part) for part in _tree.players(batches(key, flow)(x))]


class GradientNorms(eqx.Module):
    """The norms of the players' parts of the field that is discretised, regularisers included, on a sample.

    Args:
        size: The sample's size.
    """

    size: int = eqx.field(static=True, default=2048)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """`gradient.generator` and so on."""
        x = point_of(system, state)
        values = _norms(_tree.inside(system, AbstractFlow), x, Batches(self.size), key)
        return {f"gradient.{name}": value for name, value in zip(_tree.player_names(x), values, strict=True)}


@eqx.filter_jit
def _cosines(flow: AbstractFlow, a: PyTree, b: PyTree, count: int, batches: Batches, key: Key[Array, ""]) -> Array:
    drawn, way = batches(key, flow), _tree.subtract(b, a)

    def cosine(t: Array) -> Array:
        velocity = drawn(_tree.axpy(t, way, a))
        return _tree.dot(velocity, way) / (_tree.norm(velocity) * _tree.norm(way))

    return jax.lax.map(cosine, jnp.linspace(0.0, 1.0, count))


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
        flow = _tree.inside(system, AbstractFlow)
        return {"path_angle": _cosines(flow, self.start, point_of(system, state), self.count, Batches(self.size), key)}


class Spectrum(eqx.Module):
    """Eigenvalues of the flow and multipliers of the map at the current point, for one and the same sample.

    They are those of a point that moves, and no verdict: for that there is `endpoint`. Of a map that draws mini-batches they
    are those of the map without noise, on the sample. What does not converge is NaN.

    Args:
        spectrum: `gd.Arnoldi(count)` for the leading ones, `gd.Dense()` for all of a small network.
        size: The sample's size.
        seed: That of the sample.
    """

    spectrum: Dense | Arnoldi = Arnoldi(6)
    size: int = eqx.field(static=True, default=512)
    seed: int = eqx.field(static=True, default=0)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Any]:
        """`eigenvalues.flow` with `zeta` and `tau`, `eigenvalues.map`, and the leading ones' `growth.flow` and `growth.map`.

        The growth of the map is that per application, the logarithm of the largest modulus.
        """
        batches, sample = Batches(self.size), jax.random.key(self.seed)
        drawn = batches(sample, _tree.inside(system, AbstractFlow))
        flow = eigenpairs(drawn, point_of(system, state), spectrum=self.spectrum, throw=False)
        found = {
            "eigenvalues.flow": flow.values,
            "growth.flow": jnp.max(flow.values.real),
            "zeta": flow.zeta,
            "tau": flow.tau,
        }
        if isinstance(system, AbstractMap):
            under, inner = still(system, state)
            values = eigenpairs(batches(sample, under), inner, spectrum=self.spectrum, throw=False).values
            with np.errstate(divide="ignore"):
                found |= {"eigenvalues.map": values, "growth.map": np.log(np.max(np.abs(values)))}
        return found
