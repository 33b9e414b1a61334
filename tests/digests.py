"""Digests of all seeded trainings, compared with the committed tables: `python tests/digests.py`.

Prints the names of the trainings whose digests differ from those in the table. `--update` rewrites
both tables; commit them with the change that made the difference, and explain the change. A change
that is not meant to change a bit leaves the tables alone.

There are two tables because the trainings are in two packages: fastnn/verification has those that
users can repeat by `fastnn verify`, training_calls.py those that need more than fastnn and NumPy.

Not here: what a digest is (fastnn/verification), and the test (test_digests.py).
"""

import argparse
import json
import sys
from pathlib import Path

import training_calls

from fastnn import _cpu, verification

ROOT = Path(__file__).parent.parent

#: Each table, as a file of the sources, and the trainings in it.
TABLES = {
    ROOT / "src/fastnn/verification/digests.json": verification.SECTIONS,
    Path(__file__).with_name("digests.json"): training_calls.SECTIONS,
}


def write_table(path, found):
    """Write {name: {column: digest}}, a training a line."""
    rows = (f"  {json.dumps(k)}: {json.dumps(found[k], sort_keys=True)}" for k in sorted(found))
    path.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def compare(path, sections, update):
    """Compare a table with this machine, or write it; return whether anything differs."""
    table, fresh, differ = {} if update else verification.read_table(path), {}, False
    for isa in _cpu.INSTRUCTION_SETS:
        column = verification.column(isa)
        with verification.instruction_set(isa):
            found = verification.digests(sections)
        for name in found:
            fresh.setdefault(name, {}).setdefault(column, found[name])
        for name in verification.differing(fresh if update else table, found, column):
            print(f"{isa}: {name}")
            differ = True
    if update and not differ:
        write_table(path, fresh)
        print(f"{len(fresh)} trainings on {', '.join(_cpu.INSTRUCTION_SETS)}")
    return differ


def main():
    """Compare or update."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="rewrite the tables")
    update = parser.parse_args().update
    missing = {"fused", "unfused"} - set(map(verification.column, _cpu.INSTRUCTION_SETS))
    assert not (update and missing), f"this CPU cannot compute the column {missing}"
    differ = [compare(path, sections, update) for path, sections in TABLES.items()]
    return 1 if any(differ) else 0


if __name__ == "__main__":
    sys.exit(main())
