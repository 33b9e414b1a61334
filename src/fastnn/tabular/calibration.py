"""Temperature scaling of the probabilities of networks trained on smoothed labels.

Label smoothing makes a network more accurate but underconfident. Its logits are multiplied by the
one factor that minimizes the log loss on validation rows (Guo, Pleiss, Sun, Weinberger, ICML 2017).
Not here: the choice of these rows (ensemble.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.mlp import MLP

#: The candidate factors. They are spaced so widely that the last digits of a logarithm, which
#: differ between systems, do not change the result.
_FACTORS = np.linspace(1.0, 2.0, 51)

_LEAST = 1e-30  # probabilities are at least this, so that the logarithm is finite


def sharpness(
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]],
) -> float:
    """Return the factor of the logits, from 1 to 2, that minimizes the log loss.

    Parameters
    ----------
    pairs : sequence of (ndarray, ndarray, ndarray or None)
        For each network: the probabilities (n, n_classes) of rows that it was not trained on, the
        labels (n,) of these rows, and their weights (n,) or None.
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
    """Multiply the logits of a network by a factor, which scales the weights of its last layer."""
    *others, W, b = net.get_weights()
    net.set_weights([*others, factor * W, factor * b])
