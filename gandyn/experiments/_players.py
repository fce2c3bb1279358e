"""What the experiments share: players made of networks, the metrics of every run, and how they are looked at."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

import gandyn as gd
from gandyn.training import Every, GradientNorms, Losses, PathAngle, Spectrum

from ._experiment import Run


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
    """Losses and gradients at fifty points of a run, the path's angle and the leading eigenvalues at three."""
    often, rarely = max(1, steps // 50), max(1, steps // 2)
    return (
        Every(often, Losses(size)),
        Every(often, GradientNorms(size)),
        Every(rarely, PathAngle(point, size=size)),
        Every(rarely, Spectrum()),
    )


def samples(run: Run, ax: Any) -> Any:
    """The samples at the end of a run over the data and the discriminator's level sets."""
    return gd.plot.samples(run.start.step, run.point, jax.random.key(0), ax=ax)
