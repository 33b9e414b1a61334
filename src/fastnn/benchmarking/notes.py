"""What a reader of `fastnn bench` must know beside the figures: each sentence where it is so.

Not here: figures (tables.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.benchmarking import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn.benchmarking.tables import Record

# Peers that are measured if they are there, and what to install for each. torch.compile takes
# minutes to compile what is timed here in seconds, so it is measured where it is named.
PACKAGES = {
    "numpy": ["numpy"],
    "scikit-learn": ["scikit-learn"],
    "torch": ["torch"],
    "jax": ["jax"],
    "onnxruntime": ["onnxruntime", "onnx"],
    "torch.compile": ["torch"],
}

BUSY = 0.5  # CPUs that others may use before it is worth a word
DISTURBED = 0.9  # CPUs in use, below which a process was kept waiting: fastnn's first never sleeps
SPREAD = 0.3  # of the median, between the slowest and the fastest round
SHARED = 0.75  # of the peak of one core, times their number, below which cores aren't whole


def notes(found: dict[str, Any]) -> list[str]:
    """Return the sentences on what `fastnn bench` has found."""
    return [
        *_threads(found["asked"], found["machine"]["threads"]),
        *_idle(found["load"], found["machine"]),
        *_disturbed(found["cells"]),
        *_peaks(found["peaks"]),
        *_answers(found["cells"]),
        *_missing(found["missing"]),
    ]


def _threads(asked: int, used: int) -> Iterator[str]:
    """Say it if fewer CPUs are to be had than were asked for."""
    if asked > used:
        have = f"{used} CPU{'' if used == 1 else 's'} to be had"
        yield f"{tables.threads(asked)} asked for, {have}: measured on {used}"


def _idle(load: float | None, machine: dict[str, Any]) -> Iterator[str]:
    """Say it if there were other programs before the start: `load` is the mean of a minute."""
    if load is not None and load + machine["threads"] > machine["cpus"] + BUSY:
        yield (
            f"the machine was not idle: load average {load:.1f} before the start, "
            f"{machine['threads']} of {machine['cpus']} CPUs used here; times may be too long"
        )


def _disturbed(records: list[Record]) -> Iterator[str]:
    """Say it if fastnn had to wait for a CPU, or its rounds differ."""
    ours = [(r, r["results"]["fastnn"]) for r in records if "cpus" in r["results"]["fastnn"]]
    for record, result in ours:
        if result["cpus"] < DISTURBED:
            name = tables.label(record["regime"], record["cell"])
            yield f"{name}: fastnn had {result['cpus']:.2f} of a CPU: another program ran on it"
    spreads: list[tuple[float, Record]] = [(x["spread"], r) for r, x in ours]
    worst, cell = max(spreads, key=lambda pair: pair[0], default=(0.0, {}))
    if worst > SPREAD:
        name = tables.label(cell["regime"], cell["cell"])
        yield f"rounds of fastnn differ by up to {worst:.0%} ({name}): the machine was not steady"


def _peaks(peaks: dict[str, dict[str, float]]) -> Iterator[str]:
    """Say it if more threads don't multiply the peak."""
    for dtype, of in peaks.items():
        (_, one), *rest = of.items()
        for n, many in rest:
            if many < SHARED * int(n) * one:
                yield (
                    f"{dtype}: {n} threads do {many / one:.1f} times the multiply-adds of one; "
                    "either cores share units, or other programs ran"
                )


def _answers(records: list[Record]) -> Iterator[str]:
    """Say why contenders have no time."""
    failed: dict[str, str] = {}
    wrong: dict[str, tuple[float, str]] = {}
    for record in records:
        for name, result in record["results"].items():
            if "failed" in result:
                failed.setdefault(name, result["failed"])
            elif "median_us" not in result:
                cell = tables.label(record["regime"], record["cell"])
                wrong[name] = max(wrong.get(name, (0.0, "")), (result["disagreement"], cell))
    for name, reason in failed.items():
        yield f"{name} fails: {reason}"
    for name, (off, cell) in wrong.items():
        yield f"{name} is {off:.1e} off the float64 reference, so it has no time ({cell})"


def _missing(names: list[str]) -> Iterator[str]:
    """Name the peers that aren't installed, and how to install them."""
    if names:
        packages = dict.fromkeys(package for name in names for package in PACKAGES[name])
        yield f"not installed: {', '.join(names)}; pip install {' '.join(packages)}"
