"""A sweep in a TOML file, whose keys are the names of the command's options."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any


def expand(words: Sequence[str], options: Iterable[str]) -> list[str]:
    """The words of a command with those of a TOML file in its place, but for options that are among them already.

    Args:
        words: The words, one of which may name a file that ends in `.toml`.
        options: The options of the command, such as `--axis`.

    Returns:
        The words, without the file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML, has a key that is no option, no `game`, or a value that is neither a text, a number, a truth
            value nor a list of those.
    """
    file = next((word for word in words if word.endswith(".toml") and not word.startswith("-")), None)
    if file is None:
        return list(words)
    try:
        table = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        return [*_words(table, words, [name.removeprefix("--") for name in options]), *(w for w in words if w != file)]
    except OSError as error:
        raise OSError(f"{file} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _words(table: dict[str, Any], given: Sequence[str], options: list[str]) -> Iterator[str]:
    from ._games import choose

    if not isinstance(table.get("game"), str):
        raise ValueError('say which game it is, as in game = "dirac".')
    yield table["game"]
    for key, value in table.items():
        name = f"--{choose(key, ['game', *options], 'setting of a sweep called')}"
        if key != "game" and not any(word.partition("=")[0] == name for word in given):
            yield from (f"{name}={text}" if text else name for text in _texts(key, value))


def _texts(key: str, value: Any) -> list[str]:
    """A value as the command line has it; empty where an option has none."""
    if isinstance(value, bool):
        return [""] if value else []
    if isinstance(value, str | int | float):
        return [str(value)]
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return [str(item) for item in value]
    raise ValueError(f"{key} = {value!r}: a text, a number, true, false, or a list of texts or numbers is expected.")
