"""Stability maps over two parameters."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import lazy_loader
import numpy as np
from jaxtyping import ArrayLike
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from ..analysis._sweep import StoredSweep, Sweep
from ..analysis._verdict import FAILED, MARGINAL, UNDECIDED
from ._spectrum import is_map
from ._style import BLACK, GREEN, ORANGE, PURPLE, SKY, axes, geometric, legend, style
from ._swept import stabilities, thinned

if TYPE_CHECKING:
    import xarray
else:
    xarray = lazy_loader.load("xarray")

_CURVES = ((ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"), (SKY, (0, (5, 1, 1, 1, 1, 1))))


def edges(values: np.ndarray) -> np.ndarray:
    """The borders between cells around sorted values, half way on the scale of the axis."""
    log = geometric(values)
    v = np.log(values) if log else values
    if v.size == 1:
        return np.array([v[0] - 0.5, v[0] + 0.5])
    inner = (v[1:] + v[:-1]) / 2
    edges = np.concatenate([[2 * v[0] - inner[0]], inner, [2 * v[-1] - inner[-1]]])
    return np.exp(edges) if log else edges


def rectangles(mask: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The marked cells as rectangles, one for each run along a row; `x` and `y` are the cells' edges."""
    found = []
    for row, marked in enumerate(mask):
        jumps = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(int), [0]])))
        for a, b in jumps.reshape(-1, 2):
            corners = [(a, row), (b, row), (b, row + 1), (a, row + 1)]
            found.append(np.array([(x[i], y[j]) for i, j in corners]))
    return found


def _limit(growth: np.ndarray) -> float:
    """Where to clip the colours: at the usual size of the weaker sign, so that both are seen."""
    finite = growth[np.isfinite(growth)]
    sizes = sorted(float(np.percentile(side, 98)) for side in (finite[finite > 0], -finite[finite < 0]) if side.size)
    return max(sizes[0], sizes[-1] / 10) if sizes else 1.0


@style()
def chart(
    sweep: "Sweep | StoredSweep | xarray.Dataset",
    *,
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The stability map over two parameters.

    Colour is the growth, blue where perturbations decay and red where they grow, on a scale symmetric about zero and
    clipped at the size of the weaker of the two, so that both are seen. A line marks zero growth; undecided cells are
    hatched, those without a verdict grey, and those of a store that are not computed yet blank. The first axis of the sweep
    lies horizontally; values spaced by a constant factor make an axis logarithmic.

    Args:
        sweep: From `gd.sweep` over two axes, its values a `Stability`, or its data set; of more than a thousand values along
            an axis only some are drawn.
        curves: Boundaries to draw on top, such as closed forms: by label, their two coordinates.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: Values that are no `Stability`, or a number of axes other than two.
    """
    found = stabilities(sweep)
    names = [str(axis) for axis in found["verdict"].dims]
    if len(names) != 2:
        raise ValueError(f"chart draws a sweep over two axes; this one has {names}. For one axis there is gd.plot.paths.")
    ax = axes(ax, 2.9)
    order = [np.argsort(np.asarray(found[name])) for name in names]
    x, y = (np.asarray(found[name])[i] for name, i in zip(names, order, strict=True))
    growth, code = (np.array(found[name])[np.ix_(*order)].T for name in ("growth", "verdict"))
    limit = _limit(growth)
    outer = edges(x), edges(y)
    shown = np.ma.masked_invalid(np.clip(growth, -limit, limit))
    cells = ax.pcolormesh(*outer, shown, cmap="RdBu_r", rasterized=True)
    cells.set_clim(-limit, limit)
    growth[code == MARGINAL] = 0
    if min(growth.shape) > 1 and (growth <= 0).any() and (growth > 0).any():
        ax.contour(x, y, np.clip(growth, -limit, limit), [0.0], colors=[BLACK], linewidths=1.1)
        ax.plot([], [], color=BLACK, lw=1.1, label="growth = 0")
    for label, marked, face, hatch in (
        ("undecided", code == UNDECIDED, "0.9", "//////"),
        ("no verdict", code == FAILED, "0.72", None),
    ):
        if marked.any():
            blocks = PolyCollection(rectangles(marked, *outer), fc=face, ec="none", lw=0, rasterized=True)
            blocks.set(hatch=hatch, label=label)
            ax.add_collection(blocks, autolim=False)
    for i, (label, (a, b)) in enumerate((curves or {}).items()):
        color, dashes = _CURVES[i % len(_CURVES)]
        ax.plot(a, b, color=color, ls=dashes, lw=1.6, label=label)
    scales = ["log" if geometric(values) else "linear" for values in (x, y)]
    ax.set(xscale=scales[0], yscale=scales[1], xlabel=names[0], ylabel=names[1])
    ax.set(xlim=outer[0][[0, -1]], ylim=outer[1][[0, -1]])
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
    extend = beyond[bool((growth < -limit).any()), bool((growth > limit).any())]
    unit = "application" if is_map(thinned(found, 32)) else "unit time"
    ax.figure.colorbar(cells, ax=ax, label=f"growth per {unit}", extend=extend, pad=0.02, aspect=30)
    legend(ax)
    return ax
