"""Limit cycles against closed forms and published values: periods to 1e-9, multipliers to 1e-7 where they exceed that."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from jax import Array

import gandyn as gd
from gandyn.claims import _orbits

P, R, text = gd.Players, gd.RESULTS, gd.textbook


def van_der_pol_period(mu):
    """The series of Andersen and Geer (1982) for the frequency, whose next term is below 1e-13 at mu = 0.2."""
    terms = {0: 1, 2: -1 / 16, 4: 17 / 3072, 6: 35 / 884736, 8: -678899 / 5096079360, 10: 28160413 / 2293235712000}
    return 2 * np.pi / sum(factor * mu**power for power, factor in terms.items())


# Smooth cycles of the plane


@pytest.mark.parametrize(
    ("mu", "period"), [(0.2, van_der_pol_period(0.2)), (1.0, 6.663286859323), (1.69, 7.2898273311)], ids=["0.2", "1", "1.69"]
)
def test_the_period_of_van_der_pol(mu, period):
    found = gd.cycle(text.VanDerPol(mu), jnp.array([2.0, 0.1]))
    # The published digits: eleven at 1.69 (claims MD17).
    np.testing.assert_allclose(found.period, period, rtol=1e-11 if mu < 1.5 else 2e-11)
    assert found.verdict == "stable"
    assert found.isolated


def test_the_multiplier_of_van_der_pol():
    found = gd.cycle(text.VanDerPol(1.0), jnp.array([2.0, 0.1]))
    # Claims MD18, to the digits given there.
    np.testing.assert_allclose(found.divergence, -7.0589328088, atol=1e-10)
    np.testing.assert_allclose(found.multipliers, [8.596951e-04], rtol=1e-7)
    np.testing.assert_allclose(jnp.max(jnp.abs(found.xs[:, 0])), 2.00861986, rtol=1e-3)
    assert float(found.trivial) < 1e-10
    assert float(found.digits[0]) > 9


def test_the_orbit_is_one_turn_of_the_flow():
    flow = text.VanDerPol(1.0)
    found = gd.cycle(flow, jnp.array([2.0, 0.1]))
    again = gd.integrate(flow, found.state, found.ts)
    # The interpolation of `integrate` between its steps, 3e-10.
    np.testing.assert_allclose(found.xs, again.xs, atol=1e-9)
    np.testing.assert_array_equal(found.xs[0], found.xs[-1])


@pytest.mark.parametrize("growth", [0.4, -0.4])
def test_the_cycle_of_the_normal_form_in_closed_form(growth):
    # Attracting, and beyond a subcritical bifurcation repelling.
    flow = text.StuartLandau(growth, 2.0, 0.5, np.sign(growth))
    found = gd.cycle(flow, jnp.array([0.6, 0.1]))
    period = 2 * np.pi / (2.0 - 0.5 * abs(growth))
    np.testing.assert_allclose(found.period, period, rtol=1e-11)
    np.testing.assert_allclose(found.multipliers, [np.exp(-2 * growth * period)], rtol=1e-9)
    np.testing.assert_allclose(found.exponents, [-2 * growth], rtol=1e-9)
    np.testing.assert_allclose(jnp.linalg.norm(found.xs, axis=1), np.sqrt(0.4), rtol=1e-11)
    assert found.verdict == ("stable" if growth > 0 else "unstable")


def test_the_brusselator_against_another_integrator():
    found = gd.cycle(text.Brusselator(1.0, 3.0), jnp.array([1.0, 1.0]))

    def field(t, y):
        return [1 - 4 * y[0] + y[0] ** 2 * y[1], 3 * y[0] - y[0] ** 2 * y[1], 2 * y[0] * y[1] - 4 - y[0] ** 2]

    def level(t, y):
        return y[0] - 1

    level.direction = 1
    solution = scipy.integrate.solve_ivp(
        field, (0, 60), [*np.asarray(found.state), 0.0], "DOP853", events=level, rtol=1e-13, atol=1e-13
    )
    times, states = solution.t_events[0], solution.y_events[0]
    # Its events are found on an interpolation.
    np.testing.assert_allclose(found.period, times[-1] - times[-2], rtol=1e-10)
    np.testing.assert_allclose(found.divergence, states[-1, 2] - states[-2, 2], rtol=1e-9)


@pytest.mark.parametrize("mu", [5.0, 20.0])
def test_multipliers_below_every_tolerance(mu):
    # 1e-37 and 1e-366: nothing of them is left in the product of the matrices, but the divergence knows them.
    found = gd.cycle(text.VanDerPol(mu), jnp.array([2.0, 0.0]))
    x = np.asarray(found.xs[:, 0])

    def field(t, y):
        return [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0], mu * (1 - y[0] ** 2)]

    start = np.array([*np.asarray(found.state), 0.0])
    turn = scipy.integrate.solve_ivp(field, (0, float(found.period)), start, "DOP853", rtol=1e-12, atol=1e-12).y[2, -1]
    assert found.verdict == "stable"
    assert float(found.digits[0]) > 6
    # On the fast parts either integration is good to some digits less than its tolerance.
    np.testing.assert_allclose(found.exponents.real * found.period, [turn], rtol=1e-8)
    assert turn < -80
    assert x.max() < 2.03


def test_slow_cycles_are_found():
    # What bounds the search is its work, and not the time that it takes.
    stiff = gd.cycle(text.VanDerPol(60.0), jnp.array([2.0, 0.0]))

    def field(t, y):
        return [y[1], 60 * (1 - y[0] ** 2) * y[1] - y[0]]

    def level(t, y):
        return y[0]

    level.direction, level.terminal = 1, 2
    turn = scipy.integrate.solve_ivp(field, (0, 300), [2.0, 0.0], "LSODA", events=level, rtol=1e-12, atol=1e-12).t_events[0]
    # The peer's events are found on an interpolation, and its period moves by 1e-9 with its tolerance.
    np.testing.assert_allclose(stiff.period, turn[1] - turn[0], rtol=1e-8)
    slow = gd.cycle(text.StuartLandau(1e-6, 1e-5), jnp.array([1.0, 0.0]))
    # Its radius is a thousandth, of which the absolute tolerance, 1e-12, is 1e-9; a step's share of a turn is smaller.
    np.testing.assert_allclose(slow.period, 2e5 * np.pi, rtol=1e-10)
    np.testing.assert_allclose(slow.exponents, [-2e-6], rtol=1e-9)


# Rough guesses, multiples of the period, families


@pytest.mark.parametrize("guess", [(0.05, 0.0), (4.0, 4.0), (-1.0, 2.0), (20.0, 20.0)])
def test_the_guess_may_be_any_state_of_a_trajectory(guess):
    found = gd.cycle(text.VanDerPol(1.0), jnp.array(guess))
    np.testing.assert_allclose(found.period, 6.663286859323, rtol=1e-11)


@pytest.mark.parametrize("times", [1, 2, 7, 9, 20, 35, 37, 40, 60])
def test_a_multiple_of_the_period_returns_the_smallest(times):
    found = gd.cycle(text.VanDerPol(1.0), jnp.array([2.0, 0.1]), times * 6.7)
    np.testing.assert_allclose(found.period, 6.663286859323, rtol=1e-11)
    np.testing.assert_allclose(found.multipliers, [8.596951e-04], rtol=1e-7)


def test_a_centre_returns_the_orbit_through_the_guess_and_says_so():
    # Claims MD02: the circle of radius r has the period 2 pi (1 + I0(r^2 / 2)).
    game = gd.games.dirac()
    found = gd.cycle(game, P(0.6, 0.8))
    np.testing.assert_allclose(found.period, 2 * np.pi * (1 + scipy.special.i0(0.5)), rtol=1e-11)
    np.testing.assert_allclose([found.state.generator, found.state.discriminator], [0.6, 0.8], atol=1e-12)
    assert not found.isolated
    assert found.verdict == "neutral"
    np.testing.assert_allclose(found.multipliers, [1.0], rtol=1e-10)
    # Twice the period as a guess is no other orbit.
    np.testing.assert_allclose(gd.cycle(game, P(0.6, 0.8), 25.0).period, found.period, rtol=1e-11)


class Touching(gd.AbstractFlow):
    """A cycle of radius one that attracts from outside and repels inwards, its multiplier exactly one."""

    strength: float

    def __call__(self, x):
        rate = -self.strength * (x[0] ** 2 + x[1] ** 2 - 1) ** 2
        return jnp.stack([rate * x[0] - x[1], x[0] + rate * x[1]])


def test_a_multiplier_of_one_alone_is_no_family():
    found = gd.cycle(Touching(1.0), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(found.period, 2 * np.pi, rtol=1e-9)
    assert found.isolated
    assert found.verdict == "undecided"


def test_the_period_against_the_amplitude_at_a_centre():
    # Claim NK07: an integral between the turning points, which are Lambert's function.
    game, starts = gd.games.uniform(gd.objectives.wasserstein), np.array([1.1, 1.5, 2.0])
    found = gd.family(game, P(jnp.asarray(starts), jnp.zeros(3)))
    # The errors of a turn at the tolerance of 1e-12 a step.
    np.testing.assert_allclose(found.periods, [_orbits.period(a**2 / 2 - np.log(a)) for a in starts], rtol=1e-11)
    np.testing.assert_allclose(found.periods[:2], [9.4400048093299, 9.77241810511183], rtol=1e-11)
    assert found.closed.all()


# Space


def test_unstable_cycles_of_the_lorenz_attractor():
    # Viswanath (2003): the orbits AB and AAB of the classical parameters, to his fourteen digits.
    one = gd.cycle(text.Lorenz(), jnp.array([-13.76, -19.58, 27.0]), 1.56)
    np.testing.assert_allclose(one.period, 1.5586522107162, rtol=1e-12)
    two = gd.cycle(text.Lorenz(), jnp.array([-12.6, -16.97, 27.0]), 2.306)
    np.testing.assert_allclose(two.period, 2.3059072639398, rtol=1e-12)
    for found in (one, two):
        assert found.verdict == "unstable"
        # The divergence is constant, minus (sigma + 1 + beta).
        np.testing.assert_allclose(found.divergence, -(11 + 8 / 3) * found.period, rtol=1e-11)
        np.testing.assert_allclose(jnp.sum(found.exponents.real), -(11 + 8 / 3), rtol=1e-8)


def test_the_cycles_of_the_rossler_attractor():
    # The first three in the tables of Cvitanović et al. (ChaosBook): periods and expanding multipliers.
    table = [
        (5.88108845586, (0.0, 6.09176831742, 1.29973195919), -2.403953527),
        (11.7586260717, (0.0, 6.91498284608, 0.0757168639342), -3.512006980),
        (17.5157912663, (0.0, 7.54996784577, 0.140432840371), None),
    ]
    for period, start, expanding in table:
        found = gd.cycle(text.Rossler(), jnp.array(start), period)
        # Eleven digits are given; the last of the third was lost there.
        np.testing.assert_allclose(found.period, period, rtol=2e-8 if expanding is None else 1e-10)
        if expanding is not None:
            # Where the trivial one came out as 1.000000003.
            np.testing.assert_allclose(found.multipliers[0], expanding, rtol=3e-9)
        # The contracting one is 1e-14 and smaller: what the others leave of the divergence.
        np.testing.assert_allclose(jnp.sum(found.exponents.real) * found.period, found.divergence, rtol=1e-12)
        assert np.all(found.digits > 6)


def test_multiple_shooting_agrees():
    flow = text.Lorenz()
    one = gd.cycle(flow, jnp.array([-13.76, -19.58, 27.0]), 1.56)
    four = gd.cycle(flow, jnp.array([-13.76, -19.58, 27.0]), 1.56, segments=4)
    np.testing.assert_allclose(four.period, one.period, rtol=1e-12)
    np.testing.assert_allclose(four.multipliers[0], one.multipliers[0], rtol=1e-9)


class Beside(gd.AbstractFlow):
    """Van der Pol's oscillator beside a normal form that spirals in, in coordinates that mix the two."""

    mu: Array
    linear: Array
    basis: Array

    def __call__(self, x):
        q, p, *rest = jnp.linalg.inv(self.basis) @ x
        rest = jnp.stack(rest)
        inward = self.linear @ rest - rest * jnp.sum(rest**2)
        return self.basis @ jnp.concatenate([jnp.stack([p, self.mu * (1 - q**2) * p - q]), inward])


@pytest.mark.parametrize(("mu", "second", "turning"), [(5.0, 0.3, 0.0), (10.0, 0.0, 0.7), (20.0, 0.3, 0.0)])
def test_moderate_multipliers_beside_tiny_ones(mu, second, turning):
    # Those of the two parts by themselves: 1e-37, 1e-135 and 1e-518 beside those of the linear part.
    basis = np.eye(4) + 0.3 * np.random.default_rng(0).normal(size=(4, 4))
    linear = np.array([[-0.05, -turning], [turning, -0.05 - second]])
    alone = gd.cycle(text.VanDerPol(mu), jnp.array([2.0, 0.0]))
    found = gd.cycle(
        Beside(mu, jnp.asarray(linear), jnp.asarray(basis)), jnp.asarray(basis @ [2.0, 0.0, 1e-3, 0.0]), alone.period
    )
    expected = np.exp(np.linalg.eigvals(linear) * float(alone.period))
    np.testing.assert_allclose(found.period, alone.period, rtol=1e-11)
    np.testing.assert_allclose(np.sort_complex(found.multipliers[:2]), np.sort_complex(expected), rtol=1e-7)
    # The errors that are shown cover the true ones and promise those digits.
    assert np.all(np.asarray(found.errors[:2]) < 1e-7)
    np.testing.assert_allclose(found.exponents[2], alone.exponents[0], rtol=1e-9)


# Single precision


def test_cycles_in_single_precision():
    def run(growth, damping, x):
        numbers = (jnp.float32(value) for value in (growth, 2.0, 0.5, damping))
        return gd.cycle(text.StuartLandau(*numbers), jnp.array(x, jnp.float32))

    for growth in (0.4, 0.2, 0.03, -0.1):
        found = run(growth, np.sign(growth), [1.1 * np.sqrt(abs(growth)), 0.0])
        assert found.period.dtype == found.xs.dtype == jnp.float32
        period = 2 * np.pi / (2.0 - 0.5 * abs(growth))
        # The tolerance per step is 1e-5 there, and a turn has some ten of them.
        np.testing.assert_allclose(found.period, period, rtol=3e-5)
        # Three digits hold, and no more are promised.
        assert abs(float(found.multipliers[0].real) / np.exp(-2 * growth * period) - 1) < float(found.errors[0]) < 1e-3
        assert found.verdict == ("stable" if growth > 0 else "unstable")
        assert found.isolated
    # Without growth or damping the circle of every radius r is an orbit, of period 2 pi / (2 - r^2 / 2).
    centre = run(0.0, 0.0, [0.6, 0.8])
    np.testing.assert_allclose(centre.period, 2 * np.pi / 1.5, rtol=3e-5)
    assert not centre.isolated
    assert centre.verdict == "neutral"
    # A hundredth of the growth away from it the neighbour tells.
    assert run(0.01, 1.0, [0.1, 0.0]).isolated


# Switches


@pytest.mark.parametrize(("strength", "centre"), [(0.7, 1.0), (1.0, 0.3), (1.5, 2.0)])
def test_the_cycle_of_wgan_gp_in_closed_form(strength, centre):
    # Claims MD11. A field taken as smooth would give the multiplier exp(-strength T), its square.
    penalty = gd.gradient_penalty(centre, points=gd.on_real)
    game = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), penalty, strength)
    w = np.sqrt(1 - strength**2 / 4)
    q, turning = np.exp(-strength * np.pi / (2 * w)), strength * centre / np.tanh(strength * np.pi / (4 * w))
    for start in (P(1.3 * turning, 0.0), P(turning, 0.2)):
        found = gd.cycle(game, start)
        np.testing.assert_allclose(found.period, 2 * np.pi / w, rtol=1e-11)
        np.testing.assert_allclose(found.multipliers, [q**2], rtol=1e-9)
        assert found.verdict == "stable"
    crossing = jnp.argmin(jnp.abs(found.xs.discriminator))
    np.testing.assert_allclose(abs(found.xs.generator[crossing]), turning, rtol=0.05)


# Failures


def test_each_failure_has_its_own_result():
    oscillator = text.VanDerPol(1.0)
    assert gd.cycle(oscillator, jnp.zeros(2), throw=False).result == R.at_rest
    assert gd.cycle(oscillator, jnp.zeros(2), 6.0, throw=False).result == R.at_rest
    assert gd.cycle(oscillator, jnp.array([2.0, 0.0]), -1.0, throw=False).result == R.no_period
    # Inside the repelling cycle everything comes to rest, outside everything runs away.
    assert gd.cycle(text.VanDerPol(-1.0), jnp.array([0.5, 0.0]), throw=False).result == R.at_rest
    assert gd.cycle(text.VanDerPol(-1.0), jnp.array([9.0, 9.0]), throw=False).result == R.diverged
    never = gd.Section.through(jnp.array([9.0, 0.0]), jnp.array([1.0, 0.0]))
    missed = gd.cycle(oscillator, jnp.array([2.0, 0.0]), None, never, throw=False)
    assert missed.result == R.no_return
    # What the message says to do can be done.
    assert "`period`" in R[R.no_return]
    assert missed.verdict == "failed"
    assert np.isnan(missed.period)
    with pytest.raises(RuntimeError, match="not positive"):
        gd.cycle(oscillator, jnp.array([2.0, 0.0]), -1.0)


def test_wrong_arguments_are_refused(unchecked):
    with pytest.raises(ValueError, match="takes a flow"):
        gd.cycle(gd.SimGD(gd.games.dirac(), 0.1), P(0.1, 0.1))
    with pytest.raises(ValueError, match="segments=0"):
        gd.cycle(text.VanDerPol(1.0), jnp.ones(2), segments=0)
    with pytest.raises(ValueError, match="takes a flow"):
        gd.family(gd.SimGD(gd.games.dirac(), 0.1), P(0.1, 0.1))


def test_many_cycles_at_once():
    def run(mu):
        return gd.cycle(text.VanDerPol(mu), jnp.array([2.0, 0.1]), throw=False)

    found = eqx.filter_jit(eqx.filter_vmap(run))(jnp.array([1.0, -1.0, 1.69]))
    np.testing.assert_allclose(found.period, [6.663286859323, 6.663286859323, 7.2898273311], rtol=2e-11)
    np.testing.assert_allclose(found.multipliers[0] * found.multipliers[1], 1.0, rtol=1e-9)
    assert found.isolated.all()
