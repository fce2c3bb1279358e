"""Sweeps on eight devices that are simulated, and by processes of JAX's distributed runtime, one of which dies."""

import os
import socket
import subprocess
import sys
import textwrap

import pytest

# Blocks of eight cells; a matrix that LAPACK takes, and numbers that the compiler vectorises.
SWEPT = """
import os, sys
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import gandyn as gd

AXES = {"c": (lambda s: s.c, np.linspace(0.2, 1.9, 13)), "b": (lambda s: s.b, np.linspace(0.1, 3.0, 8))}

def cell(system):
    ring = jnp.roll(jnp.eye(6), 1, axis=0) * system.c + jnp.diag(jnp.arange(6.0)) * system.b
    solved = lx.linear_solve(lx.MatrixLinearOperator(ring + jnp.eye(6)), jnp.ones(6)).value
    return {"modes": jnp.linalg.eigvals(ring), "solved": solved, "wave": jnp.exp(-system.c) * jnp.sin(system.b * 40)}

def game():
    return gd.games.quadratic(0.3, 1.0, 0.2)

def same(one, many):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), np.max(np.abs(a - b))
"""


def script(body):
    return textwrap.dedent(SWEPT) + textwrap.dedent(body)


def environment(devices=1):
    # As tests/conftest.py has it, since compilation is what takes the time here as well.
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    return os.environ | {"JAX_ENABLE_X64": "1", "JAX_NUM_CPU_DEVICES": str(devices), "XLA_FLAGS": flags}


def finished(process, seconds=120):
    """The exit code and what was written, of a process that takes no longer than that."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"not finished after {seconds} seconds: {process.communicate()}")
    return process.returncode, out, err


def start(source, *words, devices=1, **more):
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, words)],
        env=environment(devices) | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


EIGHT = script("""
    from gandyn.analysis import _devices, _grid

    folder = sys.argv[1]
    assert len(jax.local_devices()) == 8
    for chunk in (8, 40, 1000):  # the second axis is split, the first, and both are cut into what LAPACK may have at once
        many = gd.sweep(cell, game(), AXES, chunk=chunk)
        with jax.default_device(jax.devices()[3]):
            one = gd.sweep(cell, game(), AXES, chunk=chunk)
        assert jax.tree.map(jnp.shape, one.values)["modes"] == (13, 8, 6)
        same(one, many)
    gd.sweep(cell, game(), AXES, chunk=8, store=f"{folder}/eight")
    with jax.default_device(jax.devices()[0]):
        gd.sweep(cell, game(), AXES, chunk=8, store=f"{folder}/one")

    # Fewer values than devices, on either axis.
    few = {"c": (lambda s: s.c, [0.3, 0.4, 0.5]), "b": (lambda s: s.b, [1.0])}
    many = gd.sweep(cell, game(), few)
    with jax.default_device(jax.devices()[0]):
        same(gd.sweep(cell, game(), few), many)

    # Nothing is sent between devices.
    grid = _grid.lay(game(), AXES, 1000)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("device",))
    parts = tuple(v[:8] for v in grid.values.values())
    program = _devices._shards.lower(cell, game(), tuple(grid.leaves.values()), parts, mesh, 0).compile().compiled.as_text()
    assert "lapack" in program
    assert not any(word in program for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute")), program

    # So many of six by six jaxlib keeps in one thread.
    assert _devices._together(lambda c, b: jnp.linalg.eigvals(jnp.eye(6) * c + b), parts) == 30
    assert _devices._together(lambda c, b: c * b, parts) == 64

    def batch(system):
        return jnp.linalg.eigvals(jnp.ones((900, 6, 6)) * system.c)

    try:
        gd.sweep(batch, game(), AXES)
    except RuntimeError as error:
        assert "solves 900 problems of size 6 at once" in str(error), error
    else:
        raise AssertionError("a batch that may deadlock was computed")
""")

PROCESS = script("""
    import time
    from gandyn.analysis import _store
    from gandyn.cli._cluster import join

    path, port, count, which, victim = sys.argv[1], *map(int, sys.argv[2:])
    if "SLURM_JOB_ID" in os.environ:
        join(None, None, None)
    elif victim < 0:
        join(f"127.0.0.1:{port}", count, which)
    else:
        jax.distributed.initialize(f"127.0.0.1:{port}", count, which, heartbeat_timeout_seconds=12)
    assert (jax.process_count(), jax.process_index()) == (count, which)
    real = _store.Store.write

    def write(store, index, values):
        if which == victim and len(written) == 2:
            os.kill(os.getpid(), 9)
        written.append(index[0])
        time.sleep(0.2 * (victim >= 0))
        real(store, index, values)

    written, _store.Store.write = [], write
    while not gd.sweep(cell, game(), AXES, chunk=8, store=path).complete:
        time.sleep(0.1)
    print(*written, flush=True)
""")

ALONE = script("""
    assert gd.sweep(cell, game(), AXES, chunk=8, store=sys.argv[1]).complete
""")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def slurm(port, count, which):
    """What `srun` tells a process."""
    job = {"JOB_ID": "7", "STEP_NODELIST": "localhost", "NTASKS": count, "PROCID": which, "LOCALID": which}
    return {f"SLURM_{name}": str(value) for name, value in job.items()} | {"JAX_COORDINATOR_PORT": str(port)}


def job(path, count, victim=-1, devices=1, cluster=lambda *numbers: {}):
    """What the processes of a job end with."""
    port = free_port()
    each = [start(PROCESS, path, port, count, i, victim, devices=devices, **cluster(port, count, i)) for i in range(count)]
    return [finished(process) for process in each]


def content(path):
    """Every file of a store by its place, but for the attributes of the sweep, which have a date."""
    files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if name != "zarr.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores")
    code, out, err = finished(start(EIGHT, path, devices=8))
    assert code == 0, out + err
    return path


def test_eight_devices_give_what_one_gives_to_the_last_bit(folder):
    assert content(folder / "eight") == content(folder / "one")


@pytest.mark.parametrize(("count", "options"), [(2, {"devices": 2}), (4, {"cluster": slurm})])
def test_processes_share_the_blocks_and_give_what_one_gives(folder, count, options):
    path = folder / f"processes{count}"
    ends = job(path, count, **options)
    assert [code for code, _, _ in ends] == [0] * count, ends
    written = [list(map(int, out.split())) for _, out, _ in ends]
    assert sorted(block for blocks in written for block in blocks) == list(range(13))
    # Each begins with its own part, and takes of the others' what they have not begun.
    assert all(blocks[0] % count == i for i, blocks in enumerate(written) if blocks)
    assert content(path) == content(folder / "one")


def test_what_a_process_that_died_has_left_is_done_by_the_others(folder):
    path = folder / "one_died"
    (code, out, err), (killed, _, _) = job(path, 2, victim=1)
    assert killed == -9
    # JAX lets no process of a job that lost one end well, but later than it takes to finish.
    assert code != 0
    assert "Task 1 heartbeat timeout" in err
    assert len(out.split()) == 11
    assert content(path) == content(folder / "one")


def test_a_job_whose_first_process_died_goes_on_from_its_finished_blocks(folder):
    path = folder / "first_died"
    (killed, _, _), (code, _, err) = job(path, 2, victim=0)
    assert killed == -9
    assert code != 0
    assert "another task died" in err
    assert 2 <= sum(1 for file in (path / "done" / "c").rglob("*") if file.is_file()) < 13
    assert finished(start(ALONE, path))[0] == 0
    assert content(path) == content(folder / "one")
