"""Returns to a section: where they lie, and each against the next."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from matplotlib.axes import Axes

from .. import _tree
from .._crossing import Crossings, crossings
from .._results import message
from .._section import Section, prepare_section
from .._system import AbstractFlow
from ..analysis._cycle import Cycle
from ..analysis._cycle import cycle as find_cycle
from ._style import BLACK, BLUE, GREY, PALETTE, VERMILION, axes, coordinate_names, legend, style

# Returns that move by less than this part of all that is drawn have arrived.
_ARRIVED = 1e-7
_MOST_POINTS = 8
_FILL = {"stable": BLACK, "unstable": "white", "neutral": "0.6", "undecided": "0.85"}


def _points(states: PyTree) -> np.ndarray:
    return np.asarray(jax.vmap(lambda x: _tree.ravel(x)[0])(states))


def _pick(coordinates: Sequence[int], names: list[str], what: str) -> None:
    if len(set(coordinates)) != len(coordinates) or not all(0 <= i < len(names) for i in coordinates):
        raise ValueError(f"{what}: the state has the coordinates 0 to {len(names) - 1}; got {tuple(coordinates)}.")


@style()
def section(
    found: Crossings, *, coordinates: tuple[int, int] = (0, 1), label: str | None = None, ax: Axes | None = None
) -> Axes:
    """The points in which orbits cross a section, on two coordinates.

    A periodic orbit is a few points, a torus a curve, and chaos neither. Further orbits on the same axes take further colours.

    Args:
        found: From `gd.crossings`; those of a batch are all drawn.
        coordinates: Which two coordinates to draw, in the order of the state's leaves.
        label: A name for the legend.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: No crossing was found, or coordinates that the state does not have.
    """
    states = jax.tree.map(lambda leaf: leaf.reshape(found.ts.size, *leaf.shape[found.ts.ndim :]), found.xs)
    names = coordinate_names(jax.tree.map(lambda leaf: leaf[0], states))
    _pick(coordinates, names, "section")
    points = _points(states)[:, list(coordinates)]
    points = points[np.isfinite(points).all(axis=1)]
    if not points.size:
        reason = message(found.result) if found.ts.ndim == 1 else "every search failed."
        raise ValueError(f"There are no crossings to draw: {reason}")
    ax = axes(ax, 2.9)
    color = PALETTE[sum(line.get_linestyle() == "None" for line in ax.lines) % len(PALETTE)]
    ax.plot(*points.T, ".", color=color, ms=max(1.5, min(5.0, 60 / len(points) ** 0.5)), mew=0, label=label)
    ax.set(xlabel=names[coordinates[0]], ylabel=names[coordinates[1]])
    legend(ax)
    return ax


class _Returns(NamedTuple):
    """The orbits of several starts, at the start and at returns: times, states, and a coordinate of those on the section."""

    times: np.ndarray
    states: list[PyTree]
    values: np.ndarray


@eqx.filter_jit
def _starts_on(flow: AbstractFlow, surface: Section, x: PyTree) -> Array:
    """Whether a state lies on the section, and crosses it in the section's direction."""
    value, rate = jax.jvp(lambda s: surface(_tree.axpy(s, flow(x), x)), (0.0,), (1.0,))
    steep = _tree.norm(eqx.filter_grad(surface)(x))
    right = (surface.direction == 0) | (jnp.sign(rate) == surface.direction)
    return right & (jnp.abs(value) <= 1e-9 * steep * (1 + _tree.norm(x)))


def _returns(
    flow: AbstractFlow, surface: Section, starts: Sequence[PyTree], count: int, coordinate: int | None
) -> tuple[_Returns, int]:
    found = [crossings(flow, x, surface, count, throw=False) for x in starts]
    states = [
        jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), x, one.xs)
        for x, one in zip(starts, found, strict=True)
    ]
    values = np.stack([_points(orbit) for orbit in states])
    values[[not _starts_on(flow, surface, x) for x in starts], 0] = np.nan
    if np.isfinite(values).all(axis=2).sum(axis=1).max() < 2:
        raise ValueError(f"There are no returns to draw: {message(found[0].result)}")
    widest = int(np.argmax(np.nanmax(values, axis=(0, 1)) - np.nanmin(values, axis=(0, 1))))
    coordinate = widest if coordinate is None else coordinate
    times = np.stack([np.concatenate([[0.0], one.ts]) for one in found])
    return _Returns(times, states, values[..., coordinate]), coordinate


def _brackets(pairs: np.ndarray, scale: float) -> list[tuple[float, float, int]]:
    """Between which values returns change the side to which they move, and the pair that moves least there."""
    order = np.argsort(pairs[:, 0])
    order = order[np.abs(np.diff(pairs[order], axis=1)[:, 0]) > _ARRIVED * scale]
    moves = np.diff(pairs[order], axis=1)[:, 0]
    changes = np.flatnonzero(np.sign(moves[1:]) != np.sign(moves[:-1]))[:_MOST_POINTS]
    found = []
    for i in changes:
        nearer = i if abs(moves[i]) < abs(moves[i + 1]) else i + 1
        found.append((pairs[order[i], 0], pairs[order[i + 1], 0], int(order[nearer])))
    return found


def _fixed_points(
    flow: AbstractFlow, surface: Section, returns: _Returns, coordinate: int, scale: float
) -> list[tuple[float, Cycle]]:
    """The cycles through the section where returns change the side to which they move."""
    there = np.isfinite(returns.values[:, :-1]) & np.isfinite(returns.values[:, 1:])
    pairs = np.stack([returns.values[:, :-1][there], returns.values[:, 1:][there]], axis=1)
    rows, columns = np.nonzero(there)
    found = []
    for low, high, which in _brackets(pairs, scale):
        guess = jax.tree.map(lambda leaf, k=which: leaf[columns[k]], returns.states[rows[which]])
        period = returns.times[rows[which], columns[which] + 1] - returns.times[rows[which], columns[which]]
        one = find_cycle(flow, guess, period, surface, throw=False)
        value = float(_tree.ravel(one.state)[0][coordinate])
        slack = _ARRIVED * scale
        if one.verdict != "failed" and low - slack <= value <= high + slack:
            found.append((value, one))
    return found


def _cobweb(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The way from the diagonal to the next return and back to the diagonal, time after time."""
    values = values[np.isfinite(values)]
    twice = np.repeat(values, 2)
    return twice[:-1], twice[1:]


@style()
def return_map(
    flow: AbstractFlow,
    section: Section,
    starts: Sequence[PyTree],
    *,
    count: int = 20,
    coordinate: int | None = None,
    cobwebs: int = 1,
    fixed_points: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A coordinate of each return to a section against that of the next, with the diagonal and a cobweb.

    Where returns change the side to which they move there is a limit cycle, found by `gd.cycle`: a mark on the diagonal, filled
    if it is stable and open if it is not. On a centre every point lies on the diagonal.

    Args:
        flow: The flow or game.
        section: A `Section`, best of one direction.
        starts: States from which to follow orbits; on the section, or on the way to it.
        count: How many returns of each.
        coordinate: Which coordinate to draw, in the order of the state's leaves; the one that varies most if left out.
        cobwebs: For how many of the starts, the first ones, to draw a cobweb.
        fixed_points: Search for the limit cycles.
        ax: Where to draw; a new figure if left out.

    Returns:
        The axes.

    Raises:
        ValueError: No starts, no returns, a start of another structure, or a coordinate that the state does not have.
    """
    starts = [_tree.state_arrays(x) for x in starts]
    if not starts or count < 1:
        raise ValueError(f"return_map follows a start to a return at least; got {len(starts)} starts and count={count}.")
    for x in starts:
        _tree.check_like(x, starts[0], "return_map was given the start")
    names = coordinate_names(starts[0])
    _pick(() if coordinate is None else (coordinate,), names, "return_map")
    surface = prepare_section(flow, starts[0], section)
    returns, which = _returns(flow, surface, starts, count, coordinate)
    ax = axes(ax, 3.2)
    values = returns.values
    low, high = np.nanmin(values), np.nanmax(values)
    ends = np.array([low, high]) + 0.06 * (high - low) * np.array([-1, 1])
    ax.plot(ends, ends, color=GREY, lw=0.8, zorder=1, label="diagonal")
    for row in values[:cobwebs]:
        ax.plot(*_cobweb(row), color=VERMILION, lw=0.7, zorder=2, label="cobweb")
    pairs = np.stack([values[:, :-1].ravel(), values[:, 1:].ravel()], axis=1)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    # On a line a return is a function of the last.
    width = 0.8 if len(names) == 2 else 0.0
    ax.plot(*pairs[np.argsort(pairs[:, 0])].T, ".-", color=BLUE, lw=width, ms=4.5, mew=0, zorder=3, label="returns")
    for value, one in _fixed_points(flow, surface, returns, which, high - low) if fixed_points else ():
        label = f"{one.verdict} cycle"
        ax.plot(value, value, "o", color=BLACK, mfc=_FILL[one.verdict], ms=5, mew=1.1, zorder=4, label=label)
    name = names[which]
    ax.set(xlim=ends, ylim=ends, xlabel=f"{name} at a return", ylabel=f"{name} at the next")
    ax.set_aspect("equal")
    legend(ax)
    return ax
