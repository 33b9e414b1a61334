"""The network in NumPy: the reference for the tests, and a baseline of the benchmarks.

Here: the mathematics of a feed-forward network, a line for each formula, in the notation
``a = z_prev @ W + b``, ``z = h(a)``, ``delta = dE/da``, ``dW = z_prev.T @ delta``,
``db = delta.sum(0)``. A row is a sample, B rows are a batch, W is (n_in, n_out).

Not here: other modules of fastnn (the modules here import only NumPy and the standard library, and
of the shipped modules only the benchmarks import them), checks of arguments, and optimizations that
cost clarity.

With float64 arrays, results are the reference values of the tests. With float32 arrays everything
is computed in float32: scalars are Python floats, which never widen an array. gelu is exact but
slow, since NumPy has no erf, so it is not a baseline.

>>> import numpy as np
>>> x, t = np.array([[0.35, 0.9]]), np.array([[0.5]])
>>> W0, W1 = np.array([[0.1, 0.4], [0.8, 0.6]]), np.array([[0.3], [0.9]])
>>> layers = [Layer(W0, activation="sigmoid"), Layer(W1, activation="sigmoid")]
>>> net = Network(layers, hyper={"learning_rate": 1})
>>> round(net.train_on_batch(x, t), 7), net.predict(x).round(7)
(0.0181039, array([[0.6820186]]))
"""

from fastnn.reference.functions import (
    ACTIVATIONS,
    ALPHA,
    ANY,
    LOSSES,
    SELU,
    SELU_ALPHA,
    loss_and_delta,
    one_hot,
    softmax,
    through,
)
from fastnn.reference.layers import TWINS, Activate, Dropout, Layer, LayerNorm, Residual
from fastnn.reference.network import Network, central_differences
from fastnn.reference.rules import (
    OPTIMIZERS,
    SCHEDULES,
    clip,
    dropout_mask,
    learning_rate,
)

__all__ = [
    "ACTIVATIONS",
    "ALPHA",
    "ANY",
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "SELU",
    "SELU_ALPHA",
    "TWINS",
    "Activate",
    "Dropout",
    "Layer",
    "LayerNorm",
    "Network",
    "Residual",
    "central_differences",
    "clip",
    "dropout_mask",
    "learning_rate",
    "loss_and_delta",
    "one_hot",
    "softmax",
    "through",
]
