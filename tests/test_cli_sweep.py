"""`gandyn sweep`: what it writes, in parts, from a file, and what it says of the region's borders."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import gandyn as gd
from gandyn.cli import _cluster

R1 = ("sweep", "dirac", "--penalty", "r1=1")


def test_sweep(run, tmp_path):
    file, figure = tmp_path / "sweep.json", tmp_path / "paths.svg"
    words = ("--axis", "r1=-0.5:1:4", "--out", str(file), "--figure", str(figure))
    code, out, err = run(*R1, *words)
    assert (code, err) == (0, "")
    assert "cells        4: stable 2, unstable 1, marginal 1" in out
    assert "lowest       growth -0.5 at r1 = 1" in out
    assert out.endswith("\nstable       r1 from 0.5 to 1\nHopf         r1 between 0 and 0.5\n")
    assert list(gd.load(file).axes) == ["r1"]
    assert figure.read_text().startswith("<?xml")


def test_an_interrupted_sweep_keeps_what_was_finished(run, tmp_path, monkeypatch):
    real, finished = jax.device_get, []

    def second_time(value):
        finished.append(value)
        if len(finished) == 2:
            raise KeyboardInterrupt
        return real(value)

    monkeypatch.setattr(jax, "device_get", second_time)
    file = tmp_path / "sweep.json"
    words = ("--map", "simgd=1", "--axis", "h=0.5:2:4", "--chunk", "2", "--out", str(file))
    code, _, err = run(*R1, *words)
    assert code == 130
    assert "interrupted; 2 of 4 values of h were finished" in err
    kept = gd.load(file)
    assert not kept.complete
    np.testing.assert_array_equal(kept.axes["h"], [0.5, 1.0])


def test_a_file_says_what_the_command_line_may_say_otherwise(run, tmp_path):
    file, store = tmp_path / "chart.toml", tmp_path / "s"
    file.write_text(
        'game = "dirac"\npenalty = ["r1=1"]\nnoise = 0.1\naxis = ["noise=0:0.2:5"]\n'
        f'store = "{store}"\nchunk = 2\nshard = "1/2"\njson = false\n'
    )
    code, out, _ = run("sweep", str(file), "--shard", "2/2")
    assert code == 0
    assert "1 of 3 blocks are finished\ncells        5: pending 3, stable 2" in out
    assert "pending      noise from 0 to 0.05" in out
    code, out, _ = run("sweep", str(file), "--shard=1/1", "--figure", str(tmp_path / "paths.svg"), "--json")
    assert json.loads(out)["store"] == {"path": str(store), "blocks": 3, "finished": 3, "complete": True}
    stored = gd.open_sweep(store).to_xarray()
    # The axis has the option's numbers, of which the leaf holds the square.
    np.testing.assert_array_equal(stored["noise"], np.linspace(0, 0.2, 5))
    file.write_text(file.read_text().replace(f'store = "{store}"\n', "").replace('shard = "1/2"\n', ""))
    run("sweep", "--out", str(tmp_path / "sweep.json"), str(file))
    np.testing.assert_array_equal(stored["growth"], gd.load(tmp_path / "sweep.json").values.growth)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('axis = ["r1=0:1:3"]', "say which game it is"),
        ('game = "dirac"\naxes = ["r1=0:1:3"]', "no setting of a sweep called 'axes'. Did you mean 'axis'"),
        ('game = "dirac"\n[axis]\nr1 = [0, 1]', "a text, a number, true, false, or a list"),
        ("game = dirac", "Invalid value (at line 1"),
        ('game = "dirac"', "--axis"),
    ],
)
def test_a_file_that_is_no_sweep_is_named(run, tmp_path, text, message):
    (tmp_path / "chart.toml").write_text(text)
    code, _, err = run("sweep", str(tmp_path / "chart.toml"))
    assert code == 2
    assert message in err
    assert message == "--axis" or "chart.toml: " in err


def test_the_critical_step_and_the_borders_of_the_region(run, tmp_path, monkeypatch):
    # In slabs of three rows, which the borders cross.
    monkeypatch.setattr("gandyn.cli._summary._READ", 3 * 60)
    words = ("--map", "simgd=1", "--axis", "r1=0.05:1.95:20", "--axis", "h=0.05:6:60", "--quantity", "critical_step")
    store = tmp_path / "s"
    code, out, _ = run(*R1, *words, "--store", str(store))
    assert code == 0
    data = gd.open_sweep(store).to_xarray()
    gamma = data["r1"].values
    root = np.sqrt(np.asarray(gamma**2 / 4 - 1 / 4, complex))
    pair = np.stack([-gamma / 2 + root, -gamma / 2 - root])
    critical = np.min(2 * np.abs(pair.real) / np.abs(pair) ** 2, axis=0)
    # Some ten roundings.
    np.testing.assert_allclose(data["critical_step"], np.broadcast_to(critical[:, None], (20, 60)), rtol=1e-14)
    inside = np.asarray(data["h"])[None] < critical[:, None]
    np.testing.assert_array_equal(data["stability.verdict"] == 0, inside)
    # Complex multipliers leave the circle, real ones pass -1; which of the two is not said between a focus and a node.
    across, along, focus = inside[:, 1:] != inside[:, :-1], inside[1:] != inside[:-1], gamma < 1
    pairs = across[focus].sum() + along[focus[1:]].sum()
    between = along[focus[:-1] & ~focus[1:]].sum()
    found = [int(re.search(rf"{kind} \(.*\) at (\d+) borders", out)[1]) for kind in ("Neimark-Sacker", "flip")]
    assert sum(found) == across.sum() + along.sum()
    assert pairs <= found[0] <= pairs + between < sum(found)
    i, j = np.unravel_index(np.argmax(data["critical_step"].values), (20, 60))
    assert f"critical step {critical.max():.10g} at r1 = {gamma[i]:.6g}, h = {data['h'].values[j]:.6g}" in out


def test_a_fold_bounds_a_region(run):
    code, out, _ = run("sweep", f"{Path(__file__)}:saddle", "--axis", ".weight=-1:1:4")
    assert code == 0
    assert "fold         .weight between -0.333333 and 0.333333" in out


class Saddle(gd.AbstractFlow):
    """Stable for a negative weight."""

    weight: jax.Array

    def __call__(self, x):
        return x * self.weight


def saddle():
    return Saddle(jax.numpy.asarray(-1.0)), jax.numpy.zeros(2)


def test_the_pod_of_an_indexed_job_knows_its_number(monkeypatch):
    met = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *address, **how: met.append((address, how)))
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    _cluster.join("sweep-0.sweep:1234", 4, None)
    _cluster.join(None, None, 3)
    assert met == [
        (("sweep-0.sweep:1234", 4, 2), {"cluster_detection_method": "deactivate"}),
        ((None, None, 3), {"cluster_detection_method": None}),
    ]


def test_processes_that_no_cluster_started_are_told_what_to_give(monkeypatch):
    def nowhere(*address, **how):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", nowhere)
    with pytest.raises(ValueError, match=r"Start them by srun.*or give --coordinator HOST:PORT, --processes and --process"):
        _cluster.join(None, None, None)
