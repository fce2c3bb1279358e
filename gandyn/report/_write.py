"""Write the outcomes of claims to a folder: `index.html`, self-contained, and `claims.json`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._provenance import environment
from ..claims import Check, Outcome
from ._figure import svg
from ._page import plain, short, strict, write_page


def _entry(value: Any) -> Any:
    """A value as plain data; what is large or has no form in JSON is only named."""
    if isinstance(value, str | bool | np.bool_ | type(None)):
        return bool(value) if isinstance(value, np.bool_) else value
    try:
        array = np.asarray(value)
    except ValueError:
        return repr(value)
    return plain(array) if array.dtype.kind in "biufc" and array.size <= 64 else short(value)


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The outcomes as plain data; complex numbers are pairs of real and imaginary part."""

    def claim(outcome: Outcome) -> dict[str, Any]:
        c = outcome.claim
        return {
            "key": c.key,
            "source": c.source.short,
            "title": c.title,
            "formula": c.formula,
            "verdict": outcome.verdict,
            "error": strict(outcome.error),
            "correction": c.correction,
            "seconds": round(outcome.seconds, 3),
            "message": outcome.message,
            "checks": [
                {
                    "setting": {name: _entry(value) for name, value in check.setting.items()},
                    "drawn": check.drawn,
                    "name": check.name,
                    "predicted": _entry(check.predicted),
                    "computed": _entry(check.computed),
                    "error": strict(check.error),
                    "allowed": check.allowed,
                    "agrees": check.agrees,
                    "literal": _entry(check.literal),
                }
                for check in outcome.checks
            ],
        }

    return {"schema": 1, "provenance": environment(), "claims": [claim(outcome) for outcome in outcomes]}


def write(outcomes: Sequence[Outcome], folder: str | Path, *, figures: bool = True) -> Path:
    """Write the report of the outcomes.

    Args:
        outcomes: What `verify` returned, in order.
        folder: Where to write `index.html` and `claims.json`; made if it is not there.
        figures: Whether to draw the claims' figures.

    Returns:
        The path of the page.

    Raises:
        OSError: The folder cannot be made or written; nothing partial is left behind.
    """
    pictures = {o.claim.key: svg(o.claim) for o in outcomes if o.claim.figure} if figures else {}
    sources = list(dict.fromkeys(o.claim.source for o in outcomes))
    return write_page(
        "report.html",
        folder,
        "claims.json",
        as_json(outcomes),
        outcomes=outcomes,
        sources=sources,
        pictures=pictures,
        counts=_counts(outcomes),
        shown=_shown,
    )


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    verdicts = [outcome.verdict for outcome in outcomes]
    return {verdict: verdicts.count(verdict) for verdict in ("holds", "corrected", "fails")}


def _shown(outcome: Outcome) -> Check | None:
    """The check that stands for a claim in the summary: the first that disagrees, or the first of all."""
    return next((check for check in outcome.checks if not check.agrees), next(iter(outcome.checks), None))
