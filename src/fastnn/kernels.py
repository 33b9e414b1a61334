"""The kernels of back-propagation as functions of arrays, for your own training loops.

`forward`, `delta` (for the output layer, `output_delta`) and `update` are the parts of a training
step for one layer. They compute in float32 if all arrays are float32, otherwise in float64.
`MLP.fit` is much faster: it keeps the weights in the layout of the kernels, and does not return to
Python between steps.

Not here: arithmetic (the compiled modules), layers other than Dense, and networks (mlp.py).

Examples
--------
One step of gradient descent on two layers:

>>> import numpy as np
>>> from fastnn import SGD, kernels
>>> x, t = np.array([[0.35, 0.9]]), np.array([[0.5]])
>>> W0, W1 = np.array([[0.1, 0.4], [0.8, 0.6]]), np.array([[0.3], [0.9]])
>>> a0, z0 = kernels.forward(x, W0, activation="sigmoid")
>>> a1, y = kernels.forward(z0, W1, activation="sigmoid")
>>> loss, delta1 = kernels.output_delta(a1, t, "squared_error", "sigmoid")
>>> delta0 = kernels.delta(a0, "sigmoid", W1, delta1)
>>> state1 = kernels.update(W1, None, z0, delta1, SGD(learning_rate=1.0))
>>> state0 = kernels.update(W0, None, x, delta0, SGD(learning_rate=1.0))
>>> W0.round(7)
array([[0.0990709, 0.3971399],
       [0.797611 , 0.5926455]])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _cpu, activations, losses, optimizers
from fastnn._precision import KERNELS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn._kernels_f32 import LayerState
    from fastnn.activations import Activation
    from fastnn.losses import Loss
    from fastnn.optimizers import Optimizer


def forward(
    z_prev: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    activation: str | Activation = "identity",
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Compute ``a = z_prev @ W + b`` and ``z = h(a)``.

    Parameters
    ----------
    z_prev : array-like of shape (n, n_in)
        Inputs, one row for each sample.
    W : array-like of shape (n_in, n_out)
    b : array-like of shape (n_out,), optional
    activation : str or Activation, default "identity"

    Returns
    -------
    a, z : ndarray of shape (n, n_out)
        Pre-activations and outputs.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Examples
    --------
    >>> from fastnn import kernels
    >>> a, z = kernels.forward([[1.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]], activation="relu")
    >>> a, z
    (array([[ 3., -3.]]), array([[3., 0.]]))
    """
    h = activations.get(activation)
    dtype = _checks.kernel_dtype(z_prev, W, b)
    W = _checks.array_like("W", W, (None, None), dtype)
    z_prev = _checks.array_like("z_prev", z_prev, (None, W.shape[0]), dtype, W=W)
    if b is not None:
        b = _checks.array_like("b", b, (W.shape[1],), dtype, W=W)
    a, z = (np.empty((len(z_prev), W.shape[1]), dtype) for _ in range(2))
    module = KERNELS[dtype]
    module.forward_arrays(z_prev, W, b, h.name, h.parameter or 0.0, a, z, _cpu.ISA)
    return a, z


def output_delta(
    a: ArrayLike, t: ArrayLike, loss: str | Loss, activation: str | Activation
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Compute the loss ``E_n`` of each row and ``delta = dE_n/da`` at the output.

    Parameters
    ----------
    a : array-like of shape (n, n_out)
        Pre-activations of the output layer.
    t : array-like of shape (n, n_out) or (n,)
        Targets; class labels or one-hot rows for cross-entropy.
    loss : str or Loss
    activation : str or Activation
        The activation of the output layer, which the loss must allow.

    Returns
    -------
    losses : ndarray of shape (n,), float64
    delta : ndarray of shape (n, n_out)

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or the loss cannot be used with the activation.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.output_delta([[3.0]], [[1.0]], "squared_error", "identity")
    (array([2.]), array([[2.]]))
    """
    h = activations.get(activation)
    spec = losses.get(_checks.specification("loss", loss, losses.Loss, losses.NAMES))
    dtype = _checks.kernel_dtype(a, t)
    a = _checks.array_like("a", a, (None, None), dtype)
    n, n_out = a.shape
    _checks.pair(spec, h, n_out, of_kernel=True)
    T, labels = _checks.targets("t", t, spec, n, n_out, dtype, rows_of="a")
    if T is None:
        T = np.zeros((n, n_out), dtype)
        T[np.arange(n), labels] = 1
    rows, delta_ = np.empty(n), np.empty((n, n_out), dtype)
    KERNELS[dtype].output_delta_arrays(
        a, T, spec.name, spec.parameter(n_out), h.name, h.parameter or 0.0, rows, delta_, _cpu.ISA
    )
    return rows, delta_


def delta(
    a: ArrayLike, activation: str | Activation, W_next: ArrayLike, delta_next: ArrayLike
) -> NDArray[Any]:
    """Compute a hidden layer's ``delta = (delta_next @ W_next.T) * h'(a)``.

    Parameters
    ----------
    a : array-like of shape (n, n_units)
        The layer's pre-activations.
    activation : str or Activation
        The activation of the layer.
    W_next : array-like of shape (n_units, n_next)
        Weights of the next layer.
    delta_next : array-like of shape (n, n_next)
        Delta of the next layer.

    Returns
    -------
    ndarray of shape (n, n_units)

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Examples
    --------
    >>> from fastnn import kernels
    >>> kernels.delta([[3.0, -3.0]], "relu", [[2.0], [2.0]], [[1.0]])
    array([[2., 0.]])
    """
    h = _checks.hidden(activations.get(activation))
    dtype = _checks.kernel_dtype(a, W_next, delta_next)
    a = _checks.array_like("a", a, (None, None), dtype)
    W = _checks.array_like("W_next", W_next, (a.shape[1], None), dtype, a=a)
    shape = len(a), W.shape[1]
    above = _checks.array_like("delta_next", delta_next, shape, dtype, a=a, W_next=W)
    out = np.empty(a.shape, dtype)
    module = KERNELS[dtype]
    module.delta_arrays(a, h.name, h.parameter or 0.0, W, above, out, _cpu.ISA)
    return out


def update(
    W: NDArray[Any],
    b: NDArray[Any] | None,
    z_prev: ArrayLike,
    delta: ArrayLike,
    optimizer: str | Optimizer = "sgd",
    state: LayerState | None = None,
) -> LayerState:
    """Compute ``dW = z_prev.T @ delta``, ``db = delta.sum(0)`` and update W and b in place.

    Parameters
    ----------
    W : ndarray of shape (n_in, n_out), float32 or float64
        Updated in place.
    b : ndarray of shape (n_out,) or None
        Updated in place.
    z_prev : array-like of shape (n, n_in)
        The layer's inputs.
    delta : array-like of shape (n, n_out)
        The layer's deltas; divide them by n for a mean loss.
    optimizer : str or Optimizer, default "sgd"
    state : optional
        The result of the previous call for this layer: the moments and the step count of the
        optimizer. None starts with empty moments. The rule of the optimizer must stay the same; its
        numbers, such as the learning rate, may change from call to call. A schedule counts the
        steps of this state. Clipping and moving averages are not applied.

    Returns
    -------
    object
        The state for the next call.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; W and b are then unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import SGD, kernels
    >>> W, b = np.ones((2, 1)), np.zeros(1)
    >>> state = kernels.update(W, b, [[1.0, 3.0]], [[0.5]], SGD(learning_rate=0.1))
    >>> W.ravel(), b
    (array([0.95, 0.85]), array([-0.05]))
    """
    rule = optimizers.get(
        _checks.specification("optimizer", optimizer, optimizers.Optimizer, optimizers.NAMES)
    )
    W = _checks.in_place("W", W, (None, None))
    n_in, n_out = W.shape
    if b is not None:
        b = _checks.in_place("b", b, (n_out,), W.dtype)
        _checks.separate("b", b, "W", W)
    z_prev = _checks.array_like("z_prev", z_prev, (None, n_in), W.dtype, W=W)
    shape = len(z_prev), n_out
    deltas = _checks.array_like("delta", delta, shape, W.dtype, z_prev=z_prev, W=W)
    kind = KERNELS[W.dtype].LayerState
    numbers = rule.numbers()
    if state is None:
        state = kind.of(n_in, n_out, rule.rule, numbers, rule.initial_moment, _cpu.ISA)
    _checks.layer_state(state, kind, W.shape, rule.rule)
    if rule.schedule:
        numbers["learning_rate"] = rule.schedule(state.step)
    state.update(W, b, z_prev, deltas, numbers)
    return state
