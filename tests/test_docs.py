"""The sources of the documentation: programs run, names exist, links lead to pages.

The tests need no Sphinx. Not here: whether the pages build without a warning (`make docs`), the
tutorial (`make docs` runs it), and docstrings (`make test` runs them).
"""

import ast
import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import activations, initializers, layers, losses, metrics, optimizers, schedules

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MADE = ("tutorial", "generated")  # folders that a build makes
PAGES = sorted(
    path
    for path in DOCS.rglob("*.rst")
    if not set(path.parts) & {*MADE, "_templates", "gallery"}
    and path.name != "sg_execution_times.rst"
)
GALLERY = sorted((DOCS / "gallery").glob("*.py"))
API = (DOCS / "api" / "index.rst").read_text()
BLOCK = re.compile(
    r"(?:^\.\. not run: (?P<reason>.+)\n\n)?^\.\. code-block:: (?P<kind>\w+)\n\n"
    r"(?P<code>(?:   .*\n|\n)+)",
    re.MULTILINE,
)


@dataclasses.dataclass
class Program:
    """A block of code on a page; with a reason it isn't run."""

    kind: str
    code: str
    line: int
    reason: str | None


def programs(page):
    """Return a page's blocks of Python."""
    text = page.read_text()
    found = []
    for match in BLOCK.finditer(text):
        code = textwrap.dedent(match["code"])
        line = text.count("\n", 0, match.start("code"))
        if match["kind"] in ("python", "pycon"):
            found.append(Program(match["kind"], code, line, match["reason"]))
    return found


def extension(name):
    """Import a module of docs/_extensions that needs no Sphinx."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name_of(page):
    return str(page.relative_to(DOCS))


# ---- programs -----------------------------------------------------------------------------------


#: Packages that the programs of a page need.
NEEDED = {"how-to/exchange.rst": "onnxruntime", "how-to/saving.rst": "safetensors",
          "how-to/tables.rst": "onnxruntime"}  # fmt: skip


@pytest.mark.parametrize("page", [p for p in PAGES if programs(p)], ids=name_of)
def test_the_programs_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    if name_of(page) in NEEDED:
        pytest.importorskip(NEEDED[name_of(page)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["python"])
    names = {"__name__": "page"}
    for program in programs(page):
        source = "\n" * program.line + program.code
        if program.reason:
            ast.parse(source)
        elif program.kind == "python":
            exec(compile(source, str(page), "exec"), names)
        else:
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            test = doctest.DocTestParser().get_doctest(
                program.code, names, name_of(page), str(page), program.line
            )
            results = doctest.DocTestRunner(optionflags=flags).run(test, clear_globs=False)
            assert results.failed == 0
            names = test.globs


COMMANDS = re.compile(r"^\$ (?P<command>fastnn .+)\n(?P<shown>(?:(?!\$ ).*\n)*)", re.MULTILINE)


def test_the_commands_on_the_page_of_the_command_line_run(tmp_path, monkeypatch):
    pytest.importorskip("polars")
    monkeypatch.chdir(tmp_path)
    page = DOCS / "how-to" / "command_line.rst"
    text = page.read_text(encoding="utf-8")
    (program,) = programs(page)
    exec(compile(program.code, str(page), "exec"), {})
    blocks = [textwrap.dedent(m["code"]) for m in BLOCK.finditer(text) if m["kind"] == "console"]
    commands = [found for block in blocks for found in COMMANDS.finditer(block)]
    assert len(commands) == text.count("   $ fastnn ")
    for found in commands:
        command = found["command"].replace("fastnn", f"{shlex.quote(sys.executable)} -m fastnn", 1)
        done = subprocess.run(command, shell=True, capture_output=True, encoding="utf-8")
        if found["shown"].startswith("fastnn: error:"):
            assert (done.returncode, done.stderr) == (1, found["shown"])
        else:
            assert done.returncode == 0, done.stderr
            shown, printed = (re.sub(r"[\d.,]+", "0", t) for t in (found["shown"], done.stdout))
            assert shown.strip() in printed  # numbers depend on the machine


def test_every_command_is_on_the_page_of_the_command_line(output_of):
    text = (DOCS / "how-to" / "command_line.rst").read_text(encoding="utf-8")
    commands = re.findall(r"^    (\w+) ", output_of("--help"), re.MULTILINE)
    assert "train" in commands
    missing = [name for name in commands if not re.search(rf"\bfastnn {name}\b", text)]
    assert not missing, "; ".join(f"the page lacks fastnn {name}" for name in missing)


def test_every_block_of_python_is_found():
    """None is written in a way that the tests above would miss."""
    for page in PAGES:
        written = re.findall(r"code-block:: (?:python|pycon)\b", page.read_text())
        assert len(written) == len(programs(page)), page


def test_every_program_that_is_not_run_has_a_reason():
    for reason in {p.reason for page in PAGES for p in programs(page) if p.reason}:
        assert re.fullmatch(r"needs \w[\w, -]*", reason), reason


@pytest.mark.parametrize("page", GALLERY, ids=name_of)
def test_pages_of_the_tutorial_begin_with_a_title(page):
    title, rule, *_ = ast.get_docstring(ast.parse(page.read_text())).splitlines()
    assert len(rule) == len(title)
    assert set(rule) == {"="}


# ---- names --------------------------------------------------------------------------------------


def public_names():
    """Yield every name that users are to know, as the API page writes it."""
    modules = {"fastnn": None, "sklearn": None, "kernels": None}
    for name in fastnn.__all__:
        if name not in ("callbacks", "kernels", "metrics"):  # modules, whose names come below
            yield name
    for module in modules:
        if module == "fastnn":
            continue
        found = importlib.import_module(f"fastnn.{module}")
        own = getattr(found, "__all__", None) or [
            name
            for name, value in vars(found).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == found.__name__
        ]
        yield from (f"{module}.{name}" for name in own)
    for module in ("callbacks", "metrics"):
        found = importlib.import_module(f"fastnn.{module}")
        for name, value in vars(found).items():
            own = getattr(value, "__module__", None) == found.__name__
            if own and not name.startswith("_"):
                yield name if name in fastnn.__all__ else f"{module}.{name}"


@pytest.mark.parametrize("name", sorted(set(public_names())))
def test_every_public_name_is_in_the_api_reference(name):
    if name == "__version__":
        assert "``fastnn.__version__``" in API
    else:
        assert re.search(rf"^   {re.escape(name)}$", API, re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"^   ([A-Za-z]\w*(?:\.\w+)*)$", API, re.MULTILINE))
def test_every_name_in_the_api_reference_exists(name):
    *modules, last = name.split(".")
    module = importlib.import_module(".".join(["fastnn", *modules]))
    assert getattr(module, last).__doc__


def test_every_kind_of_layer_has_a_formula():
    assert set(extension("formulas").LAYERS) == set(layers.KINDS)
    assert ".. formulas:: layers\n" in (DOCS / "maths.rst").read_text()


REGISTRIES = {
    "activations": activations,
    "losses": losses,
    "optimizers": optimizers,
    "schedules": schedules,
    "initializers": initializers,
    "metrics": metrics,
}


@pytest.mark.parametrize("what", REGISTRIES)
def test_every_activation_loss_optimizer_and_schedule_has_a_formula(what):
    formulas = extension("formulas")
    assert set(getattr(formulas, what.upper())) == set(REGISTRIES[what].NAMES)
    assert f".. formulas:: {what}\n" in (DOCS / "maths.rst").read_text()


# ---- lists that are written by hand --------------------------------------------------------------


def test_the_readme_counts_activations_and_losses():
    """test_readme.py compares the list on the page of the package index with the README's."""
    text = " ".join((ROOT / "README.md").read_text().split())
    assert re.findall(r"(\d+) activations, (\d+) losses", text) == [
        (str(len(activations.NAMES)), str(len(losses.NAMES)))
    ]


def test_the_docstring_of_mlp_names_all_losses_and_optimizers():
    text = inspect.getdoc(fastnn.MLP)
    for parameter, registry in {"loss": losses, "optimizer": optimizers}.items():
        described = re.search(rf"\n{parameter} : .*\n((?:    .*\n)+)", text)[1]
        assert set(re.findall(r'``"(\w+)"``', described)) == set(registry.NAMES)


def test_the_docstring_of_activation_names_all_activations():
    described = re.search(r"\nname : str\n((?:    .*\n)+)", inspect.getdoc(fastnn.Activation))[1]
    aliases = set(activations._ALIASES)
    assert set(re.findall(r'``"(\w+)"``', described)) == set(activations.NAMES) | aliases


def test_the_docstring_of_fit_names_all_metrics():
    described = re.search(r"\nmetrics : .*\n((?:    .*\n)+)", inspect.getdoc(fastnn.MLP.fit))[1]
    assert set(re.findall(r'``"(\w+)"``', described)) == set(metrics.NAMES)


def test_the_changelog_names_all_activations_losses_and_optimizers():
    text = (ROOT / "CHANGELOG.md").read_text()

    def words(start):
        return set(re.findall(r"\w+", re.search(rf"- {start}: ((?:.|\n(?!- ))*)", text)[1]))

    classes = {type(optimizers.get(name)).__name__ for name in optimizers.NAMES}
    assert words("Activations") == set(activations.NAMES)
    assert words("Losses") >= set(losses.NAMES)
    assert words("Optimizers") >= classes


def test_the_page_of_formulas_has_the_sources_of_activations():
    (sources,) = re.findall(r"\nSources: (relu, (?:.+\n)+)", (DOCS / "maths.rst").read_text())
    named = set(re.findall(r"\w+", sources))
    classic = {"identity", "sigmoid", "tanh", "softmax", "exp"}
    assert [name for name in activations.NAMES if name not in named | classic] == []


# ---- other libraries ----------------------------------------------------------------------------

elsewhere = extension("elsewhere")


@pytest.fixture
def available(monkeypatch):
    """A function that skips a test unless a library is installed."""

    def need(name):
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        if name == "keras":
            pytest.importorskip("torch")
        pytest.importorskip(name)

    return need


@pytest.mark.parametrize("name", elsewhere.VALUES)
def test_stated_defaults_are_those_of_each_library(name, available):
    available(name.partition(".")[0])
    parameters = inspect.signature(resolve(name)).parameters
    stated = elsewhere.VALUES[name]
    assert {key: parameters[key].default for key in stated} == stated


@pytest.mark.parametrize("library", ["fastnn", *elsewhere.LIBRARIES])
def test_stated_names_exist_in_each_library(library, available):
    available(library)
    for name, parameter in elsewhere.promised():
        if name.partition(".")[0] == library:
            found = resolve(name)
            assert not parameter or parameter in inspect.signature(found).parameters, name


@pytest.mark.parametrize("library", elsewhere.LIBRARIES)
@pytest.mark.parametrize("what", ["names", "losses", "defaults"])
def test_a_table_of_names_has_as_many_cells_in_every_row(library, what):
    head, *body = elsewhere.rows(what, library)
    assert body
    assert {len(row) for row in body} == {len(head)}
    assert not [cell for row in body for cell in row if "{" in cell]


PROGRAMS = DOCS / "coming_from" / "programs"


def accuracy_of(program, folder, monkeypatch):
    """Run a program in a folder; return (its accuracy, all its names)."""
    monkeypatch.chdir(folder)
    names = runpy.run_path(str(PROGRAMS / f"{program}.py"))
    return names["accuracy"], names


@pytest.mark.parametrize("program", ["keras_here", "torch_here", "sklearn_here", "sklearn_mlp"])
def test_fastnns_program_beside_another_librarys_runs(program, tmp_path, monkeypatch):
    assert accuracy_of(program, tmp_path, monkeypatch)[0] > 0.85


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras on its backend
@pytest.mark.parametrize("library", elsewhere.LIBRARIES)
def test_programs_side_by_side_do_the_same(library, tmp_path, monkeypatch, available):
    available(library)
    theirs, there = accuracy_of(f"{library}_there", tmp_path, monkeypatch)
    ours, here = accuracy_of(f"{library}_here", tmp_path, monkeypatch)
    assert ours == pytest.approx(theirs, abs=0 if library == "sklearn" else 0.05)
    if library == "keras":
        net, X = here["net"], here["X"]
        net.set_weights(there["net"].get_weights())
        expected = there["net"].predict(X, verbose=0)
        np.testing.assert_allclose(net.predict(X), expected, atol=1e-5)


def test_every_program_beside_another_is_on_a_page():
    pages = "".join(page.read_text() for page in (DOCS / "coming_from").glob("*.rst"))
    for path in PROGRAMS.glob("*.py"):
        assert f".. literalinclude:: programs/{path.name}\n" in pages


# ---- links --------------------------------------------------------------------------------------


def texts():
    """Yield each page, the tutorial's too, with its text."""
    for page in PAGES + GALLERY:
        yield pytest.param(page, page.read_text(), id=name_of(page))


@pytest.mark.parametrize(("page", "text"), list(texts()))
def test_links_lead_to_pages_and_names(page, text):
    for target in re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", text):
        path = (page.parent / target).resolve()
        if page.parent.name == "gallery":
            path = (DOCS / "tutorial" / target).resolve()
        made = [DOCS / "gallery" / f"{path.name}.py"] if path.parent.name == "tutorial" else []
        if path == DOCS / "tutorial" / "index":
            made = [DOCS / "gallery" / "GALLERY_HEADER.rst"]
        assert any(p.exists() for p in [*made, *(Path(f"{path}{e}") for e in (".rst", ".md"))]), (
            target
        )
    for name in re.findall(r"(?<![`:\w])`(fastnn\.[\w.]+)`(?!`)", text):
        resolve(name)
    for path in re.findall(r"^\.\. (?:image|figure|literalinclude|include):: (\S+)", text, re.M):
        assert (page.parent / path).exists(), path


def resolve(name):
    """Return what a dotted name stands for; an error where there is none."""
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 1):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[: i + 1]))
        found = getattr(found, part)
    return found


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for page in PAGES:
        for tree in re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)+)", page.read_text(), re.M):
            for line in tree.splitlines():
                target = re.search(r"(?:<)?([\w/-]+)>?$", line.strip())
                if target and not line.strip().startswith(":"):
                    listed.add((page.parent / target[1]).resolve())
    pages = {p.with_suffix("").resolve() for p in [*PAGES, *DOCS.glob("*.md")]}
    assert pages - {DOCS / "index"} <= listed
