"""Compiles fastnn's C code for macOS and Windows: `make other-systems`.

The pool, engine/platform, the C interface, the dispatch and every leaf, for both precisions and
each instruction set that the build has for a system's CPUs, with the flags of the build; a warning
is an error. The compiler is Clang with the C headers of these systems, from the package ziglang.

Here nothing is linked or run. Not here: the code that Cython generates, since that needs Python's
headers for these systems.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recipe import STRICT, list_of_the_build, set_macro

SOURCES = Path(__file__).parent.parent / "src/fastnn"
#: For each system: how the compiler calls it, its family of CPUs, its source in engine/platform.
SYSTEMS = [
    ("aarch64-macos", "aarch64", "posix"),
    ("x86_64-macos", "x86_64", "posix"),
    ("x86_64-windows-gnu", "x86_64", "windows"),
]
COMPILER = [sys.executable, "-m", "ziglang", "cc"]


def jobs(target, family, platform):
    """Return the name and the arguments of each compilation for a system."""
    rows = [row for row in list_of_the_build("instruction_sets") if row[1] in (family, "any")]
    whole = [SOURCES / "engine/pool.c", SOURCES / f"engine/platform/{platform}.c"]
    found = [(source.stem, [source]) for source in (*whole, SOURCES / "capi/functions.c")]
    macros = "".join(set_macro(isa, flags) for isa, _, flags in rows)
    for bits in ("32", "64"):
        precision = f"-DFASTNN_BITS={bits}"
        dispatch = [precision, f"-DFASTNN_INSTRUCTION_SETS={macros}"]
        found.append((f"dispatch {bits}", [*dispatch, SOURCES / "engine/simd/dispatch.c"]))
        for isa, _, flags in rows:
            flags = [*list_of_the_build("leaf_flags"), *flags, precision, f"-DFASTNN_ISA={isa}"]
            for name in ("ops", "tiny"):
                source = SOURCES / f"engine/simd/{name}.c"
                found.append((f"{name} {bits} {isa}", [*flags, source]))
    general = ["-target", target, *STRICT, "-O1", "-ffp-contract=off"]
    return [(f"{target}: {name}", [*general, *arguments]) for name, arguments in found]


def complaint(arguments):
    """Compile one source; return the messages of the compiler."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*COMPILER, *map(str, arguments), "-c", "-o", f"{folder}/object.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr or (f"it ended with code {done.returncode}\n" if done.returncode else "")


def main():
    """Compile everything; end with 1 if any compilation failed or warned."""
    todo = [job for system in SYSTEMS for job in jobs(*system)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = list(pool.map(complaint, [arguments for _, arguments in todo]))
    failed = [(name, text) for (name, _), text in zip(todo, complaints, strict=True) if text]
    for name, text in failed:
        print(f"== {name}\n{text}", end="")
    print(f"{len(todo)} compilations for {len(SYSTEMS)} systems, {len(failed)} with complaints")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
