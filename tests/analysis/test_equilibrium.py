"""Equilibria found, missed and refused; and which zero eigenvalues belong to a manifold of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

import gandyn as gd


class Field(gd.AbstractFlow):
    """Any function of a parameter and a state."""

    f: jax.tree_util.Partial
    p: jax.Array

    def __init__(self, f, p=0.0):
        self.f, self.p = jax.tree_util.Partial(f), jnp.asarray(p, float)

    def __call__(self, x):
        return self.f(self.p, x)


def quartic(p, x):
    return x**4 + p


def wells(p, x):
    return x - x**3 + p * x[::-1]


def twice(w, x):
    return (w[0] + w[1]) * x**2


def scale(a, z):
    return a * z


def product(ab, z):
    return ab[0] * ab[1] * z


def square(w, x):
    return w * x**2


def weight(w, x):
    return w * x


# Gauss's rule of three nodes: the moments of the uniform law on [-1, 1] up to the fifth, exactly.
INTERVAL = gd.Discrete(np.sqrt(0.6) * np.array([-1.0, 0.0, 1.0]), np.array([5, 8, 5]) / 18)


# One equilibrium


def test_an_equilibrium_of_a_game_is_found_from_afar():
    found = gd.equilibrium(gd.games.dirac(target=0.7), gd.Players(0.2, 0.5))
    np.testing.assert_allclose([found.state.generator, found.state.discriminator], [0.7, 0.0], atol=1e-14)
    assert found.residual < 1e-14
    assert "0.7" in str(found)


def test_a_fixed_point_of_a_map_is_that_of_its_flow():
    game = gd.Penalised(gd.games.dirac(target=0.7), gd.r1, 0.3)
    for step in (gd.AltGD(game, 0.5), gd.SimGD(game, gd.Players(0.1, 0.5))):
        found = gd.equilibrium(step, gd.Players(0.1, 0.2)).state
        np.testing.assert_allclose([found.generator, found.discriminator], [0.7, 0.0], atol=1e-14)


@pytest.mark.parametrize("guess", [1.0, 1e2, 1e4])
def test_the_lowest_residual_is_no_equilibrium(guess):
    """x^4 + 1 has none, however small its residual becomes beside that of the guess."""
    with pytest.raises(RuntimeError, match="No equilibrium was found"):
        gd.equilibrium(Field(quartic, 1.0), jnp.array([guess]))


def test_a_vanishing_gradient_is_no_equilibrium():
    """From here the residual falls to 1e-226, far out where the discriminator is sure and its gradient dies."""
    found = gd.equilibrium(gd.games.dirac(target=0.7), gd.Players(-1.0, 2.0), throw=False)
    assert abs(found.state.discriminator) > 1
    assert gd.RESULTS[found.result]


def test_a_solver_that_runs_away_finds_nothing():
    """Newton's method on the arc tangent from 3: the state overflows while the residual stays at pi/2."""
    solver = optx.Newton(rtol=1e-14, atol=1e-14)
    found = gd.equilibrium(Field(lambda p, x: jnp.arctan(x)), jnp.array([3.0]), solver=solver, throw=False)
    assert gd.RESULTS[found.result]


def test_a_field_that_is_not_finite_fails_with_its_message():
    with pytest.raises(RuntimeError, match="non-finite"):
        gd.equilibrium(Field(lambda p, x: jnp.log(x - 2)), jnp.array([1.0]))
    with pytest.raises(ValueError, match="non-finite entry"):
        gd.equilibrium(Field(quartic), jnp.array([jnp.nan]))


@pytest.mark.parametrize("power", [2, 3, 5])
def test_degenerate_equilibria_are_reached(power):
    found = gd.equilibrium(Field(lambda p, x: (x - 1.1) ** power), jnp.array([2.0]))
    np.testing.assert_allclose(found.state, 1.1, atol=1e-6)


def test_the_derivative_of_an_equilibrium_is_the_implicit_one():
    def state(p):
        return gd.equilibrium(Field(lambda p, x: jnp.stack([x[0] ** 3 - p, x[1] - p * x[0]]), p), jnp.ones(2)).state

    wanted = [2 ** (-2 / 3) / 3, 4 / 3 * 2 ** (1 / 3)]
    np.testing.assert_allclose(jax.jacrev(state)(2.0), wanted, rtol=1e-12)
    np.testing.assert_allclose(jax.jacfwd(state)(2.0), wanted, rtol=1e-12)


def test_single_precision_finds_what_it_can():
    found = gd.equilibrium(Field(lambda p, x: x**2 - jnp.float32(2)), jnp.array([1.0], jnp.float32))
    assert found.state.dtype == jnp.float32
    np.testing.assert_allclose(found.state, np.sqrt(2), rtol=3e-7)


def test_a_clock_in_the_state_is_left_alone():
    class Counting(gd.AbstractMap):
        def __call__(self, x):
            return 0.5 * x[0] + 1, x[1] + 1

    found = gd.equilibrium(Counting(), (jnp.zeros(2), jnp.asarray(7))).state
    np.testing.assert_allclose(found[0], 2.0, rtol=1e-14)
    assert found[1] == 7


# All in a box


def corners(low, high):
    return jnp.full(2, low), jnp.full(2, high)


def test_every_equilibrium_of_a_double_well_is_found_and_classified():
    found = gd.equilibria(Field(wells), corners(-2.0, 2.0))
    grid = np.array([[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)], float)
    np.testing.assert_allclose(np.asarray(found.states), grid, atol=1e-9)
    kinds = ["stable node", "saddle", "unstable node"]
    assert list(found.kinds) == [kinds[int(np.sum(point == 0))] for point in grid]
    assert bool(np.all(found.isolated))


def test_the_equilibrium_of_a_relaxation_oscillator():
    def van_der_pol(p, x):
        return jnp.stack([x[1], p * (1 - x[0] ** 2) * x[1] - x[0]])

    found = gd.equilibria(Field(van_der_pol, 1.0), corners(-3.0, 3.0))
    assert len(found) == 1
    assert found.kinds == ("unstable focus",)
    np.testing.assert_allclose(found[0], [0, 0], atol=1e-12)


def test_a_box_without_equilibria_gives_none():
    assert len(gd.equilibria(Field(wells), (jnp.array([0.2, 0.2]), jnp.array([0.8, 0.8])))) == 0
    found = gd.equilibria(Field(quartic, 1.0), corners(-1e4, 1e4))
    assert len(found) == 0
    assert found.reached == 0
    assert str(found) == "no equilibria found"


def test_close_equilibria_are_kept_apart_and_those_outside_the_box_left_out():
    pair = Field(lambda p, x: jnp.stack([(x[0] - 0.5) * (x[0] - 0.5 - p) * (x[0] - 3), -x[1]]), 1e-3)
    found = gd.equilibria(pair, corners(-1.0, 2.0))
    np.testing.assert_allclose(np.asarray(found.states), [[0.5, 0], [0.501, 0]], atol=1e-9)


def test_points_of_a_manifold_are_not_isolated():
    circle = Field(lambda p, x: x * (1 - jnp.sum(x**2)))
    found = gd.equilibria(circle, corners(-2.0, 2.0), starts=32)
    radii = np.linalg.norm(np.asarray(found.states), axis=1)
    assert np.all(np.isclose(radii, 1) | np.isclose(radii, 0))
    np.testing.assert_array_equal(np.asarray(found.isolated), radii < 0.5)


def test_a_game_on_an_interval_has_both_of_its_equilibria():
    game = gd.GAN(scale, square, INTERVAL, INTERVAL, gd.objectives.minimax)
    found = gd.equilibria(game, (gd.Players(-2.0, -1.5), gd.Players(2.0, 1.6)), starts=32)
    points = np.stack([found.states.generator, found.states.discriminator], axis=1)
    # a = 0 is no zero of the discriminator's slope, and no weight w makes up for it.
    np.testing.assert_allclose(points, [[-1, 0], [1, 0]], atol=1e-10)
    assert set(found.kinds) == {"stable focus"}


def test_a_box_upside_down_is_refused():
    with pytest.raises(ValueError, match="must lie below"):
        gd.equilibria(Field(wells), corners(1.0, -1.0))
    with pytest.raises(ValueError, match="upper corner"):
        gd.equilibria(Field(wells), (jnp.zeros(2), jnp.ones(3)))


# Manifolds


def test_a_subspace_of_equilibria_is_set_aside():
    """Nagarajan and Kolter (2017): the null space of a discriminator with two weights for one."""
    game = gd.GAN(scale, twice, INTERVAL, INTERVAL, gd.objectives.minimax)
    x = gd.Players(1.0, jnp.zeros(2))
    assert gd.stability(game, x).verdict == "marginal"
    found = gd.manifold(game, x)
    assert (found.dimension, found.kernel) == (1, 1)
    np.testing.assert_allclose(np.abs(found.tangent[:, 0]), [0, *np.sqrt([0.5, 0.5])], atol=1e-9)
    across = gd.stability(game, x, modulo=found)
    assert (across.verdict, across.neutral) == ("stable", 1)
    with pytest.raises(RuntimeError, match="residual changes along it"):
        gd.stability(gd.Penalised(game, gd.weight_decay, 1.0), x, modulo=found)
    wanted = np.roots([1, 1 / 5, 2 / 9])
    np.testing.assert_allclose(np.sort_complex(np.asarray(across.eigenvalues)), np.sort_complex(wanted), atol=1e-10)
    assert "set aside" in str(across)


def test_data_of_zero_mean_leave_the_generator_of_a_linear_game_free():
    """With a linear discriminator every scale is an equilibrium; across them the discriminator decays at E x^2 / 2."""
    game = gd.games.linear_scale(mean=0.0, variance=1.0, order=2)
    x = gd.Players(0.7, 0.0)
    assert gd.stability(game, x).verdict == "marginal"
    found = gd.manifold(game, x)
    across = gd.stability(game, x, modulo=found)
    assert (found.dimension, across.verdict) == (1, "stable")
    np.testing.assert_allclose(across.eigenvalues, [-(1 + 0.49) / 4], rtol=1e-10)


def test_gauge_freedom_of_a_generator_with_one_factor_too_many():
    law = gd.Discrete([0.5, 1.5])
    game = gd.GAN(product, weight, law, law, gd.objectives.minimax)
    x = gd.equilibrium(game, gd.Players(jnp.array([2.0, 0.7]), 0.1)).state
    np.testing.assert_allclose(jnp.prod(x.generator), 1.0, rtol=1e-12)
    assert gd.stability(game, x).verdict == "marginal"
    found = gd.manifold(game, x)
    across = gd.stability(game, x, modulo=found)
    assert (found.dimension, across.verdict) == (1, "stable")
    a, b = np.asarray(x.generator)
    # The players' blocks: -E x^2/2, and E x / 2 times the slope of the product.
    wanted = np.roots([1, 1.25 / 2, (a**2 + b**2) / 4])
    np.testing.assert_allclose(np.sort_complex(np.asarray(across.eigenvalues)), np.sort_complex(wanted), atol=1e-9)
    assert gd.stability(gd.AltGD(game, 0.1), x, modulo=found).verdict == "stable"


@pytest.mark.parametrize("power", [2, 3, 5])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_zero_eigenvalue_alone_is_not_set_aside(power, sign):
    """(-x^3, -y): the null vector is tangent to no equilibria, and the verdict stays marginal."""
    system = Field(lambda p, x: jnp.stack([p * x[0] ** power, -x[1]]), sign)
    found = gd.manifold(system, jnp.zeros(2))
    assert (found.dimension, found.kernel) == (0, 1)
    assert gd.stability(system, jnp.zeros(2), modulo=found).verdict == "marginal"


def test_a_null_space_larger_than_the_manifold():
    """A circle of equilibria in a plane, and across it a cubic: two zero eigenvalues, of which one is tangent."""
    system = Field(lambda p, x: jnp.stack([-(x[0] ** 3), *(-x[1:] * (jnp.sum(x[1:] ** 2) - 1))]))
    x = jnp.array([0.0, 0.6, 0.8])
    found = gd.manifold(system, x)
    assert (found.dimension, found.kernel) == (1, 2)
    np.testing.assert_allclose(np.abs(found.tangent[:, 0] @ np.array([0.0, -0.8, 0.6])), 1, atol=1e-5)
    across = gd.stability(system, x, modulo=found)
    assert (across.verdict, across.neutral) == ("marginal", 1)


def test_an_isolated_equilibrium_lies_on_no_manifold():
    found = gd.manifold(gd.games.dirac(), gd.Players(0.0, 0.0))
    assert (found.dimension, found.kernel) == (0, 0)


def test_a_manifold_of_another_system_and_one_that_leaves_no_mode_are_refused():
    nothing = Field(lambda p, x: 0 * x)
    whole = gd.manifold(nothing, jnp.ones(2))
    assert whole.dimension == 2
    with pytest.raises(ValueError, match="no mode is left"):
        gd.stability(nothing, jnp.ones(2), modulo=whole)
    with pytest.raises(ValueError, match="2 dimensions, the state has 3"):
        gd.stability(nothing, jnp.ones(3), modulo=whole)
