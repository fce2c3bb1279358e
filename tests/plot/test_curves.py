"""Curves over seeds: the mean, Student's interval, and runs that ended early."""

import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.training._run import Curve

STEPS = np.arange(0, 50, 10)


def run(values, steps=STEPS):
    return Curve(jnp.asarray(steps), jnp.asarray(values))


def labelled(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_band_is_the_interval_of_the_mean():
    seeds = np.array([1.0, 2.0, 3.0])
    ax = gd.plot.curves({"plain": [run(seed + 0.1 * STEPS) for seed in seeds]}, ylabel="loss")
    mean = 2 + 0.1 * STEPS
    assert np.allclose(labelled(ax)["plain"].get_xydata().T, [STEPS, mean], rtol=1e-15)
    (band,) = ax.collections
    x, y = band.get_paths()[0].vertices.T
    # Tables: t = 4.302653 at 97.5% and two degrees of freedom; the deviation of 1, 2, 3 is one.
    half = 4.302653 / np.sqrt(3)
    at = x == 20
    # Six figures of the table.
    assert np.allclose([y[at].min(), y[at].max()], [4 - half, 4 + half], atol=1e-6)
    # The band reaches from -0.48 to 8.48: the axis is that of the seeds, with a margin.
    assert 0 < ax.get_ylim()[0] < 1
    assert 7 < ax.get_ylim()[1] < 8
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "loss")


def test_each_seed_has_its_line_and_one_has_no_band():
    one = run(np.cos(STEPS))
    ax = gd.plot.curves({"plain": [one]})
    assert len(ax.lines) == 2
    assert all(np.allclose(line.get_ydata(), one.values, rtol=1e-15) for line in ax.lines)
    assert not ax.collections


@pytest.mark.parametrize("broken", [run([1.0, 5.0], STEPS[:2]), run([1.0, 5.0, np.nan, np.inf], STEPS[:4])])
def test_a_run_that_diverged_is_drawn_as_far_as_it_goes(broken):
    whole = [run(1.0 + 0 * STEPS), run(3.0 + 0 * STEPS)]
    ax = gd.plot.curves({"plain": [*whole, broken], "other": whole})
    mean = labelled(ax)["plain"].get_xydata()
    # The mean of those that are left would hide what happened.
    assert np.allclose(mean[np.isfinite(mean[:, 1])], [[0, 5 / 3], [10, 3]], rtol=1e-15)
    crosses = [line for line in ax.lines if line.get_marker() == "X" and len(line.get_xdata())]
    assert [line.get_xydata().tolist() for line in crosses] == [[[10, 5]]]
    assert sum(np.array_equal(line.get_xdata(), STEPS) for line in ax.lines) == 5
    assert texts(ax) == ["plain", "other", "ended early"]


def test_seeds_measured_at_different_steps_are_averaged_where_all_were():
    ax = gd.plot.curves({"plain": [run(1.0 * STEPS), run([0.0, 60.0], np.array([0, 40]))]})
    assert labelled(ax)["plain"].get_xydata().tolist() == [[0, 0], [40, 50]]
    assert texts(ax) == ["plain"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"plain": []}, "one run or more"),
        ({}, "one run or more"),
        ({"plain": [run(1j * STEPS)]}, r"'plain' has complex.*gd\.plot\.spectra"),
        ({"plain": [run(np.zeros((5, 2)))]}, r"shape \(5, 2\)"),
    ],
)
def test_other_values_are_refused(named, message):
    with pytest.raises(ValueError, match=message):
        gd.plot.curves(named)
