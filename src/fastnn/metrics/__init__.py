"""Metrics: how well outputs match targets, over a whole set of rows.

A metric is given by name, as an object, or as a function. Sums are computed in float64 for networks
of both dtypes.

Not here: the arithmetic (engine/metrics.pxd), which fits without Python between epochs share;
losses, which training minimizes (losses.py); checks of arguments (_checks).

In the formulas ``t`` is a target, ``y`` an output and ``w`` the weight of a row, by default 1. A
row of weight 0 counts as absent. If each output has a weight, the sums are over rows and outputs,
or over the rows of each output; a target of weight 0 counts as absent. If any output is NaN, every
metric is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _checks, losses
from fastnn.metrics.base import Computed, Metric
from fastnn.metrics.of_classes import (
    ROCAUC,
    Accuracy,
    BalancedAccuracy,
    F1Score,
    LogLoss,
    Precision,
    Recall,
    TopKAccuracy,
)
from fastnn.metrics.of_numbers import R2, MeanAbsoluteError, MeanSquaredError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray

    from fastnn.losses import Loss

    #: A metric of a network, as `resolve` returns it.
    Resolved: TypeAlias = "_Bound | _Function"

__all__ = [
    "ALIASES",
    "NAMES",
    "R2",
    "ROCAUC",
    "Accuracy",
    "BalancedAccuracy",
    "F1Score",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "TopKAccuracy",
    "get",
    "higher_is_better",
    "resolve",
]

_BY_NAME: dict[str, type[Computed]] = {
    metric.name: _checks.explaining(metric)
    for metric in (
        Accuracy,
        TopKAccuracy,
        BalancedAccuracy,
        Precision,
        Recall,
        F1Score,
        ROCAUC,
        LogLoss,
        R2,
        MeanAbsoluteError,
        MeanSquaredError,
    )
}

NAMES = tuple(_BY_NAME)

#: Keras' names for metrics with identical definitions. Logs use the name that the user gave.
ALIASES = {
    "acc": "accuracy",
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
}


def get(metric: str | Metric) -> Metric:
    """Return the metric of a name; a Metric is returned as it is."""
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
        """The metric in the engine's form, or None if it is the user's own."""
        metric = self.metric
        if not isinstance(metric, Computed) or type(metric) not in _BY_NAME.values():
            return None
        return {**metric.options(), "are_classes": self.kind == "class"}

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
    """A user's function as a metric.

    `weights` is "absent", "optional" or "required" and describes its parameter `sample_weight`.
    """

    name: str
    function: Callable[..., Any]
    weights: str
    best: str
    kernel: ClassVar[None] = None  # the engine cannot compute it

    def check_targets(self, name: str, T: NDArray[Any] | None) -> None:
        """Accept any targets."""

    def check_weights(self, name: str, weights: NDArray[Any] | None) -> None:
        """Raise a ValueError for negative weights, or for weights of outputs that it ignores."""
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


def _suits(metric: Metric | type[Metric], loss: Loss) -> bool:
    """Whether a metric can compare the outputs and targets of a loss."""
    return loss.predicts_targets and loss.targets in metric.targets


def resolve(metrics: Any, loss: Loss, n_out: int) -> dict[str, Resolved]:
    """Return the metrics of a network, checked and ready to be called.

    Parameters
    ----------
    metrics : str, Metric, function or dict, or a list of these
        Names as in `NAMES`; objects such as ``TopKAccuracy(3)``; functions ``f(y_true, y_pred)`` or
        ``f(y_true, y_pred, sample_weight)`` that return a number and are named by their
        ``__name__``. The keys of a dict are names for its values.
    loss : Loss
        The loss of the network.
    n_out : int
        The number of outputs of the network.

    Returns
    -------
    dict of str to callable
        Metrics by their names in logs. ``f(y_true, y_pred, sample_weight=None)`` returns a float;
        ``f.check_targets(name, T)`` raises, before training, the error that ``f`` would raise after
        an epoch; ``f.best`` is "max" or "min".

    Raises
    ------
    TypeError, ValueError
        If a metric is unknown, has no name, or does not suit the loss or the outputs, or if two
        metrics have the same name.

    Notes
    -----
    A user's function is called with the targets and outputs that are passed to the callable; it
    gets the sample weights, if any, if it has a parameter ``sample_weight``.

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
            if not _suits(metric, loss):
                fit = [name for name in losses.NAMES if _suits(metric, losses.get(name))]
                instead = [name for name in NAMES if _suits(_BY_NAME[name], loss)]
                _checks.refuse_metric(metric.name, fit, loss.name, instead)
            metric.check_outputs(n_out)
            name = _checks.log_name(place, metric.name if key is None else key, resolved)
            if type(metric).__call__ is Metric.__call__:
                resolved[name] = _Bound(metric, loss.targets)
            else:  # a user's class that overrides `__call__`
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
        The metrics that `resolve` returned, for metrics with a user's names.

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


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.METRICS)
