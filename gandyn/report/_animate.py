"""A training run of an experiment as a moving picture."""

from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array, Key, PyTree

from .. import _tree, plot
from .._results import RESULTS
from .._system import AbstractMap
from ..experiments import Start
from ..training import Every, train


def _parameters(step: AbstractMap, state: PyTree, key: Key[Array, ""]) -> dict[str, Any]:
    """The players' parameters as one vector."""
    return {"parameters": _tree.ravel(step.point(state))[0]}


def animate(start: Start, steps: int, file: str | Path, *, frames: int = 100, progress: bool = True) -> None:
    """Train once more from a start, and write the samples as they move to a GIF.

    The metrics of a run change nothing in it, so that what is seen is the same run, bit by bit. One that diverges is shown as
    far as it goes.

    Args:
        start: An arm at a seed, such as `experiment.arms["plain"](experiment.small, 0, dtype)`.
        steps: How many applications of the map.
        file: Where to write, such as `ring.gif`.
        frames: How many pictures, besides the start; twelve are a second.
        progress: Whether to show a bar while the run goes on.

    Raises:
        ValueError: Data that are no points of the plane.
        OSError: The file cannot be written.
    """
    metrics = (Every(max(1, steps // frames), _parameters),)
    state = start.step.init(start.point)
    run = train(start.step, state, steps, metrics=metrics, progress=progress, throw=False)
    unravel, curve = _tree.ravel(start.point)[1], run.curves["parameters"]
    pairs = [(int(step), unravel(values)) for step, values in zip(curve.steps, curve.values, strict=True)]
    if run.result != RESULTS.successful:
        # The last finite state of a run that diverged is of any size, and all frames share one scale.
        pairs = pairs[:-1] or pairs
    plot.save(plot.animation(start.step, pairs, jax.random.key(0)), file)
