"""The standard deviation of numbers of any size, by which columns and targets are scaled.

Not here: the scaling itself (codes.py, target_scaling.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: Below it, the squares of numbers lose digits or become 0.
_SMALL = float(np.sqrt(np.finfo(np.float64).tiny) / np.finfo(np.float64).eps)


def deviation(values: NDArray[Any], weight: NDArray[Any] | None = None) -> float:
    """Return the standard deviation of numbers (n,), which may have weights (n,) above 0.

    It is exactly 0 if all are equal, although their mean may be rounded, and is right for numbers
    whose squares are too small for float64.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return 0.0
    largest = max(abs(low), abs(high))
    if largest < _SMALL:
        return largest * _deviation(values / largest, weight)
    return _deviation(values, weight)


def _deviation(values: NDArray[Any], weight: NDArray[Any] | None) -> float:
    """Return the standard deviation of numbers whose squares are not too small."""
    if weight is None:
        return float(values.std())
    mean = np.average(values, weights=weight)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))
