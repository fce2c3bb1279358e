"""Handwritten digits: which architectures survive which method, and spectral normalisation beside proximal training."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

import gandyn as gd
from gandyn.training import (
    Batches,
    Classifier,
    ClassifierQuality,
    Every,
    Labelled,
    classifier,
    conv_discriminator,
    conv_generator,
    leaky_relu,
    mlp,
    spectral_normalised,
)

from .. import _tree
from ..claims._claim import FARNIA_OZDAGLAR, NIE_PATEL
from ..training._quality import generated
from ._experiment import Effect, Experiment, Run, Setting, Start
from ._players import SCORE, gan_of, keys, late, latent, number

Shape = tuple[int, ...]
Networks = tuple[eqx.Module, eqx.Module]
Architecture = Callable[[Setting, Shape, Key[Array, ""], Key[Array, ""], Any], Networks]

_DATA = {"digits": gd.training.digits, "mnist": gd.training.mnist}
# Of the score of real images and of the classes, what a run has to reach.
_ENOUGH = 0.5


@functools.cache
def known(data: str, dtype: Any) -> tuple[Labelled, Classifier]:
    """The images, and a classifier of them that all runs share."""
    images = _DATA[data](dtype=dtype)
    return images, classifier(images, jax.random.key(0))


def _groups(shape: Shape) -> eqx.Module:
    return eqx.nn.GroupNorm(4, shape[0])


def dense(depth: str, normalisation: Callable[[Shape], eqx.Module] | None = None) -> Architecture:
    """Fully connected players with as many hidden layers as a number of the setting says."""

    def build(setting: Setting, shape: Shape, one: Key[Array, ""], two: Key[Array, ""], dtype: Any) -> Networks:
        sizes: Any = {"width": setting.width, "depth": setting.numbers[depth], "normalisation": normalisation, "dtype": dtype}
        generator = mlp((setting.latent,), shape, key=one, final_activation=jnp.tanh, **sizes)
        return generator, mlp(shape, (), key=two, activation=leaky_relu, **sizes)

    return build


def convolutional(normalisation: Callable[[Shape], eqx.Module] | None = None) -> Architecture:
    """Convolutional players, each a mirror of the other."""

    def build(setting: Setting, shape: Shape, one: Key[Array, ""], two: Key[Array, ""], dtype: Any) -> Networks:
        sizes: Any = {"width": setting.channels, "depth": setting.stages, "normalisation": normalisation, "dtype": dtype}
        return conv_generator(setting.latent, shape, key=one, **sizes), conv_discriminator(shape, key=two, **sizes)

    return build


def spectral(architecture: Architecture) -> Architecture:
    """The same with the discriminator's weights divided by their largest singular values."""

    def build(*args: Any) -> Networks:
        generator, discriminator = architecture(*args)
        return generator, spectral_normalised(discriminator)

    return build


def trained(architecture: Architecture, method: Callable[[gd.GAN, Setting], gd.AbstractFlow]) -> Callable:
    """An arm: Adam moves both players of an architecture at once, along the field of a method."""

    def build(setting: Setting, seed: int, dtype: Any) -> Start:
        one, two, batches = keys(seed)
        data, judge = known(setting.data, dtype)
        networks = architecture(setting, data.images.points.shape[1:], one, two, dtype)
        gan, point = gan_of(*networks, data.images, latent(setting.latent, dtype), gd.objectives.minimax)
        step = gd.Optax(method(gan, setting), optax.adam, learning_rate=setting.rate, b1=0.5)
        often = max(1, setting.steps // 8)
        return Start(gd.Random(step, Batches(setting.batch), batches), point, (Every(often, ClassifierQuality(judge)),))

    return build


def plain(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    """The game itself."""
    return gan


def _consensus(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    return gd.consensus(gan, number(gan, setting.consensus))


def _jare(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    return gd.jare(gan, number(gan, setting.jare))


def _r1(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    return gd.Penalised(gan, gd.r1, number(gan, setting.r1))


def proximal(gan: gd.GAN, setting: Setting) -> gd.ProximalTraining:
    """Proximal training in the Sobolev norm."""
    return gd.ProximalTraining(gan, number(gan, setting.lam), setting.ahead, number(gan, setting.inner), gd.sobolev)


def pictures(run: Run, ax: Any) -> Any:
    """Images of the generator at the end of a run beside the data."""
    gan, key = _tree.inside(run.start.step, gd.GAN), jax.random.key(0)
    made = generated(gan, run.point, key, 36)
    return gd.plot.images({"data": gan.real.sample(key, 36).points, "generated": made}, ax=ax)


def fate(run: Run) -> str:
    """`survives`, `collapsed`, `blurred` or `diverged`: the word for a run's cell of the table.

    A run survives if in the mean over its last quarter the classifier's score is at least half of that of real images. If
    not, it has collapsed where fewer than half of the classes are covered; else its images are no digits, or none yet.
    """
    if run.training.result != gd.RESULTS.successful:
        return "diverged"
    if run.mean("classifier_score") >= _ENOUGH * run.mean("classifier_score_real"):
        return "survives"
    every = run.training.curves["class_counts"].values.shape[1]
    return "collapsed" if run.mean("classes_covered") < _ENOUGH * every else "blurred"


def _survives(run: Run) -> float:
    return float(fate(run) == "survives")


ARCHITECTURES: dict[str, Architecture] = {
    "dense": dense("shallow"),
    "deep dense layer": dense("deep", eqx.nn.LayerNorm),
    "convolutional group": convolutional(_groups),
    "convolutional spectral": spectral(convolutional()),
}
METHODS = {"plain": plain, "consensus": _consensus, "jare": _jare, "r1": _r1}

_SHARE = "share of the architectures that survive"

TABLE = Experiment(
    key="digits-table",
    source=NIE_PATEL,
    title="Handwritten digits: which architectures survive which method",
    text="Fully connected and convolutional players of several depths, bare, with layer, group or spectral normalisation, "
    "each trained by simultaneous Adam with beta1 = 0.5 on the saturating zero-sum objective: plainly, by consensus, by JARE "
    "and with R1. A cell of the table survives if it stays finite and the classifier's score of its images, in the mean over "
    "the last quarter of the run, is at least half of that of real images; otherwise it diverged, collapsed to fewer than half "
    "of the classes, or is blurred. Batch normalisation, "
    "which some of the authors' networks have, makes the output for one image depend on the others of its mini-batch: "
    "`gd.network` refuses it. The authors' data are CIFAR-10, with gamma = 100 and their own networks; of theirs the full "
    "setting has the learning rate, beta1, the mini-batches, the latent dimension and the gamma of JARE.",
    arms={
        f"{method}, {name}": trained(architecture, flow)
        for name, architecture in ARCHITECTURES.items()
        for method, flow in METHODS.items()
    },
    small=Setting(
        600,
        (0, 1, 2),
        {"data": "digits", "width": 64, "shallow": 2, "deep": 4, "channels": 8, "stages": 1, "latent": 16, "batch": 64}
        | {"rate": 1e-3, "consensus": 0.1, "jare": 1.0, "r1": 1.0},
    ),
    full=Setting(
        50_000,
        (0, 1, 2),
        {"data": "mnist", "width": 256, "shallow": 2, "deep": 6, "channels": 64, "stages": 3, "latent": 128, "batch": 64}
        | {"rate": 1e-4, "consensus": 10.0, "jare": 100.0, "r1": 10.0},
    ),
    effects=(
        Effect(_SHARE, _survives, "jare", "plain"),
        Effect(_SHARE, _survives, "consensus", "plain"),
        Effect(_SHARE, _survives, "r1", "plain"),
        Effect(_SHARE, _survives, "jare", "consensus"),
    ),
    curves=("classifier_score", "classifier_frechet", "classes_covered"),
    figure=pictures,
    cell=fate,
)

PROXIMAL = Experiment(
    key="digits-proximal",
    source=FARNIA_OZDAGLAR,
    title="Handwritten digits: spectral normalisation with and without proximal training, and R1",
    text="Fully connected players, trained by simultaneous Adam with beta1 = 0.5 on "
    "the saturating zero-sum objective. The discriminator is normalised by the exact largest singular values of its weights, "
    "and trained plainly or on the proximal objective in the Sobolev norm; the third arm has R1 in place of both. The authors' "
    "data are larger images; price, number and size of the inner steps are our own. The score and the Fréchet distance are "
    "those of a small classifier of the same data, not the Inception score that the authors report.",
    arms={
        "spectral": trained(spectral(dense("shallow")), plain),
        "proximal": trained(spectral(dense("shallow")), proximal),
        "r1": trained(dense("shallow"), _r1),
    },
    small=Setting(
        600,
        (0, 1, 2),
        {"data": "digits", "width": 32, "shallow": 2, "latent": 16, "batch": 64, "rate": 1e-3}
        | {"r1": 1.0, "lam": 0.1, "ahead": 5, "inner": 0.1},
    ),
    full=Setting(
        50_000,
        (0, 1, 2),
        {"data": "mnist", "width": 512, "shallow": 3, "latent": 128, "batch": 64, "rate": 1e-4}
        | {"r1": 10.0, "lam": 0.1, "ahead": 5, "inner": 0.1},
    ),
    effects=(
        SCORE("proximal", "spectral"),
        Effect(
            "Fréchet distance in the classifier's features, last quarter", late("classifier_frechet"), "spectral", "proximal"
        ),
        Effect("classes covered, last quarter", late("classes_covered"), "proximal", "spectral"),
        SCORE("r1", "spectral"),
    ),
    curves=("classifier_score", "classifier_frechet", "classes_covered"),
    figure=pictures,
)
