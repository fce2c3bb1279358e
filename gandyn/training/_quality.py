"""How good generated samples are: modes and classes covered, distances of optimal transport, scores of a classifier."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree, Scalar

from .. import _tree
from .._system import AbstractSystem, Players
from ..games._composite import Mixture
from ..games._gan import AbstractGAN
from ..games._measure import AbstractMeasure, Discrete
from ..games._quadrature import Gaussian
from ..games._wasserstein import between_gaussians, wasserstein2
from ._classifier import Classifier, classified
from ._metrics import point_of


@eqx.filter_jit
def generated(gan: AbstractGAN, x: Players, key: Key[Array, ""], count: int) -> Float[Array, "n ..."]:
    """Independent points of the generator."""
    return jax.vmap(lambda z: gan.generator(x.generator, z))(gan.latent.sample(key, count).points)


@eqx.filter_jit
def _real(gan: AbstractGAN, key: Key[Array, ""], count: int) -> Float[Array, "n ..."]:
    return gan.real.sample(key, count).points


def _modes(law: AbstractMeasure) -> tuple[Gaussian, ...]:
    parts = law.components if isinstance(law, Mixture) else (law,)
    modes = tuple(part for part in parts if isinstance(part, Gaussian) and part.covariance.ndim < 2)
    if len(modes) < len(parts):
        raise ValueError(
            "ModeCoverage: the data must be a mixture of Gaussians whose coordinates are independent, such as "
            f"gd.training.ring(); got {type(law).__name__} of {sorted({type(part).__name__ for part in parts})}."
        )
    return modes


class ModeCoverage(eqx.Module):
    """How many modes of a mixture are covered, and how many samples are good.

    A sample is of high quality if it lies within `reach` standard deviations of the mode next to it, and a mode is covered if
    such a sample is next to it: the convention of VEEGAN (Srivastava et al., 2017) and PacGAN (Lin et al., 2018). In the plane
    and for three deviations, `1 - exp(-9/2) = 0.9889` of the data's own samples are of high quality.

    Args:
        count: How many samples to draw.
        reach: How many standard deviations.

    Raises:
        ValueError: When called, data of another kind than a mixture of Gaussians with independent coordinates, or one of them.
    """

    count: int = eqx.field(static=True, default=2500)
    reach: Scalar = eqx.field(converter=_tree.real, default=3.0)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """`modes_covered`, the share `high_quality`, and of each mode the count of such samples `mode_counts`."""
        gan, x = _tree.inside(system, AbstractGAN), point_of(system, state)
        return self._counted(_modes(gan.real), generated(gan, x, key, self.count))

    @eqx.filter_jit
    def _counted(self, modes: tuple[Gaussian, ...], points: Float[Array, "n ..."]) -> dict[str, Array]:
        def distance(point: Array) -> Array:
            return jnp.stack([jnp.linalg.norm(jnp.ravel((point - mode.mean) / mode.root)) for mode in modes])

        away = jax.vmap(distance)(points)
        good = away.min(axis=1) <= self.reach
        counts = jnp.zeros(away.shape[1], int).at[away.argmin(axis=1)].add(good)
        return {"modes_covered": jnp.sum(counts > 0), "high_quality": jnp.mean(good, dtype=points.dtype), "mode_counts": counts}


class WassersteinDistance(eqx.Module):
    """The Wasserstein distance of second order between samples of the generator and of the data, equally many.

    It is that of the samples, by an exact assignment (`wasserstein2`), and so never zero: the distance of two samples of the
    data is what a perfect generator would show.

    Args:
        count: How many samples of each; time grows with its cube.
    """

    count: int = eqx.field(static=True, default=512)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """`wasserstein2`, NaN if a sample is not finite, and `wasserstein2_real` between two samples of the data."""
        gan, (made, one, other) = _tree.inside(system, AbstractGAN), jax.random.split(key, 3)
        fake = generated(gan, point_of(system, state), made, self.count)
        real, again = (Discrete(_real(gan, each, self.count)) for each in (one, other))
        distance = wasserstein2(Discrete(fake), real) if _tree.finite(fake) else jnp.asarray(jnp.nan)
        return {"wasserstein2": distance, "wasserstein2_real": wasserstein2(again, real)}


def frechet(features: Float[np.ndarray, "n d"], others: Float[np.ndarray, "m d"]) -> Scalar:
    r"""The squared Fréchet distance of the Gaussians with the moments of two samples.

    It is :math:`\lVert m - m'\rVert^2 + \operatorname{tr}(C + C' - 2(CC')^{1/2})`, the form of Heusel et al. (2017).

    Args:
        features: A sample, one point a row.
        others: Another, on points of the same dimension.
    """
    moments = [(np.mean(sample, axis=0), np.cov(sample, rowvar=False)) for sample in (features, others)]
    return _tree.real(between_gaussians(*moments[0], *moments[1]))


def score(probabilities: Float[Array, "n c"]) -> Scalar:
    r"""The inception-style score :math:`\exp\,\mathbb E\,\mathrm{KL}(p(y\mid x)\,\Vert\,p(y))` (Salimans et al., 2016).

    Args:
        probabilities: Those of the classes, for each sample.

    Returns:
        From 1, where all samples look alike to the classifier, to the number of classes.
    """
    return jnp.exp(jnp.mean(jnp.sum(jax.scipy.special.rel_entr(probabilities, probabilities.mean(axis=0)[None]), axis=1)))


class ClassifierQuality(eqx.Module):
    """Generated images as a small classifier of the same data sees them, beside real images drawn in their place.

    A Fréchet distance and an inception-style score, in this classifier's features and classes: not the figures called FID and
    IS, which are those of a network trained on ImageNet, and not to be compared with them. The distance may rank images that
    lack whole classes above noisy ones of all classes, so that the classes covered belong beside it.

    Args:
        classifier: From `classifier`.
        count: How many images to draw.
    """

    classifier: Classifier
    count: int = eqx.field(static=True, default=1000)

    def __call__(self, system: AbstractSystem, state: PyTree, key: Key[Array, ""]) -> dict[str, Array]:
        """`classifier_frechet` and `classifier_score`, the same with `_real`, `classes_covered` and `class_counts`.

        A class is covered if one image at least is taken for it. Values are NaN where an image is not finite.
        """
        gan, (made, drawn) = _tree.inside(system, AbstractGAN), jax.random.split(key)
        fake, real = generated(gan, point_of(system, state), made, self.count), _real(gan, drawn, self.count)
        (features, classes), (true, known) = (classified(self.classifier, images) for images in (fake, real))
        all_of_them = np.asarray(classified(self.classifier, gan.real.points)[0], float)
        finite = bool(_tree.finite(features))
        counts = jnp.bincount(classes.argmax(axis=1), length=classes.shape[1])
        return {
            "classifier_frechet": frechet(np.asarray(features, float), all_of_them) if finite else jnp.asarray(jnp.nan),
            "classifier_frechet_real": frechet(np.asarray(true, float), all_of_them),
            "classifier_score": score(classes),
            "classifier_score_real": score(known),
            "classes_covered": jnp.sum(counts > 0),
            "class_counts": counts,
        }
