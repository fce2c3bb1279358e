"""The proximal game and proximal training: maxima, envelopes, Jacobians, limits, and what is said where there is no maximum."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gandyn as gd
from gandyn import _tree

P = gd.Players
ORIGIN = P(jnp.array(0.0), jnp.array(0.0))
PAIR = jax.tree.map(jnp.asarray, P((0.9, 0.1), (0.2, -0.3)))
STEP = 1e-5
AGREES = {"rtol": 1e-7, "atol": 1e-8}  # A central difference errs by about step^2 and by eps / step, 1e-10 each.


@eqx.filter_jit
def field(system, x):
    return system(x)


@eqx.filter_jit
def matrix(system, x):
    vector, unravel = _tree.ravel(x)
    return jax.jacfwd(lambda v: _tree.ravel(system(unravel(v)))[0])(vector)


def jacobian(system, x):
    return np.asarray(matrix(_tree.system_arrays(system), _tree.state_arrays(x)))


# Values and derivatives


@eqx.filter_jit
def expanded(game, x, direction):
    """Around a state, along the axes and a direction: the losses, the maximum, the field and its first two derivatives."""
    vector, unravel = _tree.ravel(x)

    def flow(v):
        return _tree.ravel(game(unravel(v)))[0]

    def slope(v):
        return jax.jvp(flow, (v,), (direction,))

    def at(move):
        (velocity, first), (_, second) = jax.jvp(slope, (vector + STEP * move,), (direction,))
        return game.losses(unravel(vector + STEP * move)), game.maximum(unravel(vector + STEP * move)), velocity, first, second

    axes = jnp.eye(vector.size)
    return jax.vmap(at)(jnp.concatenate([jnp.zeros((1, vector.size)), jnp.stack([direction, -direction]), axes, -axes]))


@pytest.fixture(scope="module", params=[0.0, 0.3], ids=["zero-sum", "penalised"])
def expansion(request):
    game = gd.Proximal(gd.Penalised(gd.games.uniform_affine(), gd.r1, request.param), 0.4, gd.sobolev)
    return game, expanded(game, PAIR, jnp.array([0.3, -1.2, 0.8, 0.5]))


@eqx.filter_jit
def optimality(game, y, x):
    """Losses and field of the inner game and the price at a maximum; slope and curvature of the payoff there; and the pull."""

    def price(psi, other):
        return game.lam * gd.sobolev(game, P(x.generator, psi), P(x.generator, other))

    def payoff(psi):
        return -game.game.losses(P(x.generator, psi))[1] - price(psi, x.discriminator)

    psi = y.discriminator
    pull = jax.grad(lambda own: -price(own, psi))(x.discriminator)
    return game.game.losses(y), game.game(y), price(psi, x.discriminator), jax.grad(payoff)(psi), jax.hessian(payoff)(psi), pull


def test_losses_and_gradients_are_those_at_the_maximum(expansion):
    game, (losses, state, velocity, *_) = expansion
    state = jax.tree.map(lambda leaf: leaf[0], state)
    inner, there, price, slope, curvature, pull = optimality(game, state, PAIR)
    np.testing.assert_allclose(slope, 0, atol=1e-15)
    assert np.linalg.eigvalsh(np.array(curvature)).max() < 0
    np.testing.assert_allclose([losses[0][0], losses[1][0]], [inner[0] - price, inner[1] + price], rtol=1e-14)
    # The envelope theorem. The generator foresees the answer as well, which changes nothing where the sum is zero.
    np.testing.assert_allclose(velocity[0, 2:], pull, rtol=1e-13)
    difference = np.abs(velocity[0, :2] - np.array(there.generator)).max()
    assert difference < 1e-15 if game.game.weight == 0 else difference > 1e-2


def test_derivatives_know_that_the_maximum_moves(expansion):
    _, (losses, _, velocity, first, second) = expansion
    for exact, values in ((first[0], velocity), (second[0], first)):
        np.testing.assert_allclose(exact, (values[1] - values[2]) / (2 * STEP), **AGREES)
    descent = [(loss[7:] - loss[3:7]) / (2 * STEP) for loss in losses]
    np.testing.assert_allclose(velocity[0], np.concatenate([descent[0][:2], descent[1][2:]]), **AGREES)


def test_the_generators_own_loss_is_the_one_it_descends():
    game, x = gd.Proximal(gd.games.dirac(gd.objectives.nonsaturating), 0.4), P(jnp.array(0.7), jnp.array(-0.5))

    @eqx.filter_jit
    def both(game, x):
        moved = jax.vmap(lambda d: game.losses(P(x.generator + d, x.discriminator)))(jnp.array([STEP, -STEP]))
        return game(x), game.losses(x), game.game.losses(game.maximum(x)), moved

    velocity, losses, inner, moved = both(game, x)
    price = float(losses[1] - inner[1])
    assert price > 0
    np.testing.assert_allclose(losses[0], inner[0] - price, rtol=1e-14)
    np.testing.assert_allclose(velocity.generator, (moved[0][1] - moved[0][0]) / (2 * STEP), **AGREES)


# The quadratic game, whose proximal game is known


def quadratic(a=-1.0, c=3.0, b=1.0, lam=2.0):
    return gd.Proximal(gd.games.quadratic(a, c, b), lam)


def test_the_jacobian_of_a_strict_proximal_equilibrium():
    # With the gradient stopped at the maximum it would have the eigenvalues 1 and -4.
    values = np.linalg.eigvals(jacobian(quadratic(), ORIGIN))
    np.testing.assert_allclose(np.sort_complex(values), [-0.8 - 2.4j, -0.8 + 2.4j], rtol=1e-14)


RANDOM = np.random.default_rng(0)


def draw(rank):
    """Symmetric A, any C, and B of a rank, in six dimensions."""
    a, c, root = RANDOM.normal(size=(3, 6, 6))
    return a + a.T, c, root[:, :rank] @ root[:, :rank].T


@pytest.mark.parametrize("rank", [6, 3, 0])
def test_random_games_and_their_limits(rank):
    a, c, b = draw(rank)
    game = gd.games.quadratic(a, c, b)
    x = P(*map(jnp.asarray, RANDOM.normal(size=(2, 6))))
    kept = []
    for lam in (1e-3, 0.7, 40.0, 1e5):
        inner = np.linalg.inv(b + 2 * lam * np.eye(6))
        wanted = np.block([[-a - c @ inner @ c.T, -2 * lam * c @ inner], [2 * lam * inner @ c.T, -2 * lam * inner @ b]])
        found = jacobian(gd.Proximal(game, lam), x)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())
        kept.append(found)
    # What the generator faces curves less upwards as the price rises: a proximal equilibrium is one for every lower price.
    for low, high in itertools.pairwise(kept):
        assert np.linalg.eigvalsh(high[:6, :6] - low[:6, :6]).min() > -1e-9 * np.abs(low).max()
    # To the game itself, with an error that goes down as one over the price.
    np.testing.assert_allclose(kept[-1], jacobian(game, x), atol=np.abs(wanted).max() * 10 / 1e5 * np.abs(c).max())


def test_at_no_price_the_generator_faces_the_best_response():
    x = P(jnp.array(0.7), jnp.array(0.1))
    velocity = field(gd.Proximal(gd.games.uniform(), 0.0), x)
    # The discriminator's optimum by many unrolled steps.
    np.testing.assert_allclose(velocity.generator, field(gd.Unrolled(gd.games.uniform(), 400, 1.0), x).generator, rtol=1e-12)
    assert velocity.discriminator == 0


# Where there is no maximum


class Three(gd.AbstractGame):
    def losses(self, x):
        return x


def leaning(w, x):
    return w[0] * x + w[1]


CONSTANT = gd.GAN(leaning, leaning, gd.Gaussian(0.0, 1.0, 3), gd.Gaussian(0.0, 1.0, 3), gd.objectives.wasserstein)
FAILURES = {
    "runs away": (quadratic(0.0, 1.0, -3.0, 1.0), P(0.3, 0.2), "no maximum in reach"),
    "without a price": (quadratic(0.0, 1.0, 0.0, 0.0), P(0.3, 0.2), "no maximum in reach"),
    "saddle": (quadratic(0.0, 1.0, -3.0, 1.0), ORIGIN, "curves upwards"),
    "flat": (quadratic(0.0, 1.0, -2.0, 1.0), ORIGIN, "not strict"),
    "singular norm": (gd.Proximal(CONSTANT, 1.0, gd.sobolev), P((0.9, 0.1), (0.2, -0.3)), "not strict"),
    "kink": (gd.Proximal(gd.games.dirac(gd.objectives.hinge), 0.1), P(1.5, 0.2), "as at a kink"),
}


@eqx.filter_jit
def explained(system, x):
    return system(x), system.failure(x)


@pytest.mark.parametrize("name", FAILURES)
def test_no_maximum_is_a_clear_failure(name):
    game, x, words = FAILURES[name]
    velocity, result = explained(*_tree.state_arrays((game, x)))
    assert not _tree.finite(velocity)
    assert words in gd.RESULTS[result]


def test_a_verb_says_why_there_is_no_value():
    with pytest.raises(RuntimeError, match="no maximum in reach"):
        gd.equilibrium(quadratic(0.0, 1.0, -3.0, 1.0), P(0.3, 0.2))


def test_a_price_that_is_too_low_fails_in_its_lane_only():
    x = P(jnp.array(0.3), jnp.array(0.2))
    prices = jnp.array([1.0, 2.0, 1.4, 1.6])
    velocity, result = jax.vmap(lambda lam: explained(quadratic(0.0, 1.0, -3.0, lam), x))(prices)
    assert np.array_equal(result != gd.RESULTS.successful, [True, False, True, False])
    assert np.array_equal(np.isnan(velocity.generator), [True, False, True, False])


@pytest.mark.parametrize(
    "make", [lambda game, lam=1.0: gd.Proximal(game, lam), lambda game, lam=1.0: gd.ProximalTraining(game, lam, 2, 0.1)]
)
def test_refusals(make):
    with pytest.raises(ValueError, match="not negative"):
        make(gd.games.dirac(), -1.0)
    with pytest.raises(ValueError, match="a generator and a discriminator"):
        make(Three())((jnp.array(0.1),) * 3)
    with pytest.raises(ValueError, match="at least one step"):
        gd.ProximalTraining(gd.games.dirac(), 1.0, 0, 0.1)


# Training with finitely many inner steps


def training(steps, lam=0.8, h=0.3, c=1.5):
    return gd.ProximalTraining(gd.games.bilinear(c), lam, steps, h)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_few_inner_steps_on_the_bilinear_game(steps):
    # The displacement after k steps is s c x, with s = (1 - (1 - 2 lam h)^k) / (2 lam).
    lam, h, c = 0.8, 0.3, 1.5
    s = (1 - (1 - 2 * lam * h) ** steps) / (2 * lam)
    wanted = [[-(c**2) * s, -c], [2 * lam * s * c, 0]]
    np.testing.assert_allclose(jacobian(training(steps), ORIGIN), wanted, atol=1e-15)


def test_many_inner_steps_give_the_field_of_the_proximal_game():
    game = gd.games.uniform_affine()
    many, limit = gd.ProximalTraining(game, 0.4, 600, 0.8, gd.sobolev), gd.Proximal(game, 0.4, gd.sobolev)
    np.testing.assert_allclose(jacobian(many, PAIR), jacobian(limit, PAIR), rtol=1e-11, atol=1e-12)


def test_inner_steps_that_overshoot():
    velocity, result = explained(training(4, h=1.3), ORIGIN)
    assert np.all(np.isnan(np.array(velocity)))
    assert "overshoot" in gd.RESULTS[result]
    # Up to two over the curvature 2 lam they do not.
    assert np.all(np.isfinite(np.array(explained(training(4, h=1.24), ORIGIN)[0])))


def test_proximal_training_is_the_gradient_norm_regulariser_on_bilinear_games():
    c = RANDOM.normal(size=(3, 2))
    game, lam = gd.games.bilinear(c), 0.9
    x = P(*map(jnp.asarray, (RANDOM.normal(size=3), RANDOM.normal(size=2))))
    regularised = jacobian(gd.nagarajan_kolter(game, 1 / (4 * lam)), x)
    for system in (gd.Proximal(game, lam), gd.ProximalTraining(game, lam, 1, 1 / (2 * lam))):
        np.testing.assert_allclose(jacobian(system, x), regularised, atol=1e-13)


def test_training_as_a_map():
    # One exact inner step; alternating, the discriminator then climbs from the generator's new parameters.
    flow, h, x = training(1, h=1 / 1.6), 0.2, P(jnp.array(0.3), jnp.array(0.2))
    v = np.array(field(flow, x))
    moved = 0.3 + h * v[0]
    after = field(gd.AltGD(flow, h), x)
    np.testing.assert_allclose(np.array(after), [moved, 0.2 + h * 1.5 * moved], rtol=1e-14)
    adam = gd.Optax(flow, optax.sgd, learning_rate=h)
    np.testing.assert_allclose(np.array(field(adam, adam.init(x)).point), np.array(x) + h * v, rtol=1e-14)


def test_the_critical_step_of_training():
    # A complex pair with trace -s c^2 and determinant 2 lam s c^2: the ratio 1 / (2 lam), whatever the inner steps.
    found = gd.critical_step(gd.SimGD(training(4), 0.1), ORIGIN)
    np.testing.assert_allclose(found.values, [1 / 1.6], rtol=1e-13)
