"""`gandyn train`: an experiment's runs, and what they came to."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from .. import report
from ..experiments import Report, conduct
from ..experiments._all import ALL
from ..experiments._experiment import shortened
from ._console import check_folder, double_precision, messages, show_json
from ._games import choose
from ._options import FAILED, FINE

# What a table is wide that nobody looks at in a terminal.
_WIDTH = 200
_DTYPES = {"float32": jnp.float32, "float64": jnp.float64}


def run(
    name: str,
    full: bool,
    steps: int | None,
    seeds: str | None,
    out: Path | None,
    dtype: str,
    jobs: int,
    as_json: bool,
    animation: Path | None,
) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    experiment = ALL[choose(name, ALL, "experiment")]
    setting = shortened(experiment.full if full else experiment.small, steps=_steps(steps), seeds=_seeds(seeds))
    kind = _DTYPES[choose(dtype, _DTYPES, "type")]
    folder = out or Path("gandyn-runs") / f"{experiment.key}{'-full' if full else ''}"
    if animation is not None and animation.suffix != ".gif":
        raise ValueError(f"--animation {animation}: the name must end in .gif.")
    if jobs < 1:
        raise ValueError(f"--jobs {jobs}: one run at least is made at once.")
    check_folder(animation)
    console = messages()
    try:
        found = conduct(experiment, setting, folder, dtype=kind, jobs=jobs)
    except KeyboardInterrupt:
        console.print(f"gandyn: stopped; the same command goes on from the last checkpoint in {folder}.")
        raise
    page = report.write_experiment(found, folder)
    if animation is not None:
        report.animate(found, animation)
    if as_json:
        show_json(report.experiment_as_json(found))
    else:
        _show(found)
    console.print(f"The report is {page}")
    return FINE if all(finding.verdict == "appears" for finding in found.findings) else FAILED


def _steps(steps: int | None) -> int | None:
    if steps is not None and steps < 1:
        raise ValueError(f"--steps {steps}: a run makes one step or more.")
    return steps


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--seeds {text}: give whole numbers with commas between them, as in --seeds 0,1,2.") from None


def _show(found: Report) -> None:
    """A table of the findings, and the end of each arm's first run."""
    terminal = Console(highlight=False, markup=False)
    console = terminal if terminal.is_terminal else Console(highlight=False, markup=False, width=_WIDTH)
    table = Table("effect", "arms", "by seed", "mean difference, 95% interval", "verdict", box=box.SIMPLE_HEAD)
    for finding in found.findings:
        low, high = finding.interval
        rows = [
            f"{name}: {_numbers(values)}"
            for name, values in ((finding.effect.more, finding.more), (finding.effect.less, finding.less))
        ]
        interval = f"{finding.difference:.4g} in [{low:.4g}, {high:.4g}]"
        table.add_row(
            finding.effect.question,
            f"{finding.effect.more} - {finding.effect.less}",
            "\n".join(rows),
            interval,
            finding.verdict,
        )
    console.print(table)
    if cells := found.cells():
        grid = Table("", *next(iter(cells.values())), box=box.SIMPLE_HEAD)
        for row, entries in cells.items():
            grid.add_row(row, *(", ".join(words) for words in entries.values()))
        console.print(grid)
    for arm, end in found.ends.items():
        console.print(f"{arm}, at the end of seed {found.setting.seeds[0]}\n{end}\n")
    for (arm, seed), each in found.runs.items():
        if int(each.training.step) < found.setting.steps:
            console.print(f"{arm}, seed {seed}: diverged after step {int(each.training.step)} of {found.setting.steps}")


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
