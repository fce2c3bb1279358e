"""Branches of equilibria and cycles, and how the bifurcations between the points of their paths are found."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .._results import RESULTS
from ._path import AbstractProblem, Path, pinpoint
from ._verdict import STABLE, UNSTABLE, VERDICTS, Stability

# The kind where modes cross that no test function of a single one sees.
SEVERAL = "several modes"


class Special(eqx.Module):
    r"""A bifurcation on a branch: where, of which kind, and what its normal form says.

    `kind` is `fold`, `branch point`, `Hopf`, `Neimark-Sacker` or `flip`, or `several modes` where stability changes with
    several of them at once, as where a game has a symmetry. On a branch of cycles it is `fold of cycles`, `branch point`,
    `period doubling` or `torus`; there `state` is one on the cycle, whose `period` is given, and `orbit` is the whole turn, as
    in a branch's `states`. `eigenvalue` is the critical one, of a cycle its multiplier.

    `coefficient` is that of the normal form: the real part of the cubic one of an oscillating mode (see `normal_form`), of a
    fold the quadratic one, :math:`w^\top D^2F(v, v)/2` with :math:`w^\top v = 1` and v of unit length; of cycles those of the
    return map. At a branch point of equilibria it is the quadratic one, too, where that makes it `transcritical`, and otherwise
    the cubic one of a pitchfork. It is NaN where there is none, as at a strong resonance or where several modes cross.
    `character` says `supercritical`, `subcritical` or `degenerate` (as at a centre) of an oscillating mode and of a pitchfork,
    and is empty at folds.

    At a branch point `other` is the tangent of the branch that crosses, in the coordinates of the path. The system of the
    branch was the one that it was asked of, applied `times` times.
    """

    value: Scalar
    state: PyTree
    eigenvalue: Array
    coefficient: Scalar
    other: Float[Array, " k"]
    period: Scalar | None
    orbit: PyTree
    kind: str = eqx.field(static=True)
    character: str = eqx.field(static=True, default="")
    times: int = eqx.field(static=True, default=1)

    def __str__(self) -> str:
        more = f", {self.character}" if self.character else ""
        period = "" if self.period is None else f", period {float(self.period):.10g}"
        known = np.isfinite(float(self.coefficient))
        detail = f"coefficient {float(self.coefficient):.6g}" if known else f"eigenvalue {complex(self.eigenvalue):.6g}"
        return f"{self.kind} at {float(self.value):.12g}{period}{more} ({detail})"


class Branch(eqx.Module):
    """A branch of equilibria or of cycles, in the order of its arclength.

    `values` of the parameter, `states` stacked along the first axis, the `stability` at each, and the bifurcations, `specials`,
    in the order in which the branch meets them. Of cycles there are `periods` besides, `states` have the times of a turn as
    their second axis (the first state again at the end), and the eigenvalues are the Floquet multipliers but the trivial one.

    `ends` says how either end came about: `span` (the parameter left the span), `unbounded` (the state did), `closed` (the
    branch is a loop), `lost` or `points` (there were no more); and of cycles `Hopf point` (in which they shrink to an
    equilibrium) or `infinite period` (they come to rest at an equilibrium on the way).
    """

    values: Float[Array, " m"]
    states: PyTree
    stability: Stability
    specials: tuple[Special, ...]
    periods: Float[Array, " m"] | None
    ends: tuple[str, str] = eqx.field(static=True)
    result: RESULTS

    @property
    def vertical(self) -> bool:
        """Whether the parameter does not change along the branch: a family at one value, as around a centre."""
        values = np.asarray(self.values)
        return values.size > 1 and bool(np.ptp(values) <= np.finfo(values.dtype).eps ** 0.5 * (1 + np.abs(values).max()))

    def __str__(self) -> str:
        values = np.asarray(self.values)
        extent = f"{values.min():.6g} to {values.max():.6g}, {values.size} points; ends: {', '.join(self.ends)}"
        lines = [f"branch       {extent}", *self._verdicts(), *map(str, self.specials)]
        if self.periods is not None:
            periods = np.asarray(self.periods)
            lines.insert(1, f"periods      {periods.min():.6g} to {periods.max():.6g}")
        if self.vertical:
            lines.insert(1, "vertical     a family at one value of the parameter, as around a centre")
        return "\n".join(lines)

    def _verdicts(self) -> list[str]:
        """Which verdicts there are along the branch, in its order."""
        codes, values = np.asarray(self.stability.code), np.asarray(self.values)
        ends = np.flatnonzero(np.diff(codes, append=-1))
        starts = np.concatenate([[0], ends[:-1] + 1])
        return [f"{VERDICTS[codes[i]]:12s} from {values[i]:.6g} to {values[j]:.6g}" for i, j in zip(starts, ends, strict=True)]


class AbstractBranch(AbstractProblem):
    """A problem whose path is a branch."""

    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """What happens where the test functions vanish, in their order; first a fold, then a branch point."""

    @abstractmethod
    def special(self, point: Float[Array, " k"], tangent: Float[Array, " k"], kind: str, extra: Any) -> Special | None:
        """What is at a point where a test function vanishes; nothing if it is no bifurcation, as at a neutral saddle.

        The tangent is that of the path nearby.
        """

    @abstractmethod
    def noise(self, tests: np.ndarray) -> np.ndarray | float:
        """How near to zero a test function has no sign."""

    @abstractmethod
    def precision(self) -> float:
        """How exactly, to an order of magnitude, a point is known, relative to its size."""


def exact(precision: float) -> float:
    """How exactly a bifurcation is located, relative to its eigenvalues: a little worse than the root of rounding."""
    return precision**0.375


def joined(back: Path | None, ahead: Path) -> Path:
    """A path in both directions, in one order; the start stands once."""
    rows = jax.tree.map(lambda leaf: leaf[: int(ahead.filled)], ahead[:4])
    if back is not None:
        before = slice(int(back.filled) - 1, 0, -1)
        rows = jax.tree.map(lambda old, new: jnp.concatenate([old[before], new]), back[:4], rows)
    return Path._make((*rows, jnp.asarray(len(rows[0])), ahead.code))


def padded(array: Array) -> Array:
    """Repeats of the last row, up to a power of two and 64, so that paths of other lengths do not compile anew."""
    more = max(64, 2 ** (len(array) - 1).bit_length()) - len(array)
    return jnp.concatenate([array, jnp.repeat(array[-1:], more, axis=0)])


def specials(problem: AbstractBranch, path: Path, codes: np.ndarray) -> tuple[Special, ...]:
    """The bifurcations between the points of a path, in its order, with the verdicts at the points."""
    kinds, points, tangents, tests = problem.kinds(), path.points, path.tangents, np.asarray(path.tests)
    signs = np.where(np.abs(tests) > problem.noise(tests), np.sign(tests), 0.0)
    # A path that starts where another one crosses has no sign there.
    through = (signs[1:-1] == 0) & (signs[2:] * signs[:-2] < 0)
    signs[1:-1] = np.where(through, signs[2:], signs[1:-1])
    places, which = np.nonzero(signs[1:] * signs[:-1] < 0)
    found: list[tuple[int, float, Special]] = []
    decided = np.isin(codes, (STABLE, UNSTABLE))
    changes = decided[1:] & decided[:-1] & (codes[1:] != codes[:-1])
    # What is seen by its own test function needs no other, which therefore comes last.
    for j, i in sorted(zip(which, places, strict=True)):
        if kinds[j] == SEVERAL and (not changes[i] or any(place == i for place, _, _ in found)):
            continue
        place, ends = int(i), slice(int(i), int(i) + 2)
        sought = points[ends], tangents[ends], path.tests[ends, int(j)], jnp.asarray(j)
        point, extra = pinpoint(problem, *sought)
        # Not the tangent at the point itself, which has no one solution where two branches cross.
        special = problem.special(point, tangents[place] + tangents[place + 1], kinds[j], extra)
        if special is not None:
            found.append((place, float(tangents[place] @ (point - points[place])), special))
    found.sort(key=lambda entry: entry[:2])
    crossed = [(place, along) for place, along, special in found if special.kind == "branch point"]

    def turns_there(place: int, along: float) -> bool:
        """On a pitchfork's bent branch the parameter turns back at the branch point, which is no fold."""
        return any(place == other and abs(along - s) < exact(problem.precision()) for other, s in crossed)

    return tuple(special for place, s, special in found if not (special.kind == kinds[0] and turns_there(place, s)))
