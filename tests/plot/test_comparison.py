import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)


def test_a_line_for_each_map_with_its_best_and_critical_step():
    game = gd.games.bilinear()
    found = gd.compare(game, {"extragradient": gd.ExtraGradient(game, 0.3), "simgd": gd.SimGD(game, 0.3)}, ORIGIN)
    ax = gd.plot.comparison(found)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["extragradient", "simgd", "best", "critical"]
    assert ax.get_xscale() == "log"
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if len(line.get_xdata()) == 1]
    marks = {(round(float(x), 6), round(float(y), 6)) for x, y in points}
    # BM01: best at 1/sqrt 2 with |mu|^2 = 3/4, critical at 1.
    assert {(round(np.sqrt(0.5), 6), round(np.log(0.75) / 2, 6)), (1.0, 0.0)} <= marks


@pytest.mark.parametrize("algebraic", [False, True])
def test_distances_with_the_fit_and_the_window(algebraic):
    t = np.arange(1.0, 401.0)
    distances = (t + 80) ** -0.5 if algebraic else np.exp(-0.05 * t)
    found = gd.rate(gd.Trajectory(jnp.asarray(t), jnp.asarray(distances), gd.RESULTS.successful, {}))
    ax = gd.plot.rate(found)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), distances)
    assert ax.get_xscale() == ("log" if algebraic else "linear")
    if not algebraic:
        (fit,) = [line for line in ax.lines if line.get_label() == "fit"]
        np.testing.assert_allclose(fit.get_ydata(), distances[np.isin(t, fit.get_xdata())], rtol=1e-9)
