"""Write the outcomes of claims to a folder: `index.html`, self-contained, and `claims.json`."""

import html
import importlib.resources
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from math_core import LatexError, LatexToMathML

from .._record import environment, replacing
from ..claims import Check, Outcome
from ._figure import svg

_MATHEMATICS = LatexToMathML(fancy_error=False)


def number(value: Any, digits: int = 10) -> str:
    """A value as text: spectra and vectors entry by entry."""
    if isinstance(value, str | bool | np.bool_) or value is None:
        return "" if value is None else str(value)
    array = np.asarray(value)
    if array.ndim:
        return ", ".join(number(entry, digits) for entry in array.reshape(-1))
    entry = array.item()
    if isinstance(entry, complex):
        sign = "-" if entry.imag < 0 or str(entry.imag).startswith("-") else "+"
        return f"{entry.real:.{digits}g} {sign} {abs(entry.imag):.{digits}g}i" if entry.imag else f"{entry.real:.{digits}g}"
    return f"{entry:.{digits}g}"


def setting(check: Check) -> str:
    """The numbers of a setting in one line."""
    return ", ".join(f"{name} = {_short(value)}" for name, value in check.setting.items())


def _short(value: Any) -> str:
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, float | int | complex | np.ndarray | np.generic | list | tuple):
        array = np.asarray(value)
        return number(value, 6) if array.size <= 6 and array.dtype.kind in "biufc" else f"array of shape {array.shape}"
    return getattr(value, "__name__", type(value).__name__)


def mathematics(latex: str, displayed: bool = True) -> Markup:
    """A formula as MathML; its source where it cannot be rendered."""
    if r"\\" in latex and r"\begin" not in latex:
        latex = rf"\begin{{aligned}} {latex} \end{{aligned}}"
    try:
        return Markup(_MATHEMATICS.convert_with_local_state(latex, displaystyle=displayed))
    except LatexError:
        return Markup(f"<code>{html.escape(latex)}</code>")


def inline(text: str) -> Markup:
    """Prose with mathematics between dollar signs."""
    parts = re.split(r"\$([^$]+)\$", text)
    return Markup("").join(mathematics(part, displayed=False) if i % 2 else part for i, part in enumerate(parts))


def _plain(value: Any) -> Any:
    if isinstance(value, str | bool | np.bool_ | type(None)):
        return bool(value) if isinstance(value, np.bool_) else value
    try:
        array = np.asarray(value)
    except ValueError:
        return repr(value)
    if array.dtype.kind not in "biufc" or array.size > 64:
        return _short(value)
    pairs = np.stack([np.real(array), np.imag(array)], axis=-1) if array.dtype.kind == "c" else array
    return _strict(pairs.tolist())


def _strict(value: Any) -> Any:
    """Numbers that JSON does not know become strings."""
    if isinstance(value, list):
        return [_strict(entry) for entry in value]
    return value if np.isfinite(value) else str(value)


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
            "error": _strict(outcome.error),
            "correction": c.correction,
            "seconds": round(outcome.seconds, 3),
            "message": outcome.message,
            "checks": [
                {
                    "setting": {name: _plain(value) for name, value in check.setting.items()},
                    "drawn": check.drawn,
                    "name": check.name,
                    "predicted": _plain(check.predicted),
                    "computed": _plain(check.computed),
                    "error": _strict(check.error),
                    "allowed": check.allowed,
                    "agrees": check.agrees,
                    "literal": _plain(check.literal),
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
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pages = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"number": number, "mathematics": mathematics, "inline": inline, "setting": setting}
    template = pages.from_string(importlib.resources.files("gandyn.report").joinpath("report.html").read_text("utf-8"))
    pictures = {o.claim.key: svg(o.claim) for o in outcomes if o.claim.figure} if figures else {}
    sources = list(dict.fromkeys(o.claim.source for o in outcomes))
    page = template.render(
        outcomes=outcomes, sources=sources, pictures=pictures, provenance=environment(), counts=_counts(outcomes), shown=_shown
    )
    data = json.dumps(as_json(outcomes), indent=1, allow_nan=False) + "\n"
    for name, text in {"claims.json": data, "index.html": page}.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return folder / "index.html"


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    verdicts = [outcome.verdict for outcome in outcomes]
    return {verdict: verdicts.count(verdict) for verdict in ("holds", "corrected", "fails")}


def _shown(outcome: Outcome) -> Check | None:
    """The check that stands for a claim in the summary: the first that disagrees, or the first of all."""
    return next((check for check in outcome.checks if not check.agrees), next(iter(outcome.checks), None))
