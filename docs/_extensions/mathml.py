"""Formulas as MathML, which browsers lay out by themselves: no script, no font, no network.

Not here: what the formulas say.
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
    """Write a formula within a line, or a cell; fractions as large as on their own."""
    inline = mathml(node.astext(), "inline")
    self.body.append(inline.replace("<math ", '<math displaystyle="true" ', 1))
    raise nodes.SkipNode


def visit_block(self, node):
    """Write a formula on its own; a line too long for the page can be scrolled."""
    latex = node.astext()
    if "\\\\" in latex or "&" in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    self.body.append(f'<div class="formula">{mathml(latex, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
