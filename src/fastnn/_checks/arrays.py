"""Checks of arrays: rows, weights, and the arguments of the kernels.

A check returns the array in the form the kernels take, converted by _conversion.py. Targets are
checked in targets.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _conversion
from fastnn._checks.sparse import csr
from fastnn._checks.values import counted, items, reading, shown, text
from fastnn._precision import MIXED_BFLOAT16, PRECISIONS
from fastnn.sparse_rows import SparseRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    DType = np.dtype[Any] | type[np.floating[Any]]


def dtype(value: object) -> np.dtype[Any]:
    """Return float32 or float64 as a numpy dtype."""
    value = text(value) if isinstance(value, str) else value
    try:
        found = np.dtype(value) if isinstance(value, str | type | np.dtype) else None
    except (TypeError, ValueError, SyntaxError):
        found = None
    if found is None or found not in PRECISIONS:
        raise ValueError(f"dtype must be 'float32' or 'float64'; got {shown(value)}")
    return found


def policy(value: object) -> str:
    """Return the name of a precision policy."""
    if isinstance(value, str) and text(value) == MIXED_BFLOAT16:
        return MIXED_BFLOAT16
    try:
        return dtype(value).name
    except ValueError:
        raise ValueError(
            f"dtype must be 'float32', 'float64' or '{MIXED_BFLOAT16}'; got {shown(value)}"
        ) from None


def as_array(name: str, value: Any, takes_csr: bool = False) -> NDArray[Any]:
    """Return an array-like of numbers as a numpy array, in the dtype it has.

    `takes_csr` says that the caller also takes sparse rows, converted by another function.
    """
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    if hasattr(value, "tocsr") or hasattr(value, "todense") or isinstance(value, SparseRows):
        rows = f"{name}.tocsr() or " if takes_csr and hasattr(value, "tocsr") else ""
        raise TypeError(f"{name} is a sparse matrix; pass {rows}{name}.toarray()")
    if hasattr(value, "collect"):
        raise TypeError(f"{name} is lazy; pass {name}.collect()")
    no_masked_values(name, value)
    with reading(name):
        array = _conversion.read(value)
    is_unread = array.ndim == 0 and array.dtype.kind == "O"
    if is_unread and isinstance(value, Iterable) and not isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be an array, not an iterable: pass list({name}) if it gives rows; only "
            "fit takes batches, so make a call for each"
        )
    _require_numbers(name, array.dtype, value)
    return array


def no_masked_values(name: str, value: object) -> None:
    """Check that no value is masked: the mask would be lost, and the value below it be used."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ValueError(f"{name} has masked values; fill them or drop their rows")


def _require_numbers(name: str, dtype: np.dtype[Any], original: Any) -> None:
    """Check that a dtype holds real numbers; otherwise name the columns of a frame that do not."""
    if dtype.kind in "fiub":
        return
    remedy = "convert them to float"
    if dtype.kind in "OUS" and name.endswith("X"):
        remedy = "convert numbers to float, and encode text and dates by fastnn.tables.prepare"
    elif isinstance(original, str) and name.endswith("y"):
        remedy = f"convert it to a list of numbers, or of labels such as [{shown(original)}]"
    elif dtype.kind == "S" and name.endswith("y"):
        y = name.rpartition(" ")[2] if hasattr(original, "astype") else "numpy.array(y)"
        remedy = f"if these are labels, decode them: {y}.astype(str); convert numbers to float"
    elif dtype.kind in "OU" and name.endswith("y"):
        remedy = "convert numbers to float; if these are classes, use a loss for classes, such as "
        remedy += "'cross_entropy'"
    kind = {"c": "complex numbers", "O": "objects", "U": "text", "S": "bytes"}
    held = kind.get(dtype.kind, f"values of type {dtype}")
    names = _conversion.column_labels(original)
    if names is not None:
        bad = [column for column in names if not _conversion.is_numeric(original[column])]
        held += f" (column {', '.join(map(repr, bad[:3]))}{', ...' if bad[3:] else ''})" * bool(bad)
    raise TypeError(f"{name} must hold real numbers; it holds {held}: {remedy}")


def same_columns(
    name: str,
    value: Any,
    known: tuple[str, ...] | None,
    other: str | None = None,
    net: str = "net",
) -> None:
    """Check that a data frame has the known columns, in their order.

    These are the columns of `other`, or else those that the network `net` was fitted with.
    """
    names = None if known is None else _conversion.column_names(value)
    if known is None or names is None or names == known:
        return
    lacking = [column for column in known if column not in names]
    extra = [column for column in names if column not in known]
    if lacking:
        what = f"is missing column {lacking[0]!r}"
        what += f" and {len(lacking) - 1} more" if lacking[1:] else ""
    elif extra:
        what = f"has column {extra[0]!r}"
        what += f" and {len(extra) - 1} more" if extra[1:] else ""
        what += f", which {other} lacks" if other else ", which the MLP was not fitted with"
    else:
        what = f"has its columns in a different order than {other or 'in fit'}"
    if other:
        raise ValueError(f"{name} {what}; give both the same columns in the same order")
    owner = "this MLP" if net == "net" else net
    X = name.rpartition(" ")[2]  # "validation X" is X
    raise ValueError(f"{name} {what}; {owner} takes {X}[list({net}.feature_names)]")


def _refuse(name: str, index: tuple[int, ...], value: Any, dtype: np.dtype[Any]) -> None:
    """Raise the error for a value that is not finite in `dtype`."""
    place = f"{name}[{', '.join(map(str, index))}]"
    if np.isfinite(value):
        helps = dtype == np.float32 and math.isfinite(value)  # finite as a float64
        wider = ", or build the MLP with dtype='float64'" if helps else ""
        raise ValueError(f"{place} is {value!s}, too large for {dtype}; scale {name}{wider}")
    raise ValueError(f"{place} is {value}; replace or drop values that are not finite")


def converted(name: str, array: NDArray[Any], dtype: DType, own: bool = False) -> NDArray[Any]:
    """Return an array in `dtype`, as the kernels take it; name the first value that is not finite.

    With `own`, the array is a copy that no other code can change.
    """
    found = _conversion.in_dtype(array, dtype, own)
    at = _conversion.first_nonfinite(found)
    if at is not None:
        index = tuple(int(i) for i in np.unravel_index(at, found.shape))
        _refuse(name, index, array.reshape(found.shape)[index], found.dtype)
    return found


def finite_rows(
    name: str,
    found: NDArray[Any],
    original: NDArray[Any],
    rows: slice | NDArray[np.int64],
    first: int,
) -> None:
    """Check that converted rows are finite.

    `rows` are the indices of the rows in a part of X that begins at row `first`.
    """
    at = _conversion.first_nonfinite(found)
    if at is not None:
        row, column = divmod(at, found.shape[1])
        number = rows.start + row if isinstance(rows, slice) else int(rows[row])
        _refuse(name, (first + number, column), original[row, column], found.dtype)


def matrix(
    name: str,
    value: Any,
    n_columns: int,
    dtype: np.dtype[Any],
    owner: str = "this MLP",
    own: bool = False,
) -> Any:
    """Return rows of numbers as an array (n >= 1, n_columns), or as sparse rows.

    With `own`, the result is a copy.
    """
    rows = rows_of_numbers(name, value, n_columns, owner)
    if not isinstance(rows, SparseRows):
        return converted(name, rows, dtype, own)
    if not _conversion.pays_as_nonzeros(rows, dtype):
        return converted(name, rows.toarray(), dtype)
    found = _conversion.nonzeros(rows, dtype, own)
    at = _conversion.first_nonfinite(found.data)
    if at is not None:
        row = int(np.searchsorted(found.indptr, at, side="right")) - 1
        _refuse(name, (row, int(found.indices[at])), rows.canonical().data[at], dtype)
    return found


def rows_of_numbers(name: str, value: Any, n_columns: int, owner: str = "this MLP") -> Any:
    """Return rows of numbers as an array (n >= 1, n_columns), or as sparse rows.

    The rows keep the dtype of `value`. The indices of sparse rows are checked.
    """
    if value is None:
        raise TypeError(f"{name} is None; pass rows of shape (n, {n_columns})")
    if _conversion.is_csr(value):
        _require_numbers(name, value.dtype, value)
        array = value
    else:
        array = as_array(name, value, takes_csr=True)
    if array.ndim != 2:
        raise ValueError(
            f"{name} has {counted(array.ndim, 'dimension')} (shape {array.shape}) but must have 2: "
            f"rows and columns; {_as_rows(name, array.shape, n_columns)}"
        )
    if array.shape[1] != n_columns:
        remedy = f"reshape {name}"
        if math.prod(array.shape) == n_columns:
            remedy = f"{name.rpartition(' ')[2]}.reshape(1, -1) is one row, such as one image,"
        if array.shape[1] > 0:
            remedy += f" or build MLP({array.shape[1]}, ...)"
        raise ValueError(
            f"{name} has {counted(array.shape[1], 'column')} but {owner} takes {n_columns:,}; "
            f"{remedy}"
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} has no rows; pass at least one")
    return csr(name, array) if _conversion.is_csr(array) else array


def _as_rows(name: str, shape: tuple[int, ...], n_columns: int) -> str:
    """Return how to turn an array of that shape, which does not have two dimensions, into rows."""
    name = name.rpartition(" ")[2]  # "validation X" is X
    if len(shape) < 3:
        return f"a single row is {name}.reshape(1, -1), a single column {name}.reshape(-1, 1)"
    n = math.prod(shape[1:])
    remedy = f"{name}.reshape(len({name}), -1) makes a row of each of the {shape[0]} images"
    return remedy if n == n_columns else f"{remedy}, for a network MLP({n}, ...)"


def output(value: object, shape: tuple[int, int], dtype: np.dtype[Any], X: Any) -> NDArray[Any]:
    """Return the array to write predictions to; check its shape, dtype and memory layout."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"out must be a numpy array; got {shown(value)}")
    if value.shape != shape or value.dtype != dtype:
        raise ValueError(
            f"out has shape {value.shape} and dtype {value.dtype}; it must have shape {shape} and "
            f"dtype {dtype}"
        )
    flags = value.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable and value.dtype.isnative):
        raise ValueError(
            "out must be writeable, C-contiguous and aligned; pass "
            f"np.empty({shape}, {dtype.name!r})"
        )
    if np.may_share_memory(value, X.data if _conversion.is_csr(X) else X):
        raise ValueError("out overlaps X; pass another array")
    return value


def standardizable(
    name: str,
    scale: NDArray[np.float64],
    extent: NDArray[np.float64],
    dtype: np.dtype[Any],
) -> None:
    """Check that numbers of `dtype` can be divided by the scales (n_in,) of their columns.

    `extent` is the largest distance from each column's mean. Where x and x - mean are so small that
    the kernels take them for 0, the quotient is off by at most a millionth.
    """
    for at in np.flatnonzero(~_fit_for(dtype, scale, extent))[:1]:
        size = "small" if scale[at] < 1 else "large"
        helps = dtype == np.float32 and _fit_for(np.dtype(np.float64), scale, extent)[at]
        wider = ", or build the MLP with dtype='float64'" if helps else ""
        raise ValueError(
            f"column {at} of {name} has a standard deviation of {scale[at]:.3g}, too {size} for "
            f"{dtype}; multiply the column by a constant{wider}"
        )


def _fit_for(
    dtype: np.dtype[Any], scale: NDArray[np.float64], extent: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the inverse of each scale is a normal number of `dtype` and each extent is finite."""
    info = np.finfo(dtype)
    tiny = float(info.tiny)
    found: NDArray[np.bool_] = (
        (scale >= tiny * 2**20) & (scale <= 1 / tiny) & (extent <= float(info.max))
    )
    return found


def kept_columns(name: str, original: Any, found: Any, dtype: np.dtype[Any]) -> None:
    """Check that converting to `dtype` turned no column into zeros, which would look constant."""
    if _conversion.is_csr(original):
        original = _largest_of_columns(csr(name, original))
    if isinstance(found, SparseRows):
        found = _largest_of_columns(found)
    zero = np.flatnonzero(~found.any(axis=0))
    if len(zero) == 0:
        return
    rows = as_array(name, original)
    for at in zero[rows[:, zero].any(axis=0)][:1]:
        largest = np.abs(rows[:, at].astype(np.float64)).max()
        raise ValueError(
            f"column {at} of {name} has numbers up to {largest:.3g}, which are 0 in {dtype}; "
            "multiply the column by a constant, or build the MLP with dtype='float64'"
        )


def _largest_of_columns(rows: SparseRows) -> NDArray[np.float64]:
    """Return the largest absolute value of each column: (1, n_in)."""
    largest = np.zeros((1, rows.shape[1]))
    np.maximum.at(largest[0], rows.indices, np.abs(rows.data.astype(np.float64)))
    return largest


def weights(
    value: object, shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """Return arrays of these shapes: [W0, b0, W1, ...]."""
    found = items(value)
    if found is None:
        raise TypeError(f"weights must be a list of arrays [W0, b0, ...]; got {shown(value)}")
    if len(found) != len(shapes):
        raise ValueError(
            f"weights has {counted(len(found), 'array')} but this MLP has {len(shapes):,}; pass "
            f"arrays of shapes {', '.join(map(str, shapes))}"
        )
    arrays = []
    for i, (item, shape) in enumerate(zip(found, shapes, strict=True)):
        array = as_array(f"weights[{i}]", item)
        if array.shape != shape:
            raise ValueError(f"weights[{i}] has shape {array.shape}; pass shape {shape} here")
        arrays.append(converted(f"weights[{i}]", array, dtype))
    return arrays


def flat_weights(value: Any, n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return all weights and biases as one vector (n,)."""
    array = as_array("weights", value)
    if array.shape != (n,):
        raise ValueError(
            f"weights has shape {array.shape} but this MLP has {n} weights and biases; pass a "
            f"vector of shape ({n},), as get_flat_weights returns it"
        )
    return converted("weights", array, dtype)


def array_like(
    name: str,
    value: Any,
    shape: tuple[int | None, ...],
    dtype: np.dtype[Any],
    **others: NDArray[Any],
) -> NDArray[Any]:
    """Return a finite array of that shape for the kernels; None in `shape` allows any length.

    `others` are the arguments from whose shapes this shape follows.
    """
    array = as_array(name, value)
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=False)
    )
    if not fits:
        wanted = ", ".join("n" if want is None else str(want) for want in shape)
        wanted += "," if len(shape) == 1 else ""
        known = " and ".join(f"{other} has shape {one.shape}" for other, one in others.items())
        raise ValueError(
            f"{name} has shape {array.shape}; it must have shape ({wanted})"
            + (f", since {known}" if known else "")
        )
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; pass at least one row and one column")
    return converted(name, array, dtype)


def in_place(
    name: str, value: object, shape: tuple[int | None, ...], dtype: np.dtype[Any] | None = None
) -> NDArray[Any]:
    """Return an array that a kernel updates in place."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is updated in place: pass a numpy array; got {shown(value)}")
    if value.dtype not in PRECISIONS or (dtype is not None and value.dtype != dtype):
        wanted = "float32 or float64" if dtype is None else str(dtype)
        raise TypeError(f"{name} is updated in place and must be {wanted}; it is {value.dtype}")
    if not (value.flags.carray and value.dtype.isnative):
        raise ValueError(
            f"{name} is updated in place: it must be C-contiguous and writeable; make a copy "
            f"first, as by {name} = np.array({name}, order='C')"
        )
    array_like(name, value, shape, value.dtype)
    return value


def representable(
    block: Sequence[NDArray[Any]], names: Iterable[str], dtype: np.dtype[Any], *, are_weights: bool
) -> None:
    """Check that `dtype` holds all weights of a network, or all numbers kept beside them.

    `names` are the weights' names in model files.
    """
    for i, (array, name) in enumerate(zip(block, names, strict=True)):
        if np.can_cast(array.dtype, dtype):
            continue
        largest = np.abs(array).max(initial=0)
        with np.errstate(over="ignore"):
            fits = np.isfinite(largest.astype(dtype))
        if not fits:
            what, remedy = "", "keep dtype='float64', or scale the rows and train again"
            if not are_weights:
                what = "the optimizer's moment or average of "
                remedy = (
                    "keep dtype='float64', or pass get_weights() to the set_weights of a new "
                    f"{dtype} network, whose optimizer has no state yet"
                )
            raise ValueError(
                f"{what}weights[{i}] ({name}) has a value of magnitude {largest:.3g}, too large "
                f"for {dtype}; {remedy}"
            )


def separate(name: str, array: NDArray[Any], other_name: str, other: NDArray[Any]) -> None:
    """Check that two arrays that are updated in place share no memory."""
    if np.may_share_memory(array, other):
        raise ValueError(f"{name} overlaps {other_name}; pass a copy of it")


def kernel_dtype(*arrays: object) -> np.dtype[Any]:
    """Return the precision the kernels compute in: float32 if all arrays are, else float64."""
    narrow = all(getattr(a, "dtype", None) == np.float32 for a in arrays if a is not None)
    return np.dtype(np.float32 if narrow else np.float64)
