"""Networks: perceptrons and convolutional players, and how they start."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._spectral import is_layer

Shape = tuple[int, ...]


class Reshape(eqx.Module):
    """A layer that brings arrays of one shape into another, and refuses all others."""

    before: Shape = eqx.field(static=True)
    after: Shape = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."], *, key: Key[Array, ""] | None = None) -> Float[Array, "..."]:
        """The array in its new shape."""
        if x.shape != self.before:
            raise ValueError(f"This network takes points of shape {self.before}; it was given one of shape {x.shape}.")
        return x.reshape(self.after)


class Scale(eqx.Module):
    """A layer that multiplies by a number."""

    factor: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."], *, key: Key[Array, ""] | None = None) -> Float[Array, "..."]:
        """The multiple."""
        return self.factor * x


def _sequential(layers: list[Any], dtype: Any) -> eqx.nn.Sequential:
    network = eqx.nn.Sequential(layers)
    if dtype is None:
        return network
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, network)


def _hidden(layer: eqx.Module, shape: Shape, normalisation: Callable | None, activation: Callable) -> list[Any]:
    return [layer, *([] if normalisation is None else [normalisation(shape)]), eqx.nn.Lambda(activation)]


def mlp(
    inputs: Shape,
    outputs: Shape,
    *,
    width: int,
    depth: int,
    key: Key[Array, ""],
    activation: Callable = jax.nn.relu,
    final_activation: Callable | None = None,
    normalisation: Callable[[Shape], eqx.Module] | None = None,
    scale: float = 1.0,
    dtype: Any = None,
) -> eqx.nn.Sequential:
    """A fully connected network: a generator from latent points to points, or a discriminator from points to a scalar.

    Args:
        inputs: The shape of its input, such as `(256,)` or `(1, 8, 8)`; all others are refused.
        outputs: The shape of its output; `()` for a discriminator.
        width: How many units each hidden layer has.
        depth: How many hidden layers there are; at least one.
        key: For the weights, which start by Equinox's own law; see `initialised`.
        activation: After every hidden layer; a function defined once.
        final_activation: After the last one, such as `jnp.tanh` for images.
        normalisation: What to put between a hidden layer and its activation, made from the shape of that layer's output:
            `eqx.nn.LayerNorm`, or `lambda shape: eqx.nn.GroupNorm(4, shape[0])`.
        scale: What the input is multiplied by.
        dtype: The floating-point type; the default one if left out.

    Returns:
        An Equinox module on single points; `gd.network` makes a player of it.

    Raises:
        ValueError: No hidden layer.
    """
    if depth < 1:
        raise ValueError(f"mlp: depth counts the hidden layers, at least one; got {depth}.")
    keys = jax.random.split(key, depth + 1)
    layers: list[Any] = [Reshape(inputs, (math.prod(inputs),))]
    if scale != 1.0:
        layers.append(Scale(scale))
    sizes = [math.prod(inputs), *[width] * depth]
    for i in range(depth):
        layer = eqx.nn.Linear(sizes[i], sizes[i + 1], key=keys[i])
        layers += _hidden(layer, (width,), normalisation, activation)
    size = math.prod(outputs)
    layers += [eqx.nn.Linear(width, size, key=keys[depth]), Reshape((size,), outputs)]
    if final_activation is not None:
        layers.append(eqx.nn.Lambda(final_activation))
    return _sequential(layers, dtype)


def leaky_relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The leaky rectifier of slope 0.2 below zero, as in the discriminators of Radford, Metz and Chintala (2016)."""
    return jax.nn.leaky_relu(x, 0.2)


_SMALLEST_SIDE = 4


def _stages(shape: Shape, width: int, depth: int, name: str) -> list[Shape]:
    """The shapes between the stages of a convolutional discriminator, from the image on; a generator's backwards."""
    if len(shape) != 3:
        raise ValueError(f"{name} is for images of shape (channels, height, width); got {shape}.")
    if depth < 1:
        raise ValueError(f"{name}: depth counts the stages of convolution, at least one; got {depth}.")
    shapes: list[Shape] = [shape]
    for _ in range(depth):
        channels, *sides = shapes[-1]
        halved = all(side % 2 == 0 and side > _SMALLEST_SIDE for side in sides)
        wider = width if len(shapes) == 1 else channels * (2 if halved else 1)
        shapes.append((wider, *(side // 2 if halved else side for side in sides)))
    return shapes


def _convolution(kind: type, before: Shape, after: Shape, key: Key[Array, ""]) -> eqx.Module:
    # Four wide and moved by two, a kernel covers every pixel equally often; three wide keeps the size.
    size, stride = (3, 1) if before[1:] == after[1:] else (4, 2)
    return kind(before[0], after[0], size, stride, padding=1, key=key)


def conv_generator(
    latent: int,
    shape: Shape,
    *,
    width: int,
    depth: int,
    key: Key[Array, ""],
    activation: Callable = jax.nn.relu,
    normalisation: Callable[[Shape], eqx.Module] | None = None,
    dtype: Any = None,
) -> eqx.nn.Sequential:
    """A convolutional generator of images with values from -1 to 1, after Radford, Metz and Chintala (2016).

    The mirror of `conv_discriminator`: a linear map to the smallest image, then transposed convolutions, the last with a
    hyperbolic tangent.

    Args:
        latent: The dimension of its input.
        shape: That of the images: channels, height and width.
        width: How many channels the last hidden image has; every halving of its sides doubles them.
        depth: How many convolutions there are. Each doubles the sides, until they are those of the image.
        key: For the weights, which start by Equinox's own law; see `initialised`.
        activation: After all layers but the last; a function defined once.
        normalisation: As in `mlp`.
        dtype: The floating-point type; the default one if left out.

    Returns:
        An Equinox module on single points; `gd.network` makes a player of it.

    Raises:
        ValueError: A shape of no images, or no convolution.
    """
    shapes = _stages(shape, width, depth, "conv_generator")[::-1]
    keys = jax.random.split(key, depth + 1)
    size = math.prod(shapes[0])
    layers: list[Any] = [Reshape((latent,), (latent,)), eqx.nn.Linear(latent, size, key=keys[0])]
    layers += _hidden(Reshape((size,), shapes[0]), shapes[0], normalisation, activation)
    for i in range(depth):
        layer = _convolution(eqx.nn.ConvTranspose2d, shapes[i], shapes[i + 1], keys[i + 1])
        layers += [layer] if i == depth - 1 else _hidden(layer, shapes[i + 1], normalisation, activation)
    return _sequential([*layers, eqx.nn.Lambda(jnp.tanh)], dtype)


def conv_discriminator(
    shape: Shape,
    *,
    width: int,
    depth: int,
    key: Key[Array, ""],
    activation: Callable = leaky_relu,
    normalisation: Callable[[Shape], eqx.Module] | None = None,
    dtype: Any = None,
) -> eqx.nn.Sequential:
    """A convolutional discriminator of images, after Radford, Metz and Chintala (2016).

    Args:
        shape: That of the images: channels, height and width; all others are refused.
        width: How many channels the first hidden image has; every halving of its sides doubles them.
        depth: How many convolutions there are. Each halves the sides while they are even and above four; a linear map to a
            scalar follows.
        key: For the weights, which start by Equinox's own law; see `initialised`.
        activation: After every convolution; a function defined once.
        normalisation: As in `mlp`.
        dtype: The floating-point type; the default one if left out.

    Returns:
        An Equinox module on single images; `gd.network` makes a player of it.

    Raises:
        ValueError: A shape of no images, or no convolution.
    """
    shapes = _stages(shape, width, depth, "conv_discriminator")
    keys = jax.random.split(key, depth + 1)
    layers: list[Any] = [Reshape(shape, shape)]
    for i in range(depth):
        layer = _convolution(eqx.nn.Conv2d, shapes[i], shapes[i + 1], keys[i])
        layers += _hidden(layer, shapes[i + 1], normalisation, activation)
    size = math.prod(shapes[-1])
    layers += [Reshape(shapes[-1], (size,)), eqx.nn.Linear(size, "scalar", key=keys[depth])]
    return _sequential(layers, dtype)


def initialised(module: eqx.Module, law: Callable, key: Key[Array, ""]) -> eqx.Module:
    """A network with other weights: drawn by a law of `jax.nn.initializers`, biases zero.

    Args:
        module: Any Equinox module; its linear maps and convolutions are drawn anew.
        law: Such as `jax.nn.initializers.orthogonal(0.8)`, where the factor is the gain.
        key: For the draws.

    Returns:
        The same module otherwise.

    Raises:
        ValueError: There is nothing to draw.
    """
    nodes, structure = jax.tree.flatten(module, is_leaf=is_layer)
    if not any(map(is_layer, nodes)):
        raise ValueError(f"initialised: {type(module).__name__} has no linear map and no convolution.")

    def drawn(layer: Any, key: Key[Array, ""]) -> Any:
        # JAX's laws count what goes in on the last axis but one and what comes out on the last; Equinox has both in front.
        shape = layer.weight.shape
        weight = jnp.moveaxis(law(key, (*shape[2:], shape[1], shape[0]), layer.weight.dtype), (-1, -2), (0, 1))
        layer = eqx.tree_at(lambda it: it.weight, layer, weight)
        return layer if layer.bias is None else eqx.tree_at(lambda it: it.bias, layer, jnp.zeros_like(layer.bias))

    keys = jax.random.split(key, len(nodes))
    return jax.tree.unflatten(structure, [drawn(n, k) if is_layer(n) else n for n, k in zip(nodes, keys, strict=True)])
