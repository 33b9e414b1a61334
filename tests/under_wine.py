"""Parts of fastnn built for Windows and run: `make windows`.

Wine runs what Clang, with the C headers and libraries of the package ziglang, builds for Windows on
x86-64: every leaf of every instruction set against plain loops on guarded buffers (leaves/), the
pool and engine/platform (pool/), and the C source of networks, whose training must end with the
bits of the same source on this system.

Needs wine, Linux on x86-64, and an installed fastnn. Not here: compilations for macOS
(other_systems.py); the package itself on Windows, which needs Python for Windows.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import test_leaves
from recipe import STRICT

import fastnn

TESTS = Path(__file__).parent
ENGINE = TESTS.parent / "src/fastnn/engine"
WINDOWS = "x86_64-windows-gnu"
HERE = "x86_64-linux-gnu"
#: The engine's flag, too: a compiler must not fuse what the source does not.
PLAIN = ["-O2", "-ffp-contract=off"]

#: Trains on made-up rows, and prints the weights as they lie in memory.
TRAINER = """
#include "net.h"
#include <stdio.h>

int main(void) {{
    static net_weights weights;
    static {real} x[{n_in}], y[{n_out}];
    const unsigned char *bytes = (const unsigned char *)&weights;
    unsigned state = 1;
    weights = net_trained;
    for (int step = 0; step < 2000; step++) {{
        for (int i = 0; i < {n_in}; i++)
            x[i] = ({real})((state = state * 1664525u + 1013904223u) >> 8) / 16777216 - ({real})0.5;
        for (int i = 0; i < {n_out}; i++) y[i] = x[i] * x[i + 1];
        net_step(&weights, x, y, ({real})0.05);
    }}
    for (size_t i = 0; i < sizeof weights; i++) printf("%02x", bytes[i]);
    return 0;
}}
"""


def compiled(target, arguments):
    """Run the compiler for a system; an error or a warning ends this program."""
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *STRICT, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        sys.exit(f"{' '.join(map(str, arguments))}\n{done.stderr}")


def run(program, *arguments):
    """Run a program, a Windows program by Wine; return its output, or end if it fails."""
    wine = ["wine"] if program.suffix == ".exe" else []
    quiet = {"WINEDEBUG": "-all", "XDG_RUNTIME_DIR": str(program.parent), **os.environ}
    done = subprocess.run([*wine, program, *arguments], env=quiet, capture_output=True, text=True,
                          check=False)  # fmt: skip
    if done.returncode:
        sys.exit(f"{program.name} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.replace("\r", "")


def check_leaves(folder, bits):
    """Check every leaf of every table that this CPU can run."""
    jobs = {folder / name: args for name, args in test_leaves.compilations(bits, "windows").items()}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        each = [[*args, "-c", "-o", path] for path, args in jobs.items()]
        list(threads.map(lambda arguments: compiled(WINDOWS, arguments), each))
    program = folder / f"check_leaves_{bits}.exe"
    compiled(WINDOWS, [*jobs, "-o", program])
    lines = run(program).splitlines()
    tables = dict.fromkeys(line.split()[1] for line in lines)
    print(f"leaves, float{bits}: {len(lines)} right, of {', '.join(tables)}", flush=True)


def check_pool(folder):
    """Check the guarantees of pool.h and the functions of platform.h."""
    sources = [ENGINE / "pool.c", ENGINE / "platform/windows.c", TESTS / "pool/test_pool.c"]
    program = folder / "test_pool.exe"
    compiled(WINDOWS, [*PLAIN, "-I", ENGINE, *sources, "-lpthread", "-o", program])
    print(f"pool: {run(program)}", end="", flush=True)


def check_source(folder, dtype):
    """Check that a network as C source trains to the same bits on both systems."""
    layers = [fastnn.Dense(17, "tanh"), fastnn.Dense(9, "gelu"), fastnn.Dense(3)]
    net = fastnn.MLP(5, layers, loss="squared_error", optimizer="sgd",
                     dtype=dtype, seed=3)  # fmt: skip
    net.to_c(folder / "net.c", training=True)
    real = {"float32": "float", "float64": "double"}[dtype]
    (folder / "main.c").write_text(TRAINER.format(real=real, n_in=net.n_in, n_out=net.n_out))
    printed = []
    for target, suffix in ((WINDOWS, ".exe"), (HERE, "")):
        program = folder / f"trainer{suffix}"
        compiled(target, [*PLAIN, folder / "net.c", folder / "main.c", "-o", program])
        printed.append(run(program))
    if printed[0] != printed[1]:
        sys.exit(f"C source, {dtype}: trained to other bits than on this system")
    print(f"C source, {dtype}: {len(printed[0]) // 2} bytes of weights are equal", flush=True)


def main():
    """Build and run all programs; end with 1 at the first failure."""
    if shutil.which("wine") is None:
        sys.exit("wine is not found; on Debian: apt-get install wine")
    with tempfile.TemporaryDirectory() as name:
        for check, argument in ((check_pool, ()), (check_source, ("float32",)),
                                (check_source, ("float64",)), (check_leaves, (32,)),
                                (check_leaves, (64,))):  # fmt: skip
            folder = Path(tempfile.mkdtemp(dir=name))
            check(folder, *argument)


if __name__ == "__main__":
    main()
