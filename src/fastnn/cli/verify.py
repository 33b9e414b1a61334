"""`fastnn verify`: whether this machine trains to the same bits as the reference.

Not here: the trainings and their digests (fastnn.verification), which are imported only when
needed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastnn.cli.output import print_now

if TYPE_CHECKING:
    import argparse

    from fastnn.cli.options import Commands

SHOWN = 10


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "verify",
        help="check that training gives the published bits on this machine",
        description="Repeat about 1,200 seeded training runs on every instruction set of this "
        "machine and compare digests of their weights, predictions and losses with the digests "
        "that are part of fastnn. All instruction sets with fused multiply-adds have the same "
        "digests. The exit code is 1 if any digest differs.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Compare the digests; return the exit code."""
    from fastnn import verification

    count = len(verification.read_table(verification.TABLE))
    found = verification.verify()
    if options.json:
        print_now(json.dumps({"trainings": count, "differing": found}) + "\n")
    else:
        print_now("".join(_lines(found, count)))
    return 1 if any(found.values()) else 0


def _lines(found: dict[str, list[str]], count: int) -> list[str]:
    """Return a line for each instruction set, and lines for the first names that differ."""
    lines = []
    for isa, names in found.items():
        result = f"{len(names)} differ" if names else "all equal"
        lines.append(f"{isa:<12}{count} training runs, {result}\n")
        lines += [f"    {name}\n" for name in names[:SHOWN]]
    return lines
