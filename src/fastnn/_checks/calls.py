"""Errors for arguments that a class or function lacks, and for attributes that an object lacks.

Python's own error names the argument; the error raised here also says what to use instead. Not
here: the tables (names.py, arguments.py).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from fastnn._checks import arguments, names
from fastnn._checks.values import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    _Function = TypeVar("_Function", bound=Callable[..., Any])
    _Class = TypeVar("_Class", bound=type)


_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY


def explained(function: _Function) -> _Function:
    """Decorate a method or function: errors for unknown arguments also say what to use instead."""
    owners = [function.__qualname__.removesuffix(".__init__")]
    found: _Function = _explained(function, owners)
    return found


def explaining(kind: _Class) -> _Class:
    """Decorate a class: errors for unknown arguments and for setting frozen fields give a remedy.

    The tables are searched under the names of the class and of its base classes.
    """
    owners = [base.__name__ for base in kind.__mro__]
    kind.__init__ = _explained(kind.__init__, owners)  # type: ignore[misc]  # replaced on purpose
    options: Any = getattr(kind, "__dataclass_params__", None)
    if dataclasses.is_dataclass(kind) and options.frozen:
        kind.__setattr__ = _frozen(kind.__setattr__)  # type: ignore[method-assign]  # on purpose
    return kind


def _explained(function: Any, owners: list[str]) -> Any:
    """Wrap a function so that a TypeError caused by the call itself explains the remedy."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # raised inside the function
            message = _wrong_call(owners, inspect.signature(function), args, kwargs)
            raise TypeError(message or str(error)) from None

    return call


def _wrong_call(
    owners: list[str],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> str | None:
    """Return what is wrong with a call: an unknown argument, or a missing one."""
    of_object = next(iter(signature.parameters)) == "self"
    parameters = dict(list(signature.parameters.items())[of_object:])
    known, n_given = list(parameters), len(args) - of_object
    for name in kwargs:
        if name not in known:
            hint = _found(arguments.ARGUMENTS, owners, names.plain(name))
            hint = hint or f"its arguments are {quoted(known)}{did_you_mean(name, known)}"
            return f"{owners[0]} has no argument {name!r}; {hint}"
    by_place = [name for name in known if parameters[name].kind is not _KEYWORD_ONLY]
    if n_given > len(by_place) < len(known):
        example = f"{known[len(by_place)]}=..."
        listed = " and ".join(filter(None, [", ".join(by_place[:-1]), *by_place[-1:]]))
        return (
            f"{owners[0]} takes {listed} by position, but {n_given} positional "
            f"arguments were given; pass the others by name, such as {example}"
        )
    for i, (name, parameter) in enumerate(parameters.items()):
        by_position = i < n_given and parameter.kind is not parameter.KEYWORD_ONLY
        if parameter.default is parameter.empty and name not in kwargs and not by_position:
            hint = _found(arguments.NEEDED, owners, name) or "pass it"
            return f"{owners[0]} is missing the argument {name!r}; {hint}"
    return None


def _found(tables: Mapping[str, Mapping[str, str]], owners: Iterable[str], name: str) -> str | None:
    """Return the entry for a name in the first owner's table that has one."""
    found = (tables[owner][name] for owner in owners if name in tables.get(owner, ()))
    return next(found, None)


def _frozen(original: Callable[[Any, str, Any], None]) -> Any:
    """Return a __setattr__ method whose error says how to change a network instead."""

    @functools.wraps(original)
    def set_attribute(self: Any, name: str, value: Any) -> None:
        try:
            original(self, name, value)
        except dataclasses.FrozenInstanceError:
            ways = {
                "learning_rate": "set net.learning_rate",
                "trainable": "call net.freeze or net.unfreeze",
            }
            remedy = ways.get(name, "create another object")
            raise dataclasses.FrozenInstanceError(
                f"{type(self).__name__} objects are immutable, so {name} cannot be set; {remedy}"
            ) from None

    return set_attribute


def names_of_module(
    module: str, table: Mapping[str, str], public: Iterable[str] = ()
) -> Callable[[str], Any]:
    """Return a module's __getattr__ function, whose error says what to use instead of a name."""
    package: ModuleType = sys.modules[module]

    def get(name: str) -> Any:
        message = f"module {module!r} has no attribute {name!r}"
        own = public or [key for key in vars(package) if not key.startswith("_")]
        raise _no_attribute(message, name, package, table, own)

    return get


def no_layer_attribute(name: str, layer: Any) -> AttributeError:
    """Return the error for an attribute that a layer lacks."""
    message = f"{type(layer).__name__!r} object has no attribute {name!r}"
    return _no_attribute(message, name, layer, arguments.LAYER_ATTRIBUTES, ())


class NoAttribute:
    """Descriptor for an attribute of other libraries: reading it raises an error with a hint.

    A __getattr__ method would cover every name, but it makes Python look up each attribute more
    slowly: a prediction of one row took 0.45 µs instead of 0.37.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type) -> Any:
        message = f"{kind.__name__!r} object has no attribute {self.name!r}"
        raise _no_attribute(message, self.name, owner, arguments.ATTRIBUTES, ())


def is_foreign(kind: type, name: str) -> bool:
    """Whether a class has only a hint in place of this attribute."""
    return isinstance(inspect.getattr_static(kind, name, None), NoAttribute)


def foreign_attributes(kind: type) -> None:
    """Give a class hints for the attributes that networks of other libraries have."""
    for name in arguments.ATTRIBUTE_NAMES:
        if name not in vars(kind):
            setattr(kind, name, NoAttribute(name))


def not_in_package(name: str, package: Any, public: Iterable[str]) -> AttributeError:
    """Return the error for a name that the package lacks."""
    message = f"module {package.__name__!r} has no attribute {name!r}"
    tables = (arguments.PACKAGE, names.LOSSES, names.OPTIMIZERS, names.SCHEDULES, names.CALLBACKS)
    merged = {key: hint for table in reversed(tables) for key, hint in table.items()}
    return _no_attribute(message, name, package, merged, public)


def _no_attribute(
    message: str, name: str, owner: Any, table: Mapping[str, str], public: Iterable[str]
) -> AttributeError:
    """Return an AttributeError with a hint, or one to which Python adds the most similar name."""
    same = [other for other in public if names.plain(other) == names.plain(name)]
    hint = f"did you mean {same[0]!r}?" if same else table.get(names.plain(name))
    if hint is None or name.startswith("__"):
        return AttributeError(message, name=name, obj=owner)
    return AttributeError(f"{message}; {hint}")


def no_foreign_attribute(name: str) -> None:
    """Check that an attribute set on a network is not one that the network would ignore."""
    if name in ("lr", "trainable", "learning_rate_init", "device", "training", "requires_grad"):
        hint = arguments.ATTRIBUTES[names.plain(name)]
        raise AttributeError(f"an MLP has no attribute {name!r}; {hint}")
