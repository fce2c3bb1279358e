"""Transient growth against brute force: distances to instability, norms of exponentials and powers, resolvents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import gandyn as gd
from gandyn.analysis._transient import _distance


class Flow(gd.AbstractFlow):
    a: jax.Array

    def __call__(self, x):
        return self.a @ x


class Map(gd.AbstractMap):
    a: jax.Array

    def __call__(self, x):
        return self.a @ x


def grcar(n):
    return np.triu(np.ones((n, n))) - np.triu(np.ones((n, n)), 4) - np.diag(np.ones(n - 1), -1)


def of(kind, a, horizon=None, points=11):
    return gd.transient(kind(jnp.asarray(a, float)), jnp.zeros(len(a)), horizon, points=points)


def lowest(a, discrete):
    """The smallest singular value of A - z over the boundary of stability: a fine grid, refined around its lowest points."""
    reach = np.pi if discrete else 2 * np.linalg.norm(a, 2)
    points = np.linspace(-reach, reach, 20_001)
    width = points[1] - points[0]
    for _ in range(4):
        z = np.exp(1j * points) if discrete else 1j * points
        values = np.linalg.svd(a - z[:, None, None] * np.eye(len(a)), compute_uv=False)[:, -1]
        around = points[np.argsort(values)[:6]]
        points = np.concatenate([np.linspace(p - width, p + width, 401) for p in around])
        width /= 200
    return values.min()


@pytest.mark.parametrize("discrete", [False, True], ids=["flow", "map"])
def test_the_distance_to_instability_is_the_lowest_point_of_a_fine_grid(discrete):
    rng = np.random.default_rng(discrete)
    for i in range(16):
        n = int(rng.integers(2, 8))
        a = (
            rng.normal(size=(n, n))
            if i % 3
            else np.triu(3 * rng.normal(size=(n, n))) @ np.linalg.qr(rng.normal(size=(n, n)))[0]
        )
        values = np.linalg.eigvals(a)
        if discrete:
            a = a / np.abs(values).max() * rng.uniform(0.3, 0.9999)
        else:
            a = a - (values.real.max() + 10 ** rng.uniform(-4, 0)) * np.eye(n)
            a *= 10.0 ** rng.integers(-3, 4)
        # The iteration stops at a level within 1e-10 of the lowest.
        np.testing.assert_allclose(_distance(a, np.linalg.eigvals(a), discrete), lowest(a, discrete), rtol=1e-8)


def test_the_smallest_change_that_makes_unstable_does_and_no_smaller_one_does():
    a = grcar(6) - 2.2 * np.eye(6)
    found = float(of(Flow, a).distance)
    points = np.linspace(-5, 5, 20_001)
    values = np.linalg.svd(a - 1j * points[:, None, None] * np.eye(6), compute_uv=False)[:, -1]
    z = 1j * points[np.argmin(values)]
    u, s, v = np.linalg.svd(a - z * np.eye(6))
    change = -s[-1] * np.outer(u[:, -1], v[-1])
    assert np.linalg.eigvals(a + 1.001 * change).real.max() > 0
    np.testing.assert_allclose(s[-1], found, rtol=1e-5)


def test_the_distance_of_a_normal_matrix_is_that_of_its_eigenvalues():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    rotation = scipy.linalg.block_diag([[-0.3, -2.0], [2.0, -0.3]], [[-0.5]], [[-4.0]])
    found = of(Flow, q @ rotation @ q.T)
    np.testing.assert_allclose(found.distance, 0.3, rtol=1e-12)
    np.testing.assert_allclose(found.abscissa, -0.3, rtol=1e-12)
    np.testing.assert_allclose(found.departure, 0, atol=1e-13)
    np.testing.assert_allclose(found.peak, 1, rtol=1e-14)
    found = of(Map, q @ (rotation / 2.5) @ q.T)
    np.testing.assert_allclose(found.distance, 0, atol=0)
    inside = scipy.linalg.block_diag([[0.3, -0.6], [0.6, 0.3]], [[-0.9]], [[0.1]])
    found = of(Map, q @ inside @ q.T)
    np.testing.assert_allclose([found.distance, found.abscissa], [0.1, np.log(0.9)], rtol=1e-12)


def test_an_unstable_matrix_has_no_distance():
    assert of(Flow, np.diag([-1.0, 0.1])).distance == 0
    assert of(Flow, np.diag([-1.0, 0.0])).distance == 0
    assert of(Map, np.diag([0.5, -1.1])).distance == 0


def test_the_departure_from_normality_is_the_norm_of_the_strict_triangle():
    upper = np.array([[-1.0, 3.0, 1.0], [0.0, -2.0, 2.0], [0.0, 0.0, -0.5]])
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(of(Flow, q @ upper @ q.T).departure, np.sqrt(14), rtol=1e-12)


def test_gains_are_the_norms_of_exponentials_and_of_powers():
    a = grcar(5) - 1.4 * np.eye(5)
    found = of(Flow, a, horizon=7.0)
    assert found.ts[-1] == 7
    wanted = [np.linalg.norm(scipy.linalg.expm(t * a), 2) for t in np.asarray(found.ts)]
    np.testing.assert_allclose(found.gain, wanted, rtol=1e-12)
    assert found.peak == np.max(found.gain)
    assert of(Flow, [[-1.0, 50.0], [0.0, -2.0]]).peak > 10
    b = a / 3
    found = of(Map, b, horizon=9.0)
    wanted = [np.linalg.norm(np.linalg.matrix_power(b, t), 2) for t in range(10)]
    np.testing.assert_allclose(found.gain, wanted, rtol=1e-12)
    np.testing.assert_array_equal(found.ts, np.arange(10))


def test_the_abscissa_is_the_initial_slope_of_the_gain():
    a = grcar(5) - 2.2 * np.eye(5)
    found = of(Flow, a)
    t = 1e-6
    slope = (np.linalg.norm(scipy.linalg.expm(t * a), 2) - 1) / t
    np.testing.assert_allclose(found.abscissa, slope, rtol=1e-4)
    np.testing.assert_allclose(of(Map, a / 3).abscissa, np.log(np.linalg.norm(a / 3, 2)), rtol=1e-12)


def test_a_deadbeat_map_is_followed_until_it_is_dead():
    a = np.diag(np.full(5, 2.0), 1)
    found = of(Map, a)
    np.testing.assert_allclose(found.gain[:6], [1, 2, 4, 8, 16, 32])
    assert found.gain[6] == 0


def test_the_resolvent_is_the_smallest_singular_value_on_the_grid():
    for a in (grcar(4) - 2 * np.eye(4), np.array([[-1.0, 5.0], [0.0, -1.0]])):
        found = of(Flow, a, points=7)
        z = np.asarray(found.grid)
        wanted = np.linalg.svd(a - z[..., None, None] * np.eye(len(a)), compute_uv=False)[..., -1]
        np.testing.assert_allclose(found.resolvent, wanted, atol=1e-14)
        values = np.linalg.eigvals(a)
        assert z.real.min() < values.real.min() <= values.real.max() < z.real.max()
        assert z.imag.min() < values.imag.min() <= values.imag.max() < z.imag.max()


def test_a_jacobian_that_is_not_finite_gives_no_numbers():
    class Root(gd.AbstractFlow):
        def __call__(self, x):
            return -jnp.sqrt(jnp.abs(x))

    with pytest.raises(RuntimeError, match="non-finite"):
        gd.transient(Root(), jnp.zeros(2))
    found = gd.transient(Root(), jnp.zeros(2), throw=False, points=5)
    for value in (found.peak, found.distance, found.abscissa, found.departure):
        assert np.isnan(value)
    assert np.all(np.isnan(found.resolvent))


def test_the_game_of_r1_shows_its_numbers():
    found = gd.transient(gd.Penalised(gd.games.dirac(), gd.r1, 0.3), gd.Players(0.0, 0.0), points=11)
    a = np.array([[0, -0.5], [0.5, -0.3]])
    np.testing.assert_allclose(found.distance, lowest(a, False), rtol=1e-8)
    np.testing.assert_allclose(found.abscissa, 0, atol=1e-15)
    assert str(found).count("\n") == 3
