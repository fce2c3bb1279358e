"""The ring of Gaussians of Nagarajan and Kolter (2017): plain, regularised by the gradient norm, and unrolled."""

from collections.abc import Callable
from typing import Any

import jax
import optax

import gandyn as gd
from gandyn.training import Batches

from ..claims._claim import NAGARAJAN_KOLTER
from ._experiment import Experiment, Setting, Start
from ._players import MODES, QUALITY, covered, gan_of, keys, latent, number, samples, watched


def _plain(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    return gan


def _regularised(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    return gd.nagarajan_kolter(gan, number(gan, setting.eta))


def _unrolled(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    return gd.Unrolled(gan, setting.unrolled, number(gan, setting.inner))


def _arm(formulation: Callable[[gd.GAN, Setting], gd.AbstractFlow]) -> Callable[[Setting, int, Any], Start]:
    def build(setting: Setting, seed: int, dtype: Any) -> Start:
        one, two, batches = keys(seed)
        law = jax.nn.initializers.orthogonal(0.8)
        sizes = {"width": setting.width, "dtype": dtype}
        generator = gd.training.mlp((setting.latent,), (2,), depth=2, key=one, **sizes)
        discriminator = gd.training.mlp((2,), (), depth=1, key=two, scale=0.25, **sizes)
        generator, discriminator = (gd.training.initialised(m, law, k) for m, k in ((generator, one), (discriminator, two)))
        real = gd.training.ring(8, 2.0, 0.02, dtype=dtype)
        gan, point = gan_of(generator, discriminator, real, latent(setting.latent, dtype), gd.objectives.minimax)
        optimiser = gd.Optax(
            formulation(gan, setting), optax.adam, order=("discriminator", "generator"), learning_rate=setting.rate, b1=0.5
        )
        metrics = *covered(setting.steps), *watched(point, setting.steps)
        return Start(gd.Random(optimiser, Batches(setting.batch), batches), point, metrics)

    return build


RING = Experiment(
    key="ring",
    source=NAGARAJAN_KOLTER,
    title="The ring of 8 Gaussians: plain, regularised by the discriminator's gradient norm, and unrolled",
    text="Eight Gaussians of standard deviation 0.02 on a circle of radius 2; the generator has two hidden layers, the "
    "discriminator one, after a division of its input by four; orthogonal weights of gain 0.8; Adam with beta1 = 0.5, the "
    "discriminator moving first, on the saturating zero-sum objective. The regulariser is 0.5 times the squared norm of the "
    "discriminator's gradient. The full setting has the authors' sizes and 15 unrolled steps.",
    arms={"plain": _arm(_plain), "gradient norm": _arm(_regularised), "unrolled": _arm(_unrolled)},
    small=Setting(
        4000, (0, 1, 2), {"width": 64, "latent": 16, "batch": 128, "rate": 1e-3, "eta": 0.5, "unrolled": 5, "inner": 0.1}
    ),
    full=Setting(
        100_001, (0, 1, 2), {"width": 128, "latent": 256, "batch": 512, "rate": 1e-4, "eta": 0.5, "unrolled": 15, "inner": 0.1}
    ),
    effects=(
        MODES("gradient norm", "plain"),
        QUALITY("gradient norm", "plain"),
        MODES("unrolled", "plain"),
    ),
    curves=("modes_covered", "high_quality", "wasserstein2", "gradient.discriminator"),
    figure=samples,
)
