import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)


def dirac(name):
    return gd.games.dirac(getattr(gd.objectives, name))


def _bend(x, b):
    """A polynomial change of coordinates that leaves the origin and its tangent space where they are; exactly invertible."""
    u, v, w = x
    u = u + b[0] * v**2 + b[1] * v * w
    v = v + b[2] * u**2 + b[3] * u * w
    return jnp.stack([u, v, w + b[4] * u**2 + b[5] * u * v])


def _unbend(x, b):
    u, v, w = x
    w = w - b[4] * u**2 - b[5] * u * v
    v = v - b[2] * u**2 - b[3] * u * w
    return jnp.stack([u - b[0] * v**2 - b[1] * v * w, v, w])


class BentFlow(gd.AbstractFlow):
    """The normal form z' = i w z + c z |z|^2 beside a decaying direction, in bent coordinates."""

    speed: Array
    c: Array
    bend: Array

    def __call__(self, x):
        y = _unbend(x, self.bend)
        z = y[0] + 1j * y[1]
        z = 1j * self.speed * z + self.c * z * z * z.conj()
        return jax.jvp(lambda p: _bend(p, self.bend), (y,), (jnp.stack([z.real, z.imag, -y[2]]),))[1]


class BentMap(gd.AbstractMap):
    """The normal form z -> e^(i w) z (1 + c |z|^2) beside a decaying direction, in bent coordinates."""

    speed: Array
    c: Array
    bend: Array

    def __call__(self, x):
        y = _unbend(x, self.bend)
        z = y[0] + 1j * y[1]
        z = jnp.exp(1j * self.speed) * z * (1 + self.c * z * z.conj())
        return _bend(jnp.stack([z.real, z.imag, y[2] / 2]), self.bend)


@pytest.mark.parametrize("kind", [BentFlow, BentMap])
@pytest.mark.parametrize("seed", range(3))
def test_the_coefficient_survives_a_change_of_coordinates(kind, seed):
    rng = np.random.default_rng(seed)
    c = complex(*rng.normal(size=2))
    system = kind(jnp.asarray(rng.uniform(0.5, 1.4)), jnp.asarray(c), jnp.asarray(rng.normal(size=6)))
    # r = |z| at the origin to leading order, and its own mean square over a turn: the coefficient is c itself. Products of
    # some ten numbers of size one.
    assert complex(gd.normal_form(system, jnp.zeros(3)).coefficient) == pytest.approx(c, abs=1e-12)


SLOPES = {"nonsaturating": 1 / 8, "least_squares": 1 / 2, "minimax": 0.0, "wasserstein": 0.0}


@pytest.mark.parametrize("name", SLOPES)
def test_slope_of_the_dirac_gan(name):
    # By hand: d(r^2)/dt = -2 s tanh(s / 2) with s = theta psi for the non-saturating game, -4 s^2 for least squares; averaged
    # over the angle, r^4 / 8 times -1 and -4. A dozen roundings.
    form = gd.normal_form(dirac(name), ORIGIN)
    assert float(form.slope) == pytest.approx(SLOPES[name], abs=1e-13)
    assert float(form.exponent.real) == 0
    assert np.isnan(float(form.radius))
    assert form.bifurcation == "Hopf"
    assert form.character == ("supercritical" if SLOPES[name] else "degenerate")


def test_radius_of_the_van_der_pol_cycle():
    # The cycle has radius 2 up to terms of second order in mu.
    for mu in (1e-2, 1e-3):
        form = gd.normal_form(VanDerPol(jnp.asarray(mu)), jnp.zeros(2))
        assert float(form.radius) == pytest.approx(2, abs=mu**2)
        assert float(form.exponent.real) == pytest.approx(mu / 2, rel=1e-12)  # the trace over two


class VanDerPol(gd.AbstractFlow):
    mu: Array

    def __call__(self, x):
        return jnp.stack([x[1], self.mu * (1 - x[0] ** 2) * x[1] - x[0]])


class Brusselator(gd.AbstractFlow):
    b: Array

    def __call__(self, x):
        return jnp.stack([1 - (self.b + 1) * x[0] + x[0] ** 2 * x[1], self.b * x[0] - x[0] ** 2 * x[1]])


def test_radius_of_the_brusselator_cycle():
    # Its quadratic terms count. The next term is of the relative size of the distance to the Hopf point b = 2.
    flow, b = Brusselator(jnp.asarray(2.01)), 2.01
    rest = jnp.array([1.0, b])
    form = gd.normal_form(flow, rest)
    ts = jnp.concatenate([jnp.zeros(1), jnp.linspace(2000, 2000 + 200 * np.pi, 4001)])
    path = gd.integrate(flow, rest + 0.1, ts)
    radius = np.sqrt(np.mean(np.sum((np.asarray(path.xs[1:]) - np.asarray(rest)) ** 2, axis=1)))
    assert float(form.radius) == pytest.approx(radius, rel=0.01)


def test_the_hopf_point_of_lorenz():
    # Lorenz (1963): three equilibria for r > 1, of which the outer two lose stability at s (s + b + 3) / (s - b - 1), which
    # is 470 / 19; subcritically (Marsden and McCracken, 1976).
    flow, b = gd.textbook.Lorenz(), 8 / 3
    side = np.sqrt(b * 27)
    for guess, rest in (
        ((9.0, 8.0, 25.0), (side, side, 27)),
        ((-9.0, -8.0, 25.0), (-side, -side, 27)),
        ((0.5, 0.5, 0.5), (0, 0, 0)),
    ):
        np.testing.assert_allclose(gd.equilibrium(flow, jnp.array(guess)).state, rest, atol=1e-10)
    edge = float(gd.threshold(flow, lambda f: f.rho, jnp.array([8.0, 8.0, 24.0]), (20.0, 28.0)).value)
    assert edge == pytest.approx(470 / 19, rel=1e-12)
    size = np.sqrt(b * (edge - 1))
    critical = gd.normal_form(gd.textbook.Lorenz(10.0, edge, b), jnp.array([size, size, edge - 1]))
    # The imaginary pair of the characteristic polynomial there.
    assert abs(float(critical.exponent.imag)) == pytest.approx(np.sqrt(b * (10 + edge)), rel=1e-9)
    assert (critical.bifurcation, critical.character) == ("Hopf", "subcritical")


@eqx.filter_jit
def _mean_square(step, x):
    settled = jax.lax.fori_loop(0, 20_000, lambda _, y: step(y), x)

    def add(state, _):
        y, total = state
        y = step(y)
        return (y, total + y.generator**2 + y.discriminator**2), None

    return jax.lax.scan(add, (settled, 0.0), length=20_000)[0][1] / 20_000


@pytest.mark.parametrize("h", [0.2, 0.05, 0.01])
def test_spurious_circle_of_simultaneous_descent(h):
    # MD10: the non-saturating game's flow converges, its Euler step ends on a circle with mean r^2 = 2 h (1 + O(h^2)).
    step = gd.SimGD(dirac("nonsaturating"), h)
    square = float(gd.normal_form(step, ORIGIN).radius) ** 2
    start = gd.Players(jnp.asarray(np.sqrt(2 * h)), jnp.asarray(0.0))
    assert square / (2 * h) == pytest.approx(1, abs=h**2)
    # Terms of fifth order in r, whose square is 2 h.
    assert square == pytest.approx(float(_mean_square(step, start)), rel=h**2 / 4 + 2e-5)


def test_radius_near_the_loss_of_stability_of_descent_with_r1():
    # MD20: supercritical Neimark-Sacker at h = 1.2, the square of the radius proportional to h - 1.2 to leading order.
    game = gd.Penalised(dirac("minimax"), gd.r1, 0.3)
    start = gd.Players(jnp.asarray(0.05), jnp.asarray(0.0))
    step = gd.SimGD(game, 1.201)
    radius = float(gd.normal_form(step, ORIGIN).radius)
    # The next term is of relative order h - 1.2, times a factor of order ten; the orbit winds up over 1e4 steps.
    assert radius**2 == pytest.approx(float(_mean_square(step, start)), rel=0.02)
    assert gd.normal_form(step, ORIGIN).character == "supercritical"
    assert "supercritical Neimark-Sacker" in str(gd.normal_form(step, ORIGIN))


def test_alternating_descent_is_a_centre_of_the_wasserstein_game():
    form = gd.normal_form(gd.AltGD(dirac("wasserstein"), 0.3), ORIGIN)
    assert float(form.exponent.real) == 0
    assert float(form.slope) == 0
    assert "no effect" in str(form)


class Cubic(gd.AbstractMap):
    """A map of the line through zero beside one that contracts, in a plane that is sheared."""

    slope: Array
    square: Array
    cube: Array

    def __call__(self, x):
        y = jnp.stack([x[0] - x[1] ** 2, x[1]])
        y = jnp.stack([self.slope * y[0] + self.square * y[0] ** 2 + self.cube * y[0] ** 3, 0.3 * y[1]])
        return jnp.stack([y[0] + y[1] ** 2, y[1]])


@pytest.mark.parametrize(("square", "cube"), [(-3.0, 0.0), (0.5, 2.0), (1.0, -2.0), (2.0, -4.0)])
def test_coefficient_of_a_flip(square, cube):
    form = gd.normal_form(Cubic(jnp.asarray(-1.0), jnp.asarray(square), jnp.asarray(cube)), jnp.zeros(2))
    # With f = -x + b x^2 + d x^3 the second iterate is x - 2 (b^2 + d) x^3 + ..., an orbit of period two attracts if
    # b^2 + d > 0, and the logarithm of |x| changes by -(b^2 + d) x^2 a step.
    expected = -(square**2 + cube)
    assert complex(form.coefficient) == pytest.approx(expected, abs=1e-12)
    assert form.bifurcation == "flip"
    assert form.character == {-1: "supercritical", 0: "degenerate", 1: "subcritical"}[np.sign(expected)]
    assert float(form.exponent.imag) == pytest.approx(np.pi)


NO_FORM = {
    "real modes": (lambda: gd.Penalised(dirac("minimax"), gd.r1, 2.0), "does not rotate"),
    "a period of four": (lambda: gd.AltGD(dirac("wasserstein"), np.sqrt(2.0)), "of order 4"),
    "a period of three": (lambda: gd.AltGD(dirac("wasserstein"), np.sqrt(3.0)), "of order 3"),
}


@pytest.mark.parametrize("name", NO_FORM)
def test_where_there_is_no_such_form(name):
    system, message = NO_FORM[name]
    with pytest.raises(ValueError, match=message):
        gd.normal_form(system(), ORIGIN)


def test_two_pairs_have_no_such_form():
    game = gd.games.bilinear(jnp.eye(2))
    with pytest.raises(ValueError, match="several modes lead together"):
        gd.normal_form(game, gd.Players(jnp.zeros(2), jnp.zeros(2)))
