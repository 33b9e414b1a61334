"""A wheel for Linux on x86-64, and its test on an older system: `make wheel`.

    python packaging/linux_wheel.py             # from this tree, or
    python packaging/linux_wheel.py SDIST

Builds the wheel with this machine's compiler and C library, linked so that it needs no symbol newer
than manylinux_2_28 allows. auditwheel confirms this and names the wheel, which is put in dist/. The
script then runs the tests that cibuildwheel runs for each wheel (`test-command` in pyproject.toml),
with the wheel, on Debian 12 in a new root directory. The directory is kept in build/debian, so that
a second run downloads only Python packages.

Requires Linux on x86-64, GCC or Clang, and pip, auditwheel and patchelf; the tests also require
CPython 3.11, which is Debian 12's, root, and debootstrap.

Not here: the wheels of a release, which cibuildwheel builds.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import debian

ROOT = debian.ROOT
BUILD, DIST = ROOT / "build/linux_wheel", ROOT / "dist"
PLATFORM = "manylinux_2_28_x86_64"
MOST_BYTES = 3 << 20
RELEASE, PYTHON = "bookworm", (3, 11)

#: Before glibc 2.34, the functions in older_glibc.h are in a separate library.
FLAGS = {
    "CFLAGS": f"-include {Path(__file__).with_name('older_glibc.h')}",
    "LDFLAGS": "-Wl,--push-state,--no-as-needed -l:libpthread.so.0 -Wl,--pop-state",
}


def run(*command, **options):
    """Run a command; if it fails, end this program."""
    print("+", *command, flush=True)
    done = subprocess.run([str(part) for part in command], check=False, **options)
    if done.returncode:
        sys.exit(f"{command[0]} failed with code {done.returncode}")


def build(source):
    """Build the wheel, let auditwheel check and name it, and return its path in dist/."""
    shutil.rmtree(BUILD, ignore_errors=True)
    python = sys.executable, "-m"
    run(*python, "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", BUILD, source,
        env={**os.environ, **FLAGS})  # fmt: skip
    (built,) = BUILD.glob("*.whl")
    repaired = BUILD / "repaired"
    run(*python, "auditwheel", "repair", "--strip", "--only-plat", "--plat", PLATFORM,
        "-w", repaired, built)  # fmt: skip
    (wheel,) = repaired.glob("*.whl")
    run(*python, "auditwheel", "show", wheel)
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes")
    if wheel.stat().st_size > MOST_BYTES:
        sys.exit(f"the wheel is larger than {MOST_BYTES:,} bytes")
    DIST.mkdir(exist_ok=True)
    return Path(shutil.copy(wheel, DIST))


def test(wheel):
    """Run the tests of wheels on Debian 12."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    system = debian.make(RELEASE, ROOT / "build/debian" / RELEASE, ["python3", "python3-venv"])
    place = BUILD / "test"  # a folder without the package's sources, as in cibuildwheel
    place.mkdir()
    for name in settings["test-sources"]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / name)
    shutil.copy(wheel, place)
    commands = [
        "python3 -m venv venv",
        "PATH=$PWD/venv/bin:$PATH",
        f"pip install --quiet ./{wheel.name} {' '.join(settings['test-requires'])}",
        "grep PRETTY /etc/os-release; ldd --version | head -1",
        *settings["test-command"],
    ]
    script = "; ".join(["set -e", *commands])
    run(*debian.inside(system), "sh", "-c", script, cwd=place)


def main():
    """Build and test."""
    wheel = build(*sys.argv[1:] or [ROOT])
    if sys.version_info[:2] == PYTHON:
        test(wheel)
    else:
        print(f"not tested on Debian 12, whose Python is 3.11 and not {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
