"""`gandyn reproduce`: the claims of the papers, checked one after another, and the report."""

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .. import report
from ..claims import Check, Claim, Outcome, verify
from ..claims._all import ALL
from ..report._page import number
from ._console import messages, show_json
from ._games import choose
from ._options import FAILED, FINE, INTERRUPTED, Words

# What a table is wide that nobody looks at in a terminal, so that a file can be read and searched.
_WIDTH = 200
_ROWS, _ENTRIES = 4, 6
# So many claims share their compiled programs before these are dropped: all of them together take over 2 GB.
_KEPT = 3
# A claim is mostly compilation, which takes one core.
_AT_ONCE = 2


def run(keys: Words, out: Path, as_json: bool) -> int:
    """Carry the command out and return its exit code."""
    chosen = _choose(keys)
    _prepare(out)
    outcomes = _verify(chosen)
    if not outcomes:
        return INTERRUPTED
    page = report.write(outcomes, out)
    if as_json:
        show_json(report.as_json(outcomes))
    else:
        _show(outcomes)
    failed = [outcome.claim.key for outcome in outcomes if outcome.verdict == "fails"]
    console = messages()
    corrected = sum(outcome.verdict == "corrected" for outcome in outcomes)
    console.print(
        f"{len(outcomes)} claims: {len(outcomes) - corrected - len(failed)} hold, {corrected} hold as corrected here, "
        f"{len(failed)} fail. The report is {page}"
    )
    if failed:
        console.print(f"gandyn: these fail: {', '.join(failed)}")
    if len(outcomes) < len(chosen):
        console.print(f"gandyn: interrupted; {len(chosen) - len(outcomes)} claims were not checked.")
        return INTERRUPTED
    return FAILED if failed else FINE


def _choose(keys: Sequence[str]) -> list[Claim]:
    """The claims with these keys or with keys that begin so, each once and in the order of the registry."""
    wanted: set[str] = set()
    for key in keys:
        found = {name for name in ALL if name.lower() == key.lower()}
        found = found or {name for name in ALL if name.lower().startswith(key.lower())}
        wanted |= found or {choose(key, ALL, "claim")}
    return [claim for name, claim in ALL.items() if name in wanted or not keys]


def _prepare(folder: Path) -> None:
    """Make the folder now, so that nothing is computed in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{folder} cannot be made ({error.strerror}); choose another folder with --out.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"{folder} cannot be written; choose another folder with --out.")


def _verify(claims: Sequence[Claim]) -> list[Outcome]:
    """The outcomes of the claims, two at a time; an interrupt ends the list where it is, when those at work are done."""
    outcomes: list[Outcome] = []
    console = messages()
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
        ThreadPoolExecutor(_AT_ONCE) as pool,
        contextlib.suppress(KeyboardInterrupt),
    ):
        task = bar.add_task("", total=len(claims))
        for start in range(0, len(claims), _KEPT):
            batch = claims[start : start + _KEPT]
            bar.update(task, description=batch[0].key)
            for outcome in pool.map(verify, batch):
                outcomes.append(outcome)
                bar.advance(task)
            jax.clear_caches()
    return outcomes


def _show(outcomes: Sequence[Outcome]) -> None:
    """The table: a claim's values at its first setting, or the message of a computation that failed."""
    terminal = Console(highlight=False, markup=False)
    console = terminal if terminal.is_terminal else Console(highlight=False, markup=False, width=_WIDTH)
    table = Table("claim", "source", "title", "value", "formula", "computed", "error", "verdict", box=box.SIMPLE_HEAD)
    for outcome in outcomes:
        head = (outcome.claim.key, outcome.claim.source.short, outcome.claim.title)
        rows = [("", outcome.message, "", "")] if outcome.message else [_row(check) for check in _shown(outcome)]
        for i, row in enumerate(rows):
            table.add_row(*(("", "", "") if i else head), *row, "" if i else outcome.verdict)
        table.add_section()
    console.print(table)


def _shown(outcome: Outcome) -> list[Check]:
    """Every check that disagrees; if none does, those of the first setting."""
    wrong = [check for check in outcome.checks if not check.agrees]
    first = [check for check in outcome.checks if check.setting is outcome.checks[0].setting]
    return (wrong or [check for check in first if not check.name.endswith("(published digits)")])[:_ROWS]


def _row(check: Check) -> tuple[str, str, str, str]:
    return check.name, _short(check.predicted), _short(check.computed), f"{check.error:.1e}"


def _short(value: Any) -> str:
    """A value, or the first entries of a long one."""
    flat = value if isinstance(value, str) else np.asarray(value).reshape(-1)
    if isinstance(flat, str) or flat.size <= _ENTRIES:
        return number(value)
    return f"{number(flat[:_ENTRIES])}, ... ({flat.size})"
