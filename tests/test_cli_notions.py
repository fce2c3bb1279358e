"""`gandyn notions`: what it prints, keeps and refuses."""

import json

import pytest

import gandyn as gd


@pytest.fixture
def game(tmp_path):
    file = tmp_path / "game.py"
    file.write_text("import gandyn as gd\npair = (gd.games.quadratic(-1.0, 3.0, 1.0), gd.Players(0.1, 0.1))\n")
    return f"{file}:pair"


def test_a_point_and_its_prices(run, game, tmp_path):
    kept, figure = tmp_path / "notions.json", tmp_path / "curve.svg"
    code, out, _ = run("notions", game, "--lam", "1", "--lam", "5", "--out", str(kept), "--figure", str(figure))
    assert code == 0
    lines = {line[:13].strip(): line[13:] for line in out.splitlines()}
    assert lines["nash"].startswith("no: generator no (least -1,")
    assert lines["stackelberg"].startswith("strict: generator strict (least 8,")
    assert lines["proximal"].startswith("lambda <= 4 ")
    assert (lines["at 1"], lines["at 5"]) == ("strict", "no")
    assert float(gd.load(kept).proximal) == pytest.approx(4, rel=1e-12)
    assert figure.stat().st_size > 1000


def test_within_constraints_as_json(run, game):
    # V = -x^2/2 + 3xy - y^2/2 at x = -1, y = -3: the generator's gradient 1 - 9 pulls it off its bound.
    code, out, _ = run("notions", game, "--at", "-1,-3", "--box", "generator=-1:1", "--json")
    assert (code, out) == (1, "")
    # At x = 0 with x >= 0 the gradient vanishes and x may only grow: the curvature is that of x alone, as without the bound.
    code, out, _ = run("notions", game, "--at", "0,0", "--box", "generator=0:1", "--lam", "3", "--json")
    document = json.loads(out)
    assert (code, document["command"], document["nash"], document["stackelberg"]) == (0, "notions", "no", "strict")
    assert document["proximal"] == pytest.approx(4, rel=1e-12)
    assert document["proximal_at"] == {"3": "strict"}
    assert document["settings"]["box"] == ["generator=0:1"]


def test_what_is_refused(run, game, unchecked):
    for words, said in (
        ((game, "--norm", "sobolef"), "sobolev"),
        ((game, "--ball", "generator=1:2"), "--ball generator=1"),
        (("dirac", "--field", "consensus=0.1"), "a field without any"),
    ):
        code, out, err = run("notions", *words)
        assert (code, out) == (2, "")
        assert said in err
