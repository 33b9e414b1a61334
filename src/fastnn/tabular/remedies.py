"""Remedies in messages about tables: an option of the command line, or an argument in Python.

A message about a file names the option of `fastnn train`, so that it can be copied into a shell; a
message about a data frame names the argument of `fastnn.tables.read` and of the estimators. Not
here: the messages (in the modules that raise them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.tabular.errors import FRAME
from fastnn.tabular.text_files import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence


def drop(path: str, names: Sequence[str]) -> str:
    """Return how to leave out columns: ``--drop id,name`` or ``drop=['id', 'name']``."""
    return f"drop={[*names]!r}" if path == FRAME else option("--drop", names)


def as_missing(path: str, text: str) -> str:
    """Return how to make a text a missing value: ``--missing=-99`` or ``missing=['-99']``."""
    return f"missing={[text]!r}" if path == FRAME else option("--missing", [text])


def as_category(path: str, name: str) -> str:
    """Return how to make a column a category: ``--categorical zip`` or ``kinds={...}``."""
    category = {name: "category"}
    return f"kinds={category!r}" if path == FRAME else option("--categorical", [name])


def as_date(path: str, name: str, kind: str) -> str:
    """Return how to state the order of a date: ``--day-first born`` or ``kinds={...}``.

    `kind` is "day-first date" or "month-first date".
    """
    stated, kinds = f"--{kind.removesuffix(' date')}", {name: kind}
    return f"kinds={kinds!r}" if path == FRAME else option(stated, [name])


def other_decimal(decimal: str) -> str:
    """Return how to state that a text file has the other decimal point: ``--decimal ,``."""
    return "--decimal " + {".": ",", ",": "."}[decimal]


def shell_argument(text: str) -> str:
    """Return a text quoted for a shell."""
    import shlex  # slow to import and rarely needed

    return shlex.quote(text)


def shell_path(path: str) -> str:
    """Return the path of a file quoted for a shell; "-", standard input, remains."""
    is_like_an_option = path.startswith("-") and path != "-"
    return shell_argument(f"./{path}" if is_like_an_option else path)


def option(name: str, texts: Sequence[str]) -> str:
    """Return an option whose value is a list: commas separate, double quotes enclose a comma."""
    value = ",".join(map(quoted, texts))
    between = "=" if value.startswith("-") else " "  # -n/a alone would be another option
    return f"{name}{between}{shell_argument(value)}"
