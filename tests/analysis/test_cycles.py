"""Branches of limit cycles: published bifurcations, and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd


def lure(p, _, x):
    """A feedback control system of Lur'e type: `adaptx` of MatCont's manual, a tutorial of BifurcationKit's."""
    return jnp.stack([x[1], x[2], -p * x[2] - x[1] - x[0] + x[0] ** 2])


def circuit(p, _, x):
    """An electronic circuit (Freire and others, 1993), its symmetry broken: `torBPC` of MatCont's manual."""
    current = 0.93358 * (x[1] - x[0]) ** 3
    first = (-(0.5 + p) * x[0] + 0.5 * x[1] - 0.32858 * x[0] ** 3 + current) / 0.6
    return jnp.stack([first, 0.5 * x[0] + 0.1 * x[1] - x[2] - current, x[1] + 0.001])


def oscillator(p, weights, x):
    """The growth is w0 p - w1 r^2, the frequency 2 - w2 r^2: Stuart and Landau's, a centre at p = 0, or one at every p."""
    square = x[0] ** 2 + x[1] ** 2
    rate, speed = weights[0] * p - weights[1] * square, 2 - weights[2] * square
    return jnp.stack([rate * x[0] - speed * x[1], speed * x[0] + rate * x[1], -x[2]])


def tank(p, _, x):
    """The demo `ab` of AUTO-07p."""
    rate = p * (1 - x[0]) * jnp.exp(x[1])
    return jnp.stack([rate - x[0], 14 * rate - 3 * x[1], -x[2]])


def fish(p, _, x):
    """The demo `pp2` of AUTO-07p: prey, which is harvested, and predators."""
    prey = 3 * x[0] * (1 - x[0]) - x[0] * x[1] - p * (1 - jnp.exp(-5 * x[0]))
    return jnp.stack([prey, -x[1] + 3 * x[0] * x[1], -x[2]])


def tube(p, weights, x):
    """A circle of radius one, once round in 2 pi, and displacements from it: a torus, half a turn, or a fold, by the weights.

    Turned by w0 of the angle, they are a' = w1 (p a - (a^2 + w2 b^2) a / 2) + (1 - w1) (p - a^2), and b' the same as a' for a
    torus and -b otherwise.
    """
    radius, angle = jnp.sqrt(x[0] ** 2 + x[1] ** 2), weights[0] * jnp.arctan2(x[1], x[0])
    c, s = jnp.cos(angle), jnp.sin(angle)
    a, b = c * (radius - 1) + s * x[2], c * x[2] - s * (radius - 1)
    rate = p - (a**2 + weights[2] * b**2) / 2
    da = weights[1] * rate * a + (1 - weights[1]) * (p - a**2)
    db = weights[2] * rate * b - (1 - weights[2]) * b
    turn = 0.3 * weights[2] + weights[0]
    outwards, upwards = c * da - s * db - turn * x[2], s * da + c * db + turn * (radius - 1)
    return jnp.stack([outwards * x[0] / radius - x[1], outwards * x[1] / radius + x[0], upwards])


FIELDS = (lure, circuit, oscillator, tank, fish, tube)
STUART_LANDAU, CENTRE, ROTATION = (1.0, 1.0, 0.5), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)
TORUS, MOEBIUS, FOLD = (0.0, 1.0, 1.0), (0.5, 1.0, 0.0), (0.0, 0.0, 0.0)


class Model(gd.AbstractFlow):
    """One of the fields: all of them are one program, which is what these tests wait for."""

    which: jax.Array
    weights: jax.Array
    p: jax.Array

    def __call__(self, x):
        return jax.lax.switch(self.which, FIELDS, self.p, self.weights, x)


def parameter(model):
    return model.p


def model(field, p, weights=STUART_LANDAU):
    return Model(jnp.asarray(FIELDS.index(field)), jnp.asarray(weights), jnp.asarray(p))


def ring(size=1.0, period=2 * np.pi):
    """The circle around the third axis, which `tube` goes round in 2 pi, as `gd.cycle` would return it."""
    angles = jnp.linspace(0.0, 2 * jnp.pi, 121)
    states = jnp.stack([size * jnp.cos(angles), size * jnp.sin(angles), 0 * angles], axis=1)
    one, none = jnp.ones(()), jnp.zeros((2,))
    return gd.Cycle(
        period * one, angles, states, none + 0j, none, 0 * one, 0 * one, one > 0, 0 * one, gd.RESULTS.successful, {}
    )


def follow(flow, guess, span, **more):
    # Long steps: what is found does not depend on them, and there are fewer.
    return gd.continuation(flow, parameter, guess, span, step=0.1, **more)


def born(flow, guess, span, cycles, **more):
    """The Hopf point on a branch of equilibria, and the branch of cycles that is born there."""
    (hopf,) = [special for special in follow(flow, guess, span).specials if special.kind == "Hopf"]
    return hopf, follow(flow, hopf, cycles, **more)


@pytest.fixture(scope="module")
def lures():
    """The cycles of the feedback system, and those of twice the period."""
    hopf, single = born(model(lure, 1.5), jnp.zeros(3), (0.5, 1.8), (0.55, 1.8))
    return hopf, single, follow(model(lure, 1.5), single.specials[0], (0.61, 1.8))


def test_the_period_doubling_of_lure(lures):
    hopf, single, double = lures
    # MatCont's manual: H at 1.000002 with a first Lyapunov coefficient of -3.000001e-01, which is twice ours; PD at
    # 6.303020e-01 with the period 6.364071 and a negative coefficient.
    np.testing.assert_allclose(hopf.value, 1.0, rtol=1e-12)
    np.testing.assert_allclose(2 * hopf.coefficient, -0.3, rtol=1e-9)
    (doubling,) = single.specials
    assert (doubling.kind, doubling.character) == ("period doubling", "supercritical")
    np.testing.assert_allclose([doubling.value, doubling.period], [0.6303020, 6.364071], atol=5e-7)
    np.testing.assert_allclose(doubling.eigenvalue, -1.0, rtol=1e-9)
    assert single.ends == ("Hopf point", "span")
    alpha, verdicts = np.asarray(single.values), np.asarray(single.stability.verdict)
    assert set(verdicts[1:][alpha[1:] > 0.631]) == {"stable"}
    assert set(verdicts[alpha < 0.630]) == {"unstable"}
    assert double.ends == ("period doubling", "span")
    # Supercritical: the cycles of twice the period attract.
    np.testing.assert_allclose(double.periods[0], 2 * doubling.period, rtol=1e-9)
    assert set(double.stability.verdict[1:]) == {"stable"}
    assert double.specials == ()


def test_the_torus_of_the_circuit():
    hopf, cycles = born(model(circuit, -0.9), jnp.array([0.00125, -0.001, 0.000525]), (-0.9, -0.55), (-0.63, -0.55))
    # MatCont's manual: H with -4.548985e-01; LPC at -5.844928e-01 with the period 8.411855, NS at -5.957506e-01 with 8.861103
    # and a positive coefficient, PD at -6.146817e-01 with 9.256846 and a negative one.
    np.testing.assert_allclose(2 * hopf.coefficient, -0.4548985, atol=5e-6)
    kinds = ["fold of cycles", "torus", "period doubling"]
    assert [special.kind for special in cycles.specials] == kinds
    np.testing.assert_allclose([s.value for s in cycles.specials], [-0.5844928, -0.5957506, -0.6146817], atol=5e-8)
    np.testing.assert_allclose(np.array([s.period for s in cycles.specials], float), [8.411855, 8.861103, 9.256846], atol=5e-7)
    assert [special.character for special in cycles.specials] == ["", "subcritical", "supercritical"]
    np.testing.assert_allclose(np.abs(cycles.specials[1].eigenvalue), 1.0, rtol=1e-9)
    assert "torus at -0.59575" in str(cycles)


def test_the_cycles_of_the_normal_form_in_closed_form():
    _, cycles = born(model(oscillator, -0.5), jnp.zeros(3), (-0.5, 0.5), (-0.5, 0.5))
    p, periods, multipliers = (np.asarray(rows) for rows in (cycles.values, cycles.periods, cycles.stability.eigenvalues))
    assert p[-1] == pytest.approx(0.5)
    radii = np.linalg.norm(cycles.states[1:, :, :2], axis=-1)
    np.testing.assert_allclose(radii, np.sqrt(p[1:, None]) * np.ones(65), rtol=1e-8)
    np.testing.assert_allclose(periods, 2 * np.pi / (2 - p / 2), rtol=1e-11)
    np.testing.assert_allclose(multipliers[1:, 0], np.exp(-2 * p * periods)[1:], rtol=1e-10)
    np.testing.assert_allclose(multipliers[1:, 1], np.exp(-periods)[1:], rtol=1e-10)
    assert cycles.specials == ()
    assert set(cycles.stability.verdict[1:]) == {"stable"}
    assert cycles.stability.verdict[0] == "marginal"


def test_at_a_centre_the_branch_is_vertical():
    hopf, cycles = born(model(oscillator, -0.5, CENTRE), jnp.zeros(3), (-0.5, 0.5), (-0.5, 0.5), points=8, throw=False)
    assert hopf.character == "degenerate"
    assert cycles.vertical
    assert "vertical" in str(cycles)
    assert cycles.specials == ()
    np.testing.assert_allclose(cycles.values, 0.0, atol=1e-12)
    radii = np.linalg.norm(cycles.states[:, 0, :2], axis=-1)
    assert radii[-1] > 10 * radii[1]
    assert "stable" not in set(cycles.stability.verdict)


def test_the_cycles_of_the_demo_ab_of_auto():
    hopf, cycles = born(model(tank, 0.0), jnp.zeros(3), (0.0, 0.15), (0.119881, 0.15))
    # The demo's log (AUTO-07p, python/auto/test_data/runDemo.log): HB at 1.30900E-01, the period 2.72104 at 1.19881E-01, where
    # it changes by 430 for one of the parameter, which is given to 5e-7.
    np.testing.assert_allclose(hopf.value, 0.130900, atol=5e-7)
    assert cycles.periods is not None
    np.testing.assert_allclose(cycles.periods[-1], 2.72104, atol=430 * 5e-7)
    np.testing.assert_allclose(np.max(cycles.states[-1, :, 0]), 0.991911, rtol=1e-3)


def test_the_cycles_of_the_demo_pp2_of_auto_end_at_saddles():
    hopf, cycles = born(model(fish, 0.55), jnp.array([1 / 3, 0.66, 0.0]), (0.5, 0.8), (0.5, 0.8))
    # At u = 1/3 the trace vanishes where p (3 (1 - e) - 5 e) = 1, e = exp(-5/3). The manual says that the cycles end in a
    # heteroclinic orbit, which is close when the period is 36.
    e = np.exp(-5 / 3)
    np.testing.assert_allclose(hopf.value, 1 / (3 * (1 - e) - 5 * e), rtol=1e-11)
    assert cycles.ends == ("Hopf point", "infinite period")
    late = np.asarray(cycles.periods) > 36
    assert late.sum() > 2
    # From there on the parameter does not change to four digits.
    assert np.ptp(np.asarray(cycles.values)[late]) < 1e-3


@pytest.mark.parametrize(
    ("weights", "kind", "coefficient"),
    [(TORUS, "torus", -np.pi), (MOEBIUS, "period doubling", -np.pi), (FOLD, "fold of cycles", 2 * np.pi)],
    ids=["torus", "period doubling", "fold"],
)
def test_coefficients_in_closed_form(weights, kind, coefficient):
    # r' = p r - r^3 / 2 and a' = p - a^2 across the orbit, for a time of 2 pi.
    start, size = (0.09, 1.3) if weights == FOLD else (-0.2, 1.0)
    branch = follow(model(tube, start, weights), ring(size), (-0.3, 0.1))
    (special,) = branch.specials
    assert special.kind == kind
    # The errors of a turn, some 1e-12 of a multiplier that moves by 2 pi for one of the parameter; at a fold as its square.
    np.testing.assert_allclose(special.value, 0.0, atol=1e-11)
    sign = np.sign(special.coefficient) if weights == FOLD else 1
    # The squares of the differences' steps, 3e-6, times what the next derivatives amount to.
    np.testing.assert_allclose(sign * special.coefficient, coefficient, rtol=5e-5)
    assert special.character == ("" if weights == FOLD else "supercritical")


def test_cycles_that_shrink_end_in_the_hopf_point():
    branch = follow(model(oscillator, 0.25), ring(0.5, 2 * np.pi / 1.875), (-0.5, 0.5))
    assert branch.ends == ("Hopf point", "span")
    p = np.asarray(branch.values)
    assert 0 < p[0] < 1e-5
    # What Newton's method leaves open.
    np.testing.assert_allclose(np.linalg.norm(branch.states[:, 0, :2], axis=-1), np.sqrt(p), atol=1e-10)


def test_what_cannot_be_followed(lures):
    with pytest.raises(ValueError, match="every value of the parameter"):
        follow(model(oscillator, 0.0, ROTATION), ring(1.0, np.pi), (-1.0, 1.0))
    with pytest.raises(ValueError, match="outside the span"):
        follow(model(lure, 1.5), lures[1].specials[0], (1.0, 1.8))
    zero, nan = jnp.zeros(()), jnp.full((26,), jnp.nan)
    folded = gd.Special(zero, jnp.array([1.0, 0.0, 0.0]), zero + 1.0, zero, nan, zero + 2 * jnp.pi, None, "fold of cycles")
    with pytest.raises(ValueError, match="At a fold of cycles no other branch"):
        follow(model(tube, 0.0, FOLD), folded, (-1.0, 1.0))
    with pytest.raises(ValueError, match="Cycles are those of a flow"):
        gd.continuation(gd.SimGD(model(tube, 0.1), 0.1), lambda s: s.h, ring(), (0.05, 0.2))
