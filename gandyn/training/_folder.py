"""The folder of a run: what the run is, what was measured, and the checkpoint from which it goes on."""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import filelock
import jax
import numpy as np
from jaxtyping import PyTree

from .._json import plain
from .._provenance import environment, is_key, raw
from .._record import replacing

FORMAT, SCHEMA = "gandyn training run", 1
RUN, METRICS, CHECKPOINT = "run.json", "metrics.jsonl", "checkpoint"


def _full(path: Path, error: OSError) -> OSError:
    return OSError(
        f"{path} cannot be written ({error.strerror}). The last checkpoint is whole: make room, and the same call goes on from "
        "there."
    )


class Folder:
    """An open folder, which no other process writes meanwhile.

    Args:
        path: The folder, made if it is not there.
        identity: What makes the run this run and no other, in words and fingerprints.

    Raises:
        ValueError: The folder holds another run, or one that is damaged.
        OSError: It cannot be written, or another process is at it.
    """

    def __init__(self, path: str | os.PathLike[str], identity: dict[str, Any]):
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(self.path / ".lock", blocking=False)
            self._lock.acquire()
        except filelock.Timeout:
            raise OSError(f"Another process is writing the run in {self.path}; choose another folder, or wait.") from None
        except OSError as error:
            raise OSError(f"The run cannot be kept in {self.path} ({error.strerror}); choose another folder.") from error
        try:
            self._identify(identity)
        except BaseException:
            self._lock.release()
            raise

    def _identify(self, identity: dict[str, Any]) -> None:
        file = self.path / RUN
        if not file.exists():
            if any(self.path.glob("[!.]*")):
                raise ValueError(f"{self.path} holds other files and no run; choose an empty folder or a new one.")
            document = {"format": FORMAT, "schema": SCHEMA, "run": identity, "provenance": environment()}
            with replacing(file) as temporary:
                temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            return
        known = description(self.path)["run"]
        if other := sorted(name for name in identity.keys() | known.keys() if identity.get(name) != known.get(name)):
            raise ValueError(
                f"{self.path} holds another run: {', '.join(other)} differ. Choose another folder, or pass what the run was "
                "started with to go on with it."
            )

    def restore(self, like: PyTree) -> tuple[int, PyTree] | None:
        """The step and the state of the checkpoint, if there is one; what was measured later is dropped.

        Raises:
            ValueError: The checkpoint is damaged.
        """
        file = self.path / CHECKPOINT
        if not file.exists():
            self._cut(0)
            return None
        header, _, body = file.read_bytes().partition(b"\n")
        try:
            known = json.loads(header)
            whole = known["size"] == len(body) and known["sha256"] == hashlib.sha256(body).hexdigest()
            step, measured = int(known["step"]), int(known["measured"])
        except (ValueError, KeyError, TypeError):
            whole, step, measured = False, 0, 0
        if not whole or (self.path / METRICS).stat().st_size < measured:
            raise ValueError(
                f"{file} is damaged: its checksum does not fit its content. Put a copy back, or delete the folder {self.path} "
                "and start anew; what was measured so far is in its metrics.jsonl."
            )
        bits = eqx.tree_deserialise_leaves(io.BytesIO(body), raw(like))
        self._cut(measured)

        def key(data: Any, leaf: Any) -> Any:
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf)) if is_key(leaf) else data

        return step, jax.tree.map(key, bits, like)

    def _cut(self, size: int) -> None:
        with open(self.path / METRICS, "ab") as file:
            file.truncate(size)
        self.size = size

    def append(self, step: int, values: dict[str, Any]) -> None:
        """A line of what was measured."""
        line = json.dumps({"step": step} | {name: _node(value) for name, value in values.items()}, allow_nan=False)
        try:
            with open(self.path / METRICS, "ab") as file:
                file.write(line.encode() + b"\n")
        except OSError as error:
            raise _full(self.path / METRICS, error) from error
        self.size += len(line.encode()) + 1

    def keep(self, step: int, state: PyTree, size: int) -> None:
        """Replace the checkpoint, whole or not at all; `size` bytes of metrics belong to it."""
        body = io.BytesIO()
        eqx.tree_serialise_leaves(body, raw(state))
        content = body.getvalue()
        header = {"step": step, "measured": size, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        try:
            with open(self.path / METRICS, "rb+") as file:
                os.fsync(file.fileno())
            with replacing(self.path / CHECKPOINT) as temporary:
                temporary.write_bytes(json.dumps(header).encode() + b"\n" + content)
        except OSError as error:
            raise _full(self.path / CHECKPOINT, error) from error

    def close(self) -> None:
        """Let others write."""
        self._lock.release()


def _node(value: Any) -> Any:
    array = np.asarray(value)
    return {"re": plain(np.real(array)), "im": plain(np.imag(array))} if np.iscomplexobj(array) else plain(array)


def _value(node: Any) -> np.ndarray:
    if isinstance(node, dict):
        pair = np.stack([_value(node["re"]), _value(node["im"])], axis=-1)
        return np.ascontiguousarray(pair).view(np.complex128)[..., 0]
    return np.asarray(node, float)


def description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a folder says of its run: `run` and `provenance`.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no run.
    """
    file = Path(path) / RUN
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OSError(f"{path} holds no run that can be read: {file} ({error.strerror}).") from error
    except ValueError as error:
        raise ValueError(f"{file} describes no run: it is no JSON ({error}).") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("schema") != SCHEMA:
        raise ValueError(
            f"{file} describes no run that this gandyn knows; it should hold the format {FORMAT!r}, schema {SCHEMA}."
        )
    return document


def measured(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What a run measured: by name, the steps and the values at them, once for each step.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no run.
    """
    description(path)
    found: dict[str, dict[int, np.ndarray]] = {}
    with open(Path(path) / METRICS, encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                break  # A line that was cut off when the run was killed.
            entry = json.loads(line)
            for name in entry.keys() - {"step"}:
                found.setdefault(name, {})[entry["step"]] = _value(entry[name])
    return {name: (np.array([*known]), np.stack([*known.values()])) for name, known in sorted(found.items())}
