"""Runs: kept, killed, stopped and resumed, and what can go wrong."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd
from gandyn.training import Batches, Every, Losses, train

REAL = gd.Discrete(1 + jax.random.normal(jax.random.key(5), (64, 2)))


def gan():
    return gd.GAN(
        lambda theta, z: theta["shift"] + theta["scale"] * z,
        lambda psi, x: jnp.tanh(psi["a"] @ x) @ psi["b"],
        REAL,
        gd.Gaussian(jnp.zeros(2), 1.0),
        gd.objectives.nonsaturating,
    )


def point():
    psi = {"a": jax.random.normal(jax.random.key(1), (4, 2)), "b": jnp.linspace(-1.0, 1.0, 4)}
    return gd.Players({"shift": jnp.zeros(2), "scale": jnp.ones(2)}, psi)


def noisy(rate=1e-2, seed=0):
    return gd.Random(gd.Optax(gan(), optax.adam, learning_rate=rate), Batches(16), jax.random.key(seed))


def norm(system, state, key):
    return {"norm": jnp.linalg.norm(system.point(state).generator["shift"]), "draw": jax.random.normal(key, (2,))}


def away(system, state, key):
    return {"away": jnp.linalg.norm(system.point(state).discriminator["a"])}


METRICS = (Every(10, Losses(64)), Every(25, norm))


def same(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)


def test_a_run_is_the_map_applied_so_often(tmp_path):
    step = noisy()
    found = train(step, step.init(point()), 60, metrics=METRICS, folder=tmp_path)
    orbit = gd.iterate(step, step.init(point()), 60, every=60)
    same(found.state.state, jax.tree.map(lambda leaf: leaf[-1], orbit.xs.state))
    assert int(found.step) == 60
    assert found.result == gd.RESULTS.successful
    np.testing.assert_array_equal(found.curves["loss.generator"].steps, range(0, 61, 10))
    np.testing.assert_array_equal(found.curves["norm"].steps, [0, 25, 50, 60])
    assert found.curves["draw"].values.shape == (4, 2)
    same(gd.training.curves(tmp_path), found.curves)
    assert "Training of 60 steps\n" in str(found)


def test_without_a_folder_the_same_is_measured(tmp_path):
    step = noisy()
    kept = train(step, step.init(point()), 30, metrics=METRICS, folder=tmp_path)
    same(train(step, step.init(point()), 30, metrics=METRICS).curves, kept.curves)


def test_a_run_goes_on_bit_by_bit(tmp_path):
    step = noisy()
    whole = train(step, step.init(point()), 60, metrics=METRICS, folder=tmp_path / "whole", checkpoint=20)
    part = train(step, step.init(point()), 20, metrics=METRICS, folder=tmp_path / "parts", checkpoint=7)
    assert int(part.step) == 20
    resumed = train(step, step.init(point()), 60, metrics=METRICS, folder=tmp_path / "parts", checkpoint=7)
    same(resumed.state, whole.state)
    same(resumed.curves["loss.generator"], whole.curves["loss.generator"])
    again = train(step, step.init(point()), 60, metrics=METRICS, folder=tmp_path / "parts")
    same(again, resumed)


KILLED = """
import sys
sys.path.insert(0, {here!r})
import jax
jax.config.update("jax_enable_x64", True)
import gandyn as gd, test_run as t
step = t.noisy()
metrics = (*t.METRICS, gd.training.Every(5, t.away))
gd.training.train(step, step.init(t.point()), 200_000, metrics=metrics, folder={folder!r}, checkpoint=5)
"""


def _steps(folder: Path) -> int:
    try:
        return json.loads((folder / "checkpoint").read_bytes().partition(b"\n")[0])["step"]
    except (OSError, ValueError):
        return -1


def test_killed_at_any_moment_it_loses_the_steps_since_the_checkpoint(tmp_path):
    folder, rng = tmp_path / "run", np.random.default_rng(0)
    script = KILLED.format(here=str(Path(__file__).parent), folder=str(folder))
    # With a checkpoint every five steps most of the time goes into writing them.
    kept = []
    for _ in range(2):
        before, deadline = _steps(folder), time.monotonic() + 120
        with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
            while _steps(folder) <= before + 5 and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.1))
            os.kill(process.pid, signal.SIGKILL)
        kept.append(_steps(folder))
    assert kept[0] > 0
    assert all(b > a for a, b in itertools.pairwise(kept))
    step, steps = noisy(), kept[-1] + 12
    metrics = (*METRICS, Every(5, away))
    resumed = train(step, step.init(point()), steps, metrics=metrics, folder=folder, checkpoint=5)
    whole = train(step, step.init(point()), steps, metrics=metrics, folder=tmp_path / "whole", checkpoint=1000)
    same(resumed, whole)
    written = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert written == sorted(set(written))


def test_an_interrupt_keeps_the_state(tmp_path):
    step, seen = noisy(), []

    def impatient(system, state, key):
        seen.append(0)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return {"seen": jnp.zeros(())}

    metrics = (Every(10, impatient),)
    with pytest.raises(KeyboardInterrupt):
        train(step, step.init(point()), 100, metrics=metrics, folder=tmp_path)
    assert _steps(tmp_path) == 20
    found = train(step, step.init(point()), 100, metrics=metrics, folder=tmp_path)
    np.testing.assert_array_equal(found.curves["seen"].steps, range(0, 101, 10))


def test_a_divergence_ends_the_run_with_its_step(tmp_path):
    step = gd.SimGD(gd.games.bilinear(), 1e60)
    start = gd.Players(jnp.asarray(1.0), jnp.asarray(1.0))
    found = train(step, start, 50, folder=tmp_path, throw=False)
    # |x| grows by sqrt(1 + h^2), that is 1e60, a step: the fifth is the last below 1.8e308.
    assert int(found.step) == 5
    assert found.result == gd.RESULTS.nonfinite
    assert np.all(np.isfinite(found.state))
    assert "diverged" in str(found)
    with pytest.raises(RuntimeError, match=r"diverged after step 5\. A non-finite value"):
        train(step, start, 50, folder=tmp_path)


def spoil_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [spoil_middle, lambda file: file.write_bytes(file.read_bytes()[:-3]), lambda file: file.write_bytes(b"nothing")],
    ids=["a bit", "cut off", "something else"],
)
def test_a_damaged_checkpoint_is_told(tmp_path, spoil):
    step = noisy()
    train(step, step.init(point()), 10, folder=tmp_path)
    spoil(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match="checkpoint is damaged: its checksum"):
        train(step, step.init(point()), 20, folder=tmp_path)


def test_a_folder_of_another_run_is_refused(tmp_path):
    step = noisy()
    train(step, step.init(point()), 10, folder=tmp_path)
    for other, what in ((noisy(rate=2e-2), "map"), (noisy(seed=1), "map, state")):
        with pytest.raises(ValueError, match=f"holds another run: {what} differ"):
            train(other, other.init(point()), 10, folder=tmp_path)
    with pytest.raises(ValueError, match="holds another run: metrics differ"):
        train(step, step.init(point()), 10, folder=tmp_path, metrics=METRICS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="other files and no run"):
        train(step, step.init(point()), 10, folder=tmp_path / "full")


def test_two_processes_do_not_write_one_run(tmp_path):
    step = noisy()

    def second(system, state, key):
        with pytest.raises(OSError, match="Another process is writing the run"):
            train(step, step.init(point()), 10, folder=tmp_path)
        return {}

    train(step, step.init(point()), 10, folder=tmp_path, metrics=(Every(10, second),))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told_and_loses_nothing(tmp_path):
    step, folder, full = noisy(), tmp_path / "run", []

    def fill(system, state, key):
        if len(full) == 3:
            (folder / "metrics.jsonl").rename(tmp_path / "kept")
            (folder / "metrics.jsonl").symlink_to("/dev/full")
        full.append(0)
        return {"filled": jnp.zeros(())}

    with pytest.raises(OSError, match=r"metrics.jsonl cannot be written \(No space left.*last checkpoint is whole"):
        train(step, step.init(point()), 20, metrics=(Every(5, fill),), folder=folder, checkpoint=5)
    (tmp_path / "kept").replace(folder / "metrics.jsonl")
    assert _steps(folder) == 10
    found = train(step, step.init(point()), 20, metrics=(Every(5, fill),), folder=folder, checkpoint=5)
    np.testing.assert_array_equal(found.curves["filled"].steps, range(0, 21, 5))


def test_data_of_another_shape_are_told():
    step = gd.Random(
        gd.SimGD(
            gd.GAN(lambda t, z: t + z, lambda p, x: p @ x, REAL, gd.Gaussian(jnp.zeros(3), 1.0), gd.objectives.minimax), 0.1
        ),
        Batches(8),
        jax.random.key(0),
    )
    with pytest.raises(ValueError, match=r"generator returns points of shape \(3,\), the data have shape \(2,\)"):
        train(step, step.init(gd.Players(jnp.zeros(3), jnp.zeros(2))), 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train(gan(), point(), 10), "train takes a map; GAN is none"),
        (lambda: train(noisy(), noisy().init(point()), 0), "steps and checkpoint are at least one"),
        (
            lambda: train(noisy(), noisy().init(point()), 1, metrics=(METRICS[1],) * 2),
            r"two metrics measure \['draw', 'norm'\]",
        ),
        (lambda: Every(0, norm), "after one step or more"),
        (lambda: Batches(0), "at least one point"),
        (lambda: gd.training.curves("nowhere"), "holds no run that can be read"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_trained_is_told(call, message):
    with pytest.raises((ValueError, OSError), match=message):
        call()


def test_copies_of_a_gan_see_one_sample():
    game = gan()
    step = gd.SimGD(gd.consensus(gd.Penalised(game, gd.r1, 0.1), 0.1, of=game), 0.1)
    drawn = Batches(8)(jax.random.key(0), step)
    np.testing.assert_array_equal(drawn.flow.flow.game.real.points, drawn.flow.of.real.points)
    np.testing.assert_array_equal(drawn.flow.flow.game.latent.points, drawn.flow.of.latent.points)
