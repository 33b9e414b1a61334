"""TensorBoard: losses, metrics and histograms of weights as event files.

Not here: the writer of event files, which comes with tensorboardX or PyTorch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.callbacks.base import Callback

if TYPE_CHECKING:
    from fastnn.callbacks.base import Logs


@_checks.explaining
class TensorBoard(Callback):
    """Write losses, metrics and histograms of the weights for TensorBoard.

    As in Keras, training values go to the folder "train" within `log_dir` and validation values to
    "validation", under the names "epoch_loss", "epoch_accuracy", ..., so that TensorBoard shows
    both in one plot. This needs tensorboardX, or PyTorch with tensorboard.

    Parameters
    ----------
    log_dir : str or path, default "logs"
        Folder of the event files.
    histogram_freq : int, default 0
        Number of epochs from one histogram of the weights to the next; 0 means none.

    Raises
    ------
    ImportError
        If neither package is installed.
    TypeError, ValueError
        If an argument is invalid.

    Examples
    --------
    >>> from fastnn.callbacks import TensorBoard
    >>> board = TensorBoard("runs/first", histogram_freq=10)  # doctest: +SKIP
    >>> net.fit(X, y, epochs=100, callbacks=[board])  # doctest: +SKIP
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", histogram_freq: int = 0) -> None:
        self.log_dir = _checks.file_path("log_dir", log_dir)
        self.histogram_freq = _checks.integer("histogram_freq", histogram_freq, low=0)
        self._kind = _checks.summary_writer()
        self._writers: dict[str, Any] = {}
        self._first, self._folder = 0, ""

    def on_train_begin(self, logs: Logs) -> None:
        """Close the files of an earlier training."""
        self.close()
        self._folder = os.path.abspath(self.log_dir)  # a training may change the working directory

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Record the first epoch of the training."""
        if not self._writers:
            self._first = epoch

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the epoch's values, and histograms if they are due."""
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            tag = f"epoch_{name.removeprefix('val_')}"
            self._writer(part).add_scalar(tag, float(value), epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            names = self.model._state.specification.shapes
            for name, weights in zip(names, self.model.get_weights(), strict=True):
                self._writer("train").add_histogram(name, weights, epoch)
        for writer in self._writers.values():
            writer.flush()

    def _writer(self, part: str) -> Any:
        """Return the writer to a folder, in which a resumed training replaces its epochs."""
        if part not in self._writers:
            folder, purged = os.path.join(self._folder, part), self._first or None
            self._writers[part] = self._kind(folder, purge_step=purged)
        return self._writers[part]

    def close(self) -> None:
        """Close the files."""
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.close()
