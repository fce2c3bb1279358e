"""Trajectories and orbits, in the phase plane and against time."""

from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree
from matplotlib.axes import Axes

from .. import _tree
from .._evolve import Trajectory
from ._style import PALETTE, axes, coordinate_names, end, legend, style

_MOST_COORDINATES = 7


def _points(trajectory: Trajectory) -> np.ndarray:
    return np.asarray(jax.vmap(lambda x: _tree.ravel(x)[0])(trajectory.xs))


def _first(trajectory: Trajectory) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[0], trajectory.xs)


def _is_orbit(trajectory: Trajectory) -> bool:
    """Whether `iterate` made it, which counts applications, rather than `integrate`."""
    return "steps" in trajectory.stats


@style()
def trajectory(trajectory: Trajectory, *, label: str | None = None, ax: Axes | None = None) -> Axes:
    """A trajectory in the phase plane, from an open square to a filled one; an orbit of a map as dots on a thin line.

    Args:
        trajectory: From `gd.integrate` or `gd.iterate`, its states of two coordinates.
        label: A name for the legend.
        ax: Where to draw; a new figure if left out. Further trajectories on the same axes take further colours.

    Returns:
        The axes.

    Raises:
        ValueError: States of more or fewer than two coordinates.
    """
    state = _first(trajectory)
    if _tree.size(state) != 2:
        raise ValueError(
            f"trajectory draws states of two coordinates; {_tree.describe(state)} has {_tree.size(state)}. "
            "gd.plot.coordinates draws them against time."
        )
    ax = axes(ax, 2.9)
    points = _points(trajectory)
    color = PALETTE[len(ax.lines) // 3 % len(PALETTE)]
    marks: dict[str, Any] = {"marker": ".", "ms": 2.5, "lw": 0.5} if _is_orbit(trajectory) else {"lw": 1.2}
    ax.plot(*points.T, color=color, label=label, **marks)
    reached = points[np.isfinite(points).all(axis=1)]
    for (x, y), start in ((reached[0], True), (reached[-1], False)):
        end(ax, x, y, start, color)
    names = coordinate_names(state)
    ax.set(xlabel=names[0], ylabel=names[1])
    legend(ax)
    return ax


@style()
def coordinates(trajectory: Trajectory, *, ax: Axes | None = None) -> Axes:
    """The coordinates of a trajectory against time, or of an orbit against the number of applications.

    Args:
        trajectory: From `gd.integrate` or `gd.iterate`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: States of more than seven coordinates.
    """
    state = _first(trajectory)
    if _tree.size(state) > _MOST_COORDINATES:
        raise ValueError(
            f"coordinates draws at most {_MOST_COORDINATES} lines; the state {_tree.describe(state)} has "
            f"{_tree.size(state)}. Keep what you want to see, as in gd.iterate(..., observe=norm)."
        )
    ax = axes(ax, 2.4)
    for values, name, color in zip(_points(trajectory).T, coordinate_names(state), PALETTE, strict=False):
        ax.plot(trajectory.ts, values, color=color, label=name)
    ax.set(xlabel="applications" if _is_orbit(trajectory) else "time", ylabel="coordinate")
    ax.margins(x=0)
    legend(ax, columns=3)
    return ax
