"""Checks of metrics: their names, targets and outputs, and the values that functions return."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastnn._checks.arrays import as_array, converted
from fastnn._checks.targets import class_labels, sum_to_1
from fastnn._checks.values import choice, counted, either, is_bool, items, shown, text
from fastnn._precision import PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from numpy.typing import NDArray

    from fastnn.metrics import Metric


def predictions(name: str, value: Any) -> NDArray[Any]:
    """Return outputs of a network as an array (n >= 1, n_out >= 1), not necessarily finite."""
    array = as_array(name, value)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} has shape {array.shape}; pass outputs of shape (n, n_out), as predict returns"
        )
    return array


def _kind_of_targets(
    name: str, array: NDArray[Any], n_out: int, metric: Metric, targets: str | None
) -> str:
    """Return the kind of the given targets: one of `metric.targets`."""
    if targets is not None:
        return choice("targets", targets, metric.targets)
    if "class" not in metric.targets or len(metric.targets) == 1:
        return metric.targets[0]
    if "real" in metric.targets:  # labels only if no other kind is possible
        return "class" if n_out > 1 and array.ndim == 1 else "real"
    if n_out == 1:
        return "probability"
    if array.ndim == 1 or array.shape[1] == 1:
        return "class"
    raise ValueError(
        f"{name} has shape {array.shape}, which may mean one-hot rows or "
        f"{counted(array.shape[1], 'label')} per row; pass targets='class' or targets='probability'"
    )


def truth(
    name: str, value: Any, shape: tuple[int, ...], metric: Metric, targets: str | None
) -> tuple[NDArray[Any], str]:
    """Return (t, kind): targets (n, n_out), or class labels (n,), for outputs (n, n_out)."""
    n, n_out = shape
    array = as_array(name, value)
    if array.ndim not in (1, 2) or array.shape[0] != n:
        raise ValueError(
            f"{name} has shape {array.shape} but y_pred has {counted(n, 'row')}; pass shape ({n},) "
            f"or ({n}, {n_out})"
        )
    kind = _kind_of_targets(name, array, n_out, metric, targets)
    single = array.ndim == 1 or array.shape[1] == 1
    if kind == "class" and single:
        return class_labels(name, array.reshape(n), n_out), kind
    if single:
        array = array.reshape(n, 1)
    if array.shape[1] != n_out:
        raise ValueError(
            f"{name} has {counted(array.shape[1], 'column')} but y_pred has {n_out:,}; pass {name} "
            f"of shape ({n}, {n_out})"
        )
    t = converted(name, array, array.dtype if array.dtype in PRECISIONS else np.dtype(np.float64))
    if kind == "probability" and "class" in metric.targets and (t.min() < 0 or t.max() > 1):
        worst = t.min() if t.min() < 0 else t.max()
        raise ValueError(
            f"{name} must be from 0 to 1 for metric {metric.name!r} of {counted(n_out, 'output')}; "
            f"it holds {worst:g}; for labels of several classes pass one output per class"
        )
    return t, kind


def rows_of_probabilities(name: str, t: NDArray[Any], metric_name: str) -> None:
    """Check that each row of t (n, n_out) has probabilities of classes."""
    if t.min() < 0 or t.max() > 1:
        worst = t.min() if t.min() < 0 else t.max()
        raise ValueError(
            f"{name} holds {worst:g} but metric {metric_name!r} takes probabilities from 0 to 1; "
            "for one class per row pass labels"
        )
    sum_to_1(name, t, 'pass targets="probability"')


def zeros_and_ones(name: str, t: NDArray[Any], metric_name: str) -> None:
    """Check that all targets are 0 or 1."""
    wrong = (t != 0) & (t != 1)
    if wrong.any():
        i, k = np.unravel_index(np.argmax(wrong), t.shape)
        raise ValueError(
            f"{name}[{i}, {k}] is {t[i, k]:g} but metric {metric_name!r} takes 0 and 1 only; round "
            f"{name}, or use 'mae' or 'mse'"
        )


def top_k(k: int, n_out: int) -> None:
    """Check that a network has at least k outputs."""
    if k > n_out:
        raise ValueError(
            f"metric 'top_k_accuracy' has k={k} but the network has {counted(n_out, 'output')}; "
            f"pass TopKAccuracy(k) with k of at most {n_out}"
        )


def average_of(name: str, average: str | None, n: int, most: int) -> None:
    """Check that average='binary' is used with at most `most` outputs."""
    if average == "binary" and n > most:
        raise ValueError(
            f"metric {name!r} has average='binary' but there are {n} outputs; use average='macro', "
            "or leave average out"
        )


def zero_division(value: Any) -> float:
    """Return the value of 0 / 0 in a metric: 0, 1 or NaN."""
    if is_bool(value) or not isinstance(value, numbers.Real):
        raise TypeError(f"zero_division must be 0, 1 or nan; got {shown(value)}")
    if value in (0, 1) or value != value:
        return float(value)
    raise ValueError(f"zero_division must be 0, 1 or nan; got {shown(value)}")


def metric_list(value: Any, base: type) -> list[tuple[str, Any, Any]]:
    """Return metrics as a list of (place, key, metric).

    `place` names the metric in messages; `key` is its key in a dict, otherwise None.
    """
    if isinstance(value, str | base | Mapping) or callable(value):
        places = [("metrics", value)]
    else:
        found = items(value)
        if found is None:
            raise TypeError(
                "metrics must be a list of names, Metric objects, functions f(y_true, y_pred) or "
                f"dicts of these; got {shown(value)}"
            )
        places = [(f"metrics[{i}]", item) for i, item in enumerate(found)]
    every: list[tuple[str, Any, Any]] = []
    for place, item in places:
        if isinstance(item, Mapping):
            every += [(f"{place}[{key!r}]", key, metric) for key, metric in item.items()]
        else:
            every.append((place, None, item))
    for place, _, metric in every:
        is_class = isinstance(metric, type)
        if is_class or not (isinstance(metric, str) or callable(metric)):
            remedy = "; pass an object" if is_class and issubclass(metric, base) else ""
            raise TypeError(
                f"{place} must be a name, a Metric or a function f(y_true, y_pred); got "
                f"{shown(metric)}{remedy}"
            )
    return every


def refuse_metric(
    name: str, suitable: Sequence[str], loss_name: str, instead: Sequence[str]
) -> NoReturn:
    """Raise the error for a metric that does not suit the loss of a network."""
    remedy = f"use {either(instead)}" if instead else "pass a function f(y_true, y_pred)"
    raise ValueError(
        f"metric {name!r} needs loss {either(suitable)} but this network has {loss_name!r}; "
        f"{remedy}"
    )


def computes(place: str, metric: Metric, base: type[Metric]) -> None:
    """Check that a user's subclass of Metric overrides a method that computes the metric."""
    kind = type(metric)
    if kind.value is base.value and kind.__call__ is base.__call__:
        raise TypeError(
            f"{place} is {shown(metric)}, whose class {kind.__name__} has no method value; define "
            "value(self, t, y, w), which returns a number"
        )


def function_name(place: str, function: Any) -> str:
    """Return the name of a function; lambdas are refused, since they have none."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ValueError(
            f"{place} is {shown(function)}, which has no name; use def, or pass a dict "
            '{"name": function}'
        )
    return name


def log_name(place: str, name: Any, taken: Container[str]) -> str:
    """Return the name of a metric in the logs, which must not be taken."""
    if not isinstance(name, str):
        raise TypeError(f"{place}: the name of a metric must be a str; got {shown(name)}")
    remedy = 'pass {"another name": metric}'
    if name in ("", "loss", "epoch", "learning_rate") or name.startswith("val_"):
        raise ValueError(
            f"{place} has the name {name!r}, but the names 'loss', 'epoch' and 'learning_rate' are "
            f"reserved in logs, and 'val_...' are values of validation data; {remedy}"
        )
    if name in taken:
        raise ValueError(
            f"{place} is the second metric with the name {name!r}; leave it out or {remedy}"
        )
    return text(name)


def weights_parameter(name: str, function: Callable[..., Any]) -> str:
    """Return whether a function's parameter sample_weight is "absent", "optional" or "required"."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return "absent"
    parameter = signature.parameters.get("sample_weight")
    try:
        signature.bind(None, None, **({} if parameter is None else {"sample_weight": None}))
    except TypeError as error:
        raise TypeError(
            f"metric {name!r} is called as f(y_true, y_pred) or f(y_true, y_pred, sample_weight=w) "
            f"but its signature is {shown(signature)}: {error}; change it, or wrap it in a def"
        ) from error
    if parameter is None:
        return "absent"
    return "required" if parameter.default is parameter.empty else "optional"


def metric_value(name: str, value: Any) -> float:
    """Return the result of a user's function as a float."""
    try:
        if isinstance(value, str | bytes | bytearray) or np.ndim(value) > 0:
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"metric {name!r} must return a number; it returned {shown(value)} "
            f"({type(value).__name__})"
        ) from error
