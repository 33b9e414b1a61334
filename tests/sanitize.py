"""The tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer.

    make sanitize                                       # every test but the slow ones
    python tests/sanitize.py tests/test_kernels.py      # some of them

Builds the extensions into build/sanitize, and runs pytest with them in place of the installed ones.
Any report is a failure. Before that, a program reads past the end of an array on purpose, to prove
that the sanitizers work. Leaks are not checked, since Python's own would hide them (tests/soak.py
checks memory).
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "sanitize"
REPORTS = BUILD / "reports"

# One row is allocated, and 100 are read.
OVER_READ = """
import numpy as np
from fastnn import MLP, Dense, embedding
net = MLP(16, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
workspace, x, out = embedding.Workspace(net, 100), np.zeros((1, 16), "f4"), np.zeros((100, 1), "f4")
embedding.functions().predict_f32(workspace.address, 100, x.ctypes.data, out.ctypes.data)
"""


def build():
    """Compile and install into the build's folder; return where the package is."""
    options = ["-Db_sanitize=address,undefined", "-Db_lundef=false"]
    options += [
        "-Dbuildtype=debugoptimized",
        "-Doptimization=1",
        "-Dpython.platlibdir=/site",
        "--prefix=/",
    ]
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, *options], cwd=ROOT, check=True)
    env = os.environ | {"DESTDIR": str(BUILD / "root")}
    subprocess.run(["meson", "install", "-C", BUILD, "--quiet"], env=env, check=True)
    return BUILD / "root" / "site"


def runtime(name):
    """Return the path of a sanitizer's library, which must be loaded before all others."""
    command = [os.environ.get("CC", "cc"), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def reported():
    """Return the reports of the sanitizers, and remove their files."""
    paths = sorted(REPORTS.glob("*"))
    text = "".join(path.read_text(errors="replace") for path in paths)
    for path in paths:
        path.unlink()
    return text


def main():
    """Build, prove that an over-read is caught, and run the tests."""
    site = build()
    REPORTS.mkdir(exist_ok=True)
    reported()
    # Reports go to files: pytest would keep them to itself when a report ends its process. An abort
    # makes it print where in Python that was.
    env = os.environ | {
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1"
        f":log_path={REPORTS / 'address'}",
        "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1"
        f":log_path={REPORTS / 'undefined'}",
        "PYTHONPATH": str(site),
    }
    where = [sys.executable, "-c", "import fastnn; print(fastnn.__file__)"]
    found = subprocess.run(where, env=env, cwd="/", capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(site)), found.stdout
    planted = [sys.executable, "-c", OVER_READ]
    subprocess.run(planted, env=env, cwd="/", capture_output=True)
    if "AddressSanitizer: heap-buffer-overflow" not in reported():
        sys.exit("a planted read past the end of an array was not caught")
    print("a planted read past the end of an array is caught", flush=True)
    arguments = sys.argv[1:] or ["-m", "not slow and not lean", "tests"]
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests += ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]
    tests += arguments
    done = subprocess.run(tests, env=env, cwd=ROOT)
    report = reported()
    print(report, end="", flush=True)
    sys.exit(done.returncode or bool(report))


if __name__ == "__main__":
    main()
