"""Instructions of a training step and of a call, compared with committed figures.

    make instructions         # compare with instructions.json; more by TOLERANCE fails
    make instructions-update  # rewrite it; commit it with the change that made the difference

Times vary by about 10 % between runs on a shared machine, so a limit on times would miss a slowdown
of 5 %. Instruction counts, by valgrind, do not vary. Fewer instructions are not always faster,
because some wait for memory, other threads or a division: a claim of speed still needs a benchmark.

Every workload runs in a process of its own, forked after the imports. It runs once to warm up, then
for N steps and for 2 N steps. The difference of these two counts, divided by N, is the cost of one
step, without the cost of calling fit and of measuring. Valgrind does not support AVX-512. The
figures hold for one compiler and for minor versions of Python and NumPy; with other versions they
are shown, but do not fail.
"""

import argparse
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fastnn
from fastnn.benchmarking.cells import CROSS, SQUARED, Cell

TOLERANCE = 0.03
FIGURES = Path(__file__).with_name("instructions.json")
COUNTABLE = [isa for isa in ("avx2", "baseline") if isa in fastnn._cpu.INSTRUCTION_SETS]


# ---- what is counted ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """A workload: `cell.steps` = 2 N steps of fit, or calls with one row."""

    what: str
    cell: Cell
    dtype: str = "float32"

    def __str__(self):
        return f"{self.what}, {self.cell}, {self.dtype}"

    def runner(self):
        """Return a function that runs a given number of steps."""
        net, batch = self.cell.network(self.dtype), self.cell.batch
        X, y = self.cell.data()
        X, y = X.astype(self.dtype), y if self.cell.loss == CROSS else y.astype(self.dtype)
        x, t, out = X[:1], y[:1], np.empty((1, self.cell.sizes[-1]), self.dtype)

        def fit(steps):
            net.fit(X[: steps * batch], y[: steps * batch], batch_size=batch, shuffle=False)

        def predict(calls):
            for _ in range(calls):
                net.predict(x, out=out)

        def train_on_batch(calls):
            for _ in range(calls):
                net.train_on_batch(x, t)

        return {"fit": fit, "predict": predict, "train_on_batch": train_on_batch}[self.what]


def middling(batch, optimizer, steps):
    return Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, batch, optimizer, steps)


DIGITS = Cell((64, 128, 10), "relu", "softmax", CROSS, 32, "adam", 40)
WORKLOADS = [
    Workload("fit", Cell((2, 3, 1), "sigmoid", "sigmoid", SQUARED, 1, "sgd", 8000)),
    Workload("fit", middling(1, "sgd", 600)),
    Workload("fit", middling(1, "adam", 400)),
    Workload("fit", middling(32, "adam", 60)),
    Workload("fit", middling(32, "momentum", 60)),
    Workload("fit", DIGITS),
    Workload("fit", DIGITS, "float64"),
    Workload("fit", Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 32, "adam", 4)),
    Workload("predict", middling(1, "sgd", 400)),
    Workload("train_on_batch", middling(1, "sgd", 400)),
]


# ---- counting -----------------------------------------------------------------------------------


def mark():
    """Make callgrind write its count and restart from 0."""
    os.getppid()  # a cheap function that nothing else calls


def run_workloads():
    """Run each workload in a fork, under callgrind; print the forks' process ids."""
    for workload in WORKLOADS:
        child = os.fork()
        if child == 0:
            gc.disable()
            run, steps = workload.runner(), workload.cell.steps
            run(steps)
            mark()
            run(steps // 2)
            mark()
            run(steps)
            mark()
            os._exit(0)
        print(child, flush=True)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit(f"{workload} failed")


def counted(folder, process, part):
    """Return the instruction count in one of the files that a process has written."""
    for line in (Path(folder) / f"{process}.{part}").read_text().splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise ValueError(f"callgrind wrote no total to {process}.{part}")


def instructions_of(isa):
    """Return the instructions per step of each workload."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "FASTNN_ISA": isa}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/%p"]
        command += ["--dump-before=getppid", sys.executable, __file__, "--run-workloads"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        done.check_returncode()
        figures = {}
        for workload, process in zip(WORKLOADS, done.stdout.split(), strict=True):
            once, twice = (counted(folder, process, part) for part in (2, 3))
            figures[str(workload)] = round((twice - once) / (workload.cell.steps // 2))
        return figures


def measure():
    """Return the figures of each instruction set, and the versions that they depend on."""
    with ThreadPoolExecutor() as threads:
        figures = dict(zip(COUNTABLE, threads.map(instructions_of, COUNTABLE), strict=True))
    return {
        "measured_with": {
            "machine": platform.machine(),
            "compiler": fastnn.show_config("dicts")["compiler"],
            "python": ".".join(platform.python_version_tuple()[:2]),
            "numpy": ".".join(np.__version__.split(".")[:2]),
        },
        "instructions": figures,
    }


# ---- judging ------------------------------------------------------------------------------------


def compare(before, after):
    """Print a table; return the relative changes, and how many workloads lacked a figure."""
    changes, unknown, width = [], 0, max(len(str(workload)) for workload in WORKLOADS)
    for isa, figures in after["instructions"].items():
        print(f"\n{isa:<{width}}{'before':>12}{'after':>12}{'change':>9}")
        for name, count in figures.items():
            known = before["instructions"].get(isa, {}).get(name)
            if known is None:
                unknown += 1
                print(f"{name:<{width}}{'':>12}{count:>12,}{'new':>9}")
                continue
            changes.append(count / known - 1)
            verdict = "  MORE" if changes[-1] > TOLERANCE else ""
            print(f"{name:<{width}}{known:>12,}{count:>12,}{changes[-1]:>+9.1%}{verdict}")
    print()
    return changes, unknown


def judge(before, after):
    """Print the verdict on the figures; return the exit code."""
    changes, unknown = compare(before, after)
    theirs, ours = before["measured_with"], after["measured_with"]
    if theirs != ours:
        print(f"no verdict: the committed figures are of {theirs}, these of {ours}")
        return 0
    if max(changes, default=0) > TOLERANCE:
        print(f"over {TOLERANCE:.0%} more instructions than committed: reduce them, or run `make")
        print("instructions-update` and explain the change in the commit")
        return 1
    if unknown:
        print("workloads without a figure: run `make instructions-update` and commit")
        return 1
    if min(changes, default=0) < -TOLERANCE:
        print("better: run `make instructions-update` and commit")
    return 0


def main():
    """Count instructions, then compare or update the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help=f"rewrite {FIGURES.name}")
    parser.add_argument("--run-workloads", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run_workloads:
        return run_workloads()
    if shutil.which("valgrind") is None:
        sys.exit("instructions.py needs valgrind")
    before = {"measured_with": None, "instructions": {}}
    if FIGURES.exists():
        before = json.loads(FIGURES.read_text())
    after = measure()
    if args.update:
        FIGURES.write_text(json.dumps(after, indent=2) + "\n")
        compare(before, after)
        return 0
    return judge(before, after)


if __name__ == "__main__":
    sys.exit(main())
