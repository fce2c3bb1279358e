"""One publishable style for every picture, and what all pictures share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.tree_util as jtu
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import ArrayLike, PyTree
from matplotlib.animation import Animation
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from .. import _tree

COLUMN, PAGE = 3.4, 7.0

# Dots per inch of an animation, which is for screens and shall be small.
_SCREEN = 120

# Okabe and Ito's palette (2008), told apart with any kind of colour vision.
BLACK, GREY = "#000000", "#7f7f7f"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY = "#e69f00", "#56b4e9"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": "0.3",
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": f"cycler(color={list(PALETTE)})",
    "axes.titlesize": 9,
    "axes.unicode_minus": True,
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.family": "STIXGeneral",
    "font.size": 9,
    "hatch.color": "0.35",
    "hatch.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 5,
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,
    "savefig.bbox": None,
    "savefig.dpi": 300,
    "svg.fonttype": "path",
    "svg.hashsalt": "gandyn",
    "xtick.color": "0.3",
    "xtick.direction": "in",
    "xtick.labelcolor": BLACK,
    "xtick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.color": "0.3",
    "ytick.direction": "in",
    "ytick.labelcolor": BLACK,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.6,
}


@contextmanager
def style() -> Iterator[None]:
    """The style of every picture of this package, as a context manager or a decorator.

    Eight and nine points, a palette for any colour vision, a layout without overlaps, and vector output that two runs
    of one program write alike, byte for byte. Draw under it what belongs beside the pictures of this package.
    """
    with plt.rc_context(_SETTINGS):
        yield


@style()
def figure(columns: int = 1, rows: int = 1, panels: int = 1, *, height: float | None = None) -> tuple[Figure, Any]:
    """A figure in the style, to be filled by the functions of this module through `ax=`.

    Args:
        columns: The columns of a printed page that it spans: 1 for 3.4 inches, 2 for 7 inches.
        rows: Rows of panels.
        panels: Panels in a row.
        height: The height of a row in inches; by default three quarters of a panel's width.

    Returns:
        The figure, and its axes: one, or an array of shape `(rows, panels)` without axes of length one.

    Raises:
        ValueError: A number of columns other than one or two.
    """
    if columns not in (1, 2):
        raise ValueError(f"A page has two columns, so a figure spans 1 or 2 of them; got columns={columns}.")
    width = COLUMN if columns == 1 else PAGE
    return plt.subplots(rows, panels, figsize=(width, rows * (height or 0.75 * width / panels)))


@style()
def save(ax: Axes | Figure | Animation, file: Any, *, kind: str | None = None) -> None:
    """Write the figure of an axes, or an animation, to a file; two runs of one program write the same bytes.

    Args:
        ax: The axes, or the figure, or an animation.
        file: A path, whose ending says the format, or a binary file. An animation has a path, such as `run.gif`.
        kind: `svg`, `pdf` or `png`; needed for a file without an ending.
    """
    if isinstance(ax, Animation):
        ax.save(file, writer="pillow", dpi=_SCREEN)
        return
    kind = kind or Path(str(file)).suffix[1:] or "svg"
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    whole = ax.get_figure(root=True)
    if not isinstance(whole, Figure):
        raise ValueError("These axes have been removed from their figure; there is nothing to write.")
    whole.savefig(file, format=kind, metadata=undated)


def axes(ax: Axes | None, height: float) -> Axes:
    """The given axes, or those of a new figure one column wide."""
    return figure(height=height)[1] if ax is None else ax


def legend(ax: Axes, columns: int = 2) -> None:
    """A legend of what is labelled, without doubles, below the axes and clear of their labels."""
    entries = {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if entries:
        below = ax.transAxes + ScaledTranslation(0, -26 / 72, ax.figure.dpi_scale_trans)
        ax.legend(
            list(entries.values()),
            list(entries),
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=below,
            borderaxespad=0.3,
            columnspacing=1.2,
            handlelength=1.6,
            ncols=min(columns, len(entries)),
        )


def geometric(values: ArrayLike) -> bool:
    """Whether positive values are spaced by a constant factor over more than a decade, so that their axis is logarithmic."""
    values = np.asarray(values)
    if values.size < 3 or values.min() <= 0 or values.max() / values.min() < 10:
        return False
    return bool(np.ptp(np.diff(np.log(values))) < 1e-3 * np.ptp(np.log(values)) / values.size)


def norm(values: ArrayLike) -> Normalize:
    """The scale on which a parameter is coloured."""
    values = np.asarray(values)
    return (LogNorm if geometric(values) else Normalize)(values.min(), values.max())


def _name(path: tuple[Any, ...]) -> str:
    names = [f"[{key.idx}]" if isinstance(key, jtu.SequenceKey) else f".{getattr(key, 'name', '')}" for key in path]
    names = [f".{key.key}" if isinstance(key, jtu.DictKey) else name for key, name in zip(path, names, strict=True)]
    text = "".join(names).removeprefix(".")
    return f"x{text}" if text.startswith("[") or not text else text


def coordinate_names(x: PyTree) -> list[str]:
    """The names of a state's coordinates in the order of `_tree.ravel`: `generator`, `discriminator[0]`, `x[1]`."""
    names = []
    for path, leaf in jtu.tree_leaves_with_path(_tree.split(_tree.state_arrays(x))[0]):
        indices = list(np.ndindex(leaf.shape))
        names += [_name(path) + (str(list(index)) if index else "") for index in indices]
    return names


def end(
    ax: Axes, x: ArrayLike, y: ArrayLike, start: bool, color: str = BLACK, label: str | None = None, size: float = 4
) -> None:
    """Mark the start of a path by an open square, or its end by a filled one."""
    ax.plot(x, y, "s", ms=size, color=color, mfc="white" if start else color, mew=0.9, zorder=6, label=label)
