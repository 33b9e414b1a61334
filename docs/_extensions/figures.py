"""Figures of the committed benchmark results: no number of the landing page is typed by hand.

``.. measured:: training`` compares a training step with the peers' and names the CPU,
``prediction`` does so for one row, and ``table`` has the times of a few cells. Not here: what is
measured, how figures are rounded (bench/report.py, `fastnn.benchmarking.tables`).
"""

from pathlib import Path

import report
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from fastnn.benchmarking.tables import NAMES, contenders, time_of

BENCH = Path(__file__).resolve().parents[2] / "bench"


def training(found):
    """Yield the geometric means over all cells, and the CPU that they were measured on."""
    yield report.training_sentence(found).replace("`", "``")


def prediction(found):
    """Yield the time of predicting one row, and that of the next best library."""
    yield report.predict_sentence(found).replace("`", "``")


def table(found):
    """Yield the table of the cells in the picture, as rst."""
    records = report.small(found)["cells"]
    names = contenders(records)
    yield ".. list-table::"
    yield "   :header-rows: 1"
    yield "   :class: figures"
    yield ""
    lines = [["µs per step", *(NAMES.get(name, name) for name in names)]]
    lines += [[r["cell"], *(time_of(r, name) for name in names)] for r in records]
    for first, *rest in lines:
        yield f"   * - {first}"
        yield from (f"     - {cell}" for cell in rest)


MAKERS = {  # name: (file of results, function)
    "training": ("epochs-float32-1", training),
    "prediction": ("predict-float32-1", prediction),
    "table": ("epochs-float32-1", table),
}


class Measured(SphinxDirective):
    """Text or a table made from a file of results."""

    required_arguments = 1

    def run(self):
        """Return it as nodes."""
        name, make = MAKERS[self.arguments[0]]
        self.env.note_dependency(str(BENCH / "results" / f"{name}.json"))
        container = nodes.Element()
        lines = StringList(list(make(report.load(name))), source="figures")
        self.state.nested_parse(lines, 0, container)
        return container.children


def setup(app):
    """Register the directive."""
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
