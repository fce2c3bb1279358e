"""The quality of samples: planted samples, closed forms, the small classifier and what it says of its own data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

import gandyn as gd
from gandyn.training._classifier import classified, classifier
from gandyn.training._data import Labelled, digits, ring
from gandyn.training._quality import ClassifierQuality, ModeCoverage, WassersteinDistance, frechet, score

KEY = jax.random.key(0)


class Planted(gd.AbstractMeasure):
    """A law that is drawn as it stands."""

    atoms: jax.Array

    @property
    def points(self):
        return self.atoms

    @property
    def weights(self):
        return jnp.full(len(self.points), 1 / len(self.points))

    def sample(self, key, count):
        return gd.Discrete(self.points)


def identity(theta, z):
    return z + theta.astype(z.dtype)


def judge(psi, x):
    return psi * jnp.sum(x)


NOWHERE = gd.Players(jnp.zeros(()), jnp.zeros(()))


def playing(real, made):
    """A game whose generator makes just these points."""
    return gd.GAN(identity, judge, real, made, gd.objectives.minimax)


# Modes


def test_modes_of_a_planted_sample():
    law = ring(4, 1.0, 0.1)
    centres = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    # On a mode, just within three deviations of the next, just beyond of the third, and none at the last.
    planted = centres[[0, 0, 0, 1, 2]] + np.array([[0.0, 0.0]] * 3 + [[0.0, 0.299], [0.301, 0.0]])
    found = ModeCoverage()(playing(law, Planted(jnp.asarray(planted))), NOWHERE, KEY)
    np.testing.assert_array_equal(found["mode_counts"], [3, 1, 0, 0])
    assert (int(found["modes_covered"]), float(found["high_quality"])) == (2, 4 / 5)
    # Deviations of one and of a tenth: (2, 0) is within three, (0, 2) is not.
    oval = gd.Gaussian([0.0, 0.0], [1.0, 0.01])
    found = ModeCoverage()(playing(oval, Planted(jnp.asarray([[2.0, 0.0], [0.0, 2.0]]))), NOWHERE, KEY)
    assert (int(found["modes_covered"]), float(found["high_quality"])) == (1, 0.5)


def test_the_data_cover_their_own_modes():
    law = ring(dtype=jnp.float32)
    found = ModeCoverage()(gd.Penalised(playing(law, law), gd.r1, 0.1), NOWHERE, KEY)
    share = 1 - np.exp(-9 / 2)
    assert int(found["modes_covered"]) == 8
    # Five deviations of a share of 2500.
    assert abs(float(found["high_quality"]) - share) < 5 * np.sqrt(share * (1 - share) / 2500)
    assert int(found["mode_counts"].sum()) == round(2500 * float(found["high_quality"]))


# Distances


def test_wasserstein_distance_of_a_translated_sample():
    points = jax.random.normal(KEY, (40, 2))
    gan = playing(Planted(points), Planted(points))
    shift = jnp.asarray([0.3, -0.4])
    # A translation is the cheapest plan, whatever its length.
    moved = WassersteinDistance()(gan, gd.Players(shift, jnp.zeros(())), KEY)
    np.testing.assert_allclose(moved["wasserstein2"], 0.5, rtol=1e-12)
    assert float(moved["wasserstein2_real"]) == 0.0
    assert np.isnan(WassersteinDistance()(gan, gd.Players(shift * jnp.nan, jnp.zeros(())), KEY)["wasserstein2"])


def test_wasserstein_distance_of_a_perfect_generator_is_that_of_two_samples():
    law = gd.Gaussian([0.0, 0.0], 1.0)
    seen = [WassersteinDistance(64)(playing(law, law), NOWHERE, key) for key in jax.random.split(KEY, 20)]
    ours, theirs = (np.array([each[name] for each in seen]) for name in ("wasserstein2", "wasserstein2_real"))
    # Equal in law: twenty of each, so that the means differ by less than five deviations.
    assert abs(ours.mean() - theirs.mean()) < 5 * np.sqrt((ours.var() + theirs.var()) / 20)
    assert min(*ours, *theirs) > 0.05


def with_moments(mean, root):
    """A sample whose mean and covariance are these to rounding: white noise made whiter."""
    noise = np.random.default_rng(0).normal(size=(30, len(mean)))
    noise -= noise.mean(axis=0)
    return noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise, rowvar=False))).T @ np.asarray(root).T + mean


def test_frechet_distance_of_gaussians():
    one, other = with_moments([1.0, 2.0], np.diag([3.0, 1.0])), with_moments([1.0, 0.0], np.diag([1.0, 0.5]))
    # Independent coordinates: the squared differences of means and of deviations.
    np.testing.assert_allclose(frechet(one, other), 4.0 + 4.0 + 0.25, rtol=1e-12)
    p, q = np.random.default_rng(1).normal(size=(2, 3, 3))
    general = np.trace(p @ p.T + q @ q.T - 2 * scipy.linalg.sqrtm(p @ p.T @ q @ q.T).real)
    np.testing.assert_allclose(frechet(with_moments(np.zeros(3), p), with_moments(np.ones(3), q)), 3 + general, rtol=1e-9)
    # All the same: the root of nothing is nothing.
    np.testing.assert_allclose(frechet(np.zeros((5, 2)), one), 5.0 + 10.0, rtol=1e-12)


def test_score_of_planted_probabilities():
    np.testing.assert_allclose(score(jnp.eye(7)), 7.0, rtol=1e-14)
    np.testing.assert_allclose(score(jnp.full((5, 7), 1 / 7)), 1.0, rtol=1e-14)
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=6)
    divergences = scipy.stats.entropy(p, p.mean(axis=0)[None], axis=1)
    np.testing.assert_allclose(score(jnp.asarray(p)), np.exp(divergences.mean()), rtol=1e-13)


# The classifier


@pytest.fixture(scope="module")
def data():
    return digits(dtype=jnp.float32)


@pytest.fixture(scope="module")
def trained(data):
    return classifier(data, KEY)


def test_the_classifier_knows_digits_it_has_not_seen(data, trained):
    assert float(trained.accuracy) > 0.95
    features, probabilities = classified(trained, data.images.points)
    assert (features.shape, probabilities.shape, features.dtype) == ((1797, 16), (1797, 10), jnp.float32)
    # All in all it is at least as good as on the fifth that was held out, within its deviation.
    right = float(jnp.mean(probabilities.argmax(axis=1) == data.labels))
    assert right > float(trained.accuracy) - 5 * np.sqrt(0.05 * 0.95 / 359)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_the_same_key_gives_the_same_classifier(data, trained):
    again = classifier(data, KEY)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_the_classifier_says_of_its_own_data(data, trained):
    images = data.images.points
    features, probabilities = (np.asarray(found, float) for found in classified(trained, images))
    classes = probabilities.argmax(axis=1)

    def quality(made):
        return ClassifierQuality(trained)(playing(Planted(images), Planted(made)), NOWHERE, KEY)

    every = quality(images)
    # Zero but for the rounding of variances, and never less; the same images are drawn for the baseline.
    np.testing.assert_allclose(every["classifier_frechet"], 0.0, atol=1e-12 * np.trace(np.cov(features.T)))
    assert every["classifier_score"] == every["classifier_score_real"]
    np.testing.assert_array_equal(every["class_counts"], np.bincount(classes, minlength=10))
    half = quality(images[classes < 5])
    assert (int(every["classes_covered"]), int(half["classes_covered"])) == (10, 5)
    assert float(half["classifier_score"]) < float(every["classifier_score"]) < 10
    alike = quality(jnp.repeat(images[:1], 9, axis=0))
    apart = np.sum((features[0] - features.mean(axis=0)) ** 2) + np.trace(np.cov(features.T))
    # Single precision, in which the images are classified.
    np.testing.assert_allclose(alike["classifier_frechet"], apart, rtol=1e-5)
    np.testing.assert_allclose([alike["classes_covered"], alike["classifier_score"]], [1, 1], rtol=1e-5)


# Refusals


class Duel(gd.AbstractGame):
    def losses(self, x):
        return x[0] * x[1], -x[0] * x[1]


LAW = gd.Gaussian([0.0, 0.0], 1.0, 2)
SLANTED = gd.Gaussian([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]])
REFUSED = {
    "a game without data": (lambda: WassersteinDistance()(Duel(), NOWHERE, KEY), "no gan inside Duel"),
    "data without modes": (
        lambda: ModeCoverage()(playing(gd.Uniform([0.0], [1.0]), LAW), NOWHERE, KEY),
        "mixture of Gaussians",
    ),
    "modes that are slanted": (lambda: ModeCoverage()(playing(SLANTED, LAW), NOWHERE, KEY), "coordinates are independent"),
    "too few labels": (
        lambda: classifier(Labelled(gd.Discrete(np.zeros((9, 1, 2, 2))), jnp.zeros(8, int)), KEY),
        "got 8 labels, 9 images",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
