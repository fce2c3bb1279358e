"""A small classifier of labelled images, whose features and classes tell how good generated images are."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from .._evolve import iterate
from .._system import AbstractGame, AbstractMap
from ..maps._optax import OPTIMISERS, Optax
from ..maps._random import Random
from ._data import Labelled
from ._networks import mlp

_WIDTH, _FEATURES = 64, 16
_BATCH, _LEARNING_RATE = 128, 3e-3
_HELD_OUT = 5


class Likelihood(AbstractGame):
    """A game of one player, a network's parameters: the mean cross-entropy of the classes, from its logits."""

    network: Any = eqx.field(static=True)
    images: Float[Array, "n ..."]
    labels: Int[Array, " n"]

    def losses(self, x: tuple[PyTree]) -> tuple[Scalar]:
        """The mean over the images."""
        logarithms = jax.nn.log_softmax(jax.vmap(eqx.combine(x[0], self.network))(self.images))
        return (-jnp.mean(jnp.take_along_axis(logarithms, self.labels[:, None], axis=1)),)


class _Draw(eqx.Module):
    """A redraw: some of the images with their labels."""

    def __call__(self, key: Key[Array, ""], step: AbstractMap) -> AbstractMap:
        images, labels = _examples(step)
        chosen = jax.random.randint(key, (_BATCH,), 0, len(images))
        return eqx.tree_at(_examples, step, (images[chosen], labels[chosen]))


def _examples(step: Any) -> tuple[Any, Any]:
    return step.flow.images, step.flow.labels


class Classifier(eqx.Module):
    """A network that gives the features and the probabilities of the classes of an image.

    `accuracy` is the share of held-out images that it classified right.
    """

    network: eqx.nn.Sequential
    accuracy: Scalar

    def __call__(self, x: Float[Array, "..."]) -> tuple[Float[Array, " d"], Float[Array, " c"]]:
        """The features, 16 numbers, and the probabilities."""
        features = self.network[0](x)
        return features, jax.nn.softmax(self.network[1](features))


@eqx.filter_jit
def classified(classifier: Classifier, images: Float[Array, "n ..."]) -> tuple[Float[Array, "n d"], Float[Array, "n c"]]:
    """The features and probabilities of many images."""
    return jax.vmap(classifier)(images)


def classifier(data: Labelled, key: Key[Array, ""], *, steps: int = 1000) -> Classifier:
    """Train a small classifier: layers of 64, 16 and as many units as there are classes, by Adam on mini-batches of 128.

    A fifth of the images is held out. The same key gives the same classifier, in the type of the images.

    Args:
        data: Images and labels, such as `gd.digits()`.
        key: For the split, the first weights and the mini-batches.
        steps: How many mini-batches.

    Returns:
        The classifier, with its held-out accuracy.

    Raises:
        ValueError: Too few images to hold any out, or not one label for each.
        RuntimeError: The training left the finite numbers.
    """
    images, labels = data.images.points, data.labels
    if len(images) < _HELD_OUT or labels.shape != images.shape[:1]:
        raise ValueError(
            f"classifier: one label for each of {_HELD_OUT} images or more; got {labels.size} labels, {len(images)} images."
        )
    split, first, second, batches = jax.random.split(key, 4)
    body = mlp(
        images.shape[1:], (_FEATURES,), width=_WIDTH, depth=1, key=first, final_activation=jax.nn.relu, dtype=images.dtype
    )
    head = eqx.nn.Linear(_FEATURES, int(labels.max()) + 1, dtype=images.dtype, key=second)
    parameters, static = eqx.partition(eqx.nn.Sequential([body, head]), eqx.is_inexact_array)
    order = jax.random.permutation(split, len(images))
    held, used = order[: len(images) // _HELD_OUT], order[len(images) // _HELD_OUT :]
    game = Likelihood(static, images[used], labels[used])
    step = Random(Optax(game, OPTIMISERS["adam"], learning_rate=_LEARNING_RATE), _Draw(), batches)
    trained = step.point(iterate(step, step.init((parameters,)), steps, every=steps).final)[0]
    found = Classifier(eqx.combine(trained, static), jnp.zeros((), images.dtype))
    right = classified(found, images[held])[1].argmax(axis=1) == labels[held]
    return Classifier(found.network, right.mean(dtype=images.dtype))
