"""`gandyn continue`: what it prints, keeps, draws and refuses."""

import json

import numpy as np
import pytest

import gandyn as gd

DESCENT = ("continue", "dirac", "--penalty", "r1=0.3", "--map", "altgd=0.5")


def test_a_branch_and_the_orbits_from_its_flip(run, tmp_path):
    files = "--out", str(tmp_path / "branch.json"), "--figure", str(tmp_path / "branch.svg")
    code, out, _ = run(*DESCENT, "--parameter", "h", "--span", "0.2,16", "--cycles", *files)
    assert code == 0
    assert "flip at " in out
    branch, orbits = (gd.load(tmp_path / name) for name in ("branch.json", "branch.2.json"))
    (flip,) = branch.specials
    np.testing.assert_allclose(flip.eigenvalue, -1.0, rtol=1e-9)
    # Orbits of period two, which meet the branch where it turns over.
    assert {special.times for special in orbits.specials} == {2}
    np.testing.assert_allclose(orbits.values.min(), flip.value, rtol=1e-3)
    assert (tmp_path / "branch.svg").stat().st_size > 1000


def test_json_and_the_units_of_an_option(run):
    # The leaf of the noise is a variance; span and values are the deviations that the option means.
    words = ("continue", "dirac", "--noise", "0.5", "--parameter", "noise", "--span", "0.1,1", "--json")
    code, out, _ = run(*words)
    document = json.loads(out)
    assert (code, document["command"], document["settings"]["span"]) == (0, "continue", "0.1,1")
    values = np.array(document["branches"][0]["fields"]["values"]["data"])
    np.testing.assert_allclose([values.min(), values.max()], [0.1, 1.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--parameter", "nothing", "--span", "0,1"), "number of this system"),
        (("--parameter", "h", "--span", "1"), "--span 0,2"),
        (("--parameter", "h", "--span", "2,1"), "lowest value comes first"),
        (("--parameter", "h", "--span", "1,2"), "outside the span"),
    ],
)
def test_bad_use(run, words, message):
    code, out, err = run(*DESCENT, *words)
    assert (code, out) == (2, "")
    assert message in err
