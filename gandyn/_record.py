"""Results on disk, with the provenance of their numbers."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np

from ._json import TYPES, build, encode_fields, plain
from ._provenance import environment

FORMAT = "gandyn result"
SCHEMA = 1
_SUMMARY = {
    "Stability": ("verdict", "growth", "error", "rate", "rotation"),
    "Threshold": ("value",),
    "Manifold": ("dimension",),
    "Assumptions": ("verdicts",),
    "Transient": ("peak",),
}


def as_json(result: eqx.Module) -> dict[str, Any]:
    """A result as plain data that `json.dumps` takes, without provenance.

    Args:
        result: What a verb returned.

    Returns:
        `format`, `schema`, `type`, `fields`, and a `summary` of derived numbers where the result is a single one.

    Raises:
        ValueError: It is no result, or holds something that has no form in JSON, such as a function.
    """
    name = type(result).__name__
    if TYPES.get(name) is not type(result):
        raise ValueError(f"A {name} is no result; the results are {sorted(TYPES)}.")
    derived = {key: getattr(result, key) for key in _SUMMARY.get(name, ())}
    summary = {key: plain(value) for key, value in derived.items() if np.ndim(value) == 0}
    return {"format": FORMAT, "schema": SCHEMA, "type": name, "summary": summary, "fields": encode_fields(result, name)}


def save(result: eqx.Module, path: str | os.PathLike[str], **provenance: Any) -> Path:
    """Keep a result in a JSON file, exact to the last bit.

    Args:
        result: What a verb returned.
        path: The file, replaced whole or not at all.
        provenance: What else made the numbers, such as `seed=0` and `settings={"gamma": 0.3}`; the versions, the
            platform, the precision and the date are added.

    Returns:
        The path of the file.

    Raises:
        ValueError: It is no result, it or the provenance holds something that has no form in JSON, or the provenance
            repeats a name that is added.
        OSError: The file cannot be written; nothing is left behind.
    """
    known = environment()
    if taken := sorted(known.keys() & provenance.keys()):
        raise ValueError(f"save: {taken} are recorded already; choose other names.")
    document = as_json(result) | {"provenance": known | plain(provenance)}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


def load(path: str | os.PathLike[str]) -> Any:
    """The result that `save` kept.

    Named tuples and modules of one's own come back as their classes where those are imported already; otherwise a named
    tuple gets a stand-in with the same name and fields. No code is run.

    Args:
        path: The file.

    Returns:
        The result.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no gandyn result, one of an unknown type or of a newer schema, one that is damaged, or one in
            double precision while JAX is set to single.
    """
    document = _read(path)
    try:
        return build(TYPES[document["type"]], document["fields"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be loaded: {error}.") from error


def provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Where the numbers of a saved result come from: versions, platform, precision, date and what the caller added.

    Args:
        path: The file.

    Returns:
        Plain data.

    Raises:
        OSError: As `load`.
        ValueError: As `load`.
    """
    return _read(path)["provenance"]


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OSError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ValueError(f"{path} is no gandyn result: it is no JSON ({error}).") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f'{path} is no gandyn result: it lacks "format": "{FORMAT}". Write results with gd.save.')
    if not isinstance(document.get("schema"), int) or document["schema"] > SCHEMA:
        raise ValueError(
            f"{path} has schema {document.get('schema')}, newer than {SCHEMA}, the newest that gandyn "
            f"{metadata.version('gandyn')} reads; upgrade gandyn."
        )
    if document.get("type") not in TYPES:
        raise ValueError(f"{path} holds a result of the unknown type {document.get('type')!r}; the types are {sorted(TYPES)}.")
    return document


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file written whole or not at all: a temporary one beside it, flushed to the disk, then renamed over it.

    Args:
        path: The file.

    Yields:
        The path of the temporary file, with the same ending, for the caller to write.

    Raises:
        OSError: The folder is missing or cannot be written; nothing is left behind.
    """
    target = Path(path).expanduser().resolve()
    if target.is_dir() or not target.name or (target.exists() and not target.is_file()):
        raise OSError(f"{path} is no file that can be replaced; give the name of a file.")
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror}); choose a folder that exists and is writable.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
