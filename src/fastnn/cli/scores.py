"""Scores on test rows, of a network and of a baseline that ignores the inputs.

Not here: how scores are shown (report.py), and the metrics of `MLP.fit` (metrics/).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn.metrics import ROCAUC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.cli.objectives import Objective
    from fastnn.tabular.encoding import Rows


class Predictor(Protocol):
    """What predicts outputs (n, n_out) from inputs: a network, or several."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the inputs."""

    @property
    def n_out(self) -> int:
        """Number of outputs."""

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return outputs (n, n_out) for rows X (n, n_in)."""


def scores(
    net: Predictor,
    encoded: Rows,
    y: NDArray[Any],
    rows: dict[str, NDArray[np.intp]],
    objective: Objective,
    is_weighted: bool,
) -> dict[str, dict[str, float | None] | None]:
    """Return the scores by name on the test rows: "test" of the network, "baseline".

    The baseline predicts the number for all rows that has the least loss on the training rows, or
    the frequencies of their classes. Both are None without test rows, and a score is None where it
    is undefined. `is_weighted` tells whether classes were weighed in training.
    """
    test = rows["test"]
    if len(test) == 0:
        return {"test": None, "baseline": None}
    outputs = net.predict(encoded.matrix(test, net.dtype)).astype(np.float64)
    training = y[rows["training"]]
    if objective.name == "cross_entropy":
        counts = np.bincount(training, minlength=net.n_out)
        guess = np.tile(counts / counts.sum(), (len(test), 1))
        found = [_of_classes(out, y[test], is_weighted) for out in (outputs, guess)]
    else:
        guess = np.full((len(test), 1), objective.constant(training))
        found = [_of_numbers(out[:, 0], y[test], objective) for out in (outputs, guess)]
    return dict(zip(("test", "baseline"), map(_plain, found), strict=True))


def _plain(found: dict[str, Any]) -> dict[str, float | None]:
    """Return scores as plain numbers, None for those that are not finite."""
    return {name: float(v) if math.isfinite(v) else None for name, v in found.items()}


def names_of(objective: Objective, n_classes: int, is_weighted: bool) -> list[str]:
    """Return the names of the scores of a task."""
    if objective.name != "cross_entropy":
        return [*_of_numbers(np.zeros(2), np.arange(2), objective)]
    return [*_of_classes(np.full((2, n_classes), 0.5), np.arange(2), is_weighted)]


def _of_numbers(
    predicted: NDArray[np.float64], y: NDArray[Any], objective: Objective
) -> dict[str, Any]:
    """Return the scores of a regression; predicted and y are (n,)."""
    errors = predicted - y
    spread = ((y - y.mean()) ** 2).sum()
    found = {
        "r2": 1 - (errors**2).sum() / spread if spread else math.nan,
        "mae": np.abs(errors).mean(),
        "rmse": np.sqrt((errors**2).mean()),
    }
    if objective.name == "quantile" and objective.value is not None:
        q = objective.value
        found["pinball"] = np.maximum(-q * errors, (1 - q) * errors).mean()
    return found


def _of_classes(
    probabilities: NDArray[np.float64], labels: NDArray[Any], is_weighted: bool
) -> dict[str, Any]:
    """Return the scores of a classification: probabilities (n, n_classes), labels (n,).

    The log loss counts no probability as less than 1e-15.
    """
    of_label = probabilities[np.arange(len(labels)), labels]
    is_right = probabilities.argmax(axis=1) == labels
    found = {
        "accuracy": is_right.mean(),
        "log_loss": -np.log(np.maximum(of_label, 1e-15)).mean(),
    }
    if is_weighted:
        counts = np.bincount(labels)
        found["balanced_accuracy"] = (np.bincount(labels, is_right) / counts)[counts > 0].mean()
    if probabilities.shape[1] == 2:
        found["roc_auc"] = ROCAUC()(labels, probabilities)
    return found
