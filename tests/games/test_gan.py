"""GANs: the field is minus the gradient of each player's own loss, and bad players are told what is wrong."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gandyn as gd
from gandyn import _tree

OBJECTIVES = {n: v for n, v in vars(gd.objectives).items() if isinstance(v, gd.AbstractObjective)}

field = eqx.filter_jit(lambda game, x: game(x))
losses = eqx.filter_jit(lambda game, x: jnp.stack(game.losses(x)))


def shift(phi, z):
    return phi + z


def bend(psi, x):
    return psi[0] * x[0] + psi[1] * jnp.tanh(x[1]) + psi[2] * x[0] * x[1]


def plane(objective=gd.objectives.minimax, noise=None):
    """A GAN in the plane with unlike laws and a discriminator that is not linear."""
    real = gd.Mixture((gd.Gaussian([0.5, -0.2], 0.3, 3), gd.Discrete([[1.0, 0.5]])), [0.7, 0.3])
    return gd.GAN(shift, bend, real, gd.Gaussian([0.0, 0.0], [[0.5, 0.1], [0.1, 0.4]], 3), objective, noise)


def state(seed, size=0.1):
    rng = np.random.default_rng(seed)
    return gd.Players(jnp.asarray(size * rng.normal(size=2)), jnp.asarray(size * rng.normal(size=3)))


def differences(game, x, step=1e-5):
    """Minus the slopes of each player's own loss, by central differences."""
    vector, unravel = _tree.ravel(x)
    owner = np.repeat(range(len(x)), [_tree.size(player) for player in x])
    slopes = []
    for i, player in enumerate(owner):
        e = step * jnp.eye(vector.size)[i]
        slopes.append(-(losses(game, unravel(vector + e)) - losses(game, unravel(vector - e)))[player] / (2 * step))
    assert np.all(np.isfinite(slopes))
    return np.array(slopes)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_field_is_minus_each_players_gradient(name):
    game, x = plane(OBJECTIVES[name]), state(1)
    generator, discriminator = losses(game, x)
    zero_sum = OBJECTIVES[name].generator(jnp.zeros(())) is None
    assert (float(generator) == -float(discriminator)) == zero_sum
    # Central differences err by step^2 and eps / step: 1e-10 each.
    np.testing.assert_allclose(_tree.ravel(field(game, x))[0], differences(game, x), atol=1e-9)


@given(st.integers(0, 1000))
def test_the_field_at_any_state(seed):
    game, x = plane(), state(seed, 2.0)
    np.testing.assert_allclose(_tree.ravel(field(game, x))[0], differences(game, x), atol=1e-9)


def test_the_value_is_the_two_expectations():
    real, latent = gd.Discrete([1.0, 3.0]), gd.Discrete([2.0])
    game = gd.GAN(lambda phi, z: phi * z, lambda psi, x: psi * x**2, real, latent, gd.objectives.wasserstein)
    # psi E x^2 - psi (2 phi)^2 = 0.5 (5 - 4 * 0.25).
    x = gd.Players(jnp.asarray(0.5), jnp.asarray(0.5))
    assert float(game.value(x)) == float(game.losses(x)[0]) == -float(game.losses(x)[1]) == 2.0
    assert float(game.critic(gd.Players(0.0, jnp.asarray(2.0)))(jnp.asarray(3.0))) == 18.0
    np.testing.assert_array_equal(game.samples(gd.Players(jnp.asarray(0.5), 0.0)).points, [1.0])


def test_players_may_be_any_pytree():
    def generate(theta, z):
        return theta["scale"] * z + theta["shift"]

    def judge(psi, x):
        (w,), b = psi
        return w @ x + b * x[0] ** 2

    law = gd.Gaussian([0.0, 0.0], 1.0, 3)
    game = gd.GAN(generate, judge, law, law, gd.objectives.minimax)
    x = gd.Players({"scale": jnp.asarray(1.2), "shift": jnp.ones(2)}, ((jnp.asarray([0.1, -0.2]),), jnp.asarray(0.3)))
    velocity = field(game, x)
    assert jax.tree.structure(velocity) == jax.tree.structure(x)
    np.testing.assert_allclose(_tree.ravel(velocity)[0], differences(game, x), atol=1e-9)


def test_networks_play_too():
    one, two = jax.random.split(jax.random.key(0))
    maker = eqx.nn.MLP(2, 2, 4, 1, activation=jnp.tanh, key=one)
    judge = eqx.nn.MLP(2, "scalar", 4, 1, activation=jnp.tanh, key=two)
    (theta, generator), (psi, discriminator) = gd.network(maker), gd.network(judge)
    point = jnp.asarray([0.3, -0.4])
    np.testing.assert_array_equal(generator(theta, point), maker(point))
    np.testing.assert_array_equal(discriminator(psi, point), judge(point))
    assert all(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves((theta, psi)))
    assert jax.tree.leaves((generator, discriminator)) == []
    law = gd.Gaussian([0.0, 0.0], 1.0, 2)
    game, x = gd.GAN(generator, discriminator, law, law, gd.objectives.minimax), gd.Players(theta, psi)
    assert _tree.size(x) == 22 + 17
    np.testing.assert_allclose(_tree.ravel(field(game, x))[0], differences(game, x), atol=1e-9)


def test_switches_are_outputs_at_the_margins():
    x = gd.Players(jnp.asarray(-0.5), jnp.asarray(2.0))
    game = gd.games.dirac(gd.objectives.hinge, target=0.5)
    # Output 1 on the data, -1 on the generated point: both on the margin.
    np.testing.assert_array_equal(game.switches(x), [0.0, 0.0])
    with pytest.raises(RuntimeError, match="not smooth"):
        gd.stability(game, x)
    assert gd.games.dirac().switches(x).shape == (0,)


# Refusals

LAW = gd.Gaussian([0.0, 0.0], 1.0, 2)
START = gd.Players(jnp.zeros(2), jnp.zeros(2))


def linear(psi, x):
    return psi @ x


BAD_GAMES = {
    "a vector for an output": (shift, lambda psi, x: psi * x, "must return a scalar; it returned shape"),
    "points of another shape": (
        lambda phi, z: phi[0] + z[0],
        lambda psi, x: psi[0] * jnp.sum(x),
        r"points of shape \(\).*have shape \(2,\)",
    ),
}


@pytest.mark.parametrize(("generator", "discriminator", "message"), BAD_GAMES.values(), ids=BAD_GAMES)
def test_players_of_the_wrong_shape(generator, discriminator, message):
    game = gd.GAN(generator, discriminator, LAW, LAW, gd.objectives.minimax)
    for verb in (game, lambda x: gd.equilibrium(game, x), lambda x: gd.iterate(gd.SimGD(game, 0.1), x, 2)):
        with pytest.raises(ValueError, match=message):
            verb(START)


def test_noise_of_the_wrong_shape():
    game = gd.GAN(shift, linear, LAW, LAW, gd.objectives.minimax, gd.Gaussian(0.0, 1.0))
    with pytest.raises(ValueError, match="points of one shape"):
        game(START)


def test_networks_and_data_of_two_shapes():
    judge, maker = eqx.nn.MLP(2, "scalar", 4, 1, key=jax.random.key(0)), eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(0))
    (theta, generator), (psi, discriminator) = gd.network(maker), gd.network(judge)
    three = gd.Gaussian(jnp.zeros(3), 1.0, 2)
    for law, latent, message in (
        (three, LAW, r"discriminator cannot take points of shape \(3,\).*got \(2,\) and \(3,\)"),
        (LAW, LAW, r"generator returns points of shape \(3,\), the data have shape \(2,\)"),
        (LAW, three, r"generator cannot take points of shape \(3,\).*got \(2,\) and \(3,\)"),
    ):
        game = gd.GAN(generator, discriminator, law, latent, gd.objectives.minimax)
        with pytest.raises(ValueError, match=message):
            gd.iterate(gd.SimGD(game, 0.1), gd.Players(theta, psi), 1)


@pytest.mark.parametrize(
    "layer",
    [
        eqx.nn.BatchNorm(4, "batch", mode="batch"),
        eqx.nn.SpectralNorm(eqx.nn.Linear(2, 4, key=jax.random.key(0)), "weight", key=jax.random.key(1)),
    ],
)
def test_layers_with_a_memory(layer):
    with pytest.raises(ValueError, match=r"keeps a state of its own.*take eqx.nn.LayerNorm.*gd.training.spectral_normalised"):
        gd.network(eqx.nn.Sequential([layer]))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("x", [(0.0, 0.0), [0.0, 0.0], {"generator": 0.0, "discriminator": 0.0}, 0.0])
def test_a_state_that_is_no_pair_of_players(x):
    with pytest.raises(ValueError, match=r"A GAN's state is gd.Players\(generator, discriminator\)"):
        gd.equilibrium(gd.games.dirac(), x)


@pytest.mark.parametrize(
    "x", [gd.Players(jnp.zeros(3), jnp.zeros(2)), gd.Players(0.0, jnp.zeros(3)), gd.Players((0.0, 0.0), 0.0)]
)
def test_parameters_that_the_players_cannot_take(x):
    game = gd.GAN(shift, linear, LAW, LAW, gd.objectives.minimax)
    with pytest.raises((ValueError, TypeError)):
        gd.equilibrium(game, x)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"real": [0.0, 1.0]}, "real must be a measure, such as gd.Gaussian"),
        ({"latent": jnp.ones(2)}, "latent must be a measure"),
        ({"objective": "minimax"}, "objective must be one of gd.objectives, such as minimax; got 'minimax'"),
        ({"objective": gd.objectives}, "objective must be"),
        ({"noise": 0.1}, "noise must be a measure"),
    ],
)
def test_parts_of_the_wrong_kind(changed, message):
    parts = {"generator": shift, "discriminator": linear, "real": LAW, "latent": LAW, "objective": gd.objectives.minimax}
    with pytest.raises(ValueError, match=message):
        gd.GAN(**{**parts, **changed})


class Sum(gd.AbstractGame):
    def losses(self, x):
        return (sum(x), -sum(x))


def test_one_loss_per_player():
    with pytest.raises(ValueError, match=r"Sum has 2 losses, but the state .* has 3 players"):
        gd.equilibrium(Sum(), (1.0, 2.0, 3.0))


def test_a_cubature_with_negative_weights_works_outside_compiled_code():
    law = gd.Gaussian(jnp.zeros(5), 0.5, 3)
    assert float(law.weights.min()) < 0
    game, x = gd.GAN(shift, jnp.vdot, law, law, gd.objectives.minimax), gd.Players(jnp.ones(5), jnp.ones(5))
    np.testing.assert_allclose(np.concatenate(game(x)), np.concatenate(field(game, x)), rtol=1e-12)
