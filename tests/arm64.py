"""The arm64 build under emulation: `make arm64`, or `python tests/arm64.py TEST...`.

Builds fastnn with a cross compiler against Debian's Python for arm64, and runs tests in the user
emulation of qemu: by default the digests of all trainings, which are to be those of x86-64, the
kernels and the vector functions. If tests are named, packages that only some tests need are
installed, too; `tests` is the whole fast suite, which takes hours.
Everything is kept in build/arm64, so that a second run compiles only what has changed.

Needs Linux on x86-64, root (for debootstrap), Debian's packages qemu-user-static, debootstrap,
gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, meson and ninja; tests of C sources as C++ need
g++-aarch64-linux-gnu. Tests that start programs need
arm64 registered with binfmt_misc, as qemu-user-static does when it is installed.

Not here: the tests themselves; a build on an arm64 machine, which is `pip install .`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build/arm64"
SYSTEM, PACKAGES, OBJECTS, TREE = (BUILD / name for name in ("root", "site", "objects", "src"))
RELEASE, PYTHON = "trixie", "3.13"
COMMANDS = "qemu-aarch64-static", "debootstrap", "dpkg", "aarch64-linux-gnu-gcc", "meson", "ninja"
WHEELS = "numpy", "scipy", "pandas", "python-dateutil", "pytz", "tzdata", "six", "pytest", "pluggy"
WHEELS += "pytest-xdist", "execnet", "iniconfig", "packaging", "pygments", "hypothesis"
WHEELS += "sortedcontainers", "attrs", "mpmath"
MORE_WHEELS = "scikit-learn", "joblib", "threadpoolctl", "narwhals", "cloudpickle", "loky", "tqdm"
MORE_WHEELS += "safetensors", "polars", "polars-runtime-32", "pyarrow", "matplotlib", "contourpy"
MORE_WHEELS += "cycler", "fonttools", "kiwisolver", "pillow", "pyparsing", "onnx", "protobuf"
MORE_WHEELS += "ml-dtypes", "typing-extensions"
#: Without `portable`, which is compiled to the instructions of `neon` here.
TESTS = [f"tests/test_{name}.py" for name in ("digests", "kernels", "vmath")]
TESTS += ["-k", "not portable"]

CROSS_FILE = """\
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
python = '{build}/python'
numpy-config = '{build}/numpy-config'
exe_wrapper = ['qemu-aarch64-static', '-L', '{system}']
[built-in options]
c_args = ['-idirafter', '{system}/usr/include',
          '-idirafter', '{system}/usr/include/aarch64-linux-gnu']
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8-a'
endian = 'little'
"""

#: Without SVE, in which NumPy's OpenBLAS multiplies wrongly under this emulation.
EMULATED = """\
#!/bin/sh
QEMU_CPU=max,sve=off QEMU_LD_PREFIX={system} PYTHONPATH={packages}${{PYTHONPATH:+:$PYTHONPATH}} \\
    exec qemu-aarch64-static {system}/usr/bin/python3 {arguments}"$@"
"""
#: Under the names of this machine's own compilers, for tests that load what they have compiled.
#: They know no CPU called native.
COMPILERS = {"gcc": "aarch64-linux-gnu-gcc", "cc": "aarch64-linux-gnu-gcc",
             "g++": "aarch64-linux-gnu-g++", "clang": "clang --target=aarch64-linux-gnu",
             "clang++": "clang++ --target=aarch64-linux-gnu"}  # fmt: skip
COMPILER = """\
#!/bin/sh
for argument; do shift; [ "$argument" = -march=native ] || set -- "$@" "$argument"; done
for folder in {system}/usr/include {system}/usr/include/aarch64-linux-gnu; do
    set -- "$@" -idirafter $folder
done
exec {command} "$@"
"""
CONFIG = "-c 'from numpy._configtool import main; main()' "


def run(*command, **options):
    """Run a command; its failure ends this program."""
    print("+", *command, flush=True)
    done = subprocess.run([str(part) for part in command], check=False, **options)
    if done.returncode:
        sys.exit(f"{command[0]} failed with code {done.returncode}")


def make_system():
    """Unpack Debian's Python for arm64. Packages are unpacked, not configured: nothing needs it."""
    if (SYSTEM / "usr/bin/python3").exists():
        return
    shutil.rmtree(SYSTEM, ignore_errors=True)
    SYSTEM.mkdir(parents=True)
    options = "--foreign", "--arch=arm64", "--variant=minbase", "--include=python3,python3-dev"
    with (BUILD / "debootstrap.log").open("w") as log:
        run("debootstrap", *options, RELEASE, SYSTEM, stdout=log)
    for package in sorted((SYSTEM / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, SYSTEM], check=True)


def make_packages(wheels):
    """Install wheels for arm64: pip takes them for another machine if it need not run them."""
    wanted = [name for name in wheels if not list(PACKAGES.glob(f"{name.replace('-', '_')}-*"))]
    if not wanted:
        return
    platforms = (f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 24, 17))
    names = [part for name in platforms for part in ("--platform", name)]
    kind = "--no-deps", "--only-binary", ":all:", "--python-version", PYTHON, *names
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", PACKAGES, *kind, *wanted)


def make_commands():
    """Write compilers, Meson's cross file, and python and numpy-config under emulation."""
    places = {"build": BUILD, "system": SYSTEM, "packages": PACKAGES}
    for name, arguments in (("python", ""), ("numpy-config", CONFIG)):
        path = BUILD / name
        path.write_text(EMULATED.format(arguments=arguments, **places))
        path.chmod(0o755)
    (BUILD / "bin").mkdir(exist_ok=True)
    for name, command in COMPILERS.items():
        if found := shutil.which(command.split()[0]):
            path = BUILD / "bin" / name
            path.write_text(COMPILER.format(command=command.replace(command.split()[0], found, 1),
                                            **places))  # fmt: skip
            path.chmod(0o755)
    (BUILD / "cross.ini").write_text(CROSS_FILE.format(**places))


def build():
    """Compile, and put the compiled modules beside a copy of the Python files."""
    if not (OBJECTS / "build.ninja").exists():
        run("meson", "setup", "--buildtype=release", "--cross-file", BUILD / "cross.ini", OBJECTS,
            cwd=ROOT, stdout=subprocess.DEVNULL)  # fmt: skip
    run("ninja", "-C", OBJECTS, "--quiet")
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(ROOT / "src", TREE, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for module in (OBJECTS / "src/fastnn").glob("_kernels_*.so"):
        shutil.copy(module, TREE / "fastnn")


def main():
    """Build fastnn and run the tests."""
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}; see the head of {__file__}")
    BUILD.mkdir(parents=True, exist_ok=True)
    make_system()
    make_packages(WHEELS + MORE_WHEELS if sys.argv[1:] else WHEELS)
    make_commands()
    build()
    tests = sys.argv[1:] or TESTS
    pytest = "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"
    # Named, since the interpreter as it sees itself starts only where the kernel knows qemu.
    workers = f"{min(4, os.cpu_count() or 1)}*popen//python={BUILD / 'python'}"
    processes = "--dist", "worksteal", "--tx", workers
    paths = {"PYTHONPATH": str(TREE), "PATH": f"{BUILD}/bin:{os.environ['PATH']}"}
    run(BUILD / "python", *pytest, *processes, *tests, cwd=ROOT, env=os.environ | paths)


if __name__ == "__main__":
    main()
