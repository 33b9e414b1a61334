"""Arrays: whatever holds numbers, as the kernels take them."""

import math
from collections.abc import Iterable

import numpy as np

from fastnn import _kernels_f32, _kernels_f64
from fastnn._checks.values import items, shown

#: The extension module for each dtype.
KERNELS = {np.dtype(np.float32): _kernels_f32, np.dtype(np.float64): _kernels_f64}


def dtype(value):
    """Return float32 or float64 as a numpy dtype."""
    try:
        found = np.dtype(value) if isinstance(value, str | type | np.dtype) else None
    except (TypeError, ValueError, SyntaxError):
        found = None
    if found is None or found not in KERNELS:
        raise ValueError(f"dtype must be 'float32' or 'float64'; got {shown(value)}")
    return found


def _has_columns_of_numbers(value):
    """Whether a pandas frame or series holds numbers, even if numpy sees objects in it.

    It does in bools beside floats (as of get_dummies) and in nullable integers.
    """
    dtypes = value.dtypes if hasattr(value, "iloc") else ()
    columns = list(dtypes) if isinstance(dtypes, Iterable) else [dtypes]
    return bool(columns) and all(getattr(column, "kind", "O") in "fiub" for column in columns)


def as_array(name, value):
    """Return whatever holds numbers as a numpy array of numbers, of the type it has."""
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    if hasattr(value, "tocsr") or hasattr(value, "todense"):
        rows = f"{name}.tocsr() for rows of inputs, " if hasattr(value, "tocsr") else ""
        raise TypeError(f"{name} is a sparse matrix; pass {rows}{name}.toarray() elsewhere")
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ValueError(f"{name} has masked values; fill them or drop their rows")
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            array = np.from_dlpack(value)
        else:
            array = np.asarray(value)
        if array.dtype.kind == "O" and _has_columns_of_numbers(value):
            array = value.to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise TypeError(f"{name} cannot be read as an array: {error}") from error
    _require_numbers(name, array.dtype, value)
    return array


def is_csr(value):
    """Whether rows are sparse, of the one kind that has them at hand: SciPy's CSR."""
    return getattr(value, "format", None) == "csr" and hasattr(value, "toarray")


def _require_numbers(name, dtype, original):
    """Check that a type is that of real numbers, and say which columns of a frame are others."""
    if dtype.kind in "fiub":
        return
    kind = {"c": "complex numbers", "O": "objects", "U": "text", "S": "bytes"}
    held = kind.get(dtype.kind, f"values of type {dtype}")
    names = column_names(original)
    if names is not None:
        bad = [column for column in names if not _is_numeric(original[column])]
        held += f" (column {', '.join(map(repr, bad[:3]))}{', ...' if bad[3:] else ''})" * bool(bad)
    raise TypeError(f"{name} must hold real numbers; it holds {held}: convert them to float")


def _is_numeric(column):
    """Whether a column of a data frame holds numbers."""
    kind = getattr(getattr(column, "dtype", None), "kind", None)
    return kind in tuple("fiub") if kind else np.asarray(column).dtype.kind in "fiub"


def column_names(value):
    """Return the names of a data frame's columns, or None where they aren't all text."""
    if type(value) is np.ndarray or hasattr(value, "collect"):  # a lazy frame holds nothing yet
        return None
    names = getattr(value, "column_names", getattr(value, "columns", None))
    if isinstance(names, str) or not isinstance(names, Iterable):
        return None
    names = tuple(names)
    return names if names and all(isinstance(name, str) for name in names) else None


def same_columns(name, value, known):
    """Check that a data frame has the columns known from `fit`, in their order."""
    names = None if known is None else column_names(value)
    if names is None or names == known:
        return
    lacking = [column for column in known if column not in names]
    extra = [column for column in names if column not in known]
    if lacking:
        what = f"lacks column {lacking[0]!r}"
        what += f" and {len(lacking) - 1} more" if lacking[1:] else ""
    elif extra:
        what = f"has column {extra[0]!r}"
        what += f" and {len(extra) - 1} more" if extra[1:] else ""
        what += ", which it was not fitted with"
    else:
        what = "has its columns in another order than it was fitted with"
    raise ValueError(f"{name} {what}; this MLP takes {name}[list(net.feature_names)]")


def _require_finite(name, array, original):
    """Check that a contiguous array holds no NaN or infinity, naming the first."""
    at = KERNELS[array.dtype].first_nonfinite(array.reshape(-1))
    if at < 0:
        return
    index = tuple(int(i) for i in np.unravel_index(at, array.shape))
    _complain(name, index, original.reshape(array.shape)[index], array.dtype)


def _complain(name, index, value, dtype):
    """Raise the error for a value that isn't finite in that dtype."""
    place = f"{name}[{', '.join(map(str, index))}]"
    if np.isfinite(value):
        helps = dtype == np.float32 and math.isfinite(value)  # as a float64, that is
        wider = ", or build the MLP with dtype='float64'" if helps else ""
        raise ValueError(f"{place} is {value!s}, too large for {dtype}; scale {name}{wider}")
    raise ValueError(f"{place} is {value}; replace or drop values that are not finite")


def rows_into(name, X, rows, room, first=0):
    """Return those rows of X (a slice, or their numbers) converted into `room`, and finite.

    Messages count the rows of X from `first`.
    """
    taken = X[rows].toarray() if is_csr(X) else X[rows]
    out = room[: len(taken)]
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(out, taken, casting="unsafe")
    at = KERNELS[out.dtype].first_nonfinite(out.reshape(-1))
    if at >= 0:
        row, column = divmod(at, out.shape[1])
        number = rows.start + row if isinstance(rows, slice) else int(rows[row])
        _complain(name, (first + number, column), taken[row, column], out.dtype)
    return out


def converted(name, array, dtype):
    """Return an array contiguous, aligned, in native byte order and `dtype`, and finite."""
    converted = array
    if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.aligned):
        with np.errstate(over="ignore", invalid="ignore"):
            converted = np.require(array, dtype, ["C", "A"])
    _require_finite(name, converted, array)
    return converted


def matrix(name, value, n_columns, dtype, owner="this MLP"):
    """Return rows of numbers as an array (n >= 1, n_columns)."""
    rows = rows_of_numbers(name, value, n_columns, owner)
    return converted(name, rows.toarray() if is_csr(rows) else rows, dtype)


def rows_of_numbers(name, value, n_columns, owner="this MLP"):
    """Return rows of numbers as an array (n >= 1, n_columns) of the type they have, or as CSR."""
    if is_csr(value):
        _require_numbers(name, value.dtype, value)
        array = value
    else:
        array = as_array(name, value)
    if array.ndim != 2:
        raise ValueError(
            f"{name} has {array.ndim} dimensions (shape {array.shape}) but must have 2: rows and "
            f"columns; a single row is {name}.reshape(1, -1), a single column {name}.reshape(-1, 1)"
        )
    if array.shape[1] != n_columns:
        raise ValueError(
            f"{name} has {array.shape[1]} columns but {owner} takes {n_columns}; reshape {name} or "
            f"build MLP({array.shape[1]}, ...)"
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} has no rows; pass at least one")
    return array


def class_labels(name, array, n_out):
    """Return labels (n,) as int64, in range."""
    labels = array
    if array.dtype.kind == "f":
        labels = converted(name, array, np.dtype(np.float64))
        at = int(np.argmax(labels != np.floor(labels)))
        if labels[at] != np.floor(labels[at]):
            raise ValueError(
                f"{name}[{at}] is {array[at]}; class labels are the integers 0 to {n_out - 1}"
            )
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or high >= n_out:
        at = int(np.argmin(labels) if low < 0 else np.argmax(labels))
        raise ValueError(
            f"{name}[{at}] is class {low if low < 0 else high} but the network has {n_out} outputs;"
            f" labels run from 0 to {n_out - 1}"
        )
    return np.require(labels, np.int64, ["C", "A"])


def _require_range(name, t, loss):
    """Check that targets are what the loss takes."""
    takes, least, largest = loss.takes, t.min(), t.max()
    if least < takes.low or largest > takes.high:
        worst = least if least < takes.low else largest
        limits = f"from {takes.low:g} to {takes.high:g}"
        if math.isinf(takes.high):
            limits = f"{takes.low:g} or more"
        raise ValueError(f"{name} must be {limits} for loss {loss.name!r}; it holds {worst}")
    if takes.are_classes:
        sums = t.sum(axis=1, dtype=np.float64)
        at = int(np.argmax(np.abs(sums - 1)))
        if abs(sums[at] - 1) > 1e-3:
            raise ValueError(
                f"{name}[{at}] sums to {sums[at]:.6g}; rows of class probabilities (or one-hot "
                "rows) sum to 1: divide each row by its sum"
            )


def targets(name, value, loss, n_rows, n_out, dtype, rows_of="X"):
    """Return (T, labels): targets (n_rows, n_out) or class labels (n_rows,); one is None."""
    array = as_array(name, value)
    if array.ndim == 2 and array.shape[1] == 1 and loss.takes.are_classes:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} has {array.ndim} dimensions (shape {array.shape}) but must have 1 or 2: pass "
            f"shape ({n_rows},) or ({n_rows}, {n_out})"
        )
    if array.shape[0] != n_rows:
        raise ValueError(
            f"{name} has {array.shape[0]} rows but {rows_of} has {n_rows}; pass a target for each"
        )
    if array.ndim == 1 and loss.takes.are_classes:
        return None, class_labels(name, array, n_out)
    if array.ndim == 1 and (n_out == 1 or loss.shares_target):
        array = array[:, None]
    if loss.shares_target and array.shape[1] == 1:
        array = np.broadcast_to(array, (n_rows, n_out))
    if array.ndim == 1 or array.shape[1] != n_out:
        raise ValueError(
            f"{name} has shape {array.shape} but the network has {n_out} outputs; pass {name} of "
            f"shape ({n_rows}, {n_out}), or end the layers with Dense("
            f"{1 if array.ndim == 1 else array.shape[1]})"
        )
    T = converted(name, array, dtype)
    _require_range(name, T, loss)
    return T, None


def sample_weight(name, value, n_rows, dtype, rows_of="X"):
    """Return the rows' weights (n_rows,), or None."""
    if value is None:
        return None
    array = as_array(name, value)
    if array.shape != (n_rows,):
        raise ValueError(
            f"{name} has shape {array.shape} but {rows_of} has {n_rows} rows; pass shape "
            f"({n_rows},)"
        )
    weights = converted(name, array, dtype)
    if weights.min() < 0:
        at = int(np.argmin(weights))
        raise ValueError(f"{name}[{at}] is {weights[at]}; weights must be 0 or more")
    if weights.max() == 0:
        raise ValueError(f"{name} is 0 for every row, so nothing would be learnt; drop it")
    with np.errstate(over="ignore"):
        total = weights.sum(dtype=np.float64)
    if not np.isfinite(total):
        raise ValueError(f"{name} has a sum beyond float64; scale {name}")
    return weights


def output(value, shape, dtype, X):
    """Return an array to write predictions to, fit to be written to as it is."""
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
    if np.may_share_memory(value, X):
        raise ValueError("out overlaps X; pass another array")
    return value


def weights(value, shapes, dtype):
    """Return arrays of these shapes: [W0, b0, W1, ...]."""
    found = items(value)
    if found is None:
        raise TypeError(f"weights must be a list of arrays [W0, b0, ...]; got {shown(value)}")
    if len(found) != len(shapes):
        raise ValueError(
            f"weights has {len(found)} arrays but this MLP has {len(shapes)}; pass arrays of "
            f"shapes {', '.join(map(str, shapes))}"
        )
    arrays = []
    for i, (item, shape) in enumerate(zip(found, shapes, strict=True)):
        array = as_array(f"weights[{i}]", item)
        if array.shape != shape:
            raise ValueError(f"weights[{i}] has shape {array.shape}; pass shape {shape} here")
        arrays.append(converted(f"weights[{i}]", array, dtype))
    return arrays


def array_like(name, value, shape, dtype):
    """Return a finite array of that shape, for the kernels; None in `shape` admits any length."""
    array = as_array(name, value)
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=False)
    )
    if not fits:
        wanted = ", ".join("n" if want is None else str(want) for want in shape)
        wanted += "," if len(shape) == 1 else ""
        raise ValueError(f"{name} has shape {array.shape}; it must have shape ({wanted})")
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; pass at least one row and one column")
    return converted(name, array, dtype)


def in_place(name, value, shape, dtype=None):
    """Return an array that a kernel updates in place."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is updated in place: pass a numpy array; got {shown(value)}")
    if value.dtype not in KERNELS or (dtype is not None and value.dtype != dtype):
        wanted = "float32 or float64" if dtype is None else str(dtype)
        raise TypeError(f"{name} is updated in place and must be {wanted}; it is {value.dtype}")
    if not (value.flags.carray and value.dtype.isnative):
        raise ValueError(f"{name} is updated in place: it must be C-contiguous and writeable")
    array_like(name, value, shape, value.dtype)
    return value


def separate(name, array, other_name, other):
    """Check that two arrays that are updated in place share no memory."""
    if np.may_share_memory(array, other):
        raise ValueError(f"{name} overlaps {other_name}; pass a copy of it")


def kernel_dtype(*arrays):
    """Return the precision the kernels compute in: float32 if all arrays are, else float64."""
    narrow = all(getattr(a, "dtype", None) == np.float32 for a in arrays if a is not None)
    return np.dtype(np.float32 if narrow else np.float64)
