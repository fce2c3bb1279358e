"""Pseudospectra and gains: contours where the resolvent says, slopes that bound the gain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.patches import Circle

import gandyn as gd

MATRIX = jnp.array([[-1.0, 8.0], [0.0, -2.0]])


class Linear(gd.AbstractFlow):
    matrix: jax.Array

    def __call__(self, x):
        return self.matrix @ x


@pytest.fixture(scope="module")
def flow():
    return gd.transient(Linear(MATRIX), jnp.zeros(2), 5.0)


@pytest.fixture(scope="module")
def orbit():
    return gd.transient(gd.SimGD(Linear(MATRIX), 0.2), jnp.zeros(2), 30)


def test_contours_are_level_sets_of_the_smallest_singular_value(flow):
    ax = gd.plot.transient(flow)
    contour = next(artist for artist in ax.collections if isinstance(artist, QuadContourSet))
    paths = dict(zip(contour.levels, (path.vertices for path in contour.get_paths()), strict=True))
    assert sum(len(points) > 0 for points in paths.values()) >= 5
    # The innermost level set is no larger than a few cells of the grid.
    for level, points in list(paths.items())[1:]:
        for x, y in points[::29]:
            smallest = np.linalg.svd(np.asarray(MATRIX) - (x + 1j * y) * np.eye(2), compute_uv=False)[-1]
            # Linear interpolation of a logarithm on a grid of 101 points.
            assert np.log10(smallest) == pytest.approx(level, abs=0.05)
    assert np.allclose(np.sort(ax.lines[0].get_xdata()), [-2, -1])


def test_no_contour_leaves_the_window(flow):
    ax = gd.plot.transient(flow)
    contour = next(artist for artist in ax.collections if isinstance(artist, QuadContourSet))
    inside = np.concatenate([path.vertices for path in contour.get_paths()])
    for values, grid in zip(inside.T, (flow.grid.real, flow.grid.imag), strict=True):
        assert grid.min() < values.min()
        assert values.max() < grid.max()


@pytest.mark.parametrize("name", ["flow", "orbit"])
def test_the_boundary_and_the_clock_are_those_of_a_flow_or_a_map(name, request):
    found = request.getfixturevalue(name)
    ax, clock = gd.plot.transient(found), gd.plot.gain(found).get_xlabel()
    assert any(isinstance(artist, Circle) for artist in ax.get_children()) == (name == "orbit")
    assert clock == {"flow": "time", "orbit": "applications"}[name]


@pytest.mark.parametrize("name", ["flow", "orbit"])
def test_the_gain_lies_between_its_slopes(name, request):
    ax = gd.plot.gain(request.getfixturevalue(name))
    gain, peak, initial, last = (np.array(line.get_ydata()) for line in ax.lines)
    assert peak == gain.max()
    assert (gain <= initial * (1 + 1e-9)).all()
    assert (gain >= last * (1 - 1e-9)).all()


def test_whole_times_do_not_make_a_flow_a_map():
    found = gd.transient(Linear(MATRIX), jnp.zeros(2), 100.0)
    assert np.array_equal(found.ts, np.arange(101))
    assert gd.plot.gain(found).get_xlabel() == "time"
