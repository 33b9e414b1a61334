"""Mean and standard deviation over networks, whose bits for a row do not depend on other rows.

NumPy's mean and std add the numbers of a single row pairwise, and those of several rows in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the networks of outputs (n_nets, ...)."""
    total: NDArray[np.float64] = outputs[0].copy()
    for each in outputs[1:]:
        total += each
    total /= len(outputs)
    return total


def std(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation over the networks of outputs (n_nets, ...)."""
    found: NDArray[np.float64] = np.sqrt(mean(np.square(outputs - mean(outputs))))
    return found
