"""The discriminator fixed after training, the generator going on: Farnia and Ozdaglar's test for a Nash equilibrium."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
from jaxtyping import Array, Key, PyTree, Scalar

import gandyn as gd
from gandyn.training import Batches, Classifier, ClassifierQuality, Every

from ..claims._claim import FARNIA_OZDAGLAR
from ._experiment import Effect, Experiment, Run, Setting, Start
from ._images import dense, known, proximal, spectral, trained

Objective = Callable[[gd.GAN, Setting], gd.AbstractGame]
_POINTS = 20


class Foreseen(gd.AbstractGame):
    """The proximal game with the inner maximum of proximal training, which only comes near it.

    Args:
        training: The field of proximal training.
    """

    training: gd.ProximalTraining

    def losses(self, x: PyTree) -> tuple[Scalar, Scalar]:
        """Those after the inner steps."""
        return self.training.losses(x)


class Pursued(eqx.Module):
    """What the generator gains against the discriminator of a moment, which is fixed, on one sample.

    Args:
        game: The game, its laws those of the sample.
        classifier: What looks at the images before and after.
        steps: How many steps of Adam it makes.
        rate: Their size.
    """

    game: gd.AbstractGame
    classifier: Classifier
    steps: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)

    def __call__(self, step: gd.AbstractMap, state: PyTree, key: Key[Array, ""]) -> dict[str, Any]:
        """`pursued`, the generator's loss on the way; its `fall`; and `score` of the images, `before` and `after`."""
        x = step.point(state)
        method = partial(gd.Optax, factory=optax.adam, learning_rate=self.rate, b1=0.5)
        found = gd.keep_optimising(self.game, x, self.steps, method=method, points=_POINTS, throw=False)
        judge, quality = ClassifierQuality(self.classifier), "classifier_score"
        before, after = (judge(self.game, point, key)[quality] for point in (x, found.final))
        return {"pursued": found.loss, "fall": found.gain, "score_before": before, "score_after": after}


def _plain(gan: gd.GAN, setting: Setting) -> gd.AbstractGame:
    return gan


def _proximal(gan: gd.GAN, setting: Setting) -> gd.AbstractGame:
    return Foreseen(proximal(gan, setting))


def _arm(objective: Objective) -> Callable[[Setting, int, Any], Start]:
    train = trained(spectral(dense("shallow")), lambda gan, setting: gan)

    def build(setting: Setting, seed: int, dtype: Any) -> Start:
        start = train(setting, seed, dtype)
        gan = start.step.map.flow
        # One sample for all seeds: what differs is the training.
        drawn = Batches(setting.sample)(jax.random.key(0), gan)
        pursued = Pursued(objective(drawn, setting), known(setting.data, dtype)[1], setting.goes_on, setting.rate)
        return start._replace(metrics=(*start.metrics, Every(setting.steps, pursued)))

    return build


def _fall(run: Run) -> float:
    return run.last("fall")


def _lost(run: Run) -> float:
    return run.last("score_before") - run.last("score_after")


def _way(run: Run, ax: Any) -> Any:
    """The generator's loss while it goes on alone."""
    losses = np.asarray(run.training.curves["pursued"].values)[-1]
    ax.plot(np.linspace(0.0, 1.0, losses.size), losses)
    ax.set(xlabel="the generator's way alone, as a share of all its steps", ylabel="its loss")
    return ax


FIXED = Experiment(
    key="fixed-discriminator",
    source=FARNIA_OZDAGLAR,
    title="The trained discriminator fixed, the generator going on: on the plain and on the proximal objective",
    text="Fully connected players, the discriminator's weights divided by their exact largest singular values, are trained "
    "plainly by simultaneous Adam with beta1 = 0.5 on the saturating zero-sum objective, in both arms alike. Then the "
    "discriminator is fixed and the generator goes on by Adam on one sample, on the plain objective or on the proximal one, "
    "whose discriminator answers by some steps in reach of the fixed one (Sobolev norm). At a Nash equilibrium, or a proximal "
    "one, the loss does not fall; a fall of the second is no proof, because finitely many inner steps answer too little. The "
    "authors' data are larger images; price, number and size of the inner steps are our own.",
    arms={"plain": _arm(_plain), "proximal": _arm(_proximal)},
    small=Setting(
        600,
        (0, 1, 2),
        {"data": "digits", "width": 32, "shallow": 2, "latent": 16, "batch": 64, "rate": 1e-3}
        | {"lam": 0.1, "ahead": 5, "inner": 0.2, "sample": 128, "goes_on": 100},
    ),
    full=Setting(
        50_000,
        (0, 1, 2),
        {"data": "mnist", "width": 512, "shallow": 3, "latent": 128, "batch": 64, "rate": 1e-4}
        | {"lam": 0.1, "ahead": 10, "inner": 0.2, "sample": 1024, "goes_on": 2000},
    ),
    effects=(
        Effect("fall of the generator's loss after the discriminator is fixed", _fall, "plain", "proximal"),
        Effect("fall of the classifier's score of the images after the discriminator is fixed", _lost, "plain", "proximal"),
    ),
    curves=("classifier_score", "classifier_frechet", "classes_covered"),
    figure=_way,
)
