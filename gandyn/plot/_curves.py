"""Measured quantities along training, over seeds."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from scipy.stats import sem, t

from ..training._run import Curve
from ._style import PALETTE, axes, legend, style

_CONFIDENCE = 0.95
_DASHES = ("-", "--", "-.", ":")


def _check(named: Mapping[str, Sequence[Curve]]) -> None:
    if not named or not all(named.values()):
        raise ValueError(f"curves needs one run or more of each name; got {dict.fromkeys(named)}.")
    for name, runs in named.items():
        for run in runs:
            if np.ndim(run.values) != 1 or np.iscomplexobj(run.values):
                raise ValueError(
                    f"curves draws real numbers of shape (t,); {name!r} has {run.values.dtype} of shape {run.values.shape}. "
                    "gd.plot.spectra draws eigenvalues."
                )


def _finite(run: Curve) -> np.ndarray:
    """The values of a run, nan where they are not finite."""
    return np.where(np.isfinite(run.values), run.values, np.nan)


def _common(runs: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """The steps at which all runs were measured, and their values there, of shape `(runs, steps)`."""
    steps = functools.reduce(np.intersect1d, [np.asarray(run.steps) for run in runs])
    return steps, np.stack([_finite(run)[np.isin(run.steps, steps)] for run in runs])


@style()
def curves(named: Mapping[str, Sequence[Curve]], *, ylabel: str = "value", ax: Axes | None = None) -> Axes:
    r"""What was measured along training, by name and over seeds: the mean, its interval, and each seed as a thin line.

    The band is the 95% interval of the mean from Student's distribution, :math:`\bar y \pm t_{n-1,\,0.975}\, s/\sqrt n`
    over the n seeds; one seed has none. It may be wider than the axis, which shows the seeds: with few of them it is wide,
    and knows no bounds of the quantity. Mean and band go as far as all seeds do. A run that was not measured to the last
    step of the picture, as one that diverged, is drawn as far as it goes and ends in a cross.

    Args:
        named: By the name of what was trained, the same quantity in runs from different seeds, real, of shape `(t,)`.
        ylabel: The quantity and its unit.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: No runs, or values that are complex or not of shape `(t,)`.
    """
    _check(named)
    ax = axes(ax, 2.4)
    stopped = False
    last = max(int(np.max(run.steps)) for runs in named.values() for run in runs)
    for i, (name, runs) in enumerate(named.items()):
        color = PALETTE[i % len(PALETTE)]
        steps, values = _common(runs)
        mean, n = np.ma.masked_invalid(values.mean(axis=0)), len(runs)
        ax.plot(steps, mean, color=color, ls=_DASHES[i % len(_DASHES)], zorder=3, label=name)
        if n > 1:
            half = t.ppf((1 + _CONFIDENCE) / 2, n - 1) * sem(values, axis=0)
            band = FillBetweenPolyCollection("x", steps, mean - half, mean + half, color=color, alpha=0.15, lw=0, zorder=1)
            ax.add_collection(band, autolim=False)
        for run in runs:
            steps, values = np.asarray(run.steps), _finite(run)
            ax.plot(steps, values, color=color, lw=0.5, alpha=0.6, zorder=2)
            reached = np.flatnonzero(np.isfinite(values))
            if reached.size and steps[reached[-1]] < last:
                ax.plot(steps[reached[-1]], values[reached[-1]], "X", color=color, mec="white", mew=0.5, zorder=4)
                stopped = True
    if stopped:
        ax.plot([], [], "X", color="0.4", mew=0, label="ended early")
    ax.set(xlabel="step", ylabel=ylabel)
    ax.margins(x=0.02)
    legend(ax)
    return ax
