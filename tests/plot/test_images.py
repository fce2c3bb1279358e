"""Grids of pictures: each picture stands in its place, on one scale of grey."""

import numpy as np
import pytest

import gandyn as gd

PICTURES = np.arange(5 * 16, dtype=float).reshape(5, 4, 4)


def cells(image, columns, count):
    """The pictures cut out of a grid with one pixel between them."""
    whole = np.ma.filled(image.get_array(), np.nan)
    return np.stack([whole[i // columns * 5 :, i % columns * 5 :][:4, :4] for i in range(count)])


@pytest.mark.parametrize("shape", [(5, 4, 4), (5, 1, 4, 4), (5, 16)])
def test_pictures_stand_row_by_row(shape):
    ax = gd.plot.images(PICTURES.reshape(shape), columns=3)
    (image,) = ax.images
    assert image.get_array().shape == (9, 14)
    assert np.array_equal(cells(image, 3, 5), PICTURES)
    assert np.isnan(np.ma.filled(image.get_array(), np.nan)[4]).all()


def test_grids_share_one_scale_and_do_not_overlap():
    ax = gd.plot.images({"data": PICTURES, "generated": PICTURES[:3] - 100}, columns=2)
    left, right = ax.images
    assert left.get_clim() == right.get_clim() == (0, 79)
    assert left.get_extent()[1] < right.get_extent()[0]
    assert right.get_extent()[1] == ax.get_xlim()[1]
    assert [text.get_text() for text in ax.texts] == ["data", "generated"]
    assert np.array_equal(cells(right, 2, 3), PICTURES[:3] - 100)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((5, 15)), r"got \(5, 15\)"),
        (np.zeros((5, 3, 4, 4)), r"got \(5, 3, 4, 4\)"),
        ({"a": np.zeros((5, 16)), "b": np.zeros((5, 9))}, r"one size; got \[\(3, 3\), \(4, 4\)\]"),
    ],
)
def test_other_shapes_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        gd.plot.images(points)
