"""Checks of embedding layers (columns, categories, bins) and of rows that hold categories."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.arrays import as_array
from fastnn._checks.values import counted, integer, items, number, shown
from fastnn.sparse_rows import SparseRows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ascending_columns",
    "bins",
    "categories",
    "categories_of_rows",
    "columns_exist",
    "rows_of_quantiles",
    "sizes",
    "varies",
    "wide_bins",
]


def _listed(name: str, value: object, what: str) -> list[Any]:
    """Return the items of a list or of a one-dimensional array."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    found = items(value)
    if found is None:
        raise TypeError(f"{name} must be a list of {what}; got {shown(value)}")
    return found


def ascending_columns(name: str, value: object) -> tuple[int, ...] | None:
    """Return increasing column numbers, or None for all columns."""
    if value is None:
        return None
    found = _listed(name, value, "column numbers")
    columns = tuple(integer(f"{name}[{i}]", each, low=0) for i, each in enumerate(found))
    if not columns or any(a >= b for a, b in pairwise(columns)):
        raise ValueError(
            f"{name} must be one or more column numbers that increase; got {shown(value)}"
        )
    return columns


def columns_exist(
    name: str, columns: Sequence[int] | None, n_in: int, n_given: int | None = None
) -> None:
    """Check that a layer of n_in inputs has these columns; None needs a value for each input."""
    if columns is not None and columns[-1] >= n_in:
        raise ValueError(
            f"columns holds {columns[-1]}, but the layer has {counted(n_in, 'input')}, columns 0 "
            f"to {n_in - 1}"
        )
    if columns is None and n_given is not None and n_given != n_in:
        raise ValueError(
            f"{name} is for {counted(n_given, 'column')}, but the layer has "
            f"{counted(n_in, 'input')}; pass the numbers of these {counted(n_given, 'column')} as "
            "columns=[...]"
        )


def sizes(name: str, value: object, n: int | None, high: int) -> int | tuple[int, ...]:
    """Return one size, or one for each of n columns."""
    if not isinstance(value, int | np.integer):
        found = _listed(name, value, "integers, one for each column, or an integer")
        _require_one_each(name, len(found), n)
        each = enumerate(found)
        return tuple(integer(f"{name}[{i}]", size, low=1, high=high) for i, size in each)
    return integer(name, value, low=1, high=high)


def _require_one_each(name: str, given: int, n: int | None) -> None:
    if given == 0 or (n is not None and given != n):
        wanted = "at least one entry"
        if n is not None:
            wanted = "one entry, for its column" if n == 1 else f"an entry for each of {n} columns"
        raise ValueError(f"{name} must have {wanted}; it has {given}")


def bins(
    name: str, value: object, n: int | None, is_needed: bool
) -> tuple[tuple[float, ...], ...] | None:
    """Return the bin edges of n columns; None where no edges are needed."""
    if not is_needed:
        if value is not None:
            raise ValueError(f"{name} is for kind='piecewise' only; leave it out")
        return None
    if value is None:
        raise ValueError(
            f"{name} is needed for kind='piecewise'; pass {name}=NumericEmbedding.edges(X, 16), or "
            "use kind='periodic'"
        )
    if isinstance(value, int | np.integer):
        n = max(2, int(value))
        raise TypeError(
            f"{name} must be a list of lists of edges, one for each column; got {value!r}: for {n} "
            f"bins in each column pass {name}=NumericEmbedding.edges(X, {n})"
        )
    found = _listed(name, value, "lists of edges, one for each column")
    _require_one_each(name, len(found), n)
    return tuple(_edges(f"{name}[{i}]", each) for i, each in enumerate(found))


def _edges(name: str, value: object) -> tuple[float, ...]:
    """Return the bin edges of one column."""
    found = _listed(name, value, "edges")
    edges = tuple(float(number(f"{name}[{i}]", each)) for i, each in enumerate(found))
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"{name} must be two or more numbers that increase; got {shown(value)}")
    return edges


def wide_bins(stage: Mapping[str, Any], dtype: np.dtype[Any]) -> None:
    """Check that numbers of `dtype` can be divided by the width of each bin of a stage."""
    columns, bins = stage["columns"], stage["bins"]
    for column, edges in zip(range(len(bins)) if columns is None else columns, bins, strict=True):
        for low, high in pairwise(edges):
            if _reciprocal_is_finite(high - low, dtype):
                continue
            helps = _reciprocal_is_finite(high - low, np.dtype(np.float64))
            wider = ", or build the MLP with dtype='float64'" if helps else ""
            raise ValueError(
                f"bins of column {column} has the edges {low!r} and {high!r}, too close to each "
                f"other for {dtype}; drop one of them, or multiply the column by a constant{wider}"
            )


def _reciprocal_is_finite(width: float, dtype: np.dtype[Any]) -> bool:
    return 1 / width <= float(np.finfo(dtype).max)


def rows_of_quantiles(name: str, value: Any) -> NDArray[np.float64]:
    """Return finite rows (n, n_in) in float64, for computing quantiles."""
    array = as_array(name, value)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or array.size == 0:
        raise ValueError(
            f"{name} must be rows of numbers, of shape (n, n_in); got {array.dtype} of shape "
            f"{array.shape}"
        )
    found = array.astype(np.float64)
    if not np.isfinite(found).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise ValueError(
            f"{name}[{row}, {column}] is {found[row, column]}; replace or drop values that are not "
            "finite"
        )
    return found


def varies(name: str, column: int, edges: NDArray[np.float64]) -> None:
    """Check that a column has more than one distinct value."""
    if len(edges) < 2:
        raise ValueError(
            f"column {column} of {name} is {edges[0]:g} in all rows, so it has no bins; pass the "
            "other columns as columns=[...]"
        )


# ---- rows ---------------------------------------------------------------------------------------


def categories(name: str, rows: Any, counts: Mapping[int, int]) -> Any:
    """Return converted rows whose columns in `counts` hold categories below these counts."""
    if isinstance(rows, SparseRows):
        for column in counts:
            mine = rows.indices == column
            where = np.searchsorted(rows.indptr, np.flatnonzero(mine), side="right") - 1
            _require_categories(name, rows.data[mine], column, counts[column], where)
    else:
        categories_of_rows(name, rows, counts)
    return rows


def categories_of_rows(
    name: str,
    found: NDArray[Any],
    counts: Mapping[int, int],
    rows: slice | NDArray[np.int64] | None = None,
    first: int = 0,
) -> None:
    """Check the columns of categories in an array.

    `rows` are the indices of its rows in a part of X that begins at row `first`.
    """
    for column, count in counts.items():
        where: Any = rows
        if not isinstance(rows, np.ndarray):
            start = 0 if rows is None else rows.start
            where = range(start, start + len(found))
        _require_categories(name, found[:, column], column, count, where, first)


def _require_categories(
    name: str, values: NDArray[Any], column: int, count: int, where: Any, first: int = 0
) -> None:
    is_none = (values < 0) | (values >= count) | (values != np.floor(values))
    if is_none.any():
        i = int(is_none.argmax())
        raise ValueError(
            f"{name}[{first + int(where[i])}, {column}] is {values[i]:g}, but column {column} "
            f"holds categories, which are numbered from 0 to {count - 1}; renumber them, or give "
            "the Embedding more categories"
        )
