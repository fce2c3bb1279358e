"""The curvature that the generator faces, between Stackelberg and Nash."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from ..analysis._notion import Notions
from ._style import BLACK, BLUE, GREY, VERMILION, axes, legend, style


def _ends(found: Notions) -> tuple[float, float]:
    """The least curvature that the generator faces at no price and at an infinite one."""
    conditions = (found.stackelberg.generator, found.nash.generator)
    low, high = (float(c.eigenvalues[0]) if c.eigenvalues.size else np.inf for c in conditions)
    return low, high


@style()
def notions(found: Notions, *, ax: Axes | None = None) -> Axes:
    r"""The least curvature of what the generator faces against the price :math:`\lambda` of the discriminator's moves.

    It falls from that of Stackelberg on the left to that of Nash on the right, both marked; where it is positive the point is
    a proximal equilibrium, up to the largest :math:`\lambda`. Infinite where the inner maximum grows without a price.

    Args:
        found: From `gd.notions`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: There is nothing to draw, because the point has no verdict or its second derivatives were not formed.
    """
    if found.blocks is None:
        raise ValueError("notions: without second derivatives there is no curve; take spectrum=gd.Dense().")
    ax = axes(ax, 2.6)
    limit = float(found.proximal)
    sizes = [float(np.linalg.norm(m)) for m in (found.blocks.b, found.blocks.e, found.blocks.metric)]
    known = np.isfinite(limit) and limit > 0
    centre = limit if known else (sizes[0] + sizes[1] or 1.0) / (sizes[2] or 1.0)
    lams = centre * np.geomspace(1e-3, 1e3, 241)
    values, (low, high) = found.curvature(lams), _ends(found)
    ax.semilogx(lams, values, color=BLUE, zorder=3, label="proximal")
    if np.isfinite(low):
        ax.axhline(low, color=GREY, ls="--", lw=1.0, label="Stackelberg")
    ax.axhline(high, color=VERMILION, ls=":", lw=1.2, label="Nash")
    ax.axhline(0.0, color=BLACK, lw=0.6)
    if known:
        ax.plot(limit, 0.0, "o", color=BLACK, ms=4, zorder=4)
        sideways = blended_transform_factory(ax.transData, ax.transAxes)
        ax.text(limit * 1.3, 0.86, rf"$\lambda = {limit:.4g}$", transform=sideways, va="top")
        ax.axvline(limit, color=BLACK, lw=0.6, ls=(0, (1, 2)))
    top = low if np.isfinite(low) else values[np.searchsorted(lams, centre / 10)]
    reach = max(abs(top), abs(high), 1e-300)
    ax.set(xlim=lams[[0, -1]], ylim=(min(high, 0.0) - 0.15 * reach, max(top, high, 0.0) + 0.15 * reach))
    ax.set(xlabel=r"price $\lambda$ of the discriminator's moves", ylabel="least curvature")
    legend(ax, columns=3)
    return ax
