"""The tests on a build of Python without the GIL: `make free-threaded PYTHON=python3.14t`.

    make free-threaded PYTHON=python3.14t                                # every fast test
    make free-threaded PYTHON=python3.14t TESTS=tests/test_threads.py    # some of them

Installs fastnn, and those of the tests' packages that have wheels for this Python, into the
environment that runs this program. Tests of packages without one are skipped. The GIL is off
whatever these packages declare.

Not here: the tests themselves, of which test_free_threads.py is about concurrent calls.
"""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Packages of the tests that read the sources or the types, which are the same for every Python.
LEFT_OUT = "mypy", "pyright"
TESTS = "-m", "not slow", "tests"


def install(*arguments):
    """Return whether pip installs something."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def main():
    """Install, and run the tests."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        sys.exit(f"{sys.executable} has a GIL; pass a free-threaded build: PYTHON=python3.14t")
    if not install("."):
        sys.exit("fastnn cannot be installed")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    missing = []
    for package in project["optional-dependencies"]["test"]:
        if not package.startswith(LEFT_OUT) and not install("--only-binary", ":all:", package):
            missing.append(package)
    print("no wheels for this Python:", ", ".join(missing) or "none is missing", flush=True)
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    env = os.environ | {"PYTHON_GIL": "0"}
    done = subprocess.run([*tests, *(sys.argv[1:] or TESTS)], env=env, cwd=ROOT, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
