"""Networks as files: configuration, weights, optimizer and random state, and checkpoints of a fit.

A file is a safetensors file (safetensors.py), so other programs read the weights:

    layers.0.W, layers.0.b, ...       parameters, numbered over the layers that have them
    optimizer.0.layers.0.W, ...       the optimizer's moments, the first, the second, ...
    average.layers.0.W, ...           the moving average of the weights, if one is kept
    standardize.mean, .scale          mean and scale of a Standardize layer that has seen data
    callbacks.0.best_weights.0, ...   arrays that callbacks keep, in a checkpoint

Its metadata hold JSON: "config" (the result of `MLP.get_config`), "state" (counts, random state,
names of columns), "metadata" (`MLP.metadata`) and, in a checkpoint, "fit" (the progress of the fit,
its history and callbacks). The file has no code and no names of classes; names in it are looked up
in the lists of specifications.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _files
from fastnn.exchange import configuration, safetensors
from fastnn.exchange.safetensors import ModelFileError
from fastnn.losses import CustomLoss
from fastnn.schedules import Adaptive, Schedule
from fastnn.training.specification import Specification
from fastnn.training.state import Snapshot, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastnn.training.binding import Adapted
    from fastnn.training.state import Resumable

    Path = str | os.PathLike[str]
    Tensors = dict[str, NDArray[Any]]
    Contents = tuple[State, Snapshot, dict[str, Any], dict[str, Any] | None]

FORMAT = "fastnn 1"
FORMAT_OF_MANY = "fastnn many 1"  # files of many networks: many/files.py

#: Errors that malformed contents of a file can raise.
MALFORMED = (ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError)


def has_many(path: Path) -> bool:
    """Return whether a file holds many networks, judged by its beginning."""
    path = os.fspath(path)
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return f'"format":"{FORMAT_OF_MANY}"'.encode() in file.read(512)


# ---- writing ------------------------------------------------------------------------------------


def save(state: State, path: Path) -> None:
    """Write a network, and the state of a fit in progress, to a file."""
    path = _checks.model_path("path", path)
    _checks.not_read("path", path, state.inputs)
    _checks.no_checkpoint("path", path)
    snapshot = state.snapshot()
    tensors: Tensors = {}
    for prefix, block in zip(_prefixes(state), snapshot.blocks, strict=True):
        names = [prefix + name for name in state.specification.shapes]
        tensors |= zip(names, block, strict=True)
    if snapshot.standardization is not None:
        tensors["standardize.mean"], tensors["standardize.scale"] = snapshot.standardization
    _checks.finite_network(tensors, "saved")
    metadata = {
        "format": FORMAT,
        "config": _json(configuration.config_of(state.specification)),
        "state": _json(plain_state(snapshot)),
        "metadata": _checks.json_of("net.metadata", state.metadata),
    }
    fit = state.fit  # read once: another thread's fit may end
    if fit is not None:
        metadata["fit"] = _checks.json_of("get_state", _plain_fit(fit, tensors))
        state.require_untrained_since(snapshot)
    _try_to_read(metadata, tensors)
    safetensors.write(path, tensors, metadata)


def _try_to_read(metadata: dict[str, str], tensors: Tensors) -> None:
    """Raise any error that `load` would raise for a file with this metadata, before writing it.

    Such an error can come from the states of users' callbacks. Arrays are not checked here: they
    are those of the network, or are checked when they are written.
    """
    try:
        spec = Specification.checked(
            **configuration.arguments_of(strict_object(metadata["config"], "config"))
        )
        snapshot_from(strict_object(metadata["state"], "state"), spec, None, [])
        if "fit" in metadata:
            _fit_from(strict_object(metadata["fit"], "fit"), dict(tensors))
    except KeyError as error:
        raise ValueError(f"the network could not be loaded again: {error} is missing") from error


# ---- plain data ---------------------------------------------------------------------------------


def to_plain(state: State) -> dict[str, Any] | None:
    """Return a network as plain data and arrays, or None if its configuration cannot be plain.

    An equal network can be made from the result, which contains no class of fastnn.
    """
    snapshot, config = state.snapshot(), configuration.config_of(state.specification)
    try:
        twin = _specification_of(config)
    except (TypeError, ValueError):
        return None
    for field in configuration.FIELDS.values():
        if getattr(twin, field) != getattr(state.specification, field):
            return None
    return {
        "config": config,
        "state": plain_state(snapshot),
        "standardization": snapshot.standardization,
        "blocks": snapshot.blocks,
        "metadata": state.metadata,
    }


def from_plain(plain: dict[str, Any]) -> State:
    """Return the network from the result of `to_plain`."""
    spec = _specification_of(plain["config"])
    state = State(spec)
    standardization, blocks = plain["standardization"], plain["blocks"]
    state.take(snapshot_from(plain["state"], spec, standardization, blocks))
    state.metadata = copy.deepcopy(plain["metadata"])
    return state


def _specification_of(config: dict[str, Any]) -> Specification:
    return Specification.checked(**configuration.arguments_of(config))


# ---- reading ------------------------------------------------------------------------------------


def load(
    path: Path,
    loss: Callable[..., Any] | CustomLoss | None = None,
    n_threads: int | None = None,
) -> State:
    """Return the network in a file; `loss` is the function of a CustomLoss, not kept in files.

    `n_threads` replaces the number of threads in the file, unless it is None.
    """
    state, snapshot, metadata, _ = _read(_checks.file_path("path", path))
    spec = state.specification.with_threads(n_threads)
    if loss is not None:
        spec = with_function(spec, loss)
    if spec is not state.specification:
        state = State(spec)
    state.take(snapshot)
    state.metadata = metadata
    return state


def with_function(spec: Specification, loss: Callable[..., Any] | CustomLoss) -> Specification:
    """Return a specification from a file with the user's `loss` as the function of its loss."""
    known = _checks.loss_for_file(loss, spec.loss, CustomLoss)
    if not isinstance(loss, CustomLoss):
        loss = dataclasses.replace(known, function=loss)
    return dataclasses.replace(spec, loss=loss)


def checkpoint(state: State, fit: Resumable, path: Path | None) -> Snapshot | None:
    """Let a fit continue from the state in a checkpoint; return the snapshot of the network there.

    None without a path, or if the file does not exist yet. A ValueError is raised if the file is
    that of another network or another fit.
    """
    if path is None:
        return None
    path = _checks.file_path("resume", path)
    if not _files.exists(path):
        return None
    saved, snapshot, _, progress = _read(path)
    configs = (configuration.config_of(s.specification) for s in (saved, state))
    _checks.same_config(path, *configs)
    progress = _checks.same_fit(path, progress, _plain_fit(fit, {}))
    _checks.same_names(path, snapshot.feature_names, fit.feature_names)
    current, wanted = saved.specification.optimizer.learning_rate, fit.get_state()["learning_rate"]
    _checks.same_rate(path, progress.get("learning_rate", wanted), wanted, current)
    try:
        fit.set_state(progress)
    except Exception as error:  # of a user's callback
        raise ValueError(
            f"resume={path!r} belongs to a fit with other callbacks: {error}; pass the same ones "
            "in the same order, or remove the file to start over"
        ) from error
    return snapshot


def read(path: str) -> tuple[Tensors, dict[str, str]]:
    """Return the tensors and metadata of a file of one network or of many."""
    try:
        return safetensors.read(path)
    except ModelFileError as error:
        if _files.holds_checkpoint(path):
            raise ModelFileError(
                f"{path!r} is a checkpoint of fit_many: call fit_many with checkpoint={path!r} and "
                "the same arguments again, and save what it returns"
            ) from error
        if path.lower().endswith(".onnx"):
            raise ModelFileError(
                f"{path!r} is not a model file of fastnn; read an ONNX model with "
                f"fastnn.from_onnx({path!r})"
            ) from error
        raise


def _read(path: str) -> Contents:
    """Return the contents of a file.

    These are a network with the saved configuration, whose weights are 0; a snapshot of the saved
    network; its metadata; and the state of a fit, or None.
    """
    tensors, metadata = read(path)
    if metadata.get("format") == FORMAT_OF_MANY:
        raise ModelFileError(f"{path!r} has many networks; read it with fastnn.load_many(path)")
    try:
        return _parsed(tensors, metadata)
    except MALFORMED as error:
        raise not_readable(path, error) from error


def not_readable(path: str, error: BaseException) -> ModelFileError:
    """Return the error about a file whose contents are malformed."""
    what: object = error
    if isinstance(error, KeyError):
        what = f"{error} is missing"
    elif isinstance(error, RecursionError):  # its message depends on the version of Python
        what = "its configuration is nested too deeply"
    return ModelFileError(
        f"{path!r} is not a model of this version of fastnn: {what}; save the network again"
    )


def _parsed(tensors: Tensors, metadata: dict[str, str]) -> Contents:
    """Return the checked contents; sizes are compared before memory is allocated."""
    known = ("format", "config", "state", "metadata", "fit")
    _checks.fields("metadata", metadata, known, known[:4])
    _checks.choice("format", metadata["format"], (FORMAT,))
    arguments = configuration.arguments_of(strict_object(metadata["config"], "config"))
    spec = Specification.checked(**arguments)
    weights = _taken(tensors, spec, [""])
    state = State(spec)
    blocks = weights + _taken(tensors, spec, _prefixes(state)[1:])
    standardization = None
    if spec.standardizes and "standardize.mean" in tensors:
        standardization = tensors.pop("standardize.mean"), tensors.pop("standardize.scale")
        _checks.standardization(*standardization, spec.n_in)
    plain = strict_object(metadata["state"], "state")
    fit = _fit_from(strict_object(metadata["fit"], "fit"), tensors) if "fit" in metadata else None
    _checks.nothing_left(tensors)
    snapshot = snapshot_from(plain, spec, standardization, blocks)
    return state, snapshot, strict_object(metadata["metadata"], "metadata"), fit


def _taken(tensors: Tensors, spec: Specification, prefixes: list[str]) -> list[list[NDArray[Any]]]:
    """Remove the blocks of parameters with these prefixes from the tensors; return the blocks."""
    blocks = []
    for prefix in prefixes:
        shapes = {prefix + name: shape for name, shape in spec.shapes.items()}
        block = {name: tensors.pop(name) for name in shapes}
        _checks.tensors(block, shapes, spec.dtype)
        blocks.append(list(block.values()))
    return blocks


def _prefixes(state: State) -> list[str]:
    """Return the prefix of the tensor names of each block."""
    moments = [f"optimizer.{i}." for i in range(state.network.n_moments)]
    return ["", *moments, *(["average."] if state.specification.optimizer.use_ema else [])]


# ---- the state of a network ---------------------------------------------------------------------

#: Fields of a `Snapshot` that plain data hold.
STATE = ("step", "epoch", "dropout_seed", "shuffler", "adapted", "feature_names", "classes")


def plain_state(snapshot: Snapshot) -> dict[str, Any]:
    """Return counts, random state and names as plain data."""
    plain = {name: getattr(snapshot, name) for name in STATE}
    shuffler = snapshot.shuffler
    plain["shuffler"] = [
        *(shuffler["state"][name] for name in ("state", "inc")),
        *(shuffler[name] for name in ("has_uint32", "uinteger")),
    ]
    return plain


def snapshot_from(
    plain: dict[str, Any],
    spec: Specification,
    standardization: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    blocks: list[list[NDArray[Any]]],
) -> Snapshot:
    """Return a snapshot from plain data, which are checked, and arrays."""
    _checks.fields("state", plain, STATE)
    return Snapshot(
        optimizer=spec.optimizer,
        step=_checks.integer("step", plain["step"], low=0, high=2**62),
        epoch=_checks.integer("epoch", plain["epoch"], low=0, high=2**62),
        dropout_seed=_checks.integer("dropout_seed", plain["dropout_seed"], 0, 2**64 - 1),
        shuffler=_generator(plain["shuffler"]),
        adapted=_adapted(plain["adapted"], spec.optimizer.schedule),
        standardization=standardization,
        feature_names=_checks.feature_names(plain["feature_names"], spec.n_in),
        classes=_checks.classes(plain["classes"], spec.loss, spec.n_out),
        blocks=blocks,
    )


def _generator(numbers: object) -> dict[str, Any]:
    """Return the state of a PCG64 from its four numbers."""
    limits = (2**128, 2**128, 2, 2**32)
    pairs = zip(_checks.plain_list("shuffler", numbers), limits, strict=True)
    found = [
        _checks.integer(f"shuffler[{i}]", value, 0, limit - 1)
        for i, (value, limit) in enumerate(pairs)
    ]
    return {
        "bit_generator": "PCG64",
        "state": {"state": found[0], "inc": found[1]},
        "has_uint32": found[2],
        "uinteger": found[3],
    }


def _adapted(plain: Any, schedule: Schedule | None) -> Adapted | None:
    """Return the state of an Adaptive schedule, or None for other schedules."""
    if not isinstance(schedule, Adaptive):
        return None
    _checks.fields("adapted", plain, ("rate", "best", "wait"))
    best = plain["best"]
    return {
        "rate": _checks.number("rate", plain["rate"], low=0.0),
        "best": best if best is None else _checks.plain_number("best", best),
        "wait": _checks.integer("wait", plain["wait"], low=0),
    }


# ---- the state of a fit -------------------------------------------------------------------------


def _plain_fit(fit: Resumable, tensors: Tensors) -> dict[str, Any]:
    """Return the state of a fit as plain data; arrays of callbacks are added to the tensors."""
    state = fit.get_state()
    state["learning_rate"] = configuration.plain(state["learning_rate"])
    for i, kept in enumerate(state["callbacks"]):
        kept = state["callbacks"][i] = _checks.fields(f"get_state['callbacks'][{i}]", kept)
        for key, value in kept.items():
            if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                names = [f"callbacks.{i}.{key}.{j}" for j in range(len(value))]
                tensors |= zip(names, value, strict=True)
                kept[key] = {"arrays": len(value)}
    return state


def _fit_from(fit: dict[str, Any], tensors: Tensors) -> dict[str, Any]:
    """Return the state of a fit from plain data; its arrays are removed from the tensors."""
    needed = "epoch", "callbacks", *_checks.FIT_OPTIONS
    added = *_checks.ADDED_FIT_OPTIONS, "learning_rate"
    _checks.fields("fit", fit, (*needed, *added), needed)
    if "learning_rate" in fit:
        rate = configuration.argument_from("learning_rate", fit["learning_rate"])
        fit["learning_rate"] = _checks.learning_rate(rate, Schedule)
    fit["epoch"] = _checks.integer("fit's epoch", fit["epoch"], low=0)
    for i, kept in enumerate(_checks.plain_list("callbacks", fit["callbacks"])):
        for key, value in _checks.fields(f"callbacks[{i}]", kept).items():
            if isinstance(value, dict) and value.keys() == {"arrays"}:
                n = _checks.integer("arrays", value["arrays"], 1, len(tensors))
                kept[key] = [tensors.pop(f"callbacks.{i}.{key}.{j}") for j in range(n)]
    return fit


# ---- JSON ---------------------------------------------------------------------------------------


def _json(value: Any) -> str:
    """Return plain data as JSON; NaN and infinity are errors."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def strict_object(text: str, name: str) -> dict[str, Any]:
    """Return the dict in a JSON text from a file; raise if `save` cannot have written the text."""
    found = strict_json(text, name)
    if not isinstance(found, dict):
        raise ValueError(f"{name} is not a JSON object")
    return found


def strict_json(text: str, name: str) -> Any:
    """Return the data in a JSON text, without NaN, infinities and keys that occur twice."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{name} holds {constant}")

    def finite(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else refuse(digits)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        return found if len(found) == len(pairs) else refuse("a key twice")

    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} is not JSON ({error})") from error
