"""Formulations against the definitions they come from: Legendre transforms, divergences, margins and targets."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

import gandyn as gd

o = gd.objectives

# Two laws on three points.
P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.35, 0.45])

# phi, phi'(1), phi''(1), the end of the domain of D, and the divergence of P from Q as the textbooks write it.
DIVERGENCES = {
    "kl": (o.kl, lambda u: u * np.log(u), 1.0, 1.0, np.inf, rel_entr(P, Q).sum()),
    "reverse_kl": (o.reverse_kl, lambda u: -np.log(u), -1.0, 1.0, 1.0, rel_entr(Q, P).sum()),
    "pearson": (o.pearson, lambda u: (u - 1) ** 2, 0.0, 2.0, np.inf, ((P - Q) ** 2 / Q).sum()),
    "neyman": (o.neyman, lambda u: (1 - u) ** 2 / u, 0.0, 2.0, 1.0, ((P - Q) ** 2 / P).sum()),
    "hellinger": (o.hellinger, lambda u: (np.sqrt(u) - 1) ** 2, 0.0, 0.5, 1.0, ((P**0.5 - Q**0.5) ** 2).sum()),
    "jensen_shannon": (
        o.jensen_shannon,
        lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
        0.0,
        0.5,
        np.log(2),
        2 * jensenshannon(P, Q) ** 2,
    ),
    "total_variation": (o.total_variation, lambda u: np.abs(u - 1) / 2, 0.0, None, 0.5, np.abs(P - Q).sum() / 2),
}
EVERY = {name: thing for name, thing in vars(o).items() if isinstance(thing, o.AbstractObjective)}
SMOOTH = {name: thing for name, thing in EVERY.items() if name not in ("hinge", "total_variation")}
ZERO_SUM = {"minimax", "wasserstein", "least_squares_zero_sum", *DIVERGENCES}


def test_the_list_is_complete():
    named = "minimax nonsaturating wasserstein least_squares least_squares_zero_sum hinge"
    assert EVERY.keys() == {*named.split(), *DIVERGENCES}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_conjugates_are_legendre_transforms(name):
    objective, phi, slope, _, end, _ = DIVERGENCES[name]
    for t in [t for t in (-3.0, -1.0, -0.3, 0.0, 0.2, 0.45, 0.9, 1.5) if t < end]:
        # The supremum over u > 0 of u s - phi(u), sought over log u; its error is second order in that of u.
        found = minimize_scalar(
            lambda v, s=slope + t: phi(np.exp(v)) - np.exp(v) * s, bounds=(-30, 30), method="bounded", options={"xatol": 1e-9}
        )
        np.testing.assert_allclose(objective.real(jnp.asarray(t)), slope + t, rtol=1e-15)
        np.testing.assert_allclose(objective.fake(jnp.asarray(t)), found.fun, rtol=1e-8, atol=1e-8)


def table(w, x):
    """A discriminator that may take any value at each of three points."""
    return jnp.sum(jnp.where(x == jnp.arange(3.0), w, 0.0))


def stay(theta, z):
    return z + 0 * theta


def laws(objective):
    points = np.arange(3.0)
    return gd.GAN(stay, table, gd.Discrete(points, P), gd.Discrete(points, Q), objective)


def best(objective, low=None, high=None):
    """The largest V over all discriminators, and where."""
    game = laws(objective)
    value = jax.jit(jax.value_and_grad(lambda w: -game.value(gd.Players(jnp.zeros(()), w))))
    found = minimize(
        lambda w: [np.asarray(v, float) for v in value(jnp.asarray(w))],
        np.zeros(3),
        jac=True,
        bounds=[(low, high)] * 3,
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    return -found.fun, found.x


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_value_at_the_optimum_is_the_divergence(name):
    objective, *_, end, divergence = DIVERGENCES[name]
    high = end - 1e-9 if np.isfinite(end) else None
    # Total variation has a kink at minus one half, below which nothing changes; the search takes it for an end.
    low = -0.5 if name == "total_variation" else None
    # 1e-8: the open end of the domain is approached to 1e-9, and the search stops at a gradient of 1e-10.
    np.testing.assert_allclose(best(objective, low, high)[0], divergence, rtol=1e-8)


def test_the_saturating_gan_measures_jensen_shannon():
    value, optimum = best(o.minimax)
    np.testing.assert_allclose(value, 2 * jensenshannon(P, Q) ** 2 - np.log(4), rtol=1e-9)
    np.testing.assert_allclose(optimum, np.log(P / Q), rtol=1e-4)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_slopes_at_equilibrium(name):
    objective, _, _, curvature, _, _ = DIVERGENCES[name]
    zero = jnp.zeros(())
    assert float(jax.grad(objective.real)(zero)) == 1.0
    np.testing.assert_allclose(jax.grad(objective.fake)(zero), -1.0, rtol=1e-15)
    if curvature is not None:
        np.testing.assert_allclose(jax.grad(jax.grad(objective.fake))(zero), -1 / curvature, rtol=1e-15)


@pytest.mark.parametrize("name", EVERY)
def test_zero_is_the_best_answer_where_both_laws_agree(name):
    objective, zero = EVERY[name], jnp.zeros(())
    np.testing.assert_allclose(jax.grad(objective.real)(zero), -jax.grad(objective.fake)(zero), rtol=1e-15)
    both = [float(objective.real(t) + objective.fake(t)) for t in jnp.linspace(-0.4, 0.4, 9)]
    assert max(both) == both[4]


@pytest.mark.parametrize("name", SMOOTH)
def test_payoffs_are_concave(name):
    for payoff in (SMOOTH[name].real, SMOOTH[name].fake):
        bent = jax.vmap(jax.grad(jax.grad(payoff)))(jnp.linspace(-0.6, 0.6, 13))
        assert np.all(np.asarray(bent) <= 0)


@pytest.mark.parametrize("name", [name for name in DIVERGENCES if np.isfinite(DIVERGENCES[name][4])])
def test_outside_the_domain_is_nan(name):
    objective, end = DIVERGENCES[name][0], DIVERGENCES[name][4]
    value = jax.jit(jax.value_and_grad(objective.fake))
    for t in (end - 1e-3, -5.0):
        assert all(np.isfinite(value(t)))
    for t in (end + 1e-3, end + 5.0):
        assert all(np.isnan(value(t)))
    lost = gd.SimGD(gd.games.dirac(objective), 0.1)
    with pytest.raises(RuntimeError, match="left the domain of the objective"):
        gd.iterate(lost, gd.Players(2.0, 2.0), 4)


@pytest.mark.parametrize("name", EVERY)
def test_who_pays_what(name):
    loss = EVERY[name].generator(jnp.asarray(0.3))
    assert (loss is None) == (name in ZERO_SUM)


@pytest.mark.parametrize("t", [-2.0, -0.5, 0.7, 3.0])
def test_losses_as_the_papers_write_them(t):
    t = jnp.asarray(t)
    sigmoid = 1 / (1 + np.exp(-t))
    for objective in (o.minimax, o.nonsaturating):
        np.testing.assert_allclose(objective.real(t), np.log(sigmoid), rtol=1e-14)
        np.testing.assert_allclose(objective.fake(t), np.log(1 - sigmoid), rtol=1e-13)
    np.testing.assert_allclose(o.nonsaturating.generator(t), -np.log(sigmoid), rtol=1e-14)
    assert (o.wasserstein.real(t), o.wasserstein.fake(t)) == (t, -t)
    assert o.hinge.real(t) == min(0.0, t - 1)
    assert o.hinge.fake(t) == min(0.0, -1 - t)
    assert o.hinge.generator(t) == -t


# Targets: fake, real, generator. Mao et al. (2017) use the first two; the third is the saturating choice.
TARGETS = [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0), (-1.0, 1.0, 1.0), (0.0, 1.0, None), (-1.0, 1.0, None)]


@pytest.mark.parametrize(("a", "b", "c"), TARGETS)
def test_least_squares_with_every_usual_target(a, b, c):
    objective = o.LeastSquares(a, b, c)
    value, optimum = best(objective)
    # The weighted mean of the targets.
    np.testing.assert_allclose(optimum, (b * P + a * Q) / (P + Q), atol=1e-7)
    losses = laws(objective).losses(gd.Players(jnp.zeros(()), jnp.asarray(optimum)))
    expected = value if c is None else (Q * (optimum - c) ** 2).sum() / 2
    np.testing.assert_allclose(losses, [expected, -value], rtol=1e-12)
    middle = jnp.asarray((a + b) / 2)
    assert float(jax.grad(objective.real)(middle) + jax.grad(objective.fake)(middle)) == 0.0


def test_least_squares_measures_pearson():
    # With targets -1, 1, 0 twice the generator's loss, real data included, is Pearson's chi-square of P + Q from 2 Q.
    optimum = best(o.LeastSquares(-1.0, 1.0, 0.0))[1]
    np.testing.assert_allclose(((P + Q) * optimum**2).sum(), ((P - Q) ** 2 / (P + Q)).sum(), rtol=1e-7)


@pytest.mark.parametrize("t", [-800.0, -40.0, -3.0, 0.0, 0.7, 30.0, 800.0])
def test_log_sigmoids_are_exact_in_both_tails_and_in_every_derivative(t):
    ours = [o.nonsaturating.real, o.nonsaturating.fake]
    with mpmath.workdps(40):
        for order in range(4):
            for fn, sign in zip(ours, (1, -1), strict=True):
                expected = float(mpmath.diff(lambda u, s=sign: -mpmath.log1p(mpmath.exp(-s * u)), t, order))
                # Each derivative multiplies by at most two rounded factors more; at zero the third vanishes.
                np.testing.assert_allclose(fn(jnp.asarray(t)), expected, rtol=4e-15, atol=1e-30)
            ours = [jax.grad(fn) for fn in ours]


@pytest.mark.parametrize(
    ("objective", "real", "fake"),
    [(o.hinge, [1.0], [-1.0]), (o.total_variation, [], [0.5, -0.5])],
    ids=["hinge", "total variation"],
)
def test_switches_vanish_at_kinks(objective, real, fake):
    away, none = jnp.array([0.2]), jnp.zeros((0,))
    assert np.all(np.asarray(objective.switches(away, away)) != 0)
    for t in real:
        assert 0.0 in np.asarray(objective.switches(jnp.array([t]), none))
    for t in fake:
        assert 0.0 in np.asarray(objective.switches(none, jnp.array([t])))


def test_smooth_objectives_have_no_switches():
    for objective in SMOOTH.values():
        assert objective.switches(jnp.ones(2), jnp.ones(3)).shape == (0,)


def test_an_objective_of_ones_own():
    class Flat(gd.AbstractObjective):
        def real(self, t):
            return jnp.tanh(t)

        def fake(self, t):
            return -jnp.tanh(t)

    game = gd.games.dirac(Flat())
    generator, discriminator = game.losses(gd.Players(jnp.asarray(0.5), jnp.asarray(2.0)))
    np.testing.assert_allclose(generator, -np.tanh(1.0), rtol=1e-15)
    assert generator == -discriminator
