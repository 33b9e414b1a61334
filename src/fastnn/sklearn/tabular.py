"""TabularClassifier and TabularRegressor: ensembles of networks for data frames, without tuning.

Here: their targets, scores and predictions. Not here: their common base class (tabular_base.py).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import (
    assert_all_finite,
    check_array,
    column_or_1d,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fastnn import _checks, losses
from fastnn.losses import CrossEntropy, Poisson
from fastnn.sklearn.network import refuse_other_losses
from fastnn.sklearn.parameters import constraints, documented
from fastnn.sklearn.tabular_base import BaseTabular
from fastnn.sklearn.tabular_parameters import (
    TabularClassifierParameters,
    TabularRegressorParameters,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastnn.losses import Loss
    from fastnn.tables import Recipe

T = TypeVar("T")

_ATTRIBUTES = """
fits_ : Fits
    The networks, with their histories. They also accept data frames with the columns of `fit`.
recipe_ : fastnn.tables.Recipe
    How each column is encoded, as plain data.
validation_score_ : float
    {score} on the validation rows of all networks, where each row is predicted only by the networks
    that were not trained on it. Rows count with their `sample_weight`. The best epochs were chosen
    by these rows, so the score is slightly better than on new rows. NaN without validation rows. An
    estimator from `load` does not have it.
n_iter_ : int
    The largest number of epochs that a network was trained for.
n_features_in_ : int
    Number of columns in `fit`.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the columns, if all are text.
"""


def _described(score: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator that inserts parameters and attributes into an estimator's docstring."""
    return lambda cls: documented(cls, _ATTRIBUTES.replace("{score}", score))


def _require_no_texts(y: Any) -> None:
    """Check that no target of a regression is a text that is not a number."""
    for i, value in enumerate(np.asarray(y, object).reshape(-1)):
        try:
            float(value) if isinstance(value, str) else None
        except ValueError:
            raise ValueError(
                f"y must hold numbers; y[{i}] is {value!r}: use TabularClassifier for classes"
            ) from None


@_checks.explaining
@_described("Accuracy")
class TabularClassifier(ClassifierMixin, TabularClassifierParameters, BaseTabular):  # type: ignore[misc]
    """Classifier for tables of mixed columns: an ensemble of networks that needs no tuning.

    Accepts data frames as they are: numbers, categories, texts, bools, dates, missing values. Each
    number is encoded in three ways (standardized, clipped, piecewise linear); categories are
    one-hot, with inputs of their own for missing and rare texts.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    classes_ : ndarray
        Class labels, sorted.
    <attributes>

    See Also
    --------
    MLPEnsembleClassifier : Many networks with scikit-learn's parameters, for arrays.
    TableEncoder : The encoding of columns as a step of a pipeline.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastnn.sklearn import TabularClassifier
    >>> frame = pd.DataFrame({"size": [3.0, None, 2.5, 9.0] * 25, "sort": ["oak", "elm"] * 50})
    >>> is_tall = frame["size"].fillna(8.0) > 5
    >>> model = TabularClassifier(n_nets=2, max_iter=50, random_state=0).fit(frame, is_tall)
    >>> model.predict(frame.head(4))
    array([False,  True, False,  True])
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    classes_: NDArray[Any]
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = constraints(
        TabularClassifierParameters
    )

    def _targets(self, y: Any) -> NDArray[Any]:
        y = column_or_1d(y, warn=True)
        _checks.no_missing_labels("y", y)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        _checks.labels_for_file("y", self.classes_)
        if len(self.classes_) < 2:
            only = self.classes_.tolist()[0]
            raise ValueError(f"y has 1 class, {only!r}, but a classifier needs 2 or more classes")
        found: NDArray[np.int64] = labels.reshape(-1).astype(np.int64)
        return found

    def _held_out(self, y: Any) -> NDArray[Any]:
        y = column_or_1d(y, warn=True)
        net, known = self.fits_[0], tuple(self.classes_.tolist())
        found: NDArray[np.int64] = _checks.as_numbers("y", y, net.loss, net.n_out, known)
        return found

    def _output_and_loss(self) -> tuple[str, Loss]:
        return "softmax", CrossEntropy(self.label_smoothing)

    def _with_target(self, recipe: Recipe, target: str) -> Recipe:
        classes = self.classes_.tolist()
        return dataclasses.replace(recipe, task="classification", target=target, classes=classes)

    def _take(self, recipe: Recipe) -> None:
        _checks.task_of_table(recipe.task, "classification")
        classes: Any = recipe.classes
        self.classes_ = np.array(classes)
        are_numbers = all(isinstance(label, int) and label >= 0 for label in classes)
        if are_numbers and self.classes_.dtype.kind == "f":
            self.classes_ = np.array(classes, np.uint64)  # some are too large for int64

    def _score_of(
        self, outputs: NDArray[Any], targets: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        return float(accuracy_score(targets, outputs.argmax(axis=1), sample_weight=weight))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class for each row.

        Parameters
        ----------
        X : as in `fit`
            Must have the columns of `fit`, in any order if they have names; those of an array in
            the order of `fit`.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X lacks a column.
        """
        check_is_fitted(self)
        found: NDArray[Any] = self.classes_[self._outputs(X).argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class for each row: the mean over the networks.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X lacks a column.
        """
        return self._outputs(X)


@_checks.explaining
@_described("R²")
class TabularRegressor(RegressorMixin, TabularRegressorParameters, BaseTabular):  # type: ignore[misc]
    """Regressor for tables of mixed columns: an ensemble of networks that needs no tuning.

    Accepts data frames as they are: numbers, categories, texts, bools, dates, missing values. Each
    number is encoded in three ways (standardized, clipped, piecewise linear); categories are
    one-hot, with inputs of their own for missing and rare texts. The target is standardized for
    training.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    <attributes>

    See Also
    --------
    MLPEnsembleRegressor : Many networks with scikit-learn's parameters, for arrays.
    TableEncoder : The encoding of columns as a step of a pipeline.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastnn.sklearn import TabularRegressor
    >>> frame = pd.DataFrame({"area": [50, 80, None, 120] * 25, "city": ["Bonn", "Trier"] * 50})
    >>> rent = 7 * frame["area"].fillna(70) + 90 * (frame["city"] == "Bonn")
    >>> model = TabularRegressor(n_nets=2, max_iter=200, random_state=0).fit(frame, rent)
    >>> model.score(frame, rent) > 0.95
    True
    >>> mean, std = model.predict(frame.head(4), return_std=True)
    >>> mean.shape, std.shape
    ((4,), (4,))
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = constraints(TabularRegressorParameters)

    def _targets(self, y: Any) -> NDArray[Any]:
        try:
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        except ValueError:
            _require_no_texts(y)
            raise
        found: NDArray[np.float64] = column_or_1d(y, warn=True)
        return found

    def _require_in_range(self, targets: NDArray[Any]) -> None:
        _checks.targets_in_range("y", targets, self._output_and_loss()[1])

    def _output_and_loss(self) -> tuple[str, Loss]:
        loss = losses.get(self.loss)
        output = "exp" if isinstance(loss, Poisson) else "identity"
        refuse_other_losses(self, output, loss)
        return output, loss

    def _with_target(self, recipe: Recipe, target: str) -> Recipe:
        return dataclasses.replace(recipe, task="regression", target=target)

    def _take(self, recipe: Recipe) -> None:
        _checks.task_of_table(recipe.task, "regression")

    def _score_of(
        self, outputs: NDArray[Any], targets: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        if len(targets) < 2:  # R² is not defined
            return float("nan")
        return float(r2_score(targets, outputs[:, 0], sample_weight=weight))

    @overload
    def predict(self, X: Any, return_std: Literal[False] = False) -> NDArray[Any]: ...
    @overload
    def predict(self, X: Any, return_std: Literal[True]) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def predict(
        self, X: Any, return_std: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Return the mean of the networks' predictions and, optionally, their standard deviation.

        Parameters
        ----------
        X : as in `fit`
            Must have the columns of `fit`, in any order if they have names; those of an array in
            the order of `fit`.
        return_std : bool, default False

        Returns
        -------
        mean : ndarray of shape (n,)
        std : ndarray of shape (n,)
            Only with `return_std`.

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X lacks a column.
        """
        inputs = self._inputs(X)
        mean = self.fits_.predict(inputs, "mean")[:, 0]
        if not _checks.flag("return_std", return_std):
            return mean
        return mean, self.fits_.predict(inputs, "std")[:, 0]
