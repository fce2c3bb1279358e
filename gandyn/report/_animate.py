"""A training run of an experiment as a moving picture."""

from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array, Key, PyTree

from .. import _tree, plot
from .._results import RESULTS
from .._system import AbstractMap, Players
from ..experiments import Report, Run
from ..training import Every, train


def _parameters(step: AbstractMap, state: PyTree, key: Key[Array, ""]) -> dict[str, Any]:
    """The players' parameters as one vector."""
    return {"parameters": _tree.ravel(step.point(state))[0]}


def _repeat(run: Run, frames: int, progress: bool) -> list[tuple[int, Players]]:
    """The steps and the players' parameters along a run that is made once more."""
    start, steps = run.start, max(1, int(run.training.step))
    metrics = (Every(max(1, steps // frames), _parameters),)
    again = train(start.step, start.step.init(start.point), steps, metrics=metrics, progress=progress, throw=False)
    unravel, curve = _tree.ravel(start.point)[1], again.curves["parameters"]
    return [(int(step), unravel(values)) for step, values in zip(curve.steps, curve.values, strict=True)]


def animate(report: Report, file: str | Path, *, arm: str | None = None, frames: int = 60, progress: bool = True) -> None:
    """Repeat the first run of an arm, and write its samples as they move to a GIF.

    What is measured changes nothing in a run, so that this is the same run, bit by bit.

    Args:
        report: What `conduct` returned.
        file: Where to write, such as `ring.gif`.
        arm: The name of the arm, the first one if left out.
        frames: How many pictures, besides the start; twelve are a second.
        progress: Whether to show a bar while the run is repeated.

    Raises:
        ValueError: Data that are no points of the plane.
        OSError: The file cannot be written.
    """
    run = report.runs[arm or next(iter(report.experiment.arms)), report.setting.seeds[0]]
    pairs = _repeat(run, frames, progress)
    if run.training.result != RESULTS.successful:
        # The last finite state of a run that diverged is of any size, and all frames share one scale.
        pairs = pairs[:-1] or pairs
    plot.save(plot.animation(run.start.step, pairs, jax.random.key(0)), file)
