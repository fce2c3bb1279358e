"""Following an orbit until something decides what it ends on."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .. import _crossing, _march, _tree
from .._march import Solver
from .._results import RESULTS
from .._section import Section
from .._system import AbstractMap
from . import _fate, _follow
from ._circle import ATTRACTING, NEUTRAL, invariant_circle
from ._fate import Orbit, Rest, Returns
from ._lyapunov import lyapunov

# A line through the logarithms of so many returns tells a factor from none; twelve do at least (`_fate.spirals_in`).
_RETURNS = 32
# In a stretch: what a thousand turns of a smooth orbit take, ten times over.
_STEPS = 200_000
# Turns of a stretch at first; and for exponents, whose errors come from the scatter between so many stretches of half a turn.
_STRETCH, _FEWEST, _MOST = 32, 128, 320
# Parts of 128 turns over which averages are compared: over a thousand turns they converge to 1e-4 on a torus, and only there.
_PARTS, _PART, _STEADY = 8, 128, 1e-4
# An exponent times a turn: above the first it is chaos, below the second it may be zero, and what lies between is undecided.
# That of Lorenz's attractor is 0.7 and that of Rössler's 0.4; over 128 turns a zero one comes out as 0.01.
_GROWS, _FLAT = 0.05, 0.03
# Points of a stretch of a map: some two hundred turns of ten points each, over which averages along a circle settle.
_COUNT = 2048
# What is chaos of maps, per application, where the errors of 16384 of them are some 1e-3.
_GROWS_MAP = 1e-2
_NEITHER = "the orbit neither rests nor closes"
_UNTOLD = f"{_NEITHER}, and its leading exponent is too small to tell from zero"


def follow_flow(orbit: Orbit, x: PyTree, turn: float, budget: int) -> tuple[dict, PyTree]:
    """Follow a flow by stretches that grow, until one of them decides."""
    eps = _tree.eps(x)
    # Ten times looser than for cycles, yet a hundredth of `CLOSED` for the hundred steps of a turn.
    solver = _march.settings(x, None, 1e-11 if eps < 1e-10 else 1e-5, None)
    grid = np.arange(1, _follow.SAMPLES + 1) / _follow.SAMPLES
    counted, burn, time = 0.0, 0.0, 0.0
    for _ in range(40):
        span = _STRETCH * turn
        ts = jnp.asarray(burn + span * grid, orbit.start.dtype)
        seen = _follow.sample_flow(orbit.system, x, ts, solver, _STEPS)
        time += float(seen.time)
        ys = np.asarray(seen.ys)
        ended = _stopped(orbit, int(seen.code), ys)
        if ended:
            return ended, seen.end
        made = float(seen.turns[-1] - seen.turns[0])
        orbit.found.update(turns=counted + (burn + span) / span * made, time=time)
        rest = _fate.nearest_rest(orbit, seen.end)
        ended = _fate.rests(orbit, rest, ys) if rest else None
        # Closed orbits need some samples a turn to be measured by.
        if ended is None and 2 <= made < _follow.SAMPLES / 6:
            returns = _section_returns(orbit, ys, seen.end, span / made, solver)
            ended, jump = _returning(orbit, rest, returns, ys) if returns else (None, None)
            x = orbit.state(jump) if jump is not None else seen.end
        else:
            x = seen.end
        if ended:
            return _along_switch(orbit, ended, x, ys), x
        counted += (burn + span) / span * made
        turn = span / made if made >= 1 else 8 * turn
        if counted >= budget:
            break
        # Twice as far each time, with the last stretch inside the budget where that has room for it.
        burn = 0.0 if made < 1 else min(counted, max(budget - counted - _STRETCH, 0.0)) * turn
    return _aperiodic_flow(orbit, x, turn, solver, float(np.clip(budget, _FEWEST, _MOST))), x


def _stopped(orbit: Orbit, code: int, ys: np.ndarray) -> dict | None:
    """What the march says that did not come to its end."""
    # A field may end, or stiffen, far out: a million times as far as the start counts as running away too.
    size, start = float(np.linalg.norm(ys[-1])), 1 + float(np.linalg.norm(orbit.start))
    if code == _march.DIVERGED or (code in (_march.BROKEN, _march.STEPS) and not size < 1e6 * start):
        return orbit.ends(_fate.DIVERGENCE, "the orbit runs away", residual=size)
    if code == _march.SLIDING:
        return orbit.ends(_fate.SLIDING, "the orbit slides along a surface to which the field drives it from both sides")
    if code == _march.STEPS:
        return orbit.ends(_fate.UNDECIDED, "the solver used up its steps")
    if code in (_march.BROKEN, _march.TANGENT):
        return orbit.ends(_fate.UNDECIDED, "the solver could not go on: the field may end, or touch a switch")
    return None


def _along_switch(orbit: Orbit, ended: dict, x: PyTree, ys: np.ndarray) -> dict:
    """The same verdict, or `sliding` where the final orbit spends part of its time on a constraint."""
    if not orbit.switching or ended["kind"] == _fate.EQUILIBRIUM:
        return ended
    share = float(_follow.on_switch(orbit.system, x, jnp.asarray(ys[-_follow.SAMPLES // 4 :])))
    ended["sliding"] = share
    # A passage through a switch takes a sample or two of hundreds; a slide takes a part of every turn.
    if share > 0.01:
        return {**ended, "kind": _fate.SLIDING, "why": "the final orbit slides along a surface for a part of its time"}
    return ended


def _section_returns(orbit: Orbit, ys: np.ndarray, end: PyTree, turn: float, solver: Solver) -> Returns | None:
    """Returns to the hyperplane through the mean across the direction of largest spread, which a closed orbit has to cross."""
    mean = ys.mean(axis=0)
    size = float(np.sqrt(np.mean(np.sum((ys - mean) ** 2, axis=1))))
    axes = np.linalg.eigh((ys - mean).T @ (ys - mean))[1].T[::-1]
    for normal in axes[:2]:
        section = Section.through(orbit.state(mean), orbit.state(normal))

        def follow(q: np.ndarray, time: float, section: Section = section) -> tuple[np.ndarray, np.ndarray]:
            found = _crossing._crossings(
                orbit.system,  # pyright: ignore[reportArgumentType]
                orbit.state(q),
                section,
                _RETURNS,
                jnp.asarray(time, ys.dtype),
                solver,
                _STEPS,  # pyright: ignore[reportArgumentType]
            )
            ts = np.asarray(found.ts)
            there = np.isfinite(ts)
            rows = np.asarray(_follow.rows(found.xs))[there]
            return np.concatenate([q[None], rows]), np.concatenate([[0.0], ts[there]])

        points, times = follow(np.asarray(_tree.ravel(end)[0]), 4 * _RETURNS * turn)
        if len(points) > 12:
            basis = axes[np.any(axes != normal, axis=1)].T
            return Returns(points[1:], times[1:], size, basis, follow)
    return None


def _returning(orbit: Orbit, rest: Rest | None, returns: Returns, ys: np.ndarray) -> tuple[dict | None, np.ndarray | None]:
    """A verdict from returns, or else a state from which to go on that lies nearer to the end."""
    ended = _fate.closes(orbit, returns)
    ended = _fate.excused(orbit, rest, returns, ended)
    ended = ended or (_fate.spirals_in(orbit, rest, returns, ys) if rest else None)
    ended = ended or _drifts_onto_centre(orbit, returns)
    return ended, None if ended else _shortcut(returns)


def _drifts_onto_centre(orbit: Orbit, returns: Returns) -> dict | None:
    """Whether an orbit in the plane drifts, ever more slowly, onto closed orbits that lie just ahead and cannot be crossed."""
    points, size = returns.points, returns.size
    if orbit.start.size != 2 or orbit.discrete or len(points) < 12:
        return None
    moves = np.diff(points, axis=0)
    gaps = np.linalg.norm(moves, axis=1)
    # So slow by now that what it drifts onto lies within some thousandths, if anywhere.
    if gaps[-1] > 1e-3 * size or not np.all(np.diff(gaps[-10:]) < 0) or not gaps[-1] > 0:
        return None
    ahead = moves[-1] / gaps[-1]
    for distance in (1e-3, 1e-2):
        for part in (1.0, 3.0):
            beside, _ = returns.follow(points[-1] + part * distance * size * ahead, 40 * float(np.diff(returns.times)[-1]))
            if not _follow.closing(beside, 1, _fate.CLOSED * size):
                break
        else:
            why = f"the orbit drifts ever more slowly onto a centre, whose closed orbits begin within {distance:g} of its size"
            evidence = {"drift": float(gaps[-1] / size), "period": float(np.diff(returns.times)[-1]), "place": points[-1]}
            return orbit.ends(_fate.CENTRE, why, multiplier=float(gaps[-1] / gaps[-2]), **evidence)
    return None


def _shortcut(returns: Returns) -> np.ndarray | None:
    """Where the returns converge to if they go on coming closer by the same factor; for slow approaches."""
    k, factor = _follow.contraction(returns.points, 8)
    # A factor nearer to one than that is not known well enough, and a jump of a third of the size may land elsewhere.
    if not k or factor > 0.9999:
        return None
    move = (returns.points[-1] - returns.points[-1 - k]) * factor / (1 - factor)
    return returns.points[-1] + move if np.linalg.norm(move) < 0.3 * returns.size else None


def _aperiodic_flow(orbit: Orbit, x: PyTree, turn: float, solver: Solver, turns: float) -> dict:
    """A torus or chaos, by Lyapunov exponents and by averages over returns."""
    n = orbit.start.size
    if n < 3:
        return orbit.ends(_fate.UNDECIDED, f"{_NEITHER} within the turns that it was followed for")
    # The orbit itself is followed more closely; of these numbers the scatter is the error, larger than 1e-3.
    rtol = max(1e-8, 100 * _tree.eps(x))
    found = lyapunov(orbit.system, x, min(n, 3), span=turns * turn, transient=0.0, interval=turn / 2, rtol=rtol, throw=False)
    values, errors = np.asarray(found.values), np.asarray(found.errors)
    if not np.all(np.isfinite(errors)):
        return orbit.ends(_fate.UNDECIDED, f"{_NEITHER}, and it has no Lyapunov exponents")
    orbit.found.update(exponent=float(values[0]), error=float(errors[0]))
    if values[0] > 4 * errors[0] and values[0] * turn > _GROWS:
        return orbit.ends(_fate.CHAOS, f"{_NEITHER}, and the leading exponent is positive")
    if np.all(np.abs(values[:2] * turn) < _FLAT) and _quasi_periodic(orbit, x, turn, solver):
        family = abs(values[2] * turn) < _FLAT
        why = "the orbit does not close, averages along it converge as on a torus, and "
        return orbit.ends(_fate.TORUS, why + ("its neighbours do likewise" if family else "its neighbours come closer"))
    return orbit.ends(_fate.UNDECIDED, _UNTOLD)


def _quasi_periodic(orbit: Orbit, x: PyTree, turn: float, solver: Solver) -> bool:
    """Whether averages over a thousand turns converge faster than those along any irregular orbit."""
    ts = jnp.asarray(_PART * turn * np.arange(1, _follow.SAMPLES + 1) / _follow.SAMPLES, orbit.start.dtype)
    stretches = []
    for _ in range(_PARTS):
        seen = _follow.sample_flow(orbit.system, x, ts, solver, _STEPS)
        stretches.append(np.asarray(seen.ys))
        x = seen.end
    return _follow.unsteadiness(np.concatenate(stretches)) < _STEADY


def follow_map(orbit: Orbit, x: PyTree, budget: int) -> tuple[dict, PyTree]:
    """Follow a map by stretches that grow, until one of them decides."""
    count, burn, made, every = _COUNT, 0, 0, 1
    while True:
        seen = _follow.sample_map(orbit.system, x, jnp.asarray(burn), jnp.asarray(every), count)  # pyright: ignore[reportArgumentType]
        made += burn + count * every
        orbit.found.update(time=float(made), turns=float(made))
        ys = np.asarray(seen.ys)
        if int(seen.code) == _march.DIVERGED or not np.all(np.isfinite(ys)):
            return orbit.ends(_fate.DIVERGENCE, "the orbit runs away", residual=float(np.linalg.norm(ys[-1]))), seen.end
        x = seen.end
        # Neighbours have the clocks that the orbit has now.
        orbit.unravel = _tree.ravel(x)[1]
        rest = _fate.nearest_rest(orbit, x)
        ended = _fate.rests(orbit, rest, ys) if rest else None
        if ended is None:
            returns = _iterates(orbit, ys, every)
            ended, jump = _returning(orbit, rest, returns, ys)
            x = orbit.state(jump) if jump is not None else x
        # Two thousand points on a curve have averages so steady; `invariant_circle` looks closer.
        if ended is None and _follow.unsteadiness(ys) < 1e-6:
            ended = _on_circle(orbit, x, every, rest)
        if ended:
            return ended, x
        if made >= budget:
            return _aperiodic_map(orbit, x), x
        # Averages along a curve converge within so many turns.
        every = int(np.clip(0.1 * count / max(float(seen.turns[-1]), 1.0), 1, np.clip((budget - made) // count, 1, 64)))
        burn = min(made, max(budget - made - count * every, 0))


def _iterates(orbit: Orbit, ys: np.ndarray, every: int) -> Returns:
    size = float(np.sqrt(np.mean(np.sum((ys - ys.mean(axis=0)) ** 2, axis=1))))

    def follow(q: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        stride = jnp.asarray(every)
        seen = _follow.sample_map(orbit.system, orbit.state(q), 0 * stride, stride, 8 * _RETURNS)  # pyright: ignore[reportArgumentType]
        return np.asarray(seen.ys), every * np.arange(8.0 * _RETURNS)

    return Returns(ys, every * np.arange(float(len(ys))), size, np.eye(orbit.start.size), follow)


def _on_circle(orbit: Orbit, x: PyTree, every: int, rest: Rest | None) -> dict | None:
    """An invariant circle or a centre, by weighted averages."""
    if orbit.start.size < 2 or not isinstance(orbit.system, AbstractMap):
        return None
    steps = 2**13 if every <= 4 else 2**16
    centre = orbit.system.point(orbit.state(rest.y)) if rest else None
    circle = invariant_circle(orbit.system, x, centre=centre, steps=steps, transient=0, throw=False)
    if not bool(circle.result == RESULTS.successful):
        return None
    orbit.found.update(transverse=float(circle.transverse), rotation=float(circle.rotation), error=float(circle.errors[2]))
    if circle.verdict == ATTRACTING:
        return orbit.ends(_fate.CIRCLE, "the orbit turns on a closed curve, towards which its neighbours come")
    # A drift of third order may be too slow to show.
    if circle.verdict == NEUTRAL and not (rest and _fate.decay(orbit, rest)):
        return orbit.ends(_fate.CENTRE, "the orbit turns on a closed curve, and so do its neighbours")
    return None


def _aperiodic_map(orbit: Orbit, x: PyTree) -> dict:
    found = lyapunov(orbit.system, x, 1, span=16384, transient=64, throw=False)
    value, error = float(found.values[0]), float(found.errors[0])
    orbit.found.update(exponent=value, error=error)
    if value > 4 * error and value > _GROWS_MAP:
        return orbit.ends(_fate.CHAOS, f"{_NEITHER}, and the leading exponent is positive")
    return orbit.ends(_fate.UNDECIDED, _UNTOLD)
