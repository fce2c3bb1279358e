"""What a sweep came to, in words: how many cells have which verdict, and what bounds the stable region."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..analysis._dataset import PENDING
from ..analysis._sweep import StoredSweep, Sweep
from ..analysis._verdict import MARGINAL, STABLE, UNSTABLE, VERDICTS
from ._console import describe

# How many cells of a store are read at once.
_READ = 2**20

# An angle this small is none.
_ANGLE = 1e-8


@dataclasses.dataclass(frozen=True)
class _Slab:
    """The cells from one value of the first axis on to another, and where there are more, those at the next value.

    Leading exponents are complex; `best` is the critical step size, where it was asked for.
    """

    start: int
    rows: int
    codes: np.ndarray
    growth: np.ndarray
    leading: np.ndarray
    best: np.ndarray | None

    def own(self, values: np.ndarray) -> np.ndarray:
        return values[: self.rows]


@dataclasses.dataclass
class _Extreme:
    """The lowest number of a sweep, and its cell."""

    value: float = np.inf
    place: tuple[int, ...] = ()

    def update(self, values: np.ndarray, start: int) -> None:
        if np.any(values < self.value):
            first, *rest = map(int, np.unravel_index(np.nanargmin(values), values.shape))
            self.value, self.place = float(values[first, *rest]), (start + first, *rest)


def text(found: Sweep | StoredSweep, chosen: dict[str, Any], *, discrete: bool) -> str:
    """The summary of a sweep of stabilities.

    Args:
        found: The sweep.
        chosen: The options, by their names.
        discrete: Whether the system is a map.
    """
    axes = {name: np.asarray(values) for name, values in found.axes.items()}
    counts, lowest, largest = np.zeros(len(VERDICTS) - PENDING, int), _Extreme(), _Extreme()
    runs: list[np.ndarray] = []
    borders: dict[str, list[np.ndarray]] = {}
    for slab in _slabs(found):
        counts += np.bincount(slab.own(slab.codes).reshape(-1) - PENDING, minlength=counts.size)
        lowest.update(slab.own(slab.growth), slab.start)
        if slab.best is not None:
            largest.update(-slab.own(slab.best), slab.start)
        if len(axes) == 1:
            runs.append(slab.own(slab.codes))
        for kind, spans in _borders(slab, list(axes.values()), discrete):
            borders.setdefault(kind, []).append(spans)
    words = [f"{word} {count}" for word, count in zip(("pending", *VERDICTS), counts, strict=True) if count]
    lines = [f"system       {describe(chosen)}"]
    if isinstance(found, StoredSweep):
        lines.append(f"store        {found.path}: {found.done.sum()} of {found.done.size} blocks are finished")
    lines.append(f"cells        {' x '.join(str(values.size) for values in axes.values())}: {', '.join(words)}")
    if lowest.place:
        lines.append(f"lowest       growth {lowest.value:.10g} at {_at(axes, lowest.place)}")
    if largest.place:
        lines.append(f"largest      critical step {-largest.value:.10g} at {_at(axes, largest.place)}")
    if len(axes) == 1:
        lines += _runs(*next(iter(axes.items())), np.concatenate(runs))
    return "\n".join([*lines, *(line for kind, spans in borders.items() for line in _bounds(kind, spans, list(axes)))])


def _at(axes: dict[str, np.ndarray], place: tuple[int, ...]) -> str:
    return ", ".join(f"{name} = {values[i]:.6g}" for (name, values), i in zip(axes.items(), place, strict=True))


def _slabs(found: Sweep | StoredSweep) -> Iterator[_Slab]:
    """A sweep in parts that fit in memory."""
    data, first_axis = found.to_xarray(), next(iter(found.axes))
    stem = next(str(name) for name in data if str(name).endswith("verdict")).removesuffix("verdict")
    count, cells = data.sizes[first_axis], data[f"{stem}verdict"].size
    rows = max(1, _READ * count // cells)
    for start in range(0, count, rows):
        part = data.isel({first_axis: slice(start, start + rows + 1)})
        exponents = np.asarray(part[f"{stem}exponents"])
        # A mode that is none does not lead.
        lead = np.argmax(np.where(np.isnan(exponents), -np.inf, np.real(exponents)), axis=-1)[..., None]
        yield _Slab(
            start,
            min(rows, count - start),
            np.asarray(part[f"{stem}verdict"]),
            np.asarray(part[f"{stem}growth"]),
            np.take_along_axis(exponents, lead, -1)[..., 0],
            np.asarray(part["critical_step"]) if "critical_step" in part else None,
        )


def _borders(slab: _Slab, axes: list[np.ndarray], discrete: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Where a cell is stable and its neighbour is not, by what happens between: for each axis the values on either side."""
    decided, stable = np.isin(slab.codes, (STABLE, UNSTABLE, MARGINAL)), slab.codes == STABLE
    for axis in range(len(axes)):
        # The next value of the first axis belongs to the next slab but along that axis.
        kept = slice(None) if axis == 0 else slice(slab.rows)
        near, far = ((*[slice(None)] * axis, slice(None, -1)), (*[slice(None)] * axis, slice(1, None)))
        known, inside, growth, leading = (v[kept] for v in (decided, stable, np.abs(slab.growth), slab.leading))
        cells = np.argwhere(known[near] & known[far] & (inside[near] ^ inside[far]))
        if not cells.size:
            continue
        here = tuple(cells.T)
        there = tuple((cells + np.eye(len(axes), dtype=int)[axis]).T)
        closer = np.where(growth[here] <= growth[there], leading[here], leading[there])
        offset = np.eye(len(axes), dtype=int)[0] * slab.start
        spans = [
            np.stack([values[(cells + offset)[:, i]], values[(cells + offset)[:, i] + (i == axis)]], axis=-1)
            for i, values in enumerate(axes)
        ]
        kinds = _kinds(closer, discrete)
        for kind in dict.fromkeys(kinds.tolist()):
            yield kind, np.stack([span[kinds == kind] for span in spans], axis=1)


def _kinds(leading: np.ndarray, discrete: bool) -> np.ndarray:
    """What the leading mode does at a border, by its exponent beside it."""
    turn = np.abs(np.imag(leading))
    if not discrete:
        return np.where(turn < _ANGLE, "fold", "Hopf")
    return np.where(turn < _ANGLE, "fold", np.where(np.pi - turn < _ANGLE, "flip", "Neimark-Sacker"))


_CROSSING = {
    "fold": "an eigenvalue crosses without rotation",
    "flip": "a multiplier passes -1",
    "Hopf": "a pair crosses the imaginary axis",
    "Neimark-Sacker": "a pair leaves the unit circle",
}


def _bounds(kind: str, spans: list[np.ndarray], names: list[str]) -> list[str]:
    """The borders of a kind: each where there is one axis, their extent where there are more."""
    every = np.concatenate(spans)
    if len(names) == 1:
        return [f"{kind:12s} {names[0]} between {a:.6g} and {b:.6g}" for ((a, b),) in every]
    low, high = every.min(axis=(0, 2)), every.max(axis=(0, 2))
    extent = ", ".join(f"{name} from {a:.6g} to {b:.6g}" for name, a, b in zip(names, low, high, strict=True))
    return [f"boundary     {kind} ({_CROSSING[kind]}) at {len(every)} borders of cells, {extent}"]


def _runs(name: str, values: np.ndarray, codes: np.ndarray) -> list[str]:
    """Where one verdict holds, line by line."""
    lines, start = [], 0
    for code, run_of in itertools.groupby(codes.tolist()):
        end = start + len(list(run_of)) - 1
        word = "pending" if code == PENDING else VERDICTS[code]
        lines.append(f"{word:12s} {name} from {values[start]:.6g} to {values[end]:.6g}")
        start = end + 1
    return lines
