"""fastnn and its peers side by side: whole training epochs, cell by cell, in one process.

    make bench-peers                        # both thread counts, writes bench/results
    python bench/compare.py --threads 1 --only 784-256-128-10

The protocol, for every cell:

- every contender starts from the same weights and takes the same rows in the same order;
- its weights after 1 step and after up to 100 are compared with the float64 reference's: a
  contender that disagrees is shown without a time;
- rounds are interleaved (each contender once a round), after a warm-up that includes compilation;
- the process is pinned to as many CPUs as threads are allowed, and CPU time over wall time says
  whether they were used;
- the CPU's peak of fused multiply-adds is measured in the same run, before each cell.

The medians go to a JSON file and a Markdown table.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path

TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
RESULTS = Path(__file__).parent / "results"


def arguments():
    """Return the command line's choices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=sorted(TOLERANCE), default="float32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="least time of a round")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--without", nargs="*", default=[], help="contenders to leave out")
    return parser.parse_args()


def pin(threads):
    """Keep the process, and every pool that a library will size by it, on that many CPUs."""
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    if len(cpus) < threads:
        sys.exit(f"compare.py: {threads} threads asked for, {len(cpus)} CPUs to be had")
    os.sched_setaffinity(0, cpus)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def truths(cell, dtype):
    """Return the float64 reference's weights after 1 step and after up to 100."""
    import numpy as np

    from fastnn import reference

    found = {}
    for steps in sorted({1, min(100, cell.steps)}):
        twin = reference.Network.like(cell.network("float64"))
        twin.set_weights([w.astype(np.float64) for w in cell.network(dtype).get_weights()])
        X, y = (array[: steps * cell.batch] for array in cell.data())
        y = y if cell.loss == "cross_entropy" else y.astype(np.float64)
        twin.fit_epoch(X.astype(np.float64), y, np.arange(len(X)), cell.batch)
        found[steps] = twin.get_weights()
    return found


def time_rounds(contenders, cell, rounds, seconds):
    """Return, for each contender, its times of a step in microseconds and its CPUs in use."""
    repeats = {}
    for contender in contenders:
        contender.run(cell.steps)
        began = time.perf_counter()
        contender.run(cell.steps)
        once = time.perf_counter() - began
        repeats[contender.name] = max(1, round(seconds / once))
    times = {contender.name: [] for contender in contenders}
    cpus = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            n = repeats[contender.name]
            cpu, began = time.process_time(), time.perf_counter()
            for _ in range(n):
                contender.run(cell.steps)
            wall = time.perf_counter() - began
            times[contender.name].append(wall / n / cell.steps * 1e6)
            cpus[contender.name].append((time.process_time() - cpu) / wall)
    return times, cpus


def compare(cell, args, kinds):
    """Return the record of a cell."""
    from cells import distance

    from fastnn import _checks, _cpu

    module = _checks.KERNELS[_checks.dtype(args.dtype)]
    peak = module.peak_flops(0.2, args.threads, _cpu.ISA)
    expected, agreeing, errors = truths(cell, args.dtype), [], {}
    for kind in kinds:
        if not kind.fits(cell):
            continue
        errors[kind.name] = 0.0
        for steps, truth in expected.items():
            contender = kind(cell, args.dtype, args.threads)
            contender.run(steps)
            error = distance(contender.weights(), truth)
            errors[kind.name] = max(errors[kind.name], error)
        if errors[kind.name] <= TOLERANCE[args.dtype]:
            agreeing.append(kind(cell, args.dtype, args.threads))
    times, cpus = time_rounds(agreeing, cell, args.rounds, args.seconds)
    results = {
        name: {
            "disagreement": error,
            "times_us": times.get(name),
            "median_us": statistics.median(times[name]) if name in times else None,
            "cpus": statistics.median(cpus[name]) if name in times else None,
        }
        for name, error in errors.items()
    }
    return {
        "cell": str(cell),
        "batch": cell.batch,
        "flops": cell.flops,
        "peak_gflops": peak / 1e9,
        "results": results,
    }


def table(records, names):
    """Return the Markdown table of the medians; shares are of the best peak of the run."""
    head = ["net, batch, optimizer", *(f"{name}, µs" for name in names)]
    head += ["best peer / fastnn", "GFLOP/s", "of peak"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    peak = max(record["peak_gflops"] for record in records)  # another process may disturb a probe
    for record in records:
        medians = {n: r["median_us"] for n, r in record["results"].items()}
        cells = [record["cell"]]
        for name in names:
            us = medians.get(name)
            wrong = name in medians and us is None
            cells.append("disagrees" if wrong else "" if us is None else f"{us:,.4g}")
        ours = medians.get("fastnn")
        peers = [us for name, us in medians.items() if name != "fastnn" and us is not None]
        if ours and peers:
            rate = record["flops"] / ours / 1e3
            cells += [f"{min(peers) / ours:.2f}", f"{rate:.1f}"]
            cells.append(f"{rate / peak:.0%}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine(args):
    """Return what the figures depend on."""
    import fastnn

    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    versions = {}
    for name in ("numpy", "jax", "torch", "scikit-learn"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": model,
        "threads": args.threads,
        "dtype": args.dtype,
        "python": platform.python_version(),
        "fastnn": fastnn.show_config("dicts"),
        "versions": versions,
    }


def main():
    """Compare every cell and write the results."""
    args = arguments()
    pin(args.threads)
    from cells import CELLS
    from contenders import TRAINING

    kinds = [kind for kind in TRAINING if kind.name not in args.without]
    names = [kind.name for kind in kinds]
    records = []
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"training-{args.dtype}-{args.threads}"
    for cell in CELLS:
        if args.only in str(cell):
            records.append(compare(cell, args, kinds))
            print(table(records[-1:], names).splitlines()[-1], flush=True)
    if not args.only:
        Path(f"{stem}.json").write_text(
            json.dumps({"machine": machine(args), "cells": records}, indent=1) + "\n"
        )
        Path(f"{stem}.md").write_text(table(records, names) + "\n")
    print("\n" + table(records, names))


if __name__ == "__main__":
    main()
