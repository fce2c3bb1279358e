"""The losses while one player goes on and the others stay."""

import numpy as np
from matplotlib.axes import Axes

from .. import _tree
from ..analysis._pursuit import Pursuit
from ._style import BLUE, GREY, VERMILION, axes, legend, style


@style()
def deviation(pursuit: Pursuit, *, ax: Axes | None = None) -> Axes:
    """The loss of the player who goes on, from the level at which it started: at a Nash equilibrium it never falls below.

    Args:
        pursuit: From `gd.keep_optimising`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.
    """
    ax = axes(ax, 2.4)
    ts, loss = np.asarray(pursuit.ts), np.asarray(pursuit.loss)
    name, best = _tree.player_names(pursuit.final)[pursuit.player], int(np.argmin(loss))
    name = f"player {name}" if isinstance(name, int) else name
    ax.axhline(loss[0], ls="--", lw=1.0, color=GREY, label="where training ended")
    ax.plot(ts, loss, color=BLUE, zorder=3, label=f"{name} goes on alone")
    if loss[best] < loss[0]:
        ax.fill_between(ts, loss, loss[0], where=loss < loss[0], color=BLUE, alpha=0.12, lw=0)
        ax.plot(ts[best], loss[best], "o", ms=4, color=VERMILION, zorder=4, label=f"gain {float(pursuit.gain):.3g}")
    ax.set(xlabel="steps" if pursuit.discrete else "time", ylabel=f"loss of the {name}", xlim=(ts[0], ts[-1]))
    legend(ax)
    return ax
