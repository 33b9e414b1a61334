"""Formatted figures: rounding, the order of libraries, and the tables of `fastnn bench`.

Not here: Markdown and the READMEs (bench/report.py), notes below the tables (notes.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    Record: TypeAlias = dict[str, Any]  # a cell and the results of each contender

ORDER = [
    "fastnn",
    "fastnn, all products",
    "jax",
    "onnxruntime",
    "torch",
    "torch.compile",
    "scikit-learn",
    "numpy",
]
NAMES = {"jax": "JAX", "torch": "PyTorch", "numpy": "NumPy"}  # names shown otherwise than in ORDER
CALLS = {"epochs": "fit", "calls": "train_on_batch", "predict": "predict"}


def label(regime: str, cell: object) -> str:
    """Return the label of a cell, with the method that is timed."""
    return f"{CALLS[regime]}: {cell}"


def figure(x: float) -> str:
    """Return a number with three significant digits, four from 1000 on, without an exponent."""
    if x >= 1000:
        return f"{float(f'{x:.4g}'):,.0f}"
    return f"{x:.{max(0, 2 - math.floor(math.log10(x)))}f}"


def contenders(records: Sequence[Record]) -> list[str]:
    """Return the names of the contenders in the records, fastnn first."""
    return [name for name in ORDER if any(name in record["results"] for record in records)]


def time_of(record: Record, name: str) -> str:
    """Return the table entry of a contender: its median, or the reason why it has none."""
    result = record["results"].get(name)
    if result is None:
        return ""
    if result.get("median_us"):
        return figure(result["median_us"])
    return "fails" if "failed" in result else "disagrees"


def ratio(record: Record, peer: str | None = None) -> float | None:
    """Return the time of a peer (default: the fastest) over fastnn's; None if either is missing."""
    medians = {name: result.get("median_us") for name, result in record["results"].items()}
    ours = medians.pop("fastnn", None)
    peers = {name: us for name, us in medians.items() if us and not name.startswith("fastnn,")}
    theirs = [us for name, us in peers.items() if peer in (None, name)]
    return min(theirs) / ours if ours and theirs else None


def geometric_mean(numbers: Sequence[float]) -> float:
    """Return the geometric mean."""
    return math.exp(math.fsum(map(math.log, numbers)) / len(numbers))


def shares(record: Record, peak_gflops: float) -> dict[str, float]:
    """Return the rates that follow from fastnn's time in a cell; empty if it has none."""
    us = record["results"].get("fastnn", {}).get("median_us")
    if not us:
        return {}
    gflops = record["flops"] / us / 1e3
    found = {"rows_per_s": record["batch"] / us * 1e6, "gflops": gflops}
    found["of_peak"] = gflops / peak_gflops
    if record.get("limit_us"):
        found["of_limit"] = record["limit_us"] / us
    return found


# ---- what fastnn bench shows --------------------------------------------------------------------


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of text from rows of cells: the first column left-aligned, the others right.

    >>> print(*aligned([["net", "µs"], ["2-3-1", "0.05"]]), sep="|")
    net      µs|2-3-1  0.05
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]
        ).rstrip()
        for first, *rest in lines
    ]


def report(found: dict[str, Any]) -> list[str]:
    """Return the lines that `fastnn bench` prints: machine, peaks, fastnn, modes, peers, notes."""
    parts = [_machine(found["machine"]), aligned(_peaks(found["peaks"]))]
    if found["cells"]:
        parts.append(aligned(_ours(found)))
    if found["modes"]:
        parts.append(aligned(_modes(found)))
    if len(contenders(found["cells"])) > 1:
        parts.append([*aligned(_beside(found["cells"])), *_mean(found["cells"])])
    if found["notes"]:
        parts.append([f"- {note}" for note in found["notes"]])
    return [line for part in parts for line in ["", *part]][1:]


def threads(n: int) -> str:
    """Return a number of threads in words.

    >>> threads(1), threads(2)
    ('1 thread', '2 threads')
    """
    return "1 thread" if n == 1 else f"{n} threads"


def _machine(found: dict[str, Any]) -> list[str]:
    """Return the lines that describe the machine."""
    ours = found["fastnn"]
    versions = [f"{NAMES.get(name, name)} {v}" for name, v in found["versions"].items()]
    return [
        f"{found['cpu']}, {ours['platform']}, {found['threads']} of {found['cpus']} CPUs",
        f"fastnn {ours['fastnn']}, {ours['instruction_set']} kernels by {ours['compiler']}",
        ", ".join([f"Python {found['python']}", *versions]),
    ]


def _peaks(peaks: dict[str, dict[str, float]]) -> list[list[str]]:
    """Return the rows of the table of peaks."""
    counts = list(peaks["float32"])
    lines = [["peak of multiply-adds, GFLOP/s", *(threads(int(n)) for n in counts)]]
    return lines + [[dtype, *(figure(of[n]) for n in counts)] for dtype, of in peaks.items()]


def _ours(found: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of fastnn's times."""
    m = found["machine"]
    lines = [[f"fastnn, {m['dtype']}, {threads(m['threads'])}", "µs", "rows/s", "GFLOP/s"]]
    lines[0] += ["of peak", "of limit"]
    for record in found["cells"]:
        line = [label(record["regime"], record["cell"]), time_of(record, "fastnn")]
        if "gflops" in record:
            line += [figure(record["rows_per_s"]), figure(record["gflops"])]
            line += [f"{record['of_peak']:.0%}", f"{record['of_limit']:.0%}"]
        lines.append(line + [""] * (len(lines[0]) - len(line)))
    return lines


def _modes(found: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table of modes."""
    lines = [[f"fastnn, {threads(found['machine']['threads'])}", "µs", "times as fast", "as"]]
    for record in found["modes"]:
        line = [record["mode"], "disagrees", "", record["base"] or ""]
        if "median_us" in record:
            line[1] = figure(record["median_us"])
            line[2] = f"{record['times_as_fast']:.2f}" if record["base"] else ""
        lines.append(line)
    return lines


def _beside(records: Sequence[Record]) -> list[list[str]]:
    """Return the rows of the table of all contenders."""
    names = contenders(records)
    head = ["µs per step or call", *(NAMES.get(name, name) for name in names)]
    lines = [[*head, "best peer / fastnn"]]
    for record in records:
        best = ratio(record)
        line = [label(record["regime"], record["cell"]), *(time_of(record, n) for n in names)]
        lines.append([*line, f"{best:.2f}" if best else ""])
    return lines


def _mean(records: Sequence[Record]) -> list[str]:
    """Return the row with the geometric mean of the ratios, if there are any."""
    ratios = [r for r in map(ratio, records) if r]
    if not ratios:
        return []
    return [f"geometric mean of best peer / fastnn: {geometric_mean(ratios):.2f}"]
