"""What every report has: pages that open offline, numbers and formulas as text, and JSON without surprises."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from math_core import LatexError, LatexToMathML

from .._record import replacing

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


def short(value: Any) -> str:
    """A number of a setting as text; of a large array its shape, of anything else its name."""
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, float | int | complex | np.ndarray | np.generic | list | tuple):
        array = np.asarray(value)
        return number(value, 6) if array.size <= 6 and array.dtype.kind in "biufc" else f"array of shape {array.shape}"
    return getattr(value, "__name__", type(value).__name__)


def named(values: Mapping[str, Any]) -> str:
    """The numbers of a setting in one line."""
    return ", ".join(f"{name} = {short(value)}" for name, value in values.items())


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


def strict(value: Any) -> Any:
    """Numbers that JSON does not know become strings."""
    if isinstance(value, list):
        return [strict(entry) for entry in value]
    return value if np.isfinite(value) else str(value)


def plain(value: Any) -> Any:
    """An array as nested lists; complex numbers are pairs of real and imaginary part."""
    array = np.asarray(value)
    pairs = np.stack([np.real(array), np.imag(array)], axis=-1) if array.dtype.kind == "c" else array
    return strict(pairs.tolist())


def write_page(template: str, folder: str | Path, data: str, document: Mapping[str, Any], **context: Any) -> Path:
    """Write `index.html` from a template of this folder, and a document beside it as JSON.

    Args:
        template: The file's name.
        folder: Where to write; made if it is not there.
        data: The name of the JSON file.
        document: What it holds; its provenance also ends the page.
        context: What the template knows.

    Returns:
        The path of the page.

    Raises:
        OSError: The folder cannot be made or written; nothing partial is left behind.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("gandyn.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"number": number, "mathematics": mathematics, "inline": inline, "named": named, "short": short}
    page = pages.get_template(template).render(provenance=document["provenance"], **context)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    for name, content in {data: text, "index.html": page}.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return folder / "index.html"
