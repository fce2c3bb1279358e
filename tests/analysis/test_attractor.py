"""What orbits end on: the Dirac-GAN's taxonomy, textbook systems, and systems of random parameters and known fate.

Many systems share one program: a switch between fields is a parameter, so that each costs milliseconds and not a compilation.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import gandyn as gd
from gandyn.claims._taxonomy import OneMap, OneOf

P, o, dirac = gd.Players, gd.objectives, gd.games.dirac


def together(group, name):
    """Those systems of a group that differ in more than numbers, with one of them put in its place; and its number."""
    kinds = {jax.tree.structure(made): made for made, _ in group.values()}
    chosen = group[name][0]
    kinds[jax.tree.structure(chosen)] = chosen
    return tuple(kinds.values()), jnp.asarray(list(kinds).index(jax.tree.structure(chosen)))


def penalised(lam, centre, form=gd.two_sided, objective=o.wasserstein, points=gd.on_real):
    return gd.Penalised(dirac(objective), gd.gradient_penalty(centre, form, points), lam)


def ring(count, low, high):
    """Starting points all around, between two radii."""
    rng = np.random.default_rng(0)
    radii, angles = rng.uniform(low, high, count), rng.uniform(0, 2 * np.pi, count)
    return [P(*point) for point in np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)]


SMOOTH = {
    "zero-sum": (dirac(), "centre"),
    "Wasserstein": (dirac(o.wasserstein), "centre"),
    "non-saturating": (dirac(o.nonsaturating), "equilibrium"),
    "least squares": (dirac(o.least_squares), "equilibrium"),
    "least squares, zero-sum": (dirac(o.least_squares_zero_sum), "centre"),
    "R1": (gd.Penalised(dirac(), gd.r1, 0.3), "equilibrium"),
    "quartic penalty": (penalised(1.0, 1.3, gd.quartic), "limit cycle"),
}
# Their orbits come to rest at once, and those of the others need derivatives that would take these long to compile.
DAMPED = {
    "instance noise": (gd.instance_noise(dirac(), 0.7), "equilibrium"),
    "consensus": (gd.consensus(dirac(), 0.3), "equilibrium"),
    "JARE": (gd.jare(dirac(), 0.6), "equilibrium"),
    "Nagarajan and Kolter": (gd.nagarajan_kolter(dirac(), 1.5), "equilibrium"),
    "R2": (gd.Penalised(dirac(), gd.r2, 0.3), "equilibrium"),
    "proximal": (gd.Proximal(dirac(), 0.5), "equilibrium"),
}
KINKED = {
    "WGAN-GP": (penalised(0.7, 1.0), "limit cycle"),
    "WGAN-GP, strong": (penalised(10.0, 1.0), "equilibrium"),
    "clipping": (gd.Constrained(dirac(o.wasserstein), gd.Box(-0.3, 0.3, lambda x: x.discriminator)), "centre"),
    "WGAN-LP": (penalised(1.0, 0.8, gd.one_sided), "centre"),
    "one-centred": (penalised(0.5, 0.6, objective=o.minimax), "limit cycle"),
}
FLOWS = {**SMOOTH, **DAMPED, **KINKED}


def flow(name):
    group = next(group for group in (SMOOTH, DAMPED, KINKED) if name in group)
    flows, which = together(group, name)
    return OneOf(flows, which)


@pytest.mark.parametrize("name", FLOWS)
def test_the_taxonomy_of_the_dirac_gan(name):
    system = flow(name)
    found = [gd.attractor(system, start) for start in ring(20, 0.15, 1.35 if "zero-sum" in name else 2.0)]
    assert [each.kind for each in found] == [FLOWS[name][1]] * 20
    assert "because" in str(found[0])


def test_a_centre_with_equilibria_around_it():
    # MD14: beyond the radius sqrt 2 the circles meet the hyperbola theta psi = const, at whose points all comes to rest.
    for start in ring(20, 1.5, 2.5):
        found = gd.attractor(flow("least squares, zero-sum"), start)
        assert found.kind == "equilibrium"
        np.testing.assert_allclose(abs(found.state.generator * found.state.discriminator), 1, atol=1e-6)


# By the closed forms MD02, MD11, MD17 and MD26.
PERIODS = {"Wasserstein": 2 * np.pi, "WGAN-GP": 6.707432421693, "one-centred": 14.5296131033, "quartic penalty": 7.2898273311}


@pytest.mark.parametrize("name", PERIODS)
def test_the_evidence_of_closed_orbits(name):
    found = gd.attractor(flow(name), P(0.9, 0.4))
    # Ten digits are printed there. Orbits are followed at 1e-11 a step, about a hundred of which make a turn.
    assert float(found.period) == pytest.approx(PERIODS[name], rel=1e-8)
    assert float(found.drift) < 1e-8
    if name == "WGAN-GP":  # the multiplier once round, exp(-lam pi / w), by one-sided differences at a distance of 1e-4
        assert float(found.multiplier) == pytest.approx(0.095598194260, abs=1e-4)
    if name == "Wasserstein":
        assert float(found.multiplier) == pytest.approx(1, abs=1e-6)


def test_the_evidence_of_rest():
    found = gd.attractor(flow("non-saturating"), P(0.9, 0.4))
    assert float(found.slope) == pytest.approx(1 / 8, rel=1e-9)  # MD09
    assert abs(float(found.growth)) < 1e-12
    wrong = gd.attractor(flow("WGAN-GP, strong"), P(1.0, 1.0))
    assert abs(float(wrong.state.generator)) == pytest.approx(10, rel=1e-5)  # MD12: not where the data are
    # The decay of the instance noise is that of the linearisation, MD06.
    noisy = gd.attractor(flow("instance noise"), P(0.9, 0.4))
    assert float(noisy.growth) == pytest.approx(-0.1225, rel=1e-9)
    # One step of the proximal ascent is a damping of f'(0)^2 / (2 lambda), half of which is the rate of a spiral.
    proximal = gd.attractor(flow("proximal"), P(0.9, 0.4))
    assert float(proximal.growth) == pytest.approx(-0.125, rel=1e-9)


MAPS = {
    "descent, Wasserstein": (gd.SimGD(dirac(o.wasserstein), 0.2), "divergence"),
    "alternating, Wasserstein": (gd.AltGD(dirac(o.wasserstein), 0.3), "centre"),
    "descent, non-saturating": (gd.SimGD(dirac(o.nonsaturating), 0.2), "invariant circle"),
    "descent, R1": (gd.SimGD(gd.Penalised(dirac(), gd.r1, 0.3), 0.5), "equilibrium"),
    "descent, R1, beyond": (gd.SimGD(gd.Penalised(dirac(), gd.r1, 0.3), 1.25), "invariant circle"),
    "descent, R1, critical": (gd.SimGD(gd.Penalised(dirac(), gd.r1, 0.3), 1.2), "equilibrium"),
    "alternating, R1, flip": (gd.AltGD(gd.Penalised(dirac(), gd.r1, 1.0), 1.0001 * (np.sqrt(32) - 4)), "limit cycle"),
}


@pytest.mark.parametrize("name", MAPS)
def test_the_maps_of_the_dirac_gan(name):
    step = OneMap(*together(MAPS, name))
    found = [gd.attractor(step, start) for start in ring(20, 0.05, 0.4 if "flip" in name else 1.5)]
    assert [each.kind for each in found] == [MAPS[name][1]] * 20
    if "flip" in name:
        assert float(found[0].period) == 2


def test_a_growth_without_end_in_sight_is_not_decided():
    # Its radius grows like the square root of a logarithm.
    found = gd.attractor(gd.SimGD(dirac(), 0.2), P(1.0, 0.5))
    assert found.kind == "undecided"
    assert float(found.time) <= 100_000


def test_the_turns_are_no_more_than_asked_for():
    # Decays of 1e-9 a turn that nothing decides about.
    damped = Planar(jnp.asarray(DUFFING), jnp.array([2e-9, 0.0]))
    for turns in (1, 50, 100):
        found = gd.attractor(damped, jnp.array([1.3, 0.0]), turns=turns)
        assert found.kind == "undecided"
        # A stretch of 32 turns is the least, and the first is of as many as the speed at the start lets expect.
        assert float(found.turns) <= 1.1 * max(32, turns) + 32


class Planar(gd.AbstractFlow):
    """Textbook flows of the plane."""

    which: Array
    p: Array

    def __call__(self, x):
        (u, v), p = x, self.p
        r = u**2 + v**2
        return jax.lax.switch(
            self.which,
            [
                lambda: jnp.stack([p[0] * u - p[1] * v - r * u, p[1] * u + p[0] * v - r * v]),
                lambda: jnp.stack([v, p[0] * (1 - u**2) * v - u]),
                lambda: jnp.stack([p[0] - (p[1] + 1) * u + u**2 * v, p[1] * u - u**2 * v]),
                lambda: jnp.stack([u * (1 - v), v * (u - 1)]),
                lambda: jnp.stack([v, u - u**3 - p[0] * v]),
                lambda: jnp.stack([u * (1 - r) - v * (p[0] - u), v * (1 - r) + u * (p[0] - u)]),
            ],
        )


STUART_LANDAU, VAN_DER_POL, BRUSSELATOR, LOTKA_VOLTERRA, DUFFING, SADDLE_NODE = range(6)
TEXTBOOK = {
    "Stuart-Landau": (STUART_LANDAU, (0.5, 1.0), "limit cycle", 2 * np.pi),
    "Stuart-Landau, critical": (STUART_LANDAU, (0.0, 1.0), "equilibrium", None),
    "Stuart-Landau, slow": (STUART_LANDAU, (-0.01, 1.0), "equilibrium", None),
    # Period 6.663286859323 (MD18); 19.0783695 as in tables for mu = 10.
    "van der Pol, 1": (VAN_DER_POL, (1.0, 0.0), "limit cycle", 6.663286859323),
    "van der Pol, 10": (VAN_DER_POL, (10.0, 0.0), "limit cycle", 19.0783695),
    "Brusselator": (BRUSSELATOR, (1.0, 3.0), "limit cycle", None),
    "Brusselator, stable": (BRUSSELATOR, (1.0, 1.7), "equilibrium", None),
    "Lotka-Volterra": (LOTKA_VOLTERRA, (0.0, 0.0), "centre", None),
    "Duffing": (DUFFING, (0.1, 0.0), "equilibrium", None),
    "Duffing, undamped": (DUFFING, (0.0, 0.0), "centre", None),
    # r' = r (1 - r^2), angle' = w - cos(angle): period 2 pi / sqrt(w^2 - 1), most of it beside the ghost of a saddle-node.
    "ghost of a saddle-node": (SADDLE_NODE, (1.001, 0.0), "limit cycle", 2 * np.pi / np.sqrt(1.001**2 - 1)),
    "saddle-node": (SADDLE_NODE, (0.999, 0.0), "equilibrium", None),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_textbook_flows_of_the_plane(name):
    which, p, kind, period = TEXTBOOK[name]
    system = Planar(jnp.asarray(which), jnp.asarray(p))
    low, high = (0.2, 2.0) if which in (BRUSSELATOR, LOTKA_VOLTERRA) else (-2.0, 2.0)
    starts = np.random.default_rng(1).uniform(low, high, (20, 2))
    found = [gd.attractor(system, jnp.asarray(start)) for start in starts]
    assert [each.kind for each in found] == [kind] * 20
    if period:
        np.testing.assert_allclose([float(each.period) for each in found], period, rtol=1e-8)


class Quadratic(gd.AbstractFlow):
    """Any flow with quadratic terms."""

    c: Array
    a: Array
    b: Array

    def __call__(self, x):
        return self.c + self.a @ x + jnp.einsum("ijk,j,k", self.b, x, x)


def lorenz(r):
    square = jnp.zeros((3, 3, 3)).at[1, 0, 2].set(-1.0).at[2, 0, 1].set(1.0)
    return Quadratic(jnp.zeros(3), jnp.array([[-10.0, 10.0, 0.0], [r, -1.0, 0.0], [0.0, 0.0, -8 / 3]]), square)


def roessler(c):
    square = jnp.zeros((3, 3, 3)).at[2, 0, 2].set(1.0)
    return Quadratic(jnp.array([0.0, 0.0, 0.2]), jnp.array([[0.0, -1.0, -1.0], [1.0, 0.2, 0.0], [0.0, 0.0, -c]]), square)


# The regimes are those of Sparrow (1982) for Lorenz's equations, and the period-doubling of Rössler's.
SPACE = {
    "Lorenz, 0.5": (lorenz(0.5), "equilibrium", 8.0),
    "Lorenz, 10": (lorenz(10.0), "equilibrium", 8.0),
    "Lorenz, 28": (lorenz(28.0), "chaos", 8.0),
    "Lorenz, 160": (lorenz(160.0), "limit cycle", 8.0),
    "Rössler, 2.5": (roessler(2.5), "limit cycle", 2.0),
    "Rössler, 3.5": (roessler(3.5), "limit cycle", 2.0),
    "Rössler, 5.7": (roessler(5.7), "chaos", 2.0),
}


@pytest.mark.parametrize("name", SPACE)
def test_textbook_flows_of_space(name):
    system, kind, size = SPACE[name]
    starts = np.random.default_rng(2).uniform(-size, size, (20, 3))
    found = [gd.attractor(system, jnp.asarray(start), turns=60 if kind == "chaos" else 150) for start in starts]
    assert [each.kind for each in found] == [kind] * 20
    if name == "Rössler, 3.5":  # the orbit of period two
        assert {round(float(each.period), 3) for each in found} == {11.545}
    if name == "Lorenz, 28":
        # The mean of twenty estimates of 0.9056 (Sprott, 2003), each with its own error.
        values, errors = (np.array([float(getattr(each, word)) for each in found]) for word in ("exponent", "error"))
        assert abs(values.mean() - 0.9056) < 4 * np.sqrt(np.sum(errors**2)) / 20


def test_random_linear_flows():
    rng = np.random.default_rng(6)
    for i in range(40):
        alpha, gamma = -rng.uniform(0.02, 0.5, 2)
        alpha, gamma, kind = [
            (alpha, gamma, "equilibrium"),
            (0.0, gamma, "centre"),
            (-alpha, gamma, "divergence"),
            (alpha, -gamma, "divergence"),
        ][i % 4]
        block = np.array([[alpha, -rng.uniform(0.5, 2.0), 0.0], [0.0, alpha, 0.0], [0.0, 0.0, gamma]])
        block[1, 0] = -block[0, 1]
        basis = rng.normal(size=(3, 3)) + 2 * np.eye(3)
        system = Quadratic(jnp.zeros(3), jnp.asarray(basis @ block @ np.linalg.inv(basis)), jnp.zeros((3, 3, 3)))
        # Saddles are passed as near as a millionth of the way.
        start = basis @ (rng.normal(size=3) * np.array([1.0, 1.0, 1e-6 if i % 8 == 3 else 1.0]))
        found = gd.attractor(system, jnp.asarray(start))
        assert found.kind == kind, (i, alpha, gamma, found.why)
        if kind == "equilibrium":
            assert float(found.growth) == pytest.approx(max(alpha, gamma), rel=1e-8)


def test_decays_too_slow_to_show_are_no_centres():
    # By about 5e-9 a turn: returns alone would call it closed.
    damped = gd.attractor(Planar(jnp.asarray(DUFFING), jnp.array([2e-9, 0.0])), jnp.array([1.3, 0.0]))
    assert damped.kind == "undecided"
    # Of third order, r' = -r^3, at a radius of 1e-3.
    small = gd.attractor(Planar(jnp.asarray(STUART_LANDAU), jnp.array([0.0, 1.0])), jnp.array([1e-3, 0.0]))
    assert small.kind == "equilibrium"
    assert float(small.slope) == pytest.approx(2, rel=1e-9)


class Bent(gd.AbstractFlow):
    """The normal form of Hopf, z' = (mu + i w) z + l z |z|^2, in bent coordinates."""

    mu: Array
    speed: Array
    l: Array
    bend: Array

    def __call__(self, x):
        u, v = x[0], x[1] - self.bend * x[0] ** 2
        r = u**2 + v**2
        du = (self.mu + self.l * r) * u - self.speed * v
        dv = (self.mu + self.l * r) * v + self.speed * u
        return jnp.stack([du, dv + 2 * self.bend * u * du])


class BentMap(gd.AbstractMap):
    """The normal form of Neimark and Sacker, z -> e^(i w) z (1 + mu + l |z|^2), in bent coordinates."""

    mu: Array
    speed: Array
    l: Array
    bend: Array

    def __call__(self, x):
        u, v = x[0], x[1] - self.bend * x[0] ** 2
        z = (u + 1j * v) * jnp.exp(1j * self.speed) * (1 + self.mu + self.l * (u**2 + v**2))
        return jnp.stack([z.real, z.imag + self.bend * z.real**2])


def fate(mu, l, radius, closed):
    """What is known: a cycle at r^2 = -mu / l, attracting if l < 0."""
    if mu == l == 0:
        return "centre"
    edge = -mu / l if l else -np.inf
    if l < 0:
        return closed if mu > 0 else "equilibrium"
    return "equilibrium" if mu < 0 and radius**2 < edge else "divergence"


@pytest.mark.parametrize(("kind", "closed"), [(Bent, "limit cycle"), (BentMap, "invariant circle")])
def test_random_normal_forms(kind, closed):
    rng = np.random.default_rng(3)
    for i in range(50):
        mu, l = rng.choice([-1, 1], 2) * rng.uniform((0.02, 0.3), (0.2, 1.0))
        mu, l = [(mu, l), (mu, l), (mu, l), (0.0, 0.0), (0.0, -abs(l))][i % 5]
        radius = rng.uniform(0.1, 0.9) * np.sqrt(-mu / l) if mu * l < 0 else rng.uniform(0.1, 0.6)
        radius *= 1 if i % 2 or l <= 0 or mu > 0 else 1.3 / 0.9
        angle = rng.uniform(0, 2 * np.pi)
        u, v, bend = radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-0.5, 0.5)
        # Away from the strong resonances, at which a map has another normal form.
        system = kind(*(jnp.asarray(number) for number in (mu, rng.uniform(0.6, 1.4), l, bend)))
        found = gd.attractor(system, jnp.array([u, v + bend * u**2]))
        assert found.kind == fate(mu, l, radius, closed), (i, mu, l, radius, found.why)


class Logistic(gd.AbstractMap):
    r: Array

    def __call__(self, x):
        return self.r * x * (1 - x)


# Where the attractor of the logistic map is known: its period on intervals of r.
WINDOWS = [(0.2, 0.97, 1), (1.03, 2.97, 1), (3.03, 3.44, 2), (3.455, 3.54, 4), (3.829, 3.841, 3)]


def test_random_logistic_maps():
    rng = np.random.default_rng(4)
    for i in range(60):
        low, high, period = WINDOWS[i % len(WINDOWS)]
        found = gd.attractor(Logistic(jnp.asarray(rng.uniform(low, high))), jnp.asarray(rng.uniform(0.1, 0.9)))
        assert found.kind == ("equilibrium" if period == 1 else "limit cycle"), (i, found)
        assert period == 1 or float(found.period) == period
    assert gd.attractor(Logistic(jnp.asarray(3.0)), jnp.asarray(0.4)).kind == "equilibrium"  # algebraically
    chaos = gd.attractor(Logistic(jnp.asarray(4.0)), jnp.asarray(0.3))
    assert chaos.kind == "chaos"
    assert abs(float(chaos.exponent) - np.log(2)) < 4 * float(chaos.error)
    assert gd.attractor(Logistic(jnp.asarray(4.3)), jnp.asarray(0.3)).kind == "divergence"


class PlanarMap(gd.AbstractMap):
    """Hénon's map, and the standard map."""

    which: Array
    p: Array

    def __call__(self, x):
        (u, v), p = x, self.p
        kicked = v - p[0] * jnp.sin(u)
        images = [lambda: jnp.stack([1 - p[0] * u**2 + v, p[1] * u]), lambda: jnp.stack([u + kicked, kicked])]
        return jax.lax.switch(self.which, images)


HENON, STANDARD = range(2)
# Of Hénon (1976): chaos at 1.4, and before it two, then four, from a = 3 (1 - b)^2 / 4 = 0.3675 on. The standard map keeps
# areas, so nothing attracts: around its elliptic point are circles, at K = 7 there is chaos all but everywhere, and at the
# K at which the last circle breaks (Greene, 1979) one start has the one and another the other.
TEXTBOOK_MAPS = {
    "Hénon": (HENON, (1.4, 0.3), 0.3, {"chaos"}, None),
    "Hénon, period 1": (HENON, (0.2, 0.3), 0.3, {"equilibrium"}, None),
    "Hénon, period 2": (HENON, (0.9, 0.3), 0.3, {"limit cycle"}, 2),
    "Hénon, period 4": (HENON, (1.0, 0.3), 0.3, {"limit cycle"}, 4),
    "Hénon, beyond": (HENON, (2.0, 0.3), 0.3, {"divergence"}, None),
    "standard, island": (STANDARD, (0.5, 0.0), 0.3, {"centre"}, None),
    "standard, sea": (STANDARD, (7.0, 0.0), 3.0, {"chaos"}, None),
    "standard, mixed": (STANDARD, (0.971635, 0.0), 3.0, {"centre", "chaos", "undecided"}, None),
}


@pytest.mark.parametrize("name", TEXTBOOK_MAPS)
def test_textbook_maps_of_the_plane(name):
    which, p, size, kinds, period = TEXTBOOK_MAPS[name]
    system = PlanarMap(jnp.asarray(which), jnp.asarray(p))
    starts = np.random.default_rng(8).uniform(-size, size, (20, 2))
    found = [gd.attractor(system, jnp.asarray(start)) for start in starts]
    assert {each.kind for each in found} == kinds
    if period:
        assert {float(each.period) for each in found} == {period}
    if name == "standard, island":
        # Rounding: whether areas are kept is not a matter of how long one averages.
        assert max(abs(float(each.transverse)) for each in found) < 1e-13
    if name == "Hénon":
        # The mean of twenty estimates of 0.41922 (Sprott, 2003), each with its own error.
        values, errors = (np.array([float(getattr(each, word)) for each in found]) for word in ("exponent", "error"))
        assert abs(values.mean() - 0.41922) < 4 * np.sqrt(np.sum(errors**2)) / 20


def test_circles_of_a_map_that_keeps_areas_do_not_attract_in_single_precision():
    step = PlanarMap(jnp.asarray(STANDARD), jnp.asarray((0.5, 0.0), jnp.float32))
    for start in np.random.default_rng(8).uniform(-0.3, 0.3, (20, 2)).astype(np.float32):
        found = gd.invariant_circle(step, start, centre=np.zeros(2, np.float32), steps=8192, transient=0, throw=False)
        assert found.verdict == "neutral"


@pytest.mark.parametrize(
    ("r", "kind", "period"), [(4.0, "chaos", None), (3.5, "limit cycle", 4), (3.569945, "undecided", None)]
)
def test_the_logistic_map_from_everywhere(r, kind, period):
    # The last is where the doublings accumulate: neither periodic in sight nor chaotic.
    starts = np.random.default_rng(9).uniform(0.1, 0.9, 20)
    found = [gd.attractor(Logistic(jnp.asarray(r)), jnp.asarray(start)) for start in starts]
    assert {each.kind for each in found} == {kind}
    assert period is None or {float(each.period) for each in found} == {period}


class Four(gd.AbstractFlow):
    """Flows of four coordinates: two Stuart-Landau oscillators, and May and Leonard's three competitors beside a decay."""

    which: Array
    p: Array

    def __call__(self, x):
        (a, b, c, d), p = x, self.p
        r, s = a**2 + b**2, c**2 + d**2
        return jax.lax.switch(
            self.which,
            [
                lambda: jnp.stack([a * (1 - r) - b, b * (1 - r) + a, c * (1 - s) - p[0] * d, d * (1 - s) + p[0] * c]),
                lambda: jnp.stack(
                    [
                        a * (1 - a - p[0] * b - p[1] * c),
                        b * (1 - b - p[0] * c - p[1] * a),
                        c * (1 - c - p[0] * a - p[1] * b),
                        -d,
                    ]
                ),
            ],
        )


def test_tori_and_passages_near_saddles():
    starts = np.random.default_rng(5).uniform(0.1, 1.0, (4, 4))
    for start in starts[:2]:
        torus = gd.attractor(Four(jnp.asarray(0), jnp.array([np.sqrt(2), 0.0])), jnp.asarray(start), turns=200)
        assert torus.kind == "torus"
    for start in starts:
        # Each species gives way to the next for ever longer (May and Leonard, 1975): no equilibrium, however long the stay.
        passing = gd.attractor(Four(jnp.asarray(1), jnp.array([0.8, 1.4])), jnp.asarray(start))
        assert passing.kind == "undecided"
        together = gd.attractor(Four(jnp.asarray(1), jnp.array([0.5, 0.7])), jnp.asarray(start))
        assert together.kind == "equilibrium"
        np.testing.assert_allclose(together.state[:3], 1 / 2.2, rtol=1e-6)


class Oscillator(gd.AbstractFlow):
    """Van der Pol's oscillator on a dictionary."""

    mu: float

    def __call__(self, x):
        return {"q": x["p"], "p": self.mu * (1 - x["q"] ** 2) * x["p"] - x["q"]}


class Driven(gd.AbstractFlow):
    """A field that drives to a line from both sides, and along it."""

    def __call__(self, x):
        return jnp.stack([jnp.ones(()), -jnp.sign(x[1])])

    def switches(self, x):
        return x[1:]


def test_sliding():
    flow = gd.Constrained(Oscillator(1.0), gd.Box(-1.0, 1.0, lambda x: x["q"]))
    found = gd.attractor(flow, {"q": 0.1, "p": 0.3})
    # Along q = 1 the field is p' = -1: a stick of about p seconds, twice a period.
    assert found.kind == "sliding"
    assert 0.1 < float(found.sliding) < 0.9
    assert float(found.multiplier) < 1e-6  # whoever sticks leaves at the same place
    assert gd.attractor(Driven(), jnp.array([0.0, 1.0])).kind == "sliding"


def test_states_at_rest():
    saddle = Planar(jnp.asarray(DUFFING), jnp.array([0.1, 0.0]))
    assert gd.attractor(saddle, jnp.zeros(2)).kind == "equilibrium"
    # A small push from the saddle, and the orbit leaves it for one of the wells.
    left = gd.attractor(saddle, jnp.array([1e-7, 0.0]))
    assert left.kind == "equilibrium"
    np.testing.assert_allclose(left.state, [1.0, 0.0], atol=1e-5)
    assert "rest" in left.why


def test_what_cannot_be_followed():
    with pytest.raises(ValueError, match="at least one turn"):
        gd.attractor(dirac(), P(1.0, 1.0), turns=0)
    with pytest.raises(RuntimeError, match="no finite value"):
        gd.attractor(Logistic(jnp.asarray(jnp.nan)), 0.3)
    assert gd.attractor(Logistic(jnp.asarray(jnp.nan)), 0.3, throw=False).result == gd.RESULTS.nonfinite
