"""`gandyn assumptions`: what it prints, keeps and refuses."""

import json

import gandyn as gd


def test_the_table_and_the_document(run, tmp_path):
    words = ("assumptions", "dirac", "--penalty", "r1=0.3", "--at", "0.1,0.1")
    code, out, _ = run(*words, "--out", str(tmp_path / "found.json"))
    assert code == 0
    assert "of the game without its penalties" in out
    assert "Mescheder, Geiger and Nowozin (2018): holds" in out
    assert gd.load(tmp_path / "found.json")["nk2"].verdict == "fails"
    code, out, _ = run(*words, "--json")
    document = json.loads(out)
    assert (code, document["command"]) == (0, "assumptions")
    assert document["verdicts"]["Nagarajan and Kolter (2017)"] == "fails"


def test_a_field_is_no_game(run):
    code, _, err = run("assumptions", "dirac", "--field", "consensus=0.1")
    assert code == 2
    assert "leave --field out" in err
