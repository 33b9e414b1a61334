"""The tables at the top of a class's page: its methods, and its attributes with what they hold.

Methods go through autosummary, which links them. Attributes come from the docstring's section
Attributes, which the table replaces, and from properties. Not here: which pages there are
(api/index.rst), which members have text of their own (_templates/autosummary).
"""

import dataclasses
import inspect
import re

from numpydoc.docscrape import ClassDoc, FunctionDoc

from fastnn import MLP, Callback, Fits, History
from fastnn.metrics import Metric
from fastnn.profiling import Profile
from fastnn.schedules import Schedule

LISTED = (MLP, Callback, Fits, History, Profile)  # whose methods users call or override
CALLED = (Metric, Schedule)


def methods(kind):
    """Return the names of the methods that users call: (fastnn's, inherited from elsewhere)."""
    if issubclass(kind, CALLED):
        return ["__call__"], []
    if kind not in LISTED and kind.__module__ != "fastnn.sklearn":
        return [], []
    public = [
        name
        for name, value in inspect.getmembers(kind, callable)
        if not name.startswith("_") and (kind is not History or name not in vars(Callback))
    ]
    order = [name for base in reversed(kind.__mro__) for name in vars(base)]
    own = [name for name in public if defined_here(kind, name)]
    return sorted(own, key=order.index), [name for name in public if name not in own]


def defined_here(kind, name):
    """Tell whether a member is written in fastnn."""
    value = next(vars(base)[name] for base in kind.__mro__ if name in vars(base))
    function = inspect.unwrap(getattr(value, "__func__", value))
    return function.__module__.startswith("fastnn")


def attributes(kind):
    """Return {names as rst: description as lines of rst} of a class's public attributes."""
    doc = ClassDoc(kind, config={"show_class_members": False})
    base = next((base for base in CALLED if issubclass(kind, base)), kind)
    entries = doc["Attributes"] or ClassDoc(base)["Attributes"]
    found, named = {}, set()
    for entry in entries:
        names = [name.strip("`*") for name in entry.name.split(",")]
        names = [name.strip() for name in names]
        named.update(names)
        of_type = f"*{entry.type}*: " if entry.type and "`" not in entry.type else ""
        first, *rest = entry.desc or ["."]
        found[", ".join(reference(kind, name) for name in names)] = [of_type + first, *rest]
    for name in properties(kind):
        if name not in named:
            found[reference(kind, name)] = FunctionDoc(getattr(kind, name).fget)["Summary"]
    return found


def properties(kind):
    """Return the names of the properties that have text of their own on the page."""
    if kind not in LISTED:
        return []
    own = vars(kind).items()
    return [name for name, value in own if isinstance(value, property) and name[0] != "_"]


def reference(kind, name):
    """Return an attribute's name as rst, a link where there is more to read."""
    if name in properties(kind):
        return f":py:obj:`{name} <{kind.__name__}.{name}>`"
    return f"``{name}``"


def tables(kind):
    """Return the two tables as rst."""
    lines = []
    own, inherited = methods(kind)
    if own:
        lines += [".. rubric:: Methods", "", ".. autosummary::", ""]
        lines += [*(f"   ~{kind.__name__}.{method}" for method in own), ""]
    if inherited:
        names = ", ".join(f"``{name}``" for name in inherited)
        lines += [f"Inherited from scikit-learn: {names}.", ""]
    if issubclass(kind, Callback) and kind not in LISTED:
        lines += [".. rubric:: Methods", "", "The hooks of `Callback`, called by `MLP.fit`.", ""]
    known = attributes(kind)
    given = [f.name for f in dataclasses.fields(kind) if f.init] if is_specification(kind) else []
    if known or given:
        lines += [".. rubric:: Attributes", ""]
    if given:
        names = ", ".join(f"``{name}``" for name in given)
        lines += [f"{names}: the parameters as given. They can't be changed afterwards.", ""]
    if known:
        lines += [".. list-table::", "   :class: members", ""]
        for names, description in known.items():
            lines += [f"   * - {names}", f"     - {description[0]}"]
            lines += [f"       {line}".rstrip() for line in description[1:]]
        lines.append("")
    return lines


def is_specification(kind):
    """Tell whether a class is a frozen dataclass with parameters of its own."""
    return dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen


def without_attributes(lines):
    """Return a docstring's lines without the section that the table replaces."""
    kept, dropping = [], False
    for line in lines:
        if re.match(r"\S", line):
            dropping = line.strip() == ":Attributes:"
        if not dropping:
            kept.append(line)
    return kept


def insert(app, what, name, obj, options, lines):
    """Put the tables of a class behind what its docstring begins with."""
    if what != "class" or not name.startswith("fastnn."):
        return
    lines[:] = without_attributes(lines)
    sections = (i for i, line in enumerate(lines) if re.match(r":\w|\.\. ", line))
    at = next(sections, len(lines))
    lines[at:at] = ["", *tables(obj), ""]


def setup(app):
    """Register it, to run after numpydoc."""
    app.connect("autodoc-process-docstring", insert, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
