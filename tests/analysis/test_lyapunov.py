"""Lyapunov exponents: published values, closed forms, and what is said where there are none."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import gandyn as gd

P = gd.Players


class Quadratic(gd.AbstractFlow):
    """Any flow with quadratic terms: Lorenz, Rössler and linear flows are one program."""

    c: Array
    a: Array
    b: Array

    def __call__(self, x):
        return self.c + self.a @ x + jnp.einsum("ijk,j,k", self.b, x, x)


def lorenz(s=10.0, r=28.0, b=8 / 3):
    square = jnp.zeros((3, 3, 3)).at[1, 0, 2].set(-1.0).at[2, 0, 1].set(1.0)
    return Quadratic(jnp.zeros(3), jnp.array([[-s, s, 0.0], [r, -1.0, 0.0], [0.0, 0.0, -b]]), square)


def roessler(a=0.2, b=0.2, c=5.7):
    square = jnp.zeros((3, 3, 3)).at[2, 0, 2].set(1.0)
    return Quadratic(jnp.array([0.0, 0.0, b]), jnp.array([[0.0, -1.0, -1.0], [1.0, a, 0.0], [0.0, 0.0, -c]]), square)


class Henon(gd.AbstractMap):
    a: float
    b: float

    def __call__(self, x):
        return jnp.stack([1 - self.a * x[0] ** 2 + x[1], self.b * x[0]])


class Logistic(gd.AbstractMap):
    r: float

    def __call__(self, x):
        return self.r * x * (1 - x)


class Cat(gd.AbstractMap):
    """Arnold's cat map on the torus, beside a step that does not wrap."""

    def __call__(self, x):
        return jnp.mod(jnp.stack([2 * x[0] + x[1], x[0] + x[1]]), 1.0)


# Sprott (2003), appendix A, to the digits printed there.
PUBLISHED = {
    "Lorenz": (lorenz, (0.9056, 0.0, -14.5723)),
    "Rössler": (roessler, (0.0714, 0.0, -5.3943)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_exponents_of_flows(name):
    make, values = PUBLISHED[name]
    found = gd.lyapunov(make(), jnp.ones(3), span=1600, transient=160)
    errors = np.asarray(found.errors)
    # Half a unit of the last printed digit, and four standard errors; these are small enough to tell the values apart.
    assert np.all(np.abs(np.asarray(found.values) - np.array(values)) < 5e-5 + 4 * errors)
    assert errors[0] < 0.01
    # The same integral twice, at a tolerance of 1e-10 a step.
    assert float(found.sum) == pytest.approx(float(found.divergence), rel=1e-6)
    # The Kaplan-Yorke dimension of the published exponents; the last is steep, so that it moves by little.
    dimension = 2 + values[0] / -values[2]
    assert float(found.dimension) == pytest.approx(dimension, abs=4 * errors[0] / -values[2] + 1e-4)
    assert "± " in str(found)
    # The mean divergence, an average along the orbit, is that of the published ones: of three numbers with half a unit each.
    assert abs(float(found.divergence) - sum(values)) < 1.5e-4 + 4 * errors[2]
    assert errors[2] < 0.05
    if name == "Lorenz":  # the divergence of its field is constant, -(s + 1 + b)
        assert float(found.divergence) == pytest.approx(-41 / 3, rel=1e-9)


def test_exponents_of_linear_flows_are_real_parts():
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    matrix = turn @ np.array([[-0.1, -2.0, 0.0], [2.0, -0.1, 0.0], [0.3, 0.0, -0.7]]) @ turn.T
    flow = Quadratic(jnp.zeros(3), jnp.asarray(matrix), jnp.zeros((3, 3, 3)))
    found = gd.lyapunov(flow, jnp.ones(3), span=1600, transient=160)
    # After the transient all that is left is where in a turn the run ends: a bounded number over the span.
    np.testing.assert_allclose(found.values, [-0.1, -0.1, -0.7], atol=2 / 1600)
    assert float(found.sum) == pytest.approx(-0.9, rel=1e-9)


def test_a_centre_has_two_vanishing_exponents():
    game = gd.games.dirac(gd.objectives.minimax)
    found = gd.lyapunov(game, P(1.0, 0.0))
    # The period depends on the amplitude, so that neighbours separate linearly: (log span) / span is left of that.
    np.testing.assert_allclose(found.values, 0, atol=np.log(1000) / 1000)
    # The divergence is (theta^2 - psi^2) f''(theta psi), which averages to zero over a turn.
    assert float(found.sum) == pytest.approx(float(found.divergence), abs=1e-8)
    assert float(found.divergence) == pytest.approx(0, abs=1e-3)


def test_a_cycle_that_crosses_a_switch():
    lam = 0.7
    game = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), gd.gradient_penalty(1.0), lam)
    found = gd.lyapunov(game, P(1.0, 1.0), span=640, transient=64)
    # MD11: the multiplier is exp(-lam pi / w) per period 2 pi / w, so the exponent is -lam / 2; without the jumps at the
    # switch it would be -lam. The run ends somewhere within a turn, whose own bumps are of size one.
    np.testing.assert_allclose(found.values, [0.0, -lam / 2], atol=2 / 640)
    assert np.isnan(float(found.divergence))


def test_published_exponents_of_the_henon_map():
    found = gd.lyapunov(Henon(1.4, 0.3), jnp.zeros(2))
    # Sprott (2003): 0.41922 and -1.62319.
    assert np.all(np.abs(np.asarray(found.values) - np.array([0.41922, -1.62319])) < 5e-6 + 4 * np.asarray(found.errors))
    assert float(found.errors[0]) < 3e-3
    assert float(found.divergence) == pytest.approx(np.log(0.3), rel=1e-12)
    assert float(found.sum) == pytest.approx(np.log(0.3), rel=1e-10)
    assert float(gd.lyapunov(Henon(1.4, 0.3), jnp.zeros(2), 1).values[0]) == pytest.approx(float(found.values[0]), rel=1e-9)


def test_closed_forms_of_maps():
    found = gd.lyapunov(Logistic(4.0), 0.3)
    assert abs(float(found.values[0]) - np.log(2)) < 4 * float(found.errors[0]) < 1e-2
    # A fixed point of slope 2 - r.
    still = gd.lyapunov(Logistic(2.8), 0.3)
    assert float(still.values[0]) == pytest.approx(np.log(0.8), rel=1e-10)
    # At r = 2 the slope at the fixed point is zero.
    assert float(gd.lyapunov(Logistic(2.0), 0.5).values[0]) == -np.inf
    golden = 2 * np.log((1 + np.sqrt(5)) / 2)
    np.testing.assert_allclose(gd.lyapunov(Cat(), jnp.array([0.1, 0.2])).values, [golden, -golden], rtol=1e-10)


def test_exponents_of_alternating_descent_add_up_to_zero():
    found = gd.lyapunov(gd.AltGD(gd.games.dirac(gd.objectives.wasserstein), 0.3), P(1.0, 0.7))
    # Symplectic Euler: det = 1, and every orbit lies on an ellipse.
    np.testing.assert_allclose(found.values, 0, atol=1e-4)
    assert float(found.divergence) == pytest.approx(0, abs=1e-14)


def test_what_has_no_exponents():
    with pytest.raises(RuntimeError, match="non-finite"):
        gd.lyapunov(Logistic(4.0), 1.5)
    assert np.isnan(float(gd.lyapunov(Logistic(4.0), 1.5, throw=False).values[0]))
    with pytest.raises(ValueError, match="2 coordinates"):
        gd.lyapunov(Henon(1.4, 0.3), jnp.zeros(2), 3)
    with pytest.raises(ValueError, match="must be positive"):
        gd.lyapunov(Henon(1.4, 0.3), jnp.zeros(2), span=-1)
