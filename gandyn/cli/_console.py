"""What the commands write, and where: results to stdout, the rest to stderr."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import jax
from rich.console import Console


def messages() -> Console:
    """The console for progress and messages."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def show(text: str) -> None:
    """Text to stdout."""
    sys.stdout.write(f"{text}\n")


def describe(chosen: dict[str, Any]) -> str:
    """The options in one line."""
    return "; ".join(f"{key} {', '.join(value) if isinstance(value, list) else value}" for key, value in chosen.items())


def check_figure(file: Path | None) -> None:
    """Refuse, before anything is computed, a picture of a kind that is not known.

    Raises:
        ValueError: Another ending than svg, pdf or png.
    """
    if file is not None and file.suffix not in (".svg", ".pdf", ".png"):
        raise ValueError(f"--figure {file}: the name must end in .svg, .pdf or .png.")


def draw(axes: Any, file: Path) -> None:
    """Write a picture, and leave what was there before if that fails."""
    from .. import plot
    from .._record import replacing

    with replacing(file) as temporary:
        plot.save(axes, temporary)


def show_json(document: dict[str, Any]) -> None:
    """Strict JSON in one line to stdout."""
    show(json.dumps(document, allow_nan=False))


def double_precision() -> None:
    """Compute in double precision, as every command does; the package itself leaves that to its user."""
    jax.config.update("jax_enable_x64", True)


def several_at_once() -> None:
    """Give XLA's pool threads to spare, before anything is computed.

    The decomposition of a large batch of matrices waits inside the pool for parts of itself that run there too: two of them on
    the two threads of a small machine wait for ever.
    """
    os.environ.setdefault("NPROC", str(max(8, os.cpu_count() or 1)))


def check_folder(file: Path | None) -> None:
    """Refuse, before anything is computed, a file whose folder cannot be written.

    Raises:
        OSError: The folder is missing or not writable, or the name is that of a folder.
    """
    if file is not None and (file.is_dir() or not os.access(file.absolute().parent, os.W_OK | os.X_OK)):
        raise OSError(f"{file} cannot be written; choose a file in a folder that exists and is writable.")
