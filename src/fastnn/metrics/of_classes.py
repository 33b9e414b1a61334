"""Metrics of classification: of predicted classes and of predicted probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _checks
from fastnn._precision import PRECISIONS
from fastnn.metrics.base import Computed

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Accuracy(Computed):
    """Fraction of correct classes ``sum_i w_i [argmax y_i = t_i] / sum_i w_i``; from 0 to 1.

    A sigmoid output is correct if it is on the same side of 0.5 as its target (0.5 itself counts as
    below); with several sigmoid outputs a row counts with the fraction of its correct outputs. Of
    equal outputs the first is the argmax.

    Examples
    --------
    >>> from fastnn.metrics import Accuracy
    >>> Accuracy()([0, 1, 1, 0], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    0.75
    >>> Accuracy()([[0, 1], [1, 1]], [[0.2, 0.9], [0.4, 0.6]], targets="probability")
    0.75
    """

    name: ClassVar[str] = "accuracy"
    targets: ClassVar[tuple[str, ...]] = ("probability", "class")
    best: ClassVar[str] = "max"


@dataclass(frozen=True)
class TopKAccuracy(Computed):
    """Fraction of rows whose class is among the k largest outputs; from 0 to 1.

    ``sum_i w_i [rank of y_it among y_i <= k] / sum_i w_i``. Of equal outputs the first ranks
    higher, so that k = 1 gives `Accuracy`. The metric is for multi-class networks.

    Parameters
    ----------
    k : int, default 5
        At least 1 and at most the number of outputs.

    Examples
    --------
    >>> from fastnn.metrics import TopKAccuracy
    >>> TopKAccuracy(2)([0, 1], [[0.2, 0.3, 0.5], [0.1, 0.3, 0.6]])
    0.5
    """

    k: int = 5
    name: ClassVar[str] = "top_k_accuracy"
    targets: ClassVar[tuple[str, ...]] = ("class",)
    best: ClassVar[str] = "max"

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _checks.integer("k", self.k, low=1))

    def check_outputs(self, n_out: int) -> None:
        """Raise a ValueError if there are fewer outputs than k."""
        _checks.top_k(self.k, n_out)

    def options(self) -> dict[str, Any]:
        """Return the metric as the engine takes it."""
        return {"kind": self.name, "k": self.k}


class _OfTrueClasses(Computed):
    """Base class of metrics for which targets of sigmoid outputs are 0 or 1, not between them."""

    name: ClassVar[str] = "of true classes"
    targets: ClassVar[tuple[str, ...]] = ("probability", "class")
    best: ClassVar[str] = "max"

    def check_targets(self, name: str, t: NDArray[Any], kind: str) -> None:
        """Raise a ValueError if targets of sigmoid outputs are not all 0 or 1."""
        if kind != "class":
            _checks.zeros_and_ones(name, t, self.name)


class _Counted(_OfTrueClasses):
    """Base class of precision, recall and F1."""

    average: str | None
    zero_division: float

    def __post_init__(self) -> None:
        if self.average is not None:
            average = _checks.choice("average", self.average, ("binary", "macro"))
            object.__setattr__(self, "average", average)
        object.__setattr__(self, "zero_division", _checks.zero_division(self.zero_division))

    def check_outputs(self, n_out: int) -> None:
        """Raise a ValueError if `average` is "binary" with more than two classes."""
        _checks.average_of(self.name, self.average, n_out, 2)

    def check_targets(self, name: str, t: NDArray[Any], kind: str) -> None:
        """Raise a ValueError if targets of sigmoid outputs are not all 0 or 1."""
        if kind != "class":
            _checks.average_of(self.name, self.average, t.shape[1], 1)
        super().check_targets(name, t, kind)

    def options(self) -> dict[str, Any]:
        """Return the metric as the engine takes it."""
        is_macro = self.average == "macro"
        return {"kind": self.name, "is_macro": is_macro, "zero_division": self.zero_division}


@dataclass(frozen=True)
class Precision(_Counted):
    """Fraction of the rows predicted as a class that belong to it: ``TP / (TP + FP)``.

    From 0 to 1. TP is the weight of the rows of a class that are predicted as this class, FP the
    weight of rows of other classes that are predicted as it. A class is predicted as in `Accuracy`.

    Parameters
    ----------
    average : "binary" or "macro", optional
        "binary" is the value of the positive class: of a sigmoid output its targets of 1, of two
        classes the second. "macro" is the mean over classes, those without rows and predictions
        left out. By default it is "binary" for one sigmoid output and for two classes, otherwise
        "macro". For several sigmoid outputs it is the mean of the outputs' "binary" values.
    zero_division : 0.0, 1.0 or nan, default 0.0
        The value of a class for which it is 0 / 0; the mean leaves out NaN.

    Examples
    --------
    >>> from fastnn.metrics import Precision
    >>> Precision()([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.7])
    0.5
    >>> Precision("macro")([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.8])
    0.5
    """

    average: str | None = None
    zero_division: float = 0.0
    name: ClassVar[str] = "precision"


@dataclass(frozen=True)
class Recall(_Counted):
    """Fraction of the rows of a class that are predicted as this class: ``TP / (TP + FN)``.

    From 0 to 1. TP is the weight of the rows of a class that are predicted as this class, FN the
    weight of its rows that are predicted as another class. A class is predicted as in `Accuracy`.

    Parameters
    ----------
    average : "binary" or "macro", optional
        "binary" is the value of the positive class: of a sigmoid output its targets of 1, of two
        classes the second. "macro" is the mean over classes, those without rows and predictions
        left out. By default it is "binary" for one sigmoid output and for two classes, otherwise
        "macro". For several sigmoid outputs it is the mean of the outputs' "binary" values.
    zero_division : 0.0, 1.0 or nan, default 0.0
        The value of a class for which it is 0 / 0; the mean leaves out NaN.

    Examples
    --------
    >>> from fastnn.metrics import Recall
    >>> Recall()([0, 1, 1, 1], [0.1, 0.9, 0.4, 0.7])
    0.6666666666666666
    """

    average: str | None = None
    zero_division: float = 0.0
    name: ClassVar[str] = "recall"


@dataclass(frozen=True)
class F1Score(_Counted):
    """Harmonic mean of precision and recall: ``2 TP / (2 TP + FP + FN)``.

    From 0 to 1. TP, FP and FN are those of `Precision` and `Recall` (van Rijsbergen 1979).

    Parameters
    ----------
    average : "binary" or "macro", optional
        "binary" is the value of the positive class: of a sigmoid output its targets of 1, of two
        classes the second. "macro" is the mean over classes, those without rows and predictions
        left out. By default it is "binary" for one sigmoid output and for two classes, otherwise
        "macro". For several sigmoid outputs it is the mean of the outputs' "binary" values.
    zero_division : 0.0, 1.0 or nan, default 0.0
        The value of a class for which it is 0 / 0; the mean leaves out NaN.

    Examples
    --------
    >>> from fastnn.metrics import F1Score
    >>> F1Score()([0, 1, 1, 1], [0.1, 0.9, 0.4, 0.7])
    0.8
    >>> F1Score("macro")([0, 0, 1, 2], [[0.9, 0, 0.1], [0.2, 0.1, 0.7], [0, 1, 0], [0, 0, 1]])
    0.7777777777777777
    """

    average: str | None = None
    zero_division: float = 0.0
    name: ClassVar[str] = "f1"


@dataclass(frozen=True)
class BalancedAccuracy(_OfTrueClasses):
    """Mean over classes of the fraction of their rows that are predicted correctly; from 0 to 1.

    The mean of `Recall` over the classes that have rows, so that all classes have equal weight
    (Brodersen et al., ICPR 2010). A class is predicted as in `Accuracy`. For several sigmoid
    outputs it is the mean over the outputs. NaN if there are no rows, or if an output has only rows
    of weight 0.

    Examples
    --------
    >>> from fastnn.metrics import BalancedAccuracy
    >>> BalancedAccuracy()([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    0.8333333333333333
    """

    name: ClassVar[str] = "balanced_accuracy"


@dataclass(frozen=True)
class ROCAUC(_OfTrueClasses):
    """Area under the ROC curve; from 0 to 1, 0.5 for chance (Hanley, McNeil, Radiology 1982).

    ``sum_ij w_i w_j ([y_i > y_j] + 1/2 [y_i = y_j]) / sum_ij w_i w_j`` over the rows i of target 1
    and j of target 0: the probability that the output of a positive row is above the output of a
    negative row. For several sigmoid outputs it is the mean over the outputs. For more than two
    classes it is the mean over classes of the area for this class against the rest; for two classes
    it is the area for the second class. NaN if a class has no rows.

    Examples
    --------
    >>> from fastnn.metrics import ROCAUC
    >>> ROCAUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """

    name: ClassVar[str] = "roc_auc"


@dataclass(frozen=True)
class LogLoss(Computed):
    """Mean negative logarithm of the probability of the true class; 0 or more.

    ``-sum_i w_i log y_it / sum_i w_i`` for classes; if the targets are rows of probabilities,
    ``sum_k t_ik log y_ik`` replaces ``log y_it``. For sigmoid outputs
    ``-sum_ik w_ik (t_ik log y_ik + (1 - t_ik) log(1 - y_ik)) / sum_ik w_ik``, where each output k
    may have its own weights. Probabilities below eps of the outputs' dtype count as eps, as in
    scikit-learn, so that the value is finite.

    Except for this bound, a cross-entropy loss without penalties and label smoothing is this value
    times the number of sigmoid outputs (1 for classes). The loss of a network with an `Ensemble`
    differs: it is the mean of its members' losses.

    Examples
    --------
    >>> from fastnn.metrics import LogLoss
    >>> round(LogLoss()([0, 1], [[0.9, 0.1], [0.4, 0.6]]), 6)
    0.308093
    """

    name: ClassVar[str] = "log_loss"
    targets: ClassVar[tuple[str, ...]] = ("probability", "class")
    best: ClassVar[str] = "min"

    def check_targets(self, name: str, t: NDArray[Any], kind: str) -> None:
        """Raise a ValueError if rows of classes are not probabilities."""
        if kind == "class" and t.ndim == 2:
            _checks.rows_of_probabilities(name, t, self.name)

    def _value_of(self, kind: str, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value for targets of a kind; rows of classes are whole distributions."""
        if kind == "class" and t.ndim == 2 and type(self).value is LogLoss.value:
            return self._computed(_in_dtype_of(y, t), y, w, are_classes=True)
        return super()._value_of(kind, t, y, w)

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows; eps is that of the dtype of the outputs."""
        return super().value(t if t.ndim == 1 else _in_dtype_of(y, t), y, w)


def _in_dtype_of(y: NDArray[Any], t: NDArray[Any]) -> NDArray[Any]:
    """Return targets in the dtype of outputs, if the engine has this dtype."""
    return t.astype(y.dtype) if y.dtype in PRECISIONS else t
