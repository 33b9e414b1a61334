"""What describes fastnn to installers, indexes and readers agrees with pyproject.toml.

The name of the distribution, the version and the summary are repeated in files that other programs
read, and in commands of the documentation. Not here: whether the sdist and the wheel build (`make
sdist`, `make wheel`).
"""

import ast
import importlib
import platform
import re
import sys
import tomllib
from pathlib import Path

import conftest
import pytest

import fastnn

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
NAME = PROJECT["name"]
MADE = {"build", "dist", "tutorial", "generated"}  # folders that a build makes
KINDS = {".py", ".rst", ".md", ".toml", ".yml", ".yaml", ".pyx"}


def text(path):
    return (ROOT / path).read_text()


def program(page):
    (found,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return found


def documents():
    """Return the texts in which a command to install fastnn may be."""
    places = [ROOT / name for name in ("src", "docs", "examples", "packaging", "bench", ".github")]
    files = [*ROOT.glob("*.md"), *(path for place in places for path in place.rglob("*"))]
    return [f for f in files if f.suffix in KINDS and not MADE & set(f.relative_to(ROOT).parts)]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("meson.build", r"^  version: '(.*)',$"),
        ("CITATION.cff", r"^version: (.*)$"),
        ("packaging/conda/recipe.yaml", r'^  version: "(.*)"$'),
    ],
)
def test_the_version_is_the_same_everywhere(path, pattern):
    assert re.findall(pattern, text(path), re.MULTILINE) == [PROJECT["version"]]
    assert PROJECT["version"] == fastnn.__version__


def test_the_changelog_has_the_version():
    assert f"\n## {PROJECT['version']} - " in text("CHANGELOG.md")


def test_the_summary_is_the_same_everywhere():
    for path in ("CITATION.cff", "packaging/conda/recipe.yaml"):
        assert text(path).count(f": {PROJECT['description']}\n") == 1


@pytest.mark.parametrize("path", ["README.md", "docs/index.rst"])
def test_the_pages_state_the_name_of_the_distribution(path):
    assert NAME != "fastnn"  # which another project has there
    assert re.search(rf"distribution is named `+{NAME}`+, and the\s+module is imported", text(path))


def test_no_command_installs_the_project_that_has_fastnns_name():
    wrong = re.compile(r"pip install[^\n`]*[\s'\"]fastnn(?![-\w./])")
    assert wrong.search("pip install 'fastnn[onnx]'")
    assert wrong.search("pip install fastnn")
    assert not wrong.search(f"pip install {NAME}")
    assert [str(path) for path in documents() if wrong.search(path.read_text())] == []


def test_packages_that_need_fastnn_require_its_distribution():
    files = list((ROOT / "examples").rglob("pyproject.toml"))
    assert len(files) == 2
    for path in files:
        found = tomllib.loads(path.read_text())
        assert NAME in found["build-system"]["requires"], path
        assert found["project"]["dependencies"] == [NAME], path


def test_the_recipe_requires_what_pyproject_requires():
    recipe = text("packaging/conda/recipe.yaml")
    assert f"\n  name: {NAME}\n" in recipe
    tests = PYPROJECT["tool"]["cibuildwheel"]["test-requires"]
    for requirement in PROJECT["dependencies"] + PYPROJECT["build-system"]["requires"] + tests:
        spaced = requirement.replace(">=", " >=").lower()
        assert f"- {spaced}\n" in recipe, requirement


def test_the_page_for_an_index_needs_no_file_beside_it():
    page = text(PROJECT["readme"])
    assert re.findall(r"!\[|<img|\]\((?!https?:)", page) == []
    assert f"named `{NAME}`" in page
    assert program(page) == program(text("README.md"))  # which test_readme.py runs


def test_wheels_are_built_for_each_python_that_is_promised():
    versions = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line)
                for line in PROJECT["classifiers"]]  # fmt: skip
    promised = {f"cp{match[1].replace('.', '')}-*" for match in versions if match}
    assert promised <= set(PYPROJECT["tool"]["cibuildwheel"]["build"])
    oldest = PROJECT["requires-python"].removeprefix(">=").replace(".", "")
    assert f"cp{oldest}-*" in promised


def test_the_tests_of_wheels_exist():
    *_, command = PYPROJECT["tool"]["cibuildwheel"]["test-command"]
    files = re.findall(r"tests/\S+\.py", command)
    assert files
    assert all((ROOT / name).exists() for name in files)


@pytest.fixture
def pythons(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "packaging")
    return importlib.import_module("pythons")


def test_interpreters_are_asked_for_their_version(pythons):
    found = pythons.named(sys.executable)
    assert found.version.rstrip("t") == platform.python_version()
    assert pythons.identified(["false"], sys.executable) is None
    with pytest.raises(SystemExit, match="'no-python' does not run as a Python; name a command"):
        pythons.named("no-python")


def test_the_versions_of_python_that_are_looked_for(pythons):
    assert pythons.VERSIONS[0] == PROJECT["requires-python"].removeprefix(">=")
    assert set(pythons.VERSIONS) >= {"3.11", "3.12", "3.13", "3.14"}


def test_the_result_of_an_interpreter_is_the_last_line_of_pytest(pythons):
    log = "1 passed in 2s\n== FAILURES ==\nE  3 passed\n= 1 failed, 9 passed in 65.1s (0:01:05) =\n"
    assert pythons.closing_line(log) == "1 failed, 9 passed in 65.1s (0:01:05)"
    assert pythons.closing_line("12 passed, 3 warnings in 0.10s\n").endswith("3 warnings in 0.10s")
    assert pythons.closing_line("ImportError: numpy\n") == "no tests ran"


def imported(path):
    """Return the packages that a file imports at its head."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


def test_a_file_is_skipped_if_a_package_that_it_imports_has_no_wheel_for_this_python():
    """Whatever the files of tests import at their heads is there, or is in conftest's list."""
    files = list((ROOT / "tests").glob("*.py"))
    found = {name for path in files for name in imported(path)}
    there = {"fastnn", "numpy", "pytest", "hypothesis"} | set(sys.stdlib_module_names)
    assert found - there - {path.stem for path in files} == conftest.OPTIONAL


@pytest.mark.parametrize(
    ("name", "outcomes", "line"),
    [
        ("polars", {"skipped": 1}, "*polars is not installed*"),
        ("numpy.lost", {"errors": 1}, "*No module named 'numpy.lost'*"),
    ],
)
def test_only_packages_of_the_extra_may_be_missing(pytester, name, outcomes, line):
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text())
    pytester.makepyfile(
        hides="import sys; sys.modules['polars'] = None",  # import polars raises ImportError
        helper=f"import {name}",
        test_it="import helper\ndef test_it(): pass",
    )
    pytester.syspathinsert()
    result = pytester.runpytest_subprocess("-p", "hides", "-rs")
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines([line])
