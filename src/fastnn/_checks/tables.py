"""Checks of how a table's file is written, of lists in plain data, and of a model file's task.

Not here: the contents of a table (tabular/).
"""

from __future__ import annotations

import codecs
from itertools import pairwise

from fastnn._checks.callbacks import separator
from fastnn._checks.files import plain_list
from fastnn._checks.values import number, shown

_NAMED_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";",
                     "pipe": "|"}  # fmt: skip


def table_separator(value: object) -> str:
    """Return the character that separates the columns of a table; it may be given by name."""
    return separator(_NAMED_SEPARATORS.get(value, value) if isinstance(value, str) else value)


def encoding(value: object) -> str:
    """Return the name of a text encoding."""
    try:
        known = codecs.lookup(value)  # type: ignore[arg-type]  # raises for other types
        is_text: bool = known._is_text_encoding
    except (LookupError, TypeError, ValueError):
        is_text = False
    if not is_text:
        raise ValueError(
            f"encoding must be a text encoding such as 'utf-8', 'latin-1', 'cp1252' or 'utf-16'; "
            f"got {shown(value)}"
        )
    return str(value)


def ascending(place: str, value: object) -> list[float]:
    """Return a list of at least two increasing numbers."""
    found = [number(f"{place}[{i}]", each) for i, each in enumerate(plain_list(place, value))]
    if len(found) < 2 or any(low >= high for low, high in pairwise(found)):
        raise ValueError(f"{place} must be two or more numbers that increase; got {shown(value)}")
    return found


def task_of_table(found: str | None, wanted: str) -> None:
    """Check that a file's networks were trained for the task of an estimator."""
    if found != wanted:
        estimators = {"classification": "TabularClassifier", "regression": "TabularRegressor"}
        other = estimators.get(str(found))
        hint = f"use {other}.load" if other else "use fastnn.load"
        raise ValueError(f"the file's networks are for {found}, not for {wanted}; {hint}")


def some_networks(path: str, n: int) -> None:
    """Check that a file of networks has at least one."""
    if n == 0:
        raise ValueError(f"{path} has no networks; train them again")


def no_groups(path: str, by: str | None) -> None:
    """Check that all networks of a file predict every row, not one group each."""
    if by is not None:
        raise ValueError(
            f"{path} has a network for each value of {by!r}, but an estimator predicts every row "
            "with all networks; use the command fastnn predict"
        )


def texts(place: str, value: object) -> list[str]:
    """Return a list of strings."""
    found = plain_list(place, value)
    for text in found:
        if not isinstance(text, str):
            raise TypeError(f"{place} must hold strings; got {shown(text)}")
    return found
