"""Branches of cycles in pictures, with the numbers of the Stuart–Landau oscillator put in by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

P = np.linspace(0.0, 1.0, 9)
ANGLES = 2 * np.pi * np.arange(65) / 64 + 0.03


def circles(sizes):
    return jnp.asarray(np.stack([np.multiply.outer(sizes, np.cos(ANGLES)), np.multiply.outer(sizes, np.sin(ANGLES))], axis=-1))


def spectrum(growth):
    many = jnp.asarray(growth)
    return gd.Stability(jnp.exp(many)[:, None] + 0j, many[:, None] + 0j, many + 1e-9, 1 + 0 * many, gd.RESULTS.successful)


@pytest.fixture
def branch():
    nan, value = jnp.asarray(jnp.nan), jnp.asarray(0.55)
    doubling = gd.Special(
        value, jnp.ones(2), nan, nan, nan[None], 2 * value, circles(0.55**0.5), "period doubling", "supercritical"
    )
    growth = np.where(P < 0.55, -1.0, 1.0)
    ends = ("Hopf point", "span")
    return gd.Branch(
        jnp.asarray(P), circles(np.sqrt(P)), spectrum(growth), (doubling,), jnp.asarray(2 * P), ends, gd.RESULTS.successful
    )


def test_of_cycles_the_largest_and_the_smallest_are_drawn(branch):
    ax = gd.plot.branch(branch, name="p")
    lines = {dashes: [line for line in ax.lines if line.get_linestyle() == dashes] for dashes in ("-", "--")}
    assert len(lines["-"]) == 2
    for line, sign in zip(lines["-"], (1, -1), strict=True):
        p, x = np.asarray(line.get_xydata()).T
        assert p.max() == pytest.approx(0.55)
        # The samples miss the peak, and the parabola through them finds it; cubics between the points.
        np.testing.assert_allclose(x[:: (len(p) - 1) // 5], sign * np.sqrt(p[:: (len(p) - 1) // 5]), atol=2e-2)
        np.testing.assert_allclose(x[-1], sign * 0.55**0.5, rtol=1e-5)
    markers = [line for line in ax.lines if line.get_marker() == "^"]
    np.testing.assert_allclose([np.asarray(line.get_ydata())[0] for line in markers], [0.55**0.5, -(0.55**0.5)], rtol=1e-5)
    assert "stable cycle" in ax.get_legend_handles_labels()[1]


def test_the_period_along_a_branch(branch):
    ax = gd.plot.periods(branch, name="p")
    assert ax.get_ylabel() == "period"
    for line in ax.lines:
        p, period = np.asarray(line.get_xydata()).T
        np.testing.assert_allclose(period, 2 * p, atol=1e-12)
    still = gd.Branch(jnp.asarray(P), jnp.zeros((9, 2)), spectrum(P - 2), (), None, ("span", "span"), gd.RESULTS.successful)
    with pytest.raises(ValueError, match="have no period"):
        gd.plot.periods(still)
