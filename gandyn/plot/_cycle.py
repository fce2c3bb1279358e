"""Closed orbits: over the phase portrait, by their multipliers, and in families around centres."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from matplotlib.axes import Axes

from .. import _tree
from .._integrate import integrate
from .._results import message
from .._system import AbstractFlow
from ..analysis._cycle import Cycle
from ..analysis._family import Family
from ..analysis._orbit import PeriodicOrbit
from ._portrait import portrait
from ._spectrum import arrows, complex_plane
from ._style import BLACK, GREY, MARKERS, PALETTE, axes, coordinate_names, legend, style

_MARGIN = 0.3
_BETWEEN = 12
_DASHES = {"stable": "-", "unstable": (0, (2.2, 1)), "neutral": (0, (3, 1, 1, 1)), "undecided": ":"}
_KINDS = {
    "stable": "stable limit cycle",
    "unstable": "unstable limit cycle",
    "neutral": "closed orbit, one of a family",
    "undecided": "limit cycle, stability undecided",
}


def _numbers(found: Cycle) -> str:
    r"""The period, and the leading multiplier or multipliers; one that is only noise by its bound."""
    shown = []
    for value, error in list(zip(np.asarray(found.multipliers), np.asarray(found.errors), strict=True))[:3]:
        if error >= 1:
            shown.append(rf"|\mu| < {_power(abs(value) * (1 + error))}")
        elif abs(value.imag) <= 10 * error * abs(value):
            shown.append(rf"\mu = {_power(value.real)}")
        elif value.imag > 0:
            shown.append(rf"\mu = {_power(value.real)} \pm {_power(value.imag)}\,\mathrm{{i}}")
    return ", ".join(f"${text}$" for text in (f"T = {float(found.period):.6g}", *shown))


def _power(value: float) -> str:
    digits, _, exponent = f"{value:.3g}".partition("e")
    return rf"{digits}\times 10^{{{int(exponent)}}}" if exponent else digits


def _check(found: Cycle) -> None:
    if found.ts.ndim != 1:
        raise ValueError(f"One closed orbit is drawn at a time; these have the shape {found.period.shape}.")
    if found.verdict == "failed":
        raise ValueError(f"There is no closed orbit to draw: {message(found.result)}")


def _curve(flow: AbstractFlow, found: Cycle) -> np.ndarray:
    """The orbit as points: its samples, and more of them where it is followed anew from each, if they lie far apart."""
    points = np.asarray(jax.vmap(lambda x: _tree.ravel(x)[0])(found.xs))
    steps = np.diff(points, axis=0) / np.ptp(points, axis=0).clip(np.finfo(points.dtype).tiny)
    if np.linalg.norm(steps, axis=1).max() < 0.1:
        return points
    ts = np.linspace(0.0, float(found.ts[1]), _BETWEEN + 1)
    starts = jax.tree.map(lambda leaf: leaf[:-1], found.xs)
    between = jax.vmap(lambda x: jax.vmap(lambda y: _tree.ravel(y)[0])(integrate(flow, x, ts, throw=False).xs))(starts)
    return np.concatenate([np.asarray(between)[:, :-1].reshape(-1, points.shape[1]), points[-1:]])


@style()
def cycle(
    flow: AbstractFlow,
    found: Cycle,
    *,
    coordinates: tuple[int, int] = (0, 1),
    starts: Sequence[PyTree] = (),
    horizon: float | None = None,
    equilibria: bool = False,
    background: bool = True,
    ax: Axes | None = None,
) -> Axes:
    r"""A closed orbit in bold, with its direction, over the phase portrait.

    The period T and the leading Floquet multipliers :math:`\mu` are in the title. A stable cycle is solid, an unstable one
    dashed, one of a family dash-dotted, and one whose stability is undecided dotted. States of more than two coordinates are
    projected on two of them, without streamlines.

    Args:
        flow: The flow or game.
        found: From `gd.cycle`.
        coordinates: Which two coordinates to draw, where there are more, in the order of the state's leaves.
        starts: States from which to draw trajectories, where there are two coordinates.
        horizon: How long to follow these; five periods if left out.
        equilibria: Search the window for equilibria and draw them, with the manifolds of saddles.
        background: Draw the portrait; false for a further cycle on the same axes.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: No closed orbit was found, there are several in a batch, or coordinates that the state does not have.
    """
    _check(found)
    points, names = _curve(flow, found), coordinate_names(found.state)
    if len(set(coordinates)) != 2 or not all(0 <= i < len(names) for i in coordinates):
        raise ValueError(f"cycle draws two of {len(names)} coordinates; got {coordinates}.")
    flat = len(names) == 2 and tuple(coordinates) == (0, 1)
    ax = axes(ax, 3.4)
    if flat and background:
        unravel = _tree.ravel(found.state)[1]
        low, high = points.min(axis=0), points.max(axis=0)
        box = (unravel(jnp.asarray(edge)) for edge in (low - _MARGIN * (high - low), high + _MARGIN * (high - low)))
        time = 5 * float(found.period) if horizon is None else horizon
        portrait(flow, (*box,), starts=starts, horizon=time, equilibria=equilibria, ax=ax)
    x, y = points[:, coordinates[0]], points[:, coordinates[1]]
    ax.plot(x, y, color=BLACK, ls=_DASHES[found.verdict], lw=2.0, zorder=3.8, label=_KINDS[found.verdict])
    path = x + 1j * y
    arrows(ax, path, float(np.ptp(x) + np.ptp(y)), np.full(path.size, BLACK), 14)
    ax.set(xlabel=names[coordinates[0]], ylabel=names[coordinates[1]])
    ax.set_title("\n".join(filter(None, [ax.get_title(), _numbers(found)])))
    legend(ax)
    return ax


@style()
def multipliers(found: Cycle | PeriodicOrbit, *, label: str | None = None, ax: Axes | None = None) -> Axes:
    """The multipliers of a closed orbit, or of a map's periodic orbit, beside the unit circle, inside which it is stable.

    That of the direction of the flow, which is one, is a grey cross; multipliers that are nothing but noise are grey.
    Further orbits on the same axes take further markers.

    Args:
        found: From `gd.cycle` or `gd.periodic`; the multipliers of a batch are all drawn.
        label: A name for the legend.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: There are no finite multipliers.
    """
    values = np.asarray(found.multipliers).reshape(-1)
    errors = np.asarray(found.errors).reshape(-1) if isinstance(found, Cycle) else np.zeros(values.size)
    finite = np.isfinite(values)
    if not finite.any():
        reason = message(found.result) if np.ndim(values) == np.ndim(found.multipliers) else "every search failed."
        raise ValueError(f"There are no finite multipliers to draw: {reason}")
    ax = axes(ax, 3.2)
    seen = sum(line.get_linestyle() == "None" and line.get_color() != GREY for line in ax.lines)
    marker, color = MARKERS[seen % len(MARKERS)], PALETTE[seen % len(PALETTE)]
    for chosen, edge, name in (
        (finite & (errors < 1), color, label),
        (finite & (errors >= 1), GREY, "only noise"),
    ):
        if chosen.any():
            z = values[chosen]
            ax.plot(np.real(z), np.imag(z), marker, color=edge, mfc="none", mew=1.2, zorder=3, label=name)
    if isinstance(found, Cycle):
        ax.plot(1, 0, "+", color=GREY, ms=6, mew=1.2, zorder=2.5, label="along the orbit")
    complex_plane(ax, True)
    legend(ax)
    return ax


def _amplitudes(found: Family, centre: PyTree | None) -> tuple[np.ndarray, str]:
    """How far out the orbits start, and what to call it."""
    points = np.asarray(jax.vmap(lambda x: _tree.ravel(x)[0])(found.states))
    first = jax.tree.map(lambda leaf: leaf[0], found.states)
    if centre is not None:
        centre = _tree.state_arrays(centre)
        _tree.check_like(centre, first, "family was given the centre")
        return np.linalg.norm(points - np.asarray(_tree.ravel(centre)[0]), axis=1), "amplitude: distance from the centre"
    differ = np.flatnonzero(np.ptp(points, axis=0) > 0)
    if differ.size != 1:
        raise ValueError(f"The starts differ in {differ.size} coordinates: say from which centre to measure the amplitude.")
    return points[:, differ[0]], f"amplitude: {coordinate_names(first)[differ[0]]} at the start"


@style()
def family(found: Family, *, centre: PyTree | None = None, label: str | None = None, ax: Axes | None = None) -> Axes:
    """The periods of closed orbits against their amplitudes.

    Orbits that close are filled marks on a line; the time of return of one that does not close is an open mark. Further
    families on the same axes take further colours.

    Args:
        found: From `gd.family`.
        centre: The state from which the starts' distances are the amplitudes; if left out, the amplitude is the one
            coordinate in which the starts differ.
        label: A name for the legend.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: No orbit came back, starts that differ in several coordinates without a centre, or a centre of the wrong
            structure.
    """
    amplitudes, name = _amplitudes(found, centre)
    periods, order = np.asarray(found.periods), np.argsort(amplitudes)
    amplitudes, periods, closed = amplitudes[order], periods[order], np.asarray(found.closed)[order]
    back = np.isfinite(periods)
    if not back.any():
        raise ValueError("There are no periods to draw: none of the orbits came back.")
    ax = axes(ax, 2.6)
    seen = len({line.get_color() for line in ax.lines if line.get_marker() in MARKERS})
    color, marker = PALETTE[seen % len(PALETTE)], MARKERS[seen % len(MARKERS)]
    # Orbits that do not close, or do not come back, interrupt the line.
    line = np.where(closed & back, periods, np.nan)
    ax.plot(amplitudes, line, marker=marker, ms=3.5, color=color, lw=1.0, zorder=3)
    if (back & closed).any():
        ax.plot([], [], marker=marker, ms=3.5, color=color, lw=1.0, label=label or "closed")
    left = back & ~closed
    if left.any():
        ax.plot(amplitudes[left], periods[left], marker, ms=3.5, color=color, mfc="white", label="does not close")
    ax.set(xlabel=name, ylabel="period, in time")
    shown = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines if line.get_marker() in MARKERS])
    low, high = np.nanmin(shown), np.nanmax(shown)
    if high - low < 0.02 * high:
        ax.set_ylim(0.95 * low, 1.05 * high, auto=True)
    legend(ax)
    return ax
