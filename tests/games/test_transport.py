"""Optimal transport to Gaussian data, kinked discriminators, and the distance itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import norm

import gandyn as gd
from gandyn import _tree
from gandyn.games._wasserstein import _by_programming

P = gd.Players


def state(generator, discriminator):
    return _tree.state_arrays(P(generator, discriminator))


def value(v, sigma=2.0, beta=0.8):
    """V in closed form (Farnia and Ozdaglar, 2020)."""
    a, b, p, q = v
    moment = q**2 + 4 * beta * q * b + 4 * beta**2 * (a**2 + b**2)
    return p * sigma**2 - moment / (4 * (beta - p)) + beta * (a**2 + b**2)


@eqx.filter_jit
def everything(game, x):
    return game.value(x), game(x), game.failure(x)


# The c-transform


def test_derivatives_go_through_the_solve_to_third_order():
    game = gd.games.w2_gaussian(4.0, 0.8)

    def computed(v):
        return game.value(P((v[0], v[1]), (v[2], v[3])))

    v = jnp.array([0.6, 0.3, 0.2, -0.5])
    orders = [lambda f: f, jax.hessian, lambda f: jax.jacfwd(jax.hessian(f))]
    for order in orders:
        np.testing.assert_allclose(jax.jit(order(computed))(v), order(value)(v), rtol=1e-13, atol=1e-13)


def wave(w, x):
    return w * jnp.sin(x)


def test_a_discriminator_that_is_not_quadratic_is_transformed_too():
    game = gd.TransportGAN(lambda a, z: a * z, wave, gd.Gaussian(0.0, 4.0), gd.Gaussian(0.0, 1.0), 0.9)
    x = state(1.3, 1.5)  # its curvature stays below 1.8
    ys, us = np.linspace(-4, 4, 9), np.linspace(-8, 8, 400_001)
    tops = [np.max(1.5 * np.sin(us) - 0.9 * (us - y) ** 2) for y in ys]
    # The grid misses the top by at most the curvature, 3.3, times an eighth of its spacing squared.
    np.testing.assert_allclose(jax.vmap(game.transform(x))(jnp.asarray(ys)), tops, atol=1e-9)
    at = jax.vmap(game.transport(x))(jnp.asarray(ys))
    np.testing.assert_allclose(1.5 * np.cos(at), 1.8 * (at - ys), atol=1e-12)


@pytest.mark.parametrize("curvature", [0.8, 1.5])
def test_a_discriminator_that_is_not_c_concave_is_told(curvature):
    game, x = gd.games.w2_gaussian(4.0, 0.8), state((0.6, 0.3), (curvature, -0.5))
    found, field, why = everything(game, x)
    assert np.isnan(found)
    assert not np.any(np.isfinite(_tree.ravel(field)[0]))
    assert why == gd.RESULTS.not_concave


def test_failures_are_told_apart():
    game = gd.games.w2_gaussian(4.0, 0.8)
    assert everything(game, state((0.6, 0.3), (0.2, -0.5)))[2] == gd.RESULTS.successful
    assert everything(game, state((0.6, np.nan), (0.2, -0.5)))[2] == gd.RESULTS.nonfinite


def test_the_plane_is_two_lines_where_nothing_is_mixed():
    plane, line = gd.games.w2_gaussian([4.0, 0.25]), gd.games.w2_gaussian(4.0)
    other = gd.games.w2_gaussian(0.25)
    x = state((jnp.diag(jnp.array([0.6, 0.4])), jnp.array([0.3, -0.2])), (jnp.array([0.2, 0.0, -0.3]), jnp.array([-0.5, 0.1])))
    parts = line.value(state((0.6, 0.3), (0.2, -0.5))), other.value(state((0.4, -0.2), (-0.3, 0.1)))
    np.testing.assert_allclose(plane.value(x), sum(parts), rtol=1e-13)
    # The entry beside the diagonal counts twice, and a rotation of the plane changes no value.
    turn = jnp.array([[0.6, -0.8], [0.8, 0.6]])
    form = turn @ jnp.diag(jnp.array([0.2, -0.3])) @ turn.T
    turned = gd.games.w2_gaussian(turn @ jnp.diag(jnp.array([4.0, 0.25])) @ turn.T)
    y = P((turn @ x.generator[0], turn @ x.generator[1]), (form[jnp.triu_indices(2)], turn @ x.discriminator[1]))
    np.testing.assert_allclose(turned.value(y), plane.value(x), rtol=1e-12)


def test_penalties_and_noise_take_a_game_of_transport():
    game, x = gd.games.w2_gaussian(4.0), state((0.6, 0.3), (0.2, -0.5))
    np.testing.assert_allclose(gd.r1(game, x), (4 * 0.2**2 * 4 + 0.5**2) / 2, rtol=1e-14)
    noisy = gd.instance_noise(game, 0.5)
    wider = eqx.tree_at(lambda g: g.real.covariance, game, jnp.asarray(4.25))
    blurred = wider.data.expectation(wider.critic(x)) - jnp.sum(
        game.latent.weights * (jax.vmap(game.transform(x))(game.samples(x).points))
    )
    slope = 1 / (4 * (1 - 0.2))
    # Noise of variance 1/4 adds (4 slope - 1) / 4 to the mean of the transform, a quadratic function.
    np.testing.assert_allclose(noisy.value(x), blurred - (4 * slope - 1) / 4, rtol=1e-13)


def test_a_weight_that_is_no_cost_is_refused():
    with pytest.raises(ValueError, match="weight of the cost must be positive"):
        gd.games.w2_gaussian(4.0, 0.0)


# Kinks


@jax.jit
def with_slopes(game, x):
    return game(x), jax.jacfwd(game)(x)


def test_a_kink_is_integrated_to_rounding_with_its_derivatives():
    def mean(k):
        return gd.Piecewise(gd.Gaussian(0.3, 4.0), k[None]).expectation(lambda u: jnp.abs(u - k))

    k = jnp.asarray(1.1)
    d, s = (1.1 - 0.3), 2.0
    exact = s * np.sqrt(2 / np.pi) * np.exp(-((d / s) ** 2) / 2) + d * (1 - 2 * norm.cdf(-d / s))
    # NumPy's weights of 60 nodes are good to a few 1e-14.
    np.testing.assert_allclose(mean(k), exact, rtol=1e-13)
    np.testing.assert_allclose(jax.grad(mean)(k), 2 * norm.cdf(d / s) - 1, rtol=1e-13)
    np.testing.assert_allclose(jax.grad(jax.grad(mean))(k), 2 * norm.pdf(1.1, 0.3, s), rtol=1e-12)
    # Without the split the error is that of a kink.
    assert gd.Gaussian(0.3, 4.0).error(lambda u: jnp.abs(u - k)) > 1e-3
    box = gd.Piecewise(gd.Uniform(-1.0, 3.0), [0.5, 9.0], order=2)
    np.testing.assert_allclose(box.expectation(lambda u: jnp.abs(u - 0.5)), (1.5**2 + 2.5**2) / 8, rtol=1e-14)
    assert box.error(lambda u: jnp.abs(u - 0.5)) < 1e-15


def test_the_kinked_game_is_exact_where_its_discriminator_is_not_smooth():
    game = gd.games.lipschitz_gaussian(4.0)
    x = state((0.3, 1.0), 0.2)
    d, s = 0.8, 0.3
    field, slopes = with_slopes(game, x)
    # The means of |N(m, s^2)|, differentiated by hand; D rises to either side of x0 = 0.2.
    exact = [2 * norm.pdf(d / s), 2 * norm.cdf(d / s) - 1, 2 * norm.cdf(0.1) + 2 * norm.cdf(d / s) - 2]
    np.testing.assert_allclose(_tree.ravel(field)[0], exact, rtol=1e-12)
    np.testing.assert_allclose(slopes.discriminator.discriminator, norm.pdf(0.1) - 2 / s * norm.pdf(d / s), rtol=1e-11)
    assert _tree.finite(with_slopes(game, state((0.0, 1.0), 0.2))[1])


def test_laws_that_cannot_be_split_are_refused():
    with pytest.raises(ValueError, match="Gaussian or Uniform law of a number"):
        gd.Piecewise(gd.Discrete([0.0]))
    with pytest.raises(ValueError, match="at least one node"):
        gd.Piecewise(gd.Gaussian(0.0, 1.0), order=0)
    with pytest.raises(ValueError, match="both must be"):
        gd.Kinked(gd.games.dirac(), lambda x: x)


# The constraint


def test_constraints_on_parts_of_their_own():
    both = gd.games.unit_generator(matrix=True)
    x = P((jnp.diag(jnp.array([2.0, 0.5])), jnp.array([3.0, 4.0])), jnp.array([7.0]))
    inside = both.project(x)
    np.testing.assert_allclose(inside.generator[0], np.diag([1.0, 0.5]), atol=1e-14)
    np.testing.assert_allclose(inside.generator[1], [0.6, 0.8], rtol=1e-14)
    np.testing.assert_allclose(both.margins(inside), [0.0, 0.5, 0.0], atol=1e-14)
    kept = both.tangent(inside, P((jnp.eye(2), inside.generator[1]), jnp.array([1.0])))
    np.testing.assert_allclose(kept.generator[0], np.diag([0.0, 1.0]), atol=1e-14)
    np.testing.assert_allclose(kept.generator[1], [0.0, 0.0], atol=1e-14)
    assert (inside.discriminator, kept.discriminator) == (7.0, 1.0)
    with pytest.raises(ValueError, match="Constraints needs a constraint"):
        gd.Constraints((gd.Box(-1.0, 1.0), "ball"))


# The distance


def gaussian(rng, n):
    root = rng.normal(size=(n, n))
    return gd.Gaussian(jnp.asarray(rng.normal(size=n)), jnp.asarray(root @ root.T + 0.1 * np.eye(n)))


def test_the_distance_of_gaussians_is_that_of_bures():
    rng = np.random.default_rng(0)
    p, q = gaussian(rng, 3), gaussian(rng, 3)
    s, t = np.asarray(p.covariance), np.asarray(q.covariance)
    bures = np.trace(s + t - 2 * sqrtm(sqrtm(s) @ t @ sqrtm(s)).real) + np.sum((p.mean - q.mean) ** 2)
    np.testing.assert_allclose(gd.wasserstein2(p, q) ** 2, bures, rtol=1e-12)
    # No digits are lost where the laws agree, also if they have no density.
    assert gd.wasserstein2(p, p) < 1e-14
    flat = gd.Gaussian([0.0, 0.0], [1.0, 0.0])
    assert gd.wasserstein2(flat, gd.Gaussian([0.0, 3.0], [4.0, 0.0])) == pytest.approx(np.sqrt(10), rel=1e-14)


def test_the_distance_of_atoms_is_that_of_quantiles_and_of_the_programme():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=40), 2 * rng.normal(size=40) + 0.3
    by_quantiles = np.mean((np.sort(x) - np.sort(y)) ** 2)
    np.testing.assert_allclose(gd.wasserstein2(gd.Discrete(x), gd.Discrete(y)) ** 2, by_quantiles, rtol=1e-13)
    equal = np.full(40, 1 / 40)
    np.testing.assert_allclose(_by_programming((x[:, None] - y) ** 2, equal, equal), by_quantiles, rtol=1e-10)
    # Unequal weights, by the quantiles of both: an atom of weight 2/3 is two of weight 1/3.
    p, q = gd.Discrete([0.0, 5.0], [2 / 3, 1 / 3]), gd.Discrete([1.0, 2.0, 7.0])
    np.testing.assert_allclose(gd.wasserstein2(p, q) ** 2, (1 + 4 + 4) / 3, rtol=1e-12)


def test_samples_come_near_the_closed_form():
    one, two = gd.Gaussian(0.0, 4.0), gd.Gaussian(0.5, 1.0)
    # Quantiles of equal weight: their tails are cut, which is what is left of the error.
    levels = (np.arange(2000) + 0.5) / 2000
    drawn = [gd.Discrete(norm.ppf(levels, *law)) for law in ((0.0, 2.0), (0.5, 1.0))]
    np.testing.assert_allclose(gd.wasserstein2(*drawn), gd.wasserstein2(one, two), rtol=1e-3)


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((gd.Gaussian(0.0, 1.0), gd.Discrete([0.0])), "two Gaussian or two Discrete laws; got Gaussian and Discrete"),
        ((gd.Discrete([0.0]), gd.Discrete([[0.0, 1.0]])), "both must agree"),
    ],
)
def test_laws_without_a_distance_are_refused(pair, text):
    with pytest.raises(ValueError, match=text):
        gd.wasserstein2(*pair)
