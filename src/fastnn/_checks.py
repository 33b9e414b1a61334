"""Every check of an argument, hence every error message about one.

A message names the argument, the value and the remedy. A function here returns the checked value
in the form the rest of fastnn works with, and has no effect beyond that: callers check everything
first and change things after. Wrong kinds of things raise TypeError, wrong values ValueError.

Not here: defaults, and anything that is our own arithmetic rather than what a user passed.
"""

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fastnn import _kernels_f32, _kernels_f64

#: The extension module for each dtype.
KERNELS = {np.dtype(np.float32): _kernels_f32, np.dtype(np.float64): _kernels_f64}

_MAX_THREADS = 256

# Numbers become float32 where the network is: beyond these they would be infinite, or 0.
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)


# ---- numbers, flags, names ----------------------------------------------------------------------


def _shown(value):
    """Return a value as a message shows it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_bool(value):
    return isinstance(value, bool | np.bool_)


def integer(name, value, low, high=None):
    """Return an int of at least `low`, at most `high`."""
    if _is_bool(value) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer; got {_shown(value)} ({type(value).__name__})")
    value = int(value)
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {limits}; got {value}")
    return value


def number(name, value, low=None, above=None, below=None):
    """Return a float that float32 can hold: at least `low`, strictly `above` and `below`."""
    if _is_bool(value) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number; got {_shown(value)} ({type(value).__name__})")
    try:
        found = float(value)
    except OverflowError:  # an int or a fraction beyond every float
        found = math.inf
    limits = [
        *([f"at least {low:g}"] if low is not None else []),
        *([f"above {above:g}"] if above is not None else []),
        *([f"below {below:g}"] if below is not None else [f"at most {_LARGEST:.2g}"]),
    ]
    if (
        not abs(found) <= _LARGEST
        or (low is not None and found < low)
        or (above is not None and found <= above)
        or (below is not None and found >= below)
    ):
        raise ValueError(f"{name} must be {' and '.join(limits)}; got {_shown(value)}")
    return found


def flag(name, value):
    """Return a bool."""
    if not _is_bool(value):
        raise TypeError(f"{name} must be True or False; got {_shown(value)}")
    return bool(value)


def choice(name, value, options, aliases=None):
    """Return one of the names in `options`, or what it is an alias of."""
    aliases = aliases or {}
    if not isinstance(value, str):
        listed = ", ".join(map(repr, options))
        raise TypeError(f"{name} must be one of {listed}; got {_shown(value)}")
    if value in aliases:
        return aliases[value]
    if value not in options:
        listed = ", ".join(map(repr, options))
        near = difflib.get_close_matches(value, [*options, *aliases], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {listed}; got {value!r}{hint}")
    return value


def instruction_set(wanted, available):
    """Return the instruction set to use: the best one, unless FASTNN_ISA names another."""
    if not wanted:
        return available[0]
    if wanted not in available:
        listed = ", ".join(reversed(available))
        raise ValueError(
            f"FASTNN_ISA={wanted!r} names no instruction set that this build and this CPU have; "
            f"set it to one of {listed}, or unset it"
        )
    return wanted


def verbosity(value):
    """Return 0 or 1; True and False are these."""
    return int(value) if _is_bool(value) else integer("verbose", value, low=0, high=1)


def n_threads(value, default):
    """Return a number of threads; None means `default`."""
    return default if value is None else integer("n_threads", value, low=1, high=_MAX_THREADS)


def seed(value):
    """Return a seed: None or an int of 0 or more."""
    return None if value is None else integer("seed", value, low=0)


def dtype(value):
    """Return float32 or float64 as a numpy dtype."""
    try:
        found = np.dtype(value) if isinstance(value, str | type | np.dtype) else None
    except (TypeError, ValueError, SyntaxError):
        found = None
    if found is None or found not in KERNELS:
        raise ValueError(f"dtype must be 'float32' or 'float64'; got {_shown(value)}")
    return found


def _items(value):
    """Return the items of a list or other iterable of objects, or None for what is neither."""
    if isinstance(value, str | bytes | Mapping | np.ndarray | memoryview):
        return None
    try:
        return list(value)
    except TypeError:
        return None


# ---- specifications of layers, losses and optimizers --------------------------------------------


def alpha(activation, value, default):
    """Return an activation's parameter; None where it has none."""
    if value is None:
        return default
    if default is None:
        raise ValueError(f"activation {activation!r} has no parameter; got alpha={_shown(value)}")
    return number("alpha", value, low=0.0)


_HYPER_PARAMETERS = {
    "learning_rate": {"above": 0.0},
    "momentum": {"low": 0.0, "below": 1.0},
    "rho": {"low": 0.0, "below": 1.0},
    "beta_1": {"low": 0.0, "below": 1.0},
    "beta_2": {"low": 0.0, "below": 1.0},
    "epsilon": {"low": _SMALLEST},
    "initial_accumulator_value": {"low": 0.0},
    "weight_decay": {"low": 0.0},
}


def hyper_parameter(name, value):
    """Return an optimizer's hyper-parameter: a number in its range, or a flag."""
    limits = _HYPER_PARAMETERS.get(name)
    return flag(name, value) if limits is None else number(name, value, **limits)


def quantiles(q):
    """Return one quantile between 0 and 1, or a tuple of them."""
    if isinstance(q, np.ndarray) and q.ndim == 1:
        q = q.tolist()
    if isinstance(q, Sequence) and not isinstance(q, str | bytes | memoryview):
        if len(q) == 0:
            raise ValueError("q must name at least one quantile; got an empty sequence")
        return tuple(number("q", value, above=0.0, below=1.0) for value in q)
    return number("q", q, above=0.0, below=1.0)


def one_per_output(name, value, n_out):
    """Return a list with a number for each output; a single number serves all."""
    if not isinstance(value, tuple):
        return [value] * n_out
    if len(value) != n_out:
        raise ValueError(
            f"{name} has {len(value)} values but the network has {n_out} outputs; pass one number, "
            f"or as many as the last layer has units"
        )
    return list(value)


def layers(value, dense_type, dropout_type):
    """Return the Dense layers, and for each the rate at which its input is dropped."""
    found = _items(value)
    if found is None:
        raise TypeError(f"layers must be a list of Dense and Dropout; got {_shown(value)}")
    dense, rates, kept = [], [], 1.0
    for i, layer in enumerate(found):
        if isinstance(layer, dropout_type):
            kept *= 1.0 - layer.rate  # two masks in a row are one that keeps what both keep
        elif isinstance(layer, dense_type):
            dense.append(layer)
            rates.append(1.0 - kept)
            kept = 1.0
        else:
            raise TypeError(
                f"layers[{i}] must be Dense or Dropout, such as Dense(10, 'relu'); got "
                f"{_shown(layer)}"
            )
    if not dense:
        raise ValueError("layers must hold at least one Dense; got none")
    if kept != 1.0:
        raise ValueError("layers must end with a Dense; a Dropout after it would drop predictions")
    for i, layer in enumerate(dense[:-1]):
        if layer.activation.name == "softmax":
            raise ValueError(
                f"softmax is for the output layer only, but Dense layer {i} of {len(dense)} has it;"
                " use 'relu', 'tanh', ... there"
            )
    return dense, rates


def pair(loss, activation, n_out):
    """Check that the loss can be used with the activation of an output layer of n_out units."""
    name = activation.name
    if loss.outputs is not None and name not in loss.outputs:
        wanted = " or ".join(map(repr, loss.outputs))
        raise ValueError(
            f"loss {loss.name!r} needs {wanted} as the activation of the last layer; got {name!r}"
        )
    if name == "softmax" and n_out == 1:
        raise ValueError(
            "softmax over 1 unit is always 1; use as many units as there are classes, or one unit "
            "with 'sigmoid' and loss 'binary_cross_entropy'"
        )


def hidden(activation):
    """Return an activation that a hidden layer can have."""
    if activation.name == "softmax":
        raise ValueError("softmax is for the output layer only; use output_delta for its delta")
    return activation


def network(name, value, kind):
    """Check that a value is a network of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be an MLP; got {_shown(value)}")


def layer_state(value, kind, shape, rule):
    """Check the state that `kernels.update` is handed back."""
    if not isinstance(value, kind):
        raise TypeError(
            f"state must be what update returned for weights of this dtype; got {_shown(value)}"
        )
    if (value.n_in, value.n_out) != shape:
        raise ValueError(
            f"state is of a layer of shape {(value.n_in, value.n_out)} but W has shape {shape}; "
            "pass each layer its own"
        )
    if value.rule != rule:
        raise ValueError(
            f"state is of optimizer rule {value.rule!r} but optimizer is of {rule!r}; pass the "
            "same optimizer, or state=None to start anew"
        )


def specification(name, value, base, names):
    """Return an object of the class `base`; names are looked up by the caller."""
    known = isinstance(value, base) and getattr(value, "name", None) in names
    if not (known or isinstance(value, str)):
        listed = ", ".join(map(repr, names))
        raise TypeError(
            f"{name} must be one of {listed} or an object of these classes; got {_shown(value)}"
        )
    return value


def callbacks(value, base):
    """Return a list of callbacks."""
    found = _items(value)
    if found is None:
        raise TypeError(f"callbacks must be a list of Callback objects; got {_shown(value)}")
    for i, callback in enumerate(found):
        if not isinstance(callback, base):
            is_class = isinstance(callback, type) and issubclass(callback, base)
            remedy = "make an object of it" if is_class else "derive its class from fastnn.Callback"
            raise TypeError(f"callbacks[{i}] must be a Callback; got {_shown(callback)}; {remedy}")
    return found


# ---- arrays -------------------------------------------------------------------------------------


def _has_columns_of_numbers(value):
    """Whether a pandas frame or series holds numbers, even if numpy sees objects in it.

    It does in bools beside floats (as of get_dummies) and in nullable integers.
    """
    dtypes = value.dtypes if hasattr(value, "iloc") else ()
    columns = list(dtypes) if isinstance(dtypes, Iterable) else [dtypes]
    return bool(columns) and all(getattr(column, "kind", "O") in "fiub" for column in columns)


def _as_array(name, value):
    """Return whatever holds numbers as a numpy array of numbers, of the type it has."""
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    if hasattr(value, "tocsr") or hasattr(value, "todense"):
        raise TypeError(f"{name} is a sparse matrix; pass {name}.toarray()")
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
    if array.dtype.kind not in "fiub":
        kind = {"c": "complex numbers", "O": "objects", "U": "text", "S": "bytes"}
        held = kind.get(array.dtype.kind, f"values of type {array.dtype}")
        raise TypeError(f"{name} must hold real numbers; it holds {held}: convert them to float")
    return array


def _require_finite(name, array, original):
    """Check that a contiguous array holds no NaN or infinity, naming the first."""
    at = KERNELS[array.dtype].first_nonfinite(array.reshape(-1))
    if at < 0:
        return
    index = tuple(int(i) for i in np.unravel_index(at, array.shape))
    value = original.reshape(array.shape)[index]
    place = f"{name}[{', '.join(map(str, index))}]"
    if np.isfinite(value):
        helps = array.dtype == np.float32 and math.isfinite(value)  # as a float64, that is
        wider = ", or build the MLP with dtype='float64'" if helps else ""
        raise ValueError(f"{place} is {value!s}, too large for {array.dtype}; scale {name}{wider}")
    raise ValueError(f"{place} is {value}; replace or drop values that are not finite")


def _converted(name, array, dtype):
    """Return an array contiguous, aligned, in native byte order and `dtype`, and finite."""
    converted = array
    if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.aligned):
        with np.errstate(over="ignore", invalid="ignore"):
            converted = np.require(array, dtype, ["C", "A"])
    _require_finite(name, converted, array)
    return converted


def matrix(name, value, n_columns, dtype, owner="this MLP"):
    """Return rows of numbers as an array (n >= 1, n_columns)."""
    array = _as_array(name, value)
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
    return _converted(name, array, dtype)


def _class_labels(name, array, n_out):
    """Return labels (n,) as int64, in range."""
    labels = array
    if array.dtype.kind == "f":
        labels = _converted(name, array, np.dtype(np.float64))
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
    if loss.targets == "positive" and t.min() < 0:
        raise ValueError(f"{name} must be 0 or more for loss {loss.name!r}; it holds {t.min()}")
    if loss.targets in ("probability", "class") and (t.min() < 0 or t.max() > 1):
        worst = t.min() if t.min() < 0 else t.max()
        raise ValueError(f"{name} must be from 0 to 1 for loss {loss.name!r}; it holds {worst}")
    if loss.targets == "class":
        sums = t.sum(axis=1, dtype=np.float64)
        at = int(np.argmax(np.abs(sums - 1)))
        if abs(sums[at] - 1) > 1e-3:
            raise ValueError(
                f"{name}[{at}] sums to {sums[at]:.6g}; rows of class probabilities (or one-hot "
                "rows) sum to 1: divide each row by its sum"
            )


def targets(name, value, loss, n_rows, n_out, dtype, rows_of="X"):
    """Return (T, labels): targets (n_rows, n_out) or class labels (n_rows,); one is None."""
    array = _as_array(name, value)
    if array.ndim == 2 and array.shape[1] == 1 and loss.targets == "class":
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
    if array.ndim == 1 and loss.targets == "class":
        return None, _class_labels(name, array, n_out)
    if array.ndim == 1 and n_out == 1:
        array = array[:, None]
    if array.ndim == 1 or array.shape[1] != n_out:
        raise ValueError(
            f"{name} has shape {array.shape} but the network has {n_out} outputs; pass {name} of "
            f"shape ({n_rows}, {n_out}), or end the layers with Dense("
            f"{1 if array.ndim == 1 else array.shape[1]})"
        )
    T = _converted(name, array, dtype)
    _require_range(name, T, loss)
    return T, None


def sample_weight(name, value, n_rows, dtype, rows_of="X"):
    """Return the rows' weights (n_rows,), or None."""
    if value is None:
        return None
    array = _as_array(name, value)
    if array.shape != (n_rows,):
        raise ValueError(
            f"{name} has shape {array.shape} but {rows_of} has {n_rows} rows; pass shape "
            f"({n_rows},)"
        )
    weights = _converted(name, array, dtype)
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


def validation_data(value):
    """Return (X, y, sample_weight or None)."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise TypeError(
            f"validation_data must be (X, y) or (X, y, sample_weight); got {_shown(value)}"
        )
    return (*value, None)[:3]


def output(value, shape, dtype, X):
    """Return an array to write predictions to, fit to be written to as it is."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"out must be a numpy array; got {_shown(value)}")
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
    found = _items(value)
    if found is None:
        raise TypeError(f"weights must be a list of arrays [W0, b0, ...]; got {_shown(value)}")
    if len(found) != len(shapes):
        raise ValueError(
            f"weights has {len(found)} arrays but this MLP has {len(shapes)}; pass arrays of "
            f"shapes {', '.join(map(str, shapes))}"
        )
    arrays = []
    for i, (item, shape) in enumerate(zip(found, shapes, strict=True)):
        array = _as_array(f"weights[{i}]", item)
        if array.shape != shape:
            raise ValueError(f"weights[{i}] has shape {array.shape}; pass shape {shape} here")
        arrays.append(_converted(f"weights[{i}]", array, dtype))
    return arrays


def array_like(name, value, shape, dtype):
    """Return a finite array of that shape, for the kernels; None in `shape` admits any length."""
    array = _as_array(name, value)
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=False)
    )
    if not fits:
        wanted = ", ".join("n" if want is None else str(want) for want in shape)
        wanted += "," if len(shape) == 1 else ""
        raise ValueError(f"{name} has shape {array.shape}; it must have shape ({wanted})")
    if 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; pass at least one row and one column")
    return _converted(name, array, dtype)


def in_place(name, value, shape, dtype=None):
    """Return an array that a kernel updates in place."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is updated in place: pass a numpy array; got {_shown(value)}")
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
