"""The papers' training experiments: what is trained, what is looked for, and what was found."""

from ._experiment import Effect as Effect
from ._experiment import Experiment as Experiment
from ._experiment import Finding as Finding
from ._experiment import Report as Report
from ._experiment import Run as Run
from ._experiment import Setting as Setting
from ._experiment import Start as Start
from ._experiment import conduct as conduct
