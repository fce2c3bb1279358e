"""The spectrum of a network that somebody trained elsewhere: Equinox, Flax, plain arrays; on mini-batches; of its blocks."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

import gandyn as gd

DATA = gd.Discrete(np.random.default_rng(0).normal(size=(64, 2)))
NOISE = gd.Discrete(np.random.default_rng(1).normal(size=(64, 2)))
WIDTH = 6


def weights(seed, out):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(2, WIDTH)), rng.normal(size=WIDTH), rng.normal(size=(WIDTH, out)), rng.normal(size=out)]


def plain():
    def net(p, x):
        return jnp.tanh(x @ p[0] + p[1]) @ p[2] + p[3]

    game = gd.GAN(net, lambda p, x: net(p, x)[0], DATA, NOISE, gd.objectives.minimax)
    return game, gd.Players(*([jnp.asarray(w) for w in weights(*s)] for s in ((0, 2), (1, 1))))


def equinox():
    def module(seed, out):
        net = eqx.nn.MLP(2, out if out > 1 else "scalar", WIDTH, 1, jnp.tanh, key=jax.random.key(0))
        a, b, c, d = weights(seed, out)
        return eqx.tree_at(lambda m: [leaf for one in m.layers for leaf in (one.weight, one.bias)], net, [a.T, b, c.T, d])

    (generator, first), (critic, second) = gd.network(module(0, 2)), gd.network(module(1, 1))
    game = gd.GAN(first, second, DATA, NOISE, gd.objectives.minimax)
    return game, gd.Players(generator, critic)


def linen():
    class MLP(nn.Module):
        out: int

        @nn.compact
        def __call__(self, x):
            hidden = jnp.tanh(nn.Dense(WIDTH)(x))
            return nn.Dense(self.out)(hidden)

    def checkpoint(seed, out):
        a, b, c, d = map(jnp.asarray, weights(seed, out))
        return {"params": {"Dense_0": {"kernel": a, "bias": b}, "Dense_1": {"kernel": c, "bias": d}}}

    game = gd.GAN(MLP(2).apply, lambda p, x: MLP(1).apply(p, x)[0], DATA, NOISE, gd.objectives.minimax)
    return game, gd.Players(checkpoint(0, 2), checkpoint(1, 1))


def modules():
    class MLP(nnx.Module):
        def __init__(self, seed, out):
            a, b, c, d = map(jnp.asarray, weights(seed, out))
            self.first = nnx.Linear(2, WIDTH, rngs=nnx.Rngs(0), param_dtype=float)
            self.second = nnx.Linear(WIDTH, out, rngs=nnx.Rngs(0), param_dtype=float)
            for layer, kernel, bias in ((self.first, a, b), (self.second, c, d)):
                layer.kernel, layer.bias = nnx.Param(kernel), nnx.Param(bias)

        def __call__(self, x):
            return self.second(jnp.tanh(self.first(x)))

    (one, first), (two, second) = nnx.split(MLP(0, 2)), nnx.split(MLP(1, 1))
    game = gd.GAN(lambda p, z: nnx.merge(one, p)(z), lambda p, x: nnx.merge(two, p)(x)[0], DATA, NOISE, gd.objectives.minimax)
    return game, gd.Players(nnx.to_pure_dict(first), nnx.to_pure_dict(second))


@pytest.fixture(scope="module")
def reference():
    game, x = plain()
    return game, x, np.linalg.eigvals(np.asarray(gd.linearize(game, x).as_matrix()))


@pytest.mark.parametrize("checkpoint", [plain, equinox, linen, modules])
def test_the_same_network_of_any_library_has_the_same_spectrum(checkpoint, reference):
    found = gd.eigenpairs(*checkpoint(), spectrum=gd.Arnoldi(3))
    np.testing.assert_allclose(np.real(found.values), np.sort(reference[2].real)[::-1][:3], rtol=1e-10)


def test_batches_of_products_make_the_same_matrix():
    class Bent(gd.AbstractFlow):
        game: gd.AbstractGame

        def __call__(self, x):
            return self.game(jax.tree.map(jnp.sin, x))

    # More coordinates than are formed at once, and no whole number of batches; the reference differentiates backwards.
    rng = np.random.default_rng(0)
    own, other = (np.diag(np.linspace(a, 2.0, 140)) for a in (-0.5, 0.1))
    system = Bent(gd.games.quadratic(own, rng.normal(size=(140, 140)) / 12, other))
    x = gd.Players(jnp.full(140, 0.3), jnp.full(140, -0.5))
    vector, unravel = ravel_pytree(x)
    whole = jax.jacrev(lambda v: ravel_pytree(system(unravel(v)))[0])(vector)
    found = gd.eigenpairs(system, x, spectrum=gd.Dense())
    gaps = np.abs(np.asarray(found.values)[:, None] - np.linalg.eigvals(np.asarray(whole))[None])
    assert gaps.min(axis=1).max() < 1e-8
    assert gaps.min(axis=0).max() < 1e-8


def test_minibatches_of_the_spectrum(reference):
    game, x, dense = reference
    redraw = gd.Minibatch(lambda g: (g.real, g.latent), 4096)
    found = gd.batch_spectra(game, x, redraw, jax.random.key(0), batches=8, spectrum=gd.Arnoldi(1))
    exact = dense[np.argmax(dense.real)]
    # The mean is off by chance, and by a bias that falls faster than the error: five errors of eight batches.
    assert abs(found.mean[0, 0] - exact.real) < 5 * found.error[0, 0]
    assert 0 < found.error[0, 0] < 0.1 * abs(exact.real)
    # A batch a quarter of the size has twice the spread; eight of them know it to a third.
    rough = gd.Minibatch(lambda g: (g.real, g.latent), 1024)
    spread = gd.batch_spectra(game, x, rough, jax.random.key(1), batches=8, spectrum=gd.Arnoldi(1)).error
    assert 1.0 < spread[0, 0] / found.error[0, 0] < 4.0
    with pytest.raises(ValueError, match="at least two"):
        gd.batch_spectra(game, x, redraw, jax.random.key(0), batches=1)


def test_the_extremes_of_the_players_blocks(reference):
    game, x, _ = reference
    found, blocks = gd.block_extremes(game, x), gd.blocks(game, x)
    for row, residuals, name in zip(found.values, found.residuals, x._fields, strict=True):
        exact = np.linalg.eigvalsh(np.asarray(blocks[name, name]))
        np.testing.assert_allclose(row, exact[[0, -1]], atol=1e-8)
        assert np.all(residuals < 1e-6)


def test_blocks_that_vanish():
    flat = gd.block_extremes(
        gd.games.quadratic(np.zeros((5, 5)), np.ones((5, 1)), [[2.0]]), gd.Players(jnp.ones(5), jnp.ones(1))
    )
    np.testing.assert_allclose(flat.values, [[0.0, 0.0], [-2.0, -2.0]], atol=1e-12)
