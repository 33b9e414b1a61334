"""Two threads beside other programs: training on one thread and on two, in turn, in each cell.

    make bench-neighbours

The surroundings are: nothing else; a process that keeps one CPU busy; PyTorch's threads in the same
process, which spin for a while after each product. A figure is the time on one thread divided by
that on two, as the median over the rounds: 2 is ideal without neighbours, and 1 means no loss
beside a busy process. "core to core" is the time that a number takes from one core to another, one
way, in each round.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path

from fastnn.benchmarking import machine
from fastnn.benchmarking.cells import CELLS

RESULT = Path(__file__).parent / "results/neighbours.json"
PLACES = ("nothing", "busy process", "PyTorch's threads")
#: Flops of a step from which it is divided between threads.
DIVIDED = 1e6


def spin():
    """Keep a CPU busy."""
    while True:
        pass


def measure(cell, seconds, disturb):
    """Return {threads: seconds per step}, trained for about `seconds` each."""
    X, y = cell.data()
    found = {}
    for threads in 1, 2:
        net = cell.network("float32", threads)
        net.fit(X, y, batch_size=cell.batch, shuffle=False)
        epochs, spent = 0, 0.0
        while spent < seconds:
            disturb()
            began = time.perf_counter()
            net.fit(X, y, batch_size=cell.batch, shuffle=False)
            spent += time.perf_counter() - began
            epochs += 1
        found[threads] = spent / (epochs * cell.steps)
    return found


def products():
    """Return a function that lets PyTorch's threads multiply, after which they spin."""
    import torch

    torch.set_num_threads(2)
    matrix = torch.ones(256, 256)
    return lambda: matrix @ matrix


def surroundings(name):
    """Return (a process to end afterwards or None, a function to call before each fit)."""
    if name == "busy process":
        process = multiprocessing.Process(target=spin, daemon=True)
        process.start()
        return process, lambda: None
    return None, products() if name == "PyTorch's threads" else lambda: None


def compare(name, rounds, seconds, only):
    """Return a row for each cell."""
    process, disturb = surroundings(name)
    rows = []
    try:
        for cell in CELLS:
            if cell.flops < DIVIDED or (only and only not in str(cell)):
                continue
            times = [measure(cell, seconds, disturb) for _ in range(rounds)]
            ratio = statistics.median(found[1] / found[2] for found in times)
            rows.append({"cell": str(cell), "beside": name, "ratio": ratio,
                         "one": statistics.median(found[1] for found in times),
                         "two": statistics.median(found[2] for found in times)})  # fmt: skip
            print(f"{name:<20}{cell!s:<50}{ratio:6.2f}", flush=True)
    finally:
        if process:
            process.terminate()
    return rows


def main():
    """Measure, and write the results if requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a measurement")
    parser.add_argument("--only", help="cells with this in their names")
    parser.add_argument(
        "--beside",
        nargs="*",
        choices=PLACES,
        default=list(PLACES),
        help="surroundings; all by default",
    )
    parser.add_argument("--write", action="store_true", help="keep the results")
    args = parser.parse_args()
    from fastnn._kernels_f32 import core_latency

    rows, latencies = [], []
    for name in args.beside:
        latencies.append(core_latency(0.01))
        rows += compare(name, args.rounds, args.seconds, args.only)
    print(f"core to core: {', '.join(f'{ns:.0f}' for ns in latencies)} ns")
    if args.write:
        found = {"machine": machine.describe(2, "float32"), "core_to_core_ns": latencies,
                 "rows": rows}  # fmt: skip
        RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
