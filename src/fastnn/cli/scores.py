"""Scores on test rows, of a network and of a baseline that ignores the inputs.

Not here: how scores are shown (report.py), and the metrics of `MLP.fit` (metrics.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.metrics import ROCAUC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.mlp import MLP
    from fastnn.tabular.encoding import Rows


def scores(
    net: MLP, encoded: Rows, y: NDArray[Any], rows: dict[str, NDArray[np.intp]], is_class: bool
) -> dict[str, dict[str, float | None] | None]:
    """Return the scores by name on the test rows: "test" of the network, "baseline".

    The baseline predicts the mean of the training rows, or the frequencies of their classes. Both
    are None without test rows, and a score is None where it is undefined.
    """
    test = rows["test"]
    if len(test) == 0:
        return {"test": None, "baseline": None}
    outputs = net.predict(encoded.matrix(test, net.dtype)).astype(np.float64)
    training = y[rows["training"]]
    if is_class:
        counts = np.bincount(training, minlength=net.n_out)
        guess = np.tile(counts / counts.sum(), (len(test), 1))
        found = [_of_classes(out, y[test]) for out in (outputs, guess)]
    else:
        guess = np.full((len(test), 1), training.mean())
        found = [_of_numbers(out[:, 0], y[test]) for out in (outputs, guess)]
    return dict(zip(("test", "baseline"), map(_plain, found), strict=True))


def _plain(found: dict[str, Any]) -> dict[str, float | None]:
    """Return scores as plain numbers, None for those that are not finite."""
    return {name: float(v) if math.isfinite(v) else None for name, v in found.items()}


def _of_numbers(predicted: NDArray[np.float64], y: NDArray[Any]) -> dict[str, Any]:
    """Return the scores of a regression; predicted and y are (n,)."""
    errors = predicted - y
    spread = ((y - y.mean()) ** 2).sum()
    return {
        "r2": 1 - (errors**2).sum() / spread if spread else math.nan,
        "mae": np.abs(errors).mean(),
        "rmse": np.sqrt((errors**2).mean()),
    }


def _of_classes(probabilities: NDArray[np.float64], labels: NDArray[Any]) -> dict[str, Any]:
    """Return the scores of a classification: probabilities (n, n_classes), labels (n,).

    The log loss counts no probability as less than 1e-15.
    """
    of_label = probabilities[np.arange(len(labels)), labels]
    found = {
        "accuracy": (probabilities.argmax(axis=1) == labels).mean(),
        "log_loss": -np.log(np.maximum(of_label, 1e-15)).mean(),
    }
    if probabilities.shape[1] == 2:
        found["roc_auc"] = ROCAUC()(labels, probabilities)
    return found
