r"""The linear GAN of Nie and Patel (2019) at its equilibrium, for their claims.

Every eigenvalue belongs to one of two numbers: :math:`s = \sigma^2`, the variance across the mean, n - 1 times, and
:math:`s = \beta^2 = \sigma^2 + \lVert v\rVert^2`, the second moment along it, once.
"""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

import gandyn as gd

from ._claim import Measured

PUBLIC_CODE = {"mean": (0.0, 2.0), "sigma": 0.7}


def linear_gan(mean: Any, sigma: float, objective: gd.AbstractObjective = gd.objectives.minimax) -> tuple[gd.GAN, gd.Players]:
    """The linear GAN and its equilibrium."""
    mean = np.asarray(mean, float)
    return gd.games.linear(objective, mean, sigma), gd.Players(mean, np.zeros_like(mean))


@eqx.filter_jit
def jacobian(system: gd.AbstractSystem, x: gd.Players) -> Float[Array, "n n"]:
    """The Jacobian at any point, compiled."""
    return gd.linearize(system, x).as_matrix()


def eigenvalues(system: gd.AbstractSystem, x: gd.Players) -> np.ndarray:
    """The spectrum at any point; real in type if every eigenvalue is."""
    return np.linalg.eigvals(np.asarray(jacobian(system, x)))


def extrapolate(coarse: float, fine: float, factor: float) -> Measured:
    """The limit of a sequence whose error falls by `factor` a term; the last correction bounds the rest."""
    step = (fine - coarse) / (factor - 1)
    return Measured(fine + step, abs(step))


def moments(mean: Any, sigma: float) -> tuple[float, float]:
    """The second moments of the data across the mean and along it."""
    return sigma**2, sigma**2 + float(np.dot(mean, mean))


def roots(damping: float, product: float) -> np.ndarray:
    """Both roots of `l^2 + damping l + product`, without cancellation."""
    large = (-damping - np.sqrt(complex(damping**2 - 4 * product))) / 2
    return np.array([large, product / large])


def spectrum(mean: Any, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The eigenvalues with their multiplicities n - 1 and 1."""
    return np.concatenate([np.tile(across, len(mean) - 1), along])


def simgd(s: float) -> np.ndarray:
    """The pair of eigenvalues that belongs to s, without a regulariser."""
    return roots(s / 2, 1 / 4)
