"""`gandyn list`: what the other commands know by name."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import jax.tree_util as jtu
import numpy as np

from .. import _tree
from ..claims._all import ALL
from ..experiments._all import ALL as EXPERIMENTS
from ._console import double_precision, show
from ._games import LIBRARY, OBJECTIVES, find
from ._maps import MAPS
from ._options import FINE
from ._specs import FIELDS, PENALTIES


def run(leaves: str | None) -> int:
    """Carry the command out and return its exit code."""
    double_precision()
    show(_leaves(leaves) if leaves is not None else _everything())
    return FINE


def _everything() -> str:
    games = {name: factory for name, (factory, _) in LIBRARY.items()}
    parts = [
        _section("games", {name: _phrase(game) for name, game in games.items()}),
        _section("objectives (--objective)", {name: _phrase(type(value)) for name, value in OBJECTIVES.items()}),
        _section("penalties (--penalty)", {name: _phrase(value) for name, value in PENALTIES.items()}),
        _section("fields (--field)", {name: _phrase(value) for name, value in FIELDS.items()}),
        _section("maps (--map)", {name: known.what for name, known in MAPS.items()}),
        _section("experiments (gandyn train)", {key: each.title for key, each in EXPERIMENTS.items()}),
        _section("claims (gandyn reproduce)", {key: f"{claim.title} [{claim.source.short}]" for key, claim in ALL.items()}),
    ]
    return "\n\n".join(parts)


def _section(title: str, entries: Mapping[str, str]) -> str:
    width = max(map(len, entries), default=0)
    return "\n".join([title, *(f"  {name:{width}}  {text}" for name, text in entries.items())])


def _phrase(thing: Any) -> str:
    """What a docstring says before its first formula or clause."""
    line = (inspect.getdoc(thing) or "").split("\n")[0]
    found = re.match(r"[^:;,(.]*", line)
    return found.group().strip() if found else ""


def _leaves(text: str) -> str:
    pairs = jtu.tree_leaves_with_path(find(text)[0])
    rows = {jtu.keystr(path): np.asarray(_tree.array(leaf)) for path, leaf in pairs}
    shown = {path: _value(leaf) for path, leaf in rows.items()}
    return _section(f"numbers of {text} (--set, --axis)", shown)


def _value(leaf: np.ndarray) -> str:
    return np.array2string(leaf, precision=6, separator=", ") if leaf.size <= 8 else f"of shape {leaf.shape}"
