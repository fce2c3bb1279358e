"""Where verdicts change: closed forms, several at once, none, and bands in which there is nothing to say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd

ORIGIN = gd.Players(0.0, 0.0)
SLOPE = 0.5


class Field(gd.AbstractFlow):
    """Any function of a parameter and a state."""

    f: jax.tree_util.Partial
    p: jax.Array

    def __init__(self, f, p=0.1):
        self.f, self.p = jax.tree_util.Partial(f), jnp.asarray(p, float)

    def __call__(self, x):
        return self.f(self.p, x)


def parameter(system):
    return system.p


def step_size(system):
    return system.h


def alternating(gamma):
    return (-gamma + np.sqrt(gamma**2 + 4 * SLOPE**2)) / SLOPE**2


def r1(gamma):
    return gd.Penalised(gd.games.dirac(), gd.r1, gamma)


def of(f, bracket, n=1):
    return gd.threshold(Field(f), parameter, jnp.zeros(n), bracket)


def test_critical_steps_under_r1_match_their_closed_forms():
    """Ten random strengths, both maps, by the general method; SimGD in closed form too."""
    for gamma in np.random.default_rng(0).uniform(0.05, 2.0, 10):
        found = gd.threshold(gd.AltGD(r1(gamma), 0.1), step_size, ORIGIN, (1e-3, 1e2))
        assert found.verdicts == (("stable", "unstable"),)
        np.testing.assert_allclose(found.value, alternating(gamma), rtol=1e-10)
        step = gd.SimGD(r1(gamma), 0.1)
        general = gd.threshold(step, step_size, ORIGIN, (1e-3, 1e2)).value
        closed = gd.critical_step(step, ORIGIN).value
        # With complex eigenvalues of modulus 1/2: h = gamma / f'^2; with real ones the faster one decides.
        fastest = (gamma + np.sqrt(max(gamma**2 - 4 * SLOPE**2, 0))) / 2
        wanted = gamma / SLOPE**2 if gamma < 2 * SLOPE else 2 / fastest
        # At a double eigenvalue, gamma = 1, both would be the root of that; these strengths are off it.
        np.testing.assert_allclose([general, closed], wanted, rtol=1e-9)


def test_the_critical_step_of_an_alternating_map_is_its_threshold():
    found = gd.critical_step(gd.AltGD(r1(0.3), 0.1), ORIGIN)
    np.testing.assert_allclose(found.value, alternating(0.3), rtol=1e-10)
    assert "stable -> unstable" in str(found)


def test_the_plain_game_goes_from_marginal_to_unstable_at_four():
    """h f' = 2: the ellipses of alternating steps end (Mescheder, Geiger and Nowozin, 2018)."""
    found = gd.threshold(gd.AltGD(gd.games.dirac(), 1.0), step_size, ORIGIN, (1e-2, 10.0))
    assert found.verdicts == (("marginal", "unstable"),)
    np.testing.assert_allclose(found.value, 4.0, rtol=1e-10)


def test_several_crossings_in_one_bracket():
    found = of(lambda p, x: jnp.sin(p) * x, (-7.0, 8.0))
    np.testing.assert_allclose(found.values, np.pi * np.arange(-2, 3), atol=1e-12)
    up, down = ("stable", "unstable"), ("unstable", "stable")
    assert found.verdicts == (up, down, up, down, up)
    np.testing.assert_allclose(found.value, -2 * np.pi, rtol=1e-14)


@pytest.mark.parametrize("bracket", [(-1.0, 1.0), (-1.0, 1.3)], ids=["on a sample", "between samples"])
def test_a_crossing_is_one_wherever_the_samples_fall(bracket):
    found = of(lambda p, x: p * x, bracket)
    assert found.verdicts == (("stable", "unstable"),)
    assert abs(found.value) < 1e-14


def test_crossings_of_any_flatness():
    found = of(lambda p, x: (p - 0.3) ** 3 * x, (-1.0, 1.0))
    np.testing.assert_allclose(found.values, [0.3], rtol=1e-12)
    with pytest.raises(RuntimeError, match="does not change"):
        of(lambda p, x: -((p - 0.3) ** 2) * x, (-1.0, 1.0))


def test_the_equilibrium_moves_with_the_parameter():
    """A pair of complex eigenvalues p - 1 + 2 (x - p^2) +- i at x = p^2: a Hopf bifurcation at 1."""

    def hopf(p, x):
        y, z = x[0] - p**2, x[1] - p
        return jnp.stack([(p - 1 + 2 * y) * y - z, (p - 1) * z + y])

    found = of(hopf, (0.0, 3.0), 2)
    np.testing.assert_allclose(found.values, [1.0], rtol=1e-12)


def test_a_band_of_another_verdict_has_two_edges():
    found = of(lambda p, x: jnp.sign(p) * jnp.maximum(jnp.abs(p) - 0.3, 0) * x, (-1.0, 1.1))
    np.testing.assert_allclose(found.values, [-0.3, 0.3], rtol=1e-12)
    assert found.verdicts == (("stable", "marginal"), ("marginal", "unstable"))


def test_no_crossing_is_invented_inside_a_band_without_a_verdict():
    found = of(lambda p, x: jnp.where(jnp.abs(p) < 0.5, jnp.nan, p) * x, (-1.0, 1.1))
    np.testing.assert_allclose(found.values, [-0.5, 0.5], rtol=1e-12)
    assert found.verdicts == (("stable", "failed"), ("failed", "unstable"))


def test_no_crossing_is_a_clear_error():
    with pytest.raises(RuntimeError, match="does not change within the bracket"):
        of(lambda p, x: -x - p, (-1.0, 1.0))
    found = gd.threshold(Field(lambda p, x: -x - p), parameter, jnp.zeros(1), (-1.0, 1.0), throw=False)
    assert np.isnan(found.value)
    assert found.values.shape == (0,)
    assert str(found) == "the verdict does not change"
    with pytest.raises(RuntimeError, match="critical_step"):
        gd.critical_step(gd.SimGD(gd.games.dirac(), 0.1), ORIGIN)


def test_an_equilibrium_that_vanishes_is_not_called_unchanged():
    with pytest.raises(RuntimeError, match="no equilibrium was found"):
        gd.threshold(Field(lambda p, x: p - x**2), parameter, jnp.ones(1), (-1.0, 1.0))


@pytest.mark.parametrize("bracket", [(1.0, 0.5), (1.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_bracket_that_is_none_is_refused(bracket):
    with pytest.raises(ValueError, match="two increasing finite numbers"):
        gd.threshold(gd.AltGD(r1(0.3), 0.1), step_size, ORIGIN, bracket)


def test_a_lens_must_move_every_copy_of_a_game():
    """Consensus adds minus 0.1 J'J to J = [[-a, -1], [1, -0.2]]: stable while a is above about -0.4."""
    game = gd.games.quadratic(0.3, 1.0, 0.2)
    flow = gd.consensus(game, 0.1, of=game)
    with pytest.raises(ValueError, match="copy"):
        gd.threshold(flow, lambda s: s.flow.a, ORIGIN, (-2.0, 1.0))
    with pytest.raises(ValueError, match="lens"):
        gd.threshold(flow, lambda s: s.flow.nothing, ORIGIN, (-2.0, 1.0))
    tied = gd.threshold(flow, lambda s: (s.flow.a, s.of.a), ORIGIN, (-0.9, 1.0))
    # The trace of J - 0.1 J'J vanishes: -a - 0.2 - 0.1 (a^2 + 2 + 0.04) = 0.
    np.testing.assert_allclose(tied.values, [-5 + np.sqrt(25 - 4.04)], rtol=1e-12)
    assert tied.verdicts == (("unstable", "stable"),)


def test_single_precision_finds_the_step_it_can():
    game = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), gd.Penalised(gd.games.dirac(), gd.r1, 0.3))
    x = gd.Players(jnp.float32(0), jnp.float32(0))
    found = gd.threshold(gd.AltGD(game, jnp.float32(0.1)), step_size, x, (1e-2, 1e2))
    assert found.verdicts == (("stable", "unstable"),)
    np.testing.assert_allclose(found.value, alternating(0.3), rtol=1e-5)


@pytest.mark.parametrize("kind", [gd.SimGD, gd.AltGD])
def test_a_direction_of_equilibria_is_set_aside(kind):
    """A linear discriminator of zero-mean data decays at E x^2 / 4 from each of two laws and leaves the generator free."""
    game, x = gd.games.linear_scale(mean=0.0, variance=1.0, order=2), gd.Players(0.7, 0.0)
    step, along = kind(game, 0.1), gd.manifold(game, x)
    wanted = 2 / ((1 + 0.7**2) / 4)
    across = gd.critical_step(step, x, modulo=along)
    np.testing.assert_allclose(across.value, wanted, rtol=1e-9)
    assert across.verdicts == (("stable", "unstable"),)
    found = gd.threshold(step, lambda s: s.step_size(), x, (0.1, 10.0), modulo=along)
    np.testing.assert_allclose(found.values, [wanted], rtol=1e-9)
