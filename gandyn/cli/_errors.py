"""Errors in a line: what a person can mend is told without a traceback."""

import linecache
import traceback

from rich.console import Console

from ._games import USER_FILES
from ._options import FAILED, MISUSED


def explain(error: Exception) -> int:
    """Say what is wrong on stderr.

    Args:
        error: What a command raised.

    Returns:
        The exit code: 1 where there is no verdict, 2 where the person can mend something.

    Raises:
        Exception: The error again, if it is the package's own fault; its traceback is what a report needs.
    """
    place = _place(error)
    if place is None and not isinstance(error, ValueError | OSError | RuntimeError):
        raise error
    name = "" if isinstance(error, ValueError | OSError | RuntimeError) else f"{type(error).__name__}: "
    message = f"gandyn: {name}{error}" if place is None else f"{place}\ngandyn: {name}{error}"
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(message)
    return FAILED if place is None and isinstance(error, RuntimeError) else MISUSED


def _place(error: BaseException | None) -> str | None:
    """The last line of a user's file that had a part in an error, or in what caused it."""
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename in USER_FILES:
            return f"{error.filename}, line {error.lineno}: {(error.text or '').strip()}"
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in USER_FILES]
        if frames:
            line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
            return f"{frames[-1].filename}, line {frames[-1].lineno}: {line}"
        error = error.__cause__ or error.__context__
    return None
