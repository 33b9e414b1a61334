"""Compositions of ONNX operators that equal one operation of fastnn, recognized by their values.

Exporters compose functions that an opset lacks: silu from Sigmoid and Mul, softplus from Softplus,
Greater and Where, layer normalization from means. A composition is computed at probes, and its
values are compared with those of fastnn's activations and of layer normalizations. Not here: which
nodes are computed (onnx_reader.py).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _checks, activations, kernels
from fastnn.activations import Activation
from fastnn.exchange.onnx_graph import cast, short
from fastnn.exchange.onnx_writer import SELU
from fastnn.exchange.parts import Array
from fastnn.layers import LayerNorm

#: Rows at which a composition is compared with fastnn's operations. The value at the first number
#: gives an activation's parameter. The second row is so small that its variance is negligible
#: beside epsilon. The first row extends beyond the thresholds at which exporters replace a function
#: by its limit; the other rows show bounds and thresholds that are close to 0 or large.
PROBES = np.array([-1.0, -60.0, *np.linspace(-8.0, 8.0, 81), 60.0]) * np.array(
    [[1.0], [1e-30], [1e-3], [2e-2], [1e3], [1e20]]
)

#: Probes above this size are left out of comparisons where a composition overflows, as a softplus
#: of Exp and Log does.
_MODERATE = 60.0

_Options = dict[str, Any]  # a node's attributes


def _clip(options: _Options, z: Array, low: Any = None, high: Any = None) -> Any:
    """Clip; before opset 11 its bounds are attributes."""
    low, high = options.get("min", low), options.get("max", high)
    return np.clip(z, -np.inf if low is None else low, np.inf if high is None else high)


def _elu(options: _Options, z: Array) -> Any:
    return np.where(z > 0, z, options.get("alpha", 1.0) * np.expm1(np.minimum(z, 0)))


def _celu(options: _Options, z: Array) -> Any:
    alpha = options.get("alpha", 1.0)
    return np.maximum(z, 0) + alpha * np.expm1(np.minimum(z, 0) / alpha)


def _selu(options: _Options, z: Array) -> Any:
    scale, alpha = options.get("gamma", SELU[0]), options.get("alpha", SELU[1])
    return scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def _sigmoid(z: Array) -> Any:
    return 1 / (1 + np.exp(-z))


def _hard_sigmoid(options: _Options, z: Array) -> Any:
    return np.clip(options.get("alpha", 0.2) * z + options.get("beta", 0.5), 0, 1)


def _gelu(options: _Options, z: Array) -> Any:
    if options.get("approximate", b"none") == b"tanh":
        return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
    return 0.5 * z * (1 + np.vectorize(math.erf)(z / math.sqrt(2)))


def _extreme(choose: Callable[..., Array]) -> Callable[..., Array]:
    """Return Max or Min, for any number of tensors."""
    return lambda _, *z: choose(np.broadcast_arrays(*z), axis=0)


def _plain(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return an operator without attributes."""
    return lambda _, *z: function(*z)


#: Operators that can be part of a composition, as functions of a node's attributes and its inputs.
#: All except ReduceMean are element-wise.
COMPOSING: dict[str, Callable[..., Array]] = {
    "Abs": _plain(np.abs),
    "Add": _plain(np.add),
    "And": _plain(np.logical_and),
    "Cast": lambda options, z: cast(np.asarray(z), options["to"]),
    "Celu": _celu,
    "Clip": _clip,
    "Div": _plain(np.divide),
    "Elu": _elu,
    "Equal": _plain(np.equal),
    "Erf": _plain(np.vectorize(math.erf)),
    "Exp": _plain(np.exp),
    "Gelu": _gelu,
    "Greater": _plain(np.greater),
    "GreaterOrEqual": _plain(np.greater_equal),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda _, z: z * np.clip(z / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda options, z: np.where(z > 0, z, options.get("alpha", 0.01) * z),
    "Less": _plain(np.less),
    "LessOrEqual": _plain(np.less_equal),
    "Log": _plain(np.log),
    "Max": _extreme(np.max),
    "Min": _extreme(np.min),
    "Mish": lambda _, z: z * np.tanh(np.logaddexp(z, 0)),
    "Mul": _plain(np.multiply),
    "Neg": _plain(np.negative),
    "Not": _plain(np.logical_not),
    "Or": _plain(np.logical_or),
    "PRelu": lambda _, z, slope: np.where(z > 0, z, slope * z),
    "Pow": _plain(np.power),
    "Reciprocal": _plain(np.reciprocal),
    "ReduceMean": lambda _, z, *__: np.mean(z, axis=-1, keepdims=True),
    "Relu": lambda _, z: np.maximum(z, 0),
    "Selu": _selu,
    "Sigmoid": _plain(_sigmoid),
    "Sign": _plain(np.sign),
    "Softplus": lambda _, z: np.logaddexp(z, 0),
    "Softsign": lambda _, z: z / (1 + np.abs(z)),
    "Sqrt": _plain(np.sqrt),
    "Sub": _plain(np.subtract),
    "Swish": lambda options, z: z * _sigmoid(options.get("alpha", 1.0) * z),
    "Tanh": _plain(np.tanh),
    "ThresholdedRelu": lambda options, z: np.where(z > options.get("alpha", 1.0), z, 0),
    "Where": _plain(np.where),
}

#: Functions that compute the parameter of an activation from its values at the probes.
_PARAMETERS: dict[str, Callable[[Array], float]] = {
    "leaky_relu": lambda values: -float(values.flat[0]),
    "elu": lambda values: float(values.flat[0]) / math.expm1(-1.0),
}


def recognized(values: Array) -> Activation | LayerNorm | None:
    """Return the operation that has these values at the probes, or None."""
    if values.shape != PROBES.shape:
        return None
    for name in activations.HIDDEN:
        parameter = None
        if name in _PARAMETERS:
            parameter = _PARAMETERS[name](values)
            if not 0 <= parameter < 1e30:
                continue
        activation = Activation(name, None if parameter is None else short(parameter))
        if activation.is_linear:
            continue
        _, expected = kernels.forward(PROBES.reshape(-1, 1), np.eye(1), activation=activation)
        if _equal(values, expected.reshape(values.shape)):
            return activation
    return _norm(values)


def _equal(values: Array, expected: Array) -> bool:
    """Return whether a composition has the expected values at all probes where it is finite."""
    overflows = ~np.isfinite(values) & (np.abs(PROBES) > _MODERATE)
    return np.allclose(values[~overflows], expected[~overflows], rtol=1e-5, atol=1e-6)


def _norm(values: Array) -> LayerNorm | None:
    """Return the layer normalization without gain and bias that has these values, or None."""
    centred = PROBES - PROBES.mean(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        epsilon = float((centred[1, 0] / values[1, 0]) ** 2)
    if not _checks.SMALLEST <= epsilon < 1e30:
        return None
    expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon)
    return LayerNorm(short(epsilon)) if _equal(values, expected) else None
