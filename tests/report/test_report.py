import dataclasses
import json
import re

import numpy as np
import pytest

from gandyn import report
from gandyn.claims import Claim, Measured, verify
from gandyn.claims._claim import MESCHEDER
from gandyn.report._page import mathematics, number


def predict(x):
    return {"square": x**2, "roots": np.array([x, -x], dtype=complex), "verdict": "stable"}


def compute(x):
    return {"square": x * x, "roots": np.array([-x, x], dtype=complex), "verdict": "stable"}


def draw(rng):
    return {"x": rng.uniform(1, 2)}


SQUARES = Claim("T1", MESCHEDER, "squares of $x$", r"\lambda = x^2", predict, compute, ({"x": 2.0},), draw)
WRONG = dataclasses.replace(SQUARES, key="T2", compute=lambda x: {**compute(x), "square": x * x * (1 + 2e-10)})
BROKEN = dataclasses.replace(SQUARES, key="T3", compute=lambda x: {**compute(x), "square": float("nan")})


def raising(x):
    raise RuntimeError("no equilibrium & <nothing>")


def test_verdicts_of_claims():
    corrected = dataclasses.replace(SQUARES, correction="A factor is missing.")
    raised = verify(dataclasses.replace(SQUARES, compute=raising))
    verdicts = [verify(c).verdict for c in (SQUARES, corrected, WRONG, BROKEN)] + [raised.verdict]
    assert verdicts == ["holds", "corrected", "fails", "fails", "fails"]
    assert "no equilibrium" in raised.message


def test_random_settings_are_reproducible_and_counted():
    checks = verify(SQUARES, draws=2, seed=1).checks
    assert [c.drawn for c in checks] == [False] * 3 + [True] * 6
    assert checks[3].setting == verify(SQUARES, draws=2, seed=1).checks[3].setting


def test_a_bound_allows_no_more_than_itself():
    off = dataclasses.replace(SQUARES, compute=lambda x: {**compute(x), "square": Measured(x * x + 1e-6, 2e-6)})
    assert verify(off).verdict == "holds"
    tight = dataclasses.replace(SQUARES, compute=lambda x: {**compute(x), "square": Measured(x * x + 1e-6, 5e-7)})
    assert verify(tight).verdict == "fails"


def test_published_digits_are_compared_too():
    assert verify(dataclasses.replace(SQUARES, published=({"square": 4.0},))).verdict == "holds"
    assert verify(dataclasses.replace(SQUARES, published=({"square": 4.00001},))).verdict == "fails"


def test_unequal_names_are_an_error():
    outcome = verify(dataclasses.replace(SQUARES, compute=lambda x: {"other": x}))
    assert "predicts" in outcome.message


def test_page_is_self_contained_and_escaped(tmp_path):
    drawn = dataclasses.replace(SQUARES, figure=lambda ax: ax.plot([0, 1], [0, 1]))
    raised = verify(dataclasses.replace(SQUARES, key="T4", compute=raising))
    page = report.write([verify(drawn), verify(WRONG), verify(BROKEN), raised], tmp_path).read_text()
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "&amp; &lt;nothing&gt;" in page
    assert page.count('role="img"') == 1
    assert "<math" in page
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["claims.json", "index.html"]


def test_figures_are_the_same_bytes_each_time():
    drawn = dataclasses.replace(SQUARES, figure=lambda ax: ax.plot([0, 1], [0, 1]))
    from gandyn.report._figure import svg

    assert svg(drawn) == svg(drawn)


def test_json_is_strict_and_complete(tmp_path):
    report.write([verify(SQUARES), verify(BROKEN)], tmp_path)
    text = (tmp_path / "claims.json").read_text()
    data = json.loads(text, parse_constant=pytest.fail)
    first, broken = data["claims"]
    assert (first["verdict"], broken["verdict"]) == ("holds", "fails")
    assert first["checks"][1]["computed"] == [[2.0, 0.0], [-2.0, 0.0]]
    assert {"gandyn", "jax", "date"} <= data["provenance"].keys()


def test_an_unwritable_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        report.write([verify(SQUARES)], tmp_path / "file")


@pytest.mark.parametrize(
    ("value", "text"), [(1 - 2j, "1 - 2i"), (0.5, "0.5"), (np.array([1.0, 2.0]), "1, 2"), (True, "True"), (complex(1, 0), "1")]
)
def test_numbers_as_text(value, text):
    assert number(value) == text


def test_unknown_latex_is_shown_as_source():
    assert "<code>" in mathematics(r"\nosuchcommand{x}")
