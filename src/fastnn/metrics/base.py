"""The base classes of all metrics, and of the metrics that the engine computes.

Not here: the metrics (of_classes.py, of_numbers.py), and the metrics of a network (__init__.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _checks
from fastnn._precision import KERNELS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Metric:
    """Base class of metrics: an object that is called with targets and outputs.

    Your own metric is a function, or a subclass of this class with a method `value`.

    Attributes
    ----------
    name : str
        The name in logs; by default the name of the class.
    targets : tuple of str
        The kinds of targets that the metric is defined for: "real", "positive", "probability",
        "class", as in ``Loss.targets``; by default all.
    best : str
        "max" if higher is better, "min", the default, if lower is better. Callbacks with
        ``mode="auto"``, such as `EarlyStopping`, use it.

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
            The kind of the targets, one of the attribute `targets`. By default it is inferred from
            the shapes if possible: labels (n,) with several outputs are classes.

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
            w = w / w.max()  # so that sums of weights do not overflow
            if w.ndim == 1 and not w.all():
                t, y, w = t[w > 0], y[w > 0], w[w > 0]
        if np.isnan(y.min()):
            return math.nan
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return _checks.metric_value(self.name, self._value_of(kind, t, y, w))

    def _value_of(self, kind: str, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value for targets of a kind; rows t (n, n_out) of classes become labels."""
        is_row = kind == "class" and t.ndim == 2
        return self.value(t.argmax(axis=1) if is_row else t, y, w)

    def check_outputs(self, n_out: int) -> None:
        """Raise a ValueError if the metric is not defined for this number of outputs."""

    def check_targets(self, name: str, t: NDArray[Any], kind: str) -> None:
        """Raise a ValueError if the metric is not defined for targets t (n, n_out)."""

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of the metric, a number, for checked rows; override this in your own.

        Parameters
        ----------
        t : ndarray of shape (n,) or (n, n_out)
            Class labels 0, 1, ..., or targets.
        y : ndarray of shape (n, n_out)
            Outputs of the network.
        w : ndarray of shape (n,) or (n, n_out), or None
            Weights of the rows, above 0 and at most 1, or of each output, from 0 to 1 if the user
            gave weights of outputs.

        Returns
        -------
        float
        """
        raise NotImplementedError


class Computed(Metric):
    """Base class of fastnn's own metrics, which the engine computes (engine/metrics.pxd)."""

    def options(self) -> dict[str, Any]:
        """Return the metric in the engine's form."""
        return {"kind": self.name}

    def value(self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None) -> Any:
        """Return the value of checked rows."""
        return self._computed(t, y, w, are_classes=t.ndim == 1)

    def _computed(
        self, t: NDArray[Any], y: NDArray[Any], w: NDArray[Any] | None, are_classes: bool
    ) -> float:
        """Return the engine's value; `are_classes` tells whether t are those of a softmax."""
        if len(y) == 0:
            return math.nan
        dtype = y.dtype
        if dtype not in KERNELS or not (t.ndim == 1 or t.dtype == dtype):
            dtype = np.dtype(np.float64)
        t = np.ascontiguousarray(t, np.int64 if t.ndim == 1 else dtype)
        y = np.ascontiguousarray(y, dtype)
        w = None if w is None else np.ascontiguousarray(w, np.float64)
        given = {**self.options(), "are_classes": are_classes}
        found: float = KERNELS[dtype].metric_value(given, t, y, w)
        return found
