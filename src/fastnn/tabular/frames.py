"""Data frames as tables: pandas, polars, Arrow, dicts of columns, arrays.

Here: the columns of a frame as polars Series or NumPy arrays, whichever the frame has, without
importing the frame's library. Not here: the kind of a column (columns.py).
"""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _conversion
from fastnn._conversion import is_missing
from fastnn.tabular.columns import CodedTexts
from fastnn.tabular.errors import TableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.columns import Raw


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame: an object with named columns."""
    return isinstance(value, Mapping) or _conversion.column_names(value) is not None


def require_loaded(value: Any, name: str) -> None:
    """Check that a frame is not lazy; a TableError calls it `name`."""
    if hasattr(value, "collect"):
        raise TableError(f"{name} is lazy; pass {name}.collect()")


class Frame:
    """A frame or an array, whose columns are converted when they are loaded.

    The columns of an array (n, n_columns), and of a pandas frame without names, are "x0", "x1", ...

    Parameters
    ----------
    value : data frame, dict of columns or ndarray
    name : str
        What a TableError calls it.
    missing : sequence of str
        Texts that stand for a missing value.

    Attributes
    ----------
    names : list of str
        The names of the columns.
    is_matrix : bool
        Whether the names are positions in an array.
    """

    notes: Sequence[str] = ()
    is_plain_text = False

    def __init__(self, value: Any, name: str, missing: Sequence[str]) -> None:
        require_loaded(value, name)
        self._value, self._name, self._missing = value, name, frozenset(missing)
        self.is_matrix = isinstance(value, np.ndarray)
        self._keys = keys_of(value, name)
        self.names = list(self._keys)

    def load(self, some: list[str]) -> dict[str, Raw]:
        """Return some columns."""
        value, keys = self._value, self._keys
        if isinstance(value, np.ndarray) and value.dtype.names is None:
            return {text: _simple(value[:, keys[text]], self._missing) for text in some}
        found = {text: _raw(self._name, text, value[keys[text]], self._missing) for text in some}
        lengths = {text: len(column) for text, column in found.items()}
        if len(set(lengths.values())) > 1:
            raise TableError(
                f"{self._name} has columns of different lengths: {lengths}; make them equal"
            )
        return found


def keys_of(value: Any, name: str) -> dict[str, Any]:
    """Return the key of each column of a frame or an array by the column's name."""
    if isinstance(value, np.ndarray) and value.dtype.names is None:
        if value.ndim != 2:
            raise TableError(
                f"{name} has {_checks.counted(value.ndim, 'dimension')} but must have 2: rows and "
                f"columns; a single column is {name}.reshape(-1, 1), a single row "
                f"{name}.reshape(1, -1)"
            )
        return {f"x{j}": j for j in range(value.shape[1])}
    if isinstance(value, np.ndarray):
        keys: Any = value.dtype.names
    else:
        keys = getattr(value, "column_names", getattr(value, "columns", None))
        keys = list(value) if isinstance(value, Mapping) else keys
    if keys is None or isinstance(keys, str):
        raise TableError(
            f"{name} must be a data frame, a dict of columns, an array of rows or a path; got "
            f"{type(value).__name__}"
        )
    found: dict[str, Any] = {}
    for key in keys:
        text = str(key)
        if text in found:
            raise TableError(f"{name} has two columns {text!r}; rename one of them")
        found[text] = key
    return found


def _raw(frame: str, name: str, column: Any, missing: Collection[str]) -> Raw:
    """Return a column as a polars Series, an ndarray (n,), or coded texts.

    Integers some of which are missing are a masked array. Messages have the names of the frame and
    of the column.
    """
    if type(column).__module__.startswith("polars"):
        return column
    if hasattr(column, "sparse"):  # a sparse column of pandas
        column = column.sparse.to_dense()
    dtype = getattr(column, "dtype", None)
    if hasattr(getattr(dtype, "pyarrow_dtype", None), "index_type"):  # a dictionary of Arrow
        column = getattr(column, "array", column).__arrow_array__()
    if _conversion.is_dictionary(column):
        return _of_dictionary(frame, name, column)
    if getattr(dtype, "name", None) == "category":
        category = getattr(column, "cat", column)  # a Categorical has no attribute cat
        known = _raw(frame, name, category.categories.to_series(), ())
        return _of_category(np.asarray(category.codes), known, category.ordered)
    if getattr(dtype, "tz", None) is not None:  # pandas: keep the local time
        column = getattr(column, "dt", column).tz_localize(None)
    kind = getattr(dtype, "kind", None)
    is_pandas = hasattr(column, "iloc")
    if is_pandas and kind is not None and kind in "iu" and column.isna().any():
        return np.ma.array(column.fillna(0).to_numpy(f"{kind}8"), mask=column.isna().to_numpy())
    if is_pandas and kind == "f" and column.isna().any():
        return column.to_numpy(f"f{column.dtype.itemsize}", na_value=np.nan)
    if is_pandas and kind == "b" and column.isna().any():
        return _simple(column.astype(object).to_numpy(), missing)
    array = np.asarray(column) if is_pandas else _array(column)
    if array.ndim != 1:
        raise TableError(_is_no_list(frame, name, column, array))
    return _simple(array, missing)


def _of_dictionary(frame: str, name: str, column: Any) -> Raw:
    """Return a dictionary array of Arrow, which is a category there."""
    whole = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    indices = _to_numpy(whole.indices.fill_null(0)).astype(np.int64)
    codes = np.where(_to_numpy(whole.indices.is_null()), -1, indices)
    return _of_category(codes, _raw(frame, name, whole.dictionary, ()), column.type.ordered)


def _of_category(codes: NDArray[Any], known: Raw, is_ordered: bool) -> Raw:
    """Return a category from the index of each row's category (n,), -1 where it is missing.

    The categories themselves (`known`) become texts, so that a missing row does not change the text
    of a large integer. Categories that are times are a column of times.
    """
    if isinstance(known, np.ndarray) and known.dtype.kind in "mM":
        return np.append(known, np.array("NaT", known.dtype))[codes]
    if isinstance(known, CodedTexts):
        texts = [*known.texts, ""]
        categories = [texts[code] for code in known.codes.tolist()]
    else:
        values = known.tolist() if isinstance(known, np.ma.MaskedArray) else known
        categories = ["" if is_missing(value) else _text(value) for value in values]
    return CodedTexts(categories, codes, categories if is_ordered else [])


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
    if isinstance(column, list | tuple) and any(isinstance(value, str) for value in column):
        return _of_objects(column)  # NumPy would make all values texts, as long as the longest
    try:
        return np.asarray(column)
    except ValueError:  # a list some of whose items are lists
        return _of_objects(column)


def _of_objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return a list of values as an array of objects (n,)."""
    found = np.empty(len(values), object)
    found[:] = values
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


def _simple(array: NDArray[Any], missing: Collection[str]) -> Raw:
    """Return an array of objects as numbers, times or coded texts, whichever all its values are.

    A text in `missing` is a missing value, whatever the other values are. Integers become a masked
    array, which keeps all their digits; times of day become seconds since midnight, as in polars.
    Bools become texts, as in a file. An array of another dtype is returned unchanged.
    """
    if array.dtype.kind == "T":  # NumPy's StringDType
        array = array.astype(object)
    if array.dtype.kind != "O":
        return array
    values = [None if _stands_for_missing(v, missing) else v for v in array.tolist()]
    known = [value for value in values if value is not None]
    if known and all(isinstance(v, numbers.Integral) and not _is_bool(v) for v in known):
        integers = [0 if v is None else int(v) for v in values]
        fits = min(integers) >= -(2**63) and max(integers) < 2**63
        mask = [v is None for v in values]
        return np.ma.array(np.array(integers, np.int64 if fits else object), mask=mask)
    if all(isinstance(v, numbers.Real | decimal.Decimal) and not _is_bool(v) for v in known):
        return np.array([np.nan if v is None else float(v) for v in values], np.float64)
    if all(isinstance(v, datetime.date) for v in known):
        return np.array([None if v is None else _clock(v) for v in values], "M8[us]")
    if all(isinstance(v, datetime.timedelta) for v in known):
        return np.array(values, "m8[us]")
    if all(isinstance(v, datetime.time) for v in known):
        return np.array([np.nan if v is None else _seconds(v) for v in values], np.float64)
    return _coded(values) if all(map(_is_plain, known)) else array


def _stands_for_missing(value: Any, missing: Collection[str]) -> bool:
    """Return whether a value is missing, or is one of the texts that stand for a missing value."""
    return value.strip() in missing if isinstance(value, str) else is_missing(value)


def _coded(values: Iterable[Any]) -> CodedTexts:
    """Return values, None where one is missing, as coded texts.

    An array of texts would take the length of the longest text for each of them.
    """
    index: dict[str, int] = {}
    codes = [-1 if v is None else index.setdefault(_text(v), len(index)) for v in values]
    return CodedTexts(list(index), np.array(codes, np.int64))


def _text(value: Any) -> str:
    """Return a value as text, a bool as in a file."""
    return str(value).lower() if _is_bool(value) else str(value)


def _seconds(time: datetime.time) -> float:
    """Return the seconds since midnight."""
    return 3600 * time.hour + 60 * time.minute + time.second + time.microsecond / 1e6


def _clock(value: datetime.date) -> datetime.date:
    """Return a date without its time zone, which leaves the local time unchanged."""
    return value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_plain(value: Any) -> bool:
    """Return whether the text of a value represents it fully."""
    kinds = str | numbers.Real | decimal.Decimal | datetime.date
    return isinstance(value, kinds) or _is_bool(value)
