"""Bifurcation diagrams."""

import itertools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import PyTree
from matplotlib.axes import Axes

from .. import _tree
from ..analysis._branch import Branch
from ..analysis._verdict import STABLE
from ._style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILION, axes, coordinate_names, legend, style

_MARKS = {
    "fold": ("s", VERMILION),
    "branch point": ("D", GREEN),
    "Hopf": ("o", ORANGE),
    "Neimark-Sacker": ("o", ORANGE),
    "flip": ("^", PURPLE),
}


def _stretches(stable: np.ndarray, points: np.ndarray, marks: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """Lines of one stability; neighbours meet at the bifurcation between them, if there is one, and at a point otherwise."""
    found, start = [], points[:1]
    ends = np.flatnonzero(np.diff(stable.astype(int)))
    for first, last in itertools.pairwise([-1, *ends, stable.size - 1]):
        line = np.concatenate([start, points[first + 1 : last + 1]])
        if last + 1 < stable.size:
            step = points[last + 1] - points[last]
            shares = (marks - points[last]) @ step / (step @ step)
            off = np.linalg.norm(marks - points[last] - shares[:, None] * step, axis=1) / np.linalg.norm(step)
            near = np.flatnonzero((shares >= 0) & (shares <= 1) & (off < 0.5))
            start = marks[near[:1]] if near.size else points[last + 1 : last + 2]
            line = np.concatenate([line, start])
        found.append((line, bool(stable[last])))
    return found


@style()
def branch(
    branches: Branch | Sequence[Branch],
    *,
    observe: Callable[[PyTree], PyTree] | None = None,
    name: str = "parameter",
    ax: Axes | None = None,
) -> Axes:
    """The bifurcation diagram: a number of the state against the parameter, solid where the branch is stable.

    Dashed lines are what is unstable, marginal or undecided. Markers are the bifurcations, filled where they are supercritical.

    Args:
        branches: From `gd.continuation`, one or several.
        observe: The number to show, a function of the state; its first coordinate if left out.
        name: That of the parameter.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.
    """
    ax = axes(ax, 2.6)
    together = [branches] if isinstance(branches, Branch) else list(branches)
    height = observe or (lambda x: _tree.ravel(x)[0][0])
    for one in together:
        values, heights = np.asarray(one.values), np.asarray(jax.vmap(height)(one.states))
        marks = np.array([(float(special.value), float(height(special.state))) for special in one.specials]).reshape(-1, 2)
        points = np.stack([values, heights], axis=1)
        for line, stable in _stretches(np.asarray(one.stability.code) == STABLE, points, marks):
            ax.plot(*line.T, color=BLUE if stable else BLACK, ls="-" if stable else "--", lw=1.2)
        for special, place in zip(one.specials, marks, strict=True):
            mark, color = _MARKS[special.kind]
            face = color if special.character == "supercritical" else "white"
            ax.plot(*place, mark, ms=5, color=color, mfc=face, mew=1.0, zorder=5, label=special.kind)
    ax.plot([], [], color=BLUE, label="stable")
    ax.plot([], [], color=BLACK, ls="--", label="not stable")
    first = jax.tree.map(lambda leaf: leaf[0], together[0].states)
    ax.set(xlabel=name, ylabel="observed" if observe else coordinate_names(first)[0])
    legend(ax, 3)
    return ax
