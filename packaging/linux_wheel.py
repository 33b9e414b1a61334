"""A wheel for Linux on x86-64, and its test on an older system: `make wheel`.

Builds the wheel with this machine's compiler and the C library of an older Debian, so that it asks
for no symbol newer than manylinux_2_28 allows; auditwheel confirms that and names the wheel, which
is put in dist/. Then installs it on Debian 12, in a new root directory, and runs some of the tests
there. Everything else is kept in build/wheel-for-linux, so that a second run downloads nothing.

Needs Linux on x86-64, CPython 3.11 (Debian 12's) with pip, auditwheel and patchelf, GCC, root (for
debootstrap and chroot), and Debian's package debootstrap.

Not here: the wheels of a release, which cibuildwheel builds as pyproject.toml says.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build/wheel-for-linux"
SYSROOT, RAW, SYSTEM = (BUILD / name for name in ("sysroot", "raw", "debian12"))
DIST = ROOT / "dist"
PLATFORM = "manylinux_2_28_x86_64"
MOST_BYTES = 3 << 20

#: What a compiler needs of glibc 2.31, and the Debian that has it.
OLDER, HEADERS = "bullseye", ("libc6", "libc6-dev", "libcrypt-dev", "linux-libc-dev")
LIBRARIES = "usr/lib/x86_64-linux-gnu"

NEEDED = "numpy", "scipy", "scikit-learn", "pandas", "mpmath", "hypothesis", "pytest"
TESTS = ("test_digests.py", "test_fit.py", "test_files.py", "test_kernels.py", "test_threads.py",
         "test_forks.py", "test_stages.py")  # fmt: skip


def run(*command, **options):
    """Run a command; its failure ends this program."""
    print("+", *command, flush=True)
    done = subprocess.run([str(part) for part in command], check=False, **options)
    if done.returncode:
        sys.exit(f"{command[0]} failed with code {done.returncode}")


def debootstrap(release, folder, *options):
    """Return a new root directory of a Debian release, to be renamed once it is whole."""
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with (BUILD / f"{release}.log").open("w") as log:
        run("debootstrap", "--variant=minbase", *options, release, unfinished, stdout=log)
    return unfinished


def make_sysroot():
    """Unpack the older C library; the compiler takes its headers and links with it."""
    if SYSROOT.exists():
        return
    include = f"--include={','.join(HEADERS)}"
    packages = debootstrap(OLDER, SYSROOT, "--foreign", include) / "var/cache/apt/archives"
    folder = BUILD / "headers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in HEADERS:
        (package,) = packages.glob(f"{name}_*.deb")
        run("dpkg", "-x", package, folder)
    for link in list(folder.rglob("*")):  # absolute ones lead to this machine's libraries
        if link.is_symlink() and os.readlink(link).startswith("/"):
            target = folder / os.readlink(link).lstrip("/")
            link.unlink()
            link.symlink_to(os.path.relpath(target, link.parent))
    folder.rename(SYSROOT)
    shutil.rmtree(packages.parents[3])


def build():
    """Build the wheel, let auditwheel name it, and return its path in dist/."""
    shutil.rmtree(RAW, ignore_errors=True)
    # -B, since a compiler that is installed outside of the sysroot searches its own system first;
    # -idirafter for Python's headers, which the sysroot has not.
    options = f"--sysroot={SYSROOT} -B{SYSROOT / LIBRARIES} -idirafter /usr/include"
    compiler = f"{os.environ.get('CC', 'gcc')} {options}"
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", RAW, ROOT,
        env={**os.environ, "CC": compiler})  # fmt: skip
    (raw,) = RAW.glob("*.whl")
    repaired = RAW / "repaired"
    run(sys.executable, "-m", "auditwheel", "repair", "--plat", PLATFORM, "-w", repaired, raw)
    (wheel,) = repaired.glob("*.whl")
    run(sys.executable, "-m", "auditwheel", "show", wheel)
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes")
    if wheel.stat().st_size > MOST_BYTES:
        sys.exit(f"the wheel is larger than {MOST_BYTES:,} bytes")
    DIST.mkdir(exist_ok=True)
    return shutil.copy(wheel, DIST)


def make_system():
    """Make Debian 12's root directory, with the packages of the tests in a virtual environment."""
    if SYSTEM.exists():
        return
    folder = debootstrap("bookworm", SYSTEM, "--include=python3,python3-venv")
    platforms = [part for n in (28, 27, 17) for part in ("--platform", f"manylinux_2_{n}_x86_64")]
    run(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", *platforms,
        "--dest", folder / "wheels", *NEEDED)  # fmt: skip
    run("chroot", folder, "python3", "-m", "venv", "/venv")
    pip = "/venv/bin/pip", "install", "--quiet", "--no-index", "--find-links=/wheels"
    run("chroot", folder, *pip, *NEEDED)
    folder.rename(SYSTEM)


def try_on_system(wheel):
    """Install the wheel on Debian 12 and run the tests there, in a namespace with a /proc."""
    shutil.copy(wheel, SYSTEM)
    run("chroot", SYSTEM, "/venv/bin/pip", "install", "--quiet", "--no-index", "--no-deps",
        "--force-reinstall", f"/{Path(wheel).name}")  # fmt: skip
    place = SYSTEM / "sources"
    shutil.rmtree(place, ignore_errors=True)
    for name in ("tests", "docs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    tests = " ".join(f"tests/{name}" for name in TESTS)
    inside = f"""
        grep PRETTY /etc/os-release && ldd --version | head -1 && cd /sources &&
        /venv/bin/fastnn verify &&
        exec /venv/bin/python -m pytest -q -m "not slow" -p no:cacheprovider {tests}
    """
    mounts = f"mount -t proc proc {SYSTEM}/proc && mount --rbind /dev {SYSTEM}/dev"
    run("unshare", "--mount", "sh", "-c", f"{mounts} && exec chroot {SYSTEM} sh -c '{inside}'")


def main():
    """Build and test."""
    missing = [name for name in ("debootstrap", "dpkg", "patchelf") if shutil.which(name) is None]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}; see the head of {__file__}")
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"needs CPython 3.11, Debian 12's, not {sys.version.split()[0]}")
    BUILD.mkdir(parents=True, exist_ok=True)
    make_sysroot()
    wheel = build()
    make_system()
    try_on_system(wheel)


if __name__ == "__main__":
    main()
