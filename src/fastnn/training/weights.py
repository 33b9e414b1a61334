"""Weights of rows by their classes.

Not here: checks of a user's class weights (_checks/targets.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def classes_of(T: NDArray[Any] | None, labels: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the class (n,) of every row, from its label or from its targets T (n, n_out)."""
    if labels is not None:
        return labels
    assert T is not None
    return T.argmax(axis=1) if T.shape[1] > 1 else (T[:, 0] >= 0.5).astype(np.int64)


def given(by_label: dict[int, float], n_classes: int) -> NDArray[np.float64]:
    """Return the weight of each class from a dict; classes that it lacks have weight 1."""
    found = np.ones(n_classes)
    for label, weight in by_label.items():
        found[label] = weight
    return found


def balanced(classes: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Return the weight ``n / (n_present * count)`` of each class; `classes` (n,) are the rows'."""
    counts = np.bincount(classes, minlength=n_classes)
    return len(classes) / (np.count_nonzero(counts) * np.maximum(counts, 1))


def of_rows(
    by_class: NDArray[np.float64],
    classes: NDArray[np.int64],
    weights: NDArray[Any] | None,
    dtype: np.dtype[Any],
    may_be_zero: bool = False,
) -> NDArray[Any]:
    """Return the weights of the rows: their classes' weights times their own, if given.

    `may_be_zero` allows a weight of 0 for every row.
    """
    found = by_class[classes]
    if weights is not None:
        with np.errstate(all="ignore"):
            found = found * weights
    return _checks.row_weights(found, dtype, may_be_zero)
