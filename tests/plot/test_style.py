"""The style: sizes, names of coordinates, and files that are the same each time."""

import io

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import gandyn as gd
from gandyn.plot._style import coordinate_names, geometric, legend


@pytest.mark.parametrize(("columns", "width"), [(1, 3.4), (2, 7.0)])
def test_figure_has_the_width_of_a_column_or_a_page(columns, width):
    figure, axes = gd.plot.figure(columns, rows=2, panels=3, height=1.5)
    assert axes.shape == (2, 3)
    assert np.allclose(figure.get_size_inches(), (width, 3.0))


def test_figure_refuses_a_third_column():
    with pytest.raises(ValueError, match="columns=3"):
        gd.plot.figure(3)


def test_style_ends_with_its_block():
    before = dict(plt.rcParams)
    with gd.plot.style():
        assert plt.rcParams["font.size"] == 9
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize(
    ("state", "names"),
    [
        (gd.Players(0.0, 1.0), ["generator", "discriminator"]),
        (gd.Players(jnp.zeros(2), (0.0,)), ["generator[0]", "generator[1]", "discriminator[0]"]),
        (jnp.zeros(2), ["x[0]", "x[1]"]),
        ((0.0, 1.0), ["x[0]", "x[1]"]),
        ({"p": {"q": 0.0}, "r": jnp.zeros((1, 2))}, ["p.q", "r[0, 0]", "r[0, 1]"]),
        ({"x": 0.0, "count": jnp.asarray(3)}, ["x"]),
        (0.0, ["x"]),
    ],
)
def test_coordinates_are_named_by_their_path(state, names):
    assert coordinate_names(state) == names


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.geomspace(0.01, 10, 40), True),
        (np.linspace(0.01, 10, 40), False),
        (np.geomspace(1, 5, 40), False),
        (np.linspace(-1, 1, 9), False),
        (np.array([1.0]), False),
    ],
)
def test_only_a_geometric_axis_is_logarithmic(values, expected):
    assert geometric(values) is expected


def test_a_legend_names_each_kind_once():
    ax = gd.plot.figure()[1]
    for _ in range(2):
        ax.plot([0], [0], label="same")
    legend(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["same"]


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_picture_is_the_same_bytes(kind):
    trajectory = gd.Trajectory(jnp.arange(3.0), jnp.ones((3, 2)), gd.RESULTS.successful, {})
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        gd.plot.save(gd.plot.coordinates(trajectory), file, kind=kind)
    assert files[0].getvalue() == files[1].getvalue()
    assert files[0].tell() > 1000
    assert b"<dc:date>" not in files[0].getvalue()


def test_the_ending_of_a_path_says_the_format(tmp_path):
    gd.plot.save(gd.plot.figure()[0], tmp_path / "empty.pdf")
    assert (tmp_path / "empty.pdf").read_bytes().startswith(b"%PDF")
