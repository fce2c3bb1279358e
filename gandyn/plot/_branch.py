"""Bifurcation diagrams, and periods along branches of cycles."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree
from matplotlib.axes import Axes
from scipy.interpolate import PchipInterpolator

from .. import _tree
from ..analysis._branch import Branch, Special
from ..analysis._verdict import STABLE
from ._style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILION, axes, coordinate_names, legend, style

_MARKS = {
    "fold": ("s", VERMILION),
    "branch point": ("D", GREEN),
    "Hopf": ("o", ORANGE),
    "Neimark-Sacker": ("o", ORANGE),
    "flip": ("^", PURPLE),
    "several modes": ("P", ORANGE),
    "fold of cycles": ("s", VERMILION),
    "torus": ("o", ORANGE),
    "period doubling": ("^", PURPLE),
}
# Points that are drawn for each that was computed.
_BETWEEN = 8
# Of equilibria and of cycles: how what is stable is drawn and called, and how what is not.
_EQUILIBRIA = ((BLUE, "-", "stable"), (BLACK, "--", "not stable"))
_CYCLES = ((GREEN, "-", "stable cycle"), (GREEN, (0, (2.2, 1.4)), "cycle, not stable"))


class _Curve(NamedTuple):
    """Points of a branch in the plane of the picture, and where its bifurcations are on it."""

    points: np.ndarray
    marks: np.ndarray


def _stretches(stable: np.ndarray, points: np.ndarray, marks: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """Lines of one stability; neighbours meet at the bifurcation between them, if there is one, and at a point otherwise."""
    found, start = [], points[:1]
    ends = np.flatnonzero(np.diff(stable.astype(int)))
    for first, last in itertools.pairwise([-1, *ends, stable.size - 1]):
        line = np.concatenate([start, points[first + 1 : last + 1]])
        if last + 1 < stable.size:
            step = points[last + 1] - points[last]
            length = max(float(np.linalg.norm(step)), np.finfo(float).tiny ** 0.5)
            shares = (marks - points[last]) @ step / length**2
            off = np.linalg.norm(marks - points[last] - shares[:, None] * step, axis=1) / length
            near = np.flatnonzero((shares >= 0) & (shares <= 1) & (off < 0.5))
            start = marks[near[:1]] if near.size else points[last + 1 : last + 2]
            line = np.concatenate([line, start])
        found.append((line, bool(stable[last])))
    return found


def _stable(branch: Branch) -> np.ndarray:
    """Where a branch is stable; the Hopf point in which cycles end as they are beside it."""
    stable = np.asarray(branch.stability.code) == STABLE
    if branch.ends[0] == "Hopf point" and stable.size > 1:
        stable[0] = stable[1]
    return stable


def _smooth(line: np.ndarray) -> np.ndarray:
    """A curve through the points, by cubics along the way that turn nowhere else than these do."""
    way = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0) / np.ptp(line, axis=0).clip(1e-300), axis=1)))
    kept = np.append(True, np.diff(way) > 1e-9 * way[-1])
    if kept.sum() < 3:
        return line
    places = np.interp(np.arange(_BETWEEN * (kept.sum() - 1) + 1) / _BETWEEN, np.arange(kept.sum()), way[kept])
    return PchipInterpolator(way[kept], line[kept])(places)


def _draw(ax: Axes, branch: Branch, curves: Sequence[_Curve]) -> None:
    solid, dashed = _EQUILIBRIA if branch.periods is None else _CYCLES
    for curve in curves:
        for line, stable in _stretches(_stable(branch), curve.points, curve.marks):
            color, dashes, name = solid if stable else dashed
            ax.plot(*_smooth(line).T, color=color, ls=dashes, lw=1.2, label=name)
        for special, place in zip(branch.specials, curve.marks, strict=True):
            mark, color = _MARKS[special.kind]
            face = color if special.character == "supercritical" else "white"
            ax.plot(*place, mark, ms=5, color=color, mfc=face, mew=1.0, zorder=5, label=special.kind)


def _curve(branch: Branch, heights: ArrayLike, marks: Sequence[ArrayLike]) -> _Curve:
    values = [float(special.value) for special in branch.specials]
    places = np.stack([np.array(values), np.array(marks, dtype=float)], axis=1)
    return _Curve(np.stack([np.asarray(branch.values), np.asarray(heights)], axis=1), places)


def _peak(heights: np.ndarray) -> float:
    """The largest value of a turn: of the parabola through the highest sample and its neighbours."""
    turn = heights[:-1]
    k = int(np.argmax(turn))
    before, top, after = turn[k - 1], turn[k], turn[(k + 1) % turn.size]
    bend = before - 2 * top + after
    return float(top - (after - before) ** 2 / (8 * bend)) if bend < 0 else float(top)


def _curves(branch: Branch, height: Callable[[PyTree], Array]) -> list[_Curve]:
    """The height along a branch, of cycles the largest and the smallest in a turn."""
    if branch.periods is None:
        return [_curve(branch, jax.vmap(height)(branch.states), [height(special.state) for special in branch.specials])]
    turns = np.asarray(jax.vmap(jax.vmap(height))(branch.states))
    marked = [np.asarray(jax.vmap(height)(special.orbit)) for special in branch.specials]
    return [
        _curve(branch, np.array([sign * _peak(sign * turn) for turn in turns]), [sign * _peak(sign * turn) for turn in marked])
        for sign in (1.0, -1.0)
    ]


@style()
def branch(
    branches: Branch | Sequence[Branch],
    *,
    observe: Callable[[PyTree], PyTree] | None = None,
    name: str = "parameter",
    ax: Axes | None = None,
) -> Axes:
    """The bifurcation diagram: a number of the state against the parameter, solid where the branch is stable.

    Dashed lines are what is unstable, marginal or undecided. Of cycles, which are green, the largest and the smallest value in
    a turn are drawn. Markers are the bifurcations, filled where they are supercritical.

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
        _draw(ax, one, _curves(one, height))
    first = together[0]
    state = jax.tree.map(lambda leaf: leaf[0] if first.periods is None else leaf[0, 0], first.states)
    ax.set(xlabel=name, ylabel="observed" if observe else coordinate_names(state)[0])
    legend(ax, 3)
    return ax


@style()
def periods(branches: Branch | Sequence[Branch], *, name: str = "parameter", ax: Axes | None = None) -> Axes:
    """The period along branches of cycles against the parameter, solid where they are stable.

    Args:
        branches: Of cycles, from `gd.continuation`, one or several.
        name: That of the parameter.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: A branch of equilibria.
    """
    ax = axes(ax, 2.6)
    for one in [branches] if isinstance(branches, Branch) else branches:
        if one.periods is None:
            raise ValueError("Equilibria have no period; pass branches of cycles, such as those from a Hopf point.")
        _draw(ax, one, [_curve(one, one.periods, [_period(special) for special in one.specials])])
    ax.set(xlabel=name, ylabel="period")
    legend(ax, 2)
    return ax


def _period(special: Special) -> Array:
    if special.period is None:
        raise ValueError(f"A {special.kind} of equilibria on a branch of cycles.")
    return special.period
