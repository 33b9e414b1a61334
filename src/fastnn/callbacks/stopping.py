"""Callbacks that stop training: EarlyStopping and TerminateOnNaN."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.callbacks.base import Callback, Monitoring

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.callbacks.base import Logs


@_checks.explaining
class EarlyStopping(Monitoring):
    """Stop training when a monitored value has stopped improving.

    Training ends after an epoch without improvement, if `patience` epochs (at least one) have
    passed since the last improvement. It never ends after epoch 0.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the loss or metric to monitor.
    min_delta : float, default 0.0
        A value improves only if it is better by more than this; at least 0.
    patience : int, default 0
        Number of epochs without improvement after which training ends.
    mode : {"auto", "min", "max"}, default "auto"
        Whether lower or higher is better; "auto" decides by the name.
    baseline : float, optional
        An epoch whose value is not better than the baseline counts as one without improvement, but
        an epoch that is better than all epochs before never ends training.
    restore_best_weights : bool, default False
        Whether to restore the weights of the best epoch when training ends. As in Keras 3, they are
        also restored if training ran through all epochs, and regardless of the baseline. If no
        value was finite, the weights after the first compared epoch are restored. The optimizer's
        state stays that of the last update. With `SwapEMAWeights` the moving averages of the
        weights are restored.
    start_from_epoch : int, default 0
        Epochs before this one are ignored.

    Attributes
    ----------
    best : float or None
        The best value so far.
    best_epoch : int or None
        The epoch of the best value; with `restore_best_weights` that of the weights to restore.
    stopped_epoch : int
        The epoch after which this callback stopped training; 0 if it did not.
    wait : int
        Number of epochs since the last improvement.

    Raises
    ------
    ValueError
        If an argument is out of its range; in `fit`, if the logs will lack the monitored value.

    Examples
    --------
    >>> from fastnn.callbacks import EarlyStopping
    >>> stop = EarlyStopping(patience=5, restore_best_weights=True)
    >>> net.fit(X, y, epochs=100, validation_data=(V, t), callbacks=[stop])  # doctest: +SKIP
    """

    _kept = ("best", "best_epoch", "best_weights", "wait", "stopped_epoch")

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _checks.integer("patience", patience, low=0)
        self.baseline = None if baseline is None else _checks.number("baseline", baseline)
        self.restore_best_weights = _checks.flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = _checks.integer("start_from_epoch", start_from_epoch, low=0)

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_weights: list[NDArray[Any]] | None = None
        self.wait = self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs) -> None:
        """Reset the state, unless one was set; stop at once if that state had ended a training."""
        super().on_train_begin(logs)
        if self.stopped_epoch and self.wait >= self.patience:
            self.model.stop_training = True
        else:  # the patience has been raised since
            self.stopped_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the value, and stop training after `patience` epochs without improvement."""
        value = self._monitored(epoch, logs)
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        better = self._is_better(value, self.best)
        if better or (self.restore_best_weights and self.best_weights is None):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self._weights()
        if better:
            self.best = value
            if self.baseline is None or self._is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _weights(self) -> list[NDArray[Any]]:
        """Return the weights used in validation."""
        if self.params.get("judges_averages", False):
            return self.model.get_ema_weights()
        return self.model.get_weights()

    def on_train_end(self, logs: Logs) -> None:
        """Restore the best weights, if requested."""
        if self.restore_best_weights and self.best_weights is not None:
            self.model.set_weights(self.best_weights)


@_checks.explaining
class TerminateOnNaN(Callback):
    """Stop training with a warning, instead of an error, when the loss is no longer finite.

    Warns
    -----
    RuntimeWarning
        With the text of the FloatingPointError that `fit` would raise otherwise.

    Examples
    --------
    >>> from fastnn.callbacks import TerminateOnNaN
    >>> net.fit(X, y, epochs=100, callbacks=[TerminateOnNaN()])  # doctest: +SKIP
    """

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """Warn, and end training."""
        warnings.warn(str(error), RuntimeWarning, stacklevel=6)  # shown at the call of fit
        return True
