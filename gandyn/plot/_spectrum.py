"""Spectra in the complex plane, and their paths under a parameter."""

from typing import TYPE_CHECKING

import lazy_loader
import numpy as np
from jaxtyping import ScalarLike
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle
from scipy.optimize import linear_sum_assignment

from .._results import message
from ..analysis._sweep import StoredSweep, Sweep
from ..analysis._verdict import Stability
from ._style import BLACK, GREY, MARKERS, PALETTE, axes, end, legend, norm, style
from ._swept import stabilities

if TYPE_CHECKING:
    import xarray
else:
    xarray = lazy_loader.load("xarray")


def is_map(found: "Stability | xarray.Dataset") -> bool:
    """A flow's exponents are its eigenvalues; a map's are their logarithms."""
    return not np.array_equal(found.eigenvalues, found.exponents, equal_nan=True)


def complex_plane(ax: Axes, discrete: bool) -> None:
    """The boundary of stability and the axes' labels: the unit circle of a map, the imaginary axis of a flow."""
    if discrete:
        ax.add_patch(Circle((0, 0), 1, fill=False, ec="0.3", lw=0.8, zorder=1))
    else:
        ax.axvline(0, color="0.3", lw=0.8, zorder=1)
    ax.axhline(0, color="0.85", lw=0.6, zorder=0)
    symbol = r"\mu" if discrete else r"\lambda"
    ax.set(xlabel=rf"$\mathrm{{Re}}\,{symbol}$", ylabel=rf"$\mathrm{{Im}}\,{symbol}$")
    ax.update_datalim([(0, 0)])
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.12)
    ax.autoscale_view()


def _disc(ax: Axes, step: float, size: float) -> None:
    """The disc |1 + h lambda| < 1; a disc much larger than the spectrum is not wholly shown."""
    radius = 1 / step
    disc = Circle((-radius, 0), radius, fc="0.93", ec=GREY, lw=0.8, ls="--", zorder=0.5)
    disc.set_label(rf"$|1 + h\lambda| < 1$, $h = {step:.3g}$")
    ax.add_artist(disc)
    if radius <= 2 * size:
        ax.update_datalim([(-2 * radius, -radius), (0, radius)])


@style()
def spectrum(stability: Stability, *, step: ScalarLike | None = None, label: str | None = None, ax: Axes | None = None) -> Axes:
    r"""Eigenvalues in the complex plane, with the boundary of stability.

    For a flow that is the imaginary axis and, with `step=h`, the disc :math:`|1 + h\lambda| < 1` in which simultaneous
    gradient descent is stable; for a map it is the unit circle. Further spectra on the same axes take further markers.

    Args:
        stability: From `gd.stability`; the eigenvalues of a batch are all drawn.
        step: A step size h.
        label: A name for the legend.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: A stability without finite eigenvalues, or a step size that is not positive or given for a map.
    """
    values = np.asarray(stability.eigenvalues).reshape(-1)
    values = values[np.isfinite(values)]
    discrete = is_map(stability)
    if not values.size:
        reason = message(stability.result) if np.ndim(stability.bound) == 0 else "every verdict failed."
        raise ValueError(f"There are no finite eigenvalues to draw: {reason}")
    if step is not None and discrete:
        raise ValueError("step draws the disc of a flow's eigenvalues; those of a map are compared with the unit circle.")
    if step is not None and not 0 < np.asarray(step) < np.inf:
        raise ValueError(f"The step size must be positive and finite; got {step}.")
    ax = axes(ax, 2.9)
    seen = sum(line.get_linestyle() == "None" for line in ax.lines)
    marker, color = MARKERS[seen % len(MARKERS)], PALETTE[seen % len(PALETTE)]
    ax.plot(np.real(values), np.imag(values), marker, color=color, mfc="none", mew=1.2, zorder=3, label=label)
    if step is not None:
        _disc(ax, float(np.asarray(step)), float(np.max(np.abs(values))))
    complex_plane(ax, discrete)
    legend(ax)
    return ax


def _linked(values: np.ndarray, parameter: np.ndarray) -> np.ndarray:
    """Eigenvalues along the first axis, reordered so that each column is one continuous path."""
    linked = values.copy()
    known: list[int] = []
    for i in np.flatnonzero(np.isfinite(values).all(axis=1)):
        if known:
            expected = linked[known[-1]]
            if len(known) > 1:
                slope = (linked[known[-1]] - linked[known[-2]]) / (parameter[known[-1]] - parameter[known[-2]])
                expected = expected + slope * (parameter[i] - parameter[known[-1]])
            linked[i] = values[i, linear_sum_assignment(np.abs(expected[:, None] - values[i][None]))[1]]
        known.append(int(i))
    return linked


def arrows(ax: Axes, path: np.ndarray, size: float, colors: np.ndarray, head: float = 10) -> None:
    """Arrows of direction along a path, as complex numbers, that is long enough to have them."""
    lengths = np.cumsum(np.nan_to_num(np.abs(np.diff(path))))
    if lengths[-1] < 0.1 * size:
        return
    for share in (0.35, 0.8):
        i = int(np.searchsorted(lengths, share * lengths[-1]))
        tail, tip = ((z.real, z.imag) for z in path[[i, i + 1]])
        arrow = {"arrowstyle": "-|>", "color": colors[i], "mutation_scale": head, "shrinkA": 0, "shrinkB": 0, "lw": 0}
        ax.annotate("", tip, tail, arrowprops=arrow, zorder=4)


@style()
def paths(sweep: "Sweep | StoredSweep | xarray.Dataset", name: str | None = None, *, ax: Axes | None = None) -> Axes:
    """The paths of the eigenvalues in the complex plane as a parameter moves.

    Coloured by the parameter, from an open square at its first value to a filled one at its last.

    Args:
        sweep: From `gd.sweep`, its values a `Stability`, or its data set; of more than a thousand values along an axis only
            some are drawn.
        name: The axis of the sweep along which to draw; needed where there are several, and then there is a family of
            paths for each value of the others.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: Values that are no `Stability`, a name that the sweep does not have, fewer than two values, or no
            finite eigenvalues.
    """
    found = stabilities(sweep)
    names = [str(axis) for axis in found["verdict"].dims]
    if (name is None and len(names) > 1) or (name is not None and name not in names):
        raise ValueError(f"paths follows one axis of the sweep; name one of {names}, got {name!r}.")
    name = names[0] if name is None else name
    parameter = np.asarray(found[name])
    values = np.moveaxis(np.asarray(found["eigenvalues"]), names.index(name), 0)
    values = values.reshape(parameter.size, -1, values.shape[-1])
    if parameter.size < 2 or not np.isfinite(values).any():
        raise ValueError(f"paths needs eigenvalues at two values of {name!r} or more; {parameter.size} values are there.")
    ax = axes(ax, 2.9)
    columns = np.concatenate([_linked(values[:, j], parameter) for j in range(values.shape[1])], axis=1)
    scale = norm(parameter)
    size = float(np.nanmax(np.abs(columns - np.nanmean(columns))))
    points = np.stack([np.real(columns), np.imag(columns)], axis=-1)
    lines = LineCollection([], cmap="viridis", norm=scale, linewidths=1.5, zorder=2)
    middle = (parameter[1:] + parameter[:-1]) / 2
    lines.set_segments([pair for p in points.swapaxes(0, 1) for pair in np.stack([p[:-1], p[1:]], axis=1)])
    lines.set_array(np.tile(middle, columns.shape[1]))
    ax.add_collection(lines)
    for column in columns.T:
        arrows(ax, column, size, lines.cmap(scale(middle)))
    for i, start in ((0, True), (-1, False)):
        end(ax, columns[i].real, columns[i].imag, start, BLACK, f"{name} = {parameter[i]:.3g}")
    complex_plane(ax, is_map(found))
    ax.figure.colorbar(lines, ax=ax, label=name, pad=0.02, aspect=30)
    legend(ax)
    return ax
