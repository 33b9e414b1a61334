"""fastnn and its peers side by side, cell by cell, in one process.

    make bench-peers                       # all regimes, precisions and thread counts
    python bench/compare.py --threads 1 --only 784-256-128-10
    python bench/compare.py --regime predict --threads 2 --dtype float64

The protocol, for every cell:

- every contender starts from the same weights and takes the same rows in the same order;
- its weights after 1 step and after up to 100 (its outputs, in prediction) are compared with the
  float64 reference's: a contender that disagrees is shown without a time;
- rounds are interleaved (each contender once a round), after a warm-up; building, and the first
  call with whatever it compiles, are timed apart; on several threads a pause goes before each, for
  the threads of the library before to fall asleep;
- the process is pinned to as many CPUs as threads are allowed, and CPU time over wall time says
  whether they were used;
- the CPU's peaks of multiply-adds and of reading are measured in the same run, before each cell.

Regimes are never mixed: "epochs" (whole epochs in one call, where a library can), "calls" (one
Python call a step), "predict", and "imports" (seconds of `import`). A full run writes a JSON file
to bench/results; report.py makes tables, plots and the README's figures of it.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import machine

RESULTS = Path(__file__).parent / "results"

# Before a round on several threads: idle threads of the library before (OpenBLAS's, above all) go
# on watching for work for some 0.1 s, and would take a CPU from the next one.
SETTLE = 0.2


def arguments():
    """Return the command line's choices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    regimes = ["epochs", "calls", "predict", "imports"]
    parser.add_argument("--regime", choices=regimes, default="epochs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="least time of a round")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--without", nargs="*", default=[], help="contenders to leave out")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where a full run writes")
    return parser.parse_args()


def examine(kind, cell, truths, args):
    """Return a contender ready to be timed, or None, and the record of its errors and first call.

    The contender that was examined is the one that is timed: compilers are slow.
    """
    from cells import distance

    began = time.perf_counter()
    try:
        contender = kind(cell, args.dtype, args.threads)
        contender.reset()
        built = time.perf_counter()
        contender.run(1)
        record = {"build_s": built - began, "first_call_s": time.perf_counter() - built}
        error = 0.0
        for steps, truth in truths.items():
            contender.reset()
            contender.run(steps)
            error = max(error, distance(contender.answer(), truth))
    except Exception as reason:
        if kind.name == "fastnn":
            raise
        return None, {"failed": f"{type(reason).__name__}: {reason}".splitlines()[0]}
    record["disagreement"] = error
    contender.reset()
    return contender if error <= cell.tolerance(args.dtype) else None, record


def warm_up(contender, seconds):
    """Return how many times a round repeats the contender's steps, to last so long."""
    contender.run(contender.cell.steps)
    began = time.perf_counter()
    contender.run(contender.cell.steps)
    return max(1, round(seconds / (time.perf_counter() - began)))


def time_rounds(contenders, rounds, seconds):
    """Return, for each contender, its times of a step in microseconds and its CPUs in use."""
    repeats = [warm_up(contender, seconds) for contender in contenders]
    times = {contender.name: [] for contender in contenders}
    cpus = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender, n in zip(contenders, repeats, strict=True):
            steps = contender.cell.steps
            time.sleep(SETTLE if contender.threads > 1 else 0.0)
            cpu, began = time.process_time(), time.perf_counter()
            for _ in range(n):
                contender.run(steps)
            wall = time.perf_counter() - began
            times[contender.name].append(wall / n / steps * 1e6)
            cpus[contender.name].append((time.process_time() - cpu) / wall)
    return times, cpus


def summary(times, cpus):
    """Return the record of some rounds: spread is (greatest - least) / median."""
    median = statistics.median(times)
    return {
        "times_us": times,
        "median_us": median,
        "minimum_us": min(times),
        "spread": (max(times) - min(times)) / median,
        "cpus": statistics.median(cpus),
    }


def compare(cell, args, kinds):
    """Return the record of a cell."""
    probe = machine.probe(args.dtype, args.threads)
    truths, ready, results = cell.truths(args.dtype), [], {}
    for kind in kinds:
        if kind.fits(cell):
            contender, results[kind.name] = examine(kind, cell, truths, args)
            ready += [contender] if contender else []
    times, cpus = time_rounds(ready, args.rounds, args.seconds)
    for name in times:
        results[name] |= summary(times[name], cpus[name])
    return {
        "cell": str(cell),
        "batch": cell.batch,
        "flops": cell.flops,
        **probe,
        "results": results,
    }


def add_limits(records, cells, args):
    """Put each cell's modelled limit beside its times, from the best probes of the whole run.

    Another process may disturb a probe; none can make it better.
    """
    import limits

    levels = records[0]["read_gbytes"]
    best = limits.Machine(
        flops=1e9 * max(record["peak_gflops"] for record in records),
        reads={n: 1e9 * max(record["read_gbytes"][n] for record in records) for n in levels},
        caches=machine.caches(),
        threads=args.threads,
    )
    for record, cell in zip(records, cells, strict=True):
        record["limit_us"] = limits.limit(cell, args.dtype, best) * 1e6


def compare_all(args):
    """Return the records of the cells asked for."""
    import report
    from cells import CALLS, CELLS, PREDICTIONS
    from contenders import CONTENDERS

    kinds = [kind for kind in CONTENDERS[args.regime] if kind.name not in args.without]
    cells = {"epochs": CELLS, "calls": CALLS, "predict": PREDICTIONS}[args.regime]
    cells = [cell for cell in cells if args.only in str(cell)]
    records = []
    for cell in cells:
        records.append(compare(cell, args, kinds))
        add_limits(records, cells[: len(records)], args)
        print(report.rows(records)[-1], flush=True)
    return records


def main():
    """Compare every cell and write the results."""
    args = arguments()
    machine.leave_openblas_alone()
    machine.pin(args.threads)
    if args.regime == "imports":
        stem, found = "imports", {"imports": machine.import_times(args.rounds)}
    else:
        stem = f"{args.regime}-{args.dtype}-{args.threads}"
        found = {"regime": args.regime, "cells": compare_all(args)}
    found = {"machine": machine.describe(args.threads, args.dtype), **found}
    if not args.only and not args.without:
        args.results.mkdir(exist_ok=True)
        (args.results / f"{stem}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
