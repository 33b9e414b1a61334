"""Every check of an argument, hence every error message about one.

A message names the argument, the value and the remedy. A function here returns the checked value
in the form the rest of fastnn works with, and has no effect beyond that: callers check everything
first and change things after. Wrong kinds of things raise TypeError, wrong values ValueError.

Not here: defaults, and anything that is our own arithmetic rather than what a user passed.
"""

import difflib
import importlib
import inspect
import json
import math
import numbers
import os
import re
import string
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
    "ema_momentum": {"low": 0.0, "below": 1.0},
}
_CLIPS = ("clipvalue", "clipnorm", "global_clipnorm")


def hyper_parameter(name, value):
    """Return an optimizer's hyper-parameter: a number in its range, a flag, or no clipping."""
    if name in _CLIPS:
        return None if value is None else number(name, value, low=_SMALLEST)
    limits = _HYPER_PARAMETERS.get(name)
    return flag(name, value) if limits is None else number(name, value, **limits)


def one_clip(clips):
    """Check that gradients are clipped in one way at most; `clips` are all, by name."""
    given = [f"{name}={value:g}" for name, value in clips.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} cannot both clip the gradients; give one of them")


_SCHEDULE_PARAMETERS = {
    "learning_rate": {"above": 0.0},
    "schedule": {"above": 0.0},
    "initial_learning_rate": {"above": 0.0},
    "max_learning_rate": {"above": 0.0},
    "min_learning_rate": {"low": 0.0},
    "decay_steps": {"above": 0.0},
    "first_decay_steps": {"above": 0.0},
    "total_steps": {"low": 2.0},
    "steps": {"above": 0.0},
    "decay_rate": {"above": 0.0},
    "alpha": {"low": 0.0},
    "t_mul": {"low": 1.0},
    "m_mul": {"above": 0.0},
    "power": {"low": 0.0},
    "pct_start": {"above": 0.0, "below": 1.0},
    "div_factor": {"above": 0.0},
    "final_div_factor": {"above": 0.0},
    "factor": {"above": 0.0, "below": 1.0},
    "tol": {"low": 0.0},
    "start": {"low": 0.0},
}


def schedule_parameter(name, value):
    """Return a schedule's parameter: a number in its range, or what its time counts."""
    if name == "per":
        return choice("per", value, ("step", "epoch"))
    if name == "patience":
        return integer("patience", value, low=1)
    return number(name, value, **_SCHEDULE_PARAMETERS[name])


def can_follow_warm_up(schedule, per, warmup, adaptive):
    """Check that a schedule can come after a warm-up that counts `per` (None: what it counts)."""
    if isinstance(schedule, warmup | adaptive):
        raise ValueError(
            f"schedule is {_shown(schedule)}, which cannot be warmed up to; give a number or one "
            "of the other schedules"
        )
    if per not in (None, schedule.per):
        raise ValueError(
            f"per={per!r} but the schedule after the warm-up counts per {schedule.per}; give both "
            "the same"
        )


def learning_rate(value, schedule_type):
    """Return a learning rate: a number, or a schedule."""
    if isinstance(value, schedule_type):
        return value
    return hyper_parameter("learning_rate", value)


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


def layers(value, dense_type, dropout_type, standardize_type):
    """Return all layers, the Dense ones, and for each the rate at which its input is dropped."""
    found = _items(value)
    if found is None:
        raise TypeError(f"layers must be a list of Dense and Dropout; got {_shown(value)}")
    dense, rates, kept = [], [], 1.0
    for i, layer in enumerate(found):
        if isinstance(layer, standardize_type):
            if i > 0:
                raise ValueError(f"layers[{i}] is Standardize(), which must be the first layer")
        elif isinstance(layer, dropout_type):
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
    return found, dense, rates


def trainable(dense):
    """Check that there is something to train."""
    if not any(layer.trainable for layer in dense):
        raise ValueError("every Dense layer has trainable=False, so nothing would be learnt")


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


def history(value, empty=False):
    """Check that every column of a history has a value an epoch; no epochs only if `empty`."""
    if not (value.epoch and value.history) and not empty:
        raise ValueError("history has no epochs to show; fit with epochs=1 or more")
    for name, values in value.history.items():
        if len(values) != len(value.epoch):
            raise ValueError(
                f"history[{name!r}] has {len(values)} values for {len(value.epoch)} epochs; log "
                "one in every epoch, nan where there is none"
            )


def installed(module, purpose):
    """Return a module of a package that fastnn does without until it is asked for."""
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {package}; install it with pip install {package}"
        ) from error


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


# ---- options of fit and its kin -----------------------------------------------------------------


def batch_size(value):
    """Return a number of rows, or None for all."""
    return None if value is None else integer("batch_size", value, low=1)


def validation_split(value, data):
    """Return the fraction of rows to validate on; 0 if there are validation data."""
    split = number("validation_split", value, low=0.0, below=1.0)
    if data is not None and split:
        raise ValueError(
            f"validation_data and validation_split={split:g} are both given; give one of them"
        )
    return split


def rows_to_train(n, split):
    """Return how many of n rows are trained on, if the fraction `split` is for validation."""
    kept = n - max(1, round(n * split))
    if kept < 1:
        raise ValueError(
            f"validation_split={split:g} leaves none of {n} rows to train on; lower it"
        )
    return kept


def steps(value):
    """Return a number of batches an epoch, or None for all that there are."""
    return None if value is None else integer("steps_per_epoch", value, low=1)


def no_steps(value):
    """Check that no number of batches is given with arrays."""
    if value is not None:
        raise ValueError(
            f"steps_per_epoch={_shown(value)} is for an iterable of batches; for arrays X and y "
            "give batch_size"
        )


def for_batches(sample_weight, split, class_weight):
    """Check the options that an iterable of batches leaves no room for."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight cannot be given for an iterable; let it yield (X, y, sample_weight)"
        )
    if split:
        raise ValueError(
            f"validation_split={split:g} cannot split an iterable; pass validation_data"
        )
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight={class_weight!r} needs all labels at once, which an iterable has not; "
            "pass a dict"
        )


def are_batches(value):
    """Whether a value without targets beside it is an iterable of batches, and no array."""
    if isinstance(value, str | bytes | Mapping | np.ndarray | memoryview | set):
        return False
    if hasattr(value, "__array__") or hasattr(value, "__dlpack__") or hasattr(value, "dtypes"):
        return False
    if isinstance(value, Sequence):
        first = value[0] if len(value) else None
        return isinstance(first, tuple | list) and np.ndim(first[0] if first else 0) > 1
    return isinstance(value, Iterable)


def batch(place, value):
    """Return (X, y, sample_weight or None) of an item that an iterable gave."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise TypeError(
            f"{place} of the iterable must be (X, y) or (X, y, sample_weight); it is "
            f"{_shown(value)}"
        )
    return (*value, None)[:3]


def some_batches(rows, epoch):
    """Check that an epoch had rows at all."""
    if rows == 0:
        raise ValueError(
            f"the iterable gave no batch in epoch {epoch + 1}; pass one that can be gone through "
            "anew, such as a list or an object with __iter__, or steps_per_epoch"
        )


def class_weight(value, loss, n_out, T=None, labels=None):
    """Return a weight for each class, or None; "balanced" ones are of the rows' targets."""
    if value is None:
        return None
    balanced = isinstance(value, str) and choice("class_weight", value, ("balanced",))
    if not balanced and not isinstance(value, Mapping):
        raise TypeError(
            f"class_weight must be a dict {{label: weight}} or 'balanced'; got {_shown(value)}"
        )
    if not (loss.targets == "class" or (loss.targets == "probability" and n_out == 1)):
        raise ValueError(
            f"class_weight goes with classes, or one output of 0 or 1; this network has loss "
            f"{loss.name!r} and {n_out} outputs: pass sample_weight"
        )
    n_classes = n_out if loss.targets == "class" else 2
    if balanced:
        counts = np.bincount(classes_of(T, labels), minlength=n_classes)
        return len(labels if T is None else T) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    found = np.ones(n_classes)
    for label, weight in value.items():
        label = integer("class_weight's label", label, low=0, high=n_classes - 1)
        found[label] = number(f"class_weight[{label}]", weight, low=0.0)
    return found


def classes_of(T, labels):
    """Return the class (n,) of every row."""
    if labels is not None:
        return labels
    return T.argmax(axis=1) if T.shape[1] > 1 else (T[:, 0] >= 0.5).astype(np.int64)


def class_weights(by_class, T, labels, weights, dtype):
    """Return the rows' weights: their classes', times those they have."""
    found = by_class[classes_of(T, labels)]
    if weights is not None:
        found = found * weights
    if not found.any():
        raise ValueError("class_weight makes every row weigh 0, so nothing would be learnt")
    return np.ascontiguousarray(found, dtype)


def adapted(ready):
    """Check that a Standardize layer has seen data."""
    if not ready:
        raise ValueError(
            "the Standardize layer has not seen data, so X cannot be standardized; call adapt(X) "
            "or fit first"
        )


def standardizes(does):
    """Check that there is a Standardize layer."""
    if not does:
        raise ValueError(
            "this MLP has no Standardize layer to adapt; build it with layers=[Standardize(), ...]"
        )


def averages(optimizer):
    """Check that an optimizer keeps a moving average of the weights."""
    if not optimizer.use_ema:
        raise ValueError(
            f"optimizer {optimizer.name!r} keeps no moving average of the weights; build it with "
            "use_ema=True"
        )


def json_object(name, text):
    """Return the dict of a JSON text."""
    if not isinstance(text, str | bytes):
        raise TypeError(f"{name} must be JSON text; got {_shown(text)}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}; pass what to_json returned") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a JSON object; it is {_shown(found)}")
    return found


# ---- plain data and files -----------------------------------------------------------------------


def fields(place, value, known=None, needed=None):
    """Return a copy of a dict that has the needed keys (by default all known) and no unknown."""
    if not isinstance(value, dict):
        raise TypeError(f"{place} must be a dict; got {_shown(value)}")
    for name in known if needed is None and known is not None else needed or ():
        if name not in value:
            raise ValueError(f"{place} lacks {name!r}; add it")
    for name in value:
        if known is not None and name not in known:
            listed = ", ".join(map(repr, known))
            raise ValueError(f"{place} has {name!r}, which is none of {listed}; drop it")
    return dict(value)


def plain_list(place, value):
    """Return a list."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{place} must be a list; got {_shown(value)}")
    return list(value)


def tensors(found, shapes, dtype):
    """Check the shapes and the type of tensors of a model file."""
    for name, tensor in found.items():
        if tensor.shape != shapes[name] or tensor.dtype != dtype:
            raise ValueError(
                f"tensor {name!r} is {tensor.dtype} {tensor.shape}, but the layers want {dtype} "
                f"{shapes[name]}"
            )


def standardization(mean, scale, n_in):
    """Check means and scales of a model file."""
    for name, array in (("mean", mean), ("scale", scale)):
        if array.shape != (n_in,) or array.dtype != np.float64:
            raise ValueError(
                f"tensor 'standardize.{name}' is {array.dtype} {array.shape}, but the layer wants "
                f"float64 {(n_in,)}"
            )
    if scale.min() <= 0:
        raise ValueError("tensor 'standardize.scale' must be above 0 throughout")


def nothing_left(tensors):
    """Check that every tensor of a model file had a place."""
    if tensors:
        listed = ", ".join(map(repr, list(tensors)[:3]))
        raise ValueError(f"tensors {listed} belong to nothing in the configuration")


def same_config(path, theirs, ours):
    """Check that a checkpoint is of such a network; its learning rate may have been changed."""
    for config in (theirs, ours):
        config["optimizer"].pop("learning_rate")
        for name in ("seed", "n_threads"):
            config.pop(name)
    for name, value in ours.items():
        if theirs[name] != value:
            raise ValueError(
                f"resume={path!r} is of another network: its {name} is {_shown(theirs[name])}, not "
                f"{_shown(value)}; build the same one, or remove the file to begin anew"
            )


def same_fit(path, theirs, ours):
    """Check that a checkpoint is of such a fit."""
    if theirs is None:
        raise ValueError(
            f"resume={path!r} was saved outside of fit, so there is none to go on with; use "
            "fastnn.load and fit"
        )
    for name in ("samples", "batch_size", "shuffle"):
        if theirs[name] != ours[name]:
            raise ValueError(
                f"resume={path!r} is of a fit with {name}={_shown(theirs[name])}, not "
                f"{_shown(ours[name])}; fit the same rows in the same batches, or remove the file "
                "to begin anew"
            )
    if len(theirs["callbacks"]) != len(ours["callbacks"]):
        raise ValueError(
            f"resume={path!r} is of a fit with {len(theirs['callbacks']) - 1} callbacks, not "
            f"{len(ours['callbacks']) - 1}; pass the same ones, or remove the file to begin anew"
        )


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
    _complain(name, index, original.reshape(array.shape)[index], array.dtype)


def _complain(name, index, value, dtype):
    """Raise the error for a value that isn't finite in that dtype."""
    place = f"{name}[{', '.join(map(str, index))}]"
    if np.isfinite(value):
        helps = dtype == np.float32 and math.isfinite(value)  # as a float64, that is
        wider = ", or build the MLP with dtype='float64'" if helps else ""
        raise ValueError(f"{place} is {value!s}, too large for {dtype}; scale {name}{wider}")
    raise ValueError(f"{place} is {value}; replace or drop values that are not finite")


def rows_into(name, X, rows, room):
    """Return those rows of X (a slice, or their numbers) converted into `room`, and finite."""
    taken = X[rows]
    out = room[: len(taken)]
    with np.errstate(over="ignore", invalid="ignore"):
        np.copyto(out, taken, casting="unsafe")
    at = KERNELS[out.dtype].first_nonfinite(out.reshape(-1))
    if at >= 0:
        row, column = divmod(at, out.shape[1])
        number = rows.start + row if isinstance(rows, slice) else int(rows[row])
        _complain(name, (number, column), taken[row, column], out.dtype)
    return out


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
    return _converted(name, rows_of_numbers(name, value, n_columns, owner), dtype)


def rows_of_numbers(name, value, n_columns, owner="this MLP"):
    """Return rows of numbers as an array (n >= 1, n_columns) of the type they have."""
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
    return array


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


# ---- metrics ------------------------------------------------------------------------------------


def _either(names):
    """Return names as a message lists a choice: 'a', 'b' or 'c'."""
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}" if most else last


def predictions(name, value):
    """Return a network's outputs as an array (n >= 1, n_out >= 1), finite or not."""
    array = _as_array(name, value)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} has shape {array.shape}; pass outputs of shape (n, n_out), as predict returns"
        )
    return array


def _kind_of_targets(name, array, n_out, metric, targets):
    """Return what kind of targets a metric is given: one of `metric.targets`."""
    if targets is not None:
        return choice("targets", targets, metric.targets)
    if "class" not in metric.targets or len(metric.targets) == 1:
        return metric.targets[0]
    if n_out == 1:
        return "probability"
    if array.ndim == 1 or array.shape[1] == 1:
        return "class"
    raise ValueError(
        f"{name} has shape {array.shape}, which may be one-hot rows or {array.shape[1]} labels a "
        "row; pass targets='class' or targets='probability'"
    )


def truth(name, value, shape, metric, targets):
    """Return (t, kind): class labels (n,) or targets (n, n_out), for outputs of that shape."""
    n, n_out = shape
    array = _as_array(name, value)
    if array.ndim not in (1, 2) or array.shape[0] != n:
        raise ValueError(
            f"{name} has shape {array.shape} but y_pred has {n} rows; pass shape ({n},) or "
            f"({n}, {n_out})"
        )
    kind = _kind_of_targets(name, array, n_out, metric, targets)
    single = array.ndim == 1 or array.shape[1] == 1
    if kind == "class" and single:
        return _class_labels(name, array.reshape(n), n_out), kind
    if single:
        array = array.reshape(n, 1)
    if array.shape[1] != n_out:
        raise ValueError(
            f"{name} has {array.shape[1]} columns but y_pred has {n_out}; pass {name} of shape "
            f"({n}, {n_out})"
        )
    t = _converted(name, array, array.dtype if array.dtype in KERNELS else np.dtype(np.float64))
    if kind == "class":
        return t.argmax(axis=1), kind
    if "class" in metric.targets and (t.min() < 0 or t.max() > 1):
        worst = t.min() if t.min() < 0 else t.max()
        raise ValueError(
            f"{name} must be from 0 to 1 for metric {metric.name!r} of {n_out} outputs; it holds "
            f"{worst:g}; labels of several classes need as many outputs"
        )
    return t, kind


def zeros_and_ones(name, t, metric_name):
    """Check that targets are 0 and 1 only."""
    wrong = (t != 0) & (t != 1)
    if wrong.any():
        i, k = np.unravel_index(np.argmax(wrong), t.shape)
        raise ValueError(
            f"{name}[{i}, {k}] is {t[i, k]:g} but metric {metric_name!r} takes 0 and 1 only; round "
            f"{name}, or use 'mae' or 'mse'"
        )


def top_k(k, n_out):
    """Check that a network has k outputs."""
    if k > n_out:
        raise ValueError(
            f"metric 'top_k_accuracy' has k={k} but the network has {n_out} outputs; pass "
            f"TopKAccuracy(k) with k of at most {n_out}"
        )


def metrics(value, base):
    """Return metrics as [(place, key, metric)]: where it stands, its key in a dict (or None)."""
    if isinstance(value, str | base | Mapping) or callable(value):
        places = [("metrics", value)]
    else:
        found = _items(value)
        if found is None:
            raise TypeError(
                "metrics must be a list of names, Metric objects, functions f(y_true, y_pred) or "
                f"dicts of these; got {_shown(value)}"
            )
        places = [(f"metrics[{i}]", item) for i, item in enumerate(found)]
    every = []
    for place, item in places:
        if isinstance(item, Mapping):
            every += [(f"{place}[{key!r}]", key, metric) for key, metric in item.items()]
        else:
            every.append((place, None, item))
    for place, _, metric in every:
        is_class = isinstance(metric, type)
        if is_class or not (isinstance(metric, str) or callable(metric)):
            ours = is_class and issubclass(metric, base)
            raise TypeError(
                f"{place} must be a name, a Metric or a function f(y_true, y_pred); got "
                f"{_shown(metric)}{'; make an object of it' if ours else ''}"
            )
    return every


def refuse_metric(name, fit, loss_name, instead):
    """Raise the error of a metric that does not go with the network's loss."""
    raise ValueError(
        f"metric {name!r} goes with loss {_either(fit)}; this network has {loss_name!r}: use "
        f"{_either(instead)}"
    )


def function_name(place, function):
    """Return the name of a function."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ValueError(
            f"{place} is {_shown(function)}, which has no name; use def, or pass a dict "
            '{"name": function}'
        )
    return name


def log_name(place, name, taken):
    """Return the name that logs have a metric under."""
    if not isinstance(name, str):
        raise TypeError(f"{place}: the name of a metric must be text; got {_shown(name)}")
    remedy = 'pass {"another name": metric}'
    if name in ("", "loss") or name.startswith("val_"):
        raise ValueError(
            f"{place} has the name {name!r}, but logs have the loss as 'loss' and what is of "
            f"validation data as 'val_...'; {remedy}"
        )
    if name in taken:
        raise ValueError(f"{place} is the second metric of the name {name!r}; drop it or {remedy}")
    return name


def weights_parameter(name, function):
    """Return whether a function's parameter sample_weight is "absent", "optional", "required"."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C don't tell
        return "absent"
    parameter = signature.parameters.get("sample_weight")
    try:
        signature.bind(None, None, **({} if parameter is None else {"sample_weight": None}))
    except TypeError as error:
        raise TypeError(
            f"metric {name!r} is called as f(y_true, y_pred) or f(y_true, y_pred, sample_weight=w) "
            f"but its signature is {_shown(signature)}: {error}; change it, or wrap it in a def"
        ) from error
    if parameter is None:
        return "absent"
    return "required" if parameter.default is parameter.empty else "optional"


def metric_value(name, value):
    """Return what a user's metric returned as a float."""
    try:
        if isinstance(value, str | bytes | bytearray) or np.ndim(value) > 0:
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"metric {name!r} must return a number; it returned {_shown(value)} "
            f"({type(value).__name__})"
        ) from error


# ---- callbacks ----------------------------------------------------------------------------------


def _quoted(names):
    """Return names as a message lists them."""
    return ", ".join(map(repr, names))


def optional_flag(name, value, meaning_of_none):
    """Return True, False or None."""
    if value is not None and not _is_bool(value):
        raise TypeError(
            f"{name} must be True, False or None ({meaning_of_none}); got {_shown(value)}"
        )
    return None if value is None else bool(value)


def monitor(value):
    """Return the name of a value to follow."""
    if not isinstance(value, str):
        raise TypeError(f"monitor must be a name such as 'val_loss'; got {_shown(value)}")
    if not value:
        raise ValueError("monitor must be a name such as 'val_loss'; got ''")
    return value


def monitored(value, names):
    """Check that the logs will have the value to follow."""
    if value in names:
        return
    lacks_validation = not any(name.startswith("val_") for name in names)
    near = difflib.get_close_matches(value, names, n=1)
    if lacks_validation and value.removeprefix("val_") in names:
        remedy = "pass validation_data to fit, or monitor one of these"
    else:
        remedy = "monitor one of these" + (f"; did you mean {near[0]!r}?" if near else "")
    raise ValueError(f"monitor {value!r} is not among {_quoted(names)}; {remedy}")


def file_path(name, value):
    """Return the path of a file as a str."""
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a str or a path; got {_shown(value)}")
    if not os.path.basename(path):
        raise ValueError(f"{name} must end with the name of a file; got {path!r}")
    return path


class _AnyLog(dict):
    """Logs of an epoch that have every name."""

    def __missing__(self, name):
        return 0.5


def path_template(name, value):
    """Return a path that may hold fields such as {epoch:03d}, and the names of these."""
    path = file_path(name, value)
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(path) if field is not None]
        if not all(re.fullmatch(r"(?!\d+$)[^.\[\]{}]+", field) for field in fields):
            raise ValueError("a field is {epoch} or the name of a loss or metric, such as {loss}")
        path.format_map(_AnyLog(epoch=1))
    except ValueError as error:
        raise ValueError(
            f"{name} is no format string: {error}; write it like 'net-{{epoch:03d}}.safetensors', "
            f"and {{{{ for a brace; got {path!r}"
        ) from None
    return path, fields


def path_fields(name, path, fields, names):
    """Check that the logs will have all fields of a path."""
    for field in fields:
        if field not in ("epoch", *names):
            raise ValueError(
                f"{name} {path!r} has the field {field!r}, which is not among "
                f"{_quoted(['epoch', *names])}; use one of these"
            )


def separator(value):
    """Return a character that stands between the columns of a file."""
    if not isinstance(value, str):
        raise TypeError(f"separator must be one character such as ',' or ';'; got {_shown(value)}")
    if len(value) != 1 or value.isalnum() or value in '+-._"\r\n\0':
        raise ValueError(
            f"separator must be one character that numbers and names don't hold, such as ',' or "
            f"';'; got {_shown(value)}"
        )
    return value


def log_columns(path, columns, names):
    """Check that a log can be gone on with: that it has columns for the epoch and these names."""
    missing = [name for name in ("epoch", *names) if name not in columns]
    if missing:
        raise ValueError(
            f"path {path!r} has the columns {_quoted(columns)} but not {_quoted(missing)}; pass "
            "another path, the file's separator, or append=False to write it anew"
        )


def text_stream(name, value):
    """Return a stream to write text to, or None."""
    if value is not None and not callable(getattr(value, "write", None)):
        raise TypeError(f"{name} must be a text stream such as sys.stdout; got {_shown(value)}")
    return value


def rate_schedule(value):
    """Return a function of an epoch or of (epoch, rate), and whether it takes the rate."""
    wanted = "schedule must be a function of the epoch, or of the epoch and the learning rate"
    if not callable(value):
        raise TypeError(f"{wanted}; got {_shown(value)}")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # some built-ins don't tell
        return value, False
    for example in ((0, 0.1), (0,)):
        try:
            signature.bind(*example)
        except TypeError:
            continue
        return value, len(example) == 2
    raise TypeError(f"{wanted}; got {_shown(value)}, which takes {signature}")


def constant_rate(owner, value):
    """Check that an optimizer's learning rate is a number, hence one that a callback can set."""
    if not isinstance(value, numbers.Real):
        raise ValueError(
            f"{owner} sets the learning rate, but the optimizer's follows {_shown(value)}; drop the"
            " callback, or give the optimizer a number as its learning_rate"
        )


def callback_state(owner, value, names):
    """Check that a callback's state has these names."""
    if not isinstance(value, Mapping):
        raise TypeError(f"state must be what get_state of {owner} returned; got {_shown(value)}")
    missing = [name for name in names if name not in value]
    if missing:
        raise ValueError(
            f"state has no {_quoted(missing)}; pass what get_state of {owner} returned"
        )
    return value
