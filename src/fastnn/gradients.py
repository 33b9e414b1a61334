"""The gradient check: gradients of back-propagation compared with central differences.

Not here: the central differences that tests of the kernels use (reference/network.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.mlp import MLP

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: The rounding errors of a loss, in units of eps times the size of its terms.
_ROUNDINGS = 2.0


def check_gradients(
    net: MLP,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    training: bool = False,
    n_samples: int = 100,
    seed: int | None = 0,
) -> float:
    """Compare a network's gradients with central differences of its loss, in float64.

    Parameters
    ----------
    net : MLP
        The network. It is not changed: a float64 copy is checked.
    X, y, sample_weight
        A batch, as for `MLP.train_on_batch`; a few rows are enough. A Standardize layer must have
        seen data, and labels that are not class numbers need `MLP.classes`.
    training : bool, default False
        Whether dropout is active (with fixed masks).
    n_samples : int, default 100
        Number of entries to check in each weight matrix and bias, drawn at random; smaller arrays
        are checked whole.
    seed : int, default 0
        Seed of that draw.

    Returns
    -------
    float
        The largest relative error ``|g - d| / (|g| + |d|)`` over the arrays of weights, where
        ``|.|`` is the Euclidean norm over the checked entries of the gradient ``g`` and of the
        differences ``d``. A part of ``g - d`` that the rounding of the loss can explain does not
        count, so a correct gradient of 0, such as that of an output bias with a contrastive loss,
        gives 0. Correct gradients give less than 1e-6, unless a pre-activation is within a step of
        a kink, such as 0 for relu.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.
    FloatingPointError
        If a weight, a loss or a gradient is not finite, so that gradients cannot be compared.

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.MLP(3, [fastnn.Dense(5, "tanh"), fastnn.Dense(2)], loss="squared_error",
    ...                  optimizer="sgd", seed=0)
    >>> fastnn.check_gradients(net, [[1.0, 2.0, 3.0]], [[0.0, 1.0]]) < 1e-6
    True
    """
    _checks.network("net", net, MLP)
    n_samples = _checks.integer("n_samples", n_samples, low=1)
    rng = np.random.default_rng(_checks.seed(seed))
    twin: MLP = net.copy(dtype="float64")
    weights = twin.get_weights()
    if not all(np.isfinite(weight).all() for weight in weights):
        raise FloatingPointError(
            "a weight of the network is not finite, so gradients cannot be checked; set finite "
            "weights with set_weights, or load a file of the network that was saved earlier"
        )
    loss, gradients = twin.loss_and_gradients(X, y, sample_weight, training=training)
    rounding = _ROUNDINGS * np.finfo(np.float64).eps * _size_of_rounded(loss, weights, gradients)

    def loss_with(weight: NDArray[Any], entry: int, value: float) -> Any:
        kept, weight.flat[entry] = weight.flat[entry], value
        twin.set_weights(weights)
        loss, _ = twin.loss_and_gradients(X, y, sample_weight, training=training)
        weight.flat[entry] = kept
        return loss

    worst = 0.0
    for weight, gradient in zip(weights, gradients, strict=True):
        size = weight.size
        entries = np.arange(size) if size <= n_samples else rng.choice(size, n_samples, False)
        g, d, noise = gradient.flat[entries], np.empty(len(entries)), np.empty(len(entries))
        for i, entry in enumerate(entries):
            here = weight.flat[entry]
            # The cube root of eps balances the truncation error and the rounding error.
            h = np.cbrt(np.finfo(np.float64).eps) * max(1.0, abs(here))
            up, down = loss_with(weight, entry, here + h), loss_with(weight, entry, here - h)
            with np.errstate(all="ignore"):  # _relative_error raises an error
                d[i] = (up - down) / (2 * h)
            noise[i] = rounding / h
        worst = max(worst, _relative_error(g, d, noise))
    return worst


def _size_of_rounded(
    loss: float, weights: list[NDArray[Any]], gradients: list[NDArray[Any]]
) -> float:
    """Return the size of the terms of a loss, which are rounded.

    The rounding errors of a forward pass change the loss as relative changes of the weights by
    about eps do, that is by up to ``eps * sum_j |g_j w_j|``.
    """
    with np.errstate(all="ignore"):  # _relative_error raises an error
        terms = [np.abs(g * w).sum() for g, w in zip(gradients, weights, strict=True)]
        return float(abs(loss) + sum(terms))


def _relative_error(g: NDArray[Any], d: NDArray[Any], noise: NDArray[Any]) -> float:
    """Return |g - d| / (|g| + |d|), or 0 if both are zero; an error if a number is not finite.

    `noise` is how much of each difference may be rounding, which is no error.
    """
    largest = float(max(np.abs(g).max(), np.abs(d).max()))
    if not np.isfinite([g, d, noise]).all():
        raise FloatingPointError(
            "the loss or its gradients are not finite for these rows, so gradients cannot be "
            "checked; scale X and y, or set smaller weights"
        )
    if largest == 0:
        return 0.0
    g, d = g / largest, d / largest  # squares of large numbers would overflow
    error = np.maximum(np.abs(g - d) - noise / largest, 0)
    return float(np.linalg.norm(error) / (np.linalg.norm(g) + np.linalg.norm(d)))
