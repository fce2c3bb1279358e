"""Networks: sizes by hand, shapes, initial laws, normalisation, the spectral norm and its derivatives, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gandyn as gd
from gandyn import _tree
from gandyn.training._networks import conv_discriminator, conv_generator, initialised, mlp
from gandyn.training._spectral import spectral_norm, spectral_normalised

KEY = jax.random.key(0)


def group(shape):
    return eqx.nn.GroupNorm(4, shape[0])


def parameters(module):
    return _tree.size(gd.network(module)[0])


def test_parameter_counts_of_the_papers():
    # Nagarajan and Kolter: 256-128-128-2 and 2-128-1; a layer from m to n has (m + 1) n.
    generator = mlp((256,), (2,), width=128, depth=2, key=KEY)
    assert parameters(generator) == 257 * 128 + 129 * 128 + 129 * 2 == 49666
    discriminator = mlp((2,), (), width=128, depth=1, key=KEY, scale=0.25)
    assert parameters(discriminator) == 3 * 128 + 129 == 513
    # Four hidden layers: Nie and Patel's 256 units from 64 numbers, Mescheder's 16 units from 16.
    assert parameters(mlp((64,), (2,), width=256, depth=4, key=KEY)) == 65 * 256 + 3 * 257 * 256 + 257 * 2 == 214530
    assert parameters(mlp((16,), (2,), width=16, depth=4, key=KEY)) == 17 * 16 + 3 * 17 * 16 + 17 * 2 == 1122


def test_parameter_counts_of_convolutions():
    # 1x8x8, 8x4x4, 8x4x4: a kernel of k by k from m to n channels has (k k m + 1) n.
    judge = conv_discriminator((1, 8, 8), width=8, depth=2, key=KEY)
    assert parameters(judge) == 17 * 8 + 73 * 8 + 129
    maker = conv_generator(5, (1, 8, 8), width=8, depth=2, key=KEY)
    assert parameters(maker) == 6 * 128 + 73 * 8 + (16 * 8 + 1)
    # 1x28x28, 8x14x14, 16x7x7.
    large = conv_discriminator((1, 28, 28), width=8, depth=2, key=KEY)
    assert parameters(large) == 17 * 8 + (16 * 8 + 1) * 16 + 785
    # A norm has a weight and a bias: of each entry in a layer norm, of each channel in a group norm.
    norms = [conv_discriminator((1, 8, 8), width=8, depth=2, key=KEY, normalisation=n) for n in (eqx.nn.LayerNorm, group)]
    assert [parameters(net) - parameters(judge) for net in norms] == [2 * 2 * 128, 2 * 2 * 8]


NORMALISATIONS = {"none": None, "layer": eqx.nn.LayerNorm, "group": group}


@pytest.mark.parametrize("normalisation", NORMALISATIONS.values(), ids=NORMALISATIONS)
@pytest.mark.parametrize(("side", "depth"), [(8, 1), (8, 3), (28, 3)])
def test_shapes_and_types(side, depth, normalisation):
    shape = (1, side, side)
    kinds = {"width": 4, "depth": depth, "key": KEY, "normalisation": normalisation, "dtype": jnp.float32}
    z, x = jnp.ones(3, jnp.float32), jnp.ones(shape, jnp.float32)
    for maker in (conv_generator(3, shape, **kinds), mlp((3,), shape, **kinds)):
        made = eqx.filter_eval_shape(maker, z)
        assert (made.shape, made.dtype) == (shape, jnp.float32)
    for judge in (conv_discriminator(shape, **kinds), mlp(shape, (), **kinds), spectral_normalised(mlp(shape, (), **kinds))):
        judged = eqx.filter_eval_shape(judge, x)
        assert (judged.shape, judged.dtype) == ((), jnp.float32)


def test_a_perceptron_by_hand():
    net = mlp((2,), (), width=3, depth=1, key=KEY, activation=jnp.tanh, scale=0.25, final_activation=jnp.exp)
    first, second = (layer for layer in net.layers if isinstance(layer, eqx.nn.Linear))
    x = jnp.asarray([0.3, -2.0])
    hand = jnp.exp(second.weight @ jnp.tanh(first.weight @ (x / 4) + first.bias) + second.bias)[0]
    np.testing.assert_allclose(net(x), hand, rtol=1e-14)
    parameters, apply = gd.network(net)
    np.testing.assert_array_equal(apply(parameters, x), net(x))


def test_orthogonal_weights_with_a_gain():
    net = initialised(mlp((5,), (), width=7, depth=2, key=KEY), jax.nn.initializers.orthogonal(0.8), KEY)
    for layer in net.layers:
        if isinstance(layer, eqx.nn.Linear):
            np.testing.assert_allclose(jnp.linalg.svd(layer.weight)[1], 0.8, rtol=1e-13)
            np.testing.assert_array_equal(layer.bias, 0.0)
    # As many numbers go into a unit as its kernel holds: He's variance is two over 9 * 64, within five deviations.
    conv = initialised(eqx.nn.Conv2d(64, 32, 3, key=KEY), jax.nn.initializers.he_normal(), KEY)
    np.testing.assert_allclose(jnp.var(conv.weight), 2 / 576, rtol=5 * np.sqrt(2 / conv.weight.size) * 1.1)
    assert conv.weight.shape == (32, 64, 3, 3)


# Spectral normalisation


SLOPE = jax.jit(jax.grad(spectral_norm))
TWICE = jax.jit(lambda w, along: jax.jvp(jax.grad(spectral_norm), (w,), (along,))[1])
BENT = jax.jit(jax.grad(lambda w, along: jnp.vdot(jax.grad(spectral_norm)(w), along)))
THRICE = jax.jit(lambda w, along: jax.jvp(lambda v: BENT(v, along), (w,), (along,))[1])


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4)])
def test_spectral_norm_and_its_derivatives(shape):
    w, along = jax.random.normal(KEY, (2, *shape))
    u, s, vt = np.linalg.svd(w)
    # Of a simple singular value the slope is u v^T, and that is differentiated twice more by central differences.
    np.testing.assert_allclose(spectral_norm(w), s[0], rtol=1e-14)
    np.testing.assert_allclose(SLOPE(w), np.outer(u[:, 0], vt[0]), atol=1e-13)
    step = 1e-5 * along
    curvature = (SLOPE(w + step) - SLOPE(w - step)) / 2e-5
    # Central differences miss the step squared times two more derivatives, each of which brings in the inverse gap.
    np.testing.assert_allclose(TWICE(w, along), curvature, atol=1e-9)
    np.testing.assert_allclose(BENT(w, along), curvature, atol=1e-9)
    third = (BENT(w + step, along) - BENT(w - step, along)) / 2e-5
    np.testing.assert_allclose(THRICE(w, along), third, atol=1e-8)


def test_spectral_norm_where_singular_values_tie():
    # All equal: a subgradient, of nuclear norm one. Three that vanish do not matter.
    q = jnp.linalg.qr(jax.random.normal(KEY, (4, 4)))[0]
    np.testing.assert_allclose(jnp.linalg.norm(SLOPE(0.8 * q), "nuc"), 1.0, rtol=1e-13)
    one = jnp.outer(q[0], q[1])
    assert jnp.all(jnp.isfinite(TWICE(one, q)))
    assert not jnp.isfinite(SLOPE(jnp.zeros((4, 4)))).any()


def test_a_normalised_layer_has_norm_one():
    dense = spectral_normalised(eqx.nn.Linear(5, 3, use_bias=False, key=KEY))
    matrix = jax.jacobian(dense)(jnp.ones(5))
    np.testing.assert_allclose(jnp.linalg.norm(matrix, 2), 1.0, rtol=1e-13)
    conv = spectral_normalised(eqx.nn.Conv2d(2, 3, 3, use_bias=False, key=KEY))
    # On an image as large as the kernel, a convolution is its kernel as a matrix.
    matrix = jax.jacobian(lambda x: conv(x.reshape(2, 3, 3)).reshape(-1))(jnp.ones(18))
    np.testing.assert_allclose(jnp.linalg.norm(matrix, 2), 1.0, rtol=1e-13)


def test_a_normalised_network():
    plain = mlp((2,), (), width=4, depth=2, key=KEY, activation=jnp.tanh)
    net = spectral_normalised(plain)
    (theta, apply), x = gd.network(net), jnp.asarray([0.3, -1.0])
    assert parameters(net) == parameters(plain)
    vector, unravel = _tree.ravel(theta)
    output = jax.jit(lambda v: apply(unravel(v), x))
    steps = 1e-6 * jnp.eye(vector.size)
    differences = [(output(vector + step) - output(vector - step)) / 2e-6 for step in steps]
    # Rounding over the step.
    np.testing.assert_allclose(jax.grad(output)(vector), differences, atol=1e-9)
    with pytest.raises(ValueError, match="no linear map and no convolution left"):
        spectral_normalised(net)


# Refusals


def test_data_of_another_shape():
    (theta, generator), (psi, discriminator) = (
        gd.network(mlp((2,), outputs, width=3, depth=1, key=KEY)) for outputs in ((2,), ())
    )
    game = gd.GAN(
        generator, discriminator, gd.Discrete(jnp.zeros((5, 1, 8, 8))), gd.Discrete(jnp.zeros((5, 2))), gd.objectives.minimax
    )
    with pytest.raises(
        ValueError, match=r"discriminator .* takes points of shape \(2,\); it was given one of shape \(1, 8, 8\)"
    ):
        gd.iterate(gd.SimGD(game, 0.1), gd.Players(theta, psi), 1)


REFUSED = {
    "no hidden layer": (lambda: mlp((2,), (), width=3, depth=0, key=KEY), "at least one; got 0"),
    "no convolution": (lambda: conv_discriminator((1, 8, 8), width=3, depth=0, key=KEY), "at least one; got 0"),
    "no image": (lambda: conv_generator(3, (64,), width=3, depth=1, key=KEY), r"channels, height, width\); got \(64,\)"),
    "nothing to draw": (
        lambda: initialised(eqx.nn.LayerNorm(3), jax.nn.initializers.orthogonal(), KEY),
        "LayerNorm has no linear map",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
