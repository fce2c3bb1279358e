"""Spectra along training."""

import numpy as np
from matplotlib.axes import Axes

from ..training._run import Curve
from ._spectrum import complex_plane
from ._style import BLACK, axes, end, legend, norm, style


@style()
def spectra(curve: Curve, *, discrete: bool = False, ax: Axes | None = None) -> Axes:
    """Eigenvalues in the complex plane along a run, coloured by the step, with the boundary of stability.

    The first measured spectrum has open squares, the last filled ones. What is not finite is left out.

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
    ax.figure.colorbar(drawn, ax=ax, label="step", pad=0.02, aspect=30)
    legend(ax)
    return ax
