"""The digits: what the arms are made of, that they move, and the word for a cell of the table."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.experiments import _images
from gandyn.experiments._experiment import Effect, Run, Setting, Start, judge
from gandyn.experiments._images import ARCHITECTURES, PROXIMAL, TABLE, fate

TINY = {"width": 4, "deep": 2, "channels": 4, "latent": 3, "batch": 4, "ahead": 1}


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """The images with a classifier that nobody trained: no test here asks what it thinks."""
    data = gd.training.digits(dtype=jnp.float32), gd.training.Classifier(eqx.nn.Sequential([]), jnp.zeros(()))
    monkeypatch.setattr(_images, "known", lambda name, dtype: data)


def count(point):
    return sum(leaf.size for leaf in jax.tree.leaves(point))


@pytest.mark.parametrize(
    ("experiment", "arm"),
    [(TABLE, "consensus, convolutional group"), (PROXIMAL, "proximal")],
    ids=["consensus", "proximal"],
)
def test_three_steps_move_every_player_and_stay_finite(experiment, arm):
    small = Setting(3, (0,), {**experiment.small.numbers, **TINY})
    start = experiment.arms[arm](small, 0, jnp.float32)
    run = gd.training.train(start.step, start.step.init(start.point), 3, progress=False)
    end = start.step.point(run.state)
    assert run.step == 3
    for before, after in zip(start.point, end, strict=True):
        moved = [float(jnp.max(jnp.abs(a - b))) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)]
        assert np.all(np.isfinite(moved))
        assert max(moved) > 0


def test_the_full_networks_have_the_parameters_of_their_sizes():
    # By hand: a layer has (inputs + 1) * outputs numbers, a convolution kernel^2 * in * out + out, a norm two for each of its
    # elements (layer) or channels (group).
    pixels, full = 28 * 28, TABLE.full

    def counted(name):
        one, two = jax.random.split(jax.random.key(0))
        generator, discriminator = ARCHITECTURES[name](full, (1, 28, 28), one, two, jnp.float32)
        return count(gd.network(generator)[0]), count(gd.network(discriminator)[0])

    hidden = 257 * 256
    assert counted("dense") == (129 * 256 + hidden + 257 * pixels, (pixels + 1) * 256 + hidden + 257)
    norms = 6 * 2 * 256
    assert counted("deep dense layer") == (
        129 * 256 + 5 * hidden + 257 * pixels + norms,
        (pixels + 1) * 256 + 5 * hidden + 257 + norms,
    )
    # 28 -> 14 -> 7, which is odd and stays: 64, 128 and 128 channels.
    widths = [(16, 1, 64), (16, 64, 128), (9, 128, 128)]
    kernels = sum(size * inputs * outputs for size, inputs, outputs in widths)
    head = math.prod((128, 7, 7))
    assert counted("convolutional spectral") == (
        129 * head + kernels + 128 + 64 + 1,
        kernels + 64 + 128 + 128 + head + 1,
    )
    grouped = counted("convolutional group")
    assert grouped[1] == kernels + 64 + 128 + 128 + head + 1 + 2 * (64 + 128 + 128)


def ended(score, covered, result=gd.RESULTS.successful):
    steps = jnp.arange(5)
    values = {"classifier_score": score, "classifier_score_real": 9.0, "classes_covered": covered}
    curves = {name: gd.training.Curve(steps, jnp.full(5, value)) for name, value in values.items()}
    curves["class_counts"] = gd.training.Curve(steps, jnp.zeros((5, 10), int))
    return Run(Start(None, None, ()), gd.training.Training(None, jnp.asarray(4), curves, result))


def test_a_cell_survives_collapses_blurs_or_diverges():
    assert fate(ended(4.6, 10)) == "survives"
    assert fate(ended(4.4, 10)) == "blurred"
    assert fate(ended(1.5, 2)) == "collapsed"
    assert fate(ended(9.0, 10, gd.RESULTS.nonfinite)) == "diverged"


def test_an_effect_of_several_arms_is_that_of_their_mean():
    scores = {"a, one": 4.0, "a, two": 1.0, "b, one": 1.0, "b, two": 2.0, "ab": 7.0}
    runs = {(arm, 0): ended(score, 10) for arm, score in scores.items()}
    found = judge(Effect("score", lambda run: run.last("classifier_score"), "a", "b"), runs, (0,))
    assert (found.more, found.less) == (2.5, 1.5)
