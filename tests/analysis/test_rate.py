import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)


def dirac(name="minimax"):
    return gd.games.dirac(getattr(gd.objectives, name))


def r1(gamma):
    return gd.Penalised(dirac(), gd.r1, gamma)


def measured(t, distances, **settings):
    path = gd.Trajectory(jnp.asarray(t, float), jnp.asarray(distances, float), gd.RESULTS.successful, {})
    return gd.rate(path, **settings)


def holds(rate, value):
    low, high = np.asarray(rate.interval)
    return low <= value <= high


# Synthetic distances, whose rates are known

T = np.arange(400.0)
TURN = 0.5 * np.log(1 + 0.6 * np.cos(0.37 * T + 1))
NOISE = np.random.default_rng(0).normal(size=400)

EXPONENTIAL = {
    "a line": (-0.05 * T, -0.05),
    "a line that is used up to the rounding floor": (-0.5 * T, -0.5),
    "a turning ellipse": (-0.05 * T + TURN, -0.05),
    "a fast transient": (np.logaddexp(-0.05 * T, np.log(3) - 0.08 * T), -0.05),
    "noise": (-0.01 * T + 0.1 * NOISE, -0.01),
    "a floor left by an inexact equilibrium": (np.logaddexp(-0.3 * T, np.log(1e-10 * np.abs(NOISE))), -0.3),
}


@pytest.mark.parametrize("name", EXPONENTIAL)
def test_exponential_decay(name):
    y, growth = EXPONENTIAL[name]
    found = measured(T, np.exp(y))
    assert (found.kind, found.power) == ("exponential", 0)
    assert holds(found, growth) or float(found.growth) == pytest.approx(growth, rel=1e-12)  # a perfect line has no width
    assert float(found.rate) == pytest.approx(np.exp(float(found.growth)))


def test_transients_and_the_floor_are_left_out():
    slow = measured(T, np.exp(np.logaddexp(-0.05 * T, np.log(3) - 0.08 * T)))
    assert float(slow.window[0]) >= 100
    floored = measured(T, np.exp(EXPONENTIAL["a floor left by an inexact equilibrium"][0]))
    # exp(-0.3 t) meets ten times the floor at t = 70.
    assert float(floored.window[1]) < 75
    deep = measured(T, np.exp(-0.5 * T))
    # In double precision what lies below eps^(3/4) = 2e-12 of the largest distance is not looked at: t = 54.
    assert float(deep.window[1]) == 54


def test_a_polynomial_factor_is_found():
    found = measured(T, (1 + 0.03 * T) * np.exp(-0.05 * T))
    assert (found.kind, found.power) == ("exponential", 1)
    assert float(found.growth) == pytest.approx(-0.05, rel=1e-9)


def test_algebraic_decay():
    for exponent in (0.5, 1.0, 2.0):
        found = measured(T, (T + 80) ** -exponent)
        assert found.kind == "algebraic"
        assert holds(found, exponent) or float(found.exponent) == pytest.approx(exponent, rel=1e-9)
        assert np.isnan(float(found.growth))
        assert np.isfinite(float(found.slope)) == (exponent == 0.5)
    slope = measured(T, (0.3 * (T + 80)) ** -0.5).slope
    assert float(slope) == pytest.approx(0.3, rel=1e-9)


def test_algebraic_decay_that_turns():
    y = -0.5 * np.log(0.3 * (T + 80)) + 0.5 * np.log(1 + 0.3 * np.cos(0.37 * T))
    found = measured(T, np.exp(y))
    assert found.kind == "algebraic"
    assert holds(found, 0.5)
    # Of the mean square over a turn, which 1 + 0.3 cos leaves alone. Four harmonics hold the rest to a part in a thousand.
    assert float(found.slope) == pytest.approx(0.3, rel=5e-3)


def test_no_decay():
    turning = measured(T, np.exp(TURN))
    noisy = measured(T, np.exp(0.1 * NOISE))
    still = measured(T, np.ones_like(T))
    for found in (turning, noisy, still):
        assert found.kind == "none"
        assert holds(found, 0.0)
    assert float(noisy.interval[1]) < 3e-4


def test_growth_is_measured_before_it_ends():
    logistic = 0.05 * T + np.log(1e-6) - np.log1p(1e-6 * np.exp(0.05 * T))
    for y in (0.05 * T - 20, logistic):
        found = measured(T, np.exp(y))
        assert found.kind == "growing"
        assert float(found.growth) == pytest.approx(0.05, rel=1e-4)
    assert float(measured(T, np.exp(logistic)).window[1]) < 280  # half of the largest distance is reached at 277


UNDECIDED = {
    "too little change for the noise": np.exp(-0.001 * T + 0.1 * NOISE),
    "too few samples": np.exp(-0.05 * T[:5]),
    "zeros": np.zeros(400),
    "nothing finite": np.full(400, np.nan),
    "two regimes": np.exp(np.minimum(-0.001 * T, -0.001 * 200 - 0.03 * (T - 200)) + 0.05 * NOISE)[:260],
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_undecided(name):
    distances = UNDECIDED[name]
    assert measured(T[: distances.size], distances).kind == "undecided"


def test_only_the_finite_part_is_used():
    distances = np.exp(-0.05 * T)
    distances[300:] = np.nan
    found = measured(T, distances)
    assert found.kind == "exponential"
    assert float(found.window[1]) <= 299


def test_the_interval_covers_what_it_says():
    rng = np.random.default_rng(1)
    t = np.arange(80.0)
    hits, widths = 0, []
    for _ in range(60):
        found = measured(t, np.exp(-0.05 * t + 0.2 * rng.normal(size=80)))
        hits += holds(found, -0.05)
        widths.append(float(found.interval[1] - found.interval[0]) / 2)
    # Sixty draws at 95 per cent: fewer than 53 hits have a chance of one in a hundred.
    assert hits >= 53
    # The standard error of a straight line through all samples is sigma sqrt(12 / n^3).
    assert np.median(widths) < 2 * 1.99 * 0.2 * np.sqrt(12 / 80**3)


def test_correlated_noise_widens_the_interval():
    rng = np.random.default_rng(2)
    wild, noise = rng.normal(size=(30, 300)), np.zeros((30, 300))
    for i in range(1, 300):
        noise[:, i] = 0.9 * noise[:, i - 1] + np.sqrt(1 - 0.81) * wild[:, i]
    t = np.arange(300.0)
    hits = sum(holds(measured(t, np.exp(-0.02 * t + 0.2 * each)), -0.02) for each in noise)
    # Without the correction the standard error would be too small by a factor of four, and fewer than half would be hits.
    assert hits >= 25


def test_a_larger_confidence_is_a_wider_interval():
    narrow, wide = (measured(T, np.exp(-0.01 * T + 0.1 * NOISE), confidence=c) for c in (0.5, 0.99))
    assert np.diff(np.asarray(wide.interval))[0] > 2 * np.diff(np.asarray(narrow.interval))[0]


# Trajectories of games, measured beside predicted


def test_the_nonsaturating_flow_decays_like_the_root_of_time():
    # MD09: 1/r^2 grows at the rate 1/8. The correction at r^2 = 0.09 is of relative order r^2 / 100.
    flow = dirac("nonsaturating")
    path = gd.integrate(flow, gd.Players(0.3, 0.0), jnp.linspace(0, 4000, 2001))
    found = gd.rate(path, ORIGIN, system=flow)
    assert (found.kind, found.predicted.kind) == ("algebraic", "algebraic")
    assert holds(found, 0.5)
    assert float(found.predicted.slope) == pytest.approx(1 / 8, rel=1e-12)
    assert float(found.slope) == pytest.approx(1 / 8, rel=1e-4)
    # From r = 0.3 to 0.06 the time is (1/0.06^2 - 1/0.3^2) * 8.
    assert found.predicted_time(0.06) == pytest.approx((1 / 0.06**2 - 1 / 0.09) * 8)
    assert found.time(0.06) == pytest.approx(found.predicted_time(0.06), rel=2e-3)


def test_least_squares_decays_four_times_as_fast():
    flow = dirac("least_squares")
    path = gd.integrate(flow, gd.Players(0.2, 0.0), jnp.linspace(0, 1000, 2001))
    found = gd.rate(path, ORIGIN, system=flow)
    assert found.kind == "algebraic"
    assert float(found.predicted.slope) == pytest.approx(1 / 2, rel=1e-12)
    assert float(found.slope) == pytest.approx(1 / 2, rel=1e-3)


def test_a_centre_does_not_decay():
    found = gd.rate(gd.integrate(dirac(), gd.Players(0.3, 0.0), jnp.linspace(0, 300, 601)), ORIGIN, system=dirac())
    assert (found.kind, found.predicted.kind) == ("none", "none")
    assert found.predicted_time(0.1) == np.inf
    assert np.isnan(found.time(0.1))


def test_alternating_descent_on_the_nonsaturating_game_creeps_in_beside_its_average():
    step = gd.Averaged(gd.AltGD(dirac("nonsaturating"), 0.3), 0.8)
    path = gd.iterate(step, step.init(gd.Players(0.3, 0.0)), 40_000, every=4)
    found = gd.rate(path, step.init(ORIGIN), system=step)
    assert (found.kind, found.predicted.kind) == ("algebraic", "algebraic")
    # Relative corrections of the order of r^2 < 0.01, and the ellipse's mean over an incomplete turn.
    assert float(found.slope) == pytest.approx(float(found.predicted.slope), rel=2e-3)


def test_a_spurious_circle_is_growth_and_then_none():
    step = gd.SimGD(dirac("nonsaturating"), 0.1)
    inside = gd.rate(gd.iterate(step, gd.Players(1e-4, 0.0), 10_000), ORIGIN, system=step)
    assert (inside.kind, inside.predicted.kind) == ("growing", "growing")
    assert float(inside.growth) == pytest.approx(np.log(1 + 0.1**2 / 4) / 2, rel=1e-3)
    outside = gd.rate(gd.iterate(step, gd.Players(1.0, 0.0), 20_000), ORIGIN, system=step)
    assert outside.kind == "none"


def test_a_defective_eigenvalue_brings_a_power_of_time():
    # MD22b: at gamma = 1 the flow has the double eigenvalue -1/2 and SimGD the multiplier 1 - h/2, each in a Jordan block.
    flow = r1(1.0)
    assert gd.predict(flow, ORIGIN).power == 1
    step = gd.SimGD(flow, 0.2)
    path = gd.iterate(step, gd.Players(0.05, 0.0), 500)
    found = gd.rate(path, ORIGIN, system=step)
    assert (found.power, found.predicted.power) == (1, 1)
    assert float(found.predicted.growth) == pytest.approx(np.log(0.9), rel=1e-12)
    assert float(found.growth) == pytest.approx(np.log(0.9), rel=1e-5)
    # The power's own logarithm counts: without it the prediction would be 131 steps for six digits.
    six = found.predicted.time(1e-6)
    assert six == pytest.approx(-np.log(1e-6 / (1 + float(found.predicted.shear) * six)) / -np.log(0.9), rel=1e-9)
    assert found.time(0.05e-6) == pytest.approx(found.predicted_time(0.05e-6), rel=0.05)


def test_a_block_of_three():
    nilpotent = jnp.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, -1.0]])

    class Linear(gd.AbstractFlow):
        def __call__(self, x):
            return nilpotent @ x

    found = gd.predict(Linear(), jnp.zeros(3))
    assert (found.kind, found.power) == ("exponential", 2)
    assert float(found.growth) == pytest.approx(-1.0, rel=1e-9)


def test_equal_eigenvalues_without_a_block_have_no_power():
    game = gd.Penalised(gd.games.linear(mean=(1.0, 1.0)), gd.r1, 0.3)
    assert gd.predict(game, gd.Players(jnp.ones(2), jnp.zeros(2))).power == 0


def test_modes_of_the_memory_alone_do_not_count():
    # The second moments of Adam fall at the pace b2 whatever the point does.
    step = gd.Optax(r1(0.3), optax.adam, learning_rate=1e-2, b1=0.5, b2=0.999, eps_root=1e-2)
    state = step.init(ORIGIN)
    assert float(gd.stability(step, state).growth) == pytest.approx(np.log(0.999), rel=1e-9)
    assert float(gd.predict(step, state).growth) < 1.1 * np.log(0.99)


def _random(seed):
    """A game of a random strength and a random step, and the rest: ten settings of as many algorithms."""
    rng = np.random.default_rng(seed)
    gamma, h = rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.45)
    game, order = r1(gamma), ("generator", "discriminator")
    return [
        lambda: gd.SimGD(game, h / 2),
        lambda: gd.AltGD(game, (h, 2 * h), order=order, steps=(1, 2)),
        lambda: gd.ExtraGradient(dirac(), 2 * h),
        lambda: gd.Optimistic(dirac(), h),
        lambda: gd.Momentum(game, h, rng.uniform(-0.5, 0.0), order=order),
        lambda: gd.Optax(game, optax.adam, learning_rate=0.04 * h, b1=0.5, b2=0.9, eps_root=1e-2),
        lambda: gd.Optax(game, optax.adam, learning_rate=0.1 * h, b1=0.0, b2=0.99, eps_root=0.1, order=order),
        lambda: gd.Optax(game, optax.rmsprop, learning_rate=0.1 * h, decay=0.9, eps=0.3),
        lambda: gd.Lookahead(gd.SimGD(dirac(), h), 4, 0.5),
        lambda: gd.RungeKutta(gd.consensus(dirac(), gamma), h),
    ][seed]()


@pytest.mark.parametrize("seed", range(10))
def test_measured_rates_are_the_predicted_ones(seed):
    step = _random(seed)
    rest = step.init(ORIGIN)
    start = gd.Players(*(0.02 * np.random.default_rng(seed).normal(size=2)))
    predicted = float(gd.predict(step, rest).growth)
    path = gd.iterate(step, step.init(start), int(28 / -predicted))
    found = gd.rate(path, rest, system=step)
    assert found.kind == found.predicted.kind == "exponential"
    half = float(found.interval[1] - found.interval[0]) / 2
    assert abs(float(found.growth) - predicted) <= max(half, 1e-3 * -predicted)
    assert half <= 1e-2 * -predicted
    # Eight digits, up to the constant before the exponential, which is of the order of one: some fifteen logarithms of it.
    assert found.time(1e-8 * float(found.distances[0])) == pytest.approx(
        found.predicted_time(1e-8 * float(found.distances[0])), rel=0.15
    )


# Use


def test_five_lines():
    step = gd.SimGD(r1(0.3), 0.2)
    found = gd.rate(gd.iterate(step, gd.Players(0.1, 0.0), 400), ORIGIN, system=step)
    lines = str(found).splitlines()
    assert len(lines) == 5
    assert lines[0].split() == ["kind", "exponential"]
    assert lines[-1].startswith("predicted    exponential growth -0.0256466471")


def test_distances_that_were_kept_are_taken_as_they_are():
    step = gd.SimGD(r1(0.3), 0.2)
    kept = gd.iterate(step, gd.Players(0.1, 0.0), 400, observe=_norm)
    states = gd.iterate(step, gd.Players(0.1, 0.0), 400)
    a, b, c = gd.rate(kept), gd.rate(states, ORIGIN), gd.rate(kept, ORIGIN, system=step)
    assert a.predicted is None
    np.testing.assert_allclose(float(a.growth), float(b.growth), rtol=1e-12)
    assert float(c.growth) == float(a.growth)
    assert c.predicted.kind == "exponential"


def _norm(x):
    return jnp.sqrt(x.generator**2 + x.discriminator**2)


def test_single_precision_has_its_own_floor():
    t = jnp.arange(400, dtype=jnp.float32)
    path = gd.Trajectory(t, jnp.exp(-0.1 * t), gd.RESULTS.successful, {})
    found = gd.rate(path)
    assert found.kind == "exponential"
    # eps^(3/4) is 6e-6 in single precision.
    assert float(found.window[1]) <= 121


def test_bad_use():
    step = gd.SimGD(r1(0.3), 0.2)
    path = gd.iterate(step, gd.Players(0.1, 0.0), 20)
    with pytest.raises(ValueError, match="give the equilibrium"):
        gd.rate(path)
    with pytest.raises(ValueError, match="between 0 and 1"):
        gd.rate(path, ORIGIN, confidence=95.0)
    with pytest.raises(ValueError, match="was given a trajectory of"):
        gd.rate(path, gd.Players(jnp.zeros(2), jnp.zeros(2)))
    with pytest.raises(ValueError, match=r"call gd\.rate"):
        gd.rate(path, ORIGIN).predicted_time(1e-3)


def test_predictions_of_every_kind():
    assert gd.predict(gd.SimGD(dirac(), 0.3), ORIGIN).kind == "growing"
    assert gd.predict(dirac("wasserstein"), ORIGIN).kind == "none"
    assert gd.predict(gd.games.bilinear(jnp.eye(2)), gd.Players(jnp.zeros(2), jnp.zeros(2))).kind == "undecided"
    found = gd.predict(r1(0.3), ORIGIN)
    assert found.kind == "exponential"
    assert found.time(2.0, start=1.0) == 0.0
    assert float(found.rotation) == pytest.approx(np.sqrt(0.25 - 0.15**2), rel=1e-12)
    assert jax.tree.leaves(found)
