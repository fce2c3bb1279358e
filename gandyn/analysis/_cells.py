"""Branch and bound for a player's loss: cells that cover a box, halved where the loss may be lowest."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from .. import _tree
from .._constraint import AbstractConstraint
from .._system import AbstractGame

_BATCH, _FIRST = 64, 512
_MARGIN = 1.5


class Search(eqx.Module):
    """A player's loss as a function of its own coordinates, on a convex set within a box."""

    game: AbstractGame
    x: PyTree
    constraint: AbstractConstraint | None
    low: Float[Array, " d"]
    high: Float[Array, " d"]
    player: int = eqx.field(static=True)

    def state(self, u: Float[Array, " d"]) -> PyTree:
        """The state after the move, on the set."""
        if self.constraint is None:
            return self._moved(jnp.clip(u, self.low, self.high))
        # Not clipped before, since two projections in turn are none on what both have in common.
        return self._moved(self._own(self.constraint.project(self._moved(u))))

    def inside(self, u: Float[Array, " d"]) -> Bool[Array, ""]:
        """Whether a point of the set lies in the box."""
        slack = _tree.eps(u) ** 0.5 * (self.high - self.low)
        return jnp.all((u >= self.low - slack) & (u <= self.high + slack))

    def _own(self, x: PyTree) -> Float[Array, " d"]:
        return _tree.ravel(_tree.players(x)[self.player])[0]

    def _moved(self, u: Float[Array, " d"]) -> PyTree:
        parts = _tree.players(self.x)
        own = _tree.ravel(parts[self.player])[1](u)
        return _tree.with_players(self.x, [own if i == self.player else part for i, part in enumerate(parts)])

    def point(self, u: Float[Array, " d"]) -> Float[Array, " d"]:
        """The player's coordinates there."""
        return self._own(self.state(u))

    def loss(self, u: Float[Array, " d"]) -> Scalar:
        """The player's loss at a point of the set."""
        return self.game.losses(self._moved(u))[self.player]


@eqx.filter_jit
def _evaluate(search: Search, centres: Float[Array, "n d"]) -> tuple[Array, ...]:
    """At the nearest point of the set to each centre: the point, whether the box holds it, loss, slope, curvature downwards."""

    def one(centre: Array) -> tuple[Array, ...]:
        u = search.point(centre)
        loss, slope = jax.value_and_grad(search.loss)(u)
        lowest = jnp.linalg.eigvalsh(jax.hessian(search.loss)(u))[0]
        return u, search.inside(u), loss, slope, jnp.maximum(-lowest, 0.0)

    return jax.vmap(one)(centres)


@eqx.filter_jit
def polish(search: Search, u: Float[Array, " d"]) -> tuple[Array, Array]:
    """A local minimum on the set, from a point of it, and the loss there."""
    valued = jax.value_and_grad(search.loss)

    def along(carry: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], None]:
        v, loss, slope, reach = carry
        new = search.point(v - reach * slope)
        stepped = (new, *valued(new), reach)
        lower = stepped[1] <= loss
        return jax.tree.map(lambda a, b: jnp.where(lower, a, b), stepped, (v, loss, slope, reach / 2)), None

    # Projected steps find the place on the boundary, where a quasi-Newton method stalls; that finds the digits inside.
    steepest = jnp.max(jnp.abs(jnp.linalg.eigvalsh(jax.hessian(search.loss)(u))))
    loss, slope = valued(u)
    across = jnp.linalg.norm(slope) / jnp.linalg.norm(search.high - search.low)
    reach = 1 / jnp.maximum(jnp.maximum(steepest, across), jnp.finfo(u.dtype).tiny)
    (u, loss, *_), _ = jax.lax.scan(along, (u, loss, slope, reach), length=256)
    tolerance = 10 * _tree.eps(u)
    solver = optx.BFGS(rtol=tolerance, atol=tolerance)
    end = optx.minimise(lambda v, _: search.loss(search.point(v)), solver, u, max_steps=256, throw=False).value
    ends = jnp.stack([u, search.point(end)])
    losses = jnp.stack([loss, search.loss(ends[1])])
    losses = jnp.where(jnp.isfinite(losses) & jax.vmap(search.inside)(ends), losses, jnp.inf)
    return ends[jnp.argmin(losses)], jnp.min(losses)


class Cells:
    """Cells that cover the box, with what is known at the nearest point of the set to each centre."""

    def __init__(self, search: Search):
        self.search = search
        d = search.low.size
        count = max(2, int(_FIRST ** (1 / d)))
        low, high = np.asarray(search.low), np.asarray(search.high)
        axes = [np.linspace(a, b, 2 * count + 1)[1::2] for a, b in zip(low, high, strict=True)]
        self.centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
        self.halves = np.broadcast_to((high - low) / (2 * count), self.centres.shape).copy()
        self.points, self.inside, self.losses, self.slopes, curved = self._at(self.centres)
        self.curvature, self.evaluated = self._largest(curved), len(self.centres)

    @staticmethod
    def _largest(curved: np.ndarray) -> float:
        return float(np.max(curved, initial=0.0, where=np.isfinite(curved)))

    def _at(self, centres: np.ndarray) -> tuple[np.ndarray, ...]:
        batches = -(-len(centres) // _BATCH)
        padded = np.concatenate([centres, np.broadcast_to(centres[:1], (batches * _BATCH - len(centres), centres.shape[1]))])
        values = [_evaluate(self.search, jnp.asarray(batch)) for batch in padded.reshape(batches, _BATCH, -1)]
        return tuple(np.concatenate([np.asarray(v) for v in parts])[: len(centres)] for parts in zip(*values, strict=True))

    @property
    def defined(self) -> np.ndarray:
        """Where the loss has a finite value with derivatives."""
        return np.isfinite(self.losses) & np.all(np.isfinite(self.slopes), axis=1)

    @property
    def reached(self) -> np.ndarray:
        """The losses where they are defined and of points in the box; infinite elsewhere."""
        return np.where(self.defined & self.inside, self.losses, np.inf)

    @property
    def outside(self) -> np.ndarray:
        """Cells that the set does not reach."""
        return np.linalg.norm(self.centres - self.points, axis=1) > np.linalg.norm(self.halves, axis=1) * (1 + 1e-9)

    def bounds(self) -> np.ndarray:
        """What the loss does not fall below in each cell; infinite where it has no value or the set does not reach."""
        linear = np.sum(self.slopes * (self.centres - self.points) - np.abs(self.slopes) * self.halves, axis=1)
        lowest = self.losses + linear - _MARGIN * self.curvature / 2 * np.sum(self.halves**2, axis=1)
        return np.where(self.defined & ~self.outside, lowest, np.inf)

    def split(self, chosen: np.ndarray) -> None:
        """Halve cells across the coordinate along which the loss may fall most."""
        fall = np.abs(self.slopes) * self.halves + _MARGIN * self.curvature / 2 * self.halves**2
        across = np.argmax(np.where(np.isfinite(fall), fall, 0.0)[chosen], axis=1)
        step = np.zeros((len(chosen), self.centres.shape[1]))
        step[np.arange(len(chosen)), across] = self.halves[chosen, across] / 2
        centres = np.concatenate([self.centres[chosen] - step, self.centres[chosen] + step])
        halves = np.tile(self.halves[chosen] - step, (2, 1))
        points, inside, losses, slopes, curved = self._at(centres)
        keep = np.ones(len(self.centres), bool)
        keep[chosen] = False
        news = {"centres": centres, "halves": halves, "points": points, "inside": inside, "losses": losses, "slopes": slopes}
        for name, new in news.items():
            setattr(self, name, np.concatenate([getattr(self, name)[keep], new]))
        self.curvature, self.evaluated = max(self.curvature, self._largest(curved)), self.evaluated + len(centres)

    def undefined(self) -> float:
        """The share of the box in cells at whose centre the loss has no value."""
        volume = np.prod(self.halves / np.max(self.halves), axis=1)
        return float(np.sum(volume[~self.defined & ~self.outside]) / np.sum(volume))


def refine(cells: Cells, best: float, enough: float, limit: int) -> None:
    """Split the cells with the lowest bounds until those are within `enough` of the best loss, or the cells are too many."""
    while cells.evaluated < limit:
        bounds = cells.bounds()
        best = min(best, float(np.min(cells.reached)))
        order = np.argsort(bounds)[: _BATCH // 2]
        chosen = order[bounds[order] < best - enough]
        if not chosen.size:
            return
        cells.split(chosen)
