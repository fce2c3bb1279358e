"""The registry of experiments, in the order in which they are listed."""

from ._experiment import Experiment
from ._images import PROXIMAL, TABLE
from ._nie_patel import ISOTROPIC, RING_JARE
from ._numerics import RING_CONSENSUS
from ._pursuit import FIXED
from ._ring import RING
from ._wgan import WGAN

ALL: dict[str, Experiment] = {
    experiment.key: experiment for experiment in (RING, ISOTROPIC, RING_JARE, RING_CONSENSUS, WGAN, TABLE, PROXIMAL, FIXED)
}
