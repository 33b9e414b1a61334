"""Formulas as MathML, which browsers render without scripts, fonts or network.

Not here: the formulas (formulas.py, docs/maths.rst).
"""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError


def mathml(latex, display):
    """Return a formula's MathML."""
    try:
        return convert(latex, display=display)
    except Exception as error:
        raise ExtensionError(f"no MathML of {latex!r}: {error!r}") from error


def visit_inline(self, node):
    """Write a formula in a line or a table's cell, with fractions in display size."""
    inline = mathml(node.astext(), "inline")
    self.body.append(inline.replace("<math ", '<math displaystyle="true" ', 1))
    raise nodes.SkipNode


def visit_block(self, node):
    """Write a displayed formula; one too wide for the page scrolls."""
    latex = node.astext()
    if "\\\\" in latex or "&" in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    self.body.append(f'<div class="formula">{mathml(latex, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
