import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)
ORDER = ("generator", "discriminator")
U = 0.3


def bilinear_maps(game):
    return {
        "simgd": gd.SimGD(game, U),
        "altgd": gd.AltGD(game, U),
        "extragradient": gd.ExtraGradient(game, U),
        "optimistic": gd.Optimistic(game, U),
        "competitive": gd.Competitive(game, U),
        "consensus": gd.SimGD(gd.consensus(game, 0.5), U),
        "adjusted": gd.SimGD(gd.SymplecticAdjustment(game, 0.5), U),
        "lookahead": gd.Lookahead(gd.SimGD(game, U), 5),
        "heun": gd.RungeKutta(game, U, gd.HEUN),
        "rk4": gd.RungeKutta(game, U),
        "momentum": gd.Momentum(game, U, -0.25, order=ORDER),
        "simultaneous momentum": gd.Momentum(game, U, -0.25),
    }


@pytest.fixture(scope="module")
def table():
    game = gd.games.bilinear()
    return gd.compare(game, bilinear_maps(game), ORIGIN)


def _root(polynomial):
    return np.abs(np.roots(polynomial)).max()


# BM01-BM07 at u = h c = 0.3, gamma = 1/2, alpha = 1/2, k = 5, beta = -1/4.
MODULI = {
    "simgd": np.sqrt(1 + U**2),
    "altgd": 1.0,
    "extragradient": np.sqrt(1 - U**2 + U**4),
    "optimistic": np.sqrt((1 + np.sqrt(1 - 4 * U**2)) / 2),
    "competitive": 1 / np.sqrt(1 + U**2),
    "consensus": np.hypot(1 - 0.5 * U, U),
    "adjusted": np.hypot(1 - 0.5 * U, U),
    "lookahead": abs(0.5 + 0.5 * (1 + 1j * U) ** 5),
    "heun": np.sqrt(1 + U**4 / 4),
    "rk4": np.sqrt(1 - U**6 / 72 + U**8 / 576),
    "momentum": _root(np.polyadd(np.polymul([1, -0.75, -0.25], [1, -0.75, -0.25]), [U**2, 0, 0, 0])),
    "simultaneous momentum": _root(np.polyadd(np.polymul([1, -0.75, -0.25], [1, -0.75, -0.25]), [U**2, 0, 0])),
}


@pytest.mark.parametrize("name", MODULI)
def test_rates_on_the_bilinear_game(table, name):
    assert table[name]["rate"] == pytest.approx(MODULI[name], abs=1e-10)
    verdict = "marginal" if MODULI[name] == 1 else "stable" if MODULI[name] < 1 else "unstable"
    assert table[name]["verdict"] == verdict


# Step sizes: 1 (BM01), 1/sqrt 3 (BM08), 2 g / (1 + g^2) (BM04), 2 sqrt 2 (BM06), 2 for the rotation of altgd (MD04), for
# momentum 2 (1 + beta) where -1 solves the polynomial below, and for lookahead where the modulus below is one again.
CRITICAL = {
    "altgd": (2.0, "flip"),
    "extragradient": (1.0, "Neimark–Sacker"),
    "optimistic": (1 / np.sqrt(3), "Neimark–Sacker"),
    "consensus": (0.8, "Neimark–Sacker"),
    "adjusted": (0.8, "Neimark–Sacker"),
    "rk4": (2 * np.sqrt(2), "Neimark–Sacker"),
    "momentum": (1.5, "flip"),
    "lookahead": (scipy.optimize.brentq(lambda u: abs(0.5 + 0.5 * (1 + 1j * u) ** 5) - 1, 0.5, 1), "Neimark–Sacker"),
}


@pytest.mark.parametrize("name", CRITICAL)
def test_critical_steps_on_the_bilinear_game(table, name):
    value, lost = CRITICAL[name]
    # The multipliers of altgd meet in a double eigenvalue at -1, which moves by the root of the rounding.
    assert table[name]["critical"] == pytest.approx(value, rel=1e-7 if name == "altgd" else 1e-9)
    assert table[name]["lost by"] == lost


def test_stable_for_every_step_or_for_none(table):
    assert table["competitive"]["critical"] == table["competitive"]["best"] == np.inf
    for name in ("simgd", "heun", "simultaneous momentum"):
        assert np.isnan(table[name]["critical"])
        assert np.isnan(table[name]["best"])


def test_best_steps_on_the_bilinear_game(table):
    # BM01: |mu|^2 is 3/4 at u = 1/sqrt 2. A smooth minimum is known to the root of the rounding.
    assert table["extragradient"]["best"] == pytest.approx(1 / np.sqrt(2), rel=1e-7)
    assert table["extragradient"]["its rate"] == pytest.approx(np.sqrt(3) / 2, rel=1e-12)
    # BM02: at u = 1/2 the root in |mu|^2 = (1 + sqrt(1 - 4 u^2)) / 2 vanishes: a kink over a double eigenvalue.
    assert table["optimistic"]["best"] == pytest.approx(0.5, rel=1e-7)
    assert table["optimistic"]["its rate"] == pytest.approx(1 / np.sqrt(2), rel=1e-6)
    # BM06: 1 - u^6/72 + u^8/576 is least at u^2 = 6, where it is 1/4.
    assert table["rk4"]["best"] == pytest.approx(np.sqrt(6), rel=1e-7)
    assert table["rk4"]["its rate"] == pytest.approx(0.5, rel=1e-12)


def test_costs(table):
    growth = np.log(MODULI["extragradient"])
    assert table["extragradient"]["per gradient"] == pytest.approx(growth / 2, rel=1e-9)
    assert table["extragradient"]["per time"] == pytest.approx(growth / U, rel=1e-9)
    assert table["lookahead"]["per gradient"] == pytest.approx(np.log(MODULI["lookahead"]) / 5, rel=1e-9)
    assert table["rk4"]["per gradient"] == pytest.approx(np.log(MODULI["rk4"]) / 4, rel=1e-6)
    assert np.isnan(table["competitive"]["per gradient"])
    assert table["flow"]["per time"] == pytest.approx(0.0, abs=1e-15)


@eqx.filter_jit
def _late_growth(step, x, count):
    path = gd.iterate(step, step.init(x), count, every=count // 2, throw=False)
    norms = jnp.stack([jnp.hypot(step.point(s).generator, step.point(s).discriminator) for s in _states(path.xs)])
    return jnp.log(norms[2] / norms[1])


def _states(xs):
    return [jax.tree.map(lambda leaf, i=i: leaf[i], xs) for i in range(3)]


@pytest.mark.parametrize("name", ["altgd", "extragradient", "optimistic", "consensus", "lookahead", "rk4", "momentum"])
def test_critical_steps_by_iteration(table, name):
    step, critical = bilinear_maps(gd.games.bilinear())[name], table[name]["critical"]
    for factor, grows in ((0.99, False), (1.01, True)):
        moved = eqx.tree_at(lambda s: s.step_size(), step, jnp.asarray(factor * critical))
        change = float(_late_growth(moved, gd.Players(jnp.asarray(1e-3), jnp.asarray(2e-3)), 2000))
        # Below its critical step altgd keeps the ellipse, whose radii differ by less than a factor of 20 there.
        assert change > 4 if grows else change < (3 if name == "altgd" else -1)


def test_the_general_method_agrees(table):
    step = bilinear_maps(gd.games.bilinear())["lookahead"]
    assert table["lookahead"]["critical"] == pytest.approx(float(gd.critical_step(step, ORIGIN).value), rel=1e-9)


def test_simultaneous_and_alternating_descent_on_the_quadratic_game():
    # BM09 with mu = 1/10 and c = 1.
    mu, c = 0.1, 1.0
    game = gd.games.quadratic(mu, c, mu)
    table = gd.compare(game, [gd.SimGD(game, 0.05), gd.AltGD(game, 0.05)], ORIGIN)
    assert table.names == ("flow", "SimGD", "AltGD")
    assert table["SimGD"]["best"] == pytest.approx(mu / (mu**2 + c**2), rel=1e-7)
    assert table["SimGD"]["its rate"] == pytest.approx(c / np.hypot(mu, c), rel=1e-12)
    assert table["SimGD"]["critical"] == pytest.approx(2 * mu / (mu**2 + c**2), rel=1e-9)
    best = 2 * (np.hypot(mu, c) - mu) / c**2
    # A double eigenvalue again.
    assert table["AltGD"]["best"] == pytest.approx(best, rel=1e-7)
    assert table["AltGD"]["its rate"] == pytest.approx(1 - best * mu, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.5])
def test_r1_on_the_dirac_gan(gamma):
    # MD07 with f'(0) = 1/2.
    game = gd.Penalised(gd.games.dirac(), gd.r1, gamma)
    table = gd.compare(game, {"simgd": gd.SimGD(game, 0.2), "altgd": gd.AltGD(game, 0.2)}, ORIGIN)
    over = gamma > 1
    simultaneous = 2 / (gamma / 2 + np.sqrt(gamma**2 / 4 - 0.25)) if over else 4 * gamma
    # At gamma = 1 the eigenvalue is double.
    assert table["simgd"]["critical"] == pytest.approx(simultaneous, rel=1e-7 if gamma == 1 else 1e-9)
    assert table["simgd"]["lost by"] == ("Neimark–Sacker" if gamma < 1 else "flip")
    assert table["altgd"]["critical"] == pytest.approx(4 * (np.sqrt(gamma**2 + 1) - gamma), rel=1e-9)
    assert table["altgd"]["lost by"] == "flip"


LINEAR = {
    # NP05: critical 2 s and best s for s = sigma^2 = 0.49. NP06: 8/(s + sqrt(s^2 - 4)) and 4/s for s = 4.49. NP07: both.
    "NP05": ((0.0,), 0.98, 0.49, np.sqrt(1 - 0.49**2 / 4), "Neimark–Sacker"),
    "NP06": ((2.0,), 8 / (4.49 + np.sqrt(4.49**2 - 4)), 4 / 4.49, 0.895314629486, "flip"),
    "NP07": ((0.0, 2.0), 8 / (4.49 + np.sqrt(4.49**2 - 4)), None, None, "flip"),
}


@pytest.mark.parametrize("key", LINEAR)
def test_the_linear_gan(key):
    mean, critical, best, rate, lost = LINEAR[key]
    game = gd.games.linear(mean=mean, sigma=0.7)
    rest = gd.Players(jnp.array(mean), jnp.zeros(len(mean)))
    row = gd.compare(game, [gd.SimGD(game, 0.1)], rest)["SimGD"]
    assert row["critical"] == pytest.approx(critical, rel=1e-9)
    assert row["lost by"] == lost
    if best is not None:
        assert row["best"] == pytest.approx(best, rel=1e-6)
        assert row["its rate"] == pytest.approx(rate, rel=1e-9)


def test_step_sizes_of_the_players_keep_their_ratio():
    game = gd.Penalised(gd.games.dirac(), gd.r1, 0.3)
    row = gd.compare(game, [gd.AltGD(game, (0.1, 0.4))], ORIGIN)["AltGD"]
    assert row["step"] == pytest.approx(0.1)
    # The flip: trace + determinant = -1 with h_g h_d / 4 + 2 h_d gamma = 4 and h_d = 4 h_g.
    assert row["critical"] == pytest.approx(-1.2 + np.sqrt(1.44 + 4), rel=1e-9)


class Damped(gd.AbstractMap):
    """One's own: descent on a shrunken point."""

    flow: gd.AbstractFlow
    h: float

    def __call__(self, x):
        v = self.flow(x)
        return gd.Players(0.9 * x.generator + self.h * v.generator, 0.9 * x.discriminator + self.h * v.discriminator)


def test_a_map_of_ones_own():
    game = gd.games.bilinear()
    row = gd.compare(game, [Damped(game, 0.1)], ORIGIN)["Damped"]
    # |0.9 + i h| = 1.
    assert row["critical"] == pytest.approx(np.sqrt(0.19), rel=1e-9)


def test_adam_and_a_row_without_a_verdict():
    # Without momentum Adam steps by its rate over sqrt(eps_root) at rest; its second moments are of no account.
    game, scale = gd.Penalised(gd.games.dirac(), gd.r1, 0.3), np.sqrt(1e-2) + 1e-8
    adam = gd.Optax(game, optax.adam, learning_rate=0.01, b1=0.0, b2=0.9, eps_root=1e-2)
    found = gd.compare(game, {"adam": adam, "ridge": gd.FollowTheRidge(gd.games.bilinear(), 0.1)}, ORIGIN)
    row = found["adam"]
    assert row["verdict"] == "stable"
    assert row["rate"] == pytest.approx(np.sqrt(1 - 0.3 * 0.01 / scale + (0.01 / scale) ** 2 / 4), rel=1e-10)
    # MD19 and MD22: gamma / f'(0)^2, and half of it.
    assert row["critical"] == pytest.approx(1.2 * scale, rel=1e-9)
    assert row["best"] == pytest.approx(0.6 * scale, rel=1e-7)
    assert row["lost by"] == "Neimark–Sacker"
    assert found["ridge"]["verdict"] == "failed"
    assert np.isnan(found["ridge"]["rotation"])
    assert str(found).splitlines()[-1].startswith("ridge: The linear system that the step solves is singular")


def test_text(table):
    lines = str(table).splitlines()
    assert len(lines) == 1 + len(table.names)
    assert [line.split("  ")[0] for line in lines[1:]] == list(table.names)
    assert "> 100" in lines[1 + table.names.index("competitive")]
    with pytest.raises(KeyError, match="There is no row 'sgd'"):
        table["sgd"]


def test_bad_use(unchecked):
    game = gd.games.bilinear()
    step = gd.SimGD(game, 0.1)
    for call, message in (
        (lambda: gd.compare(step, [step], ORIGIN), "takes a flow first"),
        (lambda: gd.compare(game, [game], ORIGIN), "a map is expected"),
        (lambda: gd.compare(game, [step], ORIGIN, bracket=(1.0, 0.5)), "two increasing positive numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(RuntimeError, match="not an equilibrium"):
        gd.compare(game, [step], gd.Players(0.3, 0.2))
