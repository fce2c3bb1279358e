"""The curvature over the price: from Stackelberg to Nash, zero at the largest lambda."""

import numpy as np
import pytest

import gandyn as gd

GAME, ORIGIN = gd.games.quadratic(-1.0, 3.0, 1.0), gd.Players(0.0, 0.0)


@pytest.fixture(scope="module")
def found():
    return gd.notions(GAME, ORIGIN)


def test_the_curve_is_the_curvature(found):
    ax = gd.plot.notions(found)
    curve = ax.lines[0]
    lam, value = map(np.asarray, curve.get_data())
    # By hand: a + c^2 / (b + 2 lambda).
    np.testing.assert_allclose(value, -1 + 9 / (1 + 2 * lam), rtol=1e-12, atol=1e-12)
    heights = {line.get_label(): line.get_ydata()[0] for line in ax.lines}
    assert heights["Stackelberg"] == pytest.approx(8, rel=1e-12)
    assert heights["Nash"] == pytest.approx(-1, rel=1e-12)
    assert any(list(line.get_xdata()) == [float(found.proximal)] for line in ax.lines)


def test_without_matrices_there_is_no_curve():
    with pytest.raises(ValueError, match="Dense"):
        gd.plot.notions(gd.notions(GAME, ORIGIN, spectrum=gd.Lanczos()))
