"""What the experiments share: players made of networks, the metrics of every run, and how they are looked at."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

import gandyn as gd
from gandyn.training import (
    Every,
    GradientNorms,
    Losses,
    ModeCoverage,
    PathAngle,
    Spectrum,
    WassersteinDistance,
    initialised,
    mlp,
)

from ._experiment import Effect, Run, Setting


def gan_of(
    generator: eqx.Module,
    discriminator: eqx.Module,
    real: Any,
    latent: Any,
    objective: gd.AbstractObjective,
) -> tuple[gd.GAN, gd.Players]:
    """A GAN of two networks, and their first parameters."""
    (theta, make), (psi, judge) = gd.network(generator), gd.network(discriminator)
    return gd.GAN(make, judge, real, latent, objective), gd.Players(theta, psi)


def latent(dimension: int, dtype: Any, std: float = 1.0) -> gd.Gaussian:
    """The law of the generator's input: independent normal numbers."""
    return gd.Gaussian(jnp.zeros(dimension, dtype), jnp.asarray(std**2, dtype))


def keys(seed: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For the generator's weights, the discriminator's, and the mini-batches."""
    one, two, three = jax.random.split(jax.random.key(seed), 3)
    return one, two, three


def watched(point: Any, steps: int, *, size: int = 512) -> tuple[Every, ...]:
    """Losses and gradients at fifty points of a run, the path's angle and the leading eigenvalues at its ends."""
    often = max(1, steps // 50)
    return (
        Every(often, Losses(size)),
        Every(often, GradientNorms(size)),
        Every(steps, PathAngle(point, size=size)),
        Every(steps, Spectrum()),
    )


def samples(run: Run, ax: Any) -> Any:
    """The samples at the end of a run over the data and the discriminator's level sets."""
    return gd.plot.samples(run.start.step, run.point, jax.random.key(0), ax=ax)


def number(gan: gd.GAN, value: float) -> jax.Array:
    """A number of the GAN's floating-point type."""
    return jnp.asarray(value, gan.latent.points.dtype)


def deep(
    real: Any, setting: Setting, seed: int, dtype: Any, objective: gd.AbstractObjective, law: Any, *, std: float = 1.0
) -> tuple[gd.GAN, gd.Players]:
    """A GAN in the plane whose players have as many hidden layers each, `setting.depth` of `setting.width` rectified units.

    The weights are drawn by a law of `jax.nn.initializers`; the latent points have `setting.latent` coordinates of deviation
    `std`.
    """
    one, two, _ = keys(seed)
    sizes = {"width": setting.width, "depth": setting.depth, "dtype": dtype}
    generator = initialised(mlp((setting.latent,), (2,), key=one, **sizes), law, one)
    discriminator = initialised(mlp((2,), (), key=two, **sizes), law, two)
    return gan_of(generator, discriminator, real, latent(setting.latent, dtype, std), objective)


def covered(steps: int) -> tuple[Every, ...]:
    """Modes and good samples at fifty points of a run on a mixture, the Wasserstein distance at ten."""
    return Every(max(1, steps // 50), ModeCoverage(1000)), Every(max(1, steps // 10), WassersteinDistance(256))


def late(curve: str) -> Callable[[Run], float]:
    """The mean of a curve over the last quarter of a run."""
    return lambda run: run.mean(curve)


MODES = functools.partial(Effect, "modes covered, mean over the last quarter of the run", late("modes_covered"))
QUALITY = functools.partial(Effect, "share of samples within three deviations of a mode, last quarter", late("high_quality"))
DISTANCE = functools.partial(Effect, "Wasserstein distance from the data, last quarter", late("wasserstein2"))
MOVING = functools.partial(Effect, "norm of the generator's part of the field, last quarter", late("gradient.generator"))
SCORE = functools.partial(Effect, "the classifier's score, last quarter", late("classifier_score"))
