"""Reports: what became of the claims and of the experiments, as pages that open offline and as JSON."""

from ._animate import animate as animate
from ._experiment import experiment_as_json as experiment_as_json
from ._experiment import write_experiment as write_experiment
from ._write import as_json as as_json
from ._write import write as write
