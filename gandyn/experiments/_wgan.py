"""The Wasserstein GAN on the ring: weight clipping, gradient penalty, and the norm of the discriminator's gradient."""

from collections.abc import Callable
from typing import Any

import jax
import optax

import gandyn as gd
from gandyn.training import Batches

from ..claims._claim import GULRAJANI
from ._experiment import Experiment, Setting, Start
from ._players import DISTANCE, MODES, QUALITY, covered, deep, keys, number, samples, watched

_ADAM = {"b1": 0.5, "b2": 0.9}


def _weights(state: Any) -> Any:
    return state.point.discriminator


def _critic_first(setting: Setting) -> tuple[str, ...]:
    return ("discriminator",) * setting.critic + ("generator",)


def _clipped(gan: gd.GAN, setting: Setting) -> gd.AbstractMap:
    rmsprop = {"learning_rate": setting.clipped_rate, "decay": 0.9, "eps": 1e-10, "initial_scale": 1.0}
    step = gd.Optax(gan, optax.rmsprop, order=_critic_first(setting), **rmsprop)
    return gd.Projected(step, gd.Box(-setting.bound, setting.bound, _weights))


def _penalised(gan: gd.GAN, setting: Setting) -> gd.AbstractMap:
    penalty = gd.gradient_penalty(number(gan, 1.0), points=gd.on_segments)
    # The penalty of the paper has no factor one half.
    game = gd.Penalised(gan, penalty, number(gan, 2 * setting.penalty))
    return gd.Optax(game, optax.adam, order=_critic_first(setting), learning_rate=setting.rate, **_ADAM)


def _regularised(gan: gd.GAN, setting: Setting) -> gd.AbstractMap:
    flow = gd.nagarajan_kolter(gan, number(gan, setting.eta))
    return gd.Optax(flow, optax.adam, order=("discriminator", "generator"), learning_rate=setting.rate, **_ADAM)


def _arm(method: Callable[[gd.GAN, Setting], gd.AbstractMap]) -> Callable[[Setting, int, Any], Start]:
    def build(setting: Setting, seed: int, dtype: Any) -> Start:
        real = gd.training.ring(8, 2**0.5, 0.02 / 2**0.5, dtype=dtype)
        gan, point = deep(real, setting, seed, dtype, gd.objectives.wasserstein, jax.nn.initializers.he_uniform())
        step = gd.Random(method(gan, setting), Batches(setting.batch), keys(seed)[2])
        return Start(step, point, (*covered(setting.steps), *watched(point, setting.steps)))

    return build


_NUMBERS = {"depth": 3, "latent": 2, "critic": 5, "penalty": 0.1, "eta": 0.5}

WGAN = Experiment(
    key="wgan",
    source=GULRAJANI,
    title="The Wasserstein GAN on the ring of 8 Gaussians: clipping, gradient penalty, and the gradient-norm regulariser",
    text="Eight Gaussians on a circle, scaled to variance one in every coordinate; both players have three hidden layers of "
    "rectified units and He's weights; two latent coordinates. Clipping and gradient penalty are those of the authors' code "
    "for this data: five steps of the discriminator for one of the generator, each on a mini-batch of its own; RMSProp with "
    "weights clipped after each step, or Adam (0.5, 0.9) with the penalty's factor 0.1. The gradient norm with eta = 0.5 is "
    "that of Nagarajan and Kolter (2017), in this setting, with one step of each player. The small setting has narrower "
    "networks, larger steps and a wider bound.",
    arms={"clipping": _arm(_clipped), "gradient penalty": _arm(_penalised), "gradient norm": _arm(_regularised)},
    small=Setting(3000, (0, 1, 2), {**_NUMBERS, "width": 32, "batch": 128, "rate": 1e-3, "clipped_rate": 5e-4, "bound": 0.1}),
    full=Setting(
        100_000, (0, 1, 2), {**_NUMBERS, "width": 512, "batch": 256, "rate": 1e-4, "clipped_rate": 5e-5, "bound": 0.01}
    ),
    effects=(
        DISTANCE("clipping", "gradient penalty"),
        QUALITY("gradient penalty", "clipping"),
        MODES("gradient penalty", "clipping"),
        DISTANCE("clipping", "gradient norm"),
    ),
    curves=("modes_covered", "high_quality", "wasserstein2", "gradient.generator"),
    figure=samples,
)
