"""Metrics of numbers: R2, mean absolute and mean squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastnn.metrics.base import Computed

_REAL = ("real", "positive", "probability")


@dataclass(frozen=True)
class R2(Computed):
    """Coefficient of determination ``1 - sum_i w_i (t_i - y_i)**2 / sum_i w_i (t_i - mean t)**2``.

    1 is perfect, 0 is as good as predicting the mean of the targets, and there is no lower bound.
    For several outputs it is the mean over the outputs. For constant targets it is 1 if all outputs
    are exact, otherwise 0, as in scikit-learn. With fewer than 2 rows it is NaN.

    Examples
    --------
    >>> from fastnn.metrics import R2
    >>> R2()([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 3.0])
    0.8
    """

    name: ClassVar[str] = "r2"
    targets: ClassVar[tuple[str, ...]] = _REAL
    best: ClassVar[str] = "max"


@dataclass(frozen=True)
class MeanAbsoluteError(Computed):
    """Mean absolute error ``sum_i w_i |t_i - y_i| / sum_i w_i``; 0 or more, in the targets' units.

    For several outputs it is the mean over the outputs; the loss "absolute_error" is the sum.

    Examples
    --------
    >>> from fastnn.metrics import MeanAbsoluteError
    >>> MeanAbsoluteError()([1.0, 2.0], [1.5, 4.0])
    1.25
    """

    name: ClassVar[str] = "mae"
    targets: ClassVar[tuple[str, ...]] = _REAL
    best: ClassVar[str] = "min"


@dataclass(frozen=True)
class MeanSquaredError(Computed):
    """Mean squared error ``sum_i w_i (t_i - y_i)**2 / sum_i w_i``; 0 or more.

    For several outputs it is the mean over the outputs; the loss "squared_error" is half the sum.

    Examples
    --------
    >>> from fastnn.metrics import MeanSquaredError
    >>> MeanSquaredError()([1.0, 2.0], [2.0, 4.0])
    2.5
    """

    name: ClassVar[str] = "mse"
    targets: ClassVar[tuple[str, ...]] = _REAL
    best: ClassVar[str] = "min"
