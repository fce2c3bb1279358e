"""The statistics of decay: lines through log-distances, with intervals that know drift, correlation and rotation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.signal
import scipy.stats

FEWEST_SAMPLES = 8
_MOST_SAMPLES = 1000
_FEWEST_TURNS = 3
_STARTS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75)
POWERS = (0, 1, 2)
WIDEST = 0.1
_MOST_OFFSET = 4.0


@dataclass(frozen=True)
class Window:
    """The samples from `first` to before `last`, and the angular frequency at which the log-distances there oscillate."""

    first: int
    last: int
    frequency: float

    def of(self, values: np.ndarray) -> np.ndarray:
        """The samples of the window."""
        return values[self.first : self.last]


@dataclass(frozen=True)
class Line:
    r"""A fit of log-distances on a window, in one of two families.

    Exponential, :math:`a + s\,t + k \log(t + t_0)` with k = `power` fixed and `value` = s; or, for `power` None, algebraic,
    :math:`a - p \log(t + t_0)` with `value` = p. `half` is half the width of the interval of `value`, `misfit` the mean
    square residual and `free` the degrees of freedom that the correlation of the residuals leaves.
    """

    power: int | None
    value: float
    half: float
    misfit: float
    free: float
    waves: np.ndarray
    window: Window

    @property
    def relative(self) -> float:
        """Half the interval's width over the value."""
        return self.half / abs(self.value) if self.value else np.inf


def thinned(t: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every so-many-th sample: no more than the statistics need."""
    stride = -(-t.size // _MOST_SAMPLES)
    return t[::stride], y[::stride]


def above_floor(d: np.ndarray, smallest: float) -> int:
    """How many samples lie before the distances drown in rounding, or in the error of the equilibrium."""
    tenth = d.size // 10
    if tenth >= FEWEST_SAMPLES:
        last, before = np.median(d[-tenth:]), np.median(d[-2 * tenth : -tenth])
        # Whatever falls by six digits exponentially falls by a factor of four in the last tenth.
        if last <= 1e-6 * d.max() and max(last, before) <= 3 * min(last, before):
            smallest = max(smallest, 10 * last)
    below = np.flatnonzero(d <= smallest)
    return int(below[0]) if below.size else d.size


def before_saturation(d: np.ndarray) -> int:
    """How many samples lie before a distance that grows tenfold or more has reached half of its largest value."""
    reached = int(np.argmax(d >= d.max() / 2)) if d.size else 0
    return reached if reached >= FEWEST_SAMPLES and d[0] < d.max() / 10 else d.size


def _frequency(t: np.ndarray, y: np.ndarray) -> float:
    """The angular frequency at which log-distances oscillate; zero if they do not."""
    span, gap = t[-1] - t[0], np.median(np.diff(t))
    low, high = _FEWEST_TURNS * 2 * np.pi / span, np.pi / gap
    if high <= low:
        return 0.0
    scaled = 2 * (t - t[0]) / span - 1
    trend = np.polynomial.chebyshev.chebvander(scaled, 3)
    rest = y - trend @ np.linalg.lstsq(trend, y)[0]
    if np.std(rest) <= 1e-12 * (1 + np.abs(y).max()):
        return 0.0
    grid = np.linspace(low, high, int(4 * span / (2 * np.pi) * (high - low)) + 8)
    power = scipy.signal.lombscargle(t, rest, grid, normalize=True)
    peak, step = grid[np.argmax(power)], grid[1] - grid[0]
    if power.max() < 0.5:
        return 0.0

    def misfit(frequency: float) -> float:
        design = np.concatenate([trend, np.cos(frequency * t)[:, None], np.sin(frequency * t)[:, None]], axis=1)
        return float(np.sum((y - design @ np.linalg.lstsq(design, y)[0]) ** 2))

    ends = max(low, peak - step), min(high, peak + step)
    return float(np.asarray(scipy.optimize.fminbound(misfit, *ends, xtol=1e-9)))


@dataclass(frozen=True)
class _Solved:
    value: float
    reach: float
    misfit: float
    free: float
    waves: np.ndarray
    disguised: bool


def _solve(t: np.ndarray, y: np.ndarray, power: int | None, frequency: float, confidence: float) -> _Solved | None:
    """Least squares, with the offset t0 of a logarithm by a search; None where the data leave something undetermined.

    A power so far from its pole that t0 is the largest allowed is an exponential in disguise.
    """
    t = (t - t[0]) / (span := t[-1] - t[0])
    harmonics = min(4, t.size // 12) if frequency else 0
    angles = np.outer(t, span * frequency * np.arange(1, harmonics + 1))
    periodic = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)

    def design(offset: float) -> tuple[np.ndarray, np.ndarray]:
        log = np.log(t + offset)
        main = np.stack([np.ones_like(t), -log if power is None else t], axis=1)
        return np.concatenate([main, periodic], axis=1), y - (0 if power is None else power * log)

    def misfit(log_offset: float) -> float:
        a, b = design(np.exp(log_offset))
        return float(np.sum((b - a @ np.linalg.lstsq(a, b)[0]) ** 2))

    offset, disguised = 1.0, False
    if power != 0:
        grid = np.linspace(-9, np.log(_MOST_OFFSET), 25)
        i = int(np.argmin([misfit(z) for z in grid]))
        disguised = power is None and i == grid.size - 1
        ends = grid[max(i - 1, 0)], grid[min(i + 1, grid.size - 1)]
        offset = float(np.exp(np.asarray(scipy.optimize.fminbound(misfit, *ends, xtol=1e-10))))
    a, b = design(offset)
    solution = np.linalg.lstsq(a, b)[0]
    rest = b - a @ solution
    if power != 0:
        a = np.concatenate([a, ((solution[1] if power is None else power) / (t + offset))[:, None]], axis=1)
    # Neighbouring residuals that resemble one another count for fewer.
    lag = float(rest[1:] @ rest[:-1] / max(rest @ rest, np.finfo(float).tiny))
    # With the bias of this estimate beside a line taken off, to first order.
    lag = min(max(lag + (2 + 4 * lag) / t.size, 0.0), 0.99)
    if t.size < a.shape[1] + 2:
        return None
    free = max((t.size - a.shape[1]) * (1 - lag) / (1 + lag), 1.0)
    noise = max(float(rest @ rest) / (t.size - a.shape[1]), (1e-15 * np.abs(y).max()) ** 2)
    variance = np.linalg.pinv(a.T @ a)[1, 1] * noise * (1 + lag) / (1 - lag)
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, free) * np.sqrt(variance))
    unit = 1 if power is None else span
    return _Solved(float(solution[1]) / unit, reach / unit, noise, free, periodic @ solution[2:], disguised)


def _line(t: np.ndarray, y: np.ndarray, power: int | None, window: Window, confidence: float) -> Line | None:
    """The fit on a window; its interval is the statistical one and what the window's halves differ by beyond chance."""
    t, y = window.of(t), window.of(y)
    middle = t.size // 2
    whole, early, late = (
        _solve(t[part], y[part], power, window.frequency, confidence)
        for part in (slice(None), slice(middle), slice(middle, None))
    )
    if whole is None or whole.disguised:
        return None
    # A window too short to be halved has its interval doubled.
    drift = whole.reach
    if early is not None and late is not None:
        drift = max(0.0, abs(late.value - early.value) - float(np.hypot(early.reach, late.reach)))
    return Line(power, whole.value, whole.reach + drift, whole.misfit, whole.free, whole.waves, window)


def _parts(n: int, growing: bool) -> Iterator[tuple[int, int]]:
    for part in _STARTS:
        cut = int(part * n)
        # What grows leaves the neighbourhood of the equilibrium, so that its early part is the one to look at.
        yield from ((start, n - cut) for start in (0, (n - cut) // 4, (n - cut) // 2)) if growing else ((cut, n),)


def windows(t: np.ndarray, y: np.ndarray) -> list[Window]:
    """The windows to look at: late ones where the distance falls, early ones where it grows."""
    growing = bool(np.polyfit((t - t[0]) / (t[-1] - t[0]), y, 1)[0] > 0)
    parts = [(a, b) for a, b in _parts(t.size, growing) if b - a >= FEWEST_SAMPLES]
    return [Window(a, b, _frequency(t[a:b], y[a:b])) for a, b in parts]


def _narrowest(fits: list[Line | None]) -> Line | None:
    """Of growing fits the relatively narrowest, since growth ends; else the narrowest; or a longer one nearly as narrow."""
    kept = [fit for fit in fits if fit is not None]
    rising = [fit for fit in kept if fit.power is not None and fit.value > 0 and fit.relative <= WIDEST]
    widths = [fit.relative for fit in rising] or [fit.half for fit in kept]
    # The narrowest of several intervals would be narrower than it says.
    close = [fit for fit, width in zip(rising or kept, widths, strict=True) if width <= 1.5 * min(widths)]
    return max(close, key=lambda fit: fit.window.last - fit.window.first, default=None)


def exponential(t: np.ndarray, y: np.ndarray, parts: list[Window], confidence: float) -> Line | None:
    """The exponential fit on the window that makes its interval narrowest, a power of t only where that is much narrower."""
    best = _narrowest([_line(t, y, 0, window, confidence) for window in parts])
    for power in POWERS[1:]:
        if best is None or best.relative >= 1:
            break
        other = _narrowest([_line(t, y, power, window, confidence) for window in parts])
        best = other if other is not None and 10 * other.relative < best.relative else best
    return best


def algebraic(t: np.ndarray, y: np.ndarray, parts: list[Window], confidence: float) -> Line | None:
    """The algebraic fit on the window that makes its interval narrowest."""
    return _narrowest([_line(t, y, None, window, confidence) for window in parts])


def convincing(t: np.ndarray, y: np.ndarray, better: Line, confidence: float) -> bool:
    """Whether on its own window a fit leaves clearly smaller residuals than those of the other family."""
    t, y = better.window.of(t), better.window.of(y)
    for power in POWERS if better.power is None else (None,):
        other = _solve(t, y, power, better.window.frequency, confidence)
        # A likelihood ratio of a hundred.
        if other is not None and max(better.free, other.free) * np.log(other.misfit / better.misfit) < 2 * np.log(100):
            return False
    return True


def inverse_square_slope(t: np.ndarray, y: np.ndarray, fit: Line, confidence: float) -> tuple[float, float]:
    """The slope of one over the square distance, averaged over a turn, and half the width of its interval."""
    square = np.exp(2 * (fit.window.of(y) - fit.waves)) * np.mean(np.exp(2 * fit.waves))
    found = _solve(fit.window.of(t), 1 / square, 0, 0.0, confidence)
    return (found.value, found.reach) if found is not None else (np.nan, np.nan)
