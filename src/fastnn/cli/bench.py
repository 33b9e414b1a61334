"""`fastnn bench`: the command of `fastnn.benchmarking`, which is imported only when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.cli.options import Commands


def add(commands: Commands, with_options: bool) -> None:
    """Add the command to the parser; adding its options imports the benchmarks."""
    parser = commands.add_parser(
        "bench",
        help="measure the speed of this machine, and of fastnn on it",
        description="Measure the speed of this machine, and of fastnn and other libraries on it.",
    )
    if with_options:
        from fastnn.benchmarking import command

        command.add_arguments(parser)
        parser.set_defaults(run=command.run)
