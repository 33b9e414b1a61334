"""Checks of plain data and of the contents of model files."""

from __future__ import annotations

import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.values import counted, items, not_a_set, shown, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


# ---- plain data ---------------------------------------------------------------------------------


def json_object(name: str, text: object) -> dict[str, Any]:
    """Return the dict that a JSON text holds."""
    if not isinstance(text, str | bytes):
        raise TypeError(f"{name} must be JSON text; got {shown(text)}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}; pass what to_json returned") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a JSON object; it is {shown(found)}")
    return found


# Limits on the data written as JSON, so that every parser can read it.
_MOST_LEVELS = 100
_MOST_BITS = 4096


def json_of(name: str, value: object) -> str:
    """Return a dict as JSON text; only tuples and numpy scalars read back as other types."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict; got {shown(value)}")
    plain = _plain(name, name, value)
    return json.dumps(plain, allow_nan=False, separators=(",", ":"))


def _plain(name: str, place: str, value: Any, level: int = 0) -> Any:
    """Convert the data at `place` within `name` to the types that JSON has."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict | list | tuple):
        if level == _MOST_LEVELS:
            raise ValueError(
                f"{name} cannot be written as JSON: it is nested more than {_MOST_LEVELS} levels "
                "deep, or contains itself; flatten it"
            )
        if not isinstance(value, dict):
            return [_plain(name, f"{place}[{i}]", v, level + 1) for i, v in enumerate(value)]
        for key in value:
            if not isinstance(key, str):
                raise ValueError(
                    f"{name} cannot be written as JSON: {place} has the key {shown(key)}, and keys "
                    f"must be text; use {shown(str(key))}"
                )
        return {k: _plain(name, f"{place}[{shown(k)}]", v, level + 1) for k, v in value.items()}
    is_number = isinstance(value, int) and value.bit_length() <= _MOST_BITS
    if value is None or isinstance(value, str) or is_number:
        return value if value is None or is_number else text(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError(
        f"{name} cannot be written as JSON: {place} is {shown(value)}; keep text, finite numbers "
        f"(integers of up to {_MOST_BITS} bits), True, False, None, and lists and dicts of these"
    )


def feature_names(value: object, n_in: int) -> tuple[str, ...] | None:
    """Return the names of all columns as a tuple, or None."""
    if value is None:
        return None
    not_a_set("feature_names", value)
    names = items(value.tolist() if isinstance(value, np.ndarray) else value)
    if names is None:
        raise TypeError(
            f"feature_names must be a list of {n_in} names, or None; got {shown(value)}"
        )
    if len(names) != n_in or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"feature_names must be {counted(n_in, 'name')}, one for each input; got {shown(names)}"
        )
    return tuple(map(text, names))


def fields(
    place: str,
    value: object,
    known: Iterable[str] | None = None,
    needed: Iterable[str] | None = None,
    origin: str | None = None,
) -> dict[str, Any]:
    """Return a copy of a dict; it must have all needed keys (default: all known) and no unknown.

    `origin` is the name of the method that returns such dicts, if there is one.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{place} must be a dict; got {shown(value)}")
    known = None if known is None else tuple(known)
    for name in (known if needed is None else needed) or ():
        if name not in value:
            if origin is not None:
                raise ValueError(f"{place} has no {name!r}; pass what {origin} returned")
            raise ValueError(f"{place} is missing {name!r}; add it")
    for name in value:
        if known is not None and name not in known:
            listed = ", ".join(map(repr, known))
            raise ValueError(f"{place} has {name!r}, which is not one of {listed}; leave it out")
    return dict(value)


def plain_number(place: str, value: object) -> float:
    """Return a number of any size as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{place} must be a number; got {shown(value)}")
    return float(value)


def plain_list(place: str, value: object) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{place} must be a list; got {shown(value)}")
    return list(value)


def labels_of_file(name: str, value: object) -> list[Any] | None:
    """Return the labels of classes that a file keeps, or None."""
    if value is None:
        return None
    found = plain_list(name, value)
    for i, label in enumerate(found):
        if not isinstance(label, str | int | float):
            raise TypeError(f"{name}[{i}] must be text or a number; got {shown(label)}")
    if len({isinstance(label, str) for label in found}) > 1:
        raise TypeError(f"{name} must be all text or all numbers; got {shown(found)}")
    return found


# ---- model files --------------------------------------------------------------------------------


#: What to do if the weights of a network, or the optimizer's moments, are not finite.
_FOR_WEIGHTS = (
    "set finite weights with set_weights, or load a file of the network that was saved earlier"
)
_FOR_MOMENTS = (
    "a gradient, or its square, was too large for the optimizer, which no longer trains these "
    "weights well: copy the weights to a new network, by new.set_weights(net.get_weights()), and "
    "scale X and y or clip the gradients (such as clipnorm=1.0)"
)


class NotFiniteError(ValueError, FloatingPointError):
    """Weights or moments of a network are not finite, as after a training that diverged."""


def finite_network(
    arrays: Mapping[str, NDArray[Any]], verb: str, network: str = "the network"
) -> None:
    """Check that a network's arrays, by their names in a file, are finite.

    `verb` says what cannot be done with the network otherwise, such as "saved"; `network` is its
    name in the message.
    """
    for name, array in arrays.items():
        is_finite = np.isfinite(array)
        if not is_finite.all():
            remedy = _FOR_MOMENTS if name.startswith("optimizer.") else _FOR_WEIGHTS
            raise NotFiniteError(
                f"{name} of {network} holds {array[~is_finite][0]}, so it cannot be {verb}; "
                f"{remedy}"
            )


def tensors(
    found: Mapping[str, NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
    dtype: np.dtype[Any],
) -> None:
    """Check the shapes and the dtype of the tensors of a model file."""
    for name, tensor in found.items():
        if tensor.shape != shapes[name] or tensor.dtype != dtype:
            raise ValueError(
                f"tensor {name!r} is {tensor.dtype} {tensor.shape}, but the layers need {dtype} "
                f"{shapes[name]}"
            )


def standardization(mean: NDArray[Any], scale: NDArray[Any], n_in: int) -> None:
    """Check the means and scales read from a model file."""
    for name, array in (("mean", mean), ("scale", scale)):
        if array.shape != (n_in,) or array.dtype != np.float64:
            raise ValueError(
                f"tensor 'standardize.{name}' is {array.dtype} {array.shape}, but the layer needs "
                f"float64 {(n_in,)}"
            )
    if scale.min() <= 0:
        raise ValueError("tensor 'standardize.scale' must be above 0 everywhere")


def nothing_left(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Check that every tensor of a model file has been used."""
    if tensors:
        listed = ", ".join(map(repr, list(tensors)[:3]))
        raise ValueError(f"tensors {listed} do not belong to any part of the configuration")


def same_config(path: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Check that a checkpoint is of the same network; the learning rate may differ."""
    for config in (theirs, ours):
        config["optimizer"].pop("learning_rate")
        for name in ("seed", "n_threads"):
            config.pop(name)
    for name, value in ours.items():
        if theirs[name] != value:
            place, its_value, wanted = _difference(name, theirs[name], value)
            raise ValueError(
                f"resume={path!r} is of another network: its {place} is {shown(its_value)}, "
                f"not {shown(wanted)}; build the same network, or remove the file to start over"
            )


def _difference(place: str, theirs: Any, ours: Any) -> tuple[str, Any, Any]:
    """Return the place of the first difference between plain data, and the two values there."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in ours:
            if name in theirs and theirs[name] != ours[name]:
                return _difference(f"{place}.{name}", theirs[name], ours[name])
    elif isinstance(theirs, list | tuple) and isinstance(ours, list | tuple):
        if len(theirs) != len(ours):
            return f"number of {place}", len(theirs), len(ours)
        for i, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            if one != other:
                return _difference(f"{place}[{i}]", one, other)
    return place, theirs, ours


#: Options of a fit that must equal those stored in the checkpoint it continues from.
FIT_OPTIONS = ("samples", "batch_size", "shuffle", "classes")

#: Options that checkpoints of older versions lack, with what to do if they differ.
ADDED_FIT_OPTIONS = {
    "validation_split": "pass the same split as before",
    "logs": "pass the same metrics, and data for validation as before",
    "weights": "pass sample_weight and class_weight as before",
}


def same_names(path: str, theirs: tuple[str, ...] | None, ours: tuple[str, ...] | None) -> None:
    """Check that the columns of a checkpoint's rows have the names of ours, if both have names."""
    if None not in (theirs, ours) and theirs != ours:
        place, its_name, wanted = _difference("columns", theirs, ours)
        raise ValueError(
            f"resume={path!r} was saved by a fit of other columns: its {place} is "
            f"{shown(its_name)}, not {shown(wanted)}; fit the same columns in the same order, or "
            "remove the file to start over"
        )


def same_fit(path: str, theirs: dict[str, Any] | None, ours: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a fit stored in a checkpoint; the options of both fits must agree."""
    if theirs is None:
        raise ValueError(
            f"resume={path!r} was saved outside of fit, so there is no fit to continue; use "
            "fastnn.load and fit"
        )
    for name in FIT_OPTIONS:
        if theirs[name] != ours[name]:
            raise ValueError(
                f"resume={path!r} was saved by a fit with {name}={shown(theirs[name])}, not "
                f"{shown(ours[name])}; fit the same rows in the same batches, or remove the file "
                "to start over"
            )
    for name, remedy in ADDED_FIT_OPTIONS.items():
        if name in theirs and theirs[name] != ours[name]:
            raise ValueError(
                f"resume={path!r} was saved by a fit with {name}={shown(theirs[name])}, not "
                f"{shown(ours[name])}; {remedy}, or remove the file to start over"
            )
    if len(theirs["callbacks"]) != len(ours["callbacks"]):
        raise ValueError(
            f"resume={path!r} was saved by a fit with "
            f"{counted(len(theirs['callbacks']) - 1, 'callback')}, not "
            f"{len(ours['callbacks']) - 1}; pass the same callbacks, or remove the file to start "
            "over"
        )
    return theirs


def same_rate(path: str, began: Any, wanted: Any, current: Any) -> None:
    """Warn if a fit has another learning rate than the one that it continues.

    That fit began with the rate `began`; the checkpoint has the rate `current`, which a callback
    may have set.
    """
    if wanted not in (began, current):
        warnings.warn(
            f"resume={path!r} was saved by a fit with learning_rate={shown(began)}, not "
            f"{shown(wanted)}; the fit continues with {shown(current)}; for another rate, set "
            f"learning_rate of fastnn.load({path!r}) and fit it, or remove the file to start over",
            stacklevel=5,  # the caller of fit, which is decorated
        )
