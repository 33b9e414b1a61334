"""The target: the task that a column implies, and the value to predict for each row.

Not here: the columns that the target is predicted from (learning.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular import remedies
from fastnn.tabular.codes import is_missing
from fastnn.tabular.errors import TableError, listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.table import Column, Table

#: The most classes that a target can have.
MAX_CLASSES = 4096

#: Whole numbers are classes if at most FEW_NUMBERS are different, with ROWS_PER_NUMBER rows each.
FEW_NUMBERS, ROWS_PER_NUMBER = 20, 10

#: The float64 that is the first to stand for two whole numbers: itself and the next one.
FIRST_INEXACT = 2.0**53

#: A regression on at most this many distinct whole numbers gets a note that they may be classes.
_FEW_FOR_NUMBERS = 50


def target_of(
    table: Table, name: str, task: str | None = None
) -> tuple[str, list[Any] | None, NDArray[Any]]:
    """Return the target: the task, its classes, and the value to predict for each row.

    Parameters
    ----------
    table : Table
    name : str
        Name of the target column.
    task : {"classification", "regression"}, optional
        By default, texts are classes, and so are whole numbers if at most ``FEW_NUMBERS`` distinct
        ones have ``ROWS_PER_NUMBER`` rows each on average; other numbers are for regression.

    Returns
    -------
    task : str
    classes : list or None
        The classes in ascending order: texts, or numbers if the column holds numbers. None for
        regression.
    values : ndarray of shape (n,)
        Indices into the classes, -1 where the target is missing; for regression, numbers, NaN where
        the target is missing.

    Raises
    ------
    TableError
        If the column suits no task, or does not suit the given one.
    """
    column = table.column(name)
    where = f"{table.path}: the target {name!r}"
    if column.kind in ("number", "category") and is_missing(column.values).all():
        raise TableError(f"{where} has no value in any row; choose another target")
    if column.kind == "number":
        task = task or _task_of_numbers(column)
        different = np.unique(column.values[~np.isnan(column.values)])
        if task == "classification" or len(different) < 2:
            _require_distinguishable(where, remedies.as_category(table.path, name), different)
        classes: list[Any] = [int(v) if v.is_integer() else v for v in different.tolist()]
        labels = np.searchsorted(different, column.values)
        labels[np.isnan(column.values)] = -1
    elif column.kind == "category":
        if task == "regression":
            raise TableError(
                f"{where} holds texts ({listed(column.texts, 3)}) but regression needs numbers; "
                "convert them, or use classification"
            )
        task, classes, labels = "classification", column.texts, column.values
    else:
        raise TableError(f"{where} is of type {column.kind}; convert it to numbers or texts")
    if len(classes) < 2:
        raise TableError(f"{where} has the same value in all rows; choose another target")
    if task == "regression":
        return task, None, column.values
    if len(classes) > MAX_CLASSES:
        raise TableError(
            f"{where} has {len(classes):,} classes but at most {MAX_CLASSES:,} are possible; merge "
            "classes, or choose another target"
        )
    return task, classes, labels


def _require_distinguishable(where: str, as_category: str, different: NDArray[Any]) -> None:
    """Check that classes are not whole numbers so large that float64 lacks some of them."""
    largest = different[np.abs(different).argmax()]
    if abs(largest) >= FIRST_INEXACT:
        raise TableError(
            f"{where} holds {largest:.0f}, but whole numbers from {FIRST_INEXACT:.0f} on are "
            f"rounded, so that different values may become one; treat them as texts: {as_category}"
        )


def _task_of_numbers(column: Column) -> str:
    """Return the task that a column of numbers implies."""
    known = column.values[~np.isnan(column.values)]
    different = np.unique(known)
    is_few = len(different) <= min(FEW_NUMBERS, len(known) / ROWS_PER_NUMBER)
    is_whole = (different == np.floor(different)).all()
    return "classification" if is_few and is_whole else "regression"


def doubt(column: Column, task: str) -> str | None:
    """Return a note about a target of whole numbers whose task may have been misjudged."""
    if column.kind != "number":
        return None
    different = np.unique(column.values[~np.isnan(column.values)])
    if len(different) < 3 or (different != np.floor(different)).any():
        return None
    what = f"the target {column.name!r} has {len(different)} different whole numbers, treated as"
    if task == "classification":
        return f"{what} classes; if they are amounts: --task regression"
    if len(different) <= min(_FEW_FOR_NUMBERS, len(column.values) / 2):
        return f"{what} amounts; if they are classes: --task classification"
    return None
