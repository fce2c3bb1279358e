"""Solutions of flows."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import gandyn as gd
from gandyn import _tree


class Linear(gd.AbstractFlow):
    matrix: jax.Array

    def __call__(self, x):
        return self.matrix @ x


class Blast(gd.AbstractFlow):
    """Infinite at time one when started from one."""

    def __call__(self, x):
        return x**2


MATRIX = jnp.array([[-0.3, 2.0, 0.0], [-1.0, -0.1, 0.5], [0.2, 0.0, -0.7]])
START = jnp.array([1.0, -0.5, 0.3])
TIMES = np.array([0.0, 0.5, 3.0, 10.0])


def test_a_linear_flow_is_the_exponential():
    found = gd.integrate(Linear(MATRIX), START, TIMES)
    expected = [scipy.linalg.expm(t * np.asarray(MATRIX)) @ START for t in TIMES]
    # Ten time units at 1e-12 per step.
    np.testing.assert_allclose(found.xs, expected, atol=1e-11)
    np.testing.assert_array_equal(found.ts, TIMES)
    assert bool(found.result == gd.RESULTS.successful)
    np.testing.assert_array_equal(found.final, found.xs[-1])
    np.testing.assert_array_equal(found.xs[0], START)
    assert int(found.stats["num_steps"]) > 3


def test_it_starts_at_the_first_time():
    late = gd.integrate(Linear(MATRIX), START, TIMES + 7.0)
    np.testing.assert_allclose(late.xs, gd.integrate(Linear(MATRIX), START, TIMES).xs, atol=1e-12)
    np.testing.assert_array_equal(late.xs[0], START)


def test_a_centre_keeps_its_radius_for_a_hundred_turns():
    turn = 2 * np.pi
    found = gd.integrate(gd.games.bilinear(), gd.Players(0.6, 0.8), turn * np.arange(0.0, 101.0, 10.0))
    radius = np.hypot(found.xs.generator, found.xs.discriminator)
    assert np.abs(radius - 1).max() < 1e-9
    # It also comes back in time: the phase is as good as the radius.
    np.testing.assert_allclose(found.final, [0.6, 0.8], atol=1e-8)


def test_a_nonlinear_centre_keeps_its_invariant():
    # The Dirac-GAN conserves the squared radius: the velocity (psi, -theta) sigma(psi theta) is perpendicular to it.
    found = gd.integrate(gd.games.dirac(), gd.Players(1.0, 1.0), [0.0, 100.0])
    assert abs(float(_tree.norm(found.final)) - 2**0.5) < 1e-10


def test_orbits_inside_compiled_code():
    ends = jax.jit(jax.vmap(lambda c: gd.integrate(gd.games.bilinear(c), gd.Players(1.0, 0.0), jnp.array([0.0, 2.0])).final))
    speeds = jnp.array([0.5, 1.5])
    found = ends(speeds)
    np.testing.assert_allclose(found.generator, np.cos(2 * speeds), atol=1e-11)
    np.testing.assert_allclose(found.discriminator, np.sin(2 * speeds), atol=1e-11)


def test_another_solver_and_its_tolerance():
    loose = gd.integrate(gd.games.bilinear(), gd.Players(1.0, 0.0), [0.0, 50.0], solver=diffrax.Tsit5(), rtol=1e-4, atol=1e-4)
    drift = abs(float(_tree.norm(loose.final)) - 1)
    assert 1e-6 < drift < 0.1


# Failures and refusals


def test_a_solution_that_explodes_has_failed():
    lost = gd.integrate(Blast(), 1.0, [0.0, 0.5, 2.0], max_steps=2000, throw=False)
    assert bool(lost.result != gd.RESULTS.successful)
    np.testing.assert_allclose(lost.xs[1], 2.0, rtol=1e-10)
    assert not np.isfinite(lost.xs[2])
    with pytest.raises(RuntimeError, match="integrate: "):
        gd.integrate(Blast(), 1.0, [0.0, 0.5, 2.0], max_steps=2000)


def test_leaving_the_domain_of_an_objective_has_failed():
    game = gd.games.dirac(gd.objectives.reverse_kl)
    lost = gd.integrate(game, gd.Players(2.0, 2.0), [0.0, 1.0], throw=False)
    assert bool(lost.result == gd.RESULTS.nonfinite)


def test_running_out_of_steps_says_so():
    with pytest.raises(RuntimeError, match=r"used up its steps. Raise `max_steps`"):
        gd.integrate(Linear(MATRIX), START, [0.0, 100.0], max_steps=5)


@pytest.mark.parametrize("ts", [[0.0], [], [1.0, 0.0], [0.0, 0.0], [[0.0, 1.0]], 1.0, [0.0, float("nan")]])
def test_times_that_do_not_increase(ts):
    with pytest.raises(ValueError, match="ts must hold at least two increasing times"):
        gd.integrate(Linear(MATRIX), START, ts)


@pytest.mark.usefixtures("unchecked")
def test_a_map_is_not_integrated():
    with pytest.raises(ValueError, match=r"integrate takes a flow; SimGD is none. For a map use `iterate`"):
        gd.integrate(gd.SimGD(Linear(MATRIX), 0.1), START, TIMES)


def test_a_tolerance_that_arithmetic_cannot_reach():
    with pytest.raises(ValueError, match="below 50 machine epsilons"):
        gd.integrate(Linear(MATRIX), START, TIMES, rtol=1e-15)
    single = Linear(MATRIX.astype(jnp.float32))
    with pytest.raises(ValueError, match=r"rtol=1e-12 is below .* double precision \(jax_enable_x64\)"):
        gd.integrate(single, START.astype(jnp.float32), TIMES, rtol=1e-12)


def test_single_precision_has_a_tolerance_of_its_own():
    single = gd.integrate(Linear(MATRIX.astype(jnp.float32)), START.astype(jnp.float32), np.float32(TIMES))
    assert single.xs.dtype == jnp.float32
    expected = [scipy.linalg.expm(t * np.asarray(MATRIX)) @ START for t in TIMES]
    np.testing.assert_allclose(single.xs, expected, atol=1e-4)


@pytest.mark.usefixtures("unchecked")
def test_a_state_of_the_wrong_structure():
    with pytest.raises(ValueError, match=r"GAN cannot be evaluated|GAN's state is") as caught:
        gd.integrate(gd.games.dirac(), jnp.ones(2), TIMES)
    assert "f64[2]" in str(caught.value)
    with pytest.raises(ValueError, match=r"Linear cannot be evaluated on the state f64\[2\]"):
        gd.integrate(Linear(MATRIX), jnp.ones(2), TIMES)


def test_a_kink_is_stopped_at():
    """The one-sided penalty draws an orbit to the radius g0 through ever shorter stays beyond it, like 9 pi^2 g0/(8 t^2)."""
    penalty = gd.gradient_penalty(0.8, gd.one_sided, gd.on_real)
    game = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), penalty, 1.0)
    late = gd.integrate(game, gd.Players(2.0, 0.0), np.array([0.0, 1000.0, 4000.0])).xs
    excess = np.hypot(late.generator, late.discriminator)[1:] - 0.8
    # What the start adds to the time is of relative order 1/t.
    np.testing.assert_allclose(excess * np.array([1e6, 1.6e7]), 0.9 * np.pi**2, rtol=1e-3)


def test_sliding_is_no_solution_that_the_field_gives():
    class Dry(gd.AbstractFlow):
        def __call__(self, x):
            return -jnp.sign(x)

        def switches(self, x):
            return x

    with pytest.raises(RuntimeError, match="slides"):
        gd.integrate(Dry(), jnp.array([1.0]), np.array([0.0, 0.5, 2.0]))
