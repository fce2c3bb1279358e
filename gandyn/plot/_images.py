"""Grids of pictures: the data beside what is generated."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes

from ._style import axes, style

_Images = Float[Array | np.ndarray, "n ..."]


def _grey(points: _Images) -> np.ndarray:
    """Points as pictures of shape `(n, height, width)`."""
    shape = points.shape
    side = math.isqrt(math.prod(shape[1:]))
    if len(shape) == 4 and shape[1] == 1:
        return np.asarray(points)[:, 0]
    if len(shape) == 3:
        return np.asarray(points)
    if len(shape) == 2 and side > 0 and side**2 == shape[1]:
        return np.asarray(points).reshape(-1, side, side)
    raise ValueError(
        f"images draws grey pictures of shape (n, height, width), (n, 1, height, width) or (n, side * side); got {shape}."
    )


def _grid(pictures: np.ndarray, columns: int, gap: int) -> np.ndarray:
    """The pictures row by row in one array, nan between them."""
    n, height, width = pictures.shape
    rows = -(-n // columns)
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole


@style()
def images(points: _Images | Mapping[str, _Images], *, columns: int = 6, ax: Axes | None = None) -> Axes:
    """Pictures in a grid; by name several grids side by side, such as `{"data": real, "generated": points}`.

    All are drawn on one scale of grey, from the least to the greatest value of the first grid; what lies beyond is clipped.

    Args:
        points: Pictures of shape `(n, height, width)`, `(n, 1, height, width)` or, square ones, `(n, side * side)`.
        columns: Pictures in a row of each grid.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: Points of another shape, or grids of pictures of different sizes.
    """
    named = points if isinstance(points, Mapping) else {"": points}
    groups = {name: _grey(group) for name, group in named.items()}
    sizes = sorted({group.shape[1:] for group in groups.values()})
    if len(sizes) != 1:
        raise ValueError(f"Grids side by side need pictures of one size; got {sizes}.")
    height, width = sizes[0]
    gap = max(1, height // 10)
    first = next(iter(groups.values()))
    rows = -(-max(group.shape[0] for group in groups.values()) // columns) * (height + gap) - gap
    across = len(groups) * (columns * (width + gap) + width // 2) - gap - width // 2
    ax = axes(ax, 0.2 + 3.3 * rows / across)
    left = 0
    for name, group in groups.items():
        whole = _grid(group, columns, gap)
        extent = (left - 0.5, left + whole.shape[1] - 0.5, whole.shape[0] - 0.5, -0.5)
        ax.imshow(whole, cmap="gray", vmin=float(first.min()), vmax=float(first.max()), extent=extent, interpolation="nearest")
        ax.text(left + whole.shape[1] / 2, -gap - 0.5, name, ha="center", va="bottom")
        left += whole.shape[1] + gap + width // 2
    ax.set(xlim=(-0.5, across - 0.5), ylim=(rows - 0.5, -0.5))
    ax.set_axis_off()
    return ax
