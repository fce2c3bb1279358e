"""Stability maps of 300 x 300 (gamma, h): cells per second beside a plain NumPy loop, with the error made, in one run."""

import statistics
import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import gandyn as gd

CELLS = 300
ROUNDS = 5
GAMMAS = np.linspace(0.0, 2.0, CELLS)
STEPS = np.linspace(0.01, 6.0, CELLS)
ORIGIN = gd.Players(jnp.zeros(()), jnp.zeros(()))


def growth(system):
    return gd.stability(system, ORIGIN).growth


def verdict(system):
    return gd.stability(system, ORIGIN)


def chart(fn, step):
    axes = {"gamma": (lambda s: s.flow.weight, GAMMAS), "h": (lambda s: s.h, STEPS)}
    return jax.block_until_ready(gd.sweep(fn, step, axes, progress=False).values)


def simultaneous(gamma, h):
    return np.eye(2) + h * np.array([[0.0, 0.5], [-0.5, -gamma]])


def alternating(gamma, h):
    return np.array([[1.0, 0.0], [-h / 2, 1 - h * gamma]]) @ np.array([[1.0, h / 2], [0.0, 1.0]])


def numpy_loop(matrix):
    with np.errstate(divide="ignore"):
        rows = [[np.log(np.abs(np.linalg.eigvals(matrix(g, h))).max()) for h in STEPS] for g in GAMMAS]
    return np.array(rows)


def timed(fn):
    start = time.perf_counter()
    value = fn()
    return value, time.perf_counter() - start


def main():
    game = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
    print(f"{CELLS} x {CELLS} cells, median of {ROUNDS} interleaved rounds; error: largest difference of exp(growth)")
    print(f"{'map':8s} {'what':9s} {'first call':>11s} {'cells/s':>12s} {'NumPy cells/s':>14s} {'ratio':>7s} {'error':>8s}")
    for name, step, matrix in (("SimGD", gd.SimGD(game, 0.1), simultaneous), ("AltGD", gd.AltGD(game, 0.1), alternating)):
        for what, fn in (("growth", growth), ("verdict", verdict)):
            _, first = timed(lambda fn=fn, step=step: chart(fn, step))
            ours, theirs = [], []
            for _ in range(ROUNDS):
                value, seconds = timed(lambda fn=fn, step=step: chart(fn, step))
                ours.append(seconds)
                reference, seconds = timed(lambda matrix=matrix: numpy_loop(matrix))
                theirs.append(seconds)
            value = value if what == "growth" else value.growth
            error = np.max(np.abs(np.exp(np.asarray(value)) - np.exp(reference)))
            mine, loop = (CELLS**2 / statistics.median(t) for t in (ours, theirs))
            print(f"{name:8s} {what:9s} {first:9.2f} s {mine:12.3g} {loop:14.3g} {mine / loop:7.0f} {error:8.1e}")


if __name__ == "__main__":
    main()
