"""The 20th return of 10^4 orbits to a section in one call, beside SciPy with events, and heyoka where it is there."""

import importlib.util
import statistics
import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

import gandyn as gd

STARTS, RETURNS, ROUNDS, MU = 10_000, 20, 3, 1.0
# The peers take their starts one after another, so that a part of them shows what each costs.
FEW = {"SciPy": 20, "heyoka": 1_000}
POINTS = np.random.default_rng(0).uniform(-3.0, 3.0, (STARTS, 2))
SECTION = gd.Section(lambda x: x[1], direction=-1)


def ours(points):
    flow = gd.textbook.VanDerPol(MU)
    returns = jax.jit(jax.vmap(lambda x: gd.crossings(flow, x, SECTION, RETURNS, throw=False).ts[-1]))
    return lambda: np.asarray(returns(jnp.asarray(points)))


def scipys(points):
    def field(t, x):
        return [x[1], MU * (1 - x[0] ** 2) * x[1] - x[0]]

    def section(t, x):
        return x[1]

    section.direction, section.terminal = -1, RETURNS

    def one(x):
        return solve_ivp(field, (0, 1e4), x, "DOP853", events=section, rtol=1e-12, atol=1e-12).t_events[0][RETURNS - 1]

    return lambda: np.array([one(x) for x in points])


def heyokas(points):
    import heyoka as hy

    x, y = hy.make_vars("x", "y")
    seen = []

    def note(integrator, time, direction):
        seen.append(time)

    event = hy.nt_event(y, note, direction=hy.event_direction.negative)
    integrator = hy.taylor_adaptive([(x, y), (y, MU * (1 - x**2) * y - x)], [0.0, 0.0], nt_events=[event], tol=1e-15)

    def one(point):
        seen.clear()
        integrator.time = 0.0
        integrator.state[:] = point
        while len(seen) < RETURNS:
            integrator.step()
        return seen[RETURNS - 1]

    return lambda: np.array([one(point) for point in points])


def timed(fn):
    start = time.perf_counter()
    value = fn()
    return value, time.perf_counter() - start


def main():
    print(f"van der Pol, mu = {MU}: the time of return {RETURNS} from each start; median of {ROUNDS} interleaved rounds")
    peers = {"SciPy": scipys} | ({"heyoka": heyokas} if importlib.util.find_spec("heyoka") else {})
    run = ours(POINTS)
    compiling = timed(run)[1]
    ways = {name: make(POINTS[: FEW[name]]) for name, make in peers.items()}
    rounds = [(timed(run), {name: timed(way) for name, way in ways.items()}) for _ in range(ROUNDS)]
    seconds = statistics.median(own[1] for own, _ in rounds)
    print(f"gandyn  {STARTS:6d} starts {1e6 * seconds / STARTS:9.1f} us a start; compiled in {compiling - seconds:.1f} s")
    for name in ways:
        spent = statistics.median(others[name][1] for _, others in rounds) / FEW[name]
        error = np.max(np.abs(rounds[-1][0][0][: FEW[name]] - rounds[-1][1][name][0]))
        line = f"{name:7s} {FEW[name]:6d} starts {1e6 * spent:9.1f} us a start; {spent * STARTS / seconds:6.1f} times ours"
        print(f"{line}; differs by {error:.1e}")


if __name__ == "__main__":
    main()
