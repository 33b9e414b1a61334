"""Scores of predictions on held-out rows, and of the baseline they are compared with.

Here: the arithmetic, under the names that the command line, model files and reports share, and
which baseline and which score belong to a loss. Not here: which rows are scored, how scores are
printed (cli/), and the metrics of `MLP.fit` (metrics/).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.losses import AbsoluteError, Huber, Quantile
from fastnn.metrics import ROCAUC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.losses import Loss

#: The scores by name, with their usual names in text.
SCORES = {
    "r2": "R²",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "pinball": "pinball loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
    "roc_auc": "area under ROC curve",
}

#: Scores for which higher is better.
RISING = ("r2", "accuracy", "balanced_accuracy", "roc_auc")


def of_numbers(predicted: NDArray[np.float64], y: NDArray[Any], loss: Loss) -> dict[str, Any]:
    """Return the scores of a regression that was trained with a loss; predicted and y are (n,).

    If the loss is the pinball loss of a quantile, the scores include it. R2 of constant targets is
    NaN.
    """
    errors = predicted - y
    distances = y - y[0]  # of constant targets exactly 0, which y - y.mean() is not
    farthest = np.abs(distances).max()
    r2 = math.nan
    if farthest > 0:  # divided by it, the squares of large numbers do not overflow
        deviations = distances / farthest
        deviations -= deviations.mean()
        r2 = 1 - ((errors / farthest) ** 2).sum() / (deviations**2).sum()
    found = {
        "r2": r2,
        "mae": np.abs(errors).mean(),
        "rmse": root_mean_square(errors),
    }
    if isinstance(loss, Quantile):
        (q,) = loss.parameter(1)
        found["pinball"] = np.maximum(-q * errors, (1 - q) * errors).mean()
    return found


def root_mean_square(errors: NDArray[np.float64]) -> float:
    """Return the root of the mean square of errors (n,), whose squares may be too large."""
    largest = float(np.abs(errors).max())
    return largest * float(np.sqrt(((errors / (largest or 1.0)) ** 2).mean()))


def of_classes(
    probabilities: NDArray[np.float64], labels: NDArray[Any], is_weighted: bool = False
) -> dict[str, Any]:
    """Return the scores of a classification: probabilities (n, n_classes), labels (n,).

    `is_weighted` says whether training used class weights. The log loss treats probabilities below
    1e-15 as 1e-15.
    """
    of_label = probabilities[np.arange(len(labels)), labels]
    is_right = probabilities.argmax(axis=1) == labels
    found = {
        "accuracy": is_right.mean(),
        "log_loss": -np.log(np.maximum(of_label, 1e-15)).mean(),
    }
    if is_weighted:
        counts, right = np.bincount(labels), np.bincount(labels, is_right)
        found["balanced_accuracy"] = (right[counts > 0] / counts[counts > 0]).mean()
    if probabilities.shape[1] == 2:
        found["roc_auc"] = ROCAUC()(labels, probabilities)
    return found


def plain(found: dict[str, Any]) -> dict[str, float | None]:
    """Return scores as plain numbers, None for scores that are not finite."""
    return {name: float(v) if math.isfinite(v) else None for name, v in found.items()}


# ---- what a loss means --------------------------------------------------------------------------


def level_of(loss: Loss) -> float | None:
    """Return the quantile that a loss estimates, None for losses that estimate the mean.

    Huber's loss estimates a number between median and mean. It is chosen because of outliers, to
    which squared errors and the mean are sensitive, so it is treated as the absolute error.
    """
    if isinstance(loss, Quantile):
        return loss.parameter(1)[0]
    return 0.5 if isinstance(loss, AbsoluteError | Huber) else None


def main_score(loss: Loss, is_regression: bool) -> str:
    """Return the score that is nearest to what a loss measures; lower is better."""
    if not is_regression:
        return "log_loss"
    if isinstance(loss, Quantile):
        return "pinball"
    return "rmse" if level_of(loss) is None else "mae"


def baseline_name(loss: Loss, is_regression: bool) -> str:
    """Return the name of the constant prediction that a loss is compared with."""
    if not is_regression:
        return "most frequent class"
    level = level_of(loss)
    return "mean" if level is None else "median" if level == 0.5 else f"quantile {level:g}"


def constant(loss: Loss, y: NDArray[Any]) -> float:
    """Return the constant prediction that a loss is compared with, for targets y (n,)."""
    level = level_of(loss)
    return float(y.mean() if level is None else np.quantile(y, level))


def frequencies(labels: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    """Return the constant prediction of least log loss: the class frequencies (n_classes,)."""
    counts = np.bincount(labels, minlength=n_classes)
    found: NDArray[np.float64] = counts / counts.sum()
    return found
