"""The command line `fastnn`, with a module for each command.

Results go to standard output. Progress, notes and errors go to standard error; an error is one line
that begins with "fastnn: error:" and says how to correct it. Exit codes: 0 for success, 1 if data
or files cannot be used, 2 if the command line is wrong, 3 if a network does not meet --require, 130
after Ctrl-C, 141 if the reader of the output has closed the pipe.

Here: `main`, which runs a command and turns exceptions into exit codes. The module of a command has
its options and its steps, and says which other modules have parts of them. ARCHITECTURE.md lists
the places where a new command is added. Not here: work on tables (tabular/), training (MLP.fit) and
measuring (benchmarking/).
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import fastnn
from fastnn.cli import bench, export, info, predict, train, verify
from fastnn.cli.options import Parser, UsageError
from fastnn.cli.output import discard, log, of_system, print_now

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: The modules of the commands, in the order of `fastnn --help`. A module has the name of its
#: command, and a function `add`, which adds the command and its options to the parser.
_COMMANDS = (train, predict, info, export, verify, bench)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; by default those of this process.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> from fastnn.cli import main
    >>> main(["info", "nowhere.safetensors"])  # what is wrong goes to stderr
    1
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        options = _parser().parse_args(argv)
        code: int = options.run(options)
        print_now("")  # last chance to report a full disk
        return code
    except SystemExit as done:  # argparse has printed help or version
        return _after_help(done)
    except KeyboardInterrupt:
        return _fail("interrupted; no file was written", 130)
    except BrokenPipeError:
        discard(sys.stdout)
        return 141
    except UsageError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(of_system(error), 1)
    except MemoryError:
        trains = hasattr(options, "hidden")
        what = "rows, columns, hidden units or networks" if trains else "rows or columns"
        return _fail(f"not enough memory; use fewer {what}", 1)
    except FloatingPointError as error:
        what = re.split("[:;]", str(error))[0].removesuffix(", so it cannot be saved")
        or_l2 = " or --l2" if getattr(options, "l2", None) else ""
        return _fail(f"{what}, so nothing was saved; lower --learning-rate{or_l2}", 1)
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        return _fail(str(error), 1)


def _after_help(done: SystemExit) -> int:
    """Return the exit code after argparse has printed help or version."""
    try:
        print_now("")
    except OSError as error:
        discard(sys.stdout)
        return 141 if isinstance(error, BrokenPipeError) else _fail(of_system(error), 1)
    return int(done.code or 0)


def _fail(message: str, code: int) -> int:
    """Write an error as one line; return the exit code."""
    log(f"fastnn: error: {' '.join(message.split())}")
    return code


def _parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="fastnn",
        description="Train neural networks on tables, predict with them, and inspect them, on "
        "CPUs.",
        epilog="`fastnn COMMAND --help` lists the options of a command. Exit codes: 0 success, 1 "
        "data or files cannot be used, 2 the command line is wrong, 3 --require is not met, 130 "
        "interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    parser.set_defaults(run=_without_command)
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser


def _without_command(options: argparse.Namespace) -> int:
    """Refuse a command line without a command."""
    *first, last = (module.__name__.rpartition(".")[2] for module in _COMMANDS)
    raise UsageError(f"name a command: {', '.join(first)} or {last}; see fastnn --help")
