"""Metrics: how well outputs match targets, over a whole set of rows.

A metric is given by name, as an object, or as a function. Sums are in float64 for networks of both
dtypes.

Not here: the arithmetic (engine/metrics.pxd), which whole fits without Python use, too; losses,
which training minimizes (losses.py); checks of arguments (_checks).

In the formulas ``t`` is a target, ``y`` an output and ``w`` the weight of a row, by default 1. A
row of weight 0 counts as absent. Where each output has a weight, the sums are over rows and
outputs, or over the rows of each output; a target of weight 0 counts as absent. If any output is
NaN, every metric is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _checks, losses
from fastnn._precision import KERNELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray

    from fastnn.losses import Loss

    #: A metric of a network, as `resolve` returns it.
    Resolved: TypeAlias = "_Bound | _Function"

_REAL = ("real", "positive", "probability")


class Metric:
    """Base of metrics: an object that is called with targets and outputs.

    A metric of your own is a function, or a class derived from this one with a method `value`.

    Attributes
    ----------
    name : str
        The name that logs use, by default that of the class.
    targets : tuple of str
        The kinds of targets that the metric is defined for: "real", "positive", "probability",
        "class", as in ``Loss.targets``; by default all.
    best : str
        "max" if higher is better, "min", the default, if lower is better. Callbacks with
        ``mode="auto"``, such as `EarlyStopping`, go by it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense
    >>> from fastnn.metrics import Metric
    >>> class Within(Metric):
    ...     best = "max"
    ...     def __init__(self, distance):
    ...         self.distance = distance
    ...     def value(self, t, y, w):
    ...         return np.average(np.abs(t - y).max(axis=1) <= self.distance, weights=w)
    >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="sgd")
    >>> net.set_weights([[[1.0]], [0.0]])
    >>> net.evaluate([[1.0], [2.0]], [1.25, 9.0], metrics=[Within(0.5)])["Within"]
    0.5
    """

    name: ClassVar[str]
    targets: ClassVar[tuple[str, ...]] = ("real", "positive", "probability", "class")
    best: ClassVar[str] = "min"

    def __init_subclass__(cls) -> None:
        if not hasattr(cls, "name"):
            cls.name = cls.__name__

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        targets: str | None = None,
    ) -> float:
        """Return the value of the metric.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_out)
            Targets; for classes the labels 0, 1, ..., or rows of probabilities such as one-hot
            rows.
        y_pred : array-like of shape (n, n_out)
            Outputs of the network, as `MLP.predict` returns them; shape (n,) means one output.
        sample_weight : array-like of shape (n,) or (n, n_out), optional
            Weights of the rows, 0 or more; or of each output, except for classes.
        targets : str, optional
            The kind of the targets, one of `targets`. By default it follows from the shapes if
            possible: labels (n,) with several outputs are classes.

        Returns
        -------
        float
            NaN if the metric is undefined.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid.
        """
        y = _checks.predictions("y_pred", y_pred)
        self.check_outputs(y.shape[1])
        t, kind = _checks.truth("y_true", y_true, y.shape, self, targets)
        self.check_targets("y_true", t, kind)
        shape = len(y), 1 if kind == "class" else y.shape[1]
        w = _checks.sample_weight("sample_weight", sample_weight, shape, np.float64, "y_pred")
        if w is not None:
            w = w / w.max()  # no sum of weights then overflows
            if w.ndim == 1 and not w.all():
                t, y, w = t[w > 0], y[w > 0], w[w > 0]
        if np.isnan(y.min()):
            return math.nan
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return _checks.metric_value(self.name, self.value(t, y, w))

    def check_outputs(self, n_out: int) -> None:
        """Raise a ValueError if the metric is not defined for this number of outputs."""

    def check_targets(self, name: str, t: NDArray[Any], kind: str) -> None:
        """Raise a ValueError if the metric is not defined for targets t (n, n_out)."""

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows: a number. A metric of your own overrides this.

        Parameters
        ----------
        t : ndarray of shape (n,) or (n, n_out)
            Class labels 0, 1, ..., or targets.
        y : ndarray of shape (n, n_out)
            Outputs of the network.
        w : ndarray of shape (n,) or (n, n_out), or None
            Weights of the rows, above 0 and at most 1; or of each output, from 0 to 1, where the
            user gave such weights.

        Returns
        -------
        float
        """
        raise NotImplementedError


def _computed(
    kind: str, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None, k: int = 1
) -> float:
    """Return the metric of a name of checked rows."""
    if len(y) == 0:
        return math.nan
    are_classes, dtype = t.ndim == 1, y.dtype
    if dtype not in KERNELS or not (are_classes or t.dtype == dtype):
        dtype = np.dtype(np.float64)
    t = np.ascontiguousarray(t, np.int64 if are_classes else dtype)
    y = np.ascontiguousarray(y, dtype)
    w = None if w is None else np.ascontiguousarray(w, np.float64)
    value: float = KERNELS[dtype].metric_value(kind, k, t, y, w)
    return value


@dataclass(frozen=True)
class Accuracy(Metric):
    """Fraction of correct classes ``sum_i w_i [argmax y_i = t_i] / sum_i w_i``; from 0 to 1.

    A sigmoid output is correct if it is on the same side of 0.5 as its target (0.5 itself counts as
    below); a row counts with the fraction of its outputs that are correct. Of equal outputs the
    first is the argmax.

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

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows."""
        return _computed(self.name, t, y, w)


@dataclass(frozen=True)
class TopKAccuracy(Metric):
    """Fraction of rows whose class is among the k largest outputs; from 0 to 1.

    ``sum_i w_i [rank of y_it among y_i <= k] / sum_i w_i``. Of equal outputs the first ranks
    higher, so that k = 1 gives `Accuracy`. For multi-class networks.

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

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows."""
        return _computed(self.name, t, y, w, self.k)


@dataclass(frozen=True)
class R2(Metric):
    """Coefficient of determination ``1 - sum_i w_i (t_i - y_i)**2 / sum_i w_i (t_i - mean t)**2``.

    1 is perfect, 0 is as good as predicting the mean of the targets, and there is no lower bound.
    For several outputs it is their mean. For constant targets it is 1 if all outputs are exact,
    otherwise 0, as in scikit-learn. With fewer than 2 rows it is NaN.

    Examples
    --------
    >>> from fastnn.metrics import R2
    >>> R2()([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 3.0])
    0.8
    """

    name: ClassVar[str] = "r2"
    targets: ClassVar[tuple[str, ...]] = _REAL
    best: ClassVar[str] = "max"

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows."""
        return _computed(self.name, t, y, w)


@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """Mean absolute error ``sum_i w_i |t_i - y_i| / sum_i w_i``; 0 or more, in the targets' units.

    For several outputs it is their mean; the loss "absolute_error" is their sum.

    Examples
    --------
    >>> from fastnn.metrics import MeanAbsoluteError
    >>> MeanAbsoluteError()([1.0, 2.0], [1.5, 4.0])
    1.25
    """

    name: ClassVar[str] = "mae"
    targets: ClassVar[tuple[str, ...]] = _REAL
    best: ClassVar[str] = "min"

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows."""
        return _computed(self.name, t, y, w)


@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """Mean squared error ``sum_i w_i (t_i - y_i)**2 / sum_i w_i``; 0 or more.

    For several outputs it is their mean; the loss "squared_error" is half their sum.

    Examples
    --------
    >>> from fastnn.metrics import MeanSquaredError
    >>> MeanSquaredError()([1.0, 2.0], [2.0, 4.0])
    2.5
    """

    name: ClassVar[str] = "mse"
    targets: ClassVar[tuple[str, ...]] = _REAL
    best: ClassVar[str] = "min"

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows."""
        return _computed(self.name, t, y, w)


@dataclass(frozen=True)
class ROCAUC(Metric):
    """Area under the ROC curve; from 0 to 1, 0.5 for chance (Hanley, McNeil, Radiology 1982).

    ``sum_ij w_i w_j ([y_i > y_j] + 1/2 [y_i = y_j]) / sum_ij w_i w_j`` over the rows i of target 1
    and j of target 0: the probability that the output of a positive row is above the output of a
    negative row. For several sigmoid outputs it is their mean. For classes it is the mean over
    classes of each class against the rest; for two classes it is that of the second class. NaN if a
    class has no rows.

    Examples
    --------
    >>> from fastnn.metrics import ROCAUC
    >>> ROCAUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """

    name: ClassVar[str] = "roc_auc"
    targets: ClassVar[tuple[str, ...]] = ("probability", "class")
    best: ClassVar[str] = "max"

    def check_targets(self, name: str, t: NDArray[Any], kind: str) -> None:
        """Raise a ValueError if targets of sigmoid outputs are not all 0 or 1."""
        if kind != "class":
            _checks.zeros_and_ones(name, t, self.name)

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows."""
        return _computed(self.name, t, y, w)


_BY_NAME: dict[str, type[Metric]] = {
    metric.name: _checks.explaining(metric)
    for metric in (Accuracy, TopKAccuracy, R2, MeanAbsoluteError, MeanSquaredError, ROCAUC)
}

NAMES = tuple(_BY_NAME)

#: Keras' names of metrics that are the same to the letter. In logs they keep their own name.
ALIASES = {
    "acc": "accuracy",
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
}


def get(metric: str | Metric) -> Metric:
    """Return the specification for a name; return a specification as it is."""
    return metric if isinstance(metric, Metric) else _named("metric", metric)


def _named(place: str, name: object) -> Metric:
    """Return the metric of a name."""
    return _BY_NAME[_checks.choice(place, name, NAMES, ALIASES, _checks.names.METRICS)]()


# ---- the metrics of a network -------------------------------------------------------------------


@dataclass(frozen=True)
class _Bound:
    """A metric with the kind of targets that it is called with."""

    metric: Metric
    kind: str

    @property
    def best(self) -> str:
        return self.metric.best

    @property
    def kernel(self) -> dict[str, Any] | None:
        """The metric as the engine takes it, None if it is a user's."""
        metric = self.metric
        if type(metric) not in _BY_NAME.values():
            return None
        k = metric.k if isinstance(metric, TopKAccuracy) else 1
        return {"kind": metric.name, "k": k, "are_classes": self.kind == "class"}

    def check_targets(self, name: str, T: NDArray[Any] | None) -> None:
        """Raise a ValueError if the metric is not defined for T (n, n_out); None means labels."""
        if T is not None:
            self.metric.check_targets(name, T, self.kind)

    def check_weights(self, name: str, weights: NDArray[Any] | None) -> None:
        """Raise a ValueError if the metric is not defined for weights (n,) or (n, n_out)."""
        _checks.weights_of_metrics(name, weights, self.metric.name, takes_weights=True)

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        return self.metric(y_true, y_pred, sample_weight, targets=self.kind)


@dataclass(frozen=True)
class _Function:
    """A function of a user as a metric.

    `weights` is "absent", "optional" or "required": what its parameter sample_weight is.
    """

    name: str
    function: Callable[..., Any]
    weights: str
    best: str
    kernel: ClassVar[None] = None  # the engine has no such metric

    def check_targets(self, name: str, T: NDArray[Any] | None) -> None:
        """Accept any targets."""

    def check_weights(self, name: str, weights: NDArray[Any] | None) -> None:
        """Raise a ValueError if the function is not called with weights that it needs."""
        takes_weights = self.weights != "absent"
        _checks.weights_of_metrics(name, weights, self.name, takes_weights=takes_weights)

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        weighted = self.weights == "required" or (
            self.weights == "optional" and sample_weight is not None
        )
        more = {"sample_weight": sample_weight} if weighted else {}
        return _checks.metric_value(self.name, self.function(y_true, y_pred, **more))


def resolve(metrics: Any, loss: Loss, n_out: int) -> dict[str, Resolved]:
    """Return the metrics of a network, checked and ready to be called.

    Parameters
    ----------
    metrics : str, Metric, function or dict, or a list of these
        Names as in `NAMES`; objects such as ``TopKAccuracy(3)``; functions ``f(y_true, y_pred)`` or
        ``f(y_true, y_pred, sample_weight)`` that return a number, whose name is their
        ``__name__``. The keys of a dict are names for its values.
    loss : Loss
        The loss of the network.
    n_out : int
        The number of outputs of the network.

    Returns
    -------
    dict of str to callable
        Metrics by their names in logs. ``f(y_true, y_pred, sample_weight=None)`` returns a float;
        ``f.check_targets(name, T)`` raises before training what ``f`` would raise after an epoch;
        ``f.best`` is "max" or "min".

    Raises
    ------
    TypeError, ValueError
        If a metric is unknown, has no name, or does not suit the loss or the outputs, or if two
        metrics have the same name.

    Notes
    -----
    A function is called with the same targets and outputs as the callable, and with the sample
    weights, if any, if it has a parameter ``sample_weight``.

    Examples
    --------
    >>> from fastnn import SquaredError
    >>> from fastnn.metrics import resolve
    >>> def bias(y_true, y_pred):
    ...     return (y_pred - y_true).mean()
    >>> list(resolve(["r2", bias, {"error": "mae"}], SquaredError(), 1))
    ['r2', 'bias', 'error']
    """
    resolved: dict[str, Resolved] = {}
    for place, key, metric in _checks.metric_list(metrics, Metric):
        if isinstance(metric, str):
            key = metric if key is None and metric in ALIASES else key
            metric = _named(place, metric)
        if isinstance(metric, Metric):
            _checks.computes(place, metric, Metric)
            if loss.targets not in metric.targets:
                fit = [name for name in losses.NAMES if losses.get(name).targets in metric.targets]
                instead = [name for name in NAMES if loss.targets in _BY_NAME[name].targets]
                _checks.refuse_metric(metric.name, fit, loss.name, instead)
            metric.check_outputs(n_out)
            name = _checks.log_name(place, metric.name if key is None else key, resolved)
            if type(metric).__call__ is Metric.__call__:
                resolved[name] = _Bound(metric, loss.targets)
            else:  # a class of a user that is called like a function
                weights = _checks.weights_parameter(name, metric)
                resolved[name] = _Function(name, metric, weights, metric.best)
        else:
            name = _checks.function_name(place, metric) if key is None else key
            name = _checks.log_name(place, name, resolved)
            weights = _checks.weights_parameter(name, metric)
            best = "max" if higher_is_better(name) else "min"
            resolved[name] = _Function(name, metric, weights, best)
    return resolved


_HIGHER = ("acc", "accuracy", "auc", "r2", "score", "precision", "recall", "f1")


def higher_is_better(log_name: str, resolved: Mapping[str, Resolved] | None = None) -> bool:
    """Return whether a higher value is better, for a name in the logs.

    Parameters
    ----------
    log_name : str
        A name such as "val_accuracy"; the prefix ``val_`` is ignored.
    resolved : dict, optional
        What `resolve` returned, for metrics with names given by a user.

    Returns
    -------
    bool
        ``metric.best == "max"`` for the metric of that name. For other names, whether the name ends
        with acc, accuracy, auc, r2, score, precision, recall or f1.

    Examples
    --------
    >>> from fastnn.metrics import higher_is_better
    >>> higher_is_better("val_accuracy"), higher_is_better("val_loss"), higher_is_better("my_f1")
    (True, False, True)
    """
    name = log_name.removeprefix("val_")
    known = (resolved or {}).get(name) or _BY_NAME.get(name)
    return name.lower().endswith(_HIGHER) if known is None else known.best == "max"


if not TYPE_CHECKING:  # who would let any name pass
    __getattr__ = _checks.names_of_module(__name__, _checks.names.METRICS)
