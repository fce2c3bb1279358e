"""What an experiment is: arms that are trained from the same seeds, and effects whose criteria are fixed before the runs."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import stats

import gandyn as gd

from ..claims._claim import Source
from ..training._progress import Bar, Bars
from ..training._run import watched

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Setting:
    """How large and how long: the numbers that a small and a full run of an experiment differ in.

    Args:
        steps: How many applications of the map each run makes.
        seeds: From which seeds each arm is trained.
        numbers: Everything else that the arms are built from: widths, batch and step sizes.

    Raises:
        ValueError: No seed, or one that is given twice.
    """

    steps: int
    seeds: tuple[int, ...]
    numbers: Mapping[str, Any]

    def __post_init__(self):
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"An experiment has one seed at least, and each once; got {list(self.seeds)}.")

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["numbers"][name]
        except KeyError:
            raise AttributeError(f"The setting has no number {name!r}; it has {sorted(self.numbers)}.") from None


class Start(NamedTuple):
    """A training map, the players' first parameters, and what is measured on the way."""

    step: gd.AbstractMap
    point: Any
    metrics: tuple[gd.training.Every, ...]


class Run(NamedTuple):
    """A run that has ended: what it started from, and what it came to."""

    start: Start
    training: gd.training.Training

    @property
    def point(self) -> Any:
        """The players' parameters at the end."""
        return self.start.step.point(self.training.state)

    def last(self, name: str) -> float:
        """The last value of a curve."""
        return float(np.asarray(self.training.curves[name].values)[-1])

    def mean(self, name: str, share: float = 0.25) -> float:
        """The mean of a curve over the last share of the run."""
        curve = self.training.curves[name]
        late = np.asarray(curve.steps) >= (1 - share) * np.asarray(curve.steps)[-1]
        return float(np.mean(np.asarray(curve.values)[late]))


@dataclass(frozen=True)
class Effect:
    """A difference between two arms that a paper reports, with its criterion.

    It appears if the 95% interval of the mean difference over the seeds (Student's, paired by seed) lies above `margin`, is
    reversed if that lies below minus the margin, and is undecided otherwise.

    Args:
        question: What is compared, in words and with its unit.
        measure: The number of a run.
        more: The arm that the paper says has more of it; or what comes before the comma in the names of several, whose mean
            is taken.
        less: The other.
        margin: What a difference must exceed.
    """

    question: str
    measure: Callable[[Run], float]
    more: str
    less: str
    margin: float = 0.0


class Finding(NamedTuple):
    """What became of an effect: the numbers of both arms by seed, and the mean difference with its interval."""

    effect: Effect
    more: np.ndarray
    less: np.ndarray
    difference: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """`appears`, `reversed` or `undecided`."""
        low, high = self.interval
        if low > self.effect.margin:
            return "appears"
        return "reversed" if high < -self.effect.margin else "undecided"


def judge(effect: Effect, runs: Mapping[tuple[str, int], Run], seeds: Sequence[int]) -> Finding:
    """An effect over the seeds; undecided where a number is not finite or there is one seed only."""

    def by_seed(name: str) -> np.ndarray:
        arms = sorted({arm for arm, _ in runs if arm.split(", ")[0] == name})
        return np.array([np.mean([effect.measure(runs[arm, seed]) for arm in arms]) for seed in seeds])

    more, less = by_seed(effect.more), by_seed(effect.less)
    difference = more - less
    mean, n = float(np.mean(difference)), len(seeds)
    if n < 2 or not np.all(np.isfinite(difference)):
        return Finding(effect, more, less, mean, (-np.inf, np.inf))
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, n - 1) * stats.sem(difference))
    return Finding(effect, more, less, mean, (mean - half, mean + half))


@dataclass(frozen=True)
class Experiment:
    """Arms, trained from the same seeds, and the effects that are looked for.

    Args:
        key: Its short name, such as `ring`.
        source: The paper it comes from.
        title: What it is about, in one line.
        text: The setting in words: what is the paper's and what is not.
        arms: By name, what is trained: a function of the setting, the seed and the floating-point type.
        small: A setting of half a minute to two minutes on two cores.
        full: The paper's.
        effects: What is looked for, each with its criterion.
        curves: The names of the curves that are drawn, each over the seeds of all arms.
        figure: Draws the end of a run on axes, called with the run and the axes.
        cell: The word for a run, for a table of arms whose names are two words with a comma between them.
    """

    key: str
    source: Source
    title: str
    text: str
    arms: Mapping[str, Callable[[Setting, int, Any], Start]]
    small: Setting
    full: Setting
    effects: tuple[Effect, ...]
    curves: tuple[str, ...]
    figure: Callable[[Run, Any], Any] | None = None
    cell: Callable[[Run], str] | None = None


@dataclass(frozen=True)
class Report:
    """What an experiment came to: its runs by arm and seed, the findings, and the end point of each arm's first run.

    Where a run does not look at spectra on its way, because they are dear, its end is not looked at either.
    """

    experiment: Experiment
    setting: Setting
    runs: dict[tuple[str, int], Run]
    findings: list[Finding]
    ends: dict[str, gd.EndPoint]

    def cells(self) -> dict[str, dict[str, list[str]]]:
        """The words for the runs, seed by seed: by what follows the comma in an arm's name, then by what precedes it."""
        rows: dict[str, dict[str, list[str]]] = {}
        if self.experiment.cell:
            for (arm, _), run in self.runs.items():
                column, _, row = arm.partition(", ")
                rows.setdefault(row, {}).setdefault(column, []).append(self.experiment.cell(run))
        return rows


def conduct(
    experiment: Experiment, setting: Setting, folder: Path, *, dtype: Any, jobs: int = 2, progress: bool = True
) -> Report:
    """Train every arm from every seed, each in a folder of its own, and judge the effects.

    Runs that have ended before are read back, and one that was stopped goes on. An interrupt from the keyboard stops those
    under way where they are.

    Args:
        experiment: The experiment.
        setting: `experiment.small`, `experiment.full`, or one with other numbers.
        folder: Where the runs are kept.
        dtype: The floating-point type of parameters and data.
        jobs: How many runs are made at once, in threads, each of which takes about a core. Settings of JAX by context managers
            do not reach them: use `jax.config.update`.
        progress: Whether to show bars, and to say what begins.

    Raises:
        ValueError: A folder of another run.
        OSError: The folder cannot be written.
    """
    # What compiles comes first; the seeds of an arm share what the first one compiles, and wait until it moves.
    order, building = [(arm, seed) for seed in setting.seeds for arm in experiment.arms], Lock()

    def made(i: int, arm: str, seed: int) -> Run:
        bars.check()
        with bar_of[arm, seed] as bar:
            if seed != setting.seeds[0]:
                bar_of[arm, setting.seeds[0]].moving.wait()
            # Data that all runs share are made by the first.
            with building:
                bars.check()
                bars.say(f"{experiment.key}: {arm}, seed {seed} ({i} of {len(order)})")
                start = experiment.arms[arm](setting, seed, dtype)
            training = watched(
                bar,
                start.step,
                start.step.init(start.point),
                setting.steps,
                metrics=start.metrics,
                folder=folder / arm.replace(",", "").replace(" ", "-") / f"seed-{seed}",
                checkpoint=max(1, setting.steps // 20),
                key=jax.random.key(seed),
                throw=False,
            )
        return Run(start, training)

    with Bars(shown=progress) as bars, ThreadPoolExecutor(jobs) as pool:
        bar_of = {(arm, seed): Bar(bars, f"{arm}, seed {seed}") for arm, seed in order}
        try:
            runs = {pair: pool.submit(made, i, *pair) for i, pair in enumerate(order, 1)}
            ends = {arm: pool.submit(_end, runs[arm, setting.seeds[0]], bars) for arm in experiment.arms}
            work: list[Future[Any]] = [*runs.values(), *ends.values()]
            for future in wait(work, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            bars.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            bars.say("Stopping; what is being computed is waited for.")
            raise
    found = {(arm, seed): runs[arm, seed].result() for arm in experiment.arms for seed in setting.seeds}
    findings = [judge(effect, found, setting.seeds) for effect in experiment.effects]
    return Report(experiment, setting, found, findings, {arm: end for arm, each in ends.items() if (end := each.result())})


def _end(run: Future[Run], bars: Bars) -> gd.EndPoint | None:
    """Where a run has come to; none where it diverged, or does not look at spectra on its way."""
    found: Any = run.result()
    bars.check()
    start, training = found
    looks = [each.metric for each in start.metrics if isinstance(each.metric, gd.training.Spectrum)]
    if not looks or training.result != gd.RESULTS.successful:
        return None
    return gd.endpoint(start.step, training.state, spectrum=looks[0].spectrum, throw=False)


def shortened(setting: Setting, *, steps: int | None = None, seeds: tuple[int, ...] | None = None) -> Setting:
    """The setting with other steps or seeds."""
    return replace(setting, steps=steps or setting.steps, seeds=seeds or setting.seeds)
