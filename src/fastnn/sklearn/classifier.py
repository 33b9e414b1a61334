"""The classifier: class labels as targets of the network; labels and probabilities from outputs.

Not here: fitting (base.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)

from fastnn import _checks, losses
from fastnn.sklearn.base import BaseMLP, if_stochastic, with_valid_parameters
from fastnn.sklearn.parameters import ClassifierParameters, constraints, documented

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastnn.losses import Loss


class ClassifierOutputs(ClassifierMixin):  # type: ignore[misc]  # scikit-learn has no types
    """Class labels as targets of networks; labels and probabilities from their outputs.

    A mixin for estimators that have the classifier's parameters and `_outputs`.
    """

    loss: str | Loss
    warm_start: bool
    classes_: NDArray[Any]
    n_outputs_: int
    _label_binarizer: Any
    _outputs: Callable[[Any], NDArray[Any]]

    def _learn(self, y: NDArray[Any], incremental: bool = False) -> None:
        """Learn the classes; if incremental, check them against the known ones."""
        _checks.no_missing_labels("y", y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y)
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
            self._require_known(y)
        self.n_outputs_ = self._n_outputs()

    def _require_known(self, y: NDArray[Any]) -> None:
        """Check that y has no new classes."""
        classes = unique_labels(y)
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    @property
    def _kind(self) -> str:
        """The kind of targets: "binary", "multiclass" or "multilabel-indicator"."""
        return str(self._label_binarizer.y_type_)

    def _n_outputs(self) -> int:
        return 1 if self._kind == "binary" else len(self.classes_)

    def _takes_labels(self) -> bool:
        """Return whether the loss takes class numbers as targets."""
        return losses.get(self._output_and_loss()[1]).takes.are_classes

    def _encoding(self) -> bool:
        """Return a key; estimators with the same classes and the same key encode y alike."""
        return self._takes_labels()

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return labels as targets of the network."""
        if self._kind == "multiclass":
            labels = np.searchsorted(self.classes_, y)
            return labels if self._takes_labels() else np.eye(len(self.classes_))[labels]
        if self._kind == "binary":
            return (y == self.classes_[1]) * 1.0 if len(self.classes_) > 1 else np.zeros(len(y))
        indicators: NDArray[np.float64] = self._label_binarizer.transform(y).astype(np.float64)
        return indicators

    def _output_and_loss(self) -> tuple[str, str | Loss]:
        """Return the activation of the last layer, and the loss."""
        if self._kind == "multiclass":
            activation, log_loss = "softmax", "cross_entropy"
        else:
            activation, log_loss = "sigmoid", "binary_cross_entropy"
        return activation, log_loss if self.loss == "log_loss" else self.loss

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Return the classes of a binary problem, for which scikit-learn stratifies the split."""
        return y.astype(bool).reshape(-1, 1) if self._kind == "binary" else None

    def _score_of(
        self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        """Return the accuracy; 1 for a single class, which is always predicted."""
        if len(self.classes_) == 1:
            return 1.0
        if self._kind == "multiclass":
            right = outputs.argmax(axis=1) == (y if y.ndim == 1 else y.argmax(axis=1))
        else:
            right = ((outputs > 0.5) == (y.reshape(outputs.shape) > 0.5)).all(axis=1)
        return float(np.average(right, weights=weight))

    def _metric(self, y: NDArray[Any]) -> dict[str, Any] | None:
        """Return the accuracy as the engine's metric, which knows no single class."""
        if len(self.classes_) == 1:
            return None
        are_classes = self._kind == "multiclass"
        return {"kind": "accuracy" if are_classes else "all_correct", "are_classes": are_classes}

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) for several labels per row

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X is invalid.
        """
        return self._predicted(self._outputs(X))

    def _predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the most probable class for outputs (n, n_outputs)."""
        labels: NDArray[Any]
        if self._kind == "multiclass":
            labels = self.classes_[outputs.argmax(axis=1)]
        elif self._kind == "binary" and len(self.classes_) == 2:
            labels = self.classes_[(outputs[:, 0] > 0.5).view(np.int8)]
        else:
            labels = self._label_binarizer.inverse_transform(
                outputs.ravel() if self.n_outputs_ == 1 else outputs
            )
        return labels

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probability of each class for each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X is invalid.
        """
        return self._probabilities(self._outputs(X))

    def _probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the probability of each class for outputs (n, n_outputs)."""
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithm of the probability of each class for each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X is invalid.
        """
        probabilities = self.predict_proba(X)
        np.log(probabilities, out=probabilities)
        return probabilities

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@_checks.explaining
@documented
class MLPClassifier(ClassifierOutputs, ClassifierParameters, BaseMLP):
    """Multi-layer perceptron classifier, with scikit-learn's interface.

    Handles two classes, more classes, or several labels per row (an indicator matrix). The
    parameters up to `max_fun` are those of `sklearn.neural_network.MLPClassifier`; the others are
    specific to fastnn.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    classes_ : ndarray
        Class labels, sorted.
    <attributes>

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)
    >>> classifier = MLPClassifier(early_stopping=True, learning_rate_init=0.01, random_state=0)
    >>> classifier = classifier.fit(X, y)
    >>> classifier.predict(X_test[:5])
    array([2, 8, 2, 6, 6])
    >>> bool(classifier.score(X_test, y_test) > 0.96)
    True
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = constraints(ClassifierParameters)

    @if_stochastic
    @with_valid_parameters
    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on these rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels.
        sample_weight : array-like of shape (n_samples,), optional
        classes : array-like of shape (n_classes,), optional
            All class labels in this call and later ones; required at the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or the loss is no longer finite.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, since later rows are "
                "not known; pass a dict of weights, such as from "
                "sklearn.utils.compute_class_weight('balanced', classes=..., y=...)"
            )
        before = dict(vars(self))
        try:
            if _check_partial_fit_first_call(self, classes):
                multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            return self._fit(X, y, sample_weight, incremental=True)
        except BaseException:
            if not self._has_network():  # the next call is the first one again
                self.__dict__ = before
            raise
