"""A table in memory: columns by name.

Here: Column and Table, and tests of a single column. Not here: reading a file or a data frame into
a table (reading.py), and encoding a table as a network's inputs (recipe.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.tabular.errors import TableError, require_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The kinds of dates. The texts of a "date" show themselves whether the day or the month is first.
DATES = ("date", "day-first date", "month-first date")

#: The kinds of columns that a network can take.
KINDS = ("number", "category", *DATES)


def _no_values() -> NDArray[Any]:
    return np.empty(0)


@dataclass
class Column:
    """A column of n rows.

    Parameters
    ----------
    name : str
    kind : str
        "number", "category", "date", "day-first date" (31/1/2020) or "month-first date"
        (1/31/2020); for other types of values the name of the type, which no network accepts.
    values : ndarray of shape (n,)
        For numbers: the numbers, NaN where a value is missing. For dates: seconds since 1970, NaN
        where a value is missing. For categories: indices into `texts`, -1 where a value is missing.
        For other kinds: empty.
    texts : list of str
        The distinct texts of a category, sorted; each occurs in the column.
    levels : list of str
        All texts that an ordered category may take, the lowest first; empty for other columns.
    """

    name: str
    kind: str
    values: NDArray[Any] = field(default_factory=_no_values)
    texts: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)


@dataclass
class Table:
    """A table read from a file or a data frame.

    Parameters
    ----------
    path : str
        The path of the file, or the name of the data frame in messages.
    n : int
        Number of rows.
    columns : dict of str to Column
    others : list of str
        Names of the columns that were not read.
    notes : list of str
        What was assumed about the file: its encoding, its number format, the matching of names.
    decimal : {".", ","}, optional
        The decimal point of the numbers in a text file; None for other tables.
    thousands : dict of str to bool
        For each column of numbers in a text file with decimal commas, whether points separate
        thousands.
    is_matrix : bool, default False
        Whether the names of the columns are positions: those of an array, a .npy or .npz file, or a
        text file without names.
    """

    path: str
    n: int
    columns: dict[str, Column]
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    decimal: str | None = None
    thousands: dict[str, bool] = field(default_factory=dict)
    is_matrix: bool = False

    def column(self, name: str) -> Column:
        """Return a column by name; a TableError lists the available names."""
        if isinstance(name, str) and name in self.columns:  # the list below may be long
            return self.columns[name]
        known = [*self.columns, *self.others]
        require_columns(self.path, [_checks.column_name("name", name, self.path, known)], known)
        raise TableError(
            f"{self.path}: column {name!r} was not read; remove it from drop, or add it to only"
        )


def counts_rows(column: Column) -> bool:
    """Return whether a column of numbers is 0, 1, 2, ... or 1, 2, 3, ..."""
    if column.kind != "number" or len(column.values) == 0:
        return False
    first = column.values[0]
    return first in (0, 1) and np.array_equal(
        column.values, np.arange(first, first + len(column.values))
    )


def are_row_numbers(column: Column) -> bool:
    """Return whether a column has distinct whole numbers, like the numbers of shuffled rows."""
    values = column.values
    if column.kind != "number" or np.isnan(values).any() or (values % 1).any():
        return False
    return len(np.unique(values)) == len(values)
