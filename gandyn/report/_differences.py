"""A finding as a picture."""

import numpy as np
from matplotlib.axes import Axes

from ..experiments import Finding
from ..plot import style
from ..plot._style import BLACK, BLUE, GREY


@style()
def differences(finding: Finding, ax: Axes) -> None:
    """The difference of two arms from each seed as a ring, the mean with its 95% interval above, the margin as a band."""
    margin, (low, high) = finding.effect.margin, finding.interval
    ax.axvspan(-margin, margin, color=GREY, alpha=0.2, lw=0, zorder=0)
    ax.axvline(0, color=GREY, lw=0.8, zorder=1)
    # Rings one above another would hide that two seeds agree.
    found = finding.more - finding.less
    ax.plot(found, np.linspace(-0.25, 0.25, found.size + 2)[1:-1], "o", color=BLUE, mfc="none", ms=5, mew=1.1, zorder=3)
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [1, 1], "|-", color=BLACK, lw=1.4, ms=8, zorder=2)
        ax.plot(finding.difference, 1, "o", color=BLACK, ms=5, zorder=3)
    ax.set(ylim=(-0.6, 1.6), yticks=(0, 1), yticklabels=("by seed", "mean, 95%"))
    ax.set_xlabel(f"{finding.effect.more} minus {finding.effect.less}")
    ax.tick_params(axis="y", length=0)
