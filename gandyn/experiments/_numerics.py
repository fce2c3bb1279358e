"""The ring of Gaussians of Mescheder, Nowozin and Geiger (2017): simultaneous descent and consensus optimisation."""

from collections.abc import Callable
from typing import Any

import jax
import optax

import gandyn as gd
from gandyn.training import Batches

from ..claims._claim import NUMERICS
from ._experiment import Experiment, Setting, Start
from ._players import DISTANCE, MODES, MOVING, QUALITY, covered, deep, keys, number, samples, watched

Formulation = Callable[[gd.GAN, Setting], gd.AbstractFlow]


def plain(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    """The game itself."""
    return gan


def consensus(gan: gd.GAN, setting: Setting) -> gd.AbstractFlow:
    """With the norm of the whole field."""
    return gd.consensus(gan, number(gan, setting.gamma))


def simultaneous(flow: gd.AbstractFlow, point: gd.Players, setting: Setting, seed: int) -> Start:
    """Both players by RMSProp at once, as TensorFlow has it: the mean square starts from one."""
    optimiser = gd.Optax(flow, optax.rmsprop, learning_rate=setting.rate, decay=0.9, eps=1e-10, initial_scale=1.0)
    step = gd.Random(optimiser, Batches(setting.batch), keys(seed)[2])
    return Start(step, point, (*covered(setting.steps), *watched(point, setting.steps)))


def _arm(formulation: Formulation) -> Callable[[Setting, int, Any], Start]:
    def build(setting: Setting, seed: int, dtype: Any) -> Start:
        real = gd.training.ring(8, 1.0, 0.01, dtype=dtype)
        law = jax.nn.initializers.glorot_uniform()
        gan, point = deep(real, setting, seed, dtype, gd.objectives.nonsaturating, law)
        return simultaneous(formulation(gan, setting), point, setting, seed)

    return build


RING_CONSENSUS = Experiment(
    key="ring-consensus",
    source=NUMERICS,
    title="The ring of 8 Gaussians: simultaneous descent against consensus optimisation",
    text="Eight Gaussians of standard deviation 0.01 on the unit circle; both players have four hidden layers of 16 rectified "
    "units and Glorot's weights; RMSProp moves both at once, on the non-saturating objective; consensus has gamma = 10. The "
    "authors draw as many points of every mode, here their number varies. The small setting has fewer steps, ten times as "
    "large, and smaller batches.",
    arms={"plain": _arm(plain), "consensus": _arm(consensus)},
    small=Setting(4000, (0, 1, 2), {"width": 16, "depth": 4, "latent": 16, "batch": 128, "rate": 1e-3, "gamma": 10.0}),
    full=Setting(50_000, (0, 1, 2), {"width": 16, "depth": 4, "latent": 16, "batch": 512, "rate": 1e-4, "gamma": 10.0}),
    effects=(
        MODES("consensus", "plain"),
        QUALITY("consensus", "plain"),
        DISTANCE("plain", "consensus"),
        MOVING("plain", "consensus"),
    ),
    curves=("modes_covered", "high_quality", "wasserstein2", "gradient.generator"),
    figure=samples,
)
