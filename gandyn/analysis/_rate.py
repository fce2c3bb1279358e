"""Rates measured on trajectories, beside those that the linearisation and the normal form predict."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from .. import _tree
from .._evolve import Trajectory
from .._system import AbstractMap, AbstractSystem
from . import _decay
from ._predict import ALGEBRAIC, EXPONENTIAL, GROWING, NONE, UNDECIDED, Prediction, predict

_STILL = 1e-6


class Rate(eqx.Module):
    r"""How the distance to an equilibrium changes along a trajectory, measured.

    `kind`: `exponential` for :math:`r \sim t^k e^{gt}` with the `growth` g < 0 and the `power` k; `algebraic` for
    :math:`r \sim t^{-p}` with the `exponent` p; `none`; `growing`; or `undecided` where no model fits, or more than one.
    `interval` is that of the growth, of an algebraic decay that of the exponent: it holds the scatter, counted less where it
    is correlated, and by how much the first half of the window differs from the second beyond chance. `window` says which
    times it was fitted to, `used` how many samples those are.

    `slope` is that of :math:`1/r^2` with r the root of the mean square over a turn, and `slope_interval` its interval, for
    exponents near one half. `predicted` is what the system says, if it was given. `ts` and `distances` are the data.
    """

    kind: str = eqx.field(static=True)
    growth: Scalar
    power: int = eqx.field(static=True)
    exponent: Scalar
    interval: Float[Array, "2"]
    window: Float[Array, "2"]
    used: int = eqx.field(static=True)
    slope: Scalar
    slope_interval: Float[Array, "2"]
    predicted: Prediction | None
    ts: Float[Array, " t"]
    distances: Float[Array, " t"]

    @property
    def rate(self) -> Scalar:
        """The factor by which errors shrink per unit time or per application, exp(growth)."""
        return jnp.exp(self.growth)

    def time(self, error: float) -> float:
        """The time, or the number of applications, after which the distance stayed below `error`; NaN if it did not."""
        distances, ts = np.asarray(self.distances), np.asarray(self.ts)
        above = np.flatnonzero(~(distances <= error))
        if not above.size:
            return float(ts[0])
        return float(ts[above[-1] + 1]) if above[-1] + 1 < ts.size else float("nan")

    def predicted_time(self, error: float) -> float:
        """The same as the prediction has it, from the first distance on.

        Raises:
            ValueError: There is no prediction; give `rate` the system.
        """
        if self.predicted is None:
            raise ValueError("There is no prediction: call gd.rate(trajectory, x, system=...).")
        return float(self.ts[0]) + self.predicted.time(error, float(self.distances[0]))

    def __str__(self) -> str:
        half = float(self.interval[1] - self.interval[0]) / 2
        told = {
            EXPONENTIAL: f"growth {float(self.growth):.10g} ± {half:.1g}" + (f", times t^{self.power}" if self.power else ""),
            GROWING: f"growth {float(self.growth):.10g} ± {half:.1g}",
            NONE: f"growth 0 ± {half:.1g}",
            ALGEBRAIC: f"exponent {float(self.exponent):.6g} ± {half:.1g}",
        }
        slope = float(self.slope_interval[1] - self.slope_interval[0]) / 2
        return (
            f"kind         {self.kind}\n"
            f"measured     {told.get(self.kind, 'no model fits, or more than one')}\n"
            f"slope 1/r^2  {f'{float(self.slope):.8g} ± {slope:.1g}' if np.isfinite(slope) else 'only of algebraic decay'}\n"
            f"window       t = {float(self.window[0]):g} to {float(self.window[1]):g}, {self.used} samples\n"
            f"predicted    {self.predicted or 'not asked for: give the system'}"
        )


@eqx.filter_jit
def _norms(xs: PyTree, x: PyTree) -> Array:
    return jax.vmap(lambda y: _tree.norm(_tree.subtract(y, x)))(xs)


def _distances(trajectory: Trajectory, x: PyTree | None, system: AbstractSystem | None) -> tuple[np.ndarray, float]:
    """The distances, and the size of the equilibrium, whose rounding they cannot go below."""
    leaves = jax.tree.leaves(trajectory.xs)
    recorded = len(leaves) == 1 and leaves[0].ndim == 1
    if x is None:
        if not recorded:
            raise ValueError("rate: the trajectory holds states; give the equilibrium from which to measure distances.")
        return np.asarray(leaves[0], float), 0.0
    x = _tree.state_arrays(x)
    points = trajectory.xs
    if isinstance(system, AbstractMap):
        place = system.point(x)
        if jax.tree.structure(points) == jax.tree.structure(x):
            points = jax.vmap(system.point)(points)
    else:
        place = x
    if recorded and jax.tree.structure(points) != jax.tree.structure(place):
        return np.asarray(leaves[0], float), 0.0
    _tree.check_like(jax.tree.map(lambda leaf: leaf[0], points), place, "rate was given a trajectory of")
    return np.asarray(_norms(points, place), float), float(_tree.norm(place))


def rate(
    trajectory: Trajectory, x: PyTree | None = None, *, system: AbstractSystem | None = None, confidence: float = 0.95
) -> Rate:
    r"""The rate at which a trajectory approaches an equilibrium, with its interval and the part of the data that it rests on.

    Lines are fitted through :math:`\log r` on several windows, each with the periodic part that a rotating mode brings, and
    the window with the narrowest interval counts: late windows where the distance falls, so that transients are left out,
    early ones where it grows. What lies below the rounding of the state, or on the floor that an inexact equilibrium leaves,
    is not used. A model counts if its interval is within ten per cent, and if on its window the residuals of the other are
    clearly larger; otherwise the kind is `undecided`. A change of less than 1e-6 in all is none.

    Args:
        trajectory: From `iterate` or `integrate`; its states, or distances kept by `observe`.
        x: The equilibrium: a state of the system. Left out for distances.
        system: The flow or map, to set the prediction beside the measurement. Of a map with memory the distance is that of
            its point.
        confidence: That of the interval.

    Returns:
        A `Rate`.

    Raises:
        ValueError: States without an equilibrium, of another structure than it, or a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"rate: the confidence lies between 0 and 1; got {confidence}.")
    distances, size = _distances(trajectory, x, system)
    predicted = None if system is None or x is None else predict(system, x)
    ts = np.asarray(trajectory.ts, float)
    usable = int(np.argmin(np.append(np.isfinite(distances), False)))
    eps = float(np.finfo(np.asarray(jax.tree.leaves(trajectory.xs)[0]).dtype).eps)
    largest = distances[:usable].max(initial=0.0)
    usable = _decay.above_floor(distances[:usable], eps**0.75 * (size + largest))
    usable = _decay.before_saturation(distances[:usable])
    nan = float("nan")
    kind, growth, exponent, power, used = UNDECIDED, nan, nan, 0, 0
    ends, window, slope = (nan, nan), (nan, nan), (nan, nan)
    t, y = ts[:usable], np.log(distances[:usable])
    found = None
    if usable >= _decay.FEWEST_SAMPLES:
        t, y = _decay.thinned(t, y)
        found = _fitted(t, y, confidence)
    if found is not None:
        kind, line = found
        growth, exponent = (nan, line.value) if line.power is None else (line.value, nan)
        times = line.window.of(t)
        power, used, window = line.power or 0, times.size, (times[0], times[-1])
        ends = line.value - line.half, line.value + line.half
        if kind == ALGEBRAIC and abs(line.value - 0.5) <= max(line.half, 0.05):
            slope = _decay.inverse_square_slope(t, y, line, confidence)
    numbers = [_tree.real(number) for number in (growth, exponent, slope[0])]
    pairs = [_tree.real(np.array(pair)) for pair in (ends, window, (slope[0] - slope[1], slope[0] + slope[1]))]
    return Rate(
        kind=kind,
        growth=numbers[0],
        power=power,
        exponent=numbers[1],
        interval=pairs[0],
        window=pairs[1],
        used=used,
        slope=numbers[2],
        slope_interval=pairs[2],
        predicted=predicted,
        ts=_tree.real(ts),
        distances=_tree.real(distances),
    )


def _fitted(t: np.ndarray, y: np.ndarray, confidence: float) -> tuple[str, _decay.Line] | None:
    """The kind that the data show, and the fit that shows it."""
    parts = _decay.windows(t, y)
    exponential, algebraic = (fit(t, y, parts, confidence) for fit in (_decay.exponential, _decay.algebraic))
    if exponential is None:
        return None
    times = exponential.window.of(t)
    span = times[-1] - times[0]
    if abs(exponential.value) <= max(exponential.half, _STILL / span):
        return NONE if exponential.half * span <= _decay.WIDEST else UNDECIDED, exponential
    candidates = [fit for fit in (exponential, algebraic) if fit is not None and fit.relative <= _decay.WIDEST]
    best = min(candidates, key=lambda fit: fit.relative, default=exponential)
    if not candidates or not _decay.convincing(t, y, best, confidence):
        return UNDECIDED, best
    falls = best.value < 0 if best.power is not None else best.value > 0
    return GROWING if not falls else ALGEBRAIC if best.power is None else EXPONENTIAL, best
