"""Pictures inside a page, the same bytes each time: drawn without a screen, labelled for readers who do not see them."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from ..claims import Claim
from ..plot import style

_SIZE = 3.6, 3.2
# Dots per inch of a picture of many points, twice those of a screen.
_DOTS = 192


def _drawn(draw: Callable[[Any], Any], size: tuple[float, float], kind: str, salt: str) -> bytes:
    with style(), matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=_DOTS, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def vector(draw: Callable[[Any], Any], key: str, label: str, size: tuple[float, float] = _SIZE) -> Markup:
    """A picture as inline SVG.

    Args:
        draw: Draws it; called with the axes.
        key: What tells it apart from all others of its page: letters, digits and hyphens.
        label: What it shows.
        size: In inches.
    """
    text = _drawn(draw, size, "svg", key).decode()
    text = re.sub(r"^.*?<svg ", f'<svg role="img" aria-label="{escape(label)}" ', text, count=1, flags=re.DOTALL)
    # Identifiers are shared by the whole page: each figure's own are told apart by its key.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{key}-", text)
    return Markup(text)


def raster(draw: Callable[[Any], Any], label: str, size: tuple[float, float] = _SIZE) -> Markup:
    """A picture of many points or of images as PNG inside the page, with the arguments of `vector`."""
    code = base64.b64encode(_drawn(draw, size, "png", "")).decode()
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(label, code)


def svg(claim: Claim) -> Markup:
    """The claim's figure, if it has one."""
    if claim.figure is None:
        return Markup("")
    return vector(claim.figure, claim.key, f"Figure of claim {claim.key}")
