"""Checks of how a table is read, of lists in plain data, and of a model file's task.

Not here: the contents of a table (tabular/).
"""

from __future__ import annotations

import codecs
import numbers
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn._checks.callbacks import separator
from fastnn._checks.files import fields, plain_list, plain_number
from fastnn._checks.values import choice, integer, items, number, shown

_NAMED_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";",
                     "pipe": "|"}  # fmt: skip


def table_separator(value: object) -> str:
    """Return the character that separates the columns of a table; it may be given by name."""
    return separator(_NAMED_SEPARATORS.get(value, value) if isinstance(value, str) else value)


def is_recipe(metadata: object) -> bool:
    """Whether metadata is a recipe for tables, not a user's own data of the same name."""
    return isinstance(metadata, dict) and {"format", "columns", "ignored"} <= metadata.keys()


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


def listed_texts(name: str, value: object) -> list[str]:
    """Return a list of texts; a number in it becomes its text, -99 and -99.0 become "-99"."""
    if isinstance(value, str | numbers.Real):
        raise TypeError(f"{name} must be a list of texts; got {value!r}; pass [{value!r}]")
    listed = value.tolist() if isinstance(value, np.ndarray) else items(value)
    if not isinstance(listed, list):
        raise TypeError(f"{name} must be a list of texts; got {shown(value)}")
    return [_text_of(name, each) for each in listed]


def _text_of(name: str, value: object) -> str:
    """Return a text, or a number as text."""
    if isinstance(value, str):
        return str(value)
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must hold texts or numbers; got {shown(value)}")
    if isinstance(value, numbers.Integral):
        return str(int(value))
    as_float = float(value)
    return str(int(as_float)) if as_float.is_integer() else repr(as_float)


def column_name(name: str, value: object, table: str, known: Sequence[str]) -> str:
    """Return the name of a column of a table with the known columns."""
    if not isinstance(value, str):
        columns = ", ".join(map(repr, known[:12])) + (", ..." if len(known) > 12 else "")
        raise TypeError(
            f"{name} must be the name of a column as a str; got {shown(value)}; the columns of "
            f"{table} are {columns}"
        )
    return str(value)


def kinds_of_columns(value: object, known: Sequence[str]) -> dict[str, str]:
    """Return the kinds of columns by name, each of which must be one of the known kinds."""
    if not isinstance(value, Mapping):
        raise TypeError(
            f"kinds must be a dict of column names and kinds, such as {{'zip': 'category'}}; got "
            f"{shown(value)}"
        )
    names = listed_texts("kinds", list(value))
    return {
        name: choice(f"kinds[{name!r}]", kind, known)
        for name, kind in zip(names, value.values(), strict=True)
    }


def unread_table(**given: object) -> None:
    """Check that no argument is given that only reading a table could follow."""
    for name, value in given.items():
        if value:
            raise ValueError(
                f"data is a Table, which has been read already, so {name} has no effect; pass "
                f"{name} to tables.read"
            )


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


# ---- contents of a model file that `fastnn train` saved -----------------------------------------

#: The remedy for a file whose metadata were altered.
RESTORE = "restore the file, or train the network again"

#: Fields of a training record; those of several networks, and those that older files lack, may be
#: missing.
_RECORD = ("fastnn", "data", "rows", "preset", "refit", "epochs", "best_epoch", "loss", "seed",
           "test", "baseline")  # fmt: skip
_OPTIONAL = ("ensemble", "by", "search", "class_weight")


def training_record(value: object, score_names: Sequence[str]) -> dict[str, Any]:
    """Return the record of a training, as a model file keeps it."""
    place = "the training record"
    record = fields(place, value, (*_RECORD, *_OPTIONAL), _RECORD)
    rows = fields(f"{place}'s rows", record["rows"], ("training", "validation", "test"))
    for part, n in rows.items():
        integer(f"{place}'s rows for {part}", n, low=0)
    integer(f"{place}'s epochs", record["epochs"], low=0)
    for name in ("refit", "best_epoch"):
        if record[name] is not None:
            integer(f"{place}'s {name}", record[name], low=0)
    if "search" in record:
        trials = fields(f"{place}'s search", record["search"], None, ("trials",))["trials"]
        integer(f"{place}'s trials", trials, low=0)
    stated = record.get("class_weight")
    if stated is not None and stated != "balanced":
        for name, weight in fields(f"{place}'s class weights", stated, None, ()).items():
            plain_number(f"{place}'s class weight of {name!r}", weight)
    _scores(place, record, score_names)
    return record


def _scores(place: str, record: Mapping[str, Any], known: Sequence[str]) -> None:
    """Check the scores of a training record, which are missing together without test rows."""
    if record["test"] is None:
        return
    scored = fields(f"{place}'s test", record["test"], known, ())
    baseline = fields(f"{place}'s baseline", record["baseline"], known, tuple(scored))
    for which, found in (("test", scored), ("baseline", baseline)):
        for name, score in found.items():
            if score is not None:
                plain_number(f"{place}'s {name} of {which}", score)


def recipe_texts(place: str, value: object) -> list[str]:
    """Return a list of texts of a recipe."""
    return [plain_text(f"{place}[{i}]", each) for i, each in enumerate(plain_list(place, value))]


def plain_text(place: str, value: object) -> str:
    """Return a text of plain data."""
    if not isinstance(value, str):
        raise TypeError(f"{place} must be text; got {shown(value)}")
    return value
