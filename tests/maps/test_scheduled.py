"""Numbers that follow a clock: by `Scheduled`, and by optax's own schedules."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)
GAME = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
START = gd.Players(0.4, -0.2)


def step_size(step):
    return step.h


class Decay(eqx.Module):
    """From `first` to `last`, by half in ten applications."""

    first: float
    last: float

    def __call__(self, clock):
        return self.last + (self.first - self.last) * 0.5 ** (clock / 10)


def scheduled(first=0.5, last=0.1):
    return gd.Scheduled(gd.SimGD(GAME, 1.0), step_size, Decay(first, last))


def spectrum_at(step, x):
    return np.sort_complex(np.asarray(gd.stability(step, x).eigenvalues))


def spectrum(step):
    return spectrum_at(step, step.init(ORIGIN))


def loop(count, size):
    x, velocity = START, eqx.filter_jit(GAME)
    for t in range(count):
        v = velocity(x)
        x = gd.Players(x.generator + size(t) * v.generator, x.discriminator + size(t) * v.discriminator)
    return np.array(x)


def test_iteration_is_a_plain_loop():
    final = gd.iterate(scheduled(), scheduled().init(START), 30, every=30).final
    assert int(final.clock) == 30
    assert final.clock.dtype == jnp.int32
    np.testing.assert_allclose(np.array(final.state), loop(30, lambda t: 0.1 + 0.4 * 0.5 ** (t / 10)), rtol=1e-12)


def test_an_optax_schedule_is_a_clock_too():
    schedule = optax.linear_schedule(0.5, 0.125, 20)
    step = gd.Optax(GAME, optax.sgd, learning_rate=schedule)
    final = gd.iterate(step, step.init(START), 30, every=30).final.point
    # Optax computes the rate in single precision: 30 steps that err by 6e-8 of 0.5 each.
    np.testing.assert_allclose(np.array(final), loop(30, lambda t: float(schedule(t))), atol=1e-6)
    np.testing.assert_allclose(spectrum(step), spectrum(gd.SimGD(GAME, 0.125)), atol=1e-14)
    with pytest.raises(ValueError, match="a schedule in its place"):
        gd.critical_step(step, step.init(ORIGIN))


@pytest.mark.parametrize("factory", [optax.sgd, optax.inject_hyperparams(optax.sgd)], ids=["schedule", "injected"])
def test_the_numbers_of_an_optax_schedule_are_leaves(factory):
    step = gd.Optax(GAME, factory, learning_rate=Decay(0.5, 0.125))
    assert {float(leaf) for leaf in jax.tree.leaves(step.rules)} == {0.5, 0.125}
    found = spectrum(step)
    np.testing.assert_allclose(found[np.abs(found) > 0.1], spectrum(gd.SimGD(GAME, 0.125)), atol=1e-14)


def test_at_a_fixed_point_the_schedule_has_ended():
    np.testing.assert_allclose(spectrum(scheduled()), spectrum(gd.SimGD(GAME, 0.1)), atol=1e-14)
    # Gone to zero, every point is a fixed point and every multiplier one: no decay that goes on.
    gone = scheduled(0.5, 0.0)
    assert gd.stability(gone, gone.init(ORIGIN)).verdict == "marginal"


@pytest.mark.parametrize("schedule", [lambda t: 0.1 / (1 + t), lambda t: 0.1 + 0.05 * (t % 2)], ids=["slow", "periodic"])
@pytest.mark.parametrize("clock", ["clock", "count"])
def test_a_schedule_without_an_end_is_undecided_and_named(schedule, clock):
    own = gd.Scheduled(gd.SimGD(GAME, 1.0), step_size, schedule)
    step = own if clock == "clock" else gd.Optax(GAME, optax.sgd, learning_rate=schedule)
    assert gd.stability(step, step.init(ORIGIN), throw=False).verdict == "undecided"
    with pytest.raises(RuntimeError, match=rf"\.{clock}"):
        gd.stability(step, step.init(ORIGIN))


def test_a_periodic_schedule_under_iterated():
    cyclic = gd.Scheduled(gd.SimGD(GAME, 1.0), step_size, lambda t: 0.1 + 0.3 * t, period=3)
    eigenvalues = gd.stability(GAME, ORIGIN).eigenvalues
    product = np.prod([1 + h * eigenvalues for h in (0.1, 0.4, 0.7)], axis=0)
    np.testing.assert_allclose(spectrum(gd.Iterated(cyclic, 3)), np.sort_complex(product), atol=1e-14)


def test_the_step_size_beside_a_schedule():
    step = gd.Scheduled(gd.SimGD(GAME, 0.1), lambda s: s.flow.weight, Decay(2.0, 0.25))
    # gamma / f'(0)^2 with f'(0) = 1/2, at the end of the schedule.
    np.testing.assert_allclose(gd.critical_step(step, step.init(ORIGIN)).value, 1.0, rtol=1e-9)
    assert float(step.time()) == 0.1


def test_the_step_size_that_follows_a_schedule():
    step = scheduled()
    with pytest.raises(ValueError, match=r"follows the schedule.*gd\.threshold"):
        gd.critical_step(step, step.init(ORIGIN))
    assert np.isnan(float(step.time()))
    # What the error says to do instead; 1.2 is gamma / f'(0)^2.
    found = gd.threshold(step, lambda s: s.schedule.last, step.init(ORIGIN), (0.1, 2.0))
    np.testing.assert_allclose(found.value, 1.2, rtol=1e-9)


def test_one_value_for_each_number():
    step = gd.Scheduled(gd.AltGD(GAME, (1.0, 1.0)), step_size, lambda t: (0.2, 0.4))
    np.testing.assert_allclose(spectrum(step), spectrum(gd.AltGD(GAME, (0.2, 0.4))), atol=1e-14)


def test_rates_at_the_end_of_a_schedule():
    step = scheduled(0.5, 0.2)
    rest = step.init(ORIGIN)
    found = gd.rate(gd.iterate(step, step.init(START), 1000), rest, system=step)
    assert found.kind == found.predicted.kind == "exponential"
    half = float(found.interval[1] - found.interval[0]) / 2
    assert abs(float(found.growth) - float(found.predicted.growth)) <= max(half, -1e-3 * float(found.predicted.growth))


def test_annealed_noise_and_an_equilibrium_at_its_end():
    noisy = gd.instance_noise(gd.games.uniform(), 0.5)
    step = gd.Scheduled(gd.SimGD(noisy, 0.1), lambda s: s.flow.noise.covariance, Decay(0.25, 0.01))
    x = gd.equilibrium(step, step.init(gd.Players(1.1, 0.1))).state
    plain = gd.SimGD(gd.instance_noise(gd.games.uniform(), 0.1), 0.1)
    # Refused unless it is the fixed point with the narrower noise.
    found = gd.stability(plain, step.point(x))
    np.testing.assert_allclose(spectrum_at(step, x), np.sort_complex(found.eigenvalues), rtol=1e-9)


def test_other_numbers_do_not_compile_again():
    traces = []

    @eqx.filter_jit
    def growth(step):
        traces.append(1)
        return gd.stability(step, step.init(gd.Players(jnp.zeros(()), jnp.zeros(())))).growth

    found = [growth(scheduled(jnp.asarray(first), jnp.asarray(last))) for first, last in ((0.5, 0.1), (0.6, 0.2))]
    assert len(traces) == 1
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.Scheduled(gd.SimGD(GAME, 0.1), lambda s: 0.1, Decay(1.0, 0.1)), "must return one array leaf"),
        (lambda: gd.Scheduled(gd.SimGD(GAME, 0.1), lambda s: s.beta, Decay(1.0, 0.1)), "lens failed"),
        (lambda: gd.Scheduled(gd.SimGD(GAME, 0.1), step_size, Decay(1.0, 0.1), period=0), "at least one application"),
    ],
)
def test_bad_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
