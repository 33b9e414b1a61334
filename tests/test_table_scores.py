"""Scores of predictions for tables: their values, and numbers that are constant or far from 1.

Not here: which rows are scored (test_cli.py, test_cli_good.py), and the metrics of networks
(test_metrics.py).
"""

import math

import numpy as np
import pytest
import sklearn.metrics

from fastnn.losses import Quantile, SquaredError
from fastnn.tabular.scores import of_classes, of_numbers, plain


def test_scores_of_numbers_are_scikit_learns(rng):
    y = rng.normal(3, 2, 99)
    predicted = y + rng.normal(size=99)
    found = of_numbers(predicted, y, Quantile(0.3))
    assert found == pytest.approx(
        {
            "r2": sklearn.metrics.r2_score(y, predicted),
            "mae": sklearn.metrics.mean_absolute_error(y, predicted),
            "rmse": sklearn.metrics.root_mean_squared_error(y, predicted),
            "pinball": sklearn.metrics.mean_pinball_loss(y, predicted, alpha=0.3),
        },
        rel=1e-13,
    )


@pytest.mark.parametrize("value", [0.1, 19.99, 0.0, 1e300])
@pytest.mark.parametrize("n", [1, 3, 29, 100])
def test_r2_of_constant_targets_is_undefined(n, value):
    y = np.full(n, value)
    for predicted in (y, y + 0.01 + value / 10):
        found = of_numbers(predicted, y, SquaredError())
        assert math.isnan(found["r2"])
        assert found["rmse"] == pytest.approx(found["mae"])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_scores_of_any_magnitude(scale, rng):
    y = rng.normal(3, 2, 99)
    predicted = y + rng.normal(size=99)
    near = of_numbers(predicted, y, SquaredError())
    far = of_numbers(scale * predicted, scale * y, SquaredError())
    assert far["r2"] == pytest.approx(near["r2"], rel=1e-12)
    for name in ("mae", "rmse"):
        assert far[name] == pytest.approx(scale * near[name], rel=1e-12)


def test_exact_predictions_have_the_best_scores():
    y = np.array([1.0, 2.0, 4.0])
    assert plain(of_numbers(y, y, SquaredError())) == {"r2": 1.0, "mae": 0.0, "rmse": 0.0}


@pytest.mark.filterwarnings("error")
def test_balanced_accuracy_is_that_of_the_classes_with_rows():
    """Without a warning about 0 / 0, as a rare class may have no row among few held-out rows."""
    labels = np.array([0, 0, 0, 2, 2])
    probabilities = np.eye(4)[[0, 1, 0, 2, 3]]
    found = of_classes(probabilities, labels, is_weighted=True)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
