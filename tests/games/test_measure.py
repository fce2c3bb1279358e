"""Measures: atoms, mixtures, products, convolutions, one's own, and what is refused."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn.games._measure import companion

# Moments of the normal law of mean 1 and variance 1/2, and those of the interval from -1/2 to 3/2.
NORMAL = (1.0, 1.0, 3 / 2, 5 / 2, 19 / 4)


def interval_moment(k):
    return (1.5 ** (k + 1) - (-0.5) ** (k + 1)) / (2 * (k + 1))


def test_atoms():
    sample = gd.Discrete([[1, 2], [3, 4]])
    assert sample.points.dtype == jnp.float64
    np.testing.assert_array_equal(sample.weights, [0.5, 0.5])
    assert float(gd.Discrete([1.0, 2.0], [0.25, 0.75]).expectation(lambda x: x**3)) == 6.25
    mean = sample.expectation(lambda x: {"first": x[0], "all": x})
    np.testing.assert_array_equal(mean["all"], [2.0, 3.0])
    assert mean["first"] == 2.0


def test_mixture():
    parts = (gd.Gaussian(1.0, 0.5, 6), gd.Uniform(-0.5, 1.5, 6), gd.Discrete([2.0]))
    mixture = gd.Mixture(parts, [0.5, 0.3, 0.2])
    x, p = np.asarray(mixture.points), np.asarray(mixture.weights)
    for k in range(5):
        exact = 0.5 * NORMAL[k] + 0.3 * interval_moment(k) + 0.2 * 2.0**k
        np.testing.assert_allclose(p @ x**k, exact, rtol=1e-12)
    np.testing.assert_array_equal(gd.Mixture(parts[:2]).proportions, [0.5, 0.5])


@pytest.mark.parametrize(
    "covariances", [(0.5, 0.1), ([0.5, 0.2], [0.1, 0.3]), ([[0.5, 0.2], [0.2, 0.4]], [[0.1, 0.0], [0.0, 0.3]])]
)
def test_samples_of_a_mixture_of_gaussians(covariances):
    law = gd.Mixture((gd.Gaussian([1.0, 0.0], covariances[0], 3), gd.Gaussian([-2.0, 1.0], covariances[1], 3)), [0.7, 0.3])
    sample = law.sample(jax.random.key(0), 20_000)
    powers = lambda x: (x, jnp.outer(x, x), x**3)
    drawn, squares = sample.expectation(powers), sample.expectation(lambda x: [moment**2 for moment in powers(x)])
    for moment, square, exact in zip(drawn, squares, law.expectation(powers), strict=True):
        assert np.all(np.abs(moment - exact) < 5 * np.sqrt((square - moment**2) / 20_000))


def test_a_mixture_of_gaussians_draws_each_number_once():
    law = gd.Mixture(tuple(gd.Gaussian([float(i), 0.0], 0.5) for i in range(8)))
    drawn = jax.make_jaxpr(lambda key: law.sample(key, 100).points)(jax.random.key(0))
    assert max(v.aval.size for equation in drawn.eqns for v in equation.outvars) == 200


def test_product_is_independent():
    product = gd.Product((gd.Uniform(-0.5, 1.5, 4), gd.Gaussian([1.0, 0.0], 0.5, 4), gd.Discrete([3.0])))
    assert product.points.shape == (64, 4)
    x, p = np.asarray(product.points), np.asarray(product.weights)
    for i, j in itertools.product(range(4), repeat=2):
        exact = interval_moment(i) * NORMAL[j] * 3.0
        np.testing.assert_allclose(p @ (x[:, 0] ** i * x[:, 1] ** j * x[:, 3]), exact, rtol=1e-12)


def test_convolution_adds_independent_points():
    total = gd.Convolution(gd.Uniform(-0.5, 1.5, 5), gd.Gaussian(1.0, 0.5, 5))
    assert total.points.shape == (25,)
    x, p = np.asarray(total.points), np.asarray(total.weights)
    for k in range(5):
        exact = sum(math.comb(k, i) * interval_moment(i) * NORMAL[k - i] for i in range(k + 1))
        np.testing.assert_allclose(p @ x**k, exact, rtol=1e-12)
    plane = gd.Convolution(gd.Discrete([[0.0, 1.0], [2.0, 3.0]]), gd.Discrete([[10.0, 20.0]]))
    np.testing.assert_array_equal(plane.points, [[10.0, 21.0], [12.0, 23.0]])


def test_exact_sums_have_no_error():
    atoms = gd.Discrete([0.1, 0.7])
    for measure in (atoms, gd.Product((atoms, atoms)), gd.Mixture((atoms, atoms)), gd.Convolution(atoms, atoms)):
        assert np.all(np.asarray(measure.error(jnp.exp)) == 0.0)
    mixture = gd.Mixture((atoms, gd.Uniform(-1.0, 1.0, 2)))
    assert float(mixture.error(jnp.exp)) > 0.0


def test_a_system_has_a_companion_where_it_has_quadratures():
    assert companion(gd.games.dirac()) is None
    other = companion(gd.Penalised(gd.games.uniform(order=4), gd.r1, 0.3))
    assert (other.game.real.order, other.game.latent.order) == (7, 7)
    assert other.weight == 0.3


@pytest.mark.parametrize(
    "law",
    [
        lambda t: gd.Gaussian(t, t, 3),
        lambda t: gd.Uniform(-t, t, 3),
        lambda t: gd.Discrete(jnp.stack([t, 2 * t])),
        lambda t: gd.Mixture((gd.Discrete(t[None]), gd.Discrete(2 * t[None])), jnp.stack([t, 1 - t])),
    ],
)
def test_parameters_may_be_traced_and_types_stay(law):
    points, weights = eqx.filter_jit(lambda t: (law(t).points, law(t).weights))(jnp.float32(0.5))
    assert points.dtype == weights.dtype == jnp.float32
    lanes = jax.vmap(lambda t: law(t).points)(jnp.array([0.5, 0.25]))
    np.testing.assert_allclose(lanes[0], points, rtol=1e-6)


class Thirds(gd.AbstractMeasure):
    """A measure of one's own: two points and their weights."""

    centre: jax.Array

    @property
    def points(self):
        return self.centre + jnp.array([-1.0, 2.0])

    @property
    def weights(self):
        return jnp.array([2.0, 1.0]) / 3


def test_a_measure_of_ones_own():
    law = Thirds(jnp.array(0.5))
    np.testing.assert_allclose(law.expectation(lambda x: x), 0.5, rtol=1e-15)
    np.testing.assert_allclose(gd.Convolution(law, gd.Gaussian(0.0, 1.0, 3)).expectation(lambda x: x**2), 3.25, rtol=1e-14)
    assert float(law.error(jnp.exp)) == 0.0
    with pytest.raises(TypeError, match="abstract"):
        gd.AbstractMeasure()


# Refusals

NAN = float("nan")
REFUSED = {
    "a single number": (lambda: gd.Discrete(1.0), r"shape \(n, \*event\)"),
    "too few weights": (lambda: gd.Discrete([1.0, 2.0], [1.0]), "2 weights are needed"),
    "negative weights": (lambda: gd.Discrete([1.0, 2.0], [1.5, -0.5]), "must not be negative"),
    "NaN weights": (lambda: gd.Discrete([1.0, 2.0], [NAN, 1.0]), "must not be negative"),
    "a sum of two": (lambda: gd.Discrete([1.0, 2.0], [1.0, 1.0]), "must sum to 1; they sum to 2"),
    "bounds of two shapes": (lambda: gd.Uniform(0.0, [1.0]), "two scalars or two vectors"),
    "bounds as matrices": (lambda: gd.Uniform([[0.0]], [[1.0]]), "two scalars or two vectors"),
    "bounds that cross": (lambda: gd.Uniform([0.0, 1.0], [1.0, 1.0]), "low must lie below high"),
    "a NaN bound": (lambda: gd.Uniform(NAN, 1.0), "low must lie below high"),
    "no nodes": (lambda: gd.Uniform(0.0, 1.0, 0), "no usable tensor rule"),
    "too many nodes": (lambda: gd.Uniform(np.zeros(6), np.ones(6)), "no usable tensor rule"),
    "a negative variance": (lambda: gd.Gaussian(0.0, -1.0), "a variance must not be negative"),
    "a NaN variance": (lambda: gd.Gaussian(0.0, NAN), "a variance must not be negative or NaN"),
    "one negative variance": (lambda: gd.Gaussian([0.0, 0.0], [1.0, -1.0]), "a variance must not be negative"),
    "shapes that differ": (lambda: gd.Gaussian([0.0, 0.0], [1.0]), "a mean of shape"),
    "a matrix for a scalar": (lambda: gd.Gaussian(0.0, [[1.0]]), "a mean of shape"),
    "an asymmetric matrix": (lambda: gd.Gaussian([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]), "must be symmetric"),
    "an indefinite matrix": (lambda: gd.Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "smallest eigenvalue is -1"),
    "a singular matrix": (lambda: gd.Gaussian([0.0, 0.0], np.ones((2, 2))), "must be positive definite"),
    "a NaN matrix": (lambda: gd.Gaussian([0.0, 0.0], np.full((2, 2), NAN)), "covariance matrix must be"),
    "order zero": (lambda: gd.Gaussian(0.0, 1.0, 0), "no rule of order 0 in 1 dimensions"),
    "an order without a cubature": (lambda: gd.Gaussian(np.zeros(5), 1.0, 4), "no rule of order 4 in 5 dimensions"),
    "too many Hermite nodes": (lambda: gd.Gaussian(np.zeros(3), 1.0, 120), "no rule of order 120 in 3 dimensions"),
    "an order that overflows": (lambda: gd.Gaussian(0.0, 1.0, 400), "no rule of order 400 in 1 dimensions"),
    "an empty mixture": (lambda: gd.Mixture(()), "points of one shape"),
    "components of two shapes": (
        lambda: gd.Mixture((gd.Discrete([1.0]), gd.Discrete([[1.0]]))),
        "points of one shape",
    ),
    "bad proportions": (lambda: gd.Mixture((gd.Discrete([1.0]),) * 2, [0.5, 0.6]), "Mixture: weights must sum to 1"),
    "an empty product": (lambda: gd.Product(()), "at least one factor"),
    "a sum of a number and a pair": (
        lambda: gd.Convolution(gd.Discrete([1.0]), gd.Discrete([[1.0, 2.0]])),
        "points of one shape",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
