"""Sections, crossings and return maps: none missed, none invented, each to the accuracy of the integration."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize

import gandyn as gd
from gandyn import _tree

P, R, text = gd.Players, gd.RESULTS, gd.textbook
COUNT = 8


class Linear(gd.AbstractFlow):
    matrix: object

    def __call__(self, x):
        return self.matrix @ x


class Forward(gd.AbstractFlow):
    """All coordinates move at unit speed."""

    def __call__(self, x):
        return jnp.ones_like(x)


class Curved(eqx.Module):
    """A hyperplane bent along the first coordinate."""

    normal: object
    offset: object
    bend: object

    def __call__(self, x):
        return self.normal @ x - self.offset + self.bend * x[0] ** 2


class Pair(eqx.Module):
    """Two parallel lines."""

    second: object

    def __call__(self, x):
        return (x[0] - 1) * (x[0] - self.second)


def first(x):
    return x[0]


def discriminator(x):
    return x.discriminator


def norm_less_two(x):
    return x[0] ** 2 + x[1] ** 2 - 4


# Against a reference: random flows, sections and starts, a quarter of the starts on the section


def sections(rng, cases, n, bend):
    normals = rng.normal(size=(cases, n))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Curved(normals, rng.normal(size=cases), bend * rng.normal(size=cases))


def heights(section, xs):
    """The section's function at states of shape (cases, n, times)."""
    flat = np.einsum("cn,cnt->ct", section.normal, xs) - section.offset[:, None]
    return flat + section.bend[:, None] * xs[:, 0] ** 2


def slopes(section, xs, vs):
    along = np.einsum("cn,cnt->ct", section.normal, vs)
    return along + 2 * section.bend[:, None] * xs[:, 0] * vs[:, 0]


def on_section(section, starts, chosen):
    """Some of the starts moved along the normal onto the section, by Newton's method."""
    x = starts.copy()
    for _ in range(60):
        g = heights(section, x[:, :, None])[:, 0]
        steep = slopes(section, x[:, :, None], section.normal[:, :, None])[:, 0]
        x = x - (g / np.where(np.abs(steep) > 0.3, steep, np.inf))[:, None] * section.normal
    good = chosen & (np.abs(heights(section, x[:, :, None])[:, 0]) < 1e-12)
    return np.where(good[:, None], x, starts), good


def brushed(section, xs, step, chosen, rng):
    """Sections moved, in half of the chosen cases, to where the orbit turns: it crosses twice within a step or just misses."""
    g = heights(section, xs)
    offset = section.offset.copy()
    for i in np.flatnonzero(chosen)[::2]:
        turns = np.flatnonzero(np.diff(np.sign(np.diff(g[i, 100:2500])))) + 101
        if len(turns):
            m = turns[len(turns) // 2]
            bend = (g[i, m + 1] - 2 * g[i, m] + g[i, m - 1]) / step**2
            apart = rng.choice([-1, 1]) * 10 ** rng.uniform(-2, -1)
            offset[i] += g[i, m] + np.sign(apart) * bend * apart**2 / 8
    return Curved(section.normal, offset, section.bend)


def reference(height, slope, ts, grid, starts_on):
    """All crossings of one case: the zeros between extrema, which are themselves zeros of the slope between dense nodes.

    Returns times, directions, and the least height of an extremum.
    """
    turns = [scipy.optimize.brentq(slope, ts[i], ts[i + 1], xtol=1e-14) for i in np.flatnonzero(np.diff(np.sign(grid)))]
    edges = np.array([ts[0], *turns, ts[-1]])
    values = np.array([height(t) for t in edges])
    if starts_on:
        values[0] = 0.0
    crossed = np.flatnonzero(values[:-1] * values[1:] < 0)
    found = [scipy.optimize.brentq(height, edges[i], edges[i + 1], xtol=1e-14) for i in crossed]
    return np.array(found), np.sign(values[crossed + 1]), np.abs(values[1:-1]).min(initial=np.inf)


@eqx.filter_jit
def search(flow, starts, section, direction, horizon):
    def run(f, x, s):
        return gd.crossings(f, x, gd.Section(s, direction), COUNT, max_time=horizon, throw=False)

    return jax.vmap(run)(flow, starts, section)


def check_all(found, section, states, velocity, horizon, on, direction, accuracy):
    """Every case against the reference; how many ended at a tangency. `states(t, i)` are those of one case, or of all."""
    ts = np.linspace(0, horizon, 4001)
    everything = states(ts, slice(None))
    grid = slopes(section, everything, velocity(everything, slice(None)))
    touching, got, seen = (np.asarray(v) for v in (found.result == R.tangent, found.ts, found.directions))
    for i in range(len(on)):
        one, case = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], section), slice(i, i + 1)

        def height(t, one=one, case=case):
            return heights(one, states(np.array([t]), case))[0, 0]

        def slope(t, one=one, case=case):
            x = states(np.array([t]), case)
            return slopes(one, x, velocity(x, case))[0, 0]

        times, ways, least = reference(height, slope, ts, grid[i], on[i])
        kept = (ways == direction) if direction else np.ones(len(ways), bool)
        times, ways, here = times[kept], ways[kept], np.isfinite(got[i])
        if touching[i]:
            # Only where something all but touches; what was found before holds.
            assert least < 1e-4, (i, least)
            times, ways = times[: here.sum()], ways[: here.sum()]
        assert not np.any(got[i][here] <= 1e-9)
        assert here.sum() == min(len(times), COUNT), (i, got[i], times)
        steep = np.minimum([abs(slope(t)) for t in times[:COUNT]], 1.0)
        np.testing.assert_allclose((got[i][here] - times[:COUNT]) * steep, 0.0, atol=accuracy)
        np.testing.assert_array_equal(seen[i][here], ways[:COUNT])
    return touching.sum()


@pytest.mark.parametrize(("n", "cases", "direction"), [(2, 200, 0), (3, 150, 1)])
def test_no_crossing_of_linear_flows_is_missed_or_invented(n, cases, direction):
    rng, horizon = np.random.default_rng(n), 12.0
    matrices = rng.normal(size=(cases, n, n)) * rng.uniform(0.5, 3, size=(cases, 1, 1))
    shift = np.max(np.linalg.eigvals(matrices).real, axis=1) - rng.uniform(-0.4, 0.2, size=cases)
    matrices -= shift[:, None, None] * np.eye(n)
    section = sections(rng, cases, n, 0.3)
    starts, on = on_section(section, 2 * rng.normal(size=(cases, n)), rng.random(cases) < 0.25)
    assert on.sum() > cases / 8
    values, vectors = np.linalg.eig(matrices)
    weights = np.linalg.solve(vectors, starts[:, :, None].astype(complex))[:, :, 0]

    def states(t, case):
        growing = weights[case, :, None] * np.exp(values[case, :, None] * t)
        return np.einsum("cij,cjt->cit", vectors[case], growing).real

    section = brushed(section, states(np.linspace(0, horizon, 4001), slice(None)), horizon / 4000, ~on, rng)
    arrays = jax.tree.map(jnp.asarray, (Linear(matrices), starts, section))
    found = search(*arrays, direction, horizon)

    def velocity(x, case):
        return np.einsum("cij,cjt->cit", matrices[case], x)

    # The flow is its exponential: rounding, and the integration over some twenty turns.
    assert check_all(found, section, states, velocity, horizon, on, direction, 1e-9) <= 2


def velocities_van_der_pol(mu, x):
    mu = mu.reshape(-1, *[1] * (x.ndim - 2))
    return np.stack([x[:, 1], mu * (1 - x[:, 0] ** 2) * x[:, 1] - x[:, 0]], axis=1)


def velocities_lorenz(rho, x):
    a, b, c = x[:, 0], x[:, 1], x[:, 2]
    return np.stack([10 * (b - a), a * (rho.reshape(-1, *[1] * (x.ndim - 2)) - c) - b, a * b - 8 / 3 * c], axis=1)


FLOWS = {
    "van der Pol": (text.VanDerPol, velocities_van_der_pol, (0.2, 3.0), 2, 1.5, -1, 100, 20.0, 1e-8),
    # Displacements grow by a factor of some hundred within the horizon.
    "Lorenz": (lambda rho: text.Lorenz(10.0, rho, 8 / 3), velocities_lorenz, (20.0, 30.0), 3, 8.0, 0, 100, 4.0, 1e-6),
}


@pytest.mark.parametrize("name", FLOWS)
def test_no_crossing_of_textbook_flows_is_missed_or_invented(name):
    make, velocity, span, n, size, direction, cases, horizon, accuracy = FLOWS[name]
    rng = np.random.default_rng(7)
    parameters = rng.uniform(*span, size=cases)
    section = sections(rng, cases, n, 0.1)
    starts, on = on_section(section, size * rng.normal(size=(cases, n)), rng.random(cases) < 0.25)
    flow = jax.vmap(make)(jnp.asarray(parameters)) if n == 2 else eqx.filter_vmap(make)(jnp.asarray(parameters))
    if n == 3:
        flow = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (cases,)), flow)
    found = search(flow, *jax.tree.map(jnp.asarray, (starts, section)), direction, horizon)

    def stacked(t, y):
        return velocity(parameters, y.reshape(cases, n)).reshape(-1)

    # All cases as one system, so that its steps suit the hardest.
    solution = scipy.integrate.solve_ivp(
        stacked, (0, horizon), starts.reshape(-1), "DOP853", rtol=1e-12, atol=1e-13, dense_output=True
    ).sol

    def states(t, case):
        return solution(t).reshape(cases, n, -1)[case]

    def speed(x, case):
        return velocity(parameters[case], x)

    assert check_all(found, section, states, speed, horizon, on, direction, accuracy) <= 2


# Single crossings


def test_a_start_on_the_section_never_returns_at_once():
    turn = Linear(jnp.array([[0.0, 1.0], [-1.0, 0.0]]))
    for x in (0.0, -1e-17, 1e-17, -1e-13, 1e-13):
        found = gd.crossings(turn, jnp.array([x, 1.0]), gd.Section(first, 1), 3)
        # A whole turn each, to the integration's accuracy; the last start is that much late or early.
        np.testing.assert_allclose(found.ts, 2 * np.pi * np.arange(1, 4), rtol=0, atol=1e-12)
    both = gd.crossings(turn, jnp.array([0.0, 1.0]), gd.Section(first, 0), 20)
    np.testing.assert_allclose(both.ts, np.pi * np.arange(1, 21), rtol=0, atol=1e-11)
    np.testing.assert_array_equal(both.directions, np.tile([-1.0, 1.0], 10))
    # Polished: on the section to rounding, though twenty half turns have their own errors.
    assert np.abs(both.xs[:, 0]).max() < 1e-15
    np.testing.assert_allclose(both.angles, 1.0, atol=1e-12)


@pytest.mark.parametrize("second", [1.1, 1.01])
def test_two_crossings_in_one_step_are_both_found(second):
    found = gd.crossings(Forward(), jnp.array([0.0]), gd.Section(Pair(second), 0), 2, rtol=1e-6, atol=1e-6)
    # Steps grow tenfold where nothing bends, so that the last one spans both.
    assert int(found.stats["steps"]) < 20
    np.testing.assert_allclose(found.ts, [1.0, second], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(found.directions, [-1.0, 1.0])


@pytest.mark.parametrize("second", [1.0, 1 + 1e-9, 1 + 1e-5])
def test_a_tangency_is_reported_and_nothing_is_guessed(second):
    found = gd.crossings(Forward(), jnp.array([0.0]), gd.Section(Pair(second), 0), 2, throw=False)
    assert found.result == R.tangent
    assert np.all(np.isnan(found.ts))
    with pytest.raises(RuntimeError, match="touches the section"):
        gd.crossings(Forward(), jnp.array([0.0]), gd.Section(Pair(second), 0), 2)


def test_a_start_at_a_tangency_is_reported():
    turn = Linear(jnp.array([[0.0, 1.0], [-1.0, 0.0]]))
    found = gd.crossings(turn, jnp.array([2.0, 0.0]), gd.Section(norm_less_two, 1), 1, throw=False)
    assert found.result == R.tangent


def test_each_failure_has_its_own_result():
    oscillator, section = text.VanDerPol(1.0), gd.Section(first, 1)
    assert gd.crossings(oscillator, jnp.zeros(2), section, throw=False).result == R.at_rest
    assert gd.crossings(text.VanDerPol(-1.0), jnp.array([0.5, 0.0]), section, 60, throw=False).result == R.at_rest
    away = gd.crossings(text.VanDerPol(-1.0), jnp.array([4.0, 0.0]), section, 60, throw=False)
    assert away.result == R.diverged
    far = gd.Section.through(jnp.array([9.0, 0.0]), jnp.array([1.0, 0.0]))
    never = gd.crossings(oscillator, jnp.array([0.5, 0.0]), far, max_time=30.0, throw=False)
    assert never.result == R.no_return
    assert float(never.time) == 30.0
    assert gd.crossings(oscillator, jnp.array([0.5, 0.0]), far, max_steps=40, throw=False).result == R.max_steps
    with pytest.raises(RuntimeError, match="did not meet the section"):
        gd.crossings(oscillator, jnp.array([0.5, 0.0]), far, max_time=30.0)


def test_crossings_found_before_a_failure_are_kept():
    found = gd.crossings(text.VanDerPol(-1.0), jnp.array([1.9, 0.0]), gd.Section(first, 0), 60, throw=False)
    kept = np.isfinite(found.ts)
    assert 2 < kept.sum() < 60
    assert np.all(kept[: kept.sum()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((gd.SimGD(gd.games.dirac(), 0.1), P(0.1, 0.1)), "takes a flow"),
        ((text.VanDerPol(1.0), jnp.ones(2), gd.Section(lambda x: x)), "scalar function"),
        ((text.VanDerPol(1.0), jnp.ones(2), gd.Section(first), 0), "At least one"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        gd.crossings(*arguments)
    with pytest.raises(ValueError, match="direction"):
        gd.Section(first, 2)
    with pytest.raises(ValueError, match="50 machine epsilons"):
        gd.crossings(text.VanDerPol(1.0), jnp.ones(2), gd.Section(first), rtol=1e-15)


def test_the_section_left_out_is_across_the_flow():
    game, x = gd.games.bilinear(), P(0.6, 0.8)
    section = gd.Section.across(game, x)
    assert float(section(P(0.6, 0.8))) == 0.0
    found = gd.crossings(game, x, None, 2)
    np.testing.assert_allclose(found.ts, 2 * np.pi * np.array([1, 2]), rtol=1e-12)
    np.testing.assert_allclose(found.angles, 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.xs.generator, 0.6, rtol=1e-12)


# Maps


# Without optimisation: programs that run once.
quickly = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


MATRIX = np.array([[-0.3, 1.7], [-0.9, 0.2]])


def test_the_time_map_of_a_linear_flow_is_its_exponential():
    step = gd.TimeMap(Linear(jnp.asarray(MATRIX)), 2.5)
    derivative = quickly(lambda m, x: jax.jacfwd(m)(x))(step, jnp.array([0.3, -0.7]))
    np.testing.assert_allclose(derivative, scipy.linalg.expm(2.5 * MATRIX), rtol=0, atol=1e-12)
    assert float(step.time()) == 2.5
    with pytest.raises(ValueError, match="positive"):
        gd.TimeMap(Linear(jnp.asarray(MATRIX)), -1.0)


def landau_return(x, growth=0.4, frequency=2.0, shear=0.5):
    """Where the flow of the normal form next meets the upper half of the axis x = 0, in closed form (x falls there)."""
    r, angle = jnp.hypot(x[0], x[1]), jnp.arctan2(x[1], x[0])
    sweep = jnp.mod(jnp.pi / 2 - angle + 1e-9, 2 * jnp.pi) - 1e-9
    sweep = jnp.where(sweep < 1e-6, sweep + 2 * jnp.pi, sweep)

    def square(t):
        return growth / (1 - (1 - growth / r**2) * jnp.exp(-2 * growth * t))

    def turned(t):
        inside = jnp.log(1 + r**2 / growth * (jnp.exp(2 * growth * t) - 1)) / 2
        return frequency * t - shear * inside

    def refine(_, t):
        return t - (turned(t) - sweep) / (frequency - shear * square(t))

    t = jax.lax.fori_loop(0, 30, refine, sweep / (frequency - shear * growth))
    return jnp.stack([jnp.zeros(()), jnp.sqrt(square(t))])


def test_the_return_map_and_its_derivatives_are_exact():
    landau = text.StuartLandau(0.4, 2.0, 0.5)
    back, x = gd.PoincareMap(landau, gd.Section(first, -1)), jnp.array([0.7, 0.2])

    def both(f, y):
        return jax.jacfwd(lambda z: (jax.jacfwd(f)(z),) * 2, has_aux=True)(y)

    second, slope = quickly(both)(back, x)
    # Newton's method in the closed form ends at rounding, and so do its derivatives, which are of order one.
    exact_second, exact_slope = jax.jit(both, static_argnums=0)(landau_return, x)
    np.testing.assert_allclose(slope, exact_slope, atol=1e-11)
    np.testing.assert_allclose(second, exact_second, atol=1e-9)
    # One multiplier is zero: a displacement along the flow changes nothing.
    np.testing.assert_allclose(slope @ landau(x), 0.0, atol=1e-12)


def test_plain_numbers_are_states_too():
    # Called directly, without the door of a verb: the circles are turned by a radian, and left for the next upward passage.
    game = gd.games.dirac(gd.objectives.wasserstein)
    turned = gd.TimeMap(game, 1)(P(1, 0.5))
    np.testing.assert_allclose(turned.generator, np.cos(1.0) + 0.5 * np.sin(1.0), atol=1e-10)
    crossed = gd.PoincareMap(game, gd.Section(lambda x: x.discriminator))(P(1.0, 0.5))
    np.testing.assert_allclose([crossed.generator, crossed.discriminator], [-np.sqrt(1.25), 0], atol=1e-10)


def test_the_return_map_in_a_parameter_and_backwards():
    def image(growth, x):
        return gd.PoincareMap(text.StuartLandau(growth, 2.0, 0.5), gd.Section(first, -1))(x)[1]

    def exact(growth, x):
        return landau_return(x, growth)[1]

    arguments = jnp.asarray(0.4), jnp.array([0.7, 0.2])
    value, slopes = quickly(jax.value_and_grad(image, (0, 1)))(*arguments)
    exact_value, exact_slopes = jax.jit(exact)(*arguments), jax.jit(jax.jacfwd(exact, (0, 1)))(*arguments)
    np.testing.assert_allclose(value, exact_value, rtol=1e-12)
    np.testing.assert_allclose(slopes[0], exact_slopes[0], rtol=1e-10)
    np.testing.assert_allclose(slopes[1], exact_slopes[1], rtol=1e-10)


def test_a_cycle_is_an_equilibrium_of_the_return_map():
    back = gd.PoincareMap(text.StuartLandau(0.4, 2.0, 0.5), gd.Section(first, -1))
    period, state = 2 * np.pi / 1.8, jnp.array([0.0, np.sqrt(0.4)])
    np.testing.assert_allclose(quickly(lambda m, x: m.residual(x))(back, state), 0.0, atol=1e-12)
    stable = gd.stability(back, state)
    assert stable.verdict == "stable"
    np.testing.assert_allclose(stable.growth, -0.8 * period, rtol=1e-9)
    # The multiplier along the flow, zero by construction, is left out and said to be.
    np.testing.assert_allclose(stable.eigenvalues, [np.exp(-0.8 * period)], rtol=1e-9)
    assert "1 multiplier along the flow" in str(stable)


def test_a_verdict_on_a_map_that_is_integrated_knows_the_tolerance():
    # Rotations: the multipliers have modulus one, to the integration's accuracy and not to the machine's.
    turn = gd.TimeMap(Linear(jnp.array([[0.0, 1.0], [-1.0, 0.0]])), 1.7)
    found = gd.stability(turn, jnp.zeros(2))
    assert found.verdict == "marginal"
    assert 1e-12 < float(found.error) < 1e-8


def test_no_return_is_a_masked_state_with_its_reason():
    back = gd.PoincareMap(text.VanDerPol(-1.0), gd.Section(first, 1))
    starts = jnp.array([[0.5, 0.3], [0.0, 0.0], [4.0, 0.0]])
    images, times, reasons = quickly(jax.vmap(lambda m, x: (m(x), m.return_time(x), m.failure(x)), (None, 0)))(back, starts)
    np.testing.assert_array_equal(np.isfinite(images).all(axis=1), [True, False, False])
    np.testing.assert_array_equal(np.isfinite(times), [True, False, False])
    for i, reason in enumerate((R.successful, R.at_rest, R.diverged)):
        np.testing.assert_array_equal(reasons == reason, np.arange(3) == i)


def test_the_saltation_at_a_switch_is_in_both_maps():
    # Claims MD11: half a turn multiplies a displacement by q; a field that is taken as smooth, by q squared.
    strength, centre = 0.7, 1.0
    penalty = gd.gradient_penalty(centre, points=gd.on_real)
    game = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), penalty, strength)
    w = np.sqrt(1 - strength**2 / 4)
    q, turning = np.exp(-strength * np.pi / (2 * w)), strength * centre / np.tanh(strength * np.pi / (4 * w))

    def matrix(system, x):
        vector, unravel = _tree.ravel(x)
        return jax.jacfwd(lambda v: _tree.ravel(system(unravel(v)))[0])(vector)

    # From a point of the cycle on the switch, in which the period's end is one too; the image in the section is one-sided.
    back = gd.PoincareMap(game, gd.Section(discriminator, 1))
    start = P(jnp.asarray(-turning), jnp.asarray(0.0))
    np.testing.assert_allclose(quickly(matrix)(back, start), [[q**2, 0.0], [0.0, 0.0]], atol=1e-11)
    on = gd.integrate(game, start, [0.0, 1.0]).final
    whole = quickly(matrix)(gd.TimeMap(game, 2 * np.pi / w), on)
    np.testing.assert_allclose(sorted(np.linalg.eigvals(whole).real), [q**2, 1.0], rtol=1e-9)


def test_new_values_and_starts_compile_nothing_anew():
    section, count = gd.Section(Pair(jnp.asarray(3.0)), 0), []

    class Counted(gd.AbstractFlow):
        speed: object

        def __call__(self, x):
            count.append(1)
            return self.speed * jnp.ones_like(x)

    gd.crossings(Counted(1.0), jnp.array([0.0]), section, 1)
    traced = len(count)
    for speed, start, second in ((2.0, 0.5, 3.5), (1.5, -1.0, 2.5)):
        gd.crossings(Counted(speed), jnp.array([start]), gd.Section(Pair(jnp.asarray(second)), 0), 1, max_time=50.0)
    # The door looks at the shape of the image once for each system.
    assert len(count) == traced
