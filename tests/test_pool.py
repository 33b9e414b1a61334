"""The pool of threads alone: compiles pool/test_pool.c and runs it.

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


def test_the_pool_keeps_its_promises(tmp_path):
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no C compiler {compiler[0]!r} to build the pool's own test with; set CC")
    engine = ROOT / "src/fastnn/engine"
    sources = [engine / "pool.c", engine / "platform/posix.c", ROOT / "tests/pool/test_pool.c"]
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    program = tmp_path / "test_pool"
    subprocess.run([*compiler, *flags, "-I", engine, *sources, "-o", program, "-lm"], check=True)
    result = subprocess.run([program], capture_output=True, text=True, check=False, timeout=LONG)
    assert result.returncode == 0, result.stderr
