"""Networks on data: what a training run is, what it measures, its checkpoints; data sets and networks to start from.

`gd.training.train(step, state, steps, metrics=..., folder=...)` applies any map of the package.
"""

from ._batches import Batches as Batches
from ._classifier import Classifier as Classifier
from ._classifier import classifier as classifier
from ._data import Labelled as Labelled
from ._data import digits as digits
from ._data import grid as grid
from ._data import mnist as mnist
from ._data import ring as ring
from ._metrics import GradientNorms as GradientNorms
from ._metrics import Losses as Losses
from ._metrics import PathAngle as PathAngle
from ._metrics import Spectrum as Spectrum
from ._networks import conv_discriminator as conv_discriminator
from ._networks import conv_generator as conv_generator
from ._networks import initialised as initialised
from ._networks import leaky_relu as leaky_relu
from ._networks import mlp as mlp
from ._quality import ClassifierQuality as ClassifierQuality
from ._quality import ModeCoverage as ModeCoverage
from ._quality import WassersteinDistance as WassersteinDistance
from ._run import Curve as Curve
from ._run import Every as Every
from ._run import Training as Training
from ._run import curves as curves
from ._run import train as train
from ._spectral import spectral_normalised as spectral_normalised
