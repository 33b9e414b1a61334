"""Digests of seeded trainings, compared with the committed table: `python tests/digests.py`.

Prints the names of the trainings whose digests differ from those in digests.json. `--update`
rewrites the table; commit it with the change that made the difference, and explain the change. A
change that is not meant to change a bit leaves the table alone.

A digest is of every weight and bias, of predictions, and of the losses during training, on one
instruction set. The bits depend on the compiler, which may contract a product and a sum, and on the
C library, whose powers and cosines the learning-rate schedules use: with other versions nothing is
compared.

Not here: the trainings (trainings.py, training_calls.py), and the test (test_digests.py).
"""

import argparse
import hashlib
import json
import platform
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import training_calls
import trainings

import fastnn
from fastnn import _cpu

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


def measured_with():
    """Return what the bits depend on beside the instruction set."""
    return {
        "compiler": fastnn.show_config("dicts")["compiler"],
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
    }


def read_table():
    """Return the committed table: "measured_with", and "digests" as {name: {isa: digest}}."""
    return json.loads(TABLE.read_text())


def write_table(found):
    """Write {name: {isa: digest}}, a training a line."""
    head = json.dumps(measured_with(), sort_keys=True)
    rows = (f"    {json.dumps(k)}: {json.dumps(found[k], sort_keys=True)}" for k in sorted(found))
    lines = ",\n".join(rows)
    TABLE.write_text(f'{{\n  "measured_with": {head},\n  "digests": {{\n{lines}\n  }}\n}}\n')


def differing(known, found, isa):
    """Return the names whose digests of an instruction set differ, or that one side lacks."""
    names = sorted({*known, *found})
    return [name for name in names if known.get(name, {}).get(isa) != found.get(name)]


def main():
    """Compare or update."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help=f"rewrite {TABLE.name}")
    update = parser.parse_args().update
    found = {}
    for isa in _cpu.INSTRUCTION_SETS:
        with instruction_set(isa):
            found[isa] = digests()
    if update:
        names = found[_cpu.INSTRUCTION_SETS[0]]
        write_table({name: {isa: found[isa][name] for isa in found} for name in names})
        print(f"{len(names)} trainings on {', '.join(found)}")
        return 0
    table = read_table()
    if table["measured_with"] != measured_with():
        print(f"not compared: the table is of {table['measured_with']}, this is {measured_with()}")
        return 0
    names = {isa: differing(table["digests"], found[isa], isa) for isa in found}
    for isa in found:
        for name in names[isa]:
            print(f"{isa}: {name}")
    return 1 if any(names.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
