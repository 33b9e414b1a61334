"""Digests of seeded trainings: a check that this machine computes the same bits as all others.

A digest covers every weight and bias, predictions, and the losses during training. All instruction
sets with fused multiply-add have the same digests, on every system and with every compiler; those
without it share a second column. The table is digests.json.

Here: `verify`, and functions that the table of the tests (tests/digests.py) needs as well. Not
here: the trainings (trainings.py, mixed_precision.py, embeddings.py, ensembles.py), and the command
`fastnn verify` (cli/verify.py).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _cpu, _kernels_f32
from fastnn.verification import embeddings, ensembles, mixed_precision, trainings

TABLE = Path(__file__).with_name("digests.json")

#: Number of hexadecimal digits of a digest in a table.
LENGTH = 16

Section = Callable[[], Iterator[tuple[Any, ...]]]
Table = dict[str, dict[str, str]]

#: The trainings of the table.
SECTIONS: tuple[Section, ...] = (
    *trainings.SECTIONS,
    *mixed_precision.SECTIONS,
    *embeddings.SECTIONS,
    *ensembles.SECTIONS,
)


def verify() -> dict[str, list[str]]:
    """Repeat the trainings of the table on the instruction sets of this machine.

    The instruction set `portable`, which is slow, is left out unless it is in use.

    Returns
    -------
    dict
        For each instruction set, the names of the trainings whose digests differ. The lists are
        empty unless fastnn was built, or runs, in a way that changes bits.

    Examples
    --------
    >>> from fastnn.verification import verify
    >>> any(verify().values())  # doctest: +SKIP
    False
    """
    table, found = read_table(TABLE), {}
    fast = [isa for isa in _cpu.INSTRUCTION_SETS if isa != "portable"]
    for isa in dict.fromkeys((_cpu.ISA, *fast)):
        with instruction_set(isa):
            found[isa] = differing(table, digests(SECTIONS), column(isa))
    return found


def all_trainings(
    sections: Iterable[Section],
) -> dict[str, tuple[trainings.Training, tuple[int, ...]]]:
    """Return {name: (function of the number of threads, numbers of threads to run it on)}."""
    found = {}
    for section in sections:
        for name, run, *threads in section():
            if name in found:
                raise AssertionError(f"two trainings have the name {name!r}")
            found[name] = run, threads[0] if threads else (1,)
    return found


def digest(results: Iterable[Any]) -> str:
    """Return the digest of a list of arrays and strings: of types, shapes and bytes."""
    sha = hashlib.sha256()
    for part in results:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype.str}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).tobytes())
        else:
            sha.update(part.encode())
    return sha.hexdigest()[:LENGTH]


def digests(sections: Iterable[Section]) -> dict[str, str]:
    """Return the digest of every training by its name, on the instruction set in use.

    Raises a RuntimeError if the digest of a training depends on the number of threads.
    """
    found = {}
    for name, (run, threads) in all_trainings(sections).items():
        first, *others = (digest(run(n)) for n in threads)
        if any(other != first for other in others):
            raise RuntimeError(f"{name}: the digest depends on the number of threads")
        found[name] = first
    return found


@contextmanager
def instruction_set(isa: str) -> Iterator[None]:
    """Context manager: networks that are built within it use the instruction set `isa`."""
    before, _cpu.ISA = _cpu.ISA, isa
    try:
        yield
    finally:
        _cpu.ISA = before


def column(isa: str) -> str:
    """Return the column of a table that holds the digests of an instruction set."""
    return "fused" if _kernels_f32.fuses(isa) else "unfused"


def read_table(path: Path) -> Table:
    """Return a table, {name: {column: digest}}."""
    table: Table = json.loads(path.read_text())
    return table


def differing(known: Mapping[str, Any], found: Mapping[str, str], column: str) -> list[str]:
    """Return the names whose digests differ from those in a column, or are missing on a side."""
    names = sorted({*known, *found})
    return [name for name in names if known.get(name, {}).get(column) != found.get(name)]
