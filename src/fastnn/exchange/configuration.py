"""Convert specifications to plain data and back, for `MLP.get_config` and for files.

Plain data are dicts, lists, strings and numbers that JSON can hold. They contain names that are
looked up in the lists of specifications, but no code and no names of classes. Not here: files
(model_files.py).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from fastnn import _checks, activations, layers, losses, optimizers, schedules
from fastnn.activations import Activation
from fastnn.training.specification import Specification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The field of a specification for each argument of MLP; the arguments are the keys of a config.
FIELDS = {
    "dtype" if field.name == "policy" else field.name: field.name
    for field in dataclasses.fields(Specification)
}
NAMES = tuple(FIELDS)


def config_of(specification: Specification) -> dict[str, Any]:
    """Return a specification as plain data, as `MLP.get_config` does."""
    return {name: plain(getattr(specification, field)) for name, field in FIELDS.items()}


def plain(value: Any) -> Any:
    """Return a value as plain data; a specification becomes a dict of its name and its fields."""
    if isinstance(value, Activation | losses.CustomLoss):
        return value.config()
    if hasattr(value, "__dataclass_fields__"):
        fields = [f.name for f in dataclasses.fields(value) if f.init]
        return {"name": value.name, **{name: plain(getattr(value, name)) for name in fields}}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def arguments_of(config: object) -> dict[str, Any]:
    """Return the arguments of an MLP that a configuration describes."""
    arguments = _checks.fields("config", config, NAMES, origin="MLP.get_config")
    arguments["layers"] = _layers("config['layers']", arguments["layers"])
    arguments["loss"] = _loss("config['loss']", arguments["loss"])
    arguments["optimizer"] = _built("config['optimizer']", arguments["optimizer"], optimizers.KINDS)
    return arguments


def argument_from(name: str, plain: object) -> Any:
    """Return an argument of an MLP, or a learning rate, from plain data: the inverse of `plain`."""
    kinds: dict[str, Mapping[str, type]]
    kinds = {"optimizer": optimizers.KINDS, "learning_rate": schedules.KINDS}
    if name == "layers":
        found: Any = _layers(name, plain)
    elif name == "loss" and isinstance(plain, dict):
        found = _loss(name, plain)
    elif name in kinds and isinstance(plain, dict):
        found = _built(name, plain, kinds[name])
    else:
        found = plain
    return found


def _layers(place: str, plain: object) -> list[Any]:
    """Return the layers that a list describes."""
    found = _checks.plain_list(place, plain)
    return [_built(f"{place}[{i}]", layer, layers.KINDS) for i, layer in enumerate(found)]


def _loss(place: str, plain: object) -> losses.Loss:
    """Return the loss that plain data describe; a CustomLoss comes without its function."""
    if isinstance(plain, dict) and plain.get("name") == losses.CustomLoss.name:
        fields = dict(_checks.fields(place, plain, ("name", "function", "targets")))
        del fields["name"]
        found: losses.Loss = _made(place, losses.CustomLoss.without_function, fields)
    else:
        found = _built(place, plain, losses.KINDS)
    return found


#: Fields that hold a specification, with its possible kinds.
_NESTED: dict[str, Mapping[str, type]] = {
    "learning_rate": schedules.KINDS,
    "schedule": schedules.KINDS,
}


def _built(place: str, plain: object, kinds: Mapping[str, type]) -> Any:
    """Return the specification that plain data describe."""
    if not isinstance(plain, dict) or "name" not in plain:
        raise TypeError(f"{place} must be a dict with a 'name'; got {plain!r:.60}")
    kind = kinds[_checks.choice(f"{place}['name']", plain["name"], tuple(kinds))]
    fields = [f for f in dataclasses.fields(kind) if f.init]
    known = [f.name for f in fields]
    needed = [f.name for f in fields if f.default is f.default_factory]  # both are MISSING
    names = known if "name" in known else ["name", *known]
    arguments = _checks.fields(place, plain, names, ["name", *needed])
    for name, nested in _NESTED.items():
        if isinstance(arguments.get(name), dict):
            arguments[name] = _built(f"{place}[{name!r}]", arguments[name], nested)
    if "layers" in arguments:
        arguments["layers"] = _layers(f"{place}['layers']", arguments["layers"])
    if isinstance(arguments.get("activation"), dict):
        arguments["activation"] = _activation(f"{place}['activation']", arguments["activation"])
    if "name" not in known:
        del arguments["name"]
    return _made(place, kind, arguments)


def _activation(place: str, plain: dict[str, Any]) -> Activation:
    """Return the activation that a dict describes: its name, and its parameter if it has one."""
    name = _checks.choice(f"{place}['name']", plain.get("name"), activations.NAMES)
    parameter = activations.parameter_name(name)
    known = ["name"] if parameter is None else ["name", parameter]
    found: Activation = _made(place, Activation, _checks.fields(place, plain, known, ["name"]))
    return found


def _made(place: str, kind: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Return a specification made from these arguments; errors name the place in the data."""
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None
