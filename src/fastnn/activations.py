"""Specifications of activations: names, parameters, and the initializer that suits each.

Not here: arithmetic. Values and derivatives are in engine/simd/activations.h and, in NumPy, in
reference.py; a new activation takes a line in each of the three.
"""

from dataclasses import dataclass

from fastnn import _checks

# name: (default of alpha or None, initializer for weights that lead into it)
_KNOWN = {
    "identity": (None, "glorot_uniform"),
    "sigmoid": (None, "glorot_uniform"),
    "tanh": (None, "glorot_uniform"),
    "relu": (None, "he_uniform"),
    "leaky_relu": (0.01, "he_uniform"),
    "softmax": (None, "glorot_uniform"),
    "elu": (1.0, "he_uniform"),
    "selu": (None, "lecun_normal"),
    "gelu": (None, "he_uniform"),
    "silu": (None, "he_uniform"),
    "softplus": (None, "he_uniform"),
    "exp": (None, "glorot_uniform"),
}
_ALIASES = {"logistic": "sigmoid"}

NAMES = tuple(_KNOWN)


@dataclass(frozen=True)
class Activation:
    """An activation ``z = h(a)``, where its name alone does not say enough.

    Parameters
    ----------
    name : str
        ``"identity"``, ``"sigmoid"`` (or ``"logistic"``), ``"tanh"``, ``"relu"``,
        ``"leaky_relu"``, ``"softmax"`` (output layer only), ``"elu"``, ``"selu"``, ``"gelu"`` (the
        exact form), ``"silu"``, ``"softplus"`` or ``"exp"``.
    alpha : float, optional
        Slope below zero of ``leaky_relu`` (0.01 unless given), limit of ``elu`` (minus alpha; 1.0
        unless given). The others have no parameter.

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
    alpha: float | None = None

    def __post_init__(self):
        name = _checks.choice("activation", self.name, NAMES, _ALIASES)
        default = _KNOWN[name][0]
        alpha = _checks.alpha(name, self.alpha, default)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "alpha", alpha)

    @property
    def initializer(self):
        """Name of the initializer that keeps the variance of signals through this activation."""
        return _KNOWN[self.name][1]

    def __str__(self):
        return self.name if self.alpha is None else f"{self.name}({self.alpha:g})"


def get(activation):
    """Return the specification for a name; a specification is returned as it is."""
    return activation if isinstance(activation, Activation) else Activation(activation)
