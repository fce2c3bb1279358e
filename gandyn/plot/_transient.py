"""Pseudospectra and transient growth."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..analysis._transient import Transient
from ._spectrum import complex_plane
from ._style import BLACK, BLUE, ORANGE, VERMILION, axes, legend, style


@style()
def transient(transient: Transient, *, ax: Axes | None = None) -> Axes:
    r"""The boundaries of pseudospectra, level sets of :math:`\log_{10}\sigma_{\min}(A - z)`, around the eigenvalues.

    A boundary at :math:`\log_{10}\varepsilon` encloses the eigenvalues of all matrices within :math:`\varepsilon` of A
    (Trefethen and Embree, 2005). The imaginary axis, or for a map the unit circle, is the boundary of stability.

    Args:
        transient: From `gd.transient`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.
    """
    ax = axes(ax, 2.9)
    x, y, sizes = np.real(transient.grid), np.imag(transient.grid), np.asarray(transient.resolvent)
    heights = np.log10(np.maximum(sizes, sizes[sizes > 0].min(initial=np.inf)))
    # Only levels whose sets lie wholly inside the window.
    rim = np.concatenate([heights[0], heights[-1], heights[:, 0], heights[:, -1]])
    low, high = np.percentile(heights, 1), rim.min()
    levels = MaxNLocator(9, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    levels = levels[(levels >= heights.min()) & (levels < high)]
    lines = ax.contour(x, y, heights, levels, cmap="viridis", linewidths=1.1)
    values = np.asarray(transient.eigenvalues)
    ax.plot(np.real(values), np.imag(values), "o", color=BLACK, ms=3.5, zorder=3, label="eigenvalues")
    complex_plane(ax, transient.discrete)
    ax.margins(0)
    ax.figure.colorbar(lines, ax=ax, label=r"$\log_{10}\,\varepsilon$", pad=0.02, aspect=30)
    legend(ax)
    return ax


@style()
def gain(transient: Transient, *, ax: Axes | None = None) -> Axes:
    r"""The largest factor by which a perturbation has grown at each time, on a logarithmic scale.

    Beside it the slopes between which it lies: the initial growth :math:`e^{\omega t}` with the abscissa
    :math:`\omega` above, and the growth of the spectrum, which it takes up in the end, below.

    Args:
        transient: From `gd.transient`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.
    """
    ax = axes(ax, 2.6)
    discrete = transient.discrete
    ts, factor, values = (np.asarray(v) for v in (transient.ts, transient.gain, transient.eigenvalues))
    growth = np.log(np.max(np.abs(values))) if discrete else np.max(np.real(values))
    peak = int(np.argmax(factor))
    ax.semilogy(ts, factor, color=BLUE, zorder=3, label=r"$\|A^t\|$" if discrete else r"$\|e^{tA}\|$")
    ax.plot(ts[peak], factor[peak], "o", color=BLUE, ms=4, zorder=4, label=f"peak {factor[peak]:.3g}")
    window = ax.get_ylim()
    ax.plot(ts, np.exp(float(transient.abscissa) * ts), "--", color=VERMILION, lw=1.0, label="initial growth")
    ax.plot(ts, np.exp(growth * ts), ":", color=ORANGE, lw=1.2, label="growth of the spectrum")
    ax.set(ylim=window, xlim=ts[[0, -1]], xlabel="applications" if discrete else "time", ylabel="gain")
    legend(ax)
    return ax
