"""The pool of threads alone, and the size of teams: compiles pool/*.c and runs the programs.

Not here: ThreadSanitizer's verdict on the same program (`make tsan`), and fits and predictions on
several threads (test_threads.py).
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from conditions import LONG

ROOT = Path(__file__).parent.parent


ENGINE = ROOT / "src/fastnn/engine"
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]


def run_program(name, tmp_path, *sources):
    """Compile pool/NAME.c with sources of the engine, and run it; it must end with 0."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no C compiler {compiler[0]!r} to build the pool's own test with; set CC")
    program = tmp_path / name
    files = [*(ENGINE / source for source in sources), ROOT / f"tests/pool/{name}.c"]
    subprocess.run([*compiler, *FLAGS, "-I", ENGINE, *files, "-o", program, "-lm"], check=True)
    result = subprocess.run([program], capture_output=True, text=True, check=False, timeout=LONG)
    assert result.returncode == 0, result.stderr


def test_the_pool_keeps_its_promises(tmp_path):
    run_program("test_pool", tmp_path, "pool.c", "platform/posix.c")


def test_a_team_finds_its_best_size(tmp_path):
    run_program("test_pace", tmp_path)
