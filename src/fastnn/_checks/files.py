"""Paths, plain data, and what stands in model files."""

import json
import os
import re

import numpy as np

from fastnn._checks.values import shown


def file_path(name, value):
    """Return the path of a file as a str."""
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a str or a path; got {shown(value)}")
    if not os.path.basename(path):
        raise ValueError(f"{name} must end with the name of a file; got {path!r}")
    return path


def json_object(name, text):
    """Return the dict of a JSON text."""
    if not isinstance(text, str | bytes):
        raise TypeError(f"{name} must be JSON text; got {shown(text)}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}; pass what to_json returned") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a JSON object; it is {shown(found)}")
    return found


def json_of(name, value):
    """Return a dict as JSON text, which must say the same when it is read again."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict; got {shown(value)}")
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{name} cannot be written as JSON: {error}; keep text, finite numbers, True, False, "
            "None, and lists and dicts of these"
        ) from error
    return text


def feature_names(value, n_in):
    """Return the names of all columns as a tuple, or None."""
    if value is None:
        return None
    names = tuple(plain_list("feature_names", value))
    if len(names) != n_in or not all(isinstance(name, str) for name in names):
        raise ValueError(f"feature_names must be {n_in} names; got {shown(value)}")
    return names


def fields(place, value, known=None, needed=None):
    """Return a copy of a dict that has the needed keys (by default all known) and no unknown."""
    if not isinstance(value, dict):
        raise TypeError(f"{place} must be a dict; got {shown(value)}")
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
        raise TypeError(f"{place} must be a list; got {shown(value)}")
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
                f"resume={path!r} is of another network: its {name} is {shown(theirs[name])}, not "
                f"{shown(value)}; build the same one, or remove the file to begin anew"
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
                f"resume={path!r} is of a fit with {name}={shown(theirs[name])}, not "
                f"{shown(ours[name])}; fit the same rows in the same batches, or remove the file "
                "to begin anew"
            )
    if len(theirs["callbacks"]) != len(ours["callbacks"]):
        raise ValueError(
            f"resume={path!r} is of a fit with {len(theirs['callbacks']) - 1} callbacks, not "
            f"{len(ours['callbacks']) - 1}; pass the same ones, or remove the file to begin anew"
        )


def c_path(name, value):
    """Return the path of a C file; without an ending it gets that."""
    path = file_path(name, value)
    stem, ending = os.path.splitext(path)
    if ending not in ("", ".c"):
        raise ValueError(f"{name} must end with '.c', or with no ending; got {path!r}")
    return stem + ".c"


_KEYWORDS = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|"
    "union|unsigned|void|volatile|while"
)


def c_name(name, value, by_path):
    """Return what names in C can begin with: an identifier, of a path's if `by_path`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str; got {shown(value)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) or _KEYWORDS.fullmatch(value):
        remedy = "pass name=, or name the file so" if by_path else "such as 'digits'"
        raise ValueError(f"{name} must be an identifier of C, {remedy}; got {value!r}")
    return value
