"""`gandyn train`: runs that are kept and read back, what it prints, and what it refuses."""

import dataclasses
import json

import pytest

import gandyn as gd
from gandyn.experiments._all import ALL
from gandyn.experiments._nie_patel import ISOTROPIC

SHORT = ("train", "isotropic", "--steps", "300", "--seeds", "0,1", "--dtype", "float64")


def test_runs_are_kept_and_read_back(run, tmp_path, monkeypatch):
    arms = {name: ISOTROPIC.arms[name] for name in ("consensus", "jare")}
    small = dataclasses.replace(ISOTROPIC, arms=arms, effects=ISOTROPIC.effects[1:2], curves=(), figure=None)
    monkeypatch.setitem(ALL, "isotropic", small)
    folder = tmp_path / "runs"
    code, out, messages = run(*SHORT, "--out", str(folder), "--json")
    document = json.loads(out)
    # A rotation of period 13 does not show in 0.3 units of time: no effect is expected, and none is claimed.
    assert code == (0 if all(each["verdict"] == "appears" for each in document["findings"]) else 1)
    assert "isotropic: jare, seed 1 (4 of 4)" in messages
    assert (folder / "index.html").read_text().startswith("<!doctype html>")
    curve = gd.training.curves(folder / "jare" / "seed-0")["distance"]
    assert curve.steps[-1] == 300
    checkpoint = (folder / "jare" / "seed-0" / "checkpoint").stat().st_mtime_ns
    code, table, _ = run(*SHORT, "--out", str(folder))
    assert (folder / "jare" / "seed-0" / "checkpoint").stat().st_mtime_ns == checkpoint
    assert "rate of the slower mode along the mean" in " ".join(table.split())
    assert "jare, at the end of seed 0" in table


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "ringg"), "There is no experiment 'ringg'. Did you mean 'ring'?"),
        (("train", "isotropic", "--seeds", "one"), "give whole numbers with commas"),
        (("train", "isotropic", "--seeds", "1,1"), "one seed at least, and each once"),
        (("train", "isotropic", "--jobs", "0"), "one run at least is made at once"),
        (("train", "isotropic", "--steps", "0"), "a run makes one step or more"),
        (("train", "isotropic", "--dtype", "float16"), "There is no type 'float16'"),
        (("train", "isotropic", "--animation", "/nowhere/a.gif"), "cannot be written"),
        (("train", "isotropic", "--animation", "a.mp4"), "must end in .gif"),
    ],
)
def test_what_it_refuses(run, words, message):
    code, out, messages = run(*words)
    assert (code, out) == (2, "")
    assert message in messages
