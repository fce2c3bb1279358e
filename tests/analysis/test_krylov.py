"""Leading eigenvalues by products, beside those of the matrix; what may be concluded from a few of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd
from gandyn.analysis._certificate import extremes

N = 30


def game(a, b, seed=0):
    """A quadratic game of 2N numbers with curvatures between zero and `a`, `b`."""
    rng = np.random.default_rng(seed)
    first, second = (np.diag(c * rng.uniform(0.1, 1.0, N) if c else np.zeros(N)) for c in (a, b))
    return gd.games.quadratic(first, rng.normal(size=(N, N)) / np.sqrt(N), second)


ORIGIN = gd.Players(jnp.zeros(N), jnp.zeros(N))


def eigenvalues(system, x):
    return np.linalg.eigvals(np.asarray(gd.linearize(system, x).as_matrix()))


@pytest.fixture(scope="module")
def network():
    keys = jax.random.split(jax.random.key(0), 4)
    weights, generator = gd.network(eqx.nn.MLP(2, 2, 5, 1, jax.nn.tanh, key=keys[0]))
    others, critic = gd.network(eqx.nn.MLP(2, "scalar", 8, 1, jax.nn.tanh, key=keys[1]))
    real, latent = (gd.Discrete(jax.random.normal(key, (16, 2))) for key in keys[2:])
    return gd.GAN(generator, critic, real, latent, gd.objectives.minimax), gd.Players(weights, others)


def test_the_rightmost_of_a_network_agree_with_the_dense_ones(network):
    found = gd.stability(*network, spectrum=gd.Arnoldi(4), throw=False)
    dense = eigenvalues(*network)
    # Conjugates are equally far right, so that only real parts can be compared in order.
    np.testing.assert_allclose(found.eigenvalues.real, np.sort(dense.real)[::-1][:4], rtol=1e-8)
    matrix = np.asarray(gd.linearize(*network).as_matrix())
    for value, vector, residual in zip(found.eigenvalues, found.pairs.vectors, found.pairs.residuals, strict=True):
        np.testing.assert_allclose(np.linalg.norm(matrix @ vector - value * vector), residual, atol=1e-14)
        assert np.min(np.abs(dense - value)) < 1e-12
    np.testing.assert_allclose(found.pairs.shares.sum(axis=1), 1.0, rtol=1e-12)
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(player)) for player in network[1]]
    vectors = np.asarray(found.pairs.vectors)
    np.testing.assert_allclose(found.pairs.shares[:, 0], np.sum(np.abs(vectors[:, : sizes[0]]) ** 2, axis=1), rtol=1e-12)
    # The start of training is no equilibrium: the spectrum is given, a verdict is not.
    assert found.verdict == "failed"
    assert found.result == gd.RESULTS.not_stationary


@pytest.mark.parametrize(("a", "b", "verdict"), [(2.0, 2.0, "stable"), (-1.0, 0.5, "unstable"), (0.0, 0.0, "undecided")])
def test_a_flow(a, b, verdict):
    system = game(a, b)
    found, dense = gd.stability(system, ORIGIN, spectrum=gd.Arnoldi(6)), eigenvalues(system, ORIGIN).real.max()
    assert found.verdict == verdict
    np.testing.assert_allclose(found.growth, dense, atol=1e-12)
    assert found.floor <= dense <= found.bound
    assert "6 of 60 eigenvalues" in str(found)


@pytest.mark.parametrize(("a", "b", "verdict"), [(2.0, 2.0, "stable"), (0.0, 0.0, "unstable"), (2.0, 0.0, "undecided")])
def test_a_map(a, b, verdict):
    step = gd.SimGD(game(a, b), 0.05)
    found, dense = gd.stability(step, ORIGIN, spectrum=gd.Arnoldi(6)), np.abs(eigenvalues(step, ORIGIN)).max()
    assert found.verdict == verdict
    np.testing.assert_allclose(found.rate, dense, rtol=1e-12)
    assert found.floor <= np.log(dense) <= found.bound


@pytest.mark.parametrize(("generator", "verdict"), [(0.0, "stable"), (1e-3, "undecided"), (-1e-3, "undecided")])
def test_a_spectrum_along_the_imaginary_axis_is_not_called_stable_for_its_ritz_values(generator, verdict):
    # 600 numbers, one curvature in a hundred: all other modes lie near the axis, and the numerical abscissa is zero. The
    # generator's curvatures, of either sign, move the modes, and leave no certificate.
    rng = np.random.default_rng(0)
    curvature = np.where(np.arange(300) % 100 == 0, 1.0, 1e-4 * rng.uniform(size=300))
    own = generator * np.diag(rng.uniform(size=300))
    own[0, 0] = 0.0
    system = gd.games.quadratic(own, np.diag(rng.uniform(0.5, 2.0, 300)), np.diag(curvature))
    x = gd.Players(jnp.zeros(300), jnp.zeros(300))
    dense = eigenvalues(system, x).real.max()
    # What converges loosely is no leading mode, and Lanczos's largest Ritz value lies below the numerical abscissa.
    found = gd.stability(system, x, spectrum=gd.Arnoldi(2, basis=20, tolerance=1e-2))
    assert found.verdict == verdict
    assert found.floor <= dense <= found.bound
    if generator == 0.0:
        # Krylov's method is thousands of times too fast, and the pencil right to a few per cent.
        assert found.growth < 1000 * dense
        assert dense == pytest.approx(-1.5e-8, rel=0.01)
        np.testing.assert_allclose(found.bound, dense, rtol=0.05)
    with pytest.raises(RuntimeError, match="No eigenvalue converged"):
        gd.stability(system, x, spectrum=gd.Arnoldi(6, basis=20, restarts=5))


def test_the_bound_on_a_symmetric_operator_is_above_its_largest_eigenvalue():
    # A cluster at the top whose last member a residual would miss.
    values = np.concatenate([np.linspace(-1.0, 0.0, 900), 1e-6 * np.linspace(0.0, 1.0, 100)])
    bounds = np.array([extremes(lambda v: values * v, 1000, seed) for seed in range(5)])
    assert np.all(bounds[:, 0] < -1.0)
    assert np.all(bounds[:, 1] > 1e-6)
    # The share of the width that 200 steps leave open.
    assert np.all(bounds[:, 1] < 2 * (np.log(1.648 * 1000**0.5 / 1e-10) / 399) ** 2)
    # Few eigenvalues are all found.
    few = np.repeat([-2.0, -1.0, -0.5], 200)
    np.testing.assert_allclose(extremes(lambda v: few * v, 600, 0), [-2.0, -0.5], rtol=1e-12)


def test_an_equilibrium_known_roughly_has_a_larger_error():
    step = gd.SimGD(gd.games.linear(mean=(0.5,) * 5, sigma=0.7), 0.1)
    exact = gd.Players(jnp.full(5, 0.5), jnp.zeros(5))
    near = gd.Players(jnp.full(5, 0.5), jnp.full(5, 1e-9))
    errors = [gd.stability(step, x, spectrum=gd.Arnoldi(3)).pairs.errors.max() for x in (exact, near)]
    moved = np.abs(eigenvalues(step, near) - eigenvalues(step, exact)).max()
    assert errors[1] > 100 * errors[0]
    assert errors[1] > moved


def test_numbers_that_are_no_coordinates_are_left_out():
    # Injected hyperparameters stay as they are, which would be multipliers one.
    step = gd.Optax(game(2.0, 2.0), optax.sgd, learning_rate=0.1, momentum=0.5)
    state = step.init(ORIGIN)
    found = gd.stability(step, state, spectrum=gd.Arnoldi(4))
    np.testing.assert_allclose(found.rate, gd.stability(step, state).rate, rtol=1e-10)


def test_single_precision():
    system, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (game(-1.0, 0.5), ORIGIN))
    found = gd.stability(system, x, spectrum=gd.Arnoldi(3))
    assert found.verdict == "unstable"
    # Sixty coordinates, whose products are each known to a single rounding.
    np.testing.assert_allclose(found.growth, eigenvalues(system, x).real.max(), rtol=60 * np.finfo(np.float32).eps)


def test_what_is_asked_for_has_to_exist():
    with pytest.raises(ValueError, match=r"count \+ 3 = 7"):
        gd.Arnoldi(4, basis=5)
    with pytest.raises(ValueError, match="at least one"):
        gd.Arnoldi(0)
    with pytest.raises(ValueError, match=r"n = 2.*gd\.Dense"):
        gd.stability(gd.games.dirac(), gd.Players(0.0, 0.0), spectrum=gd.Arnoldi(1))
    flat, x = gd.games.quadratic(0.0, np.zeros((N, N)), np.eye(N)), ORIGIN
    modulo = gd.manifold(flat, x)
    with pytest.raises(ValueError, match="modulo"):
        gd.stability(flat, x, modulo=modulo, spectrum=gd.Arnoldi(1))


def test_pairs_at_any_point(network):
    # Of a map: its multipliers, the largest first, and those farthest right on demand.
    step = gd.SimGD(network[0], 0.1)
    dense = 1 + 0.1 * eigenvalues(*network)
    every = gd.eigenpairs(step, network[1], spectrum=gd.Dense())
    np.testing.assert_allclose(np.abs(every.values), np.sort(np.abs(dense))[::-1], rtol=1e-12)
    for target, size in ((None, np.abs), (gd.Rightmost(), np.real)):
        few = gd.eigenpairs(step, network[1], spectrum=gd.Arnoldi(3, target))
        np.testing.assert_allclose(size(few.values), np.sort(size(dense))[::-1][:3], rtol=1e-12)
        assert few.result == gd.RESULTS.successful
    # Their conditions are the same; the residuals beside them are rounding.
    np.testing.assert_allclose(every.errors[:3], gd.eigenpairs(step, network[1], spectrum=gd.Arnoldi(3)).errors, rtol=0.3)
    np.testing.assert_allclose(every.zeta, np.max(np.abs(dense.imag / dense.real)), rtol=1e-10)
    np.testing.assert_allclose(every.tau, np.abs(dense).max() / np.abs(dense).min(), rtol=1e-10)
    assert few.zeta <= every.zeta
    assert few.tau <= every.tau


def test_pairs_that_do_not_converge_are_missing(network):
    hurried = gd.Arnoldi(6, basis=9, restarts=3)
    with pytest.raises(RuntimeError, match="Fewer eigenvalues converged"):
        gd.eigenpairs(*network, spectrum=hurried)
    found = gd.eigenpairs(*network, spectrum=hurried, throw=False)
    assert found.values.shape == (6,)
    assert np.isnan(found.errors[-1])
