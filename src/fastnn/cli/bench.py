"""`fastnn bench`: the command of `fastnn.benchmarking`, which is imported only when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.cli.options import Commands, Parser


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="measure the speed of this machine, and of fastnn on it",
        description="Measure the speed of this machine, and of fastnn and other libraries on it.",
    )
    parser.add_at_first_use(_add_options)


def _add_options(parser: Parser) -> None:
    """Add the options and the function of the command, which imports the benchmarks."""
    from fastnn.benchmarking import command

    command.add_arguments(parser)
    parser.set_defaults(run=command.run)
