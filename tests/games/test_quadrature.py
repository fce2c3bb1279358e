"""Quadrature rules against closed forms: degrees of exactness, error estimates, derivatives."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gandyn as gd


def gaussian_moment(k, mean, variance):
    """Stein's recursion for E x^k."""
    moments = [1.0, mean]
    for i in range(2, k + 1):
        moments.append(mean * moments[i - 1] + (i - 1) * variance * moments[i - 2])
    return moments[k]


def uniform_moment(k, low, high):
    return (high ** (k + 1) - low ** (k + 1)) / ((k + 1) * (high - low))


# A Gauss rule of order q misses the monic polynomial of degree 2q by the squared norm of the orthogonal one of degree q.
GAUSS = {
    "gaussian": (
        lambda q: gd.Gaussian(0.4, 1.7, q),
        lambda k: gaussian_moment(k, 0.4, 1.7),
        lambda q: math.factorial(q) * 1.7**q,
    ),
    "uniform": (
        lambda q: gd.Uniform(-0.6, 1.8, q),
        lambda k: uniform_moment(k, -0.6, 1.8),
        lambda q: 1.2 ** (2 * q) * 4**q * math.factorial(q) ** 4 / ((2 * q + 1) * math.factorial(2 * q) ** 2),
    ),
}


@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize(("law", "moment", "missed"), GAUSS.values(), ids=GAUSS)
def test_degree_of_exactness(law, moment, missed, order):
    measure = law(order)
    assert measure.points.shape == measure.weights.shape == (order,)
    # Up to degree 2q - 1 only rounding is left, relative to the absolute moment.
    x, p = np.asarray(measure.points), np.asarray(measure.weights)
    for k in range(2 * order):
        assert abs(p @ x**k - moment(k)) <= 1e-13 * max(p @ np.abs(x) ** k, 1.0)
    found = float(measure.expectation(lambda x: x ** (2 * order)))
    np.testing.assert_allclose(moment(2 * order) - found, missed(order), rtol=1e-10)


def covariance(kind, d, rng):
    if kind == "scalar":
        return 1.3, 1.3 * np.eye(d)
    if kind == "diagonal":
        variances = rng.uniform(0.2, 2.0, d)
        return variances, np.diag(variances)
    root = rng.normal(size=(d, d))
    matrix = root @ root.T + 0.1 * np.eye(d)
    return matrix, matrix


# Order by dimension: Gauss-Hermite of order 3 up to three dimensions, both cubatures beyond.
RULES = [(1, 3), (2, 3), (3, 3), *itertools.product((4, 5, 6, 7, 8), (2, 3))]


@pytest.mark.parametrize("kind", ["scalar", "diagonal", "full"])
@pytest.mark.parametrize(("d", "order"), RULES)
def test_gaussian_moments_in_any_dimension(d, order, kind):
    rng = np.random.default_rng(d)
    given_covariance, sigma = covariance(kind, d, rng)
    mean, u, w = rng.normal(size=(3, d))
    measure = gd.Gaussian(mean, given_covariance, order)
    x, p = np.asarray(measure.points) - mean, np.asarray(measure.weights)
    s = u @ sigma @ u
    # Projections are normal: odd moments vanish, and Isserlis gives the fourth. Tolerances are sums' rounding.
    np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-14)
    np.testing.assert_allclose(p @ (x @ u), 0.0, atol=1e-13 * s)
    np.testing.assert_allclose(np.einsum("n,ni,nj->ij", p, x, x), sigma, atol=1e-13 * np.abs(sigma).max())
    np.testing.assert_allclose(p @ (x @ u) ** 3, 0.0, atol=1e-12 * s**1.5)
    fourth = p @ ((x @ u) ** 2 * (x @ w) ** 2)
    isserlis = s * (w @ sigma @ w) + 2 * (u @ sigma @ w) ** 2
    if order == 3:
        np.testing.assert_allclose(fourth, isserlis, rtol=1e-12)
        np.testing.assert_allclose(p @ (x @ u) ** 5, 0.0, atol=1e-11 * s**2.5)
    else:
        assert abs(fourth - isserlis) > 1e-3 * isserlis
    assert len(p) == (order**d if d <= 3 else {2: 2 * d, 3: 2 * d * d + 1}[order])


def test_default_orders():
    assert gd.Gaussian(0.0, 1.0).points.shape == (20,)
    assert gd.Gaussian(jnp.zeros(2), 1.0).points.shape == (400, 2)
    assert gd.Gaussian(jnp.zeros(4), 1.0).points.shape == (8, 4)
    assert gd.Uniform(jnp.zeros(2), jnp.ones(2)).points.shape == (400, 2)


def test_a_box_is_integrated_by_coordinates():
    low, high = np.array([-1.0, 0.5]), np.array([2.0, 0.75])
    box = gd.Uniform(low, high, 4)
    x, p = np.asarray(box.points), np.asarray(box.weights)
    for i, j in itertools.product(range(8), repeat=2):
        exact = uniform_moment(i, low[0], high[0]) * uniform_moment(j, low[1], high[1])
        np.testing.assert_allclose(p @ (x[:, 0] ** i * x[:, 1] ** j), exact, rtol=1e-13)


def test_zero_variances_leave_a_lower_dimensional_law():
    line = gd.Gaussian([1.0, -2.0], [0.5, 0.0], 5)
    np.testing.assert_array_equal(line.points[:, 1], -2.0)
    np.testing.assert_allclose(line.expectation(lambda x: x[0] ** 2), 1.5, rtol=1e-14)


PAIRS = list(itertools.combinations_with_replacement(["scalar", "diagonal", "full"], 2))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_gaussians_convolve_to_a_gaussian(one, other):
    rng = np.random.default_rng(0)
    (a, sigma), (b, tau) = covariance(one, 2, rng), covariance(other, 2, rng)
    total = gd.Convolution(gd.Gaussian([1.0, 2.0], a, 3), gd.Gaussian([0.5, 0.0], b, 4))
    assert total.points.shape == (16, 2)
    x, p = np.asarray(total.points) - [1.5, 2.0], np.asarray(total.weights)
    np.testing.assert_allclose(np.einsum("n,ni,nj->ij", p, x, x), sigma + tau, atol=1e-13 * np.abs(sigma + tau).max())


# Errors of quadratures


@given(st.floats(0.3, 2.0), st.floats(-3.0, 3.0), st.sampled_from([3, 5, 8]))
def test_error_estimates_bound_the_error_of_smooth_integrands(frequency, phase, order):
    def wave(x):
        return jnp.cos(frequency * x + phase)

    uniform = gd.Uniform(-1.0, 1.0, order), math.sin(frequency) / frequency
    gaussian = gd.Gaussian(0.0, 1.0, order), math.exp(-(frequency**2) / 2)
    for measure, factor in (uniform, gaussian):
        actual = abs(float(measure.expectation(wave)) - math.cos(phase) * factor)
        # The companion rule is finer and errs by less than half as much where the wave is resolved; rounding.
        assert actual <= 2 * float(measure.error(wave)) + 1e-14


@pytest.mark.parametrize("order", [4, 5, 10, 21, 40])
def test_error_estimates_have_the_size_of_the_error_at_a_kink(order):
    # At one kink two rules may agree by accident, so it is the mean over positions that the estimate must get right.
    kinks = jnp.linspace(-0.8, 0.8, 41)

    def cusp(x):
        return jnp.abs(x - kinks)

    uniform = gd.Uniform(-1.0, 1.0, order), (1 + kinks**2) / 2
    normal = 2 * jax.scipy.stats.norm.pdf(kinks) + kinks * jax.scipy.special.erf(kinks / 2**0.5)
    for measure, value in (uniform, (gd.Gaussian(0.0, 1.0, order), normal)):
        actual, estimated = jnp.abs(measure.expectation(cusp) - value), measure.error(cusp)
        assert 0.5 <= float(jnp.linalg.norm(estimated) / jnp.linalg.norm(actual)) <= 3.0


def test_the_largest_rules_have_companions_too():
    for measure in (gd.Uniform(np.zeros(3), np.ones(3), 80), gd.Gaussian(0.0, 1.0, 300)):
        assert measure.companion().points.shape[0] < measure.points.shape[0]
        np.testing.assert_allclose(measure.weights.sum(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("d", [4, 6, 8])
def test_cubatures_judge_each_other(d):
    direction = np.random.default_rng(d).normal(size=d) / d

    def growth(x):
        return jnp.exp(jnp.vdot(direction, x))

    coarse, fine = (gd.Gaussian(np.zeros(d), 1.0, order) for order in (2, 3))
    exact = math.exp(direction @ direction / 2)
    assert abs(float(coarse.expectation(growth)) - exact) <= 2 * float(coarse.error(growth))
    assert abs(float(fine.expectation(growth)) - exact) <= float(fine.error(growth))


# Parameters


def test_derivatives_with_respect_to_parameters():
    def tilted(m, s, a, b):
        e = [law.expectation(jnp.exp) for law in (gd.Gaussian(m, s, 30), gd.Uniform(a, b, 20))]
        return e[0] + e[1]

    m, s, a, b = at = (0.3, 0.8, -0.5, 1.5)
    found = jax.grad(tilted, argnums=(0, 1, 2, 3))(*at)
    normal, mean = math.exp(m + s / 2), (math.exp(b) - math.exp(a)) / (b - a)
    exact = [normal, normal / 2, (mean - math.exp(a)) / (b - a), (math.exp(b) - mean) / (b - a)]
    np.testing.assert_allclose(found, exact, rtol=1e-13)


@pytest.mark.parametrize("d", [2, 5])
def test_derivatives_with_respect_to_a_covariance(d):
    rng = np.random.default_rng(d)
    matrix, turn = covariance("full", d, rng)[0], rng.normal(size=(d, d))
    direction, mean, moved = turn + turn.T, rng.normal(size=d), rng.normal(size=d)

    @jax.jit
    def value(t):
        law = gd.Gaussian(mean + t * moved, matrix + t * direction)
        return law.expectation(lambda x: jnp.cos(jnp.sum(x) / 5))

    step = 1e-5
    slope = (value(step) - value(-step)) / (2 * step)
    # A central difference errs by about step^2 and eps / step, 1e-10 each.
    np.testing.assert_allclose(jax.grad(value)(0.0), slope, rtol=1e-7, atol=1e-9)
