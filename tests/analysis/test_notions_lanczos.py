"""Notions from products: against matrices on small networks, and on one of ten thousand numbers per player."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree

import gandyn as gd


class Centred(gd.AbstractGame):
    """A zero-sum game with forms of the distance from a point added, which leave it stationary.

    The generator gains by a shift of its output, which the discriminator sees, and pays for every other move.
    """

    game: gd.GAN
    centre: gd.Players
    gain: float
    pay: float

    def losses(self, x):
        u, w = (jax.tree.map(jnp.subtract, a, b) for a, b in zip(x, self.centre, strict=True))
        squares = [sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(part)) / 2 for part in (u, w)]
        shift = jnp.sum(u.layers[-1].bias)
        value = self.game.losses(x)[0] + self.pay * (squares[0] - squares[1]) - self.gain * shift**2
        return value, -value


def drawn(generator, discriminator, points, gain):
    """A generator that is right on its latent points, which are all there are, and a discriminator that is zero."""
    keys = jax.random.split(jax.random.key(0), 3)
    theta, apply_g = gd.network(eqx.nn.MLP(2, 2, *generator, jnp.tanh, key=keys[0]))
    psi, apply_d = gd.network(eqx.nn.MLP(2, "scalar", *discriminator, jnp.tanh, key=keys[1]))
    psi = eqx.tree_at(lambda d: (d.layers[-1].weight, d.layers[-1].bias), psi, replace_fn=jnp.zeros_like)
    latent = jax.random.normal(keys[2], (points, 2))
    data = jax.vmap(lambda z: apply_g(theta, z))(latent)
    game = gd.GAN(apply_g, apply_d, gd.Discrete(data), gd.Discrete(latent), gd.objectives.minimax)
    x = gd.Players(theta, psi)
    return Centred(game, x, gain, 0.05), x


@pytest.fixture(scope="module")
def networks():
    return drawn((16, 1), (24, 1), 8, 0.015)


def test_lanczos_agrees_with_matrices_on_a_network(networks):
    game, x = networks
    dense, free = gd.notions(game, x), gd.notions(game, x, spectrum=gd.Lanczos(basis=30))
    for notion, player in itertools.product(("nash", "stackelberg"), ("generator", "discriminator")):
        one, other = (getattr(getattr(found, notion), player) for found in (dense, free))
        if other.verdict != "undecided":
            assert one.verdict == other.verdict
        gap = abs(float(one.eigenvalues[0] - other.eigenvalues[0]))
        assert gap <= float(one.error + other.error)
    assert (free.nash.verdict, free.stackelberg.verdict) == ("no", "strict")
    limit = float(dense.proximal)
    assert abs(float(free.proximal) - limit) <= float(free.proximal_error) + float(dense.proximal_error)
    assert float(free.proximal_error) < 1e-4 * limit
    for lam in (0.0, 0.5 * limit, 2 * limit, np.inf):
        assert free.proximal_at(lam) == dense.proximal_at(lam)
    with pytest.raises(ValueError, match="were not formed"):
        free.curvature(jnp.ones(1))


def test_lanczos_on_multiples_of_the_identity():
    # Every vector is an eigenvector, on which ARPACK gives up; -3/4 + 4/(1 + 2 lam) = 0 at lam = 13/6.
    n = 50
    game = gd.games.quadratic(-0.75 * jnp.eye(n), 2 * jnp.eye(n), jnp.eye(n))
    found = gd.notions(game, gd.Players(jnp.zeros(n), jnp.zeros(n)), spectrum=gd.Lanczos())
    assert (found.nash.verdict, found.stackelberg.verdict) == ("no", "strict")
    assert float(found.proximal) == pytest.approx(13 / 6, rel=1e-6)


def test_a_network_of_ten_thousand_numbers_per_player():
    game, x = drawn((98, 2), (98, 2), 8, 0.0135)
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(player)) for player in x]
    assert min(sizes) > 10_000
    found = gd.notions(game, x, spectrum=gd.Lanczos())
    # A discriminator of zero depends on its last layer only, so that what it adds to the forms has the rank of that.
    theta, back = ravel_pytree(x.generator)
    last, layer = ravel_pytree(x.discriminator.layers[-1])

    def value(u, w):
        discriminator = eqx.tree_at(lambda d: d.layers[-1], x.discriminator, layer(w))
        return game.losses(gd.Players(back(u), discriminator))[0]

    cross = np.asarray(jax.jacrev(jax.grad(value, 1))(theta, last))
    inner = -np.asarray(jax.hessian(value, 1)(theta, last))
    shift = np.asarray(jax.grad(lambda u: jnp.sum(back(u).layers[-1].bias))(theta))
    span = np.linalg.qr(np.column_stack([shift, cross.T]))[0]
    own = game.pay * np.eye(span.shape[1]) - 2 * game.gain * np.outer(shift @ span, shift @ span)

    def least(lam):
        across = cross @ span
        return np.linalg.eigvalsh(own + across.T @ np.linalg.solve(inner + 2 * lam * np.eye(len(inner)), across))[0]

    for player, notion, exact in (
        ("generator", found.nash, np.linalg.eigvalsh(own)[0]),
        ("discriminator", found.nash, game.pay),
        ("generator", found.stackelberg, least(0.0)),
    ):
        condition = getattr(notion, player)
        assert abs(float(condition.eigenvalues[0]) - exact) <= float(condition.error)
    assert (found.nash.verdict, found.stackelberg.verdict) == ("no", "strict")
    limit = scipy.optimize.brentq(least, 1e-3 * float(found.proximal), 1e3 * float(found.proximal), rtol=1e-12)
    assert abs(float(found.proximal) - limit) <= float(found.proximal_error) < 1e-4 * limit


def test_lanczos_in_single_precision():
    n = 50
    a = -jnp.linspace(0.1, 1.0, n)
    game = gd.games.quadratic(jnp.diag(a), 2 * jnp.eye(n), jnp.eye(n))
    game, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (game, gd.Players(jnp.zeros(n), jnp.zeros(n))))
    found = gd.notions(game, x, spectrum=gd.Lanczos())
    assert (found.nash.verdict, found.stackelberg.verdict) == ("no", "strict")
    # -1 + 4/(1 + 2 lam) = 0 at lam = 3/2.
    assert abs(float(found.proximal) - 1.5) <= float(found.proximal_error) < 1e-3


class Kinked(gd.AbstractGame):
    """Differentiable once at zero only."""

    def losses(self, x):
        value = x[0] @ x[1] + jnp.sum(jnp.abs(x[0]) ** 1.5)
        return value, -value


@pytest.mark.parametrize("n", [3, 60])
def test_an_infinite_curvature_is_no_verdict(n):
    found = gd.notions(Kinked(), gd.Players(jnp.zeros(n), jnp.zeros(n)), spectrum=gd.Lanczos(), throw=False)
    assert found.result == gd.RESULTS.nonfinite
