"""`gandyn cycle` and `gandyn attractor`: what they print, keep and refuse."""

import json

import numpy as np
import pytest

import gandyn as gd

PENALISED = ("dirac", "--objective", "wasserstein", "--penalty", "gp=0.7,points=real", "--at", "1,0.5")


def test_a_cycle_is_printed_and_kept(run, tmp_path):
    code, out, _ = run("cycle", *PENALISED, "--out", str(tmp_path / "cycle.json"))
    assert code == 0
    assert "period       6.7074324" in out
    assert "stable, isolated" in out
    assert "of which compilation" in out
    w = np.sqrt(1 - 0.7**2 / 4)
    found = gd.load(tmp_path / "cycle.json")
    np.testing.assert_allclose(found.period, 2 * np.pi / w, rtol=1e-9)
    np.testing.assert_allclose(found.multipliers, [np.exp(-0.7 * np.pi / w)], rtol=1e-7)
    code, out, _ = run("cycle", *PENALISED, "--period", "6", "--json")
    document = json.loads(out)
    assert (code, document["command"], document["settings"]["period"]) == (0, "cycle", 6)
    np.testing.assert_allclose(document["cycle"]["fields"]["period"]["data"], 2 * np.pi / w, rtol=1e-9)


def test_an_equilibrium_is_no_guess_for_a_cycle(run):
    code, out, err = run("cycle", *PENALISED[:-1], "0,0")
    assert (code, out) == (1, "")
    assert "at rest" in err


def test_what_training_ends_on(run):
    code, out, _ = run("attractor", "dirac", "--objective", "nonsaturating", "--map", "simgd=0.2", "--at", "1,0.5")
    assert code == 0
    assert "kind         invariant circle" in out
    assert "because" in out


def test_how_long_to_wait_is_said(run):
    # At the Neimark-Sacker point orbits come to rest like one over the root of time: a few turns are not enough to tell.
    words = ("attractor", "dirac", "--penalty", "r1=0.3", "--map", "simgd=1.2", "--at", "1,0.5", "--json")
    document = json.loads(run(*words, "--turns", "1")[1])
    assert document["settings"]["turns"] == 1
    # One stretch, the least there is.
    assert document["attractor"]["fields"]["turns"]["data"] == [2048]
    code, _, err = run(*words[:-1], "--turns", "0")
    assert code == 2
    assert "at least one turn" in err


@pytest.mark.parametrize("command", ["cycle", "attractor"])
def test_an_orbit_needs_a_start(run, command):
    code, _, err = run(command, "dirac")
    assert code == 2
    assert "--at 1,0.5" in err
