"""Imports in src/fastnn: their direction, no cycles, no unused cimports. The length of modules.

FLOORS is the table that ARCHITECTURE.md describes: a module imports modules of its own floor and of
the floors before it in the table. A new module gets a line there unless its package has one.

Imports under TYPE_CHECKING are not counted, since they never run. The parts of the engine follow
the list in engine/__init__.pxd.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src/fastnn"  # an installed package lacks the Cython files

#: Packages and modules, from those that import nothing of fastnn to those that import everything.
#: The longest name that a module's begins with decides its floor.
FLOORS = (
    ("_kernels_f32", "_kernels_f64", "reference"),
    ("_precision", "_conversion", "_files", "sparse_rows"),
    ("_checks",),
    ("_cpu", "activations", "initializers", "layers", "losses", "metrics", "optimizers",
     "plotting", "schedules", "splits"),
    ("callbacks", "kernels"),
    ("training.specification", "training.custom_loss", "training.binding", "training.state"),
    ("exchange.safetensors", "exchange.configuration", "exchange.model_files"),
    ("training",),
    ("inspection", "mlp"),
    ("gradients", "profiling"),
    ("__init__",),
    ("embedding", "exchange", "many"),
    ("interop", "onnx", "tables", "tabular"),
    ("tabular.report",),
    ("sklearn",),
    ("benchmarking", "verification"),
    ("cli", "__main__"),
)  # fmt: skip

#: Imports in functions that go against the table or close a cycle, and why they may.
LAZY = {
    ("_cpu", "__init__"): "show_config tells the version, which the root has",
    ("mlp", "exchange.c_source"): "MLP.to_c is rarely called",
    ("exchange.c_source", "tabular.c_columns"): "networks for tables are written with their recipe",
    ("training.sources", "tabular.recipe"): "networks for tables take data frames",
    ("exchange.onnx_writer", "tabular.onnx_columns"): "their ONNX models take columns",
}

#: Modules that only some others may import.
RESERVED = {"reference": ("benchmarking", "reference"), "benchmarking": ("benchmarking", "cli")}

MOST_LINES = 600
EXCUSE = "over 600 lines because"
HEAD = 40

SOURCES = sorted(p for e in ("py", "pyi", "pyx", "pxd", "h", "c") for p in ROOT.rglob(f"*.{e}"))
CYTHON = [path for path in SOURCES if path.suffix in (".pyx", ".pxd")]


# ---- reading imports ----------------------------------------------------------------------------


def name_of(path):
    """Return a module's name within fastnn: "training.state", or a package's for its __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in SOURCES if path.suffix == ".py"}
COMPILED = {"_kernels_f32", "_kernels_f64"}


def imports_of(name, source, known, functions=True):
    """Return the modules of fastnn that a module's source imports, those in functions included."""
    package = name.split(".")[:-1]
    if name in known and known[name].name == "__init__.py" and name != "__init__":
        package = name.split(".")
    found = set()
    for node in walk(ast.parse(source), functions):
        if isinstance(node, ast.Import):
            found |= {resolve(alias.name, None, known) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(["fastnn", *package[: len(package) + 1 - node.level], base])
            found |= {resolve(base.rstrip("."), alias.name, known) for alias in node.names}
    return found - {None, name}


def walk(tree, functions):
    """Yield the nodes of a tree, but for those under `if TYPE_CHECKING`, or in functions."""
    for node in ast.iter_child_nodes(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (typing_only or (isinstance(node, ast.FunctionDef) and not functions)):
            yield node
            yield from walk(node, functions)


def resolve(base, name, known):
    """Return the module that an import is of, None if it isn't fastnn's."""
    if base != "fastnn" and not base.startswith("fastnn."):
        return None
    module = base.removeprefix("fastnn").removeprefix(".")
    inner = ".".join(filter(None, (module, name)))
    if inner in known or inner in COMPILED:
        return inner
    return module or "__init__"


GRAPH = {
    name: imports_of(name, path.read_text(encoding="utf-8"), MODULES)
    for name, path in MODULES.items()
}


# ---- rules --------------------------------------------------------------------------------------


def floor_of(module, floors=FLOORS):
    """Return the number of a module's floor, None if the table lacks it."""
    fits = [
        (len(name), i) for i, names in enumerate(floors) for name in names if is_in(module, name)
    ]
    return max(fits)[1] if fits else None


def is_in(module, name):
    """Return whether a module has this name, or is in the package of this name."""
    return module == name or module.startswith(f"{name}.")


def upward(graph, floors=FLOORS):
    """Return the imports that go against the table."""
    return {
        (importer, imported)
        for importer, all_imported in graph.items()
        for imported in all_imported
        if floor_of(imported, floors) > floor_of(importer, floors)
    }


def cycles(graph):
    """Return the cycles of imports, each as a list of modules in which one imports the next."""
    found, done = [], set()

    def visit(module, path):
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for imported in sorted(graph.get(module, ())):
                visit(imported, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def listed_parts(text):
    """Return {part: its line's number} from the list of parts in a comment of Cython."""
    lines = re.findall(r"^#     (\w+(?:, \w+)*)  ", text, flags=re.MULTILINE)
    return {part: number for number, line in enumerate(lines) for part in line.split(", ")}


def cimports_of(text):
    """Return the parts of the engine that a .pxd cimports; a stage counts as `stages`."""
    return set(re.findall(r"^ *from fastnn\.engine\.(\w+)[.\w]* cimport", text, flags=re.MULTILINE))


CIMPORT = re.compile(r"^ *(?:from [\w.]+ )?cimport +(\([^)]*\)|[^\n]*)", flags=re.MULTILINE)


def unused_cimports(text):
    """Return the names that Cython code cimports, and has nowhere else but in comments."""
    code = re.sub("#.*", "", text)
    items = ",".join(found.strip("()") for found in CIMPORT.findall(code)).split(",")
    names = [item.split(" as ")[-1].split(".")[0].strip() for item in items if item.strip()]
    rest = CIMPORT.sub("", code)
    return [name for name in names if not re.search(rf"(?<![\w.]){name}\b", rest)]


def listed_modules(docstring):
    """Return the modules in the list of a package's docstring, in the order of the list."""
    items = re.findall(r"^    (\w+)\.py |`(\w+)`", docstring, flags=re.MULTILINE)
    return list(dict.fromkeys(name for item in items for name in item if name))


def without(graph, pairs):
    """Return a graph without some imports."""
    return {name: {i for i in found if (name, i) not in pairs} for name, found in graph.items()}


def is_excused(path):
    """Whether the head of a long module says why it is long."""
    with path.open(encoding="utf-8") as file:
        head = " ".join(line.strip(" #*/\n") for line, _ in zip(file, range(HEAD), strict=False))
    return EXCUSE in head


# ---- tests --------------------------------------------------------------------------------------


def test_every_module_has_a_floor():
    assert [module for module in MODULES if floor_of(module) is None] == []


def test_imports_follow_the_table():
    assert upward(without(GRAPH, LAZY)) == set()


def test_there_are_no_cycles():
    assert cycles(without(GRAPH, LAZY)) == []


def test_lazy_imports_are_there_and_lazy():
    for importer, imported in LAZY:
        source = MODULES[importer].read_text(encoding="utf-8")
        assert imported in GRAPH[importer]
        assert imported not in imports_of(importer, source, MODULES, functions=False)


def test_reserved_modules_are_imported_only_where_allowed():
    for reserved, importers in RESERVED.items():
        found = {name for name in GRAPH if any(is_in(module, reserved) for module in GRAPH[name])}
        assert [name for name in found if not any(is_in(name, other) for other in importers)] == []


def test_the_reference_imports_nothing_else_of_fastnn():
    ours = {name for name in GRAPH if is_in(name, "reference")}
    assert set().union(*(GRAPH[name] for name in ours)) <= ours


#: Packages whose docstrings list their modules.
LISTING = ("benchmarking", "many", "sklearn", "tabular", "tabular.report", "training")

#: Those whose lists are in the order of imports.
IN_ORDER = ("many", "tabular", "training")


@pytest.mark.parametrize("package", LISTING)
def test_docstrings_of_packages_list_all_modules(package):
    listed = listed_modules(ast.get_docstring(ast.parse(MODULES[package].read_text("utf-8"))))
    inner = {name for name in MODULES if is_in(name, package)} - {package}
    modules = {name.removeprefix(f"{package}.").split(".")[0] for name in inner} - {"__main__"}
    assert modules - set(listed) == set()
    if package in IN_ORDER:
        place = {f"{package}.{name}": number for number, name in enumerate(listed)}
        later = {(name, other) for name in place for other in GRAPH.get(name, ())
                 if place.get(other, -1) > place[name]}  # fmt: skip
        assert later == set()


ENGINE = ROOT / "engine"
PARTS = listed_parts((ENGINE / "__init__.pxd").read_text(encoding="utf-8"))


def test_every_part_of_the_engine_is_listed():
    found = {path.stem for path in ENGINE.glob("*.pxd")} - {"__init__"}
    assert set(PARTS) == found | {"stages"}


@pytest.mark.parametrize("path", sorted(ENGINE.rglob("*.pxd")), ids=lambda path: path.stem)
def test_cimports_of_the_engine_follow_its_list(path):
    part = "stages" if path.parent.name == "stages" else path.stem
    above = [p for p in cimports_of(path.read_text(encoding="utf-8")) if PARTS[p] > PARTS[part]]
    assert above == []


@pytest.mark.parametrize("path", CYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_cimports_are_used(path):
    """The linter of Cython finds unused ones in .pyx files only."""
    assert unused_cimports(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_or_say_why(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES or is_excused(path)


# ---- the rules find what they are for -----------------------------------------------------------


def test_an_import_that_goes_up_is_found():
    floors = (("a",), ("b",), ("b.low", "c"))
    assert upward({"a": {"b"}, "b": {"a"}, "c": {"b.low"}, "b.low": set()}, floors) == {("a", "b")}
    assert floor_of("b.low.deep", floors) == 2
    assert floor_of("bb", floors) is None


def test_a_cycle_is_found():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c", "a"]]
    assert cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_parts_and_cimports_are_read():
    text = "# The parts.\n#\n#     a       the ground\n#     b, c    more\n"
    assert listed_parts(text) == {"a": 0, "b": 1, "c": 1}
    text = "from fastnn.engine.stages.dense cimport x\nfrom libc.math cimport exp\n"
    assert cimports_of(f"{text}from fastnn.engine.net cimport (\n    y,\n)\n") == {"stages", "net"}


def test_lists_of_modules_are_read():
    text = "A package.\n\n    a.py   the ground\n    b.py   more: see c.py\n"
    assert listed_modules(text) == ["a", "b"]
    assert listed_modules("- `a`, `b`: ground\n- `c`: more; `d` adds to it") == list("abcd")


def test_an_unused_cimport_is_found():
    text = """
cimport numpy as np, cython
from libc.math cimport exp, log as ln  # NaN
from fastnn.engine.net cimport (
    Net,  # of stages
    Stage,
    real,
)
cdef inline real f(Net* net, real x) noexcept:  # a Stage
    return net.cython + exp(x)
"""
    assert unused_cimports(text) == ["np", "cython", "ln", "Stage"]


def test_imports_of_all_kinds_are_read():
    source = """
from typing import TYPE_CHECKING
import numpy
import fastnn.mlp
from fastnn import _checks, load
from . import state
from .rows import Rows
if TYPE_CHECKING:
    from fastnn.losses import Loss
def f():
    from fastnn.callbacks import History
"""
    known = dict.fromkeys(
        ["__init__", "mlp", "_checks", "callbacks", "training.state", "training.rows", "losses"],
        Path("module.py"),
    )
    found = imports_of("training.loop", source, known)
    assert found == {"mlp", "_checks", "__init__", "training.state", "training.rows", "callbacks"}
