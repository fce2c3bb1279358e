"""The registry of experiments, in the order in which they are listed."""

from ._experiment import Experiment
from ._ring import RING

ALL: dict[str, Experiment] = {experiment.key: experiment for experiment in (RING,)}
