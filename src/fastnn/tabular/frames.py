"""Data frames as tables: pandas, polars, Arrow, dicts of columns, arrays.

Here: the columns of a frame as polars Series or NumPy arrays, whichever the frame has, without
importing the frame's library. Not here: the kind of a column (columns.py).
"""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _conversion
from fastnn._conversion import is_missing
from fastnn.tabular.columns import OrderedTexts
from fastnn.tabular.errors import TableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.columns import Raw


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame: an object with named columns."""
    return isinstance(value, Mapping) or _conversion.column_names(value) is not None


def raw_columns(value: Any, name: str) -> dict[str, Raw]:
    """Return the columns of a frame or an array by name; a TableError calls the value `name`.

    The columns of an array (n, n_columns), and of a pandas frame without names, are "x0", "x1", ...
    """
    if hasattr(value, "collect"):
        raise TableError(f"{name} is lazy; pass {name}.collect()")
    if isinstance(value, np.ndarray) and value.dtype.names is None:
        if value.ndim != 2:
            raise TableError(
                f"{name} has {value.ndim} dimensions but must have 2: rows and columns; "
                f"a single column is {name}.reshape(-1, 1), a single row {name}.reshape(1, -1)"
            )
        return {f"x{j}": _simple(column) for j, column in enumerate(value.T)}
    if isinstance(value, np.ndarray):
        names: Any = value.dtype.names
    else:
        names = getattr(value, "column_names", getattr(value, "columns", None))
        names = list(value) if isinstance(value, Mapping) else names
    if names is None or isinstance(names, str):
        raise TableError(
            f"{name} must be a data frame, a dict of columns, an array of rows or a path; got "
            f"{type(value).__name__}"
        )
    texts = [str(column) for column in names]
    for i, text in enumerate(texts):
        if text in texts[:i]:
            raise TableError(f"{name} has two columns {text!r}; rename one of them")
    found = {
        text: _raw(name, text, value[column]) for text, column in zip(texts, names, strict=True)
    }
    lengths = {text: len(column) for text, column in found.items()}
    if len(set(lengths.values())) > 1:
        raise TableError(f"{name} has columns of different lengths: {lengths}; make them equal")
    return found


def _raw(frame: str, name: str, column: Any) -> Raw:
    """Return a column as a polars Series, an ndarray (n,), or an ordered category.

    Integers some of which are missing are a masked array. Messages have the names of the frame and
    of the column.
    """
    if type(column).__module__.startswith("polars"):
        return column
    zone = getattr(getattr(column, "dtype", None), "tz", None)
    if zone is not None:  # pandas: keep the local time
        column = column.dt.tz_localize(None)
    kind = getattr(getattr(column, "dtype", None), "kind", None)
    is_pandas = hasattr(column, "iloc")
    if getattr(getattr(column, "dtype", None), "name", None) == "category":
        texts = _texts(np.asarray(column).tolist())
        categories = getattr(column, "cat", column)  # a Categorical has no attribute cat
        if not categories.ordered:
            return texts
        return OrderedTexts(texts, _texts(categories.categories).tolist())
    if is_pandas and kind is not None and kind in "iu" and column.isna().any():
        return np.ma.array(column.fillna(0).to_numpy(f"{kind}8"), mask=column.isna().to_numpy())
    if is_pandas and kind == "f" and column.isna().any():
        return column.to_numpy(np.float64, na_value=np.nan)
    if is_pandas and kind == "b" and column.isna().any():
        return _simple(column.astype(object).to_numpy())
    if _conversion.is_dictionary(column) and column.type.ordered:
        whole = column.combine_chunks() if hasattr(column, "combine_chunks") else column
        return OrderedTexts(
            _texts(column.to_pylist()), _texts(whole.dictionary.to_pylist()).tolist()
        )
    array = np.asarray(column) if is_pandas else _array(_conversion.decoded(column))
    if array.ndim != 1:
        raise TableError(_is_no_list(frame, name, column, array))
    return _simple(array)


def _array(column: Any) -> NDArray[Any]:
    """Return a column of Arrow, or another list of values, as an array."""
    kind = getattr(column, "type", None)
    if getattr(kind, "tz", None) is not None:  # Arrow: keep the local time
        import pyarrow.compute

        column = pyarrow.compute.local_timestamp(column)
    if getattr(column, "null_count", 0) and str(kind).lstrip("u").startswith("int"):
        return np.ma.array(_to_numpy(column.fill_null(0)), mask=_to_numpy(column.is_null()))
    if hasattr(column, "to_numpy"):
        return _to_numpy(column)
    try:
        return np.asarray(column)
    except ValueError:  # a list some of whose items are lists
        found = np.empty(len(column), object)
        found[:] = column
        return found


def _to_numpy(column: Any) -> NDArray[Any]:
    """Return an object of another library as an array, as a copy if its memory has another form."""
    try:
        return np.asarray(column.to_numpy(zero_copy_only=False))  # Arrow
    except TypeError:
        return np.asarray(column.to_numpy())


def _is_no_list(frame: str, name: str, column: Any, array: NDArray[Any]) -> str:
    """Return the message about a column that is not a list of values."""
    place = f"{frame}: column {name!r}"
    if array.ndim:
        return f"{place} has shape {array.shape}; give one value for each row: shape (n,)"
    if isinstance(column, Iterable) and not isinstance(column, str | bytes | np.ndarray):
        return f"{place} is a {type(column).__name__}; give a list with one value for each row"
    value = _checks.shown(array.tolist() if array.dtype.kind in "biufUS" else column)
    return f"{place} is the single value {value}; give lists: {{{name!r}: [{value}], ...}}"


def _texts(values: Iterable[Any]) -> NDArray[Any]:
    """Return values as texts (n,), "" where a value is missing."""
    return np.array(["" if is_missing(value) else str(value) for value in values], str)


def _simple(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of objects as an array of numbers, dates or texts, "" where one is missing.

    Integers become a masked array, which keeps all their digits. Bools become texts, as in a file.
    An array of another dtype is returned unchanged.
    """
    if array.dtype.kind == "T":  # NumPy's StringDType
        array = array.astype(object)
    if array.dtype.kind != "O":
        return array
    known = [value for value in array.tolist() if not is_missing(value)]
    if known and all(isinstance(v, numbers.Integral) and not _is_bool(v) for v in known):
        mask = [is_missing(value) for value in array]
        integers = [0 if is_missing(value) else int(value) for value in array]
        fits = min(integers) >= -(2**63) and max(integers) < 2**63
        return np.ma.array(np.array(integers, np.int64 if fits else object), mask=mask)
    if all(isinstance(v, numbers.Real | decimal.Decimal) and not _is_bool(v) for v in known):
        return np.array([np.nan if is_missing(v) else float(v) for v in array], np.float64)
    if known and all(isinstance(v, datetime.date) for v in known):
        return np.array([None if is_missing(v) else _clock(v) for v in array], "M8[us]")
    texts = ["" if is_missing(v) else str(v).lower() if _is_bool(v) else str(v) for v in array]
    return np.array(texts, str) if all(map(_is_plain, known)) else array


def _clock(value: datetime.date) -> datetime.date:
    """Return a date without its time zone, which leaves the local time unchanged."""
    return value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_plain(value: Any) -> bool:
    """Return whether the text of a value represents it fully."""
    kinds = str | numbers.Real | decimal.Decimal | datetime.date
    return isinstance(value, kinds) or _is_bool(value)
