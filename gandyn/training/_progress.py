"""How far a run is: a bar with what was measured last."""

from typing import Any

import numpy as np
import rich.progress
from rich.console import Console
from rich.table import Column


class Progress:
    """A bar on a terminal's stderr, with the time left and the numbers measured last; nothing elsewhere.

    Args:
        total: How many steps the run has.
        done: How many are behind it.
        shown: Whether to show it.
    """

    def __init__(self, total: int, done: int = 0, *, shown: bool = True):
        console = Console(stderr=True, highlight=False)
        columns = (
            rich.progress.BarColumn(20),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
            rich.progress.TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
        )
        self._bar = rich.progress.Progress(*columns, console=console, expand=True, disable=not (shown and console.is_terminal))
        self._task = self._bar.add_task("", total=total, completed=done)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def show(self, done: int, latest: dict[str, Any]) -> None:
        """Say how far the run is, and the single numbers measured last."""
        numbers = [f"{name} {float(value):.4g}" for name, value in latest.items() if np.ndim(value) == 0]
        self._bar.update(self._task, completed=done, description="  ".join(numbers))
