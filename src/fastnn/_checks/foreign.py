"""Checks of networks from other libraries: whether an MLP can express them.

`place` is the name of an operation of such a network in messages: "node 'relu_1' (Relu)".
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from fastnn._checks.paths import file_path
from fastnn._checks.tables import is_recipe
from fastnn._checks.values import shown, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

Kind = TypeVar("Kind")


def package(name: str, purpose: str, pip: str | None = None) -> ModuleType:
    """Import an optional package that `purpose` needs; `pip` is its name on PyPI if it differs."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pip = pip or name.partition(".")[0]
        raise ImportError(f"{purpose} needs {pip}; install it with pip install {pip}") from error


def expressible(place: str, possible: object, problem: str, remedy: str) -> None:
    """Check that an MLP can express an operation of another library's network."""
    if not possible:
        inexpressible(place, problem, remedy)


def inexpressible(place: str, problem: str, remedy: str) -> NoReturn:
    """Raise the error for an operation that an MLP cannot express."""
    raise ValueError(f"{place} {problem}; {remedy}")


def several_classes(name: str, labels: NDArray[Any] | None) -> None:
    """Check that the labels (n,) of an estimator, if it has any, are several."""
    if labels is not None and len(labels) == 1:
        inexpressible(
            name,
            f"has the single class {labels.tolist()[0]!r}, but a network has two or more",
            "fit it to rows of several classes, or name them: partial_fit(X, y, classes=...)",
        )


def built(place: str, kind: Callable[..., Kind], *arguments: Any) -> Kind:
    """Return a specification built from another library's numbers; errors name the place."""
    try:
        return kind(*arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None


def finite(place: str, *arrays: NDArray[Any] | None) -> None:
    """Check that another library's numbers are finite; quotients by 0 are not."""
    for array in arrays:
        if array is not None and not (abs(array) < float("inf")).all():
            raise ValueError(
                f"{place} has numbers that are not finite, or divides by 0; train it again"
            )


def labels(classes: tuple[Any, ...] | None, n: int) -> NDArray[Any]:
    """Return the labels of n classes as an array: `classes`, or 0, 1, ... if that is None."""
    if classes is None:
        return np.arange(n)
    found = np.array(classes)
    if found.dtype.kind == "f" and (found != np.floor(found)).any():
        raise ValueError(
            f"net.classes must be text or whole numbers, as scikit-learn requires; they are "
            f"{shown(classes)}: set net.classes to other labels"
        )
    if not (found[:-1] < found[1:]).all():
        raise ValueError(
            f"net.classes must be sorted, as scikit-learn requires; they are {shown(classes)}: "
            "sort the categories, or pass labels to fit as text"
        )
    return found


def one_of_these(name: str, value: object, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Check that an object is an instance of one of these classes."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name} must be {wanted}; got {shown(value)} ({type(value).__name__})")


def one_network(name: str, est: object) -> None:
    """Check that an estimator is not one of several networks."""
    if hasattr(est, "_averaged"):
        raise TypeError(
            f"{name} is a {type(est).__name__}, which has several networks; pass one of them, such "
            "as its fits_[0]"
        )


def fitted(name: str, est: object, attribute: str) -> None:
    """Check that an estimator has an attribute that is set by fitting."""
    if not hasattr(est, attribute):
        raise ValueError(f"{name} is not fitted; call fit first")


def one_tensor(what: str, names: Sequence[str]) -> None:
    """Check that a graph has exactly one input tensor, or one output tensor."""
    if len(names) != 1:
        raise ValueError(
            f"the graph has {len(names)} {what}{': ' if names else ''}{', '.join(names)}; extract "
            "the part between two tensors with onnx.utils.extract_model"
        )


def tensor_names(input_name: object, output_name: object) -> tuple[str, str]:
    """Return the names of a graph's input and output."""
    names = []
    for name, value in (("input_name", input_name), ("output_name", output_name)):
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str; got {shown(value)}")
        if not value:
            raise ValueError(f"{name} must not be empty; give the tensor a name")
        if not value.isascii() and value.encode(errors="replace").decode() != value:
            raise ValueError(f"{name} must be text that UTF-8 can hold; got {value!a}")
        names.append(text(value))
    first, second = names
    if first == second:
        raise ValueError(f"input_name and output_name are both {first!r}; give two names")
    return first, second


def of_one_precision(policy: str, dtype: str) -> None:
    """Check that a network rounds no operands, so that another library can compute the same."""
    if policy != dtype:
        raise ValueError(
            f"a network of dtype {policy!r} cannot be exported, since other libraries would "
            f"round differently; export net.copy(dtype={dtype!r}), which has the same weights"
        )


def fits_in_onnx(n_bytes: int, limit: int) -> None:
    """Check that weights of this size fit in an ONNX file."""
    if n_bytes > limit:
        raise ValueError(
            f"the weights take {n_bytes} bytes but an ONNX file holds at most {limit}; use "
            "net.save, or export net.copy(dtype='float32') of a float64 network"
        )


def is_read_back(only_written: object) -> None:
    """Check that a model that fastnn wrote has none of the operators that it only writes."""
    if only_written:
        raise ValueError(
            "the model has embeddings or an Ensemble, or is the mean of several networks, and "
            "from_onnx cannot read these from an ONNX model; load the file that save wrote: "
            "fastnn.load(path)"
        )


def onnx_model(name: str, value: object, kind: type) -> str | None:
    """Return a model's path, or None for a model in memory: bytes, or an instance of `kind`."""
    if isinstance(value, (bytes, bytearray, memoryview, kind)):
        return None
    if not isinstance(value, str | os.PathLike):
        raise TypeError(
            f"{name} must be a path, bytes or an onnx.ModelProto; got {shown(value)} "
            f"({type(value).__name__})"
        )
    return file_path(name, value)


def tensors_of_columns(names: Sequence[str], input_name: str, output_name: str) -> None:
    """Check that the columns of a table can be the inputs of a graph, by their names."""
    if input_name != "input":
        raise ValueError(
            f"input_name={input_name!r} names the input for encoded columns, but the model has an "
            "input for each column; leave input_name out, or pass inputs='encoded'"
        )
    if output_name in names:
        raise ValueError(
            f"a column is named {output_name!r}, like the model's output; pass another output_name"
        )
    for name in names:
        if not name or name.encode(errors="replace").decode() != name:
            raise ValueError(
                f"an input of an ONNX model cannot have the name of column {name!a}; rename it in "
                "the training table, or pass inputs='encoded'"
            )


def encoded_alike(name: str, plain: Sequence[object]) -> None:
    """Check that networks have a recipe for tables, and the same one; `plain` is that of each."""
    if not any(map(is_recipe, plain)):
        raise ValueError(
            f"inputs='columns' needs networks with a recipe for tables, but {name} has none; leave "
            "inputs out, or attach the recipe: recipe.attach(net)"
        )
    for number, each in enumerate(plain):
        if each != plain[0]:
            raise ValueError(
                f"{name}[{number}] encodes columns differently from {name}[0], or not at all, so "
                "one model cannot take columns for both; pass inputs='encoded'"
            )


def not_of_groups(name: str, has_groups: bool) -> None:
    """Check that the networks all predict the same rows, not one group each."""
    if has_groups:
        raise ValueError(
            f"{name} has a network for each group of rows, and their mean is the prediction of no "
            f"group; write one network: {name}[i]"
        )


def alike(name: str, described: Mapping[int, Mapping[str, object]]) -> None:
    """Check that there is a network, and that all networks have the same attributes.

    `described` has the attributes of each network by its number.
    """
    if not described:
        raise ValueError(f"{name} has no networks; pass one or more")
    first = next(iter(described))
    for number, attributes in described.items():
        for attribute, value in attributes.items():
            if value != described[first][attribute]:
                raise ValueError(
                    f"{name}[{number}] differs from {name}[{first}] in its {attribute}; networks "
                    "that are written together may differ only in their weights"
                )


def one_to_train(name: str, n: int) -> None:
    """Check that a training step is written for one network only."""
    if n > 1:
        raise ValueError(f"{name} is for one network, but there are {n}; write one: net[i]")


def same_recipes(place: str, are_same: bool) -> None:
    """Check that networks that are written together encode tables alike."""
    if not are_same:
        raise ValueError(
            f"{place}: the networks' recipes encode tables differently; train the networks with "
            "the same recipe, or write one network"
        )


def same_constants(place: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Check that networks that are written together standardize their inputs alike."""
    if any(not np.array_equal(ours[name], theirs[name]) for name in ours):
        raise ValueError(
            f"{place}: the networks' Standardize layers have seen different rows; adapt them to "
            "the same rows, or write one network"
        )
