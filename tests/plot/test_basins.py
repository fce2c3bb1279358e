"""Basins in pictures: every cell where its start lies, and a legend with shares."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_rgb

import gandyn as gd

BOX = (gd.Players(-2.0, 0.0), gd.Players(2.0, 1.0))


class Pair(gd.AbstractMap):
    """Attractors at plus and minus one of the generator; large discriminators run away."""

    def __call__(self, x):
        g, d = x.generator, x.discriminator
        return gd.Players(jnp.tanh(2 * g) / jnp.tanh(2.0), jnp.where(d > 0.9, 2 * d, d / 2))


@pytest.fixture(scope="module")
def found():
    ends = [gd.Players(-1.0, 0.0), gd.Players(1.0, 0.0)]
    return gd.basins(Pair(), BOX, (6, 5), ends, span=2000)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def mesh(ax):
    return next(artist for artist in ax.collections if isinstance(artist, QuadMesh))


def test_cells_have_the_colour_of_their_attractor(found):
    ax = gd.plot.basins(found)
    cells = mesh(ax)
    ax.figure.canvas.draw()
    colors = cells.get_facecolors()[:, :3].reshape(5, 6, 3)
    marks = {line.get_label(): line for line in ax.lines}
    for left, line in enumerate(ax.lines[:2]):
        tint = 1 - 0.45 * (1 - np.array(to_rgb(line.get_color())))
        columns = slice(3) if left == 0 else slice(3, 6)
        np.testing.assert_allclose(colors[:4, columns], np.broadcast_to(tint, (4, 3, 3)), atol=1e-3)
        assert line.get_xdata()[0] == pytest.approx([-1.0, 1.0][left])
    np.testing.assert_array_equal(colors[4], 1.0)
    assert len(marks) == 2
    # The borders of the cells lie half way between the starts.
    np.testing.assert_allclose(cells.get_coordinates()[0, :, 0], np.linspace(-2.4, 2.4, 7), atol=1e-12)
    np.testing.assert_allclose(cells.get_coordinates()[:, 0, 1], np.linspace(-0.125, 1.125, 6), atol=1e-12)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("generator", "discriminator")
    shares = [text.split(": ")[1].split(" ")[0] for text in labels(ax)]
    assert shares == ["0.400", "0.400", "0.200"]
    low, high = np.asarray(found.intervals)[0]
    assert labels(ax)[0] == f"attractor 1: 0.400 ({low:.3f} to {high:.3f})"
    assert labels(ax)[2].startswith("runs away")


def changed(found, labels):
    return type(found)(
        jnp.asarray(labels),
        found.box,
        found.attractors,
        ("equilibrium", "limit cycle"),
        found.fractions,
        found.intervals,
        found.tolerance,
        found.result,
    )


def test_undecided_cells_are_hatched_and_borders_are_drawn(found):
    numbers = np.zeros((6, 5), int)
    numbers[1, 3] = -2
    numbers[5, 0] = 1
    ax = gd.plot.basins(changed(found, numbers), borders=True)
    blocks = next(artist for artist in ax.collections if isinstance(artist, PolyCollection))
    assert blocks.get_hatch()
    (path,) = blocks.get_paths()
    np.testing.assert_allclose(path.get_extents().get_points(), [[-1.6, 0.625], [-0.8, 0.875]])
    sides = [line.get_xydata() for line in ax.lines if line.get_label() == "border of cells"]
    assert len(sides) == 4 + 2
    assert sum(np.ptp(side[:, 0]) == 0 for side in sides) == 3
    assert any(np.allclose(side, [[1.6, -0.125], [1.6, 0.125]]) for side in sides)
    names = [text.split(":")[0] for text in labels(ax)]
    assert names == ["equilibrium", "limit cycle", "undecided", "border of cells"]


def test_a_grid_over_two_coordinates_is_needed(found):
    with pytest.raises(ValueError, match=r"grid over two coordinates.*shape \(30,\)"):
        gd.plot.basins(changed(found, np.zeros(30, int)))
    plane = changed(found, np.zeros((3, 1, 4), int))
    line = (jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 1.0, 3.0]))
    attractors = jnp.array([[0.0, 1.0, 2.5], [1.0, 1.0, 2.5]])
    plane = type(plane)(
        plane.labels, line, attractors, plane.kinds, plane.fractions, plane.intervals, plane.tolerance, plane.result
    )
    ax = gd.plot.basins(plane)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x[0]", "x[2]")
    assert ax.lines[1].get_xydata().tolist() == [[1.0, 2.5]]
