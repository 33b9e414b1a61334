"""Callbacks that set the learning rate: ReduceLROnPlateau and LearningRateScheduler.

Not here: schedules, which the kernels follow without a callback (schedules.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.callbacks.base import Callback, Monitoring

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn.callbacks.base import Logs


def _take_over_rate(callback: Callback) -> None:
    """Check that the learning rate is constant, and add it to the names in the logs."""
    optimizer: Any = callback.model.optimizer  # every kind has a learning_rate
    _checks.constant_rate(type(callback).__name__, optimizer.learning_rate)
    names = callback.params["monitors"]
    if "learning_rate" not in names:
        names.append("learning_rate")


@_checks.explaining
class ReduceLROnPlateau(Monitoring):
    """Lower the learning rate when a monitored value has stopped improving.

    The rate becomes ``max(rate * factor, min_lr)`` after `patience` epochs without improvement.
    The logs of an epoch get the "learning_rate" that it was trained with.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the loss or metric to monitor.
    factor : float, default 0.1
        Factor by which the rate is lowered, above 0 and below 1.
    patience : int, default 10
        Number of epochs without improvement after which the rate is lowered; 0 means 1.
    mode : {"auto", "min", "max"}, default "auto"
        Whether lower or higher is better; "auto" decides by the name.
    min_delta : float, default 1e-4
        A value improves only if it is better by more than this; at least 0.
    cooldown : int, default 0
        After a reduction, epochs without improvement are counted again from the `cooldown`-th epoch
        on; 0 and 1 both mean the next epoch.
    min_lr : float, default 0.0
        Lower bound of the rate.

    Attributes
    ----------
    best : float or None
        The best value so far.
    wait : int
        Number of epochs without improvement.
    cooldown_counter : int
        Remaining epochs of the cooldown.

    Raises
    ------
    ValueError
        If an argument is out of its range; in `fit`, if the logs will lack the monitored value or
        the optimizer's rate follows a schedule.

    Examples
    --------
    >>> from fastnn.callbacks import ReduceLROnPlateau
    >>> lower = ReduceLROnPlateau(factor=0.5, patience=3, min_lr=1e-5)
    >>> net.fit(X, y, epochs=100, validation_data=(V, t), callbacks=[lower])  # doctest: +SKIP
    """

    _kept = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = _checks.number("factor", factor, above=0.0, below=1.0)
        self.patience = _checks.integer("patience", patience, low=0)
        self.cooldown = _checks.integer("cooldown", cooldown, low=0)
        self.min_lr = _checks.number("min_lr", min_lr, low=0.0)

    def _reset(self) -> None:
        self.best: float | None = None
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs) -> None:
        """Check that the rate is constant; reset the state, unless one was set."""
        super().on_train_begin(logs)
        _take_over_rate(self)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the value, and lower the rate after `patience` epochs without improvement."""
        rate = self.model.learning_rate
        logs.setdefault("learning_rate", rate)
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        value = self._monitored(epoch, logs)
        if self._is_better(value, self.best):
            self.best = value
            self.wait = 0
            return
        if self.cooldown_counter > 0:
            return
        self.wait += 1
        lower = max(rate * self.factor, self.min_lr)
        if self.wait >= self.patience and 0 < lower < rate:  # many reductions can underflow to 0
            self.model.learning_rate = lower
            self.cooldown_counter = self.cooldown
            self.wait = 0


@_checks.explaining
class LearningRateScheduler(Callback):
    """Set the learning rate before every epoch.

    The logs of an epoch get the "learning_rate" that it was trained with.

    Parameters
    ----------
    schedule : callable
        Called as ``schedule(epoch, learning_rate)`` if it takes two arguments, else as
        ``schedule(epoch)``; returns the rate, above 0. The first epoch is 0.

    Raises
    ------
    TypeError, ValueError
        If `schedule` cannot be called with these arguments; in `fit`, if it returns no rate, or if
        the optimizer's rate follows a schedule already.

    Examples
    --------
    >>> from fastnn.callbacks import LearningRateScheduler
    >>> halve = LearningRateScheduler(lambda epoch: 0.1 * 0.5 ** (epoch // 10))
    >>> net.fit(X, y, epochs=100, callbacks=[halve])  # doctest: +SKIP
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        self.schedule, self._takes_rate = _checks.rate_schedule(schedule)

    def on_train_begin(self, logs: Logs) -> None:
        """Check that the rate is constant."""
        _take_over_rate(self)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Set the rate."""
        args: tuple[float, ...] = (epoch,)
        if self._takes_rate:
            args = (epoch, self.model.learning_rate)
        called = f"schedule({', '.join(f'{arg:g}' for arg in args)})"
        self.model.learning_rate = _checks.number(called, self.schedule(*args), above=0.0)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Add the rate to the logs."""
        logs.setdefault("learning_rate", self.model.learning_rate)
