"""ModelCheckpoint: save the network and the state of its training to a file after epochs.

Not here: the content and the writing of the file (exchange/model_files.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastnn import _checks, _files
from fastnn.callbacks.base import Monitoring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fastnn.callbacks.base import Logs


@_checks.explaining
class ModelCheckpoint(Monitoring):
    """Save the network after epochs, with the state of the training, so that it can be resumed.

    Parameters
    ----------
    path : str or path
        Path of the file. It may contain fields: ``{epoch}``, counted from 1, and names of losses
        and metrics, as in ``"net-{epoch:03d}-{val_loss:.3f}.safetensors"``. Without fields, each
        save replaces the previous file. Missing folders are created.
    monitor : str, default "val_loss"
        Name of the loss or metric to monitor; only used with `save_best_only`.
    save_best_only : bool, default False
        Whether to save only when the value is better than at every earlier save.
    mode : {"auto", "min", "max"}, default "auto"
        Whether lower or higher is better; "auto" decides by the name.
    period : int, default 1
        Number of epochs from one save (or comparison) to the next; the last epoch always has one.

    Attributes
    ----------
    best : float or None
        The value at the last save with `save_best_only`. The next `fit` continues with it, since
        the file is still there.

    Raises
    ------
    ValueError
        If an argument is invalid; in `fit`, if the logs will lack the monitored value or that of a
        field, if `fit` reads the file, or if another callback writes it.

    Notes
    -----
    This callback runs after all others, wherever it is in the list, so that the file has their
    state after the epoch.

    Examples
    --------
    >>> from fastnn.callbacks import ModelCheckpoint
    >>> keep = ModelCheckpoint("runs/net-{epoch:03d}.safetensors", period=10)
    >>> best = ModelCheckpoint("runs/best.safetensors", save_best_only=True)
    >>> net.fit(X, y, epochs=100, validation_data=(V, t), callbacks=[keep, best])  # doctest: +SKIP
    """

    runs_last = True
    _folder = ""  # the working directory at the beginning of a training, which may change it
    _kept = ("best",)

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        *,
        save_best_only: bool = False,
        mode: str = "auto",
        period: int = 1,
    ) -> None:
        super().__init__(monitor, mode)
        self.path, self._fields = _checks.path_template("path", _checks.model_path("path", path))
        self.save_best_only = _checks.flag("save_best_only", save_best_only)
        self.period = _checks.integer("period", period, low=1)
        self.best: float | None = None

    @property
    def files_written(self) -> Sequence[str]:
        """The path, with its fields if it has any."""
        return (self.path if self._fields else self.path.format(),)

    def _file(self, fields: Mapping[str, Any]) -> str:
        """Return the path of the file to write, with values for its fields."""
        return os.path.join(self._folder, self.path.format_map(fields))

    def _reset(self) -> None:
        """Do nothing: the best value is kept as long as the file."""

    def _check_names(self, names: Sequence[str]) -> None:
        _checks.path_fields("path", self.path, self._fields, names)
        if self.save_best_only:
            super()._check_names(names)

    def on_train_begin(self, logs: Logs) -> None:
        """Check that the logs will have the values for path and comparison; create the folder."""
        self._check_names(self.params["monitors"])
        self._folder = os.getcwd()
        first, second = (self._file(dict.fromkeys(self._fields, i)) for i in (1, 2))
        _checks.no_checkpoint("path", first)
        if os.path.dirname(first) == os.path.dirname(second):  # else each save creates its folder
            _files.make_folder_of(first)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save if the period is over and, with `save_best_only`, the value is better."""
        last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if (epoch + 1) % self.period and not last:
            return
        best = self.best
        if self.save_best_only:
            value = self._monitored(epoch, logs)
            if not self._is_better(value, self.best):
                return
            self.best = value  # before the save, since the file has the state of this callback
        path = self._file({**logs, "epoch": epoch + 1})
        try:
            _files.make_folder_of(path)
            self.model.save(path)
        except BaseException:
            self.best = best
            raise
