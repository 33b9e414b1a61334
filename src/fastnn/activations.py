"""Specifications of activations: names, parameters, and the default initializer for each.

Not here: arithmetic. Values and derivatives are in engine/simd/activations.h and, in NumPy, in
reference/. ARCHITECTURE.md lists the places where a new activation is added; tests name a place
that was forgotten.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastnn import _checks


@dataclass(frozen=True)
class _Kind:
    """The properties of an activation, without its arithmetic."""

    initializer: str = "glorot_uniform"  # default initializer of the weights before it
    parameter: str | None = None  # name of its parameter, if it has one
    default: float | None = None  # default value of the parameter
    is_linear: bool = False  # h(a) = a
    is_row_wise: bool = False  # h needs a whole row: for the output layer only


_KINDS = {
    "identity": _Kind(is_linear=True),
    "sigmoid": _Kind(),
    "tanh": _Kind(),
    "relu": _Kind("he_uniform"),
    "leaky_relu": _Kind("he_uniform", "alpha", 0.01),
    "softmax": _Kind(is_row_wise=True),
    "elu": _Kind("he_uniform", "alpha", 1.0),
    "selu": _Kind("lecun_normal"),
    "gelu": _Kind("he_uniform"),
    "gelu_tanh": _Kind("he_uniform"),
    "silu": _Kind("he_uniform"),
    "mish": _Kind("he_uniform"),
    "softplus": _Kind("he_uniform"),
    "exp": _Kind(),
    "relu6": _Kind("he_uniform"),
    "hard_tanh": _Kind(),
    "hard_sigmoid": _Kind(),
    "hard_silu": _Kind("he_uniform"),
}

#: Names of scikit-learn and Keras for activations with identical definitions.
_ALIASES = {
    "logistic": "sigmoid",
    "linear": "identity",
    "swish": "silu",
    "exponential": "exp",
    "hard_swish": "hard_silu",
}

#: Names of all activations, and of those that a hidden layer may have.
NAMES = tuple(_KINDS)
HIDDEN = tuple(name for name, kind in _KINDS.items() if not kind.is_row_wise)


@_checks.explaining
@dataclass(frozen=True, init=False, repr=False)
class Activation:
    """An activation ``z = h(a)``, with its parameter if it has one.

    Parameters
    ----------
    name : str
        ``"identity"`` (or ``"linear"``), ``"sigmoid"`` (or ``"logistic"``), ``"tanh"``,
        ``"relu"``, ``"leaky_relu"``, ``"softmax"`` (output layer only), ``"elu"``, ``"selu"``,
        ``"gelu"`` (the exact form), ``"gelu_tanh"`` (its approximation by tanh), ``"silu"`` (or
        ``"swish"``), ``"mish"``, ``"softplus"``, ``"exp"`` (or ``"exponential"``), ``"relu6"``,
        ``"hard_tanh"``, ``"hard_sigmoid"`` or ``"hard_silu"`` (or ``"hard_swish"``).
    alpha : float, optional
        Slope of ``leaky_relu`` below zero (default 0.01), or minus the limit of ``elu`` towards
        minus infinity (default 1.0). All other activations have no parameter.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown, or alpha is negative or given to an activation without one.

    Examples
    --------
    >>> from fastnn import Activation, Dense
    >>> Dense(16, Activation("leaky_relu", alpha=0.2)).activation.alpha
    0.2
    """

    name: str
    parameter: float | None  #: value of the activation's parameter, or None if it has none

    def __init__(self, name: str, alpha: float | None = None, **parameters: float) -> None:
        if alpha is not None:
            parameters["alpha"] = alpha
        name = _checks.choice("activation", name, NAMES, _ALIASES, _checks.names.ACTIVATIONS)
        kind = _KINDS[name]
        value = _checks.activation_parameter(name, parameters, kind.parameter, kind.default)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parameter", value)

    @property
    def alpha(self) -> float | None:
        """The value of the parameter alpha, or None for an activation without it."""
        return self.parameter if _KINDS[self.name].parameter == "alpha" else None

    @property
    def is_linear(self) -> bool:
        """Whether ``h(a) = a``."""
        return _KINDS[self.name].is_linear

    @property
    def is_row_wise(self) -> bool:
        """Whether an output depends on the whole row; such activations are for the output layer."""
        return _KINDS[self.name].is_row_wise

    @property
    def initializer(self) -> str:
        """Name of the initializer that keeps the variance of signals through this activation."""
        return _KINDS[self.name].initializer

    def config(self) -> str | dict[str, object]:
        """Return the activation as plain data: its name, or a dict if it has a parameter."""
        kind = _KINDS[self.name]
        if kind.parameter is None:
            return self.name
        return {"name": self.name, kind.parameter: self.parameter}

    def __repr__(self) -> str:
        kind = _KINDS[self.name]
        given = f", {kind.parameter}={self.parameter!r}" if kind.parameter else ""
        return f"Activation({self.name!r}{given})"

    def __str__(self) -> str:
        return self.name if self.parameter is None else f"{self.name}({self.parameter:g})"


def get(activation: str | Activation) -> Activation:
    """Return the activation of a name; an Activation is returned as it is."""
    if isinstance(activation, Activation):
        return activation
    return _plain(activation) if type(activation) is str else Activation(activation)


@functools.cache  # activations are frozen, so all layers can share them
def _plain(name: str) -> Activation:
    """Return an activation with its default parameter."""
    return Activation(name)


def parameter_name(name: str) -> str | None:
    """Return the name of an activation's parameter, or None without one."""
    return _KINDS[name].parameter


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.ACTIVATIONS, NAMES)
