"""Notes below the tables of `fastnn bench`; each is shown only if it applies.

Not here: figures (tables.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.benchmarking import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn.benchmarking.tables import Record

# The peers that are measured if installed, and the packages of each. torch.compile takes minutes to
# compile code that is timed for seconds here, so it is measured only if it is requested.
PACKAGES = {
    "numpy": ["numpy"],
    "scikit-learn": ["scikit-learn"],
    "torch": ["torch"],
    "jax": ["jax"],
    "onnxruntime": ["onnxruntime", "onnx"],
    "torch.compile": ["torch"],
}

BUSY = 0.5  # CPUs used by other programs; up to this, no note
DISTURBED = 0.9  # CPUs in use; below, fastnn's first thread, which never sleeps, had to wait
SPREAD = 0.3  # (slowest - fastest round) / median
SHARED = 0.75  # peak / (one core's peak * threads); below, threads share cores


def notes(found: dict[str, Any]) -> list[str]:
    """Return the notes on the results of `fastnn bench`."""
    return [
        *_threads(found["asked"], found["machine"]["threads"]),
        *_idle(found["load"], found["machine"]),
        *_disturbed(found["cells"]),
        *_peaks(found["peaks"]),
        *_answers(found["cells"]),
        *_missing(found["missing"]),
    ]


def _threads(asked: int, used: int) -> Iterator[str]:
    """Note that fewer CPUs are available than threads were requested."""
    if asked > used:
        have = f"{used} CPU{' is' if used == 1 else 's are'} available"
        yield f"{tables.threads(asked)} requested, but {have}: measured on {used}"


def _idle(load: float | None, machine: dict[str, Any]) -> Iterator[str]:
    """Note that other programs ran before the start; `load` is the mean over a minute."""
    if load is not None and load + machine["threads"] > machine["cpus"] + BUSY:
        yield (
            f"the machine was not idle: load average {load:.1f} before the start, "
            f"{machine['threads']} of {machine['cpus']} CPUs used here; times may be too long"
        )


def _disturbed(records: list[Record]) -> Iterator[str]:
    """Note that fastnn had to wait for a CPU, or that its rounds differ much."""
    ours = [(r, r["results"]["fastnn"]) for r in records if "cpus" in r["results"]["fastnn"]]
    for record, result in ours:
        if result["cpus"] < DISTURBED:
            name = tables.label(record["regime"], record["cell"])
            yield f"{name}: fastnn got {result['cpus']:.2f} of a CPU: another program used it"
    spreads: list[tuple[float, Record]] = [(x["spread"], r) for r, x in ours]
    worst, cell = max(spreads, key=lambda pair: pair[0], default=(0.0, {}))
    if worst > SPREAD:
        name = tables.label(cell["regime"], cell["cell"])
        yield f"fastnn's rounds differ by up to {worst:.0%} ({name}): the machine's speed varied"


def _peaks(peaks: dict[str, dict[str, float]]) -> Iterator[str]:
    """Note that the peak does not grow in proportion to the threads."""
    for dtype, of in peaks.items():
        (_, one), *rest = of.items()
        for n, many in rest:
            if many < SHARED * int(n) * one:
                yield (
                    f"{dtype}: {n} threads reach {many / one:.1f} times the peak of one; "
                    "either cores share execution units, or other programs ran"
                )


def _answers(records: list[Record]) -> Iterator[str]:
    """Note why some contenders have no time."""
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
        yield f"{name} differs from the float64 reference by {off:.1e}: no time is shown ({cell})"


def _missing(names: list[str]) -> Iterator[str]:
    """Note the peers that are not installed, and how to install them."""
    if names:
        packages = dict.fromkeys(package for name in names for package in PACKAGES[name])
        yield f"not installed: {', '.join(names)}; pip install {' '.join(packages)}"
