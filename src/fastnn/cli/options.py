"""Options of the command line: the parser, and the options and argument types of several commands.

Not here: the options of one command (in its module).
"""

from __future__ import annotations

import argparse
import csv
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from fastnn import _checks
from fastnn.tabular.table import DATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Commands: TypeAlias = argparse._SubParsersAction["Parser"]
    Group: TypeAlias = argparse._ArgumentGroup


class UsageError(Exception):
    """The command line is wrong; the message says how to correct it."""


class _Paragraphs(argparse.HelpFormatter):
    """Formats help; a line break in a text before or after the options begins another line."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(fill(line, width, indent) for line in text.split("\n"))


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line.

    The parser of a command may add its options when it is first used, if adding them takes long.
    """

    _late: Callable[[Parser], None] | None = None
    _required_together: tuple[argparse.Action, tuple[str, ...]] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": _Paragraphs, **kwargs})

    def add_at_first_use(self, add: Callable[[Parser], None]) -> None:
        """Call ``add(parser)``, which adds options, before the first arguments are parsed."""
        self._late = add

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments as argparse does, which calls this for a command and its arguments."""
        late, self._late = self._late, None
        if late is not None:
            late(self)
        if self._required_together is not None:
            action, others = self._required_together
            given = sys.argv[1:] if args is None else args
            action.required = not any(text.lower().endswith(others) for text in given)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # said here, so that the error names the command's own --help
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def require(self, action: argparse.Action, unless: tuple[str, ...]) -> None:
        """Require an option, unless an argument ends with one of these texts, in lower case."""
        action.required, self._required_together = True, (action, unless)

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError."""
        raise UsageError(f"{message}; see {self.prog} --help")


def checked(
    check: Callable[..., Any], name: str, *args: Any, kind: type = float, **kwargs: Any
) -> Callable[[str], Any]:
    """Return the type of a numeric option that is checked as the library checks the argument."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError as error:
            whole = "whole " if kind is int else ""
            raise argparse.ArgumentTypeError(f"must be a {whole}number; got {text!r}") from error
        try:
            return check(value) if kind is str else check(name, value, *args, **kwargs)
        except ValueError as error:
            limits = str(error).removeprefix(f"{name} ").partition("; got")[0]
            raise argparse.ArgumentTypeError(f"{limits}; got {text!r}") from error

    return parse


def count(name: str, low: int = 1, high: int = sys.maxsize) -> Callable[[str], Any]:
    """Return the type of an option that takes a whole number."""
    return checked(_checks.integer, name, low, high, kind=int)


def fraction(name: str) -> Callable[[str], Any]:
    """Return the type of an option that takes a number from 0 up to, but not including, 1."""
    return checked(_checks.number, name, low=0.0, below=1.0)


def add_form_options(group: Group) -> None:
    """Add the options that describe how a text file is written."""
    group.add_argument("--separator", metavar="CHAR",
                       type=checked(_checks.table_separator, "separator", kind=str),
                       help="column separator of a text file: a character, tab or space (default: "
                       "detected)")  # fmt: skip
    group.add_argument("--decimal", choices=[".", ","], metavar="CHAR",
                       help="decimal point of a text file: . or , (default: detected; in predict, "
                       "that of the training file)")  # fmt: skip
    group.add_argument("--encoding", metavar="NAME",
                       type=checked(_checks.encoding, "encoding", kind=str),
                       help="encoding of a text file, such as latin-1 (default: UTF-8, UTF-16, or "
                       "otherwise Windows-1252)")  # fmt: skip
    group.add_argument("--no-header", action="store_true",
                       help="the first line of the text file is a data row; the columns are named "
                       "0, 1, ...")  # fmt: skip


def form_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that describe a text file, as `tables.read` takes them."""
    return {"separator": options.separator, "decimal": options.decimal,
            "encoding": options.encoding, "header": not options.no_header}  # fmt: skip


def add_value_options(group: Group) -> None:
    """Add the options that describe how the values of columns are read."""
    group.add_argument("--categorical", metavar="COLUMNS", type=names, default=[],
                       help="columns of numbers to treat as categories")  # fmt: skip
    group.add_argument("--day-first", metavar="COLUMNS", type=names, default=[],
                       help="columns of dates with the day first, such as 31/1/2020 (default: "
                       "found from a number above 12; without one, 1.2.2020 and 1-2-2020 are read "
                       "with the day first, 1/2/2020 with the month first)")  # fmt: skip
    group.add_argument("--month-first", metavar="COLUMNS", type=names, default=[],
                       help="columns of dates with the month first, such as 1/31/2020")  # fmt: skip
    group.add_argument("--missing", metavar="TEXTS", type=names, default=[],
                       help="further texts that stand for missing values, such as ?,-99"
                       )  # fmt: skip


def stated_kinds(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Return the name and the kind of each column whose kind is stated, and the option for it."""
    day_first, month_first = DATES[1:]
    options_of_kinds = [
        ("--categorical", "category", options.categorical),
        ("--day-first", day_first, options.day_first),
        ("--month-first", month_first, options.month_first),
    ]
    return [(name, kind, option) for option, kind, names in options_of_kinds for name in names]


def require_one_kind(stated: Iterable[tuple[str, str, str]]) -> None:
    """Check that no column has two of the kinds that `stated_kinds` returns."""
    known: dict[str, tuple[str, str]] = {}
    for name, kind, option in stated:
        other_kind, other = known.setdefault(name, (kind, option))
        if kind != other_kind:
            raise UsageError(f"column {name!r} is in {other} and in {option}; name it in one")


def names(text: str) -> list[str]:
    """Return names separated by commas; double quotes enclose a name that contains a comma."""
    try:
        return next(csv.reader([text], skipinitialspace=True)) or [""]
    except csv.Error:
        raise argparse.ArgumentTypeError(
            f"must be names separated by commas, with a name that has a line break in double "
            f"quotes; got {text!r}"
        ) from None


def units(text: str) -> list[int]:
    """Return the units of hidden layers; "none" means no hidden layer."""
    if text == "none":
        return []
    try:
        return [_checks.integer("hidden", int(part), 1, 2**20) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be numbers of units such as 256,128, or none; got {text!r}"
        ) from None
