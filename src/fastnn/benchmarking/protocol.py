"""The comparison of contenders on a cell: a check of their results, then interleaved rounds.

- Every contender starts from the same weights and uses the same rows in the same order.
- Its weights after 1 step and after up to 100 steps (in prediction, its outputs) are compared with
  those of the float64 reference. A contender that disagrees shows no time.
- Rounds are interleaved, one of each contender in turn, after a warm-up. Building the network, and
  the first call, which compiles, are timed separately. With several threads, a pause before each
  round lets the threads of the previous library fall asleep.
- The ratio of CPU time to wall time shows whether the CPUs were used.
- The CPU's peaks of multiply-adds and of reading are measured in the same run, before each cell.

Not here: pinning the process (machine.py); the choice of cells, and the storage of records
(session.py for `fastnn bench`, and bench/compare.py).
"""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

from fastnn.benchmarking import limits, machine
from fastnn.benchmarking.cells import distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.benchmarking.cells import Cell, Prediction, Truths
    from fastnn.benchmarking.contender import Contender
    from fastnn.benchmarking.tables import Record

# Seconds of pause before a round with several threads: idle threads of the previous library, above
# all OpenBLAS's, spin for about 0.1 s and would take a CPU from the next library.
SETTLE = 0.2


def examine(
    kind: type[Contender], cell: Cell | Prediction, truths: Truths, dtype: str, threads: int
) -> tuple[Contender | None, Record]:
    """Return a contender ready to be timed, or None, and the record of its errors and first call.

    The contender that is checked is also the one that is timed, because compiling is slow.
    """
    began = time.perf_counter()
    try:
        contender = kind(cell, dtype, threads)
        contender.reset()
        built = time.perf_counter()
        contender.run(1)
        record: Record = {"build_s": built - began, "first_call_s": time.perf_counter() - built}
        errors = []
        for steps, truth in truths.items():
            contender.reset()
            contender.run(steps)
            errors.append(distance(contender.answer(), truth))
    except Exception as reason:
        if kind.name == "fastnn":
            raise
        return None, {"failed": f"{type(reason).__name__}: {reason}".splitlines()[0]}
    if not all(map(math.isfinite, errors)):  # NaN would not exceed any tolerance
        return None, record | {"failed": "its results are not finite"}
    record["disagreement"] = max(errors)
    contender.reset()
    return contender if max(errors) <= cell.tolerance(dtype) else None, record


def settle(contender: Contender) -> None:
    """Wait until idle threads of the previous library sleep, if the contender has several."""
    time.sleep(SETTLE if contender.threads > 1 else 0.0)


def warm_up(contender: Contender, seconds: float) -> int:
    """Return how often a round must repeat the contender's steps to last `seconds`."""
    settle(contender)
    contender.run(contender.cell.steps)
    began = time.perf_counter()
    contender.run(contender.cell.steps)
    return max(1, round(seconds / (time.perf_counter() - began)))


def time_rounds(
    contenders: Sequence[Contender], rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the microseconds per step, and the CPUs in use, of each contender in each round."""
    repeats = [warm_up(contender, seconds) for contender in contenders]
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    cpus: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender, n in zip(contenders, repeats, strict=True):
            steps = contender.cell.steps
            settle(contender)
            cpu, began = time.process_time(), time.perf_counter()
            for _ in range(n):
                contender.run(steps)
            wall = time.perf_counter() - began
            times[contender.name].append(wall / n / steps * 1e6)
            cpus[contender.name].append((time.process_time() - cpu) / wall)
    return times, cpus


def summary(times: list[float], cpus: list[float]) -> Record:
    """Return the record of the rounds; the spread is (largest - smallest) / median."""
    median = statistics.median(times)
    return {
        "times_us": times,
        "median_us": median,
        "minimum_us": min(times),
        "spread": (max(times) - min(times)) / median,
        "cpus": statistics.median(cpus),
    }


def compare(
    cell: Cell | Prediction,
    kinds: Sequence[type[Contender]],
    *,
    dtype: str,
    threads: int,
    rounds: int,
    seconds: float,
) -> Record:
    """Return the record of a cell; `kinds` are classes of contenders, `seconds` is per round."""
    probe = machine.probe(dtype, threads)
    truths, results = cell.truths(dtype), {}
    ready: list[Contender] = []
    for kind in kinds:
        if kind.fits(cell):
            contender, results[kind.name] = examine(kind, cell, truths, dtype, threads)
            ready += [contender] if contender else []
    times, cpus = time_rounds(ready, rounds, seconds)
    for name in times:
        results[name] |= summary(times[name], cpus[name])
    return {
        "cell": str(cell),
        "batch": cell.batch,
        "flops": cell.flops,
        **probe,
        "results": results,
    }


def add_limits(
    records: Sequence[Record], cells: Sequence[Cell | Prediction], *, dtype: str, threads: int
) -> None:
    """Add the modelled limit of each cell, from the best probes of the whole run.

    Other processes can make a probe slower, but not faster.
    """
    levels = records[0]["read_gbytes"]
    best = limits.Machine(
        flops=1e9 * max(record["peak_gflops"] for record in records),
        reads={n: 1e9 * max(record["read_gbytes"][n] for record in records) for n in levels},
        caches=machine.caches(),
        threads=threads,
    )
    for record, cell in zip(records, cells, strict=True):
        record["limit_us"] = limits.limit(cell, dtype, best) * 1e6
