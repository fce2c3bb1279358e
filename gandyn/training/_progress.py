"""How far runs are: a bar for each, with what was measured last, and the word to stop."""

import contextlib
from collections import deque
from threading import Event
from typing import Any

import numpy as np
import rich.progress
from rich.console import Console
from rich.table import Column


class Bars:
    """Bars on a terminal's stderr, one for each run under way, with the time left and the numbers measured last.

    Where stderr is no terminal there are none, and what is said is printed all the same. A bar stays until the next begins.

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
        hidden = not (shown and self._console.is_terminal)
        self.display = rich.progress.Progress(*columns, console=self._console, expand=True, disable=hidden)
        self.over: deque[rich.progress.TaskID] = deque()
        self._stopped = Event()

    def __enter__(self) -> "Bars":
        self.display.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self.display.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text)

    def stop(self) -> None:
        """Have every run stop that has a bar here, as soon as it can."""
        self._stopped.set()

    def check(self) -> None:
        """Stop here if the runs are to stop.

        Raises:
            KeyboardInterrupt: They are.
        """
        if self._stopped.is_set():
            raise KeyboardInterrupt


class Bar:
    """The bar of one run.

    Args:
        bars: Those it is one of.
        name: The run's name.
    """

    def __init__(self, bars: Bars, name: str = ""):
        self._bars, self._name = bars, [name] if name else []
        self.moving = Event()

    def __enter__(self) -> "Bar":
        with contextlib.suppress(IndexError):
            while True:
                self._bars.display.remove_task(self._bars.over.pop())
        self._task = self._bars.display.add_task("  ".join(self._name), total=None)
        return self

    def __exit__(self, *reason: object) -> None:
        # Whoever waits for this run waits no longer, whatever became of it.
        self.moving.set()
        self._bars.over.append(self._task)

    def check(self) -> None:
        """Stop here if the runs are to stop.

        Raises:
            KeyboardInterrupt: They are.
        """
        self._bars.check()

    def show(self, done: int, steps: int, latest: dict[str, Any]) -> None:
        """Say how many steps of the run are done, and the single numbers measured last; stop here if it is to stop."""
        numbers = [f"{name} {float(value):.4g}" for name, value in latest.items() if np.ndim(value) == 0]
        self._bars.display.update(self._task, completed=done, total=steps, description="  ".join([*self._name, *numbers]))
        self.check()
