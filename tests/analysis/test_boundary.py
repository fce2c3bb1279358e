"""Curves of bifurcations in two parameters: normal forms, closed forms of training algorithms, and published points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

# The bound asked of every point that has a closed form.
EXACT = {"rtol": 0, "atol": 1e-8}


def _takens(a, b, x):
    """x' = y, y' = a + bx + x^2 - xy (Kuznetsov, 2004, section 8.4)."""
    return jnp.stack([x[1], a + b * x[0] + x[0] ** 2 - x[0] * x[1], -x[2], -2 * x[3]])


def _cusp(a, b, x):
    return jnp.stack([a + b * x[0] - x[0] ** 3, -x[1], -x[2], -2 * x[3]])


def _oscillating(growth, x):
    return jnp.stack([growth * x[0] - x[1], x[0] + growth * x[1]])


def _bautin(a, b, x):
    square = x[0] ** 2 + x[1] ** 2
    return jnp.concatenate([_oscillating(a + b * square - square**2, x), -x[2:]])


def _two_pairs(a, b, x):
    first, second = a - x[0] ** 2 - x[1] ** 2, b - x[2] ** 2 - x[3] ** 2
    return jnp.concatenate([_oscillating(first, x), _oscillating(second, x[2:]) + jnp.stack([-x[3], x[2]])])


def _pair_and_fold(a, b, x):
    square = x[0] ** 2 + x[1] ** 2
    return jnp.concatenate([_oscillating(b + x[2] - square, x), jnp.stack([a - x[2] ** 2 - square, -2 * x[3]])])


def _ring(a, b, x):
    return jnp.concatenate([_oscillating(1 - a**2 - b**2 - x[0] ** 2 - x[1] ** 2, x), -x[2:]])


def _oxidation(q, k, u):
    """CO oxidation after Bykov, Yablonskii and Kim, the catalytic oscillator of the MatCont and BifurcationKit manuals."""
    x, y, s, _ = u
    z = 1 - x - y - s
    return jnp.stack([5 * z**2 - 2 * x**2 - 10 * x * y, q * z - 0.1 * y - 10 * x * y, 0.0675 * (z - k * s), -u[3]])


def _henon(a, b, x):
    return jnp.stack([1 - a * x[0] ** 2 + x[1], b * x[0]])


def _delayed(a, b, x):
    return jnp.stack([a * x[0] * (1 - b * x[1]), x[0]])


def _reversing(a, b, x):
    """The normal form of a generalised flip (Kuznetsov, 2004, section 9.3)."""
    return jnp.stack([-(1 + a) * x[0] + b * x[0] ** 3 + x[0] ** 5, x[1] / 2])


def _turning(a, b, x):
    """The normal form of Chenciner's point, one radian an application."""
    square = x[0] ** 2 + x[1] ** 2
    c, s = jnp.cos(1.0), jnp.sin(1.0)
    return (1 + a + b * square - square**2) * jnp.stack([c * x[0] - s * x[1], s * x[0] + c * x[1]])


def _apart(a, b, x):
    """A fold and a flip that do not know of one another."""
    return jnp.stack([x[0] + a - x[0] ** 2, -(1 + b) * x[1] + x[1] ** 3])


def _trained(method):
    def step(h, gamma, x):
        return jnp.stack(list(method(gd.Penalised(gd.games.dirac(), gd.r1, gamma), h)(gd.Players(x[0], x[1]))))

    return step


FLOWS = [_takens, _cusp, _bautin, _two_pairs, _pair_and_fold, _ring, _oxidation]
MAPS = [_henon, _delayed, _trained(gd.SimGD), _trained(gd.AltGD), _reversing, _turning, _apart]


class Flow(gd.AbstractFlow):
    """One of the flows, so that all of them are one program."""

    case: jax.Array
    a: jax.Array
    b: jax.Array

    def __call__(self, x):
        return jax.lax.switch(self.case, FLOWS, self.a, self.b, x)


class Map(gd.AbstractMap):
    case: jax.Array
    a: jax.Array
    b: jax.Array

    def __call__(self, x):
        return jax.lax.switch(self.case, MAPS, self.a, self.b, x)


class Henon(gd.AbstractMap):
    """The one map with folds: a program of its own is a smaller one."""

    case: jax.Array
    a: jax.Array
    b: jax.Array

    def __call__(self, x):
        return _henon(self.a, self.b, x)


PLANE = (lambda s: s.a, lambda s: s.b)
SQUARE = ((-1.0, 1.0), (-1.0, 1.0))


def curve(kind, case, a, b, x, spans=SQUARE, **more):
    found = gd.boundary(kind(jnp.asarray(case), jnp.asarray(a), jnp.asarray(b)), PLANE, jnp.asarray(x), spans, **more)
    return found, *np.asarray(found.values).T


def corners(found):
    """The corners in the order of their parameters."""
    listed = [(corner.kind, *map(float, corner.values)) for corner in found.corners]
    return sorted(listed, key=lambda entry: entry[1:])


def check(found, *wanted):
    got = corners(found)
    assert [kind for kind, *_ in got] == [kind for kind, *_ in wanted]
    np.testing.assert_allclose([values for _, *values in got], [values for _, *values in wanted], **EXACT)


def test_the_curves_that_meet_at_a_bogdanov_takens_point():
    """Folds on a = b^2/4, Hopf points on a = 0 < -b."""
    fold, a, b = curve(Flow, 0, 0.0625, -0.5, [0.25, 0.0, 0.0, 0.0])
    assert (fold.kind, fold.ends) == ("fold", ("span", "span"))
    np.testing.assert_allclose(a, b**2 / 4, **EXACT)
    check(fold, ("Bogdanov-Takens", 0.0, 0.0))
    hopf, a, b = curve(Flow, 0, 0.0, -0.5, np.zeros(4))
    assert hopf.kind == "Hopf"
    assert set(hopf.ends) == {"span", "Bogdanov-Takens"}
    np.testing.assert_allclose(a, 0.0, **EXACT)
    # The square of the frequency is exact, the frequency its root.
    np.testing.assert_allclose(np.asarray(hopf.rotation) ** 2, -b, **EXACT)
    check(hopf, ("Bogdanov-Takens", 0.0, 0.0))


def test_a_cusp():
    found, a, b = curve(Flow, 1, 2 * (0.5 / 3) ** 1.5, 0.5, [-((0.5 / 3) ** 0.5), 0.0, 0.0, 0.0])
    np.testing.assert_allclose(4 * b**3, 27 * a**2, **EXACT)
    check(found, ("cusp", 0.0, 0.0))
    # At x = -(b/3)^(1/2) and beyond it the second derivative of b x - x^3 is -6x.
    np.testing.assert_allclose(np.abs(found.coefficients), 3 * np.abs(np.asarray(found.states)[:, 0]), atol=1e-12)


def test_a_bautin_point():
    found, a, b = curve(Flow, 2, 0.0, 0.5, np.zeros(4))
    np.testing.assert_allclose(a, 0.0, **EXACT)
    # r' = br^3.
    np.testing.assert_allclose(found.coefficients, b, atol=1e-12)
    np.testing.assert_allclose(found.growth, -1.0, rtol=1e-12)
    check(found, ("generalised Hopf", 0.0, 0.0))


def test_where_another_mode_is_critical_too():
    found, _, _ = curve(Flow, 3, 0.0, 0.5, np.zeros(4))
    check(found, ("Hopf-Hopf", 0.0, 0.0))
    found, a, b = curve(Flow, 4, 0.25, -0.5, [0.0, 0.0, 0.5, 0.0])
    # x = -b and a = b^2; r' = (1/(2b) - 1) r^3, which changes its sign through infinity at the origin.
    np.testing.assert_allclose(a, b**2, **EXACT)
    check(found, ("fold-Hopf", 0.0, 0.0), ("generalised Hopf", 0.25, 0.5))
    found, _, _ = curve(Flow, 4, 0.0, -0.5, np.zeros(4))
    assert found.kind == "fold"
    check(found, ("fold-Hopf", 0.0, 0.0))


def test_a_closed_curve_closes():
    found, a, b = curve(Flow, 5, 0.6, 0.8, np.zeros(4), ((-2.0, 2.0), (-2.0, 2.0)))
    assert found.ends == ("closed", "closed")
    np.testing.assert_allclose(a**2 + b**2, 1.0, **EXACT)
    angles = np.unwrap(np.arctan2(b, a))
    np.testing.assert_allclose(abs(angles[-1] - angles[0]), 2 * np.pi, rtol=1e-9)
    assert "closed" in str(found)


def test_the_published_points_of_the_catalytic_oscillator():
    """The tests of BifurcationKit.jl (test/codim2, `COModel`) print (q2, k) of both curves, the manual of MatCont the cusp."""
    spans = ((0.5, 2.0), (0.0, 2.0))
    fold, _, _ = curve(Flow, 6, 1.0522, 0.4, [0.05403, 0.302241, 0.459807, 0.0], spans)
    kinds, *values = zip(*corners(fold), strict=True)
    assert kinds == ("cusp", "Bogdanov-Takens", "Bogdanov-Takens")
    printed = [(1.006408, 0.355991), (1.161199, 0.722339), (1.417628, 0.971397)]
    np.testing.assert_allclose(np.transpose(values), printed, rtol=0, atol=1.5e-6)
    hopf, _, _ = curve(Flow, 6, 1.040991, 0.4, [0.077929, 0.233063, 0.492149, 0.0], spans)
    kinds, *values = zip(*corners(hopf), strict=True)
    assert kinds == ("generalised Hopf", "generalised Hopf", "Bogdanov-Takens", "Bogdanov-Takens")
    printed = [(0.8913190, 0.2324874), (0.924255, 0.305879), *printed[1:]]
    np.testing.assert_allclose(np.transpose(values), printed, rtol=0, atol=1.5e-6)


def _fixed(a, b):
    x = (b - 1 + np.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    return [x, b * x]


def test_the_curves_of_henon_and_where_they_meet():
    """Folds on a = -(1 - b)^2/4, flips on 3(1 - b)^2/4, and between them at b = -1 rotations of an area."""
    spans = ((-1.5, 4.0), (-1.5, 0.5))
    fold, a, b = curve(Henon, 0, -0.1225, 0.3, [2 / 0.7, 0.6 / 0.7], spans)
    np.testing.assert_allclose(a, -((1 - b) ** 2) / 4, **EXACT)
    check(fold, ("1:1 resonance", -1.0, -1.0))
    flip, a, b = curve(Map, 0, 0.3675, 0.3, _fixed(0.3675, 0.3), spans)
    assert flip.kind == "flip"
    np.testing.assert_allclose(a, 3 * (1 - b) ** 2 / 4, **EXACT)
    check(flip, ("1:2 resonance", 3.0, -1.0))
    turning, a, b = curve(Map, 0, 1.0, -1.0, _fixed(1.0, -1.0), spans)
    np.testing.assert_allclose(b, -1.0, **EXACT)
    wanted = [("1:1 resonance", -1.0), ("1:4 resonance", 0.0), ("1:3 resonance", 1.25), ("1:2 resonance", 3.0)]
    check(turning, *((kind, value, -1.0) for kind, value in wanted))
    # The map keeps areas there, so that no circle attracts or repels.
    assert turning.degenerate
    assert "degenerate" in str(turning)


def test_the_delayed_logistic_map():
    """Its circle is born at r = 2 with a sixth of a turn, whatever the unit of x (Kuznetsov, 2004, example 4.3)."""
    found, r, _ = curve(Map, 1, 2.0, 1.5, [1 / 3, 1 / 3], ((1.0, 3.0), (1.0, 2.0)))
    np.testing.assert_allclose(r, 2.0, **EXACT)
    np.testing.assert_allclose(found.rotation, np.pi / 3, **EXACT)
    here = Map(jnp.asarray(1), jnp.asarray(2.0), found.values[0, 1])
    form = gd.normal_form(here, found.states[0])
    np.testing.assert_allclose(found.coefficients[0], form.coefficient.real, rtol=1e-9)
    assert np.all(found.coefficients < 0)


def test_what_bounds_the_stable_steps_under_r1():
    """f' = 1/2: h = 4 gamma by rotations up to gamma = 1, then gamma = 2/h + h/8 by flips; alternating, by flips alone."""
    spans = ((0.05, 5.0), (0.01, 3.0))
    found, h, gamma = curve(Map, 2, 1.2, 0.3, np.zeros(2), spans)
    np.testing.assert_allclose(h, 4 * gamma, **EXACT)
    # The cosine of the angle is 1 - 2 gamma^2.
    wanted = [("1:4 resonance", 0.5**0.5), ("1:3 resonance", 0.75**0.5), ("1:2 resonance", 1.0)]
    check(found, *((kind, 4 * value, value) for kind, value in wanted))
    assert np.all(np.nan_to_num(found.coefficients, nan=-1.0) < 0)
    flips, h, gamma = curve(Map, 2, 2.0, 1.25, np.zeros(2), spans)
    np.testing.assert_allclose(gamma, 2 / h + h / 8, **EXACT)
    check(flips, ("1:2 resonance", 4.0, 1.0))
    # Beyond it the other multiplier is outside the circle, and the curve bounds nothing.
    assert np.array_equal(np.asarray(flips.growth) < 0, h < 4.0)
    alternating, h, gamma = curve(Map, 3, 4 * (np.sqrt(1.09) - 0.3), 0.3, np.zeros(2), spans)
    assert alternating.kind == "flip"
    np.testing.assert_allclose(h, 4 * (np.sqrt(gamma**2 + 1) - gamma), **EXACT)
    assert alternating.degenerate


def test_where_heun_steps_are_lost_at_a_multiplier_of_one():
    """1 + z + z^2/2 = 1 at z = h lambda = -2, on a = 2/h + h/8 for the eigenvalues of [[-a, -1/2], [1/2, 0]]."""
    method = gd.RungeKutta(gd.games.quadratic(1.25, 0.5, 0.0), 2.0, gd.HEUN)
    lenses = (lambda s: s.h, lambda s: s.flow.a)
    found = gd.boundary(method, lenses, gd.Players(0.0, 0.0), ((0.05, 12.0), (0.01, 3.0)))
    assert found.kind == "branch point"
    h, a = np.asarray(found.values).T
    np.testing.assert_allclose(a, 2 / h + h / 8, **EXACT)
    check(found, ("1:1 resonance", 4.0, 1.0))
    assert np.array_equal(np.asarray(found.growth) < 0, h < 4.0)
    assert not found.degenerate


def test_momentum_in_the_plane_of_the_step_and_beta():
    """With h lambda = -1 - beta + mu + beta / mu on the circle |mu| = 1, an ellipse with half axes 1 + beta and 1 - beta."""
    re, im = -0.15, 0.5

    def critical(beta):
        return -2 * re / (1 + beta) / ((re / (1 + beta)) ** 2 + (im / (1 - beta)) ** 2)

    method = gd.Momentum(gd.games.quadratic(-re, im, -re), critical(-0.3), -0.3)
    lenses = (lambda s: s.h, lambda s: s.beta)
    found = gd.boundary(method, lenses, method.init(gd.Players(0.0, 0.0)), ((0.01, 5.0), (-0.95, 0.95)))
    assert found.kind == "Neimark-Sacker"
    h, beta = np.asarray(found.values).T
    np.testing.assert_allclose(h, critical(beta), **EXACT)
    assert found.ends == ("span", "span")
    assert {corner.kind for corner in found.corners} == {"1:3 resonance", "1:4 resonance"}
    # The game is linear: nothing but rounding branches off, of which no point is made.
    assert found.degenerate


class Radial(gd.AbstractFlow):
    """r' = (a + br^2 - r^4) r."""

    a: jax.Array
    b: jax.Array

    def __call__(self, x):
        square = x[0] ** 2 + x[1] ** 2
        return _oscillating(self.a + self.b * square - square**2, x)


def test_folds_of_cycles_by_their_return_map():
    """Two cycles meet on a = -b^2/4, at r^2 = b/2; from the fold on a branch of cycles in the first parameter."""
    numbers = (
        jnp.asarray(-0.16),
        jnp.asarray([0.4**0.5, 0.0]),
        jnp.asarray(1.0 + 0j),
        jnp.asarray(1.0),
        jnp.full((3,), jnp.nan),
    )
    fold = gd.Special(*numbers, jnp.asarray(2 * np.pi), None, kind="fold of cycles")
    flow = Radial(jnp.asarray(-0.1), jnp.asarray(0.8))
    found = gd.boundary(flow, PLANE, fold, ((-1.0, 1.0), (0.2, 2.0)), step=0.2)
    assert found.kind == "fold of cycles"
    a, b = np.asarray(found.values).T
    np.testing.assert_allclose(a, -(b**2) / 4, **EXACT)
    np.testing.assert_allclose(np.asarray(found.states)[:, 0], np.sqrt(b / 2), **EXACT)
    assert found.corners == ()


@pytest.mark.parametrize(
    ("case", "kind", "corner"), [(4, "flip", "generalised flip"), (5, "Neimark-Sacker", "Chenciner"), (6, "flip", "fold-flip")]
)
def test_points_of_codimension_two_of_maps(case, kind, corner):
    fixed, origin = ((0.0, 0.5), [0.0, 0.0]) if case < 6 else ((0.25, 0.0), [0.5, 0.0])
    found, a, b = curve(Map, case, *fixed, origin)
    assert found.kind == kind
    np.testing.assert_allclose(b if case == 6 else a, 0.0, **EXACT)
    check(found, (corner, 0.0, 0.0))


class Tube(gd.AbstractFlow):
    """Around a circle, run round in 2 pi, displacements grow by a + b and turn by `turn` of a turn; one part decays besides."""

    a: jax.Array
    b: jax.Array
    turn: jax.Array
    decay: jax.Array

    def __call__(self, x):
        radius, angle = jnp.hypot(x[0], x[1]), jnp.arctan2(x[1], x[0])
        c, s = jnp.cos(self.turn * angle), jnp.sin(self.turn * angle)
        u, v = c * (radius - 1) + s * x[2], -s * (radius - 1) + c * x[2]
        growth = self.a + self.b - u**2 - v**2
        first, second = growth * u, (growth - self.decay) * v
        outwards, up = c * first - s * second - self.turn * x[2], s * first + c * second + self.turn * (radius - 1)
        return jnp.stack([outwards * x[0] / radius - x[1], outwards * x[1] / radius + x[0], up])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "turn", "decay"), [("period doubling", 0.5, 2.0), ("torus", 0.3, 0.0)])
def test_period_doublings_and_tori_by_the_return_map(kind, turn, decay):
    """The multipliers are exp(2 pi (a + b)) times exp(2 pi i turn) and its conjugate, or -1 and one that decays."""
    numbers = (jnp.asarray(0.2), jnp.asarray([1.0, 0.0, 0.0]), jnp.exp(2j * jnp.pi * turn), jnp.asarray(1.0), jnp.zeros(3))
    special = gd.Special(*numbers, jnp.asarray(2 * np.pi), None, kind=kind)
    flow = Tube(*map(jnp.asarray, (0.1, -0.2, turn, decay)))
    found = gd.boundary(flow, PLANE, special, ((0.0, 0.4), (-0.4, 0.0)), step=0.2)
    assert (found.kind, found.ends) == (kind, ("span", "span"))
    np.testing.assert_allclose(np.sum(np.asarray(found.values), axis=1), 0.0, **EXACT)


def test_what_has_no_curve():
    origin = np.zeros(2)
    with pytest.raises(ValueError, match="increasing finite"):
        curve(Map, 2, 1.2, 0.3, origin, ((1.0, 0.0), (0.0, 1.0)))
    with pytest.raises(ValueError, match="outside the spans"):
        curve(Map, 2, 1.2, 0.3, origin, ((0.0, 1.0), (0.0, 1.0)))
    with pytest.raises(ValueError, match="step must be positive"):
        curve(Map, 2, 1.2, 0.3, origin, step=0.0)
    with pytest.raises(RuntimeError, match="no Neimark-Sacker point near"):
        curve(Map, 2, 3.0, 0.3, origin, ((0.0, 3.2), (0.28, 0.32)))
    system = Map(jnp.asarray(2), jnp.asarray(1.2), jnp.asarray(0.3))
    with pytest.raises(ValueError, match="move the same leaf"):
        gd.boundary(system, (PLANE[0], PLANE[0]), jnp.zeros(2), SQUARE)
    numbers = (jnp.asarray(0.0), jnp.zeros(4), jnp.asarray(0j), jnp.asarray(0.0), jnp.full((5,), jnp.nan))
    crossing = gd.Special(*numbers, None, None, kind="branch point")
    pitchfork = Flow(jnp.asarray(1), jnp.asarray(0.0), jnp.asarray(0.0))
    with pytest.raises(ValueError, match="breaks up into folds"):
        gd.boundary(pitchfork, (PLANE[1], PLANE[0]), crossing, SQUARE)
    with pytest.raises(RuntimeError, match="within `points`"):
        curve(Map, 2, 1.2, 0.3, origin, ((0.05, 5.0), (0.01, 3.0)), points=3)


def test_the_picture():
    turning, _, _ = curve(Map, 2, 1.2, 0.3, np.zeros(2), ((0.05, 5.0), (0.01, 3.0)))
    flips, _, _ = curve(Map, 2, 2.0, 1.25, np.zeros(2), ((0.05, 5.0), (0.01, 3.0)))
    ax = gd.plot.boundary([turning, flips], names=("step size", "weight"))
    assert {line.get_linestyle() for line in ax.lines if np.size(line.get_xdata()) > 2} == {"-", "--"}
    # The point that both curves share is written once.
    assert sorted(text.get_text() for text in ax.texts) == ["R2", "R3", "R4"]
    assert ax.get_xlabel() == "step size"
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][:2] == ["Neimark-Sacker", "flip"]
