"""Checks of targets, class labels, and the weights of rows and classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _conversion
from fastnn._checks.arrays import as_array, converted
from fastnn._checks.values import counted, integer, number, shown, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.losses import Loss

    DType = np.dtype[Any] | type[np.floating[Any]]

#: The most standard deviations that the mean of a target may be away from 0 in float32.
_MOST_DEVIATIONS = 2.0**17

#: The largest target that is scaled, in each dtype: outputs far beyond the targets must be finite,
#: and in float64 the squares of targets, too.
_LARGEST_SCALED = {"float32": 1e34, "float64": 1e150}

#: The most labels that a message lists.
_MOST_NAMED = 10


def given_targets(name: str, value: Any, rows_of: str = "X") -> None:
    """Check that targets are given."""
    if value is None:
        raise TypeError(f"{name} is None; give the targets of the rows of {rows_of}")


def targets(
    name: str,
    value: Any,
    loss: Loss,
    n_rows: int,
    n_out: int,
    dtype: np.dtype[Any],
    rows_of: str = "X",
    own: bool = False,
) -> tuple[NDArray[Any] | None, NDArray[np.int64] | None]:
    """Return (T, labels): targets (n_rows, n_out) or class labels (n_rows,); one is None.

    Labels are always a copy; T is a copy with `own`.
    """
    array = as_array(name, value)
    if array.ndim == 2 and array.shape[1] == 1 and loss.takes.are_classes:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} has {counted(array.ndim, 'dimension')} (shape {array.shape}) but must have 1 "
            f"or 2: pass shape ({n_rows},) or ({n_rows}, {n_out})"
        )
    if array.shape[0] != n_rows:
        raise ValueError(
            f"{name} has {counted(array.shape[0], 'row')} but {rows_of} has {n_rows:,}; pass a "
            "target for each"
        )
    if loss.takes.of_any_width:
        return converted(name, array[:, None] if array.ndim == 1 else array, dtype, own), None
    if array.ndim == 1 and loss.takes.are_classes:
        return None, class_labels(name, array, n_out)
    n_targets = loss.n_targets(n_out)
    if array.ndim == 1 and (n_targets == 1 or loss.shares_target):
        array = array[:, None]
    if loss.shares_target and array.shape[1] == 1:
        array = np.broadcast_to(array, (n_rows, n_out))
    if array.ndim == 1 or array.shape[1] != n_targets:
        units = (1 if array.ndim == 1 else array.shape[1]) * n_out // n_targets
        raise ValueError(
            f"{name} has shape {array.shape} but the network has {counted(n_out, 'output')}; pass "
            f"{name} of shape ({n_rows}, {n_targets}), or end the layers with Dense({units})"
        )
    if n_targets != n_out:
        array = np.tile(array, (1, n_out // n_targets))
    T = converted(name, array, dtype, own)
    targets_in_range(name, T, loss)
    return T, None


def output_gradients(
    name: str, value: Any, n_rows: int, n_out: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return derivatives of a loss with respect to outputs, (n_rows, n_out)."""
    array = as_array(name, value)
    if array.ndim == 1 and n_out == 1:
        array = array[:, None]
    if array.shape != (n_rows, n_out):
        raise ValueError(
            f"{name} has shape {array.shape} but the outputs for X have shape "
            f"({n_rows}, {n_out}); pass the derivative of the loss with respect to each output"
        )
    return converted(name, array, dtype)


def class_labels(name: str, array: NDArray[Any], n_out: int) -> NDArray[np.int64]:
    """Return a copy of labels (n,) as int64; they must be in range."""
    labels = array
    if array.dtype.kind == "f":
        labels = converted(name, array, np.dtype(np.float64))
        at = int(np.argmax(labels != np.floor(labels)))
        if labels[at] != np.floor(labels[at]):
            raise ValueError(
                f"{name}[{at}] is {array[at]}; class labels are the integers 0 to {n_out - 1}"
            )
    found = _conversion.in_dtype(labels, np.int64, own=True)
    low, high = found.min(), found.max()
    if low < 0 or high >= n_out:
        at = int(np.argmin(found) if low < 0 else np.argmax(found))
        raise ValueError(
            f"{name}[{at}] is class {labels[at]} but the network has {counted(n_out, 'output')}; "
            f"labels run from 0 to {n_out - 1}{_set_classes(labels, n_out)}"
        )
    return found


def _set_classes(labels: NDArray[Any], n_classes: int) -> str:
    """Return the end of a message if the labels may be those of the classes, such as 1 and 2."""
    found = np.unique(labels)
    if len(found) != n_classes or len(found) > _MOST_NAMED or (found != np.floor(found)).any():
        return ""
    return f"; if {_listed(found)} are the classes, set net.classes = ({_listed(found)})"


def _listed(numbers: NDArray[Any]) -> str:
    return ", ".join(str(int(number)) for number in numbers)


def targets_in_range(name: str, t: NDArray[Any], loss: Loss) -> None:
    """Check that targets are in the range of the loss."""
    takes, least, largest = loss.takes, t.min(), t.max()
    if least < takes.low or largest > takes.high:
        worst = least if least < takes.low else largest
        limits = f"from {takes.low:g} to {takes.high:g}"
        if math.isinf(takes.high):
            limits = f"{takes.low:g} or more"
        is_binary = (takes.low, takes.high) == (0, 1) and t.shape[1:] == (1,)
        remedy = _set_classes(t, 2) if is_binary else ""
        raise ValueError(
            f"{name} must be {limits} for loss {loss.name!r}; it holds {worst}{remedy}"
        )
    if takes.are_classes:
        outputs = f"end the layers with Dense({t.shape[1]}, 'sigmoid')"
        sum_to_1(name, t, f"use loss 'binary_cross_entropy' and {outputs}")


def sum_to_1(name: str, t: NDArray[Any], of_several: str) -> None:
    """Check that each row of t (n, n_classes) sums to 1.

    `of_several` is the remedy if rows may have several classes, or none.
    """
    sums = t.sum(axis=1, dtype=np.float64)
    at = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[at] - 1) > 1e-3:
        remedy = "divide each row by its sum"
        if np.isin(t[at], (0, 1)).all():
            remedy = f"if a row may have several classes or none, {of_several}"
        raise ValueError(
            f"{name}[{at}] sums to {sums[at]:.6g}; rows of class probabilities (or one-hot rows) "
            f"sum to 1: {remedy}"
        )


def size_of_target(name: str, y: NDArray[Any], dtype: str) -> None:
    """Check that outputs of a dtype can be as large as these targets (n,)."""
    largest, limit = float(np.abs(y).max()), _LARGEST_SCALED[dtype]
    if largest > limit:
        raise ValueError(
            f"{name} holds numbers up to {largest:.3g}, too large for a network of {dtype}; divide "
            f"them by a constant, so that they are below {limit:g}"
        )


def spread_of_target(name: str, deviation: float, dtype: str) -> None:
    """Check that outputs of a dtype can be as small as the deviations of targets."""
    if deviation < np.finfo(dtype).tiny:
        remedy = ', or use dtype="float64" (on the command line: --dtype float64)'
        raise ValueError(
            f"{name} has standard deviation {deviation:g}, too small for {dtype}: multiply it by a "
            f"constant{remedy if dtype != 'float64' else ''}"
        )


def offset_of_target(name: str, mean: float, deviation: float, dtype: str) -> None:
    """Check that outputs of a dtype can tell targets apart that are so far from 0.

    The output layer undoes the scaling of a target, and so adds its mean. The sums of this layer
    are rounded to `dtype`: in float32 to about one part in 10 million of the mean. From the limit
    on, the rounding errors are more than about 1 % of the standard deviation of the targets.
    """
    if dtype != "float64" and abs(mean) > _MOST_DEVIATIONS * deviation:
        raise ValueError(
            f"{name} has mean {mean:g} and standard deviation {deviation:g}, which {dtype} rounds "
            'away: subtract a constant near the mean, or use dtype="float64" (on the command '
            "line: --dtype float64)"
        )


def sample_weight(
    name: str, value: Any, shape: tuple[int, int], dtype: DType, rows_of: str = "X",
    loss: Loss | None = None, may_be_zero: bool = False,
) -> NDArray[Any] | None:  # fmt: skip
    """Return a copy of the weights of rows (n,) or of each output (n, n_out), or None.

    `shape` is (n, n_out). Weights without a loss are those of a metric. `may_be_zero` allows a
    weight of 0 for every row, as in one of several batches.
    """
    if value is None:
        return None
    array, (n_rows, n_out) = as_array(name, value), shape
    if n_out == 1 and array.shape == shape:
        array = array[:, 0]
    if array.shape not in ((n_rows,), shape):
        by_output = n_out > 1 and (loss is None or loss.by_output)
        raise ValueError(
            f"{name} has shape {array.shape} but {rows_of} has {counted(n_rows, 'row')}; pass "
            f"shape ({n_rows},)" + f" or, with a weight for each output, {shape}" * by_output
        )
    if array.ndim == 2 and loss is not None and not loss.by_output:
        raise ValueError(
            f"{name} has shape {array.shape}, but loss {loss.name!r} is one number for all outputs "
            f"of a row; pass shape ({n_rows},)"
        )
    weights = converted(name, array, dtype, own=True)
    _require_sign(name, weights, loss)
    if not weights.any():
        if array.any():
            raise ValueError(f"{name} rounds to 0 in {weights.dtype} for every row; scale it up")
        if not may_be_zero:
            raise ValueError(f"{name} is 0 for every row, so no row would count; leave it out")
    with np.errstate(over="ignore"):
        total = np.abs(weights).sum(dtype=np.float64)
    if not np.isfinite(total):
        raise ValueError(f"{name} has a sum too large for float64; scale {name}")
    return weights


def _require_sign(name: str, weights: NDArray[Any], loss: Loss | None) -> None:
    """Check that weights are 0 or more, unless the loss allows negative ones."""
    if weights.min() >= 0 or (loss is not None and loss.signed_weights):
        return
    at = np.unravel_index(int(np.argmin(weights)), weights.shape)
    place = f"{name}[{', '.join(map(str, at))}]"
    if loss is None:
        raise ValueError(f"{place} is {weights[at]}; weights must be 0 or more")
    raise ValueError(
        f"{place} is {weights[at]}; weights must be 0 or more for loss {loss.name!r}, whose slope "
        "grows with the error: a negative weight would push outputs away ever faster. Use a loss "
        "of bounded slope, such as 'huber'"
    )


def weights_of_metrics(
    name: str, weights: NDArray[Any] | None, metric: str, takes_weights: bool
) -> None:
    """Check that a metric is defined for these weights, (n,) or (n, n_out)."""
    if weights is None:
        return
    if weights.min() < 0:
        raise ValueError(
            f"{name} holds {weights.min()}, but metrics need weights of 0 or more; leave out "
            f"metric {metric!r}, and compute it without weights"
        )
    if weights.ndim == 2 and not takes_weights:
        raise ValueError(
            f"metric {metric!r} would count targets of weight 0; give the function a parameter "
            "sample_weight, which gets the weights of the outputs"
        )


def without_missing(name: str, value: Any, weights: NDArray[Any] | None, loss: Loss) -> Any:
    """Return targets with 0 for those of weight 0 that would not be accepted or could overflow.

    A target of weight 0 has no effect, so it may be NaN or any other mark of a missing value. Other
    targets of weight 0 are kept, for metrics that are functions without weights.
    """
    takes = loss.takes
    if weights is None or takes.are_classes or weights.all():
        return value
    array, weights = as_array(name, value), weights.reshape(len(weights), -1)
    array = array[:, None] if array.ndim == 1 else array
    if loss.shares_target and array.shape == (len(weights), 1):
        array = np.broadcast_to(array, weights.shape)
    if weights.shape not in (array.shape, (*array.shape[:1], 1)):
        return value  # `targets` raises the error for the shape
    largest = float(np.finfo(weights.dtype).max) ** 0.25  # so that no loss of it is infinite
    with np.errstate(over="ignore"):  # in float16 the limit is infinite
        fits = (array >= max(takes.low, -largest)) & (array <= min(takes.high, largest))
    is_missing = (weights == 0) & ~(fits & np.isfinite(array))
    return np.where(is_missing, 0, array) if is_missing.any() else value


def class_weight(value: object, loss: Loss, n_out: int) -> dict[int, float] | str | None:
    """Return {label: weight}, "balanced" or None; the loss must be one for classes."""
    if value is None:
        return None
    is_name = isinstance(value, str)
    if not isinstance(value, Mapping) and not (is_name and value == "balanced"):
        raise (ValueError if is_name else TypeError)(
            f"class_weight must be a dict {{label: weight}} or 'balanced'; got {shown(value)}"
        )
    if isinstance(value, str):
        value = text(value)
    n_classes = loss.n_classes(n_out)
    if n_classes is None:
        by_output = f" of shape (n, {n_out})" * (loss.by_output and loss.targets == "probability")
        raise ValueError(
            f"class_weight needs classes, or one output with targets 0 and 1; this network has "
            f"loss {loss.name!r} and {counted(n_out, 'output')}: pass sample_weight{by_output}"
        )
    if isinstance(value, str):
        return value
    found = {}
    for label, weight in value.items():
        label = integer("class_weight's label", label, low=0, high=n_classes - 1)
        found[label] = number(f"class_weight[{label}]", weight, low=0.0)
    return found


def row_weights(
    products: NDArray[np.float64], dtype: DType, may_be_zero: bool = False
) -> NDArray[Any]:
    """Return class weights times sample weights (n,) in `dtype`.

    At least one must not be 0, unless `may_be_zero`.
    """
    with np.errstate(all="ignore"):
        found = np.ascontiguousarray(products, dtype)
        total = np.abs(found).sum(dtype=np.float64)
    at = int(np.argmax(np.abs(found)))
    if not np.isfinite(total):
        raise ValueError(
            f"class_weight makes row {at} weigh {products[at]:g}, too much for {found.dtype}; "
            "scale it or sample_weight down"
        )
    if found[at] == 0 and (products.any() or not may_be_zero):
        rounded, remedy = "", "; give one of their classes a weight above 0"
        if products.any():
            rounded, remedy = f", rounded to {found.dtype}", "; scale it up"
        raise ValueError(
            f"class_weight makes every row weigh 0{rounded}, so no row would count{remedy}"
        )
    return found


def split_weights(
    training: NDArray[Any] | None, validation: NDArray[Any] | None, remedy: str
) -> None:
    """Check that in each part of a split at least one row has a positive weight."""
    for purpose, weights in (("to train on", training), ("for validation", validation)):
        if weights is not None and not weights.any():
            raise ValueError(f"sample_weight is 0 for every row {purpose}; {remedy}")
