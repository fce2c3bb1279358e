"""Basins of attraction."""

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, to_rgb

from .. import _tree
from .._system import AbstractFlow
from ..analysis._basins import DIVERGED, UNDECIDED, Basins
from ._chart import edges, rectangles
from ._portrait import separatrices
from ._style import BLACK, MARKERS, PALETTE, axes, coordinate_names, legend, style

# How much of an attractor's own colour its basin has; the rest is white.
_TINT = 0.45


def _tinted(color: str) -> np.ndarray:
    return 1 - _TINT * (1 - np.array(to_rgb(color)))


def _grid(found: Basins) -> tuple[list[int], list[np.ndarray], list[str], np.ndarray]:
    """The two coordinates of the grid, the values and names of both, and the labels by rows."""
    a, b = (np.asarray(_tree.ravel(corner)[0]) for corner in found.box)
    shape = found.labels.shape
    wide = [i for i, count in enumerate(shape) if count > 1]
    if len(shape) != a.size or len(wide) != 2:
        raise ValueError(
            f"basins draws a grid over two coordinates; the labels have the shape {shape}, the states {a.size} coordinates."
        )
    values = [np.linspace(a[i], b[i], shape[i]) for i in wide]
    names = coordinate_names(found.box[0])
    return wide, values, [names[i] for i in wide], np.asarray(found.labels).reshape([shape[i] for i in wide]).T


def _borders(labels: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The sides between cells of different labels; `x` and `y` are the cells' edges."""
    rows, columns = np.nonzero(labels[:, 1:] != labels[:, :-1])
    upright = [np.array([(x[j + 1], y[i]), (x[j + 1], y[i + 1])]) for i, j in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(labels[1:] != labels[:-1])
    return upright + [np.array([(x[j], y[i + 1]), (x[j + 1], y[i + 1])]) for i, j in zip(rows, columns, strict=True)]


def _rows(found: Basins) -> list[str]:
    """What the legend says of every attractor, of divergence and of the undecided: the share and its interval."""
    several = {kind for kind in found.kinds if found.kinds.count(kind) > 1}
    names = [f"{kind} {found.kinds[: i + 1].count(kind)}" if kind in several else kind for i, kind in enumerate(found.kinds)]
    rows = zip([*names, "runs away", "undecided"], np.asarray(found.fractions), np.asarray(found.intervals), strict=True)
    return [f"{name}: {share:.3f} ({low:.3f} to {high:.3f})" for name, share, (low, high) in rows]


@style()
def basins(
    found: Basins,
    *,
    flow: AbstractFlow | None = None,
    borders: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """The basins of attraction on a grid of starts: one colour for each attractor, white where orbits run away.

    Undecided starts are grey and hatched. A mark of the basin's colour is a state on its attractor. The legend has the share of
    each, with its interval.

    Args:
        found: From `gd.basins` on a grid over two coordinates.
        flow: A flow of two coordinates whose separatrices are to be drawn: the stable manifolds of its saddles in the box.
        borders: Draw the borders between cells that end differently.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: Starts that are no grid over two coordinates.
    """
    wide, values, names, labels = _grid(found)
    ax = axes(ax, 3.8)
    x, y = (edges(value) for value in values)
    count = len(found.kinds)
    # By the labels from zero up and then from below: attractors, the undecided (-2) and those that run away (-1).
    colors = [*(_tinted(PALETTE[i % len(PALETTE)]) for i in range(count)), np.full(3, 0.8), np.ones(3)]
    ax.pcolormesh(x, y, labels % (count + 2), cmap=ListedColormap(colors), vmin=-0.5, vmax=count + 1.5, rasterized=True)
    rows, outline = _rows(found), {"ec": "0.3", "lw": 0.6}
    places = np.asarray(jax.vmap(lambda state: _tree.ravel(state)[0])(found.attractors))
    for i in range(count):
        color, marker = PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]
        look = {"marker": marker, "ms": 5.5, "mew": 0.8, "color": color, "mec": "white", "zorder": 6}
        ax.plot(*places[i, wide][:, None], ls="", label=rows[i], **look)
    if (labels == DIVERGED).any():
        ax.fill([], [], fc="white", label=rows[-2], **outline)
    if (labels == UNDECIDED).any():
        blocks = PolyCollection(rectangles(labels == UNDECIDED, x, y), fc="0.8", ec="none", lw=0, rasterized=True)
        blocks.set(hatch="//////", label=rows[-1])
        ax.add_collection(blocks, autolim=False)
    if borders:
        for side in _borders(labels, x, y):
            ax.plot(*side.T, color=BLACK, lw=0.9, solid_capstyle="projecting", zorder=3, label="border of cells")
    if flow is not None:
        separatrices(ax, flow, found.box, BLACK)
    if 0.5 <= np.ptp(x) / np.ptp(y) <= 2:
        ax.set_aspect("equal")
    ax.set(xlim=x[[0, -1]], ylim=y[[0, -1]], xlabel=names[0], ylabel=names[1])
    legend(ax, columns=1)
    return ax
