"""How far a sweep is: a bar with the time left on a terminal, and a line a minute in the log of a job."""

import sys
import time

from rich.console import Console
from rich.progress import Progress

# Seconds between lines, and from how long ago the speed is taken: a block may take minutes.
_LINE, _PERIOD = 60.0, 3600.0


class Bar:
    """The blocks that are finished, on stderr.

    Args:
        shown: Whether to show it.
    """

    def __init__(self, shown: bool):
        self._console = Console(stderr=True, highlight=False)
        # Not what the console says, which notebooks have taken for a terminal.
        live = shown and sys.stderr.isatty()
        self._bar = Progress(console=self._console, transient=True, disable=not live, speed_estimate_period=_PERIOD)
        self._task = self._bar.add_task("sweep")
        self._lines, self._said = shown and not live, time.monotonic()

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int) -> None:
        """Say how many blocks of how many are finished."""
        self._bar.update(self._task, completed=done, total=total)
        if self._lines and time.monotonic() - self._said >= _LINE:
            self._said, left = time.monotonic(), self._bar.tasks[0].time_remaining
            minutes = "" if left is None else f", some {left / 60:.0f} minutes left"
            self._console.print(f"sweep: {done} of {total} blocks{minutes}")
