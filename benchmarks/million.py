"""A 1000 x 1000 chart (spectrum, verdict, critical step) beside NumPy's batched eigenvalues and a loop, and as a command."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np

import gandyn as gd

CELLS, ROUNDS, EVERY = 1000, 5, 10
GAMMAS = np.linspace(0.0, 2.0, CELLS)
STEPS = np.linspace(0.01, 6.0, CELLS)
ORIGIN = gd.Players(jnp.zeros(()), jnp.zeros(()))


def everything(step):
    return {
        "stability": gd.stability(step, ORIGIN, throw=False),
        "critical_step": gd.stability(step.flow, ORIGIN, throw=False).critical_step,
    }


def spectrum(step):
    return gd.stability(step, ORIGIN, throw=False).eigenvalues


def swept(cell):
    axes = {"gamma": (lambda s: s.flow.weight, GAMMAS), "h": (lambda s: s.h, STEPS)}
    step = gd.SimGD(gd.Penalised(gd.games.dirac(), gd.r1, 0.3), 0.1)
    return gd.sweep(cell, step, axes, progress=False).values


def ours():
    found = swept(everything)
    stability = found["stability"]
    return np.asarray(stability.eigenvalues), np.asarray(stability.code == 0), np.asarray(found["critical_step"])


def our_spectrum():
    return np.asarray(swept(spectrum))


def jacobians(gammas):
    return np.array([[[0.0, 0.5], [-0.5, -gamma]] for gamma in gammas])


def numpy_spectrum():
    return np.linalg.eigvals(np.eye(2) + STEPS[None, :, None, None] * jacobians(GAMMAS)[:, None])


def numpys():
    values, modes = numpy_spectrum(), np.linalg.eigvals(jacobians(GAMMAS))
    critical = np.min(2 * np.maximum(-modes.real, 0) / np.abs(modes) ** 2, axis=-1)
    return values, np.abs(values).max(axis=-1) < 1, np.broadcast_to(critical[:, None], (CELLS, CELLS))


def loop():
    """Every so many-th row and column."""
    found = []
    for flow in jacobians(GAMMAS[::EVERY]):
        for h in STEPS[::EVERY]:
            values, modes = np.linalg.eigvals(np.eye(2) + h * flow), np.linalg.eigvals(flow)
            critical = np.min(2 * np.maximum(-modes.real, 0) / np.abs(modes) ** 2)
            found.append((values, np.abs(values).max() < 1, critical))
    return found


def exact():
    """The closed forms, in extended precision."""
    gamma, h = GAMMAS.astype(np.longdouble)[:, None], STEPS.astype(np.longdouble)[None]
    root = np.sqrt((gamma**2 / 4 - np.longdouble(0.25)).astype(np.clongdouble))
    modes = np.stack([-gamma / 2 + root, -gamma / 2 - root], axis=-1)
    critical = np.min(2 * np.maximum(-modes.real, 0) / np.abs(modes) ** 2, axis=-1)
    values = 1 + h[..., None] * modes
    return values, np.abs(values).max(axis=-1) < 1, np.broadcast_to(critical, (CELLS, CELLS))


def errors(found, true):
    """The largest of the eigenvalues, the cells with another verdict, and the largest relative one of the critical step."""
    straight = np.abs(found[0] - true[0]).max(axis=-1)
    crossed = np.abs(found[0][..., ::-1] - true[0]).max(axis=-1)
    relative = np.abs(found[2] - true[2]) / np.maximum(true[2], np.finfo(float).tiny)
    return float(np.minimum(straight, crossed).max()), int((found[1] != true[1]).sum()), float(relative[GAMMAS > 0].max())


def timed(fn):
    """A value, and the seconds that it took by the clock and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = fn()
    return value, (time.perf_counter() - wall, time.process_time() - cpu)


def command():
    """The same by the command line, into a store: seconds, and the peak of its memory in GiB."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["dirac", "--penalty", "r1=1", "--map", "simgd=1", "--quantity", "critical_step", "--store", f"{folder}/s"]
        axes = [f"--axis=r1=0:2:{CELLS}", f"--axis=h=0.01:6:{CELLS}"]
        run = [sys.executable, "-m", "gandyn", "sweep", *words, *axes]
        done, (seconds, _) = timed(lambda: subprocess.run(run, check=True, capture_output=True, text=True))
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return done.stdout, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, size / 2**20


def main():
    true, ways = exact(), (ours, numpys, loop, our_spectrum, numpy_spectrum)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{CELLS} x {CELLS} cells, medians of {ROUNDS} interleaved rounds, {load}")
    first = [timed(fn)[1][0] for fn in (ours, our_spectrum)]
    seconds = {fn: [] for fn in ways}
    for _ in range(ROUNDS):
        for fn in ways:
            seconds[fn].append(timed(fn)[1])
    median = {fn: [statistics.median(run[i] for run in runs) for i in (0, 1)] for fn, runs in seconds.items()}
    median[loop] = [EVERY**2 * value for value in median[loop]]
    for what, group in (("spectrum, verdict, critical step", ways[:3]), ("spectrum alone", ways[3:])):
        print(f"{what}, seconds by the clock and of processors, cells/s, times gandyn's processor time:")
        for fn in group:
            wall, cpu = median[fn]
            print(f"  {fn.__name__:16s} {wall:8.3f} {cpu:8.3f} {CELLS**2 / wall:9.3g} {cpu / median[group[0]][1]:7.1f}")
    print(f"  (of the loop every {EVERY}th row and column; first calls of gandyn {first[0]:.1f} and {first[1]:.1f} s)")
    for fn in (ours, numpys):
        print(
            "largest errors of {}: eigenvalues {:.1e}, verdicts {}, critical step {:.1e}".format(
                fn.__name__, *errors(fn(), true)
            )
        )
    out, wall, peak, size = command()
    print(f"gandyn sweep: {wall:.1f} s, peak {peak:.2f} GiB, store {size:.0f} MiB\n{out}")


if __name__ == "__main__":
    main()
