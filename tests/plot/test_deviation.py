import jax.numpy as jnp
import numpy as np

import gandyn as gd


def test_the_loss_falls_from_where_training_ended():
    losses = jnp.array([[1.0, -1.0], [0.4, -0.4], [0.5, -0.5]])
    ts = jnp.arange(3.0)
    ax = gd.plot.deviation(gd.Pursuit(ts, losses, gd.Players(0.0, 0.0), 0, True, gd.RESULTS.successful))
    level, curve, best = ax.lines
    np.testing.assert_array_equal(level.get_ydata(), [1.0, 1.0])
    np.testing.assert_array_equal(curve.get_ydata(), losses[:, 0])
    np.testing.assert_array_equal(best.get_xydata(), [[1.0, 0.4]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "where training ended",
        "generator goes on alone",
        "gain 0.6",
    ]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("steps", "loss of the generator")


def test_nothing_is_marked_where_nothing_is_gained():
    flat = gd.Pursuit(jnp.arange(2.0), jnp.ones((2, 2)), gd.Players(0.0, 0.0), 1, False, gd.RESULTS.successful)
    ax = gd.plot.deviation(flat)
    assert len(ax.lines) == 2
    assert ax.get_xlabel() == "time"
