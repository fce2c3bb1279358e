"""How far runs are: a bar for each, with what was measured last."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import rich.progress
from rich.console import Console
from rich.table import Column


class Bars:
    """Bars on a terminal's stderr, one for each run under way, with the time left and the numbers measured last.

    Where stderr is no terminal there are none, and what is said is printed all the same.

    Args:
        shown: Whether to show and to say anything.
    """

    def __init__(self, *, shown: bool = True):
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True, quiet=not shown)
        columns = (
            rich.progress.BarColumn(20),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
            rich.progress.TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        )
        self._bars = rich.progress.Progress(
            *columns, console=self._console, expand=True, disable=not (shown and self._console.is_terminal)
        )
        self.stopped = False

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text)

    def stop(self) -> None:
        """Interrupt every run that has a bar here, as soon as it can be."""
        self.stopped = True

    def bar(self, name: str = "") -> "Bar":
        """A bar for a run of a name."""
        return Bar(self, name)


class Bar:
    """The bar of one run."""

    def __init__(self, bars: Bars, name: str):
        self._all, self._name = bars, [name] if name else []

    def begin(self, total: int, done: int) -> None:
        """How many steps the run has, and how many are behind it."""
        self._task = self._all._bars.add_task("  ".join(self._name), total=total, completed=done)

    def show(self, done: int, latest: dict[str, Any]) -> None:
        """Say how far the run is, and the single numbers measured last.

        Raises:
            KeyboardInterrupt: The runs were told to stop.
        """
        numbers = [f"{name} {float(value):.4g}" for name, value in latest.items() if np.ndim(value) == 0]
        self._all._bars.update(self._task, completed=done, description="  ".join([*self._name, *numbers]))
        self.check()

    def check(self) -> None:
        """Stop here if the runs were told to.

        Raises:
            KeyboardInterrupt: They were.
        """
        if self._all.stopped:
            raise KeyboardInterrupt

    def end(self) -> None:
        """The run is over: its bar goes."""
        self._all._bars.remove_task(self._task)


@contextlib.contextmanager
def shown(progress: "bool | Bar") -> Iterator[Bar]:
    """The bar of a run: one among others, or one of its own."""
    if isinstance(progress, Bar):
        yield progress
    else:
        with Bars(shown=progress) as bars:
            yield bars.bar()
