"""Two devices on two cores beside one device pinned to one core, on a chart in whose cells an equilibrium is solved for."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 7
ROWS, COLUMNS = 64, 64


def work(devices):
    """A worker: for each line of its input a sweep, of which it writes the seconds and the sum of the growths."""
    if devices == 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["JAX_NUM_CPU_DEVICES"] = str(devices)

    import jax

    jax.config.update("jax_enable_x64", True)

    import numpy as np

    import gandyn as gd

    # Noise makes every loss a sum over sixteen nodes, so that a cell computes for some microseconds.
    game = gd.instance_noise(gd.games.dirac(gd.objectives.nonsaturating), 0.3)
    step = gd.AltGD(gd.Penalised(game, gd.r1, 0.3), 0.1)
    guess = gd.Players(0.1, 0.1)

    def cell(system):
        point = gd.equilibrium(system.flow, guess, throw=False)
        return gd.stability(system, point.state, throw=False)

    target = (lambda s: s.flow.game.real.atoms, np.linspace(-1.0, 1.0, ROWS))
    axes = {"target": target, "gamma": (lambda s: s.flow.weight, np.linspace(0.1, 2.0, COLUMNS))}
    for _ in sys.stdin:
        begin, used = time.perf_counter(), time.process_time()
        found = jax.block_until_ready(gd.sweep(cell, step, axes, progress=False).values)
        wall, cpu = time.perf_counter() - begin, time.process_time() - used
        print(wall, cpu, f"growth {float(np.sum(found.growth)):.15g}", flush=True)


class Worker:
    def __init__(self, devices):
        command = [sys.executable, str(Path(__file__).resolve()), str(devices)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sweep(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, cpu, checked = self.process.stdout.readline().split(maxsplit=2)
        return float(wall), float(cpu), checked.strip()

    def end(self):
        self.process.communicate()


def main():
    one, two = Worker(1), Worker(2)
    first = one.sweep(), two.sweep()
    pairs = [(one.sweep(), two.sweep()) for _ in range(ROUNDS)]
    one.end()
    two.end()
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{ROWS} x {COLUMNS} cells, {ROUNDS} interleaved rounds, {load}")
    for i, name in enumerate(("1 device, 1 core", "2 devices")):
        wall, cpu = (statistics.median(pair[i][k] for pair in pairs) for k in (0, 1))
        cells = f"{ROWS * COLUMNS / wall:.3g} cells/s"
        print(f"{name:17s} first call {first[i][0]:.1f} s; then {wall:.3f} s, {cpu:.3f} of processors, {cells}; {first[i][2]}")
    ratios = sorted(a[0] / b[0] for a, b in pairs)
    print(f"times as fast: median {statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}")


if __name__ == "__main__":
    work(int(sys.argv[1])) if len(sys.argv) > 1 else main()
