"""Rows of a training with their weights, parts of rows, and weights of rows by their classes.

Here: X and y as scikit-learn validates them. Not here: encoding targets for a network
(classifier.py, regressor.py), and the orders of rows (training/orders.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils.validation import validate_data

from fastnn import _checks
from fastnn.sklearn.notices import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Number of sparse rows that L-BFGS converts to dense at a time.
_SPARSE_ROWS = 8192

#: The largest weight of a class; a network in float32 takes smaller ones only.
_LARGEST_WEIGHT = float(np.finfo(np.float64).max)


@dataclass
class LabelledRows:
    """Rows as `MLP.fit` takes them: X (n, n_in), dense or CSR, targets, weights (n,) or None.

    With `numbers`, these rows of the arrays, which many networks share; most methods need the
    arrays that `picked` makes of them.
    """

    X: Any
    y: NDArray[Any]
    sample_weight: NDArray[Any] | None = None
    numbers: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y) if self.numbers is None else len(self.numbers)

    def some(self, numbers: NDArray[Any]) -> LabelledRows:
        """Return the rows with these numbers, without copying them."""
        own = numbers if self.numbers is None else self.numbers[numbers]
        return LabelledRows(self.X, self.y, self.sample_weight, own)

    def picked(self) -> LabelledRows:
        """Return the rows with arrays of their own, without other rows."""
        if self.numbers is None:
            return self
        return LabelledRows(self.X, self.y, self.sample_weight).part(self.numbers)

    def without_inputs(self) -> LabelledRows:
        """Return targets and weights only, with arrays of their own, without other rows."""
        return LabelledRows(None, self.y, self.sample_weight, self.numbers).picked()

    @property
    def are_weighted(self) -> bool:
        """Whether some rows have more weight than others."""
        if self.sample_weight is None:
            return False
        weight = self.without_inputs().sample_weight
        return weight is not None and bool(np.any(weight != weight[0]))

    def mean(self, values: NDArray[Any] | None) -> float:
        """Return the weighted mean of values (n,) of the rows; 0 if `values` is None."""
        return 0.0 if values is None else float(np.average(values, weights=self.sample_weight))

    def as_arguments(self) -> tuple[Any, NDArray[Any], NDArray[Any] | None]:
        """Return the rows in the form that `MLP.fit` takes validation data."""
        return self.X, self.y, self.sample_weight

    def part(self, rows: slice | NDArray[Any]) -> LabelledRows:
        """Return some of the rows, with arrays of their own."""
        X, weight = self.X, self.sample_weight
        return LabelledRows(
            None if X is None else X[rows],
            self.y[rows],
            None if weight is None else weight[rows],
        )

    def blocks(self) -> Iterator[tuple[LabelledRows, float]]:
        """Yield parts small enough to be made dense, each with its fraction of the total weight.

        Parts without weight are left out.
        """
        n, step = len(self), _SPARSE_ROWS if scipy.sparse.issparse(self.X) else None
        weight = np.ones(n) if self.sample_weight is None else self.sample_weight
        for first in range(0, n, step or n):
            rows = slice(first, first + (step or n))
            if fraction := weight[rows].sum() / weight.sum():
                yield self if step is None else self.part(rows), fraction


class TakesSparseRows(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class of estimators that tell scikit-learn that they take sparse rows."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def require_class_weights(class_weight: Any) -> None:
    """Check that the weights of classes, if they are in a dict, are numbers of 0 or more."""
    if isinstance(class_weight, dict):
        for label, weight in class_weight.items():
            _checks.number(f"class_weight[{label!r}]", weight, low=0.0, high=_LARGEST_WEIGHT)


def weights_by_class(
    class_weight: Any, y: Any, classes: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Return the weight (n,) of each row by its class, or by all labels of the row.

    The keys of a dict are compared with `classes`, by default those in y; a class without a key has
    the weight 1.
    """
    found: NDArray[np.float64]
    require_class_weights(class_weight)
    if isinstance(class_weight, dict):
        if np.shape(y)[1:] not in ((), (1,)):
            raise ValueError(
                "class_weight is a dict, which is for one class per row, but rows of y have "
                "several labels; use class_weight='balanced', or pass sample_weight"
            )
        y = np.ravel(y)
        classes = np.unique(y) if classes is None else classes
        of_classes = compute_class_weight(class_weight, classes=classes, y=classes)
        found = of_classes[np.searchsorted(classes, y)]
    else:
        found = compute_sample_weight(class_weight, y)
    return found


def require_weight(weight: NDArray[Any] | None) -> None:
    """Check that the product of class weights and sample weights is not 0 for every row."""
    if weight is not None and not weight.any():
        raise ValueError(
            "the weights of all rows are 0; give some classes or rows a weight above 0"
        )


def check_indices(X: Any) -> None:
    """Raise a ValueError if SciPy would read or write a sparse X out of bounds."""
    if not scipy.sparse.issparse(X) or X.ndim != 2:
        return
    if X.format in ("csr", "csc"):
        _checks.compressed("X", X, own=False)
    elif X.format == "coo":
        _checks.coordinates("X", X)


def checked_inputs(estimator: Any, X: Any) -> Any:
    """Return X, dense or CSR, as scikit-learn validates it for a fitted estimator."""
    check_indices(X)
    X = validate_data(estimator, X, accept_sparse=["csr", "csc"], reset=False)
    return X.tocsr() if scipy.sparse.issparse(X) else X


def validated(estimator: Any, X: Any, y: Any, reset: bool, **options: Any) -> tuple[Any, Any]:
    """Return X, dense or CSR, and y, as scikit-learn validates them for an estimator."""
    check_indices(X)
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse=["csr", "csc"],
        multi_output=True,
        dtype=(np.float64, np.float32),
        reset=reset,
        **options,
    )
    if y.ndim == 2 and y.shape[1] == 1:
        warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of "
            "y to (n_samples, ), for example using ravel().",
            DataConversionWarning,
        )
        y = column_or_1d(y)
    return X.tocsr() if scipy.sparse.issparse(X) else X, y
