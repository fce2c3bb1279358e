"""A training run: a map applied for a long time, measured on the way, kept on disk, stopped and resumed."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from .. import _tree
from .._evolve import prepare
from .._provenance import digest
from .._results import RESULTS, check, first
from .._system import AbstractMap
from ._folder import Folder, measured
from ._progress import Bar, Bars

# How long the compiled loop runs before it is looked at again, in seconds.
_PAUSE = 0.5


class Every(eqx.Module):
    """A metric, and how often it is measured.

    Args:
        steps: It is measured at the start, after every so many steps, and at the end.
        metric: A function or module `(map, state, key) -> {name: value}`; values are numbers or arrays of one shape each.

    Raises:
        ValueError: A number of steps that is not positive.
    """

    steps: int = eqx.field(static=True)
    metric: Callable = eqx.field(converter=_tree.function)

    def __check_init__(self):
        if self.steps < 1:
            raise ValueError(f"Every: a metric is measured after one step or more; got {self.steps}.")


class Curve(eqx.Module):
    """What a metric gave along a run: `values` at `steps`."""

    steps: Int[Array, " t"]
    values: Array


class Training(eqx.Module):
    """What a run came to: its last finite state, after how many steps, and the curves of what was measured."""

    state: PyTree
    step: Int[Array, ""]
    curves: dict[str, Curve]
    result: RESULTS

    def __str__(self) -> str:
        ends = [f"{name} {_last(curve)}" for name, curve in self.curves.items() if curve.values.ndim == 1]
        outcome = "" if self.result == RESULTS.successful else "; diverged"
        return f"Training of {int(self.step)} steps{outcome}" + "".join(f"\n{end}" for end in ends)


def _last(curve: Curve) -> str:
    return f"{float(curve.values[0]):.6g} -> {float(curve.values[-1]):.6g}"


@eqx.filter_jit
def _advance(step: AbstractMap, state: PyTree, count: Array) -> tuple[PyTree, Array, Array]:
    """The state after so many steps, or the last finite one, and how many were made."""

    def going(carry: tuple[PyTree, Array, Array]) -> Array:
        return carry[2] & (carry[1] < count)

    def body(carry: tuple[PyTree, Array, Array]) -> tuple[PyTree, Array, Array]:
        x, done, _ = carry
        new = step(x)
        fine = _tree.finite(new)
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, x), done + fine, fine

    return jax.lax.while_loop(going, body, (state, jnp.zeros_like(count), jnp.asarray(True)))


class _Run:
    """A run under way: where it is, what was measured, and what is to be done next."""

    def __init__(
        self, step: AbstractMap, state: PyTree, metrics: Sequence[Every], key: Key[Array, ""], folder: Folder | None, bar: Bar
    ):
        self.step, self.metrics, self.key, self.folder, self.bar = step, tuple(metrics), key, folder, bar
        restored = folder.restore(state) if folder else None
        self.done, self.state = restored or (0, state)
        self.fine, self.lines, self.latest = True, {}, {}
        self.settled = self.done, self.state, folder.size if folder else 0
        if restored is None:
            self._measure(ending=False)

    def _measure(self, ending: bool) -> None:
        values: dict[str, Any] = {}
        for i, each in enumerate(self.metrics):
            if ending or self.done % each.steps == 0:
                self.bar.check()
                key = jax.random.fold_in(jax.random.fold_in(self.key, i), self.done)
                found = {name: np.asarray(value) for name, value in each.metric(self.step, self.state, key).items()}
                if twice := sorted(values.keys() & found.keys()):
                    raise ValueError(f"train: two metrics measure {twice}; give one of them other names.")
                values |= found
        if values:
            # A run that diverges at once has been measured where it is: nothing is counted twice.
            self.lines[self.done] = self.lines.get(self.done, {}) | values
            self.latest |= values
            if self.folder:
                self.folder.append(self.done, values)
        # What an interrupt keeps: a state with all that was measured up to it.
        self.settled = self.done, self.state, self.folder.size if self.folder else 0

    def advance(self, count: int) -> None:
        """Make so many steps, or as many as stay finite."""
        state, made, fine = _advance(self.step, self.state, jnp.asarray(count))
        self.state, self.done, self.fine = state, self.done + int(made), bool(fine)

    def go(self, steps: int, checkpoint: int) -> None:
        """Go on to the end, or until a state is not finite."""
        stops = [each.steps for each in self.metrics] + ([checkpoint] if self.folder else [])
        pace = 1
        while self.fine and self.done < steps:
            start = time.perf_counter()
            count = min([steps - self.done, pace, *(stop - self.done % stop for stop in stops)])
            self.advance(count)
            # Twice as many steps at most, because the first ones are also compiled.
            pace = max(1, min(2 * pace, int(count * _PAUSE / max(time.perf_counter() - start, 1e-9))))
            self._measure(ending=not self.fine or self.done == steps)
            if self.folder and (self.done % checkpoint == 0 or not self.fine or self.done == steps):
                self.folder.keep(*self.settled)
            self.bar.show(self.done, steps, self.latest)
            self.bar.moving.set()

    def curves(self) -> dict[str, Curve]:
        """What was measured, from the start of the run."""
        if self.folder:
            found = measured(self.folder.path)
        else:
            names = sorted({name for values in self.lines.values() for name in values})
            chosen = {name: [(done, values[name]) for done, values in self.lines.items() if name in values] for name in names}
            found = {name: (np.array([s for s, _ in pairs]), np.stack([v for _, v in pairs])) for name, pairs in chosen.items()}
        return {name: Curve(jnp.asarray(steps), jnp.asarray(values)) for name, (steps, values) in found.items()}


def train(
    step: AbstractMap,
    state: PyTree,
    steps: int,
    *,
    metrics: Sequence[Every] = (),
    folder: str | os.PathLike[str] | None = None,
    checkpoint: int = 1000,
    key: Key[Array, ""] | None = None,
    progress: bool = True,
    throw: bool = True,
) -> Training:
    """Apply a training map for a long time, and measure on the way.

    With a `folder`, what is measured is streamed to it and the state is kept every `checkpoint` steps, so that a run which is
    killed loses no more than the steps since then: the same call goes on from there, and ends in the same bits on the same
    machine. More `steps` prolong a run that has ended. An interrupt from the keyboard keeps the state first.

    Args:
        step: The map: `Random(map, Batches(size), key)` for mini-batches, whose key is the seed of the run.
        state: Its state; for a map with memory `step.init(point)`.
        steps: How many applications, counted from the start of the run.
        metrics: What to measure, each with how often: `Every(100, Losses())`.
        folder: Where to keep the run; it is not kept if left out.
        checkpoint: Keep the state after every so many steps.
        key: Where the metrics' own randomness comes from, `jax.random.key(0)` if left out.
        progress: Whether to show a bar with what was measured last, where stderr is a terminal.
        throw: Raise if the run diverges.

    Returns:
        A `Training`; of a run that diverged with the last finite state.

    Raises:
        ValueError: A flow in place of a map, a state of the wrong structure, data that the networks do not take, a folder of
            another run, or a damaged one.
        OSError: The folder cannot be written.
        RuntimeError: The run left the finite numbers (with `throw`); the message says after which step.
    """
    with Bars(shown=progress) as bars, Bar(bars) as bar:
        return watched(bar, step, state, steps, metrics=metrics, folder=folder, checkpoint=checkpoint, key=key, throw=throw)


def watched(
    bar: Bar,
    step: AbstractMap,
    state: PyTree,
    steps: int,
    *,
    metrics: Sequence[Every],
    folder: str | os.PathLike[str] | None,
    checkpoint: int,
    key: Key[Array, ""] | None,
    throw: bool,
) -> Training:
    """`train` with a bar among others, which may tell it to stop."""
    if not isinstance(step, AbstractMap):
        raise ValueError(f"train takes a map; {type(step).__name__} is none. Build one, such as gd.SimGD(flow, 0.1).")
    if steps < 1 or checkpoint < 1:
        raise ValueError(f"train: steps and checkpoint are at least one; got steps={steps}, checkpoint={checkpoint}.")
    key = jax.random.key(0) if key is None else key
    step, state = prepare(step, state)
    kept = None if folder is None else Folder(folder, _identity(step, state, metrics, key))
    try:
        run = _Run(step, state, metrics, key, kept, bar)
        try:
            run.go(steps, checkpoint)
        except KeyboardInterrupt:
            if kept:
                kept.keep(*run.settled)
            raise
        result = RESULTS.successful if run.fine else first(step.failure(run.state), RESULTS.nonfinite)
        check(result, throw, f"train: the run diverged after step {run.done}. ")
        return Training(run.state, jnp.asarray(run.done), run.curves(), result)
    finally:
        if kept:
            kept.close()


def _identity(step: AbstractMap, state: PyTree, metrics: Sequence[Every], key: Key[Array, ""]) -> dict[str, Any]:
    """What makes a run this one."""
    return {
        "map": digest(step),
        "state": f"{_tree.size(state)} numbers, {digest(state)}",
        # How often they are measured may change while a run goes on.
        "metrics": digest(tuple(each.metric for each in metrics)),
        "key": digest(key),
    }


def curves(folder: str | os.PathLike[str]) -> dict[str, Curve]:
    """What a run measured so far, also while it goes on.

    Args:
        folder: That of the run.

    Returns:
        A `Curve` for each name.

    Raises:
        OSError: The folder cannot be read.
        ValueError: It holds no run.
    """
    return {name: Curve(jnp.asarray(steps), jnp.asarray(values)) for name, (steps, values) in measured(folder).items()}
