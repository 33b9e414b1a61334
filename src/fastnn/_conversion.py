"""Convert array-likes to arrays that the kernels can read.

The kernels read arrays that are C-contiguous, aligned, in native byte order and of one dtype, and
whose numbers are finite. Here: the kind of a value, its conversion, and the search for a number
that is not finite. Not here: error messages and checks of shapes (_checks), rows that are converted
block by block (training/rows.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._precision import KERNELS
from fastnn.sparse_rows import SparseRows

if TYPE_CHECKING:
    from numpy.typing import NDArray


# ---- the kind of a value ------------------------------------------------------------------------


def is_csr(value: object) -> bool:
    """Whether a value is a sparse matrix by rows: SciPy's CSR, or SparseRows."""
    return getattr(value, "format", None) == "csr" and hasattr(value, "indptr")


def column_names(value: Any) -> tuple[str, ...] | None:
    """Return the column names of a data frame, or None if they aren't all text."""
    names = column_labels(value)
    return names if names and all(isinstance(name, str) for name in names) else None


def column_labels(value: Any) -> tuple[Any, ...] | None:
    """Return the labels of the columns of a data frame, such as names or numbers, or None."""
    if type(value) is np.ndarray or hasattr(value, "collect"):  # a lazy frame holds nothing yet
        return None
    names = getattr(value, "column_names", getattr(value, "columns", None))
    if isinstance(names, str) or not isinstance(names, Iterable):
        return None
    return tuple(names)


def is_numeric(column: Any) -> bool:
    """Whether a column of a data frame holds numbers."""
    kind = getattr(getattr(column, "dtype", None), "kind", None)
    return kind in tuple("fiub") if kind else np.asarray(column).dtype.kind in "fiub"


def categories(value: Any) -> list[Any] | None:
    """Return the ordered categories of a pandas or polars series, or None."""
    found = getattr(getattr(value, "dtype", None), "categories", None)
    if found is None or not hasattr(found, "to_numpy"):  # polars' Categorical has no order
        return None
    return list(found)


def is_missing(value: Any) -> bool:
    """Return whether an object in a column is a missing value: None, NaN, NA, NaT."""
    if value is None:
        return True
    if isinstance(value, str | bytes):
        return False
    try:
        return not bool(value == value)
    except (TypeError, ValueError):  # pandas.NA, or an array inside a column
        return not hasattr(value, "shape")


def is_text(value: Any) -> bool:
    """Whether a value holds text; the first item that is not missing decides."""
    if isinstance(value, list | tuple):
        first = next((item for item in value if item is not None), None)
        return isinstance(first, str)
    is_tensor = hasattr(value, "__dlpack__") and not hasattr(value, "to_pylist")
    if isinstance(value, str) or (is_tensor and not isinstance(value, np.ndarray)):
        return False
    if getattr(getattr(value, "dtype", None), "kind", "O") in "fiubc":
        return False
    try:
        array = np.asarray(value)
    except Exception:  # an error of some library, which the conversion to numbers raises again
        return False
    if array.dtype.kind == "O":
        return any(isinstance(item, str) for item in array.flat)
    return array.dtype.kind in "UT"


def is_dictionary(value: Any) -> bool:
    """Whether a value is a dictionary array of Arrow: a category as indices into its values."""
    return hasattr(getattr(value, "type", None), "index_type")


def _has_columns_of_numbers(value: Any) -> bool:
    """Whether a pandas frame or series holds numbers, even if numpy reads it as objects.

    numpy reads as objects bools beside floats (as from get_dummies) and nullable integers.
    """
    dtypes = value.dtypes if hasattr(value, "iloc") else ()
    columns = list(dtypes) if isinstance(dtypes, Iterable) else [dtypes]
    return bool(columns) and all(getattr(column, "kind", "O") in "fiub" for column in columns)


# ---- conversion ---------------------------------------------------------------------------------


def decoded(value: Any) -> Any:
    """Return Arrow's dictionary arrays, or a table with any, as the values; return others as given.

    pyarrow's own conversion to NumPy ignores the nulls of a dictionary array in chunks: a missing
    value would become another value.
    """
    if hasattr(value, "column_names") and any(map(is_dictionary, value.columns)):
        return np.stack([np.asarray(decoded(column)) for column in value.columns], axis=1)
    if not is_dictionary(value):
        return value
    kind = value.type.value_type
    if "string" in str(kind):  # pyarrow casts no dictionary to string_view
        return np.array(value.to_pylist(), object)
    return value.cast(kind)


def is_indexed_only(value: Any) -> bool:
    """Whether the items of a value can be read by an index only, as those of many data sets."""
    others = "__iter__", "__array__", "__array_interface__", "__dlpack__"
    if isinstance(value, type) or any(hasattr(value, name) for name in others):
        return False
    try:
        memoryview(value)
    except TypeError:
        return hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return False


def read(value: Any) -> NDArray[Any]:
    """Return a value as an array without changing its type; errors of libraries pass through."""
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        array: NDArray[Any] = np.from_dlpack(value)
    else:
        if is_indexed_only(value):  # NumPy would read on until an IndexError, which may never come
            value = [value[i] for i in range(len(value))]
        array = np.asarray(decoded(value))
    if array.dtype.kind == "O" and _has_columns_of_numbers(value):
        array = value.to_numpy(np.float64, na_value=np.nan)
    return array


def in_dtype(
    array: NDArray[Any], dtype: np.dtype[Any] | type[np.generic], own: bool = False
) -> NDArray[Any]:
    """Return a C-contiguous, aligned array of `dtype`: the array itself if it is one already.

    With `own` the result is always a copy.
    """
    if not own and array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    with np.errstate(all="ignore"):
        return np.array(array, dtype, order="C")


def dense(X: Any) -> NDArray[Any]:
    """Return rows as a dense array, without a copy if they are dense."""
    array: NDArray[Any] = X.toarray() if isinstance(X, SparseRows) else X
    return array


def nonzeros(X: SparseRows, dtype: np.dtype[Any], own: bool = False) -> SparseRows:
    """Return checked sparse rows in the kernels' form; with `own` their values are a copy."""
    X = X.canonical()
    return SparseRows(
        in_dtype(X.data, dtype, own),
        in_dtype(X.indices, np.int32),
        in_dtype(X.indptr, np.int64),
        X.shape,
    )


#: Networks with up to this many inputs take sparse rows as dense arrays.
FEW_INPUTS = 16


def pays_as_nonzeros(X: SparseRows, dtype: np.dtype[Any]) -> bool:
    """Whether sparse rows in this dtype take less memory as nonzeros than as a dense array."""
    as_nonzeros = X.indptr[-1] * (dtype.itemsize + 4)
    return X.shape[1] > FEW_INPUTS and bool(as_nonzeros < X.shape[0] * X.shape[1] * dtype.itemsize)


def copy_rows(
    X: Any, rows: slice | NDArray[np.int64], room: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Convert some rows of X (a slice, or row numbers) into the buffer `room`.

    Return the part of `room` with these rows, and the rows before conversion.
    """
    taken = X[rows]
    out = room[: len(taken)]
    with np.errstate(all="ignore"):
        np.copyto(out, taken, casting="unsafe")
    return out, taken


def first_nonfinite(array: NDArray[Any]) -> int | None:
    """Return the flat index of the first NaN or infinity of a contiguous array, or None."""
    at: int = KERNELS[array.dtype].first_nonfinite(array.reshape(-1))
    return None if at < 0 else at
