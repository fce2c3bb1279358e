"""Iterating a map for 10^4 steps from 10^4 starts beside the same loop in NumPy, vectorised, and in numba, in one run."""

import statistics
import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numba
import numpy as np

import gandyn as gd

STARTS, STEPS, EVERY, ROUNDS = 10_000, 10_000, 1_000, 5
TARGET, GAMMA, H = 1.0, 0.01, 0.01
THETA, PSI = TARGET + np.random.default_rng(0).uniform(-1.0, 1.0, STARTS), np.random.default_rng(1).uniform(-1.0, 1.0, STARTS)
METHODS = {"SimGD": gd.SimGD, "AltGD": gd.AltGD}


def distance(x):
    return jnp.hypot(x.generator - TARGET, x.discriminator)


def compiled(name, objective):
    """The package: one call, one compilation, and nothing kept but the distances."""
    step = METHODS[name](gd.Penalised(gd.games.dirac(objective, TARGET), gd.r1, GAMMA), H)
    orbits = jax.vmap(lambda x: gd.iterate(step, x, STEPS, every=EVERY, observe=distance))
    return lambda: np.asarray(orbits(gd.Players(jnp.asarray(THETA), jnp.asarray(PSI))).xs)


def wasserstein(theta, psi, alternating):
    moved = theta + H * psi
    seen = moved if alternating else theta
    return moved, psi + H * (TARGET - seen - GAMMA * psi)


def nonsaturating(theta, psi, alternating):
    moved = theta + H * psi / (1 + np.exp(theta * psi))
    seen = moved if alternating else theta
    return moved, psi + H * (TARGET / (1 + np.exp(TARGET * psi)) - seen / (1 + np.exp(-seen * psi)) - GAMMA * psi)


def vectorised(update, alternating):
    theta, psi, kept = THETA, PSI, [np.hypot(THETA - TARGET, PSI)]
    for _ in range(STEPS // EVERY):
        for _ in range(EVERY):
            theta, psi = update(theta, psi, alternating)
        kept.append(np.hypot(theta - TARGET, psi))
    return np.stack(kept, axis=1)


def in_numba(update):
    update = numba.njit(update)

    @numba.njit(parallel=True)
    def loop(thetas, psis, alternating):
        kept = np.empty((thetas.size, STEPS // EVERY + 1))
        for i in numba.prange(thetas.size):
            theta, psi = thetas[i], psis[i]
            kept[i, 0] = np.hypot(theta - TARGET, psi)
            for j in range(STEPS // EVERY):
                for _ in range(EVERY):
                    theta, psi = update(theta, psi, alternating)
                kept[i, j + 1] = np.hypot(theta - TARGET, psi)
        return kept

    return loop


def timed(fn):
    start = time.perf_counter()
    value = fn()
    return value, time.perf_counter() - start


def main():
    print(f"{STARTS} starts, {STEPS} steps, {STEPS // EVERY + 1} distances kept of each; median of {ROUNDS} interleaved rounds")
    print(f"numba runs on {numba.get_num_threads()} threads, the others on one; error: largest difference of a distance")
    print(f"{'map':6s} {'objective':14s} {'compile':>8s} {'run':>8s} {'NumPy':>8s} {'ratio':>6s}", end=" ")
    print(f"{'numba':>8s} {'compile':>8s} {'ratio':>6s} {'error':>8s}")
    for update in (wasserstein, nonsaturating):
        loop = in_numba(update)
        for name in METHODS:
            alternating = name == "AltGD"
            ways = (
                compiled(name, getattr(gd.objectives, update.__name__)),
                lambda update=update, alternating=alternating: vectorised(update, alternating),
                lambda loop=loop, alternating=alternating: loop(THETA, PSI, alternating),
            )
            (_, first), (_, first_jitted) = timed(ways[0]), timed(ways[2])
            rounds = [[timed(way) for way in ways] for _ in range(ROUNDS)]
            ours, plain, jitted = (statistics.median(times[i][1] for times in rounds) for i in range(3))
            values = [value for value, _ in rounds[-1]]
            error = max(np.max(np.abs(values[0] - other)) for other in values[1:])
            print(
                f"{name:6s} {update.__name__:14s} {first - ours:6.2f} s {ours:6.3f} s {plain:6.3f} s {plain / ours:6.1f} "
                f"{jitted:6.3f} s {max(first_jitted - jitted, 0):6.2f} s {jitted / ours:6.1f} {error:8.1e}"
            )


if __name__ == "__main__":
    main()
