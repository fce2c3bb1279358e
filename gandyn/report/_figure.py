"""A claim's figure as inline SVG, the same bytes each time."""

import io
import re

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from ..claims import Claim
from ..plot import style


def svg(claim: Claim) -> Markup:
    """The claim's figure, drawn without a screen and labelled for readers who do not see it."""
    if claim.figure is None:
        return Markup("")
    with style(), matplotlib.rc_context({"svg.hashsalt": claim.key, "svg.fonttype": "path"}):
        figure = Figure(figsize=(3.6, 3.2), layout="constrained")
        claim.figure(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"^.*?<svg ", f'<svg role="img" aria-label="Figure of claim {claim.key}" ', text, count=1, flags=re.DOTALL)
    # Identifiers are shared by the whole page: each figure's own are told apart by its key.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{claim.key}-", text)
    return Markup(text)
