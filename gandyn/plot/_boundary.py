"""Boundaries in the plane of two parameters."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ..analysis._boundary import Boundary
from ._style import BLACK, GREEN, ORANGE, PURPLE, VERMILION, axes, legend, style

_COLORS = {
    "fold": VERMILION,
    "fold of cycles": VERMILION,
    "branch point": GREEN,
    "Hopf": ORANGE,
    "Neimark-Sacker": ORANGE,
    "torus": ORANGE,
    "flip": PURPLE,
    "period doubling": PURPLE,
}

# The labels of MatCont.
_LABELS = {
    "cusp": "CP",
    "Bogdanov-Takens": "BT",
    "generalised Hopf": "GH",
    "fold-Hopf": "ZH",
    "Hopf-Hopf": "HH",
    "1:1 resonance": "R1",
    "1:2 resonance": "R2",
    "1:3 resonance": "R3",
    "1:4 resonance": "R4",
    "Chenciner": "CH",
    "generalised flip": "GPD",
    "fold-flip": "LPPD",
    "fold-Neimark-Sacker": "LPNS",
    "flip-Neimark-Sacker": "PDNS",
    "double Neimark-Sacker": "NSNS",
}

_CASING = [withStroke(linewidth=2.2, foreground="white", alpha=0.7)]


def _stretches(mask: np.ndarray) -> list[tuple[slice, bool]]:
    """The runs of equal marks along a curve, each reaching to the first point of the next."""
    ends = [0, *(np.flatnonzero(np.diff(mask.astype(int))) + 1), mask.size]
    return [(slice(a, b + 1), bool(mask[a])) for a, b in itertools.pairwise(ends)]


@style()
def boundary(
    boundaries: Boundary | Sequence[Boundary], *, names: tuple[str, str] | None = None, ax: Axes | None = None
) -> Axes:
    """The curves of bifurcations in the plane of two parameters: solid where all other modes decay, dashed elsewhere.

    Across a solid line an equilibrium loses stability. Points mark the corners of codimension two, under the labels of MatCont,
    which the legend spells out.

    Args:
        boundaries: From `gd.boundary`, one or several, in the plane of the same two parameters.
        names: Those of the parameters.
        ax: Where to draw, such as the axes of a `chart` over the same two parameters; a new figure if left out.

    Returns:
        The axes.
    """
    together = [boundaries] if isinstance(boundaries, Boundary) else list(boundaries)
    ax = axes(ax, 2.6)
    seen: set[tuple[str, ...]] = set()
    for one in together:
        values, color = np.asarray(one.values), _COLORS[one.kind]
        for part, bounding in _stretches(np.asarray(one.growth) < 0):
            ax.plot(*values[part].T, color=color, ls="-" if bounding else "--", lw=1.4, path_effects=_CASING, label=one.kind)
        for corner in one.corners:
            place = tuple(np.asarray(corner.values))
            label, key = _LABELS[corner.kind], (corner.kind, *(f"{value:.6g}" for value in place))
            ax.plot(*place, "o", ms=4, color=BLACK, mfc=GREEN, mew=0.8, zorder=6, clip_on=False)
            if key not in seen:
                ax.annotate(label, place, (5, -9), textcoords="offset points", fontsize=8, zorder=7, path_effects=_CASING)
            seen.add(key)
    for kind in dict.fromkeys(kind for kind, *_ in sorted(seen)):
        ax.plot([], [], "o", ms=4, color=BLACK, mfc=GREEN, mew=0.8, label=f"{_LABELS[kind]}  {kind}")
    if names is not None:
        ax.set(xlabel=names[0], ylabel=names[1])
    legend(ax)
    return ax
