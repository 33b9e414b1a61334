"""The measuring process of `fastnn bench`: settings in, lines of JSON out.

    python -P -m fastnn.benchmarking.session '{"dtype": "float32", ...}'

`command` starts this process with the environment and the CPUs for a number of threads
(machine.py). The lines are {"machine": ...}, {"progress": text} before each cell, and {"peaks":
..., "cells": [...]}. Not here: the output for users (command.py).
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from fastnn.benchmarking import cells, machine, modes, protocol, tables
from fastnn.benchmarking.contenders import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def measure(
    send: Callable[[dict[str, Any]], None],
    *,
    dtype: str,
    threads: int,
    rounds: int,
    seconds: float,
    only: str,
    peers: Sequence[str],
) -> None:
    """Measure, and call `send` with each dict of progress or results.

    `only` is a part of the labels of the cells to measure; `peers` are names of other contenders.
    """
    counts = sorted({1, threads})
    send({"machine": machine.describe(threads, dtype)})
    peaks = {d: {str(n): machine.peak(d, n) for n in counts} for d in ("float32", "float64")}
    chosen = [(r, c) for r, c in cells.telling() if only in tables.label(r, c)]
    records = []
    for at, (regime, cell) in enumerate(chosen, 1):
        send({"progress": f"{at}/{len(chosen)} {tables.label(regime, cell)}"})
        kinds = [k for k in CONTENDERS[regime] if k.name == "fastnn" or k.name in peers]
        options: dict[str, Any] = {
            "dtype": dtype,
            "threads": threads,
            "rounds": rounds,
            "seconds": seconds,
        }
        record = protocol.compare(cell, kinds, **options)
        records.append({"regime": regime, **record})
    if records:
        measured = [cell for _, cell in chosen]
        protocol.add_limits(records, measured, dtype=dtype, threads=threads)
        # Other processes can make a probe slower, but not faster.
        best = max(record["peak_gflops"] for record in records)
        peaks[dtype][str(threads)] = max(peaks[dtype][str(threads)], best)
    for record in records:
        record |= tables.shares(record, peaks[dtype][str(threads)])
    ways = modes.chosen(only, dtype)
    if ways:
        send({"progress": f"fit: {', '.join(mode.name for mode in ways)}"})
    found = modes.measure(ways, threads, rounds, seconds)
    send({"peaks": peaks, "cells": records, "modes": found})


def main() -> None:
    """Measure with the settings in the argument."""
    # Output of libraries goes to stderr, so that stdout has only lines of JSON.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(found: dict[str, Any]) -> None:
        print(json.dumps(found), file=out, flush=True)

    try:
        measure(send, **json.loads(sys.argv[1]))
    except (KeyboardInterrupt, BrokenPipeError):  # the command has ended, or is about to
        sys.exit(1)


if __name__ == "__main__":
    main()
