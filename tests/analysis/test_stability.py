"""Verdicts of known fate, their errors against the pseudospectrum, and what must never be a verdict."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import gandyn as gd
from gandyn.analysis._pseudospectrum import perturbed_growth

ORIGIN = gd.Players(0.0, 0.0)
TRACES = []
TURN = np.array([[0.8, -0.6], [0.6, 0.8]])


class Flow(gd.AbstractFlow):
    a: jax.Array

    def __call__(self, x):
        TRACES.append(type(self).__name__)
        return self.a @ x


class Map(gd.AbstractMap):
    a: jax.Array

    def __call__(self, x):
        return self.a @ x


class Field(gd.AbstractFlow):
    """Any function of a parameter and a state."""

    f: jax.tree_util.Partial
    p: jax.Array

    def __init__(self, f, p=0.0):
        self.f, self.p = jax.tree_util.Partial(f), jnp.asarray(p, float)

    def __call__(self, x):
        return self.f(self.p, x)


def flow(a):
    return gd.stability(Flow(jnp.asarray(a, float)), jnp.zeros(len(a)))


def multipliers(a):
    return gd.stability(Map(jnp.asarray(a, float)), jnp.zeros(len(a)))


def jordan(n, value, turned=False):
    block = value * np.eye(n) + np.diag(np.ones(n - 1), 1)
    q = scipy.linalg.qr(np.random.default_rng(n).normal(size=(n, n)))[0] if turned else np.eye(n)
    return q @ block @ q.T


def rotation(growth):
    return [[growth, -1.0], [1.0, growth]]


# Fates


@pytest.mark.parametrize(
    ("a", "verdict", "kind"),
    [
        (-np.eye(2), "stable", "stable node"),
        (np.diag([-1.0, -1e-9]), "stable", "stable node"),
        (rotation(-1e-9), "stable", "stable focus"),
        (rotation(0.0), "marginal", "centre"),
        (rotation(1e-9), "unstable", "unstable focus"),
        (np.diag([1.0, 2.0]), "unstable", "unstable node"),
        (np.diag([1.0, -2.0]), "unstable", "saddle"),
        (np.diag([0.0, -2.0]), "marginal", "degenerate"),
        (np.zeros((2, 2)), "marginal", "degenerate"),
        (np.zeros((1, 1)), "marginal", "degenerate"),
        (np.zeros((3, 3)), "marginal", "degenerate"),
        (-1e-200 * np.eye(3), "stable", "stable node"),
    ],
    ids=str,
)
def test_flows_of_known_fate(a, verdict, kind):
    found = flow(a)
    assert (found.verdict, found.kind) == (verdict, kind)
    assert verdict in str(found)


@pytest.mark.parametrize(
    ("a", "critical"),
    [
        (np.diag([-1.0, -4.0]), 0.5),
        (3 * np.asarray(rotation(-1 / 3)), 0.2),
        (rotation(0.0), 0.0),
        (np.diag([0.0, -1.0]), 0.0),
        (np.diag([1.0, -1.0]), 0.0),
        (np.diag([np.inf, -1.0]), np.nan),
    ],
    ids=str,
)
def test_the_step_size_above_which_gradient_descent_is_unstable(a, critical):
    found = gd.stability(Flow(jnp.array(a)), jnp.zeros(2), throw=False)
    np.testing.assert_allclose(found.critical_step, critical, rtol=1e-15)


@pytest.mark.parametrize(
    ("a", "verdict"),
    [
        (np.eye(2), "marginal"),
        (-np.eye(3), "marginal"),
        (np.diag([0.5, -0.999999999]), "stable"),
        (np.diag([0.5, -1.000000001]), "unstable"),
        (np.asarray(rotation(0.0)), "marginal"),
        (np.zeros((2, 2)), "stable"),
        (np.zeros((4, 4)), "stable"),
        (100 * jordan(3, 0.0), "stable"),
        (jordan(4, 0.0, turned=True), "stable"),
        (jordan(2, 1.0), "undecided"),
        (jordan(3, -1.0, turned=True), "undecided"),
    ],
    ids=str,
)
def test_maps_of_known_fate(a, verdict):
    assert multipliers(a).verdict == verdict


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_defective_blocks_are_decided_where_their_growth_is_above_its_error(n, turned):
    assert flow(jordan(n, -1e-3, turned)).verdict == "stable"
    assert flow(jordan(n, 1e-3, turned)).verdict == "unstable"
    centre = flow(jordan(n, 0.0, turned))
    assert centre.verdict in ("marginal", "undecided")
    # Perturbed by e, a block of order n has eigenvalues of size e^(1/n); here e is at least one rounding.
    assert centre.bound >= np.finfo(float).eps ** (1 / n)


def test_a_multiplier_near_zero_makes_no_other_one_marginal():
    """The slope of log |mu| is 1e9 there; the error of a triple multiplier at 1 is not small against that of mu = 1."""
    assert multipliers(scipy.linalg.block_diag([[1e-9]], jordan(3, 1.0, turned=True))).verdict == "undecided"


def test_a_growth_that_may_fall_as_deep_is_not_unstable():
    """The disc around the multiplier 3 has a radius near 5.8: the logarithm rises by less than log 3, but falls to none."""
    a = jnp.array([[3.0, 17.4e3], [0.0, 0.2]])
    bound, _ = perturbed_growth(a, jnp.array([3.0 + 0j, 0.2]), jnp.asarray(1e-3), jnp.log)
    assert np.linalg.svd(np.asarray(a) - (3 - 5.7) * np.eye(2), compute_uv=False)[-1] < 1e-3
    assert bound - np.log(3) >= np.log(3)


def test_r1_at_its_double_eigenvalue_is_stable():
    found = gd.stability(gd.Penalised(gd.games.dirac(), gd.r1, 1.0), ORIGIN)
    assert found.verdict == "stable"
    assert found.growth == -0.5
    # The error of a double eigenvalue is the root of a rounding.
    assert 1e-9 < found.error < 1e-6


def test_alternating_steps_at_the_end_of_their_ellipses_are_undecided():
    """Mescheder, Geiger and Nowozin (2018) leave alpha = h f' = 2 out: the multiplier -1 is double and defective."""
    found = gd.stability(gd.AltGD(gd.games.dirac(), 4.0), ORIGIN)
    assert found.verdict == "undecided"
    np.testing.assert_allclose(found.eigenvalues, [-1, -1], atol=1e-7)
    assert gd.stability(gd.AltGD(gd.games.dirac(), 3.9), ORIGIN).verdict == "marginal"
    assert gd.stability(gd.AltGD(gd.games.dirac(), 4.1), ORIGIN).verdict == "unstable"


def test_a_deadbeat_step_is_stable_and_needs_no_time():
    found = gd.stability(gd.SimGD(Flow(-2 * jnp.eye(2)), 0.5), jnp.zeros(2))
    assert (found.verdict, float(found.growth), float(found.rate)) == ("stable", -np.inf, 0.0)
    assert found.iterations(1e6) == 0.0


# The error


def families():
    rng = np.random.default_rng(1)
    grcar = np.triu(np.ones((6, 6))) - np.triu(np.ones((6, 6)), 4) - np.diag(np.ones(5), -1)
    return {
        "normal": (np.diag([-1.0, -0.7, -0.2, 0.1]), 1e-2),
        "jordan": (jordan(3, -0.5), 1e-4),
        "jordan turned": (jordan(4, -0.5, turned=True), 1e-4),
        "grcar": (grcar - 2 * np.eye(6), 1e-3),
        "triangular": (np.triu(rng.normal(size=(5, 5))) - 2 * np.eye(5), 1e-2),
        "random": (rng.normal(size=(5, 5)), 1e-2),
        "plane": (rng.normal(size=(2, 2)), 1e-3),
    }


def abscissa_on_a_grid(a, level):
    """The rightmost point of fine polar grids around the eigenvalues at which the smallest singular value is below `level`."""
    n = len(a)
    radii = np.geomspace(level / 2, 3 * np.linalg.norm(a) ** (1 - 1 / n) * level ** (1 / n), 400)
    circle = np.exp(2j * np.pi * np.arange(90) / 90)
    rightmost = -np.inf
    for value in np.linalg.eigvals(a):
        z = (value + radii[:, None] * circle).reshape(-1)
        smallest = np.linalg.svd(a - z[:, None, None] * np.eye(n), compute_uv=False)[:, -1]
        rightmost = max(rightmost, z.real[smallest <= level].max())
    return rightmost


@pytest.mark.parametrize("name", families())
def test_the_bound_is_the_pseudospectral_abscissa(name):
    a, level = families()[name]
    found = np.linalg.eigvals(a).astype(complex)
    bound, _ = perturbed_growth(jnp.asarray(a), jnp.asarray(found), jnp.asarray(level), lambda z: z)
    growth, wanted = found.real.max(), abscissa_on_a_grid(a, level)
    assert bound >= wanted
    # Never too small; too large at most by the rings that meet the region of another eigenvalue.
    assert bound - growth <= 4 * (wanted - growth)
    if name in ("normal", "jordan"):
        # Discs: ten halvings of the logarithm leave four per cent, and the grid's steps are of two.
        assert bound - growth <= 1.08 * (wanted - growth)


def test_the_bound_of_a_map_is_the_pseudospectral_radius():
    a, level = jordan(3, 0.5, turned=True), 1e-4
    found = np.linalg.eigvals(a).astype(complex)
    bound, _ = perturbed_growth(jnp.asarray(a), jnp.asarray(found), jnp.asarray(level), jnp.log)
    z = np.linspace(0.5, 0.7, 4000)
    smallest = np.linalg.svd(a - z[:, None, None] * np.eye(3), compute_uv=False)[:, -1]
    wanted = np.log(z[smallest <= level].max())
    assert wanted <= bound <= wanted + 0.06 * (wanted - np.log(0.5))


def test_no_sensitive_mode_of_a_large_matrix_is_left_out():
    """Forty modes, of which the 36 leading ones are normal and the last four a Jordan block that reaches across."""
    a = scipy.linalg.block_diag(np.diag(np.linspace(-0.02, -0.01, 36)), jordan(4, -0.1))
    level = 0.2**4
    found = np.linalg.eigvals(a).astype(complex)
    bound, _ = perturbed_growth(jnp.asarray(a), jnp.asarray(found), jnp.asarray(level), lambda z: z)
    assert np.linalg.svd(a - 0.09 * np.eye(40), compute_uv=False)[-1] < level
    assert bound >= 0.09


class Moment(gd.AbstractFlow):
    """The root of x = E exp(2z), beside a second equilibrium at 7: which one is stable depends on the expectation."""

    law: gd.AbstractMeasure

    def __call__(self, x):
        mean = self.law.expectation(lambda z: jnp.exp(2 * z))
        return -(x - mean) * (x - 7.0)


def test_the_error_of_a_quadrature_enters_the_verdict():
    """E exp(2z) = e^2 = 7.389: the true equilibrium is stable, that of two nodes, cosh 2 = 3.76, is not."""
    coarse, fine = (Moment(gd.Gaussian(0.0, 1.0, order)) for order in (2, 40))
    found = gd.stability(coarse, gd.equilibrium(coarse, 3.5).state)
    truth = gd.stability(fine, gd.equilibrium(fine, 7.5).state)
    assert found.growth > 0
    assert found.verdict == "undecided"
    assert truth.verdict == "stable"
    np.testing.assert_allclose(truth.growth, 7 - np.exp(2), rtol=1e-10)
    assert abs(found.growth - truth.growth) <= found.error


def quartic_discriminator(w, x):
    return w * x**4


def scale_generator(a, z):
    return a * z


def test_a_gaussian_game_at_order_two_is_not_trusted():
    laws = [gd.Gaussian(0.0, 1.0, order) for order in (2, 12)]
    coarse, fine = (gd.GAN(scale_generator, quartic_discriminator, law, law, gd.objectives.minimax) for law in laws)
    found, truth = (gd.stability(game, gd.Players(1.0, 0.0)) for game in (coarse, fine))
    # E x^8 = 105 and 1 with two nodes.
    np.testing.assert_allclose(np.sum(np.asarray(truth.eigenvalues)), -105 / 2, rtol=1e-10)
    assert truth.verdict == "stable"
    assert abs(found.growth - truth.growth) <= found.error
    assert found.verdict == "undecided"


# What is no verdict


def alone(p, x):
    return jnp.where(p == 2, x**2, jnp.where(p == 3, x**3, x**4))


def plane(p, x):
    return jnp.stack([alone(p, x[0]), -x[1]])


def turned(p, x):
    return TURN @ plane(p, TURN.T @ x)


@pytest.mark.parametrize(("f", "start"), [(alone, [1.0]), (plane, [1.0, 0.0]), (turned, TURN[:, 0])])
@pytest.mark.parametrize("power", [2, 3, 4])
def test_a_degenerate_equilibrium_found_roughly_is_neither_stable_nor_unstable(f, start, power):
    """x' = x^k at the distance at which a solver stops: the Jacobian there has a sign, and it means nothing."""
    for x in (1e-9, -1e-9, 1e-5, -1e-5):
        found = gd.stability(Field(f, power), x * jnp.asarray(start), throw=False)
        assert found.verdict in ("marginal", "undecided", "failed")


def test_a_residual_in_one_direction_does_not_hide_a_fold_in_another():
    for sign in (1.0, -1.0):
        system = Field(lambda p, x: jnp.stack([p * x[0] ** 2, -x[1], -2 * x[2]]), sign)
        assert gd.stability(system, jnp.array([1e-9, 1e-12, -1e-11])).verdict in ("marginal", "undecided")


def test_a_point_that_is_no_equilibrium_has_no_verdict():
    with pytest.raises(RuntimeError, match="not an equilibrium"):
        gd.stability(gd.games.dirac(), gd.Players(1.0, 1.0))
    found = gd.stability(gd.games.dirac(), gd.Players(1.0, 1.0), throw=False)
    assert found.verdict == found.kind == "failed"
    assert np.isnan(found.growth)
    assert np.isnan(found.error)


def test_a_kink_has_no_verdict():
    game = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), gd.gradient_penalty(1.0), 10.0)
    with pytest.raises(RuntimeError, match="not smooth"):
        gd.stability(game, ORIGIN)
    assert gd.stability(game, ORIGIN, throw=False).verdict == "failed"


@pytest.mark.parametrize(
    "f",
    [
        lambda p, x: -jnp.sqrt(jnp.abs(x)),
        lambda p, x: x * jnp.nan,
        lambda p, x: x / 0.0,
        lambda p, x: jnp.log(x + 1) / x,
    ],
    ids=["infinite slope", "nan", "infinite", "undefined"],
)
def test_what_is_not_finite_has_no_verdict(f):
    with pytest.raises(RuntimeError, match="non-finite"):
        gd.stability(Field(f), jnp.zeros(2))
    found = gd.stability(Field(f), jnp.zeros(2), throw=False)
    assert found.verdict == "failed"
    assert np.all(np.isnan(found.eigenvalues))


def test_a_state_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="non-finite"):
        gd.stability(gd.games.dirac(), gd.Players(jnp.nan, 0.0))


def test_a_failed_lane_is_masked_and_the_others_are_not():
    stack = jnp.stack([-jnp.eye(2), jnp.full((2, 2), jnp.nan), jnp.eye(2)])
    found = jax.vmap(lambda a: gd.stability(Flow(a), jnp.zeros(2)))(stack)
    assert found.verdict.tolist() == ["stable", "failed", "unstable"]
    np.testing.assert_array_equal(found.growth, [-1, np.nan, 1])
    starts = jnp.array([[0.0, 0.0], [1.0, 0.0]])
    found = eqx.filter_jit(jax.vmap(lambda x: gd.stability(Flow(-jnp.eye(2)), x)))(starts)
    assert found.verdict.tolist() == ["stable", "failed"]


# Single precision


def test_single_precision_is_undecided_where_double_decides():
    a = np.array([[-1e-5, 30], [-1 / 30, -1e-5]])
    assert flow(a).verdict == "stable"
    single = gd.stability(Flow(jnp.asarray(a, jnp.float32)), jnp.zeros(2, jnp.float32))
    assert single.growth.dtype == jnp.float32
    assert single.verdict in ("marginal", "undecided")
    clear = gd.stability(Flow(-jnp.eye(2, dtype=jnp.float32)), jnp.zeros(2, jnp.float32))
    assert clear.verdict == "stable"


def test_a_small_step_in_single_precision_knows_how_little_its_fixed_point_is_worth():
    """x + h v(x) rounds to x wherever |h v| is below half a rounding of x: at 1.15 too, between the equilibria 1 and 1.2."""

    def velocity(p, x):
        return ((x[0] - 1.0) * (x[0] - 1.2),)

    step, x = gd.AltGD(Field(velocity, jnp.float32(0)), jnp.float32(1e-7)), (jnp.asarray(1.15, jnp.float32),)
    assert step(x)[0] == x[0]
    assert gd.stability(step, x, throw=False).verdict in ("marginal", "undecided", "failed")


# Leaves


def test_the_derivative_of_the_growth_is_its_slope():
    def dirac_growth(gamma):
        return gd.stability(gd.AltGD(gd.Penalised(gd.games.dirac(), gd.r1, gamma), 0.7), ORIGIN).growth

    def quadratic_growth(a):
        game = gd.games.quadratic(a * jnp.diag(jnp.array([1.0, 2.0])), jnp.array([[1.0, 0.3], [-0.5, 0.7]]), 0.1 * jnp.eye(2))
        return gd.stability(game, gd.Players(jnp.zeros(2), jnp.zeros(2))).growth

    for growth, at, derivative in (
        (dirac_growth, 0.3, jax.grad),
        (dirac_growth, 1.6, jax.jacfwd),
        (quadratic_growth, 0.4, jax.grad),
    ):
        compiled = jax.jit(growth)
        slope = (compiled(at + 1e-5) - compiled(at - 1e-5)) / 2e-5
        # Central differences: 1e-10 of curvature and of rounding each.
        np.testing.assert_allclose(jax.jit(derivative(growth))(at), slope, rtol=1e-7)


def test_a_new_value_of_a_leaf_does_not_trace_again():
    gd.stability(Flow(-jnp.eye(3)), jnp.zeros(3))
    before = len(TRACES)
    for scale in (2, 3.0, np.float64(4)):
        assert gd.stability(Flow(-scale * jnp.eye(3)), jnp.zeros(3)).growth == -scale
        assert gd.stability(Flow(-scale * np.eye(3)), np.zeros(3)).growth == -scale
    assert len(TRACES) == before


# Derived numbers


def test_phase_and_conditioning_factors():
    found = flow(scipy.linalg.block_diag(rotation(-0.25), [[-8.0]]))
    np.testing.assert_allclose(found.zeta, 4, rtol=1e-12)
    np.testing.assert_allclose(found.tau, 8 / np.hypot(0.25, 1), rtol=1e-12)
    assert flow(rotation(0.0)).zeta == np.inf
    assert flow(np.diag([-1.0, -2.0])).zeta == 0
    assert flow(np.diag([0.0, -2.0])).tau == np.inf


def test_the_predicted_iterations_are_those_needed():
    game = gd.games.quadratic(1.0, 2.0, 1.0)
    step = gd.SimGD(game, 0.1)
    predicted = float(gd.stability(step, ORIGIN).iterations(1e6))
    orbit = gd.iterate(step, gd.Players(0.6, 0.8), int(np.ceil(predicted))).xs
    # The Jacobian is normal, so that every step shrinks the norm by the same factor.
    norms = np.hypot(orbit.generator, orbit.discriminator)
    assert norms[-1] <= 1e-6 < norms[-2]
    assert flow(np.eye(2)).iterations(1e6) == np.inf
    np.testing.assert_allclose(flow(-2 * np.eye(2)).iterations(np.e), 0.5)


def test_rotation_and_rate_are_those_of_the_leading_mode():
    found = flow(scipy.linalg.block_diag(rotation(-0.25), [[-8.0]]))
    np.testing.assert_allclose([found.growth, found.rotation, found.rate], [-0.25, 1.0, np.exp(-0.25)], rtol=1e-14)
    found = multipliers(scipy.linalg.block_diag(0.5 * np.array(rotation(0.0)), [[0.1]]))
    np.testing.assert_allclose([found.rate, found.rotation], [0.5, np.pi / 2], rtol=1e-14)


def test_one_step_size_maps_the_spectrum_of_the_flow():
    rng = np.random.default_rng(0)
    game, x = (
        gd.games.quadratic(np.eye(2), rng.normal(size=(2, 2)), np.diag([0.3, 2.0])),
        gd.Players(jnp.zeros(2), jnp.zeros(2)),
    )
    step = gd.SimGD(game, 0.3)
    direct = np.linalg.eigvals(gd.linearize(step, x).as_matrix())
    found = gd.stability(step, x)
    distances = np.abs(np.asarray(found.eigenvalues)[:, None] - direct[None, :])
    assert np.max(distances.min(axis=0)) < 1e-13
    two = gd.stability(gd.SimGD(game, gd.Players(0.3, 0.3)), x)
    np.testing.assert_allclose(two.growth, found.growth, rtol=1e-12)
