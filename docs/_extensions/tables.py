"""Tables made from data: ``.. formulas:: activations`` and ``.. elsewhere:: names keras``.

The tables of formulas take names and defaults from fastnn's registries, so that the page can't
contradict the code. Not here: the formulas (formulas.py), the names in other libraries
(elsewhere.py).
"""

import dataclasses
import importlib

import elsewhere
import formulas
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from fastnn import activations, initializers, layers, losses, metrics, optimizers, schedules


def defaults(kind, without=()):
    """Return a specification's own parameters with their defaults, as rst."""
    own = [f for f in dataclasses.fields(kind) if f.init and f.name not in without]
    texts = [f.name if f.default is dataclasses.MISSING else f"{f.name}={f.default!r}" for f in own]
    return ", ".join(f"``{text}``" for text in texts)


def maths(*lines):
    """Return formulas, one beneath another, as the rst of a cell."""
    return "\n\n".join(f":math:`{line}`" for line in lines)


def layer_rows():
    """Yield the table of layers."""
    yield "layer", "outputs z", "gradient passed on", "gradients of parameters"
    for name, kind in layers.KINDS.items():
        cells = (maths(*lines) for lines in formulas.LAYERS[name])
        yield f":py:obj:`~fastnn.{kind.__name__}`", *cells


def activation_rows():
    """Yield the table of activations."""
    yield "name", "z = h(a)", "dz/da", "initial weights"
    for name in activations.NAMES:
        spec = activations.get(name)
        alpha = "" if spec.alpha is None else f" ``alpha={spec.alpha:g}``"
        value, derivative = map(maths, formulas.ACTIVATIONS[name])
        yield f"``{name}``{alpha}", value, derivative, f"``{spec.initializer}``"


def loss_rows():
    """Yield the table of losses."""
    yield "name", "E of a row", "delta = dE/da", "outputs; for"
    for name in losses.NAMES:
        value, delta, purpose = formulas.LOSSES[name]
        kind = losses.KINDS[name]
        outputs = "any" if kind.outputs is None else ", ".join(kind.outputs)
        heading = f"``{name}`` {defaults(kind)}"
        yield heading, maths(value), maths(delta), f"{outputs}; {purpose}"


def optimizer_rows():
    """Yield the table of optimizers."""
    common = {f.name for f in dataclasses.fields(optimizers.Optimizer)}
    yield "name", "rule", "defaults", "source"
    for name in optimizers.NAMES:
        lines, source = formulas.OPTIMIZERS[name]
        yield f"``{name}``", maths(*lines), defaults(optimizers.KINDS[name], common), source


def schedule_rows():
    """Yield the table of schedules."""
    yield "class", "rate after t steps or epochs", "parameters", ""
    for name in schedules.NAMES:
        kind, (formula, source) = schedules.KINDS[name], formulas.SCHEDULES[name]
        yield f":py:obj:`~fastnn.{kind.__name__}`", maths(formula), defaults(kind, ["per"]), source


def initializer_rows():
    """Yield the table of initializers."""
    yield "name", "W is drawn from", "source"
    for name in initializers.NAMES:
        formula, source = formulas.INITIALIZERS[name]
        yield f"``{name}``", maths(formula), source


def metric_rows():
    """Yield the table of metrics."""
    yield "name", "value", "targets", "better"
    for name in metrics.NAMES:
        metric = metrics.get(name)
        better = "higher" if metric.best == "max" else "lower"
        yield f"``{name}``", maths(formulas.METRICS[name]), ", ".join(metric.targets), better


TABLES = {
    "layers": (layer_rows, formulas.LAYERS, layers.KINDS),
    "activations": (activation_rows, formulas.ACTIVATIONS, activations.NAMES),
    "losses": (loss_rows, formulas.LOSSES, losses.NAMES),
    "optimizers": (optimizer_rows, formulas.OPTIMIZERS, optimizers.NAMES),
    "schedules": (schedule_rows, formulas.SCHEDULES, schedules.NAMES),
    "initializers": (initializer_rows, formulas.INITIALIZERS, initializers.NAMES),
    "metrics": (metric_rows, formulas.METRICS, metrics.NAMES),
}


class Table(SphinxDirective):
    """A table whose cells are rst."""

    def table(self, rows, css_class):
        """Return rows of cells as nodes; the first is the head."""
        lines = [".. list-table::", "   :header-rows: 1", f"   :class: {css_class}", ""]
        for row in rows:
            for i, cell in enumerate(row):
                first, *rest = cell.splitlines() or [""]
                lines.append(f"   {'*' if i == 0 else ' '} - {first}".rstrip())
                lines += [f"       {line}".rstrip() for line in rest]
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source=self.name), 0, container)
        return container.children


class Formulas(Table):
    """A table of everything in a registry."""

    required_arguments = 1

    def run(self):
        """Return the table, or fail if a formula is missing or belongs to no name."""
        what = self.arguments[0]
        for module in (formulas, importlib.import_module(f"fastnn.{what}")):
            self.env.note_dependency(module.__file__)  # so that the page follows them
        rows, known, names = TABLES[what]
        if set(known) != set(names):
            apart = ", ".join(sorted(set(known) ^ set(names)))
            raise self.error(f"docs/_extensions/formulas.py or fastnn.{what} lacks {apart}")
        return self.table(rows(), "formulas")


class Elsewhere(Table):
    """A table of another library's names, losses or defaults beside fastnn's."""

    required_arguments = 2

    def run(self):
        """Return the table."""
        self.env.note_dependency(elsewhere.__file__)
        what, library = self.arguments
        return self.table(elsewhere.rows(what, library), f"compare {what}")


def setup(app):
    """Register the directives."""
    app.add_directive("formulas", Formulas)
    app.add_directive("elsewhere", Elsewhere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
