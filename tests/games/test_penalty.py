"""Penalties against their closed forms where the discriminator's slope is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gandyn as gd
from gandyn import _tree

PSI = st.floats(-2.0, 2.0)

# On the Dirac-GAN the slope is |psi|, wherever it is taken.
DIRAC = {
    "r1": (gd.r1, lambda s: s**2 / 2),
    "r2": (gd.r2, lambda s: s**2 / 2),
    "two-sided": (gd.gradient_penalty(0.7), lambda s: (abs(s) - 0.7) ** 2 / 2),
    "zero-centred": (gd.gradient_penalty(0.0), lambda s: s**2 / 2),
    "one-sided": (gd.gradient_penalty(0.7, gd.one_sided, gd.on_real), lambda s: max(abs(s) - 0.7, 0.0) ** 2 / 2),
    "quartic": (gd.gradient_penalty(0.7, gd.quartic, gd.on_generated), lambda s: (s**2 - 0.49) ** 2 / 4),
}


@eqx.filter_jit
def value_and_slope(penalty, game, x):
    value, slopes = jax.value_and_grad(lambda y: penalty(game, y))(x)
    return value, *slopes


@pytest.mark.parametrize(("penalty", "formula"), DIRAC.values(), ids=DIRAC)
@given(psi=PSI)
def test_on_the_dirac_gan(penalty, formula, psi):
    x = gd.Players(jnp.asarray(0.4), jnp.asarray(psi))
    value, of_theta, of_psi = value_and_slope(penalty, gd.games.dirac(), x)
    np.testing.assert_allclose(value, formula(psi), rtol=1e-13, atol=1e-15)
    assert of_theta == 0.0
    if abs(psi) > 1e-3:
        # So short because the difference is off by a quarter of it where the slope has a kink.
        step = 1e-7
        slope = (formula(psi + step) - formula(psi - step)) / (2 * step)
        np.testing.assert_allclose(of_psi, slope, atol=1e-7 * (1 + psi**2))


@pytest.mark.parametrize("name", DIRAC)
def test_zero_slope_has_a_zero_subgradient(name):
    value, *slopes = value_and_slope(DIRAC[name][0], gd.games.dirac(), gd.Players(jnp.asarray(0.4), jnp.asarray(0.0)))
    np.testing.assert_allclose(value, DIRAC[name][1](0.0), rtol=1e-15)
    assert slopes == [0.0, 0.0]


def power_integral(low, high, k):
    """The mean of t^k along the segment."""
    return (high ** (k + 1) - low ** (k + 1)) / ((k + 1) * (high - low))


# D(x) = w x^2 on U[-1, 1] and a U[-1, 1]: the slope is 2 |w x|.
@pytest.mark.parametrize(("a", "w"), [(0.6, 0.8), (-1.3, -0.4)])
def test_where_the_slope_is_taken(a, w):
    game, x = gd.games.uniform(order=4), gd.Players(jnp.asarray(a), jnp.asarray(w))
    np.testing.assert_allclose(gd.r1(game, x), 2 * w**2 / 3, rtol=1e-13)
    np.testing.assert_allclose(gd.r2(game, x), 2 * w**2 * a**2 / 3, rtol=1e-13)
    atoms = gd.GAN(game.generator, game.discriminator, gd.Discrete([1.0, 2.0]), gd.Discrete([1.0]), gd.objectives.minimax)
    found = gd.gradient_penalty(0.0, gd.quartic, gd.Segments())(atoms, x)
    # A quarter of E (2 w x)^4 along the segments from 1 and from 2 to a: degree four, exact with eight nodes.
    exact = 4 * w**4 * (power_integral(1.0, a, 4) + power_integral(2.0, a, 4)) / 2
    np.testing.assert_allclose(found, exact, rtol=1e-13)


def test_the_points_of_a_segment_are_between():
    game = gd.games.linear(mean=(1.0, 2.0))
    law = gd.Segments()(game, gd.Players(jnp.zeros(2), jnp.zeros(2)))
    # The mean of both laws' means, and the mean of (1 - t)^2 and t^2 times a third of each covariance.
    np.testing.assert_allclose(law.weights.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(law.expectation(lambda p: p), [0.5, 1.0], rtol=1e-12)
    spread = 0.49 * 2 / 3 + np.array([1.0, 4.0]) / 12
    np.testing.assert_allclose(law.expectation(lambda p: (p - jnp.array([0.5, 1.0])) ** 2), spread, rtol=1e-12)


def test_one_point_on_the_segment_of_each_pair():
    game, x = gd.games.linear(mean=(1.0, 2.0)), gd.Players(jnp.array([0.5, -1.0]), jnp.zeros(2))
    n, (one, two) = 4000, jax.random.split(jax.random.key(0))
    drawn = eqx.tree_at(lambda g: (g.real, g.latent), game, (game.real.sample(one, n), game.latent.sample(two, n)))
    law = gd.on_segments(drawn, x)
    ends, others, points = (np.asarray(p) for p in (drawn.real.points, drawn.samples(x).points, law.points))
    share = np.sum((points - ends) * (others - ends), axis=1) / np.sum((others - ends) ** 2, axis=1)
    np.testing.assert_allclose(share, (np.arange(n) + 0.5) / n, atol=1e-12)
    np.testing.assert_allclose(points, ends + share[:, None] * (others - ends), atol=1e-12)
    # All pairs have the same means of all functions; the deviations are those of n independent points.
    pairs = gd.Segments()(game, x)
    for fn in (lambda p: p, jnp.square, lambda p: jnp.cos(p[0] + p[1])):
        mean, square = pairs.expectation(fn), pairs.expectation(lambda p, fn=fn: fn(p) ** 2)
        assert np.all(np.abs(law.expectation(fn) - mean) < 4 * np.sqrt((square - mean**2) / n))
    with pytest.raises(ValueError, match="as many real as generated; there are 4000 and 400 points"):
        gd.on_segments(eqx.tree_at(lambda g: g.latent, drawn, game.latent), x)


def test_weight_decay_is_felt_by_payers_only():
    game = gd.games.bilinear(jnp.ones((2, 3)))
    x = gd.Players(jnp.asarray([1.0, 2.0]), jnp.asarray([1.0, 0.0, -1.0]))
    raw, everyone = game(x), gd.Penalised(game, gd.weight_decay, 0.1, ("generator", "discriminator"))(x)
    np.testing.assert_allclose(everyone.generator, raw.generator - 0.1 * x.generator, rtol=1e-15)
    np.testing.assert_allclose(everyone.discriminator, raw.discriminator - 0.1 * x.discriminator, rtol=1e-15)
    alone = gd.Penalised(game, gd.weight_decay, 0.1, "generator")(x)
    np.testing.assert_allclose(alone.generator, everyone.generator, rtol=1e-15)
    np.testing.assert_array_equal(alone.discriminator, raw.discriminator)


def wave(game, x):
    """A penalty of one's own, that feels every player."""
    return jnp.sin(x.generator * x.discriminator)


@pytest.mark.parametrize("player", ["generator", "discriminator", ("generator", "discriminator")])
def test_payers_descend_the_penalty(player):
    game, x = gd.games.dirac(), gd.Players(jnp.asarray(0.4), jnp.asarray(-0.7))
    penalised = gd.Penalised(game, wave, 0.3, player)
    paid = [i for i, name in enumerate(x._fields) if name in (player if isinstance(player, tuple) else (player,))]
    extra = [0.3 * float(wave(game, x)) if i in paid else 0.0 for i in range(2)]
    np.testing.assert_allclose(np.array(penalised.losses(x)) - np.array(game.losses(x)), extra, rtol=1e-14)
    slopes = jax.grad(lambda y: 0.3 * wave(game, y))(x)
    expected = [v - s if i in paid else v for i, (v, s) in enumerate(zip(game(x), slopes, strict=True))]
    np.testing.assert_allclose(penalised(x), expected, rtol=1e-14)


def seen(game, x):
    assert isinstance(game, gd.GAN)
    return jnp.zeros(())


def test_penalties_nest_in_any_order_and_see_the_game_under_all():
    game, x = gd.games.uniform_affine(order=4), gd.Players((0.8, 0.1), (0.3, -0.4))
    x = _tree.state_arrays(x)
    one = gd.Penalised(gd.Penalised(gd.Penalised(game, gd.r1, 0.3), gd.r2, 0.5), seen, 1.0)
    other = gd.Penalised(gd.Penalised(gd.Penalised(game, seen, 1.0), gd.r2, 0.5), gd.r1, 0.3)
    assert one.base is game
    assert one.base is other.base
    np.testing.assert_allclose(_tree.ravel(one(x))[0], _tree.ravel(other(x))[0], rtol=1e-14)
    total = 0.3 * gd.r1(game, x) + 0.5 * gd.r2(game, x)
    np.testing.assert_allclose(one.losses(x)[1] - game.losses(x)[1], total, rtol=1e-13)


def test_the_weight_and_the_centre_are_leaves():
    game, x = gd.Penalised(gd.games.dirac(), gd.gradient_penalty(0.5), 0.3), gd.Players(jnp.asarray(0.4), jnp.asarray(0.9))
    moved = eqx.tree_at(lambda g: (g.weight, g.penalty.centre), game, (jnp.asarray(2.0), jnp.asarray(0.1)))
    np.testing.assert_allclose(moved.losses(x)[1] - game.game.losses(x)[1], 2.0 * 0.8**2 / 2, rtol=1e-14)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (gd.gradient_penalty(0.7), [-0.9] * 8),
        (gd.gradient_penalty(0.7, gd.one_sided, gd.on_real), [0.2]),
        (gd.gradient_penalty(0.7, gd.quartic), []),
        (gd.r1, []),
    ],
    ids=["two-sided", "one-sided", "quartic", "r1"],
)
def test_switches_say_where_a_penalty_is_not_smooth(penalty, expected):
    game = gd.Penalised(gd.games.dirac(), penalty, 0.3)
    np.testing.assert_allclose(game.switches(gd.Players(jnp.asarray(0.4), jnp.asarray(-0.9))), expected, atol=1e-15)


def test_no_verdict_on_a_kink():
    # WGAN-GP at zero slope: the field has a kink, and a spectrum there would be a lie.
    game = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), gd.gradient_penalty(1.0), 1.0)
    with pytest.raises(RuntimeError, match="not smooth"):
        gd.stability(game, gd.Players(0.0, 0.0))


# Refusals


@pytest.mark.parametrize("penalty", [gd.r1, gd.r2, gd.gradient_penalty()])
def test_input_gradients_need_a_gan(penalty):
    with pytest.raises(ValueError, match="needs a GAN, whose discriminator has an input gradient; got Quadratic"):
        gd.Penalised(gd.games.bilinear(), penalty, 0.3)(gd.Players(jnp.ones(()), jnp.ones(())))


def test_an_unknown_payer():
    with pytest.raises(ValueError, match=r"no player 'critic'; its players are \['generator', 'discriminator'\]"):
        gd.equilibrium(gd.Penalised(gd.games.dirac(), gd.r1, 0.3, "critic"), gd.Players(0.1, 0.1))


@pytest.mark.usefixtures("unchecked")
def test_a_field_has_no_loss_to_penalise():
    with pytest.raises(ValueError, match=r"takes a game.*got FieldNorm.*Penalise the game first"):
        gd.Penalised(gd.consensus(gd.games.dirac(), 0.1), gd.r1, 0.3)


@pytest.mark.parametrize(("penalty", "slope"), [(gd.gradient_penalty(0.7, gd.quartic), 0.49), (gd.gradient_penalty(0.0), -1.0)])
def test_a_smooth_penalty_has_its_jacobian_where_the_slope_vanishes(penalty, slope):
    """WGAN with a penalty R(psi): psi' = theta - w R'(psi), so that the trace at the origin is -w R''(0)."""
    game = gd.Penalised(gd.games.dirac(gd.objectives.wasserstein), penalty, 0.3)
    found = gd.stability(game, gd.Players(0.0, 0.0))
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues), np.sort_complex(np.roots([1, -0.3 * slope, 1])), rtol=1e-12)


def test_the_rule_along_a_segment_is_part_of_a_verdicts_error():
    """D = psi sin 3x, whose squared slope is no polynomial; forty nodes give the integral to rounding."""
    atoms = gd.Discrete([-1.0, 1.0])
    game = gd.GAN(lambda theta, z: theta + z, lambda psi, x: psi * jnp.sin(3 * x), atoms, atoms, gd.objectives.minimax)

    def found(order):
        penalty = gd.gradient_penalty(0.5, gd.quartic, gd.Segments(order))
        return gd.stability(gd.Penalised(game, penalty, 0.5), gd.Players(0.0, 0.0))

    exact, coarse, fine = found(40), found(3), found(8)
    assert exact.error < 1e-13
    assert 0.01 < abs(coarse.growth - exact.growth) < coarse.error
    assert 1e-8 < abs(fine.growth - exact.growth) < fine.error < 1e-5


def test_a_segment_needs_a_node():
    with pytest.raises(ValueError, match="order=0"):
        gd.Segments(0)
