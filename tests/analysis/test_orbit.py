"""Periodic orbits and invariant circles of maps, and what is conserved along an orbit."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax import Array

import gandyn as gd
from gandyn.claims._taxonomy import OneOf

P = gd.Players


class Logistic(gd.AbstractMap):
    r: float

    def __call__(self, x):
        return self.r * x * (1 - x)


class Henon(gd.AbstractMap):
    a: float
    b: float

    def __call__(self, x):
        return jnp.stack([1 - self.a * x[0] ** 2 + x[1], self.b * x[0]])


def dirac(name):
    return gd.games.dirac(getattr(gd.objectives, name))


def test_the_orbit_of_period_two_of_the_logistic_map():
    r = 3.2
    found = gd.periodic(Logistic(r), 0.5, 2)
    # The roots of r^2 x^2 - r (r + 1) x + (r + 1) = 0, and the multiplier r^2 (1 - 2 x)(1 - 2 y) = 4 + 2 r - r^2.
    roots = (r + 1 + np.array([-1, 1]) * np.sqrt((r + 1) * (r - 3))) / (2 * r)
    np.testing.assert_allclose(np.sort(found.states), roots, rtol=1e-12)
    assert complex(found.multipliers[0]) == pytest.approx(4 + 2 * r - r**2, abs=1e-11)
    assert (found.period, found.verdict) == (2, "stable")
    assert "period       2, stable" in str(found)


def test_a_multiple_of_the_period_returns_the_period():
    assert gd.periodic(Logistic(3.2), 0.5, 4).period == 2
    # From beside the unstable fixed point Newton's method finds that.
    rest = gd.periodic(Logistic(3.2), 0.687, 2)
    assert (rest.period, rest.verdict) == (1, "unstable")
    assert float(rest.states[0]) == pytest.approx(1 - 1 / 3.2, rel=1e-12)


def test_unstable_orbits_of_the_henon_map():
    found = gd.periodic(Henon(1.4, 0.3), jnp.array([-0.5, 0.3]), 2)
    # x and y solve u^2 a^2 - (1 - b) a u + (1 - b)^2 - a = 0; once round the determinant is b^2.
    a, b = 1.4, 0.3
    roots = ((1 - b) + np.array([-1, 1]) * np.sqrt(4 * a - 3 * (1 - b) ** 2)) / (2 * a)
    np.testing.assert_allclose(np.sort(found.states[:, 0]), roots, rtol=1e-12)
    assert complex(np.prod(found.multipliers)) == pytest.approx(b**2, rel=1e-10)
    assert found.verdict == "unstable"


def test_the_flip_of_alternating_descent():
    game, limit = gd.Penalised(dirac("minimax"), gd.r1, 1.0), np.sqrt(32) - 4
    # One multiplier is -1 where 4 - 2 h gamma - h^2 / 4 = 0: the determinant is 1 - h gamma, the trace 2 - h gamma - h^2 / 4.
    form = gd.normal_form(gd.AltGD(game, limit), P(0.0, 0.0))
    assert (form.bifurcation, form.character) == ("flip", "degenerate")
    # An orbit (theta, psi) -> -(theta, psi) needs h^2 f'(s) f'(-s) = 2 (2 - h gamma) with s = theta psi, that is
    # cosh(s) = h^2 / (4 (2 - h gamma)) - 1: s, and not the radius, branches off like the square root, so that r^2 does.
    h = 1.0001 * limit
    s = np.arccosh(h**2 / (4 * (2 - h)) - 1)
    found = gd.periodic(gd.AltGD(game, h), P(-0.15, 0.35), 2)
    assert (found.period, found.verdict) == (2, "stable")
    np.testing.assert_allclose(np.abs(np.prod(np.stack(found.states), axis=0)), s, rtol=1e-8)  # s^2 is a difference


def test_what_has_no_periodic_orbit():
    with pytest.raises(ValueError, match="at least one"):
        gd.periodic(Logistic(3.2), 0.5, 0)
    with pytest.raises(RuntimeError, match="No equilibrium"):
        gd.periodic(Henon(-1.0, 0.3), jnp.zeros(2), 1)


CIRCLES = [(0.2, 0.997829, (0.389108, 0.409160)), (0.05, 0.999861, (0.099361, 0.100611))]


@pytest.mark.parametrize(("h", "ratio", "extent"), CIRCLES)
def test_the_spurious_circle_of_simultaneous_descent(h, ratio, extent):
    step = gd.SimGD(dirac("nonsaturating"), h)
    found = gd.invariant_circle(step, P(1.0, 0.0))
    # MD10: plain means over a part of an orbit, which err by the width of the circle over the length.
    assert float(found.radius) ** 2 / (2 * h) == pytest.approx(ratio, abs=5e-6)
    np.testing.assert_allclose(np.asarray(found.extent) ** 2, extent, atol=1e-6)
    assert found.verdict == "attracting"
    # On the circle the mean logarithm of the determinant is all the transverse exponent, here from an independent average.
    assert float(found.errors.max()) < 1e-8
    assert float(found.transverse) == pytest.approx(float(gd.lyapunov(step, P(1.0, 0.0)).divergence), abs=1e-5)
    assert "attracting" in str(found)


@pytest.mark.parametrize(("h", "square"), [(1.21, 0.0364116258692), (1.25, 0.170727378955)])
def test_the_circle_beyond_the_critical_step(h, square):
    step = gd.SimGD(gd.Penalised(dirac("minimax"), gd.r1, 0.3), h)
    found = gd.invariant_circle(step, P(0.3, 0.0))
    # MD20, a plain mean over a long orbit, to the digits on which two starts agree there.
    assert float(found.radius) ** 2 == pytest.approx(square, rel=2e-5)
    assert found.verdict == "attracting"
    np.testing.assert_allclose(found.centre, 0, atol=1e-12)


def test_the_ellipses_of_alternating_descent_form_a_family():
    h = 0.3
    found = gd.invariant_circle(gd.AltGD(dirac("wasserstein"), h), P(1.0, 0.7))
    # MD05: theta^2 + psi^2 -+ h theta psi is conserved and the angle of rotation is arccos(1 - h^2 / 2).
    assert float(found.rotation) == pytest.approx(np.arccos(1 - h**2 / 2) / (2 * np.pi), abs=1e-12)
    assert found.verdict == "neutral"


def test_what_is_on_no_circle():
    with pytest.raises(RuntimeError, match="no invariant circle"):
        gd.invariant_circle(Henon(1.4, 0.3), jnp.zeros(2))
    # An orbit at rest comes closer to its neighbours too.
    rest = gd.invariant_circle(gd.SimGD(gd.Penalised(dirac("minimax"), gd.r1, 0.3), 1.0), P(0.3, 0.0), throw=False)
    assert (rest.result, rest.verdict) == (gd.RESULTS.no_circle, "failed")
    with pytest.raises(RuntimeError, match="non-finite"):
        gd.invariant_circle(Henon(1.4, 0.3), jnp.ones(2) * 9)
    with pytest.raises(ValueError, match="two coordinates"):
        gd.invariant_circle(Logistic(3.2), 0.5)


class Standard(gd.AbstractMap):
    """The standard map (Chirikov, 1979) on a cylinder, whose angle is a point of the unit circle."""

    k: Array

    def __call__(self, x):
        angle = jnp.arctan2(x[1], x[0])
        p = x[2] - self.k / (2 * jnp.pi) * jnp.sin(angle)
        return jnp.stack([jnp.cos(angle + 2 * jnp.pi * p), jnp.sin(angle + 2 * jnp.pi * p), p])


def turning(k, turns, period):
    """The orbit of so many turns in a period that begins at the angle zero, and its residue."""

    def beyond(p):
        angle, start = 0.0, p
        p = start
        for _ in range(period):
            p -= k / (2 * np.pi) * np.sin(2 * np.pi * angle)
            angle += p
        return angle - turns

    middle = turns / period
    start = scipy.optimize.brentq(beyond, middle - 0.12, middle + 0.12)
    found = gd.periodic(Standard(jnp.asarray(k)), jnp.array([1.0, 0.0, start]), period)
    assert found.period == period
    # The product of the two multipliers is one; the third is that of leaving the cylinder, zero.
    multipliers = np.asarray(found.multipliers)[np.argsort(np.abs(found.multipliers))]
    assert abs(multipliers[0]) < 1e-9
    assert multipliers[1] * multipliers[2] == pytest.approx(1, abs=1e-9)
    return found, float((2 - multipliers[1:].sum()).real) / 4


def test_residues_of_the_standard_map():
    for k in (0.5, 0.971635):
        # By hand: the product of the two Jacobians has the trace 2 - k^2.
        assert turning(k, 1, 2)[1] == pytest.approx(k**2 / 4, abs=1e-10)
    # Greene (1979): the residues of the golden mean's convergents tend to zero, to about a quarter, or to infinity as its
    # circle exists, is the last one (at k = 0.971635), or has broken up.
    below, at, above = ([turning(k, *ratio)[1] for ratio in ((5, 8), (8, 13))] for k in (0.9, 0.971635, 1.05))
    assert below[1] < 0.7 * below[0] < 0.1
    np.testing.assert_allclose(at, 0.25, atol=0.006)
    assert above[1] > 1.4 * above[0] > 0.6


def test_the_golden_circle_of_the_standard_map():
    step, golden = Standard(jnp.asarray(0.5)), (np.sqrt(5) - 1) / 2

    def circle(start):
        x = jnp.array([1.0, 0.0, start])
        return gd.invariant_circle(step, x, centre=jnp.array([0.0, 0.0, start]), steps=10_000, transient=0)

    # Rotation numbers are between 0 and 1/2: this is 1 - golden, by where the orbit starts at the angle zero.
    start = scipy.optimize.brentq(lambda p: float(circle(p).rotation) - (1 - golden), 0.59, 0.63, xtol=1e-12)
    found = circle(start)
    assert float(found.rotation) == pytest.approx(1 - golden, abs=1e-11)
    assert float(found.errors[1]) < 1e-11
    assert found.verdict == "neutral"
    # On a circle of an area-preserving map both exponents vanish. Neighbours shear apart, areas do not: rounding is left.
    assert abs(float(found.transverse)) < 1e-13
    # Periodic orbits of its convergents come to the circle from both sides, each nearer by the golden mean squared.
    gaps = [float(turning(0.5, *ratio)[0].states[0, 2]) - start for ratio in ((5, 8), (8, 13))]
    assert gaps[1] / gaps[0] == pytest.approx(-(golden**2), abs=0.01)


def square(x):
    return x.generator**2 + x.discriminator**2


def ellipse(x):
    return square(x) + 0.3 * x.generator * x.discriminator


def test_circles_of_the_dirac_gan_are_conserved():
    found = gd.conserved(dirac("minimax"), P(1.0, 0.0), square, span=100 * 12.965248396651)
    # MD02: 100 periods at the default tolerance.
    assert float(found.drift) < 1e-9
    assert abs(float(found.trend)) < 1e-12
    loose = gd.conserved(dirac("minimax"), P(1.0, 0.0), square, span=100 * 12.965248396651, rtol=1e-6)
    assert float(loose.drift) > 1e-7


class LotkaVolterra(gd.AbstractFlow):
    def __call__(self, x):
        u, v = x.generator, x.discriminator
        return P(u * (1 - v), v * (u - 1))


class Duffing(gd.AbstractFlow):
    def __call__(self, x):
        return P(x.discriminator, x.generator - x.generator**3)


# Systems all of whose orbits near the start close, with what they conserve.
CONSERVATIVE = {
    "Wasserstein": (gd.games.dirac(gd.objectives.wasserstein), square, (1.0, 0.5)),
    "least squares, zero-sum": (gd.games.dirac(gd.objectives.least_squares_zero_sum), square, (0.7, 0.3)),
    "uniform": (
        gd.games.uniform(gd.objectives.wasserstein),
        lambda x: x.discriminator**2 + x.generator**2 / 2 - jnp.log(x.generator),
        (1.5, 0.0),
    ),
    "bilinear": (gd.games.quadratic(0.0, 1.0, 0.0), square, (1.0, 0.5)),
    "Lotka-Volterra": (
        LotkaVolterra(),
        lambda x: x.generator + x.discriminator - jnp.log(x.generator * x.discriminator),
        (1.4, 0.8),
    ),
    "Duffing": (Duffing(), lambda x: x.discriminator**2 / 2 - x.generator**2 / 2 + x.generator**4 / 4, (1.8, 0.0)),
}


@pytest.mark.parametrize("name", CONSERVATIVE)
def test_what_conservative_systems_conserve(name):
    number, (_, function, start) = list(CONSERVATIVE).index(name), CONSERVATIVE[name]
    system = OneOf(tuple(flow for flow, *_ in CONSERVATIVE.values()), jnp.asarray(number))
    # A hundred periods and more: the longest is below ten.
    found = gd.conserved(system, P(*start), function, span=1000.0)
    assert float(found.drift) < 1e-9
    assert abs(float(found.trend)) < 1e-12
    # The orbit moves.
    assert float(np.ptp(gd.integrate(system, P(*start), np.linspace(0.0, 1000.0, 1025)).xs.generator)) > 0.3


def test_a_dissipated_quantity_has_a_trend():
    found = gd.conserved(gd.games.quadratic(0.002, 1.0, 0.002), P(1.0, 0.0), square, span=50.0)
    # r^2 falls like exp(-0.004 t): by 18 per cent, at a mean rate between those at both ends.
    assert float(found.drift) == pytest.approx(1 - np.exp(-0.2), rel=1e-9)
    assert -0.004 < float(found.trend) < -0.004 * np.exp(-0.2)
    assert float(found.error) < 0.05 * abs(float(found.trend))


def test_maps_conserve_too():
    step = gd.AltGD(dirac("wasserstein"), 0.3)
    found = gd.conserved(step, P(1.0, 0.7), ellipse, span=1000)
    other = gd.conserved(step, P(1.0, 0.7), square, span=1000)
    # MD05: one of the two is conserved to rounding (its sign is that of the order of the players); the plain square wobbles,
    # without a trend.
    assert float(found.drift) < 1e-12
    assert float(other.drift) > 0.1
    assert abs(float(other.trend)) < 4 * float(other.error)
    assert "drift" in str(found)
    with pytest.raises(ValueError, match="span must be positive"):
        gd.conserved(step, P(1.0, 0.7), square, span=0.0)
