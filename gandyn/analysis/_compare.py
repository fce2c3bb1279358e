"""A flow and its training algorithms in one table: how fast, until which step size, and at what cost."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, Int, PyTree

from .. import _tree
from .._evolve import prepare
from .._results import message
from .._system import AbstractFlow, AbstractMap
from ._predict import linear_part, visible
from ._stability import _stability, stability
from ._threshold import SAMPLES, Moved, find_crossings, move, moved_by, samples
from ._verdict import FAILED, STABLE, UNSTABLE, VERDICTS, Stability

FLIP, FOLD, NEIMARK_SACKER = "flip", "fold", "Neimark–Sacker"


class Comparison(eqx.Module):
    r"""A flow and maps at one equilibrium, a row each; the flow comes first.

    `steps` are the step sizes, of several the first player's; `growth` and `rotation` are those of the leading mode, per unit
    time of the flow and per application of a map. `critical` is the step size at which stability is lost, `lost` how: by a
    `flip` (a multiplier -1), a `fold` (+1) or a `Neimark–Sacker` bifurcation (a complex pair). `best` is the step size with
    the lowest growth, `best_growth`. A critical or best step size is infinite where the map is stable, or still gets better,
    up to the end of the `bracket`; it is NaN where the map is stable for none, and for the flow. Only modes that show in a
    map's point count.

    `times` is the flow's time that one application takes, `evaluations` how many gradients of all players it costs.
    `scanned` and `scanned_growth` are the growth over the bracket. `reasons` say why a row has no verdict.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    steps: Float[Array, " n"]
    growth: Float[Array, " n"]
    rotation: Float[Array, " n"]
    codes: Int[Array, " n"]
    critical: Float[Array, " n"]
    lost: tuple[str, ...] = eqx.field(static=True)
    best: Float[Array, " n"]
    best_growth: Float[Array, " n"]
    times: Float[Array, " n"]
    evaluations: Float[Array, " n"]
    bracket: tuple[float, float] = eqx.field(static=True)
    scanned: Float[Array, " s"]
    scanned_growth: Float[Array, "n s"]
    reasons: tuple[str, ...] = eqx.field(static=True)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdict of each row."""
        return tuple(VERDICTS[code] for code in np.asarray(self.codes))

    @property
    def rate(self) -> Float[Array, " n"]:
        """The factor by which errors shrink per unit time or per application, exp(growth)."""
        return jnp.exp(self.growth)

    @property
    def growth_per_time(self) -> Float[Array, " n"]:
        """Growth per unit time of the flow."""
        return self.growth / self.times

    @property
    def growth_per_evaluation(self) -> Float[Array, " n"]:
        """Growth per evaluation of all players' gradients; NaN for the flow."""
        return self.growth / self.evaluations

    def __getitem__(self, name: str) -> dict[str, float | str]:
        """The row called `name`, by column."""
        if name not in self.names:
            raise KeyError(f"There is no row {name!r}; there are {', '.join(self.names)}.")
        i = self.names.index(name)
        row = {
            "step": self.steps,
            "growth": self.growth,
            "rate": self.rate,
            "rotation": self.rotation,
            "verdict": self.verdicts,
            "critical": self.critical,
            "lost by": self.lost,
            "best": self.best,
            "its rate": jnp.exp(self.best_growth),
            "per time": self.growth_per_time,
            "per gradient": self.growth_per_evaluation,
        }
        return {name: values[i] if isinstance(values, tuple) else float(values[i]) for name, values in row.items()}

    def __str__(self) -> str:
        def cell(column: str, value: float | str, verdict: float | str) -> str:
            if isinstance(value, str):
                return value
            if np.isinf(value) and column in ("critical", "best"):
                return f"> {self.bracket[1]:g}"
            if verdict == "marginal" and column in ("growth", "per time", "per gradient") and not np.isnan(value):
                return "0"
            return "" if np.isnan(value) else f"{value:.6g}"

        found = [self[name] for name in self.names]
        rows = [["", *found[0]]]
        rows += [
            [name, *(cell(column, value, row["verdict"]) for column, value in row.items())]
            for name, row in zip(self.names, found, strict=True)
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [f"{name}: {reason}" for name, reason in zip(self.names, self.reasons, strict=True) if reason]
        return "\n".join(lines)


@dataclass
class _Row:
    growth: float = np.nan
    rotation: float = np.nan
    code: int = FAILED
    step: float = np.nan
    critical: float = np.nan
    lost: str = ""
    best: float = np.nan
    best_growth: float = np.nan
    time: float = np.nan
    evaluations: float = np.nan
    reason: str = ""
    scan: np.ndarray = dataclasses.field(default_factory=lambda: np.full(SAMPLES, np.nan))


@eqx.filter_jit
def _spectra(step: AbstractMap, moved: Moved, x: PyTree, hidden: Array | None, values: Array) -> Stability:
    def at(value: Array) -> Stability:
        there = move(step, moved, value)
        return _stability(there, there.settle(there.init(x)), hidden, still=False)

    return jax.vmap(at)(values)


def _hidden(step: AbstractMap, moved: Moved, x: PyTree, size: float) -> Array | None:
    """A basis of what happens in a map's memory alone; None where there is no such thing."""
    state = step.init(x)
    if _tree.size(state) == _tree.size(x):
        return None
    # At two step sizes, lest a coupling vanish at one of them by accident.
    parts = [linear_part(move(step, moved, jnp.asarray(h)), step.settle(state)) for h in (size, 0.618 * size)]
    if not all(np.isfinite(matrix).all() for matrix, _ in parts):
        return None
    basis = visible([np.asarray(matrix) for matrix, _ in parts], np.asarray(parts[0][1]), _tree.eps(x))
    rest = scipy.linalg.null_space(basis.T)
    return jnp.asarray(rest) if rest.shape[1] else None


def _lost(spectra_at: Callable[[np.ndarray], Stability], critical: float) -> str:
    """How stability is lost, from the leading multiplier a little beyond; nothing where it had been rounding's alone."""
    beyond = critical * (1 + np.array([1e-9, 1e-7, 1e-5, 1e-3, 1e-2]))
    found = spectra_at(np.resize(beyond, SAMPLES))
    codes, growth, error = (np.asarray(v)[: beyond.size] for v in (found.code, found.growth, found.error))
    unstable = np.flatnonzero(codes == UNSTABLE)
    if not unstable.size or growth[-1] < 1e3 * error[-1]:
        return ""
    exponents = np.asarray(found.exponents)[unstable[0]]
    angle = abs(np.imag(exponents)[np.argmax(np.real(exponents))])
    tolerance = float(np.finfo(growth.dtype).eps) ** 0.5
    return FOLD if angle <= tolerance else FLIP if np.pi - angle <= tolerance else NEIMARK_SACKER


def _best(spectra_at: Callable[[np.ndarray], Stability], found: Stability, values: np.ndarray) -> tuple[float, float]:
    """The step size with the lowest growth among the stable ones, and that growth: on the samples, then between them."""

    def lowest(spectra: Stability) -> tuple[int, float]:
        growth = np.where(np.asarray(spectra.code) == STABLE, np.asarray(spectra.growth), np.inf)
        i = int(np.argmin(growth))
        return i, float(growth[i])

    def around(i: int) -> tuple[float, float]:
        return values[max(i - 1, 0)], values[min(i + 1, values.size - 1)]

    i, growth = lowest(found)
    if growth == np.inf:
        return np.nan, np.nan
    if i == values.size - 1:
        return np.inf, growth
    # Growth is flat to rounding within the root of epsilon of a smooth minimum, and has a kink at most others.
    while np.ptp(around(i)) > np.finfo(values.dtype).eps ** 0.75 * values[i] and np.isfinite(growth):
        values = np.linspace(*around(i), SAMPLES)
        i, growth = lowest(spectra_at(values))
    return float(values[i]), growth


def _row(step: AbstractMap, x: PyTree, bracket: tuple[float, float]) -> _Row:
    moved = moved_by(step, lambda s: s.step_size())
    size = float(jax.tree.leaves(step.step_size())[0])
    hidden = _hidden(step, moved, x, size)

    def spectra_at(values: np.ndarray) -> Stability:
        return _spectra(step, moved, x, hidden, _tree.real(values))

    now, values = spectra_at(np.full(SAMPLES, size)), samples(*bracket)
    found = spectra_at(values)
    row = _Row(float(now.growth[0]), float(now.rotation[0]), int(now.code[0]), size, scan=np.asarray(found.growth))
    row.reason = message(jax.tree.map(lambda leaf: leaf[0], now.result))
    if np.isnan(row.growth):
        row.rotation = np.nan
    row.time, row.evaluations = float(step.time()), step.evaluations()
    row.best, row.best_growth = _best(spectra_at, found, values)
    crossings = find_crossings(lambda v: np.array(spectra_at(v).code), *bracket, _tree.eps(x))
    for value, before, after in crossings:
        row.lost = _lost(spectra_at, value) if after == UNSTABLE or before == STABLE else ""
        if before == STABLE or row.lost:
            row.critical = value
            return row
    row.critical = np.inf if STABLE in np.asarray(found.code) else np.nan
    return row


def by_name(maps: Mapping[str, AbstractMap] | Sequence[AbstractMap]) -> dict[str, AbstractMap]:
    """Maps by name; those without one are called after their class."""
    if isinstance(maps, Mapping):
        return dict(maps)
    named: dict[str, AbstractMap] = {}
    for step in maps:
        kind = type(step).__name__
        count = sum(name == kind or name.startswith(f"{kind} ") for name in named)
        named[f"{kind} {count + 1}" if count else kind] = step
    return named


def compare(
    flow: AbstractFlow,
    maps: Mapping[str, AbstractMap] | Sequence[AbstractMap],
    x: PyTree,
    *,
    bracket: tuple[float, float] = (1e-4, 1e2),
) -> Comparison:
    """A flow and any number of maps in one table: growth, rotation, verdict, critical and best step sizes, and costs.

    Args:
        flow: The flow.
        maps: Training algorithms on the same phase space, by name or in a sequence; a step size for each player is moved by
            one factor for all.
        x: An equilibrium of the flow; each map starts from `map.settle(map.init(x))`.
        bracket: The step sizes to look at, with 129 samples spaced by a constant factor, refined between them.

    Returns:
        A `Comparison`.

    Raises:
        ValueError: A flow among the maps, a map in place of the flow, a map without a step size, an empty bracket, or a
            state of the wrong structure.
        RuntimeError: The point is no equilibrium of the flow.
    """
    if not isinstance(flow, AbstractFlow):
        raise ValueError(f"compare takes a flow first, then maps; got {type(flow).__name__}.")
    named = by_name(maps)
    for name, step in named.items():
        if not isinstance(step, AbstractMap):
            raise ValueError(f"compare: {name!r} is a {type(step).__name__}; a map is expected, such as gd.SimGD(flow, 0.1).")
    low, high = map(float, bracket)
    if not 0 < low < high < np.inf:
        raise ValueError(f"compare: the bracket must hold two increasing positive numbers; got {bracket}.")
    flow, x = prepare(flow, x)
    own = stability(flow, x)
    rows = [_Row(float(own.growth), float(own.rotation), int(own.code), time=1.0)]
    for step in named.values():
        rows.append(_row(prepare(step, step.init(x))[0], x, (low, high)))

    def column(name: str) -> Array:
        return _tree.real(np.array([getattr(row, name) for row in rows]))

    return Comparison(
        names=("flow", *named),
        steps=column("step"),
        growth=column("growth"),
        rotation=column("rotation"),
        codes=jnp.asarray([int(row.code) for row in rows]),
        critical=column("critical"),
        lost=tuple(row.lost for row in rows),
        best=column("best"),
        best_growth=column("best_growth"),
        times=column("time"),
        evaluations=column("evaluations"),
        bracket=(low, high),
        scanned=_tree.real(samples(low, high)),
        scanned_growth=column("scan"),
        reasons=tuple(row.reason for row in rows),
    )
