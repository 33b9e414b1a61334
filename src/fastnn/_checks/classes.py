"""Checks of classes: the names of a network's labels, and targets given as such labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn import _conversion
from fastnn._checks.arrays import no_masked_values
from fastnn._checks.targets import class_weight
from fastnn._checks.values import (
    counted,
    did_you_mean,
    items,
    not_a_set,
    number,
    quoted,
    reading,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn.losses import Loss

Label: TypeAlias = str | int | float | bool
Classes: TypeAlias = tuple[Label, ...]


def classes(value: Any, loss: Loss, n_out: int, name: str = "classes") -> Classes | None:
    """Return the classes of a network, one for each label 0, 1, ..., or None."""
    if value is None:
        return None
    not_a_set(name, value)
    found = items(value.tolist() if isinstance(value, np.ndarray) else value)
    if found is None:
        raise TypeError(f"{name} must be a tuple of labels, or None; got {shown(value)}")
    n = _number_of_classes(loss, n_out, f"{name}={shown(value)}")
    labels = [_label(f"{name}[{i}]", label) for i, label in enumerate(found)]
    if len({isinstance(label, str) for label in labels}) > 1:
        raise TypeError(f"{name} must be all text or all numbers; got {shown(value)}")
    if len(labels) != n:
        raise ValueError(f"{name} must have {n} labels, one for each class; got {shown(value)}")
    if len(set(labels)) < n:
        twice = next(label for i, label in enumerate(labels) if label in labels[:i])
        raise ValueError(f"{name} has {twice!r} twice; give each class a label of its own")
    return tuple(labels)


def _label(place: str, value: Any) -> Label:
    """Return a label: text, or a finite number."""
    label: Any = value.item() if isinstance(value, np.generic) else value
    if isinstance(label, str):
        return str(label)
    if isinstance(label, int | float) and math.isfinite(label):
        return label
    raise TypeError(f"{place} must be text or a number; got {shown(value)}")


def _number_of_classes(loss: Loss, n_out: int, given: str) -> int:
    """Return the number of classes of a network; the network must be a classifier."""
    n = loss.n_classes(n_out)
    if n is None:
        raise ValueError(
            f"{given}, but this network has loss {loss.name!r} and {counted(n_out, 'output')}; "
            "labels need loss 'cross_entropy', or 'binary_cross_entropy' with one output"
        )
    return n


# ---- targets ------------------------------------------------------------------------------------


def _are_labels(value: Any) -> bool:
    """Whether targets are text or categories, so that the network needs classes."""
    return _conversion.categories(value) is not None or _conversion.is_text(value)


def classes_of(name: str, value: Any, loss: Loss, n_out: int) -> Classes | None:
    """Return the classes found in targets: categories in their order, or text sorted.

    None if the targets are numbers or the network is not a classifier.
    """
    n = loss.n_classes(n_out)
    if n is None or not _are_labels(value):
        return None
    found = _labels(name, value)
    present = set(found)
    number = next((label for label in found if not isinstance(label, str)), None)
    if number is not None and any(isinstance(label, str) for label in present):
        raise TypeError(
            f"{name} holds text and numbers, such as {name}[{found.index(number)}], which is "
            f"{number!r}; make all labels text, such as {name}.astype(str)"
        )
    order = _conversion.categories(value) or sorted(present)
    if len(order) != n:
        order = [label for label in order if label in present]
    if len(order) < n:
        raise ValueError(
            f"{name} has {len(order)} classes, {shown(tuple(order))}, but the network has outputs "
            f"for {n}; set net.classes to all {n} labels first, or build the network "
            "with fewer outputs"
        )
    if len(order) > n:
        last = f"end the layers with Dense({len(order)}, 'softmax')"
        loss_too = "" if loss.takes.are_classes else " and use loss='cross_entropy'"
        raise ValueError(
            f"{name} has {len(order)} classes, {shown(tuple(order))}, but the network has outputs "
            f"for {n}; {last}{loss_too}"
        )
    return classes(order, loss, n_out, f"{name}'s classes")


def as_numbers(name: str, value: Any, loss: Loss, n_out: int, known: Classes | None) -> Any:
    """Return labels as the numbers of their classes (n,); return other targets unchanged.

    With `known` classes, all one-dimensional targets are labels.
    """
    if known is None:
        if loss.n_classes(n_out) is None:
            if loss.targets == "probability":
                _no_labels(name, value, loss, n_out)
            return value
        if not _are_labels(value):
            return value
        raise ValueError(
            f"{name} holds labels such as {_labels(name, value)[0]!r}, but the network has no "
            "classes yet; set net.classes to all labels, or fit arrays X and y first"
        )
    with reading(name):
        if not _are_labels(value) and np.ndim(value) != 1:
            return value  # probabilities, (n, n_classes) or (n, 1)
    found, numbers = _labels(name, value), {label: i for i, label in enumerate(known)}
    try:
        return np.fromiter(map(numbers.__getitem__, found), np.int64, len(found))
    except KeyError as error:
        wrong: Any = error.args[0]
        near = did_you_mean(str(wrong), [k for k in known if isinstance(k, str)])
        raise ValueError(
            f"{name}[{found.index(wrong)}] is {wrong!r}, which is not among the network's classes "
            f"{_listed(known)}{near}"
        ) from None


def _no_labels(name: str, value: Any, loss: Loss, n_out: int) -> None:
    """Check that the targets of several sigmoid outputs are neither labels nor lists of labels."""
    are_labels = _are_labels(value)
    if are_labels and np.ndim(value) == 1:
        _number_of_classes(loss, n_out, f"{name} holds labels")
    is_frame = _conversion.column_labels(value) is not None  # its columns of text are named later
    if not is_frame and (are_labels or _are_lists_of_labels(value)):
        raise TypeError(
            f"{name} holds labels, but each of the {n_out} outputs takes 0 or 1; pass an array of "
            f"shape (n, {n_out}), as scikit-learn's MultiLabelBinarizer makes it from lists of "
            "labels"
        )


def _are_lists_of_labels(value: Any) -> bool:
    """Whether rows are sets, or lists of text; the first row that is not empty decides."""
    is_column = getattr(getattr(value, "dtype", None), "kind", None) == "O"  # of a data frame
    for row in np.asarray(value) if is_column else value if isinstance(value, list | tuple) else ():
        labels = row.tolist() if isinstance(row, np.ndarray) else row
        if isinstance(labels, set | frozenset) or not isinstance(labels, list | tuple):
            return isinstance(labels, set | frozenset)
        if labels:
            return isinstance(labels[0], str)
    return False


def _labels(name: str, value: Any) -> list[Any]:
    """Return labels (n,) or (n, 1) as a list; none may be missing."""
    no_masked_values(name, value)
    with reading(name):
        array = np.asarray(_conversion.decoded(value))
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name} holds labels of shape {array.shape}; pass one label per row, of shape "
            f"({len(array) if array.ndim else 1},)"
        )
    found: list[Any] = array.tolist()
    if not found:
        raise ValueError(f"{name} has 0 rows; pass a label for each row of X")
    for i, label in enumerate(found):
        if not isinstance(label, str | int | float | bool) or label != label:
            remedy = "give every row a label, or drop the row"
            if isinstance(label, bytes):
                remedy = f"decode the bytes, as by {shown(label)}.decode()"
            raise ValueError(f"{name}[{i}] is {shown(label)}, which is not a label; {remedy}")
    return found


def _listed(known: Classes) -> str:
    """Return the classes as text for a message, at most the first ten."""
    return quoted(known[:10]) + (f" and {len(known) - 10} more" if known[10:] else "")


def weights_by_number(
    value: object, loss: Loss, n_out: int, known: Classes | None
) -> dict[int, float] | str | None:
    """Return {number: weight}, "balanced" or None; labels are looked up in `known`."""
    if known is None or value is None or isinstance(value, str):
        return class_weight(value, loss, n_out)
    numbers = {label: i for i, label in enumerate(known)}
    weights: Mapping[Any, Any] = _mapping(value)
    for label, weight in weights.items():
        number(f"class_weight[{label!r}]", weight, low=0.0)
        if label not in numbers:
            raise ValueError(
                f"class_weight has the label {label!r}, which is not among the network's classes "
                f"{_listed(known)}"
            )
    return class_weight({numbers[k]: w for k, w in weights.items()}, loss, n_out)


def _mapping(value: Any) -> Any:
    """Return a value that has items; otherwise raise the error of `class_weight`."""
    if hasattr(value, "items"):
        return value
    return class_weight(value, None, 0)  # type: ignore[arg-type]  # raises before it uses the loss


def kept_labels(labels: NDArray[Any] | None, loss: Loss, n_out: int) -> NDArray[Any] | None:
    """Return the labels (n,) of an estimator as the classes of its network.

    None if the network does not have n classes, or does not keep such labels.
    """
    if labels is None or loss.n_classes(n_out) != len(labels):
        return None
    return labels if _label_not_kept(labels) is None else None


def _label_not_kept(labels: NDArray[Any]) -> object | None:
    """Return the first label (n,) of a type that networks and model files do not keep, or None.

    They keep text, numbers and booleans. `tolist` would make integers of times in nanoseconds.
    """
    found = labels if labels.dtype.kind in "mM" else labels.tolist()
    return next((each for each in found if not isinstance(each, str | bool | int | float)), None)


def labels_for_file(name: str, labels: NDArray[Any]) -> None:
    """Check that the labels of classes are of types that a model file keeps."""
    label = _label_not_kept(labels)
    if label is not None:
        raise TypeError(
            f"{name} has the class {label!r} ({type(label).__name__}), but classes must be text, "
            f"numbers or booleans; pass {name}.astype(str)"
        )


def no_missing_labels(name: str, labels: NDArray[Any]) -> None:
    """Check that no label (n,) is missing: None, NaN, or pandas' NA, which has no order."""
    for i, label in enumerate(labels.tolist() if labels.dtype == object else ()):
        if _conversion.is_missing(label):
            raise ValueError(
                f"{name}[{i}] is {label}, which is not a label; label every row, or drop this one"
            )


def classifies(loss: Loss, n_out: int) -> None:
    """Check that a network's outputs stand for classes or labels."""
    if loss.targets not in ("class", "probability"):
        raise ValueError(
            f"predict_classes is for classifiers, but this network has loss {loss.name!r} and "
            f"{counted(n_out, 'output')}; use predict"
        )
