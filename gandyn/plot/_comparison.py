"""Training algorithms beside one another, and rates measured on trajectories."""

import numpy as np
from matplotlib.axes import Axes

from ..analysis._compare import Comparison
from ..analysis._predict import ALGEBRAIC, EXPONENTIAL, GROWING
from ..analysis._rate import Rate
from ._style import BLACK, BLUE, GREY, MARKERS, ORANGE, PALETTE, VERMILION, axes, legend, style

_DASHES = ("-", "--", "-.", ":")


@style()
def comparison(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """The growth of every map over its step size, per application; below zero perturbations decay.

    A filled mark is the best step size, an open one the critical step size, a small dot the step size in use. What lies above
    zero by more than the best lies below is cut off.

    Args:
        comparison: From `gd.compare`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.
    """
    ax = axes(ax, 3.0)
    depth = _depth(comparison)
    ax.axhline(0, color=GREY, lw=0.8, zorder=1)
    for i, name in enumerate(comparison.names[1:], start=1):
        color, marker = PALETTE[(i - 1) % len(PALETTE)], MARKERS[(i - 1) % len(MARKERS)]
        look = {"color": color, "ls": _DASHES[(i - 1) // len(PALETTE) % len(_DASHES)], "lw": 1.2}
        steps, growth = _curve(comparison, i)
        ax.plot(steps, np.clip(growth, -2 * depth, 2 * depth), zorder=2, **look)
        ax.plot(float(comparison.best[i]), float(comparison.best_growth[i]), marker, color=color, ms=4.5, zorder=4)
        ax.plot(float(comparison.critical[i]), 0.0, marker, color=color, mfc="white", ms=4.5, zorder=3)
        ax.plot(float(comparison.steps[i]), float(comparison.growth[i]), ".", color=color, ms=4, zorder=3)
        ax.plot([], [], marker=marker, ms=4.5, label=name, **look)
    ax.plot([], [], "o", color=BLACK, ms=4.5, label="best")
    ax.plot([], [], "o", color=BLACK, mfc="white", ms=4.5, label="critical")
    ax.set(xscale="log", xlabel="step size", ylabel="growth per application", ylim=(-1.1 * depth, 0.55 * depth))
    ax.set_xlim(*_reach(comparison, depth))
    legend(ax, columns=3)
    return ax


def _curve(comparison: Comparison, i: int) -> tuple[np.ndarray, np.ndarray]:
    """The growth on the samples, with the best and the critical step size among them, where it may have a kink."""
    more = [(comparison.best[i], comparison.best_growth[i]), (comparison.critical[i], 0.0)]
    points = [*zip(comparison.scanned, comparison.scanned_growth[i], strict=True), *more]
    found = np.array([(float(h), float(growth)) for h, growth in points])
    found = found[np.isfinite(found[:, 0])]
    return tuple(found[np.argsort(found[:, 0])].T)


def _depth(comparison: Comparison) -> float:
    """How far down to draw: to the best of all maps, but not into the well of one that is exact."""
    best = -np.asarray(comparison.best_growth)[1:]
    best = np.where(np.isfinite(np.asarray(comparison.best))[1:], best, -np.asarray(comparison.growth)[1:])
    best = best[np.isfinite(best) & (best > 0)]
    return float(min(best.max(), 3 * np.median(best))) if best.size else 0.1


def _reach(comparison: Comparison, depth: float) -> tuple[float, float]:
    """The step sizes between which something can be seen."""
    scanned = np.asarray(comparison.scanned)
    growths = np.asarray(comparison.scanned_growth)[1:]
    seen = np.flatnonzero((np.abs(np.nan_to_num(growths)) > 0.005 * depth).any(axis=0))
    ends = [np.asarray(v)[1:] for v in (comparison.critical, comparison.best, comparison.steps)]
    ends = np.concatenate(ends)
    last = ends[np.isfinite(ends)].max(initial=0.0)
    first = scanned[seen[0]] if seen.size else scanned[0]
    return float(first), float(min(1.5 * last, scanned[-1]) if last > first else scanned[-1])


@style()
def rate(rate: Rate, *, ax: Axes | None = None) -> Axes:
    """The distances of a trajectory from an equilibrium, the part that was used, the fit and the prediction.

    Algebraic decay is drawn on two logarithmic axes, everything else on one.

    Args:
        rate: From `gd.rate`.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.
    """
    ax = axes(ax, 2.6)
    ts, distances = np.asarray(rate.ts), np.asarray(rate.distances)
    positive = np.isfinite(distances) & (distances > 0)
    ax.plot(ts[positive], distances[positive], color=BLUE, lw=1.0, label="distance")
    used = positive & (ts >= float(rate.window[0])) & (ts <= float(rate.window[1]))
    if used.any():
        ax.axvspan(float(rate.window[0]), float(rate.window[1]), color=GREY, alpha=0.12, lw=0, label="used")
    if rate.kind in (EXPONENTIAL, GROWING) and used.any():
        line = float(rate.growth) * ts[used]
        ax.plot(ts[used], np.exp(line + np.mean(np.log(distances[used]) - line)), "--", color=VERMILION, label="fit")
    predicted = rate.predicted
    if predicted is not None and predicted.kind == ALGEBRAIC and used.any():
        grown = float(predicted.slope) * (ts[used] - ts[used][0])
        ax.plot(ts[used], (distances[used][0] ** -2 + grown) ** -0.5, ":", color=ORANGE, lw=1.8, label="predicted")
    elif predicted is not None and predicted.kind in (EXPONENTIAL, GROWING) and used.any():
        line = float(predicted.growth) * ts[used]
        ax.plot(ts[used], np.exp(line + np.mean(np.log(distances[used]) - line)), ":", color=ORANGE, lw=1.8, label="predicted")
    ax.set(yscale="log", xlabel="time, or applications", ylabel="distance")
    if rate.kind == ALGEBRAIC:
        ax.set(xscale="log", xlim=(max(ts[0], ts[1]), ts[-1]))
    legend(ax, columns=4)
    return ax
