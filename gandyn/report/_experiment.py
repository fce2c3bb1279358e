"""Write what an experiment came to: `index.html`, self-contained, and `experiment.json`."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from .. import _tree, plot
from .._provenance import environment
from .._results import RESULTS
from ..analysis._eigenpairs import Eigenpairs
from ..analysis._endpoint import EndPoint
from ..experiments import Finding, Report, Run, Setting
from ..training import Curve
from ._differences import differences
from ._endpoint import described
from ._figure import raster, vector
from ._page import plain, short, write_page

_WIDE, _FLAT = (3.6, 2.8), (3.6, 1.3)
_VERDICTS = {"appears": "holds", "reversed": "fails", "undecided": "corrected"}


class _Arm(NamedTuple):
    """What the page shows of an arm's first run."""

    name: str
    parameters: str
    outcome: str
    pictures: list[Markup]
    words: dict[str, str]


def _outcome(run: Run) -> str:
    ended = run.training.result == RESULTS.successful
    return f"{int(run.training.step)} steps" if ended else f"diverged after step {int(run.training.step)}"


def _first(report: Report, arm: str) -> Run:
    return report.runs[arm, report.setting.seeds[0]]


def _parameters(run: Run) -> dict[str, int]:
    """How many numbers each player has."""
    names, parts = _tree.player_names(run.start.point), _tree.players(run.start.point)
    return {str(name): _tree.size(part) for name, part in zip(names, parts, strict=True)}


def _numbers(setting: Setting) -> dict[str, Any]:
    return {"steps": setting.steps, "seeds": setting.seeds, **setting.numbers}


def _entry(value: Any) -> Any:
    """A number of a setting as plain data, or its name."""
    known = isinstance(value, str | bool | float | int | np.ndarray | np.generic | list | tuple)
    return value if isinstance(value, str | bool) else plain(value) if known else short(value)


def _finding(finding: Finding) -> dict[str, Any]:
    effect = finding.effect
    return {
        "question": effect.question,
        "more": {"arm": effect.more, "by_seed": plain(finding.more)},
        "less": {"arm": effect.less, "by_seed": plain(finding.less)},
        "margin": effect.margin,
        "difference": plain(finding.difference),
        "interval": plain(finding.interval),
        "verdict": finding.verdict,
    }


def _run(arm: str, seed: int, run: Run) -> dict[str, Any]:
    curves = {name: {"steps": plain(c.steps), "values": plain(c.values)} for name, c in run.training.curves.items()}
    return {"arm": arm, "seed": seed, "outcome": _outcome(run), "steps": int(run.training.step), "curves": curves}


def _end(end: EndPoint) -> dict[str, Any]:
    def pairs(found: Eigenpairs) -> dict[str, Any]:
        return {"values": plain(found.values), "errors": plain(found.errors)}

    numbers = ("gradient", "noise", "clear", "at_rest", "zero_modes", "multiplier", "critical_step", "time")
    spectra = {"flow": pairs(end.flow), "stiff": pairs(end.stiff), "map": pairs(end.map)}
    return {name: plain(getattr(end, name)) for name in numbers} | spectra | {"words": described(end)}


def experiment_as_json(report: Report) -> dict[str, Any]:
    """The report of an experiment as plain data; complex numbers are pairs of real and imaginary part."""
    experiment = report.experiment
    return {
        "schema": 1,
        "provenance": environment(),
        "key": experiment.key,
        "title": experiment.title,
        "source": experiment.source.short,
        "text": experiment.text,
        "setting": {name: _entry(value) for name, value in _numbers(report.setting).items()},
        "parameters": {arm: _parameters(_first(report, arm)) for arm in experiment.arms},
        "cells": report.cells(),
        "findings": [_finding(finding) for finding in report.findings],
        "runs": [_run(arm, seed, run) for (arm, seed), run in report.runs.items()],
        "ends": {arm: _end(end) for arm, end in report.ends.items()},
    }


def _curve(report: Report, name: str, key: str) -> Markup:
    """A curve over the seeds of all arms that measured it."""
    named = {}
    for (arm, _), run in report.runs.items():
        if name in run.training.curves:
            named.setdefault(arm, []).append(run.training.curves[name])
    draw = lambda ax: plot.curves(named, ylabel=name, ax=ax)
    return vector(draw, key, f"{name} along training", _WIDE) if named else Markup("")


def _spectra(curve: Curve | None, key: str, label: str, discrete: bool) -> list[Markup]:
    if curve is None or not np.isfinite(curve.values).any():
        return []
    return [vector(lambda ax: plot.spectra(curve, discrete=discrete, ax=ax), key, label)]


def _arm(report: Report, arm: str, key: str) -> _Arm:
    run, figure, seed = _first(report, arm), report.experiment.figure, report.setting.seeds[0]
    found, pictures = run.training.curves, []
    # The last finite state of a run that diverged is of any size, and shows nothing.
    if figure and run.training.result == RESULTS.successful:
        pictures.append(raster(lambda ax: figure(run, ax), f"The end of {arm}, seed {seed}"))
    pictures += _spectra(found.get("eigenvalues.flow"), f"flow-{key}", f"Eigenvalues of the flow along {arm}", False)
    pictures += _spectra(found.get("eigenvalues.map"), f"map-{key}", f"Multipliers of the map along {arm}", True)
    parameters = ", ".join(f"{name} {count}" for name, count in _parameters(run).items())
    words = described(report.ends[arm]) if arm in report.ends else {}
    return _Arm(arm, parameters, _outcome(run), pictures, words)


def _strip(finding: Finding, key: str) -> Markup:
    effect = finding.effect
    label = f"{effect.question}: {effect.more} minus {effect.less}, by seed and in the mean"
    return vector(lambda ax: differences(finding, ax), key, label, _FLAT)


def write_experiment(report: Report, folder: str | Path) -> Path:
    """Write the report of an experiment.

    Args:
        report: What `conduct` returned.
        folder: Where to write `index.html` and `experiment.json`; made if it is not there.

    Returns:
        The path of the page.

    Raises:
        OSError: The folder cannot be made or written; nothing partial is left behind.
    """
    experiment = report.experiment
    curves = [_curve(report, name, f"curve-{i}") for i, name in enumerate(experiment.curves)]
    return write_page(
        "experiment.html",
        folder,
        "experiment.json",
        experiment_as_json(report),
        report=report,
        experiment=experiment,
        used=_numbers(report.setting),
        paper=_numbers(experiment.full),
        findings=[(finding, _strip(finding, f"effect-{i}")) for i, finding in enumerate(report.findings)],
        cells=report.cells(),
        classes=_VERDICTS,
        curves=[curve for curve in curves if curve],
        arms=[_arm(report, arm, str(i)) for i, arm in enumerate(experiment.arms)],
        outcome=_outcome,
    )
