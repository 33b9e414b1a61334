"""Learning a recipe: which columns of a table are used, and how each is encoded.

Here: decisions taken from the training rows alone. Not here: the target (targets.py), and encoding
by what was learned (encoding.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.encoding import CategoryEntry, Entry, NumberEntry
from fastnn.tabular.errors import TableError, shell_argument
from fastnn.tabular.recipe import Recipe
from fastnn.tabular.table import ascends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.tabular.table import Column, Table

#: The most categories that a column can have: each is an input of the network.
MAX_CATEGORIES = 256

_UNNAMED = ("", "Unnamed: 0", "__index_level_0__")  # the names that pandas and R give row numbers


def learn(
    table: Table,
    target: str,
    task: str,
    classes: list[Any] | None,
    rows: NDArray[Any],
    missing: Sequence[str] = (),
) -> Recipe:
    """Learn from training rows how a table's columns are encoded.

    Parameters
    ----------
    table : Table
    target, task, classes
        The target's name, as `target_of` takes it, and the task and classes that it returns.
    rows : ndarray of int
        Indices of the rows that the network will be trained on.
    missing : list of str, optional
        Texts that stand for a missing value, as `read` takes them.

    Returns
    -------
    Recipe

    Raises
    ------
    TableError
        If a column has too many different texts, is of a type that no network takes, or if no
        column is left.
    """
    columns: list[Entry] = []
    ignored: dict[str, str] = {}
    crowded: list[tuple[str, int]] = []
    unsupported: list[tuple[str, str]] = []
    for column in table.columns.values():
        if column.name == target:
            continue
        if column.kind == "date":
            ignored[column.name] = "dates"
        elif column.kind not in ("number", "category"):
            unsupported.append((column.name, column.kind))
        elif column.name in _UNNAMED and ascends(column):
            ignored[column.name] = "row numbers"
        else:
            entry = _entry(column, rows)
            if entry is None:
                ignored[column.name] = "constant in the training rows"
            elif entry["kind"] == "category" and len(entry["texts"]) > MAX_CATEGORIES:
                crowded.append((column.name, len(entry["texts"])))
            else:
                columns.append(entry)
    if unsupported:
        raise TableError(_unsupported(table.path, unsupported))
    if crowded:
        raise TableError(_too_many_texts(table.path, crowded, len(rows)))
    if not columns:
        why = ", ".join(f"{name!r} ({reason})" for name, reason in ignored.items()) or "none"
        raise TableError(
            f"{table.path} has no column to predict {target!r} from; ignored columns: {why}"
        )
    return Recipe(task, target, classes, columns, ignored, list(missing))


def _entry(column: Column, rows: NDArray[Any]) -> Entry | None:
    """Return how a column is encoded, None if it doesn't vary in these rows."""
    return _number(column, rows) if column.kind == "number" else _category(column, rows)


def _number(column: Column, rows: NDArray[Any]) -> NumberEntry | None:
    """Return how numbers are encoded, None if they don't vary."""
    values = column.values[rows]
    known = values[~np.isnan(values)]
    has_missing = len(known) < len(values)
    if len(known) == 0 or (known.min() == known.max() and not has_missing):
        return None
    median = float(np.median(known))
    spread = float(known.std()) or 1.0
    shift = median if abs(median) > 1000 * spread else 0.0
    return {"name": column.name, "kind": "number", "median": median, "shift": shift,
            "missing": has_missing}  # fmt: skip


def _category(column: Column, rows: NDArray[Any]) -> CategoryEntry | None:
    """Return how texts are encoded, None if they don't vary."""
    codes = column.values[rows]
    counts = np.bincount(codes + 1, minlength=len(column.texts) + 1)
    has_missing = bool(counts[0])
    texts = [text for text, n in zip(column.texts, counts[1:].tolist(), strict=True) if n]
    if not texts or len(texts) + has_missing < 2:
        return None
    return {"name": column.name, "kind": "category", "texts": texts, "missing": has_missing}


def _unsupported(path: str, columns: list[tuple[str, str]]) -> str:
    described = ", ".join(f"{name!r} ({kind})" for name, kind in columns[:6])
    plural, them = ("s", "them") if len(columns) > 1 else ("", "it")
    return (
        f"{path}: column{plural} {described} cannot be inputs of a network; convert {them}, or "
        f"leave {them} out: --drop {_names(columns)}"
    )


def _too_many_texts(path: str, columns: list[tuple[str, int]], n: int) -> str:
    described = ", ".join(f"{name!r} ({count:,})" for name, count in columns[:6])
    plural, has, them = ("s", "have", "them") if len(columns) > 1 else ("", "has", "it")
    return (
        f"{path}: column{plural} {described} {has} too many different texts in {n:,} rows; at most "
        f"{MAX_CATEGORIES} can be categories; merge texts, or leave {them} out: --drop "
        f"{_names(columns)}"
    )


def _names(columns: Sequence[tuple[str, object]]) -> str:
    """Return names of columns as the option --drop takes them."""
    return shell_argument(",".join(name for name, _ in columns))
