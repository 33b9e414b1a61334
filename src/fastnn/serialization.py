"""Networks as plain data and as files: configuration, weights, optimizer and random state.

A file is a safetensors file (_safetensors.py), so other programs read the weights:

    layers.0.W, layers.0.b, ...       weights and biases, numbered over the layers that have them
    optimizer.0.layers.0.W, ...       the optimizer's moments, the first, the second, ...
    average.layers.0.W, ...           the moving average of the weights, if one is kept
    standardize.mean, .scale          of a Standardize layer that has seen data
    callbacks.0.best_weights.0, ...   arrays that callbacks keep, in a checkpoint

Its metadata hold JSON: "config" (what `MLP.get_config` returns), "state" (counts, random state,
names of columns), "metadata" (the user's own) and, in a checkpoint, "fit" (where a fit stands, and
its history and callbacks). No code and no names of classes: the names in it are those of the
specifications, looked up in their lists.
"""

import dataclasses
import itertools
import json
import math
import os
from dataclasses import dataclass

import numpy as np

from fastnn import _checks, _safetensors, activations, layers, losses, optimizers, schedules
from fastnn._safetensors import ModelFileError
from fastnn.activations import Activation

FORMAT = "fastnn 1"

# ---- configurations -----------------------------------------------------------------------------


def config_of(net):
    """Return what `MLP.get_config` does."""
    return {
        "n_in": net.n_in,
        "layers": [_plain(layer) for layer in net.layers],
        "loss": _plain(net.loss),
        "optimizer": _plain(net.optimizer),
        "reduction": net.reduction,
        "scale_penalties": net.scale_penalties,
        "dtype": net.dtype.name,
        "seed": net.seed,
        "n_threads": net._n_threads,
    }


def _plain(value):
    """Return a specification as plain data: its name, and its fields by theirs."""
    if isinstance(value, Activation):
        return value.config()
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value) if f.init]
        return {"name": value.name, **{name: _plain(getattr(value, name)) for name in fields}}
    return list(value) if isinstance(value, tuple) else value


def arguments_of(config):
    """Return the arguments of an MLP that a configuration describes."""
    names = ("n_in", "layers", "loss", "optimizer", "reduction", "scale_penalties", "dtype", "seed",
             "n_threads")  # fmt: skip
    arguments = _checks.fields("config", config, names)
    found = _checks.plain_list("config['layers']", arguments["layers"])
    arguments["layers"] = [
        _built(f"config['layers'][{i}]", layer, layers.KINDS) for i, layer in enumerate(found)
    ]
    arguments["loss"] = _built("config['loss']", arguments["loss"], losses.KINDS)
    arguments["optimizer"] = _built("config['optimizer']", arguments["optimizer"], optimizers.KINDS)
    return arguments


#: Fields that hold a specification themselves, and the kinds that it can be of.
_NESTED = {
    "learning_rate": schedules.KINDS,
    "schedule": schedules.KINDS,
}


def _built(place, plain, kinds):
    """Return the specification that plain data describe."""
    if not isinstance(plain, dict) or "name" not in plain:
        raise TypeError(f"{place} must be a dict with a 'name'; got {plain!r:.60}")
    kind = kinds[_checks.choice(f"{place}['name']", plain["name"], tuple(kinds))]
    known = [f.name for f in dataclasses.fields(kind) if f.init]
    needed = [f.name for f in dataclasses.fields(kind) if f.init and f.default is f.default_factory]
    names = known if "name" in known else ["name", *known]
    arguments = _checks.fields(place, plain, names, ["name", *needed])
    for name, nested in _NESTED.items():
        if isinstance(arguments.get(name), dict):
            arguments[name] = _built(f"{place}[{name!r}]", arguments[name], nested)
    if isinstance(arguments.get("activation"), dict):
        arguments["activation"] = _activation(f"{place}['activation']", arguments["activation"])
    if "name" not in known:
        del arguments["name"]
    return _made(place, kind, arguments)


def _activation(place, plain):
    """Return the activation that a dict describes: its name, and its parameter if it has one."""
    name = _checks.choice(f"{place}['name']", plain.get("name"), activations.NAMES)
    parameter = activations.parameter_name(name)
    known = ["name"] if parameter is None else ["name", parameter]
    return _made(place, Activation, _checks.fields(place, plain, known, ["name"]))


def _made(place, kind, arguments):
    """Return a specification made of these arguments; errors name the place in the file."""
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None


# ---- files --------------------------------------------------------------------------------------


@dataclass
class Saved:
    """A network's state, as a file has it."""

    config: dict
    optimizer: optimizers.Optimizer
    step: int
    epoch: int
    dropout_seed: int
    shuffler: dict
    adapted: dict | None
    standardization: tuple | None
    feature_names: tuple | None
    metadata: dict
    blocks: list
    fit: dict | None


def save(net, path):
    """Write a network, and the fit it is in, to a file."""
    path = _checks.file_path("path", path)
    tensors = {}
    for prefix, block in zip(_prefixes(net), range(net._network.n_blocks), strict=True):
        names = [prefix + name for name, _ in _parameters(net)]
        tensors |= zip(names, net._network.read(block), strict=True)
    if net.standardization is not None:
        tensors["standardize.mean"], tensors["standardize.scale"] = net.standardization
    metadata = {
        "format": FORMAT,
        "config": _json(config_of(net)),
        "state": _json(_state_of(net)),
        "metadata": _checks.json_of("net.metadata", net.metadata),
    }
    if net._fit is not None:
        metadata["fit"] = _json(_fit_of(net._fit, tensors))
    _safetensors.write(path, tensors, metadata)


def load(path):
    """Read a network from a file that `MLP.save` or `ModelCheckpoint` wrote.

    Nothing in a file is run. Training goes on with the same bits as that of the network saved.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    MLP

    Raises
    ------
    ModelFileError
        If it isn't such a file, or is damaged.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile, fastnn
    >>> from fastnn import MLP, Dense
    >>> net = MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(f"{folder}/net.safetensors")
    ...     twin = fastnn.load(f"{folder}/net.safetensors")
    >>> twin
    <MLP 2-3-1, squared_error, adam, float32>
    """
    from fastnn.mlp import MLP  # which saves by this module

    net = object.__new__(MLP)
    saved = _read(_checks.file_path("path", path), net)
    net._take(saved)
    net.metadata = saved.metadata
    return net


def checkpoint(net, fit, path):
    """Return what a fit is to go on from: a file's, if there is one, that suits net and fit."""
    if path is None:
        return None
    path = _checks.file_path("resume", path)
    if not os.path.exists(path):
        return None
    twin = object.__new__(type(net))
    saved = _read(path, twin)
    _checks.same_config(path, config_of(twin), config_of(net))
    _checks.same_fit(path, saved.fit, _fit_of(fit, {}))
    try:
        fit.rehearse(saved.fit)
    except Exception as error:  # a callback's own
        raise ValueError(
            f"resume={path!r} is of a fit with other callbacks: {error}; pass the same ones in the "
            "same order, or remove the file to begin anew"
        ) from error
    return saved


def _read(path, net):
    """Return the state in a file, after setting up a bare network of its configuration."""
    tensors, metadata = _safetensors.read(path)
    try:
        return _parsed(tensors, metadata, net)
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ModelFileError(
            f"{path!r} is no model of this version of fastnn: {what}; save the network anew"
        ) from error


def _parsed(tensors, metadata, net):
    """Return the state, everything in it checked; tensors are compared before memory is taken."""
    known = ("format", "config", "state", "metadata", "fit")
    _checks.fields("metadata", metadata, known, known[:4])
    _checks.choice("format", metadata["format"], (FORMAT,))
    config = _strict(metadata["config"], "config")
    arguments = arguments_of(config)
    expected = _expected(arguments)
    weights = {name: tensors.pop(name) for name in expected}
    _checks.tensors(weights, expected, arguments["dtype"])
    net._set_up(**arguments)
    names = [prefix + name for prefix in _prefixes(net)[1:] for name in expected]
    others = {name: tensors.pop(name) for name in names}
    shapes = dict(zip(names, itertools.cycle(expected.values()), strict=False))
    _checks.tensors(others, shapes, arguments["dtype"])
    arrays = [*weights.values(), *others.values()]
    blocks = [arrays[i : i + len(expected)] for i in range(0, len(arrays), len(expected))]
    standardization = None
    if net._standardizes and "standardize.mean" in tensors:
        standardization = tensors.pop("standardize.mean"), tensors.pop("standardize.scale")
        _checks.standardization(*standardization, net.n_in)
    state = _strict(metadata["state"], "state")
    known = ("step", "epoch", "dropout_seed", "shuffler", "adapted", "feature_names")
    _checks.fields("state", state, known)
    fit = _fit_from(_strict(metadata["fit"], "fit"), tensors) if "fit" in metadata else None
    _checks.nothing_left(tensors)
    return Saved(
        config=config,
        optimizer=net.optimizer,
        step=_checks.integer("step", state["step"], low=0, high=2**62),
        epoch=_checks.integer("epoch", state["epoch"], low=0, high=2**62),
        dropout_seed=_checks.integer("dropout_seed", state["dropout_seed"], 0, 2**64 - 1),
        shuffler=_generator(state["shuffler"]),
        adapted=_adapted(state["adapted"], net.optimizer.schedule),
        standardization=standardization,
        feature_names=_checks.feature_names(state["feature_names"], net.n_in),
        metadata=_strict(metadata["metadata"], "metadata"),
        blocks=blocks,
        fit=fit,
    )


def _prefixes(net):
    """Return what the names of each block's tensors begin with."""
    moments = [f"optimizer.{i}." for i in range(net._network.n_moments)]
    return ["", *moments, *(["average."] if net.optimizer.use_ema else [])]


def _parameters(net):
    """Return (name, shape) of weights and biases, in the order of `get_weights`."""
    return _expected({"layers": net.layers, "n_in": net.n_in}).items()


def _expected(arguments):
    """Return the shapes of weights and biases by name, for an MLP of these arguments."""
    found, k = {}, arguments["n_in"]
    dense = [layer for layer in arguments["layers"] if isinstance(layer, layers.Dense)]
    for i, layer in enumerate(dense):
        found[f"layers.{i}.W"] = (k, layer.units)
        if layer.use_bias:
            found[f"layers.{i}.b"] = (layer.units,)
        k = layer.units
    return found


def _state_of(net):
    state = net._shuffler.bit_generator.state
    numbers = [state["state"]["state"], state["state"]["inc"], state["has_uint32"],
               state["uinteger"]]  # fmt: skip
    return {
        "step": net.step,
        "epoch": net.epoch,
        "dropout_seed": net.dropout_seed,
        "shuffler": numbers,
        "adapted": net._adapted,
        "feature_names": net.feature_names,
    }


def _generator(numbers):
    """Return the state of a PCG64 from its four numbers."""
    limits = (2**128, 2**128, 2, 2**32)
    found = [
        _checks.integer(f"shuffler[{i}]", value, 0, limit - 1)
        for i, (value, limit) in enumerate(
            zip(_checks.plain_list("shuffler", numbers), limits, strict=True)
        )
    ]
    return {
        "bit_generator": "PCG64",
        "state": {"state": found[0], "inc": found[1]},
        "has_uint32": found[2],
        "uinteger": found[3],
    }


def _adapted(state, schedule):
    """Return the state of an Adaptive schedule, None with another."""
    if not isinstance(schedule, schedules.Adaptive):
        return None
    _checks.fields("adapted", state, ("rate", "best", "wait"))
    best = state["best"]
    return {
        "rate": _checks.number("rate", state["rate"], low=0.0),
        "best": best if best is None else _checks.number("best", best),
        "wait": _checks.integer("wait", state["wait"], low=0),
    }


# ---- a fit in progress --------------------------------------------------------------------------


def _fit_of(fit, tensors):
    """Return a fit's state as plain data; the arrays that callbacks keep go among the tensors."""
    plan, state = fit.plan, fit.get_state()
    for i, kept in enumerate(state["callbacks"]):
        for key, value in kept.items():
            if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                names = [f"callbacks.{i}.{key}.{j}" for j in range(len(value))]
                tensors |= zip(names, value, strict=True)
                kept[key] = {"arrays": len(value)}
    return {
        **state,
        "samples": plan.source.n,
        "batch_size": plan.batch_size,
        "shuffle": plan.shuffle is not False,
    }


def _fit_from(fit, tensors):
    """Return that state from plain data, arrays taken from the tensors."""
    _checks.fields("fit", fit, ("epoch", "callbacks", "samples", "batch_size", "shuffle"))
    fit["epoch"] = _checks.integer("fit's epoch", fit["epoch"], low=0)
    for i, kept in enumerate(_checks.plain_list("callbacks", fit["callbacks"])):
        for key, value in _checks.fields(f"callbacks[{i}]", kept).items():
            if isinstance(value, dict) and value.keys() == {"arrays"}:
                n = _checks.integer("arrays", value["arrays"], 1, len(tensors))
                kept[key] = [tensors.pop(f"callbacks.{i}.{key}.{j}") for j in range(n)]
    return fit


# ---- JSON ---------------------------------------------------------------------------------------


def _json(value):
    """Return plain data as JSON, which has no number for NaN and infinity."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _strict(text, name):
    """Return the dict of a JSON text of a file; what no writer of ours writes is refused."""

    def refuse(constant):
        raise ValueError(f"{name} holds {constant}")

    def finite(digits):
        value = float(digits)
        return value if math.isfinite(value) else refuse(digits)

    def once(pairs):
        found = dict(pairs)
        return found if len(found) == len(pairs) else refuse("a key twice")

    found = json.loads(text, parse_constant=refuse, parse_float=finite, object_pairs_hook=once)
    if not isinstance(found, dict):
        raise ValueError(f"{name} is not a JSON object")
    return found
