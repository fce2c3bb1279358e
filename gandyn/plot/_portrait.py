"""Phase portraits of flows on two coordinates, beside the orbits of a map."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar
from matplotlib.axes import Axes
from matplotlib.path import Path

from .. import _tree
from .._evolve import iterate, prepare
from .._integrate import integrate
from .._results import RESULTS
from .._system import AbstractFlow, AbstractMap
from ..analysis._equilibria import equilibria as find_equilibria
from ..analysis._linear import jacobian
from ..analysis._stability import stability
from ._style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, axes, coordinate_names, legend, style

_GRID = 129
_TIMES = 2001
_MOST_DOTS = 1000


class _Plane(NamedTuple):
    """The window of a portrait: a state that shows the structure, and the corners as vectors."""

    like: PyTree
    low: np.ndarray
    high: np.ndarray

    @property
    def width(self) -> np.ndarray:
        return self.high - self.low

    def state(self, point: Any) -> PyTree:
        vector, unravel = _tree.ravel(self.like)
        return unravel(jnp.asarray(point, vector.dtype))

    def points(self, xs: PyTree) -> np.ndarray:
        """States along time as points; those far outside the window, and those that are not finite, are left out."""
        points = np.array(jax.vmap(lambda x: _tree.ravel(x)[0])(xs))
        near = np.all(np.abs(points - (self.low + self.high) / 2) < 2 * self.width, axis=1)
        points[~near] = np.nan
        return points


def _plane(flow: AbstractFlow, box: tuple[PyTree, PyTree]) -> tuple[AbstractFlow, _Plane]:
    if not isinstance(flow, AbstractFlow):
        raise ValueError(f"portrait draws a flow; got {type(flow).__name__}. Give a map as step=, beside its flow.")
    low, high = (_tree.state_arrays(corner) for corner in box)
    if _tree.size(low) != 2:
        raise ValueError(
            f"portrait draws a flow on two coordinates; the state {_tree.describe(low)} has {_tree.size(low)}. In any "
            "dimension gd.plot.spectrum draws a stability, gd.plot.paths a sweep and gd.plot.coordinates a trajectory."
        )
    flow, low = prepare(flow, low)
    _tree.check_like(high, low, "The box has an upper corner")
    a, b = (np.asarray(_tree.ravel(corner)[0]) for corner in (low, high))
    if not np.all(a < b):
        raise ValueError(f"The box is empty: the lower corner {a} must lie below the upper corner {b}.")
    return flow, _Plane(low, a, b)


@eqx.filter_jit
def _velocities(flow: AbstractFlow, like: PyTree, x: Array, y: Array) -> Float[Array, "r c 2"]:
    unravel = _tree.ravel(like)[1]

    def velocity(a: Array, b: Array) -> Array:
        return _tree.ravel(flow(unravel(jnp.stack([a, b]))))[0]

    return jax.vmap(lambda b: jax.vmap(lambda a: velocity(a, b))(x))(y)


def _dead_ends(v: np.ndarray) -> np.ndarray:
    """Points beside which the velocity turns round, where streamlines end instead of going to and fro."""
    speed = np.linalg.norm(v, axis=-1, keepdims=True)
    unit = np.divide(v, speed, out=np.zeros_like(v), where=speed > 0)
    ends = speed[..., 0] == 0
    for axis in (0, 1):
        here, there = ([slice(None)] * axis + [part] for part in (slice(1, None), slice(None, -1)))
        turns = np.sum(unit[*here] * unit[*there], axis=-1) < -0.5
        ends[*here] |= turns
        ends[*there] |= turns
    return ends


def _field(ax: Axes, flow: AbstractFlow, plane: _Plane, names: list[str]) -> np.ndarray:
    """Streamlines and nullclines; returns the velocities."""
    x, y = (np.linspace(a, b, _GRID).astype(plane.low.dtype) for a, b in zip(plane.low, plane.high, strict=True))
    v = np.array(_velocities(flow, plane.like, jnp.asarray(x), jnp.asarray(y)))
    v[~np.isfinite(v).all(axis=-1)] = np.nan
    if np.nanmax(np.abs(v), initial=0.0) == 0:
        return v
    u = np.where(_dead_ends(v), np.nan, v[..., 0])
    ax.streamplot(x, y, u, v[..., 1], color="0.72", linewidth=0.5, arrowsize=0.6, arrowstyle="-|>", zorder=1)
    # Rounding alone is no change of sign.
    v[np.abs(v) < 100 * np.finfo(v.dtype).eps * np.nanmax(np.abs(v))] = 0
    for i, (name, color) in enumerate(zip(names, (SKY, ORANGE), strict=True)):
        if np.nanmin(v[..., i]) < 0 < np.nanmax(v[..., i]):
            ax.contour(x, y, v[..., i], [0.0], colors=[color], linewidths=1.2, linestyles="dashed", zorder=3.2)
            ax.plot([], [], "--", color=color, label=f"{name} nullcline")
    return v


def _circle(radius: float, hole: bool = False) -> Path:
    circle = Path.circle(radius=radius)
    return Path(np.multiply(circle.vertices, [-1 if hole else 1, 1]), circle.codes)


_RING_WITH_DOT = Path.make_compound_path(_circle(1.0), _circle(0.72, hole=True), _circle(0.34))
_MANIFOLDS = {"stable": BLUE, "unstable": VERMILION}
_MARKS: dict[str, dict[str, Any]] = {
    "stable": {"marker": "o", "color": BLACK},
    "unstable": {"marker": "o", "color": BLACK, "mfc": "white"},
    "saddle": {"marker": "x", "color": BLACK, "mew": 1.6},
    "centre": {"marker": _RING_WITH_DOT, "color": BLACK, "ms": 7, "mew": 0},
    "degenerate": {"marker": "D", "color": BLACK, "mfc": "white", "ms": 4.5},
    "undecided": {"marker": "s", "color": GREY, "mfc": "white"},
    "failed": {"marker": "s", "color": GREY},
}


def _equilibria(ax: Axes, flow: AbstractFlow, plane: _Plane, speed: float) -> None:
    """Equilibria by type, and the manifolds of the saddles among them."""
    found = find_equilibria(flow, (plane.like, plane.state(plane.high)))
    isolated = np.asarray(found.isolated)
    points = np.asarray(jax.vmap(lambda x: _tree.ravel(x)[0])(found.states))
    if not isolated.all():
        ax.plot(*points[~isolated].T, ".", color=GREY, ms=4, zorder=4, label="equilibrium, not isolated")
    for point in points[isolated]:
        kind = stability(flow, plane.state(point), throw=False).kind
        label = f"equilibrium, {kind}" if kind in ("degenerate", "undecided", "failed") else kind
        ax.plot(*point[:, None], ls="", zorder=5, label=label, **{"mew": 1.1, **_MARKS[kind.split()[0]]})
        if kind == "saddle":
            _manifolds(ax, flow, plane, point, speed, _MANIFOLDS)


def separatrices(ax: Axes, flow: AbstractFlow, box: tuple[PyTree, PyTree], color: str) -> None:
    """The saddles in a box, and their stable manifolds."""
    flow, plane = _plane(flow, box)
    found = find_equilibria(flow, (plane.like, plane.state(plane.high)))
    x, y = (np.linspace(a, b, 9).astype(plane.low.dtype) for a, b in zip(plane.low, plane.high, strict=True))
    v = np.asarray(_velocities(flow, plane.like, jnp.asarray(x), jnp.asarray(y)))
    speed = float(np.nanmean(np.linalg.norm(v / plane.width, axis=-1)))
    for point in np.asarray(jax.vmap(lambda x: _tree.ravel(x)[0])(found.states))[np.asarray(found.isolated)]:
        if stability(flow, plane.state(point), throw=False).kind == "saddle":
            ax.plot(*point[:, None], ls="", zorder=5, label="saddle", **_MARKS["saddle"])
            _manifolds(ax, flow, plane, point, speed, {"stable": color})


class _Along(AbstractFlow):
    """The curves of a flow, walked in either direction at unit speed in widths of the window, slower near equilibria."""

    flow: AbstractFlow
    direction: Scalar
    width: Float[Array, " 2"]
    slow: Scalar

    def __call__(self, x: PyTree) -> PyTree:
        velocity, unravel = _tree.ravel(self.flow(x))
        return unravel(self.direction * velocity / jnp.sqrt(jnp.sum((velocity / self.width) ** 2) + self.slow**2))


def _manifolds(ax: Axes, flow: AbstractFlow, plane: _Plane, point: np.ndarray, speed: float, colors: Mapping[str, str]) -> None:
    matrix = np.asarray(eqx.filter_jit(jacobian)(flow, plane.state(point)))
    values, vectors = np.linalg.eig(matrix)
    for value, vector in zip(np.real(values), np.real(vectors).T, strict=True):
        away = 1e-3 * vector / np.linalg.norm(vector / plane.width)
        kind = "unstable" if value > 0 else "stable"
        if kind not in colors:
            continue
        numbers = (jnp.asarray(number, plane.low.dtype) for number in (np.sign(value), plane.width, 0.01 * speed))
        along = _Along(flow, *numbers)
        for start in (point + away, point - away):
            path = integrate(along, plane.state(start), np.linspace(0, 20, 2001), throw=False)
            x, y = np.concatenate([point[None], plane.points(path.xs)]).T
            ax.plot(x, y, color=colors[kind], zorder=3, label=f"{kind} manifold")


@eqx.filter_jit
def _time_per_step(step: AbstractMap, flow: AbstractFlow, x: PyTree) -> Array:
    """A map's first displacement, measured in the flow's time along its velocity."""
    velocity, moved = flow(x), _tree.subtract(step.point(step(step.init(x))), x)
    return _tree.dot(moved, velocity) / _tree.dot(velocity, velocity)


def _stop(ax: Axes, plane: _Plane, points: np.ndarray) -> None:
    """Mark where the solver gave up inside the window, as where a field with a jump slides along it."""
    inside = np.all((points >= plane.low) & (points <= plane.high), axis=1)
    reached = np.flatnonzero(np.isfinite(points).all(axis=1))
    if inside[reached[-1]]:
        ax.plot(*points[reached[-1], :, None], "v", color=GREEN, mfc="white", ms=4.5, zorder=4, label="solver stopped")


def _applications(step: AbstractMap, flow: AbstractFlow, starts: Sequence[PyTree], horizon: float) -> int:
    times = np.array([_time_per_step(step, flow, x) for x in starts])
    times = times[np.isfinite(times) & (times > 0)]
    return int(np.clip(np.ceil(horizon / np.median(times) - 1e-6), 1, 100 * _MOST_DOTS)) if times.size else int(horizon)


def _follow(
    ax: Axes, flow: AbstractFlow, plane: _Plane, starts: Sequence[PyTree], step: AbstractMap | None, horizon: float
) -> None:
    """Trajectories of the flow and orbits of the map from the same starts."""
    ts = np.linspace(0.0, horizon, _TIMES)
    for x in starts:
        trajectory = integrate(flow, x, ts, throw=False, max_steps=20_000)
        points = plane.points(trajectory.xs)
        ax.plot(*points.T, color=GREEN, zorder=3.3, label="flow")
        if trajectory.result != RESULTS.successful:
            _stop(ax, plane, points)
    if step is not None:
        steps = _applications(step, flow, starts, horizon)
        every = -(-steps // _MOST_DOTS)
        for x in starts:
            orbit = iterate(step, step.init(x), every * (steps // every), every=every, observe=step.point, throw=False)
            ax.plot(*plane.points(orbit.xs).T, ".", color=PURPLE, ms=3, mew=0, zorder=3.5, label=type(step).__name__)
    for x in starts:
        ax.plot(*np.asarray(_tree.ravel(x)[0])[:, None], "s", color=GREEN, mfc="white", ms=4, zorder=4, label="start")


@style()
def portrait(
    flow: AbstractFlow,
    box: tuple[PyTree, PyTree],
    *,
    starts: Sequence[PyTree] = (),
    step: AbstractMap | None = None,
    horizon: float = 20.0,
    equilibria: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """The phase portrait of a flow on two coordinates.

    Streamlines in grey; nullclines, where a coordinate's velocity changes sign, dashed; equilibria by type (stable
    filled, unstable open, a saddle a cross, a centre a ring with a dot; grey where there is no verdict or where the
    equilibrium is not isolated); the stable and unstable manifolds of saddles.

    Args:
        flow: The flow or game; its state is any pytree with two coordinates.
        box: Two states, the lower left and the upper right corner.
        starts: States from which to draw trajectories of the flow.
        step: A map, such as `gd.SimGD(flow, 0.1)`, whose orbits are drawn as dots beside the trajectories. Its first
            displacement, measured along the velocity, says how many applications the horizon has; where they are
            more than a thousand, every so many-th is drawn.
        horizon: How long to follow the trajectories, in time.
        equilibria: Search the box for equilibria and draw them.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: A state of more or fewer than two coordinates, a map in place of the flow or a flow in place of the
            map, an empty box, or a start of another structure.
    """
    flow, plane = _plane(flow, box)
    if step is not None and not isinstance(step, AbstractMap):
        raise ValueError(f"step must be a map, such as gd.SimGD(flow, 0.1); got {type(step).__name__}.")
    starts = [_tree.state_arrays(x) for x in starts]
    for x in starts:
        _tree.check_like(x, plane.like, "portrait was given the start")
    ax = axes(ax, 3.4)
    names = coordinate_names(plane.like)
    velocities = _field(ax, flow, plane, names)
    _follow(ax, flow, plane, starts, step, horizon)
    if equilibria:
        _equilibria(ax, flow, plane, float(np.nanmean(np.linalg.norm(velocities / plane.width, axis=-1))))
    ax.set(xlim=(plane.low[0], plane.high[0]), ylim=(plane.low[1], plane.high[1]), xlabel=names[0], ylabel=names[1])
    if 0.5 <= plane.width[0] / plane.width[1] <= 2:
        ax.set_aspect("equal")
    ax.locator_params(nbins=5)
    legend(ax)
    return ax
