"""Temperature scaling of the probabilities of networks trained on smoothed labels.

Label smoothing makes a network more accurate but underconfident. Its logits are multiplied by the
one factor that minimizes the log loss on validation rows (Guo, Pleiss, Sun, Weinberger, ICML 2017).
Not here: the choice of these rows (ensemble.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.mlp import MLP

#: Candidate factors as binary logarithms: 1/4 to 16, then finer ones around the best of these; 1/64
#: is about 1 %. They are spaced so widely that the last digits of a logarithm, which differ between
#: systems, do not change the result. Those nearest to 0 are first, so that they win a tie.
_COARSE = np.array(sorted(np.arange(-8, 17) / 4, key=abs))
_FINE = np.array(sorted(np.arange(-15, 16) / 64, key=abs))

_LEAST = 1e-30  # probabilities are at least this, so that the logarithm is finite


def sharpness(
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]],
) -> float:
    """Return the factor of the logits, from 1/4 to 16, that minimizes the log loss.

    The sum of the losses includes that of one more row: an average row with a random label. It
    keeps the factor moderate if the networks predict all rows correctly; a single wrong prediction
    of a new row would otherwise have a very large log loss.

    Parameters
    ----------
    pairs : sequence of (ndarray, ndarray, ndarray or None)
        For each network: the probabilities (n, n_classes) of rows that it was not trained on, the
        labels (n,) of these rows, and their weights (n,) or None.
    """
    logits = [np.log(np.maximum(P.astype(np.float64), _LEAST)) for P, _, _ in pairs]
    n = sum(map(len, logits))

    def loss(exponent: float) -> float:
        factor, total = _factor(exponent), 0.0
        for values, (_, labels, weights) in zip(logits, pairs, strict=True):
            norms = np.log(np.exp(factor * values).sum(axis=1))
            each = norms - factor * values[np.arange(len(labels)), labels]
            total += each.sum() if weights is None else (weights * each).sum()
            total += (norms - factor * values.mean(axis=1)).sum() / n
        return float(total)

    best = min(_COARSE.tolist(), key=loss)
    finer = (best + _FINE).clip(_COARSE.min(), _COARSE.max())
    return _factor(min(finer.tolist(), key=loss))


def _factor(exponent: float) -> float:
    """Return a power of two in digits that are the same on every system."""
    return round(math.exp2(exponent), 4)


def sharpen(net: MLP, factor: float) -> None:
    """Multiply the logits of a network by a factor, which scales the weights of its last layer."""
    *others, W, b = net.get_weights()
    net.set_weights([*others, factor * W, factor * b])
