"""How good generated samples are: modes and classes covered, distances of optimal transport, scores of a classifier."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Scalar

from .. import _tree
from .._system import AbstractGame, Players
from ..games._composite import Mixture
from ..games._distance import beneath
from ..games._gan import AbstractGAN
from ..games._measure import Discrete
from ..games._quadrature import Gaussian
from ..games._wasserstein import between_gaussians, wasserstein2
from ._classifier import Classifier, classified


def _gan(game: AbstractGame) -> AbstractGAN:
    found = beneath(game)
    if not isinstance(found, AbstractGAN):
        raise ValueError(f"The quality of samples is that of a GAN, with data and a generator; got {type(game).__name__}.")
    return found


@eqx.filter_jit
def generated(gan: AbstractGAN, x: Players, key: Key[Array, ""], count: int) -> Float[Array, "n ..."]:
    """Independent points of the generator."""
    return jax.vmap(lambda z: gan.generator(x.generator, z))(gan.latent.sample(key, count).points)


@eqx.filter_jit
def _real(gan: AbstractGAN, key: Key[Array, ""], count: int) -> Float[Array, "n ..."]:
    return gan.real.sample(key, count).points


class ModeCoverage(eqx.Module):
    """How many modes of a mixture are covered, and how many samples are good.

    A sample is of high quality if it lies within `reach` standard deviations of the mode next to it, and a mode is covered if
    such a sample is next to it: the convention of VEEGAN (Srivastava et al., 2017) and PacGAN (Lin et al., 2018). In the plane
    and for three deviations, `1 - exp(-9/2) = 0.9889` of the data's own samples are of high quality.

    Args:
        game: A GAN, or games around one, whose data are a mixture of Gaussians with independent coordinates, or one of them.
        count: How many samples to draw.
        reach: How many standard deviations.

    Raises:
        ValueError: Data of another kind.
    """

    gan: AbstractGAN = eqx.field(converter=_gan)
    count: int = eqx.field(static=True, default=2500)
    reach: Scalar = eqx.field(converter=_tree.real, default=3.0)

    def __check_init__(self):
        if not all(isinstance(part, Gaussian) and part.covariance.ndim < 2 for part in self._modes):
            raise ValueError(
                "ModeCoverage: the data must be a mixture of Gaussians whose coordinates are independent, such as gd.ring(); "
                f"got {type(self.gan.real).__name__} of {sorted({type(part).__name__ for part in self._modes})}."
            )

    @property
    def _modes(self) -> tuple:
        return self.gan.real.components if isinstance(self.gan.real, Mixture) else (self.gan.real,)

    def __call__(self, x: Players, key: Key[Array, ""]) -> dict[str, Array]:
        """`modes_covered`, the share `high_quality`, and of each mode the count of such samples `mode_counts`."""
        return self._counted(generated(self.gan, x, key, self.count))

    @eqx.filter_jit
    def _counted(self, points: Float[Array, "n ..."]) -> dict[str, Array]:
        def distance(point: Array) -> Array:
            return jnp.stack([jnp.linalg.norm(jnp.ravel((point - mode.mean) / mode.root)) for mode in self._modes])

        away = jax.vmap(distance)(points)
        good = away.min(axis=1) <= self.reach
        counts = jnp.zeros(away.shape[1], int).at[away.argmin(axis=1)].add(good)
        return {"modes_covered": jnp.sum(counts > 0), "high_quality": jnp.mean(good, dtype=points.dtype), "mode_counts": counts}


class WassersteinDistance(eqx.Module):
    """The Wasserstein distance of second order between samples of the generator and of the data, equally many.

    It is that of the samples, by an exact assignment (`wasserstein2`), and so never zero: the distance of two samples of the
    data is what a perfect generator would show.

    Args:
        game: A GAN, or games around one.
        count: How many samples of each; time grows with its cube.
    """

    gan: AbstractGAN = eqx.field(converter=_gan)
    count: int = eqx.field(static=True, default=512)

    def __call__(self, x: Players, key: Key[Array, ""]) -> dict[str, Array]:
        """`wasserstein2`, NaN if a sample is not finite, and `wasserstein2_real` between two samples of the data."""
        made, one, other = jax.random.split(key, 3)
        fake = generated(self.gan, x, made, self.count)
        real, again = (Discrete(_real(self.gan, each, self.count)) for each in (one, other))
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
        game: A GAN, or games around one, whose data are the images that the classifier was trained on.
        classifier: From `gd.classifier`.
        count: How many images to draw.
    """

    gan: AbstractGAN = eqx.field(converter=_gan)
    classifier: Classifier
    count: int = eqx.field(static=True, default=1000)

    def __call__(self, x: Players, key: Key[Array, ""]) -> dict[str, Array]:
        """`classifier_frechet` and `classifier_score`, the same with `_real`, `classes_covered` and `class_counts`.

        A class is covered if one image at least is taken for it. Values are NaN where an image is not finite.
        """
        made, drawn = jax.random.split(key)
        fake, real = generated(self.gan, x, made, self.count), _real(self.gan, drawn, self.count)
        (features, classes), (true, known) = (classified(self.classifier, images) for images in (fake, real))
        all_of_them = np.asarray(classified(self.classifier, self.gan.real.points)[0], float)
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
