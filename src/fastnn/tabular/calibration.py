"""Sharper probabilities for networks that were trained on smoothed labels: temperature scaling.

A network that learns smoothed labels is right more often, but says so with too little confidence.
Its logits are multiplied by one number, for which the log-loss of validation rows is least (Guo,
Pleiss, Sun, Weinberger, ICML 2017). Not here: which rows these are (ensemble.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.mlp import MLP

#: The factors that are tried. They are far enough apart that the last digits of a logarithm, which
#: differ between systems, do not decide.
_FACTORS = np.linspace(1.0, 2.0, 51)

_LEAST = 1e-30  # what counts as the logarithm of 0


def sharpness(
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]],
) -> float:
    """Return the factor of logits, from 1 to 2, for which the log-loss is least.

    Parameters
    ----------
    pairs : sequence of (ndarray, ndarray, ndarray or None)
        For each network the probabilities (n, n_classes) of rows that it was not trained on, their
        labels (n,), and their weights (n,).
    """
    losses = np.zeros(len(_FACTORS))
    for probabilities, labels, weights in pairs:
        logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST))
        of_label = logits[np.arange(len(labels)), labels]
        for i, factor in enumerate(_FACTORS.tolist()):
            each = np.log(np.exp(factor * logits).sum(axis=1)) - factor * of_label
            losses[i] += each.sum() if weights is None else (weights * each).sum()
    return float(_FACTORS[losses.argmin()])


def sharpen(net: MLP, factor: float) -> None:
    """Multiply the logits of a network by a factor, in the weights of its last layer."""
    *others, W, b = net.get_weights()
    net.set_weights([*others, factor * W, factor * b])
