"""Mathematics as MathML, written into the page at build time: no script, no font and no network is needed to read it."""

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

CONVERTER = LatexToMathML(fancy_error=False)
logger = logging.getLogger(__name__)


def convert(node, display):
    latex = r" \\ ".join(part for part in node.astext().split("\n\n") if part.strip())
    if r"\\" in latex and not latex.lstrip().startswith(r"\begin"):
        latex = rf"\begin{{aligned}} {latex} \end{{aligned}}"
    try:
        return CONVERTER.convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        logger.warning("mathematics cannot be rendered: %s", error, location=node)
        return ""


def inline(self, node):
    self.body.append(convert(node, display=False))
    raise nodes.SkipNode


def displayed(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node.get("number"):
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(convert(node, display=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
