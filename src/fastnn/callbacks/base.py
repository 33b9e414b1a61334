"""Callback: the hooks that `fit` calls; bases of callbacks with a state or a monitored value.

Names, arguments and behaviour are those of Keras 3, except what docs/coming_from/keras.rst lists.
Not here: the training loop, which calls the hooks (training/loop.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _checks, metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastnn.mlp import MLP

    Logs = dict[str, float]


class Callback:
    """Base class of callbacks: override the hooks you need; `model` is the MLP in training.

    A hook ends `fit` by ``self.model.stop_training = True``: in `on_train_begin` before the first
    epoch, in a hook for epochs after the epoch, and in a hook for batches or progress after the
    current rows. An epoch that ends early counts as an epoch. Hooks get a dict of logs:
    ``{"loss": ..., "val_loss": ...}`` at the end of an epoch, the loss of the batch after an
    update, the loss of the epoch so far in `on_progress`, and an empty dict otherwise. Later
    callbacks and the history see the names that a hook adds to the logs of an epoch.

    A fit that is resumed from a checkpoint continues even if a hook had ended it, for instance
    because its time was up. If the end should be final, store that in the state of the callback
    (`get_state`, `set_state`) and set `stop_training` in `on_train_begin` again, as `EarlyStopping`
    does.

    Attributes
    ----------
    model : MLP
        The network in training; set by `fit`.
    params : dict
        Parameters of this `fit`: "epochs", their total number; "steps", batches per epoch (of an
        iterable, at most), and "samples", rows per epoch, each None if unknown; "batch_size";
        "verbose"; "monitors", the names in the logs at the end of an epoch; "metrics", the metrics
        among them by name; "judges_averages", whether validation uses the moving averages of the
        weights. A callback that adds a name to the logs must append it to the list of monitors in
        `on_train_begin`.
    runs_last : bool
        Whether `fit` calls this callback after all others and after the history.

    Examples
    --------
    >>> from fastnn import Callback
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, epoch: int, logs: Logs) -> None:
    ...         if logs["loss"] < 0.1:
    ...             self.model.stop_training = True
    """

    model: MLP = None  # type: ignore[assignment]  # until `fit` sets it
    params: dict[str, Any] = None  # type: ignore[assignment]  # until `fit` sets it
    runs_last: ClassVar[bool] = False
    _is_internal: ClassVar[bool] = False  # added by fastnn: the fit must do the same without it

    def on_train_begin(self, logs: Logs) -> None:
        """Called before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """Called after the last epoch, unless training failed."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before an epoch; the first is epoch 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after an epoch, with its losses and metrics."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before an update; overriding it makes training of small networks slower."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after an update, with its loss; overriding it makes training slower as well."""

    def on_progress(self, rows: int, logs: Logs) -> None:
        """Called about ten times a second, with the number of rows trained so far in the epoch."""

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """Called before `fit` raises this error; return True to end training without an error."""
        return False

    def close(self) -> None:
        """Called at the very end, even if training failed; close files here."""

    @property
    def files_written(self) -> Sequence[str]:
        """Paths of the files that the callback writes.

        `fit` checks that none of them is an input of `fit` or written by another callback.
        """
        return ()

    @property
    def wants_progress(self) -> bool:
        """Whether `fit` calls `on_progress`; read once, after `on_train_begin`."""
        return getattr(self.on_progress, "__func__", None) is not Callback.on_progress

    def get_state(self) -> dict[str, Any]:
        """Return the state that a checkpoint keeps of the callback.

        Returns
        -------
        dict
            Values that JSON can hold (numbers must be finite), or lists of ndarrays.
        """
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, before or after `on_train_begin`."""

    def _check_names(self, names: Sequence[str]) -> None:
        """Check that the logs, which will have these names, have what the callback reads."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: everything except what `fit` sets."""
        return {k: v for k, v in vars(self).items() if k not in ("model", "params")}


class Keeping(Callback):
    """A callback whose state is the attributes named in `_kept`, which each training resets."""

    _kept: ClassVar[tuple[str, ...]] = ()
    _resumed = False

    def on_train_begin(self, logs: Logs) -> None:
        """Reset the state, unless one was set."""
        if not self._resumed:
            self._reset()

    def _reset(self) -> None:
        """Set the attributes to their initial values."""

    def close(self) -> None:
        """Let the next training reset the state."""
        self._resumed = False

    def get_state(self) -> dict[str, Any]:
        """Return the attributes named in `_kept`."""
        return {name: getattr(self, name) for name in self._kept}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set the attributes; the current or next training continues with them."""
        state = _checks.callback_state(type(self).__name__, state, self._kept)
        for name in self._kept:
            setattr(self, name, state[name])
        self._resumed = True


class Monitoring(Keeping):
    """A callback that monitors one value of the logs for improvement."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        self.monitor = _checks.monitor(monitor)
        self.mode = _checks.choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = _checks.number("min_delta", min_delta, low=0.0)
        self._reset()

    def _check_names(self, names: Sequence[str]) -> None:
        known = {name: name for name in metrics.NAMES} | metrics.ALIASES
        _checks.monitored(self.monitor, names, known)

    def on_train_begin(self, logs: Logs) -> None:
        """Check that the logs will have the monitored value."""
        self._check_names(self.params["monitors"])
        super().on_train_begin(logs)

    def _monitored(self, epoch: int, logs: Logs) -> float:
        """Return the monitored value."""
        return _checks.logged(type(self).__name__, self.monitor, epoch, logs)

    def _is_better(self, value: float, reference: float | None) -> bool:
        """Whether a finite value is better than `reference` (None: any) by more than min_delta."""
        if not math.isfinite(value) or reference is None:
            return math.isfinite(value)
        higher = self.mode == "max"
        if self.mode == "auto":
            higher = metrics.higher_is_better(self.monitor, (self.params or {}).get("metrics"))
        if higher:
            return value > reference + self.min_delta
        return value < reference - self.min_delta
