"""Trajectories: the path that was computed, its ends, and the names of its coordinates."""

import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

TIMES = np.linspace(0.0, 2.0, 9)


def spiral(stats):
    xs = gd.Players(jnp.exp(-TIMES) * jnp.cos(TIMES), jnp.exp(-TIMES) * jnp.sin(TIMES))
    return gd.Trajectory(jnp.asarray(TIMES), xs, gd.RESULTS.successful, stats)


def test_a_trajectory_has_a_start_and_an_end():
    ax = gd.plot.trajectory(spiral({}), label="flow")
    path, start, end = (np.array(line.get_xydata()) for line in ax.lines)
    assert np.allclose(path, np.transpose(spiral({}).xs))
    assert np.array_equal(start, path[:1])
    assert np.array_equal(end, path[-1:])
    assert ax.lines[1].get_markerfacecolor() == "white" != ax.lines[2].get_markerfacecolor()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("generator", "discriminator")


def test_an_orbit_is_dots_in_another_colour():
    ax = gd.plot.trajectory(spiral({}))
    gd.plot.trajectory(spiral({"steps": jnp.asarray(8)}), ax=ax)
    assert [ax.lines[i].get_marker() for i in (0, 3)] == ["None", "."]
    assert ax.lines[0].get_color() != ax.lines[3].get_color()


def test_a_failed_trajectory_ends_where_it_was_last_finite():
    broken = spiral({})
    xs = gd.Players(*(leaf.at[6:].set(jnp.inf) for leaf in broken.xs))
    ax = gd.plot.trajectory(gd.Trajectory(broken.ts, xs, gd.RESULTS.nonfinite, {}))
    assert np.allclose(ax.lines[2].get_xydata()[0], [leaf[5] for leaf in broken.xs])


@pytest.mark.parametrize(("stats", "label"), [({}, "time"), ({"steps": jnp.asarray(8)}, "applications")])
def test_coordinates_are_drawn_against_time(stats, label):
    ax = gd.plot.coordinates(spiral(stats))
    for line, values in zip(ax.lines, spiral(stats).xs, strict=True):
        assert np.allclose(line.get_xydata(), np.stack([TIMES, values], axis=1))
    assert ax.get_xlabel() == label
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["generator", "discriminator"]


def test_an_observed_number_has_coordinates():
    ax = gd.plot.coordinates(gd.Trajectory(jnp.asarray(TIMES), jnp.exp(-TIMES), gd.RESULTS.successful, {}))
    assert np.allclose(ax.lines[0].get_ydata(), np.exp(-TIMES))


@pytest.mark.parametrize(
    ("draw", "count", "message"),
    [(gd.plot.trajectory, 3, "has 3.*gd.plot.coordinates"), (gd.plot.coordinates, 8, "at most 7 lines.*observe")],
)
def test_too_many_coordinates_are_refused(draw, count, message):
    with pytest.raises(ValueError, match=message):
        draw(gd.Trajectory(jnp.arange(2.0), jnp.zeros((2, count)), gd.RESULTS.successful, {}))
