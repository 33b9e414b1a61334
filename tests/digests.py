"""Digests of seeded trainings, compared with the committed table: `python tests/digests.py`.

Prints the names of the trainings whose digests differ from those in digests.json. `--update`
rewrites the table; commit it with the change that made the difference, and explain the change. A
change that is not meant to change a bit leaves the table alone.

A digest is of every weight and bias, of predictions, and of the losses during training. Every
instruction set that fuses a product with a sum has the same, on every system and with every
compiler; those that don't share a column of their own.

Not here: the trainings (trainings.py, training_calls.py), and the test (test_digests.py).
"""

import argparse
import hashlib
import json
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import training_calls
import trainings

from fastnn import _cpu, _kernels_f32

TABLE = Path(__file__).with_name("digests.json")

#: Hexadecimal digits that the table keeps.
LENGTH = 16


def all_trainings():
    """Return {name: (function of the number of threads, numbers of threads to run it on)}."""
    found = {}
    for section in (*trainings.SECTIONS, *training_calls.SECTIONS):
        for name, run, *threads in section():
            assert name not in found, name
            found[name] = run, threads[0] if threads else (1,)
    return found


def digest(results):
    """Return the digest of a list of arrays and words: types, shapes and bytes."""
    sha = hashlib.sha256()
    for part in results:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype.str}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).tobytes())
        else:
            sha.update(part.encode())
    return sha.hexdigest()[:LENGTH]


def digests():
    """Return the digest of every training by its name, on the instruction set in use.

    An AssertionError names a training whose digest depends on the number of threads.
    """
    found = {}
    for name, (run, threads) in all_trainings().items():
        first, *others = (digest(run(n)) for n in threads)
        assert all(other == first for other in others), f"{name}: threads make a difference"
        found[name] = first
    return found


@contextmanager
def instruction_set(isa):
    """Make networks that are built in the context use an instruction set."""
    before, _cpu.ISA = _cpu.ISA, isa
    try:
        yield
    finally:
        _cpu.ISA = before


def column(isa):
    """Return the column of the table that an instruction set's digests are in."""
    return "fused" if _kernels_f32.fuses(isa) else "unfused"


def read_table():
    """Return the committed table, {name: {column: digest}}."""
    return json.loads(TABLE.read_text())


def write_table(found):
    """Write {name: {column: digest}}, a training a line."""
    rows = (f"  {json.dumps(k)}: {json.dumps(found[k], sort_keys=True)}" for k in sorted(found))
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def differing(known, found, column):
    """Return the names whose digests differ from those of a column, or that one side lacks."""
    names = sorted({*known, *found})
    return [name for name in names if known.get(name, {}).get(column) != found.get(name)]


def main():
    """Compare or update."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help=f"rewrite {TABLE.name}")
    update = parser.parse_args().update
    table, fresh, differ = read_table(), {}, False
    for isa in _cpu.INSTRUCTION_SETS:
        with instruction_set(isa):
            found = digests()
        for name in found:
            fresh.setdefault(name, {}).setdefault(column(isa), found[name])
        for name in differing(fresh if update else table, found, column(isa)):
            print(f"{isa}: {name}")
            differ = True
    if update and not differ:
        missing = {"fused", "unfused"} - {column(isa) for isa in _cpu.INSTRUCTION_SETS}
        assert not missing, f"this CPU cannot compute the column {missing}"
        write_table(fresh)
        print(f"{len(fresh)} trainings on {', '.join(_cpu.INSTRUCTION_SETS)}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
