"""The network that an estimator's parameters describe, and its initial weights.

Here: from parameters to an `MLP` or a part of one. Not here: training it (descent.py, lbfgs.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

from fastnn import _checks, activations, initializers, losses, optimizers
from fastnn.activations import Activation
from fastnn.layers import Dense, Dropout
from fastnn.mlp import MLP
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer
from fastnn.training.state import State

if TYPE_CHECKING:
    from fastnn.losses import Loss
    from fastnn.sklearn.parameters import Parameters


def hidden_sizes(parameters: Parameters) -> list[int]:
    """Return the units of each hidden layer."""
    sizes = parameters.hidden_layer_sizes
    sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    if any(isinstance(units, bool) or not isinstance(units, Integral) for units in sizes):
        raise TypeError(
            f"hidden_layer_sizes must be integers, got {sizes}; pass for instance (100, 50)"
        )
    if any(units <= 0 for units in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return sizes


def _per_layer(parameters: Parameters, name: str, single: Any) -> list[Any]:
    """Return one value per hidden layer; a value of type `single` is used for all layers."""
    value, n = getattr(parameters, name), len(hidden_sizes(parameters))
    if isinstance(value, single):
        return [value] * n
    if len(value) != n:
        raise ValueError(
            f"{name} has {_checks.counted(len(value), 'item')} for "
            f"{_checks.counted(n, 'hidden layer')}; give one for each"
        )
    return list(value)


def _dropout_rates(parameters: Parameters) -> list[float]:
    """Return the dropout rate of each hidden layer."""
    rates = _per_layer(parameters, "dropout", Real)
    return [
        _checks.number(f"dropout[{i}]", rate, low=0.0, below=1.0) for i, rate in enumerate(rates)
    ]


def _refuse_beyond_float32(parameters: Parameters) -> None:
    """Check parameters for which scikit-learn allows any value up to infinity."""
    for name in ("alpha", "learning_rate_init"):
        value = getattr(parameters, name)
        if value > _checks.LARGEST:
            raise ValueError(f"{name} must be at most {_checks.LARGEST:.2g}, got {value!r}")


def refuse_other_losses(parameters: Any, output: str, loss: str | Loss) -> None:
    """Check that the loss compares outputs with y, and suits the activation of the last layer.

    The activation depends on the targets.
    """
    outputs, kind = losses.get(loss).outputs, type(parameters).__name__
    if is_classifier(parameters):
        remedy = "'log_loss', which suits two classes, more classes and several labels per row"
    else:
        classifier = kind.replace("Regressor", "Classifier")
        remedy = f"a regression loss such as 'squared_error', or {classifier}"
    if not losses.get(loss).predicts_targets:
        raise ValueError(
            f"loss={parameters.loss!r} is not for outputs that predict y, as those of {kind} do; "
            f"use {remedy}"
        )
    if outputs is None or output in outputs:
        return
    raise ValueError(
        f"loss={parameters.loss!r} needs outputs of {' or '.join(outputs)}, but those of "
        f"{kind} are {output} for this y; use {remedy}"
    )


def _optimizer(parameters: Parameters) -> Optimizer:
    """Return the optimizer that the parameters describe: solver, optimizer and their numbers."""
    rate = parameters.learning_rate_init
    if parameters.weight_decay and parameters._is_minimized():
        raise ValueError(
            f"weight_decay={parameters.weight_decay!r} needs a stochastic solver, 'adam' or "
            "'sgd'; use alpha"
        )
    rule: Optimizer
    if isinstance(parameters.optimizer, Optimizer):
        rule = parameters.optimizer
    elif parameters.optimizer is not None:
        rule = optimizers.KINDS[parameters.optimizer](rate)
    elif parameters.solver == "sgd":
        momentum = parameters.momentum
        rule = SGD(rate, momentum, parameters.nesterovs_momentum and momentum > 0)
    elif parameters.solver == "adam":
        kind = AdamW if parameters.weight_decay else Adam
        epsilon = _checks.epsilon_in_range(parameters.epsilon)
        rule = kind(rate, parameters.beta_1, parameters.beta_2, epsilon, epsilon_hat=True)
    else:
        rule = SGD(rate)  # L-BFGS uses none; net_ needs one for further training
    if parameters.weight_decay:
        rule = dataclasses.replace(rule, weight_decay=parameters.weight_decay)
    if parameters.clipnorm:
        rule = dataclasses.replace(rule, clipnorm=parameters.clipnorm)
    return rule


def network(
    parameters: Parameters,
    shape: tuple[int, int],
    output: str,
    loss: str | Loss,
    dtype: Any,
    random_state: np.random.RandomState,
    *,
    for_lbfgs: bool = False,
) -> MLP:
    """Return an untrained network with all weights 0.

    Parameters
    ----------
    parameters : Parameters
    shape : tuple of int
        Numbers of inputs and of outputs.
    output : str
        Activation of the last layer.
    loss : str or Loss
    dtype : dtype
        Precision, unless the parameters specify one.
    random_state : RandomState
        Source of the seed of dropout; nothing is drawn without dropout.
    for_lbfgs : bool
        Whether the network has neither dropout nor a penalty; lbfgs.py adds the penalty itself.
    """
    _refuse_beyond_float32(parameters)
    refuse_other_losses(parameters, output, loss)
    l2 = 0.0 if for_lbfgs else parameters.alpha / 2
    sizes = hidden_sizes(parameters)
    rates = [0.0] * len(sizes) if for_lbfgs else _dropout_rates(parameters)
    layers: list[Dense | Dropout] = []
    for units, activation, rate in zip(sizes, _activations(parameters), rates, strict=True):
        layers.append(Dense(units, activation, l2=l2, initializer="zeros"))
        layers += [Dropout(rate)] if rate else []
    layers.append(Dense(shape[1], output, l2=l2, initializer="zeros"))
    drops = any(isinstance(layer, Dropout) for layer in layers)
    return MLP(
        shape[0],
        layers,
        loss=loss,
        optimizer=_optimizer(parameters),
        scale_penalties=True,
        dtype=dtype if parameters.dtype is None else parameters.dtype,
        seed=random_state.randint(2**31) if drops else 0,
        n_threads=parameters.n_threads,
    )


def use_alpha(parameters: Parameters, net: MLP) -> None:
    """Give a network the penalty of the current alpha; the state of its training stays."""
    _refuse_beyond_float32(parameters)
    spec, l2 = net._state.specification, parameters.alpha / 2
    if all(layer.l2 == l2 for layer in spec.dense):
        return
    layers = [
        dataclasses.replace(layer, l2=l2) if isinstance(layer, Dense) else layer
        for layer in spec.layers
    ]
    spec = dataclasses.replace(spec, layers=tuple(layers))
    net._hold(State._restored(spec, net._state.snapshot(), net._state.metadata))


def _activations(parameters: Parameters) -> list[Activation]:
    """Return the activation of each hidden layer."""
    return [activations.get(a) for a in _per_layer(parameters, "activation", str | Activation)]


def draw_weights(net: MLP, parameters: Parameters, random_state: np.random.RandomState) -> None:
    """Draw initial weights and biases as scikit-learn does, in the same order.

    All are uniform, within ``sqrt(6 / (n_in + n_out))`` or, for "logistic",
    ``sqrt(2 / (n_in + n_out))``. The last layer has the bound of the last hidden layer's activation
    or, without hidden layers, of the parameter `activation`.
    """
    names: list[str | None] = [activation.name for activation in _activations(parameters)]
    given = parameters.activation
    if names:
        names.append(names[-1])
    else:
        names = [activations.get(given).name if isinstance(given, str | Activation) else None]
    n_in = net.n_in
    for number, (layer, name) in enumerate(zip(net.dense, names, strict=True)):
        factor = 2.0 if name == "sigmoid" else 6.0
        uniform = "uniform", np.sqrt(factor / (n_in + layer.units))
        shapes = (n_in, layer.units), (1, layer.units)
        writes = net._network.write_rows, net._network.write_biases
        for write, shape in zip(writes, shapes, strict=True):
            for row, drawn in initializers.draw(uniform, random_state, shape):
                write(number, row, np.ascontiguousarray(drawn, net.dtype))
        n_in = layer.units
