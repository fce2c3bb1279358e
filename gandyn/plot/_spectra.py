"""Spectra along training."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import SymmetricalLogLocator

from ..training._run import Curve
from ._spectrum import complex_plane
from ._style import BLACK, axes, end, legend, norm, style

# How many times longer than high, and larger than the median.
_ELONGATED, _WIDE = 4, 30


def _scale(ax: Axes, values: np.ndarray, discrete: bool) -> None:
    """Scales on which a spectrum much longer than high, or of many sizes, is seen."""
    extents = [np.ptp(np.append(part, 0.0)) for part in (np.real(values), np.imag(values))]
    sizes = np.abs(values)
    middle = np.median(sizes[sizes > 0]) if sizes.any() else 1.0
    if max(extents) > _ELONGATED * min(extents):
        ax.set_aspect("auto")
    if not discrete and sizes.max() > _WIDE * middle:
        linear = 10 ** np.floor(np.log10(middle))
        for axis, extent in zip((ax.xaxis, ax.yaxis), extents, strict=True):
            if extent > 10 * linear:
                ax.set_aspect("auto")
                getattr(ax, f"set_{axis.axis_name}scale")("symlog", linthresh=linear)
                locator = SymmetricalLogLocator(axis.get_transform())
                locator.set_params(numticks=5)
                axis.set_major_locator(locator)
    ax.autoscale_view()


@style()
def spectra(curve: Curve, *, discrete: bool = False, ax: Axes | None = None) -> Axes:
    """Eigenvalues in the complex plane along a run, coloured by the step, with the boundary of stability.

    The first measured spectrum has open squares, the last filled ones. What is not finite is left out. Both axes have
    one scale unless the spectrum is more than four times as long as high, or the reverse. Where a flow's largest eigenvalue
    is more than thirty times the median in size, as in the stiff spectra of networks, its axes are logarithmic on either
    side of a linear middle.

    Args:
        curve: Eigenvalues of shape `(t, k)`, such as `run.curves["eigenvalues.flow"]`.
        discrete: Whether they are a map's, whose boundary is the unit circle; a flow's is the imaginary axis.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: A curve of another shape, or without finite eigenvalues.
    """
    steps, values = np.asarray(curve.steps), np.asarray(curve.values)
    if values.ndim != 2:
        raise ValueError(f"spectra draws eigenvalues of shape (t, k); the curve has shape {values.shape}. See gd.plot.curves.")
    found = np.isfinite(values)
    if not found.any():
        raise ValueError("There are no finite eigenvalues to draw: none of the curve's spectra was found.")
    ax = axes(ax, 2.9)
    at, measured = np.broadcast_to(steps[:, None], values.shape)[found], np.flatnonzero(found.any(axis=1))
    drawn = ax.scatter(np.real(values[found]), np.imag(values[found]), c=at, norm=norm(np.unique(at)), s=9, lw=0, zorder=3)
    for i, start in ((measured[0], True), (measured[-1], False)):
        end(ax, np.real(values[i]), np.imag(values[i]), start, BLACK, f"step {steps[i]}", size=2.5)
    complex_plane(ax, discrete)
    _scale(ax, values[found], discrete)
    ax.figure.colorbar(drawn, ax=ax, label="step", pad=0.02, aspect=30)
    legend(ax)
    return ax
