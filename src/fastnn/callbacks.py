"""What listens to `fit`: the hooks, the callbacks that come with fastnn, and the history.

Names, arguments and what they do are Keras 3's, so that habits carry over. Not here: the training
loop (training.py calls the hooks), the file that a checkpoint is written to, and arithmetic.
"""

import csv
import math
import os
import sys
import time
import warnings

from fastnn import _checks, plotting
from fastnn.metrics import higher_is_better


class Callback:
    """Base of callbacks: override the hooks you need; `model` is the MLP in training.

    Setting ``self.model.stop_training = True`` in a hook ends `fit` after the epoch, in a hook for
    batches or progress after the rows being trained. Hooks get a dict of logs: ``{"loss": ...,
    "val_loss": ...}`` at the end of an epoch, the loss so far within it, else an empty one. What a
    hook adds to the logs of an epoch, the callbacks after it and the history see too.

    Attributes
    ----------
    model : MLP
        The network in training; set by `fit`.
    params : dict
        Of this `fit`: "epochs", the number of the last epoch; "steps", batches an epoch, and
        "samples", rows an epoch, None where these are not known; "batch_size"; "verbose";
        "monitors", the names that the logs at the end of an epoch will have. A callback that adds
        a name to the logs appends it to this list in `on_train_begin`.
    runs_last : bool
        Whether `fit` calls it after all others and the history.

    Examples
    --------
    >>> from fastnn import Callback
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         if logs["loss"] < 0.1:
    ...             self.model.stop_training = True
    """

    model = None
    params = None
    runs_last = False

    def on_train_begin(self, logs):
        """Called before the first epoch."""

    def on_train_end(self, logs):
        """Called after the last epoch, unless training failed."""

    def on_epoch_begin(self, epoch, logs):
        """Called before an epoch; the first is epoch 0."""

    def on_epoch_end(self, epoch, logs):
        """Called after an epoch, with its losses and metrics."""

    def on_train_batch_begin(self, batch, logs):
        """Called before an update; overriding it makes training of small networks slower."""

    def on_train_batch_end(self, batch, logs):
        """Called after an update, with its loss; overriding it costs as much."""

    def on_progress(self, rows, logs):
        """Called some ten times a second, with the rows trained so far in the epoch."""

    def on_nonfinite_loss(self, error):
        """Called before `fit` raises this FloatingPointError; True ends training without it."""
        return False

    def close(self):
        """Called at the very end, even if training failed: the place to close files."""

    @property
    def wants_progress(self):
        """Whether `fit` is to call `on_progress`; asked once training has begun."""
        return getattr(self.on_progress, "__func__", None) is not Callback.on_progress

    def get_state(self):
        """Return what a checkpoint keeps of the callback.

        Returns
        -------
        dict
            Values as JSON has them (finite numbers), or lists of ndarrays.
        """
        return {}

    def set_state(self, state):
        """Take up a state that `get_state` returned, before or after `on_train_begin`."""


class _Keeping(Callback):
    """A callback whose state are the attributes named in `_kept`, new for every training."""

    _kept = ()
    _resumed = False

    def on_train_begin(self, logs):
        """Start anew, unless a state was set."""
        if not self._resumed:
            self._reset()

    def close(self):
        """Let the next training start anew."""
        self._resumed = False

    def get_state(self):
        """Return the attributes that a checkpoint keeps."""
        return {name: getattr(self, name) for name in self._kept}

    def set_state(self, state):
        """Set these attributes; the present or next training goes on with them."""
        state = _checks.callback_state(type(self).__name__, state, self._kept)
        for name in self._kept:
            setattr(self, name, state[name])
        self._resumed = True


class _Monitoring(_Keeping):
    """A callback that follows one value of the logs: which way is better, and the best so far."""

    def __init__(self, monitor, mode, min_delta=0.0):
        self.monitor = _checks.monitor(monitor)
        self.mode = _checks.choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = _checks.number("min_delta", min_delta, low=0.0)
        self._reset()

    def on_train_begin(self, logs):
        """Check that the value will be there."""
        _checks.monitored(self.monitor, self.params["monitors"])
        super().on_train_begin(logs)

    def _is_better(self, value, reference):
        """Whether a value beats another (None: any) by min_delta; NaN and infinity never do."""
        if not math.isfinite(value) or reference is None:
            return math.isfinite(value)
        higher = higher_is_better(self.monitor) if self.mode == "auto" else self.mode == "max"
        if higher:
            return value > reference + self.min_delta
        return value < reference - self.min_delta


class EarlyStopping(_Monitoring):
    """Stop training when a value has stopped improving.

    Training ends after an epoch that is not better than the best so far, if by then `patience`
    epochs (at least one) have passed since the last that was better. It never ends after epoch 0.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the loss or metric to follow.
    min_delta : float, default 0.0
        A value is better if it is so by more than this; at least 0.
    patience : int, default 0
        Number of epochs without improvement after which training ends.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" goes by the name.
    baseline : float, optional
        Values that don't beat it count as epochs without improvement, though an epoch that is
        better than all before never ends training.
    restore_best_weights : bool, default False
        Whether training ends with the weights of the best epoch: also, as in Keras 3, if it ran
        through all epochs, and whatever the baseline. If no value was ever finite, these are the
        weights after the first epoch that was looked at. The optimizer's state stays the last.
    start_from_epoch : int, default 0
        Epochs before this one are not looked at.

    Attributes
    ----------
    best : float or None
        The best value so far.
    best_epoch : int or None
        Its epoch; with `restore_best_weights` the epoch of the weights kept.
    stopped_epoch : int
        The epoch after which it ended the training; 0 if it did not.
    wait : int
        Epochs since the last improvement.

    Raises
    ------
    ValueError
        If an argument is out of its range; in `fit`, if the logs will not have the value.

    Examples
    --------
    >>> from fastnn.callbacks import EarlyStopping
    >>> stop = EarlyStopping(patience=5, restore_best_weights=True)
    >>> net.fit(X, y, epochs=100, validation_data=(V, t), callbacks=[stop])  # doctest: +SKIP
    """

    _kept = ("best", "best_epoch", "best_weights", "wait", "stopped_epoch")

    def __init__(
        self,
        monitor="val_loss",
        *,
        min_delta=0.0,
        patience=0,
        mode="auto",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.patience = _checks.integer("patience", patience, low=0)
        self.baseline = None if baseline is None else _checks.number("baseline", baseline)
        self.restore_best_weights = _checks.flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = _checks.integer("start_from_epoch", start_from_epoch, low=0)

    def _reset(self):
        self.best = self.best_epoch = self.best_weights = None
        self.wait = self.stopped_epoch = 0

    def on_train_begin(self, logs):
        """Start anew, unless a state was set: of an epoch that it stopped after, it does again."""
        super().on_train_begin(logs)
        if self.stopped_epoch and self.wait >= self.patience:
            self.model.stop_training = True
        else:  # its patience has been raised
            self.stopped_epoch = 0

    def on_epoch_end(self, epoch, logs):
        """Compare, and stop training if patience is at its end."""
        value = logs[self.monitor]
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        better = self._is_better(value, self.best)
        if better or (self.restore_best_weights and self.best_weights is None):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        if better:
            self.best = float(value)
            if self.baseline is None or self._is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs):
        """Restore the best weights, if asked."""
        if self.restore_best_weights and self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Monitoring):
    """Save the network after epochs, with all that training needs to go on from there.

    Parameters
    ----------
    path : str or path
        Of the file. It may hold fields: ``{epoch}``, counted from 1, and names of losses and
        metrics, as in ``"net-{epoch:03d}-{val_loss:.3f}.safetensors"``. Without fields each save
        replaces the one before. Missing folders are made.
    monitor : str, default "val_loss"
        Name of the loss or metric to follow; only for `save_best_only`.
    save_best_only : bool, default False
        Whether to save only when the value is better than at every save before.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" goes by the name.
    period : int, default 1
        Number of epochs from one save (or comparison) to the next; the last epoch always has one.

    Attributes
    ----------
    best : float or None
        The value at the last save with `save_best_only`. It is kept from one `fit` to the next, as
        the file is.

    Raises
    ------
    ValueError
        If an argument is unfit; in `fit`, if the logs will not have the value or a field's.

    Notes
    -----
    It runs after all other callbacks, wherever it is in the list, so that the file has their state.

    Examples
    --------
    >>> from fastnn.callbacks import ModelCheckpoint
    >>> keep = ModelCheckpoint("runs/net-{epoch:03d}.safetensors", period=10)
    >>> best = ModelCheckpoint("runs/best.safetensors", save_best_only=True)
    >>> net.fit(X, y, epochs=100, validation_data=(V, t), callbacks=[keep, best])  # doctest: +SKIP
    """

    runs_last = True
    _kept = ("best",)

    def __init__(self, path, monitor="val_loss", *, save_best_only=False, mode="auto", period=1):
        super().__init__(monitor, mode)
        self.path, self._fields = _checks.path_template("path", path)
        self.save_best_only = _checks.flag("save_best_only", save_best_only)
        self.period = _checks.integer("period", period, low=1)
        self.best = None

    def _reset(self):
        """Keep the best, as the file is kept."""

    def on_train_begin(self, logs):
        """Check what the path and the comparison need, and make the folder."""
        _checks.path_fields("path", self.path, self._fields, self.params["monitors"])
        if self.save_best_only:
            super().on_train_begin(logs)
        first, second = (self.path.format_map(dict.fromkeys(self._fields, i)) for i in (1, 2))
        if os.path.dirname(first) == os.path.dirname(second):  # else each save makes its own
            _make_folder(first)

    def on_epoch_end(self, epoch, logs):
        """Save, if it is time to."""
        last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if (epoch + 1) % self.period and not last:
            return
        if self.save_best_only:
            if not self._is_better(logs[self.monitor], self.best):
                return
            self.best = float(logs[self.monitor])
        path = self.path.format_map({**logs, "epoch": epoch + 1})
        _make_folder(path)
        self.model.save(path)


def _make_folder(path):
    """Make the folder that a file goes to."""
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)


def _take_over_rate(callback):
    """Check that the learning rate may be set, and announce it among the logs."""
    _checks.constant_rate(type(callback).__name__, callback.model.optimizer.learning_rate)
    names = callback.params["monitors"]
    if "learning_rate" not in names:
        names.append("learning_rate")


class ReduceLROnPlateau(_Monitoring):
    """Lower the learning rate when a value has stopped improving.

    The rate becomes ``max(rate * factor, min_lr)`` after `patience` epochs without improvement.
    The logs get the "learning_rate" that the epoch was trained with.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the loss or metric to follow.
    factor : float, default 0.1
        Above 0 and below 1.
    patience : int, default 10
        Number of epochs without improvement after which the rate is lowered; 0 is as 1.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" goes by the name.
    min_delta : float, default 1e-4
        A value is better if it is so by more than this; at least 0.
    cooldown : int, default 0
        Counting starts again with the epoch of this number after the rate was lowered (0 and 1
        both mean the next).
    min_lr : float, default 0.0
        The rate is not lowered beyond it.

    Attributes
    ----------
    best : float or None
        The best value so far.
    wait : int
        Epochs counted without improvement.
    cooldown_counter : int
        What is left of the cooldown.

    Raises
    ------
    ValueError
        If an argument is out of its range; in `fit`, if the logs will not have the value or the
        optimizer's rate follows a schedule.

    Examples
    --------
    >>> from fastnn.callbacks import ReduceLROnPlateau
    >>> lower = ReduceLROnPlateau(factor=0.5, patience=3, min_lr=1e-5)
    >>> net.fit(X, y, epochs=100, validation_data=(V, t), callbacks=[lower])  # doctest: +SKIP
    """

    _kept = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor="val_loss",
        *,
        factor=0.1,
        patience=10,
        mode="auto",
        min_delta=1e-4,
        cooldown=0,
        min_lr=0.0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.factor = _checks.number("factor", factor, above=0.0, below=1.0)
        self.patience = _checks.integer("patience", patience, low=0)
        self.cooldown = _checks.integer("cooldown", cooldown, low=0)
        self.min_lr = _checks.number("min_lr", min_lr, low=0.0)

    def _reset(self):
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs):
        """Check that the rate may be set, and start anew unless a state was set."""
        super().on_train_begin(logs)
        _take_over_rate(self)

    def on_epoch_end(self, epoch, logs):
        """Compare, and lower the rate if patience is at its end."""
        rate = self.model.learning_rate
        logs.setdefault("learning_rate", rate)
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_better(logs[self.monitor], self.best):
            self.best = float(logs[self.monitor])
            self.wait = 0
            return
        if self.cooldown_counter > 0:
            return
        self.wait += 1
        lower = max(rate * self.factor, self.min_lr)
        if self.wait >= self.patience and 0 < lower < rate:  # after many reductions, 0 in floats
            self.model.learning_rate = lower
            self.cooldown_counter = self.cooldown
            self.wait = 0


class LearningRateScheduler(Callback):
    """Set the learning rate before every epoch.

    The logs get the "learning_rate" that the epoch was trained with.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch)`` or ``schedule(epoch, learning_rate)``, whichever it takes (both: the
        latter), returns the rate: above 0. The first epoch is 0.

    Raises
    ------
    TypeError, ValueError
        If `schedule` cannot be called so; in `fit`, if it returns no rate, or if the optimizer's
        rate follows a schedule already.

    Examples
    --------
    >>> from fastnn.callbacks import LearningRateScheduler
    >>> halve = LearningRateScheduler(lambda epoch: 0.1 * 0.5 ** (epoch // 10))
    >>> net.fit(X, y, epochs=100, callbacks=[halve])  # doctest: +SKIP
    """

    def __init__(self, schedule):
        self.schedule, self._takes_rate = _checks.rate_schedule(schedule)

    def on_train_begin(self, logs):
        """Check that the rate may be set."""
        _take_over_rate(self)

    def on_epoch_begin(self, epoch, logs):
        """Set the rate."""
        args = (epoch, self.model.learning_rate) if self._takes_rate else (epoch,)
        called = f"schedule({', '.join(f'{arg:g}' for arg in args)})"
        self.model.learning_rate = _checks.number(called, self.schedule(*args), above=0.0)

    def on_epoch_end(self, epoch, logs):
        """Add the rate to the logs."""
        logs.setdefault("learning_rate", self.model.learning_rate)


class CSVLogger(Callback):
    """Write the losses and metrics to a file, a row an epoch.

    The columns are "epoch", from 0, and the names in the logs of the first epoch written; with
    `append` those of the file. What an epoch has no value for is "NA".

    Parameters
    ----------
    path : str or path
        Of the file. Missing folders are made.
    separator : str, default ","
        The character between columns.
    append : bool, default False
        Whether to go on with a file that exists, instead of writing it anew. Rows of the first
        epoch trained and of later ones are dropped from it (and a last row that was not written to
        its end), so that training which goes on from a checkpoint leaves every epoch once.

    Raises
    ------
    TypeError, ValueError
        If an argument is unfit; in `fit`, if the file to go on with lacks columns.
    OSError
        In `fit`, if the file cannot be written.

    Examples
    --------
    >>> from fastnn.callbacks import CSVLogger
    >>> net.fit(X, y, epochs=100, callbacks=[CSVLogger("runs/log.csv")])  # doctest: +SKIP
    """

    _file = None

    def __init__(self, path, separator=",", append=False):
        self.path = _checks.file_path("path", path)
        self.separator = _checks.separator(separator)
        self.append = _checks.flag("append", append)

    def on_train_begin(self, logs):
        """Open the file."""
        self.close()
        self._columns = self._header() if self.append else None
        if self._columns is not None:
            _checks.log_columns(self.path, self._columns, self.params["monitors"])
        _make_folder(self.path)
        mode = "a" if self.append else "w"
        self._file = open(self.path, mode, encoding="utf-8", newline="")  # noqa: SIM115
        self._writer = csv.writer(self._file, delimiter=self.separator, lineterminator="\n")
        self._is_first = True

    def _header(self):
        """Return the columns of the file there is, or None."""
        if not os.path.exists(self.path):
            return None
        with open(self.path, encoding="utf-8", newline="") as file:
            return next(csv.reader(file, delimiter=self.separator), None)

    def _drop_rows(self, epoch):
        """Cut the file before its first row of this epoch or a later one, or half a row."""
        place, separator = self._columns.index("epoch"), self.separator.encode()
        with open(self.path, "r+b") as file:
            header = file.readline()
            end = len(header)
            for line in file:
                number = b"".join(line.split(separator)[place : place + 1]).strip()
                if not line.endswith(b"\n") or (number.isdigit() and int(number) >= epoch):
                    break
                end += len(line)
            file.truncate(end)
            if not header.endswith(b"\n"):
                file.seek(end)
                file.write(b"\n")

    def on_epoch_end(self, epoch, logs):
        """Write the epoch's row."""
        if self._is_first:
            if self._columns is None:
                self._columns = ["epoch", *logs]
                self._writer.writerow(self._columns)
            else:
                self._drop_rows(epoch)
            self._is_first = False
        values = {name: float(value) for name, value in logs.items()} | {"epoch": epoch}
        self._writer.writerow([values.get(name, "NA") for name in self._columns])
        self._file.flush()

    def on_train_end(self, logs):
        """Close the file."""
        self.close()

    def close(self):
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class TerminateOnNaN(Callback):
    """End training with a warning, instead of an error, when the loss is no longer finite.

    Warns
    -----
    RuntimeWarning
        With the text of the FloatingPointError that `fit` raises otherwise.

    Examples
    --------
    >>> from fastnn.callbacks import TerminateOnNaN
    >>> net.fit(X, y, epochs=100, callbacks=[TerminateOnNaN()])  # doctest: +SKIP
    """

    def on_nonfinite_loss(self, error):
        """Warn, and end training."""
        warnings.warn(str(error), RuntimeWarning, stacklevel=5)  # where fit was called
        return True


class ProgressBar(Callback):
    """Show how far training is, how fast, its losses and metrics, and when it will be done.

    With tqdm installed it is a bar over the rows of all epochs, drawn anew some ten times a second;
    else a line an epoch. When it isn't shown, nothing is done and tqdm isn't even imported.

    Parameters
    ----------
    show : bool, optional
        By default only if the stream is a terminal.
    stream : text stream, optional
        Where to write; by default ``sys.stderr`` as it is when training begins.

    Raises
    ------
    TypeError
        If an argument is unfit.

    Examples
    --------
    >>> from fastnn.callbacks import ProgressBar
    >>> net.fit(X, y, epochs=100, callbacks=[ProgressBar()])  # doctest: +SKIP
    epoch 38/100:  37%|███▋      | 22.4M/60.0M [00:05<00:09, 4.11M rows/s, loss=0.0123]
    """

    _display = None

    def __init__(self, show=None, stream=None):
        self.show = _checks.optional_flag("show", show, "only on a terminal")
        self.stream = _checks.text_stream("stream", stream)

    @property
    def wants_progress(self):
        """Whether it is shown; known once training has begun."""
        return self._display is not None

    def on_train_begin(self, logs):
        """Decide whether to show anything, and how."""
        self.close()
        stream = sys.stderr if self.stream is None else self.stream
        if stream is None:  # no console at all
            return
        is_terminal = hasattr(stream, "isatty") and stream.isatty()
        if not (is_terminal if self.show is None else self.show):
            return
        try:
            from tqdm import tqdm
        except ImportError:
            self._display = _Lines(stream, is_terminal, self.params)
        else:
            self._display = _Bar(tqdm, stream, self.params)

    def on_epoch_begin(self, epoch, logs):
        """Start an epoch."""
        if self._display is not None:
            self._display.begin_epoch(epoch)

    def on_progress(self, rows, logs):
        """Show the rows so far."""
        if self._display is not None:
            self._display.progress(rows, logs)

    def on_epoch_end(self, epoch, logs):
        """Show the epoch's losses and metrics."""
        if self._display is not None:
            self._display.end_epoch(logs)

    def close(self):
        """Leave the last bar or line whole."""
        display, self._display = self._display, None
        if display is not None:
            display.close()


class _Bar:
    """A bar of tqdm over the rows of all epochs."""

    _INTERVAL = 0.05  # s between drawings: drawing takes 0.1 ms, an epoch perhaps less

    def __init__(self, tqdm, stream, params):
        self.kind = type("Bar", (tqdm,), {"monitor_interval": 0})  # which starts no thread
        self.stream, self.epochs, self.samples = stream, params["epochs"], params["samples"]
        self.bar, self.logs, self.drawn = None, {}, -math.inf

    def begin_epoch(self, epoch):
        self.epoch = epoch
        if self.bar is None:
            known = self.samples is not None
            self.rows = epoch * self.samples if known else 0
            self.bar = self.kind(
                desc=f"epoch {epoch + 1}/{self.epochs}",
                total=self.epochs * self.samples if known else None,
                initial=self.rows,
                file=self.stream,
                unit=" rows",
                unit_scale=True,
                dynamic_ncols=True,
                mininterval=0,
                miniters=0,
            )
        self.began_at = self.rows

    def progress(self, rows, logs):
        self.rows = self.began_at + rows
        self.logs.update(logs)
        self._draw()

    def end_epoch(self, logs):
        if self.samples is not None:
            self.rows = self.began_at + self.samples
        self.logs.update(logs)
        self._draw()

    def _draw(self):
        now = time.monotonic()
        if now - self.drawn >= self._INTERVAL:
            self.drawn = now
            self._label()
            self.bar.update(self.rows - self.bar.n)

    def _label(self):
        values = ", ".join(f"{name}={value:.4g}" for name, value in self.logs.items())
        self.bar.set_description_str(f"epoch {self.epoch + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(values, refresh=False)

    def close(self):
        if self.bar is not None:
            self._label()
            self.bar.n = self.rows
            self.bar.close()


class _Lines:
    """A line an epoch; on a terminal it is there, and rewritten, from the epoch's beginning."""

    def __init__(self, stream, is_terminal, params):
        self.stream, self.is_terminal = stream, is_terminal
        self.epochs, self.samples = params["epochs"], params["samples"]
        self.first, self.width = None, 0

    def begin_epoch(self, epoch):
        self.epoch, self.rows, self.epoch_began = epoch, None, time.perf_counter()
        if self.first is None:
            self.first, self.began = epoch, self.epoch_began

    def progress(self, rows, logs):
        self.rows = rows
        if self.is_terminal:
            import shutil  # not for those who never look

            room = shutil.get_terminal_size().columns - 1  # what wraps cannot be written over
            part = rows / self.samples if self.samples else 0.0
            self._write(self._line(logs, part)[:room], "")

    def end_epoch(self, logs):
        if self.samples is not None:
            self.rows = self.samples
        self._write(self._line(logs, 1.0), "\n")

    def _line(self, logs, part):
        """Return the line of an epoch of which that part is done."""
        now = time.perf_counter()
        items = [f"epoch {self.epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"]
        items += [f"{name} {value:.4g}" for name, value in logs.items()]
        if self.rows is not None:
            items.append(f"{self.rows / max(now - self.epoch_began, 1e-9):,.0f} rows/s")
        done = self.epoch - self.first + part
        if done > 0:
            left = (now - self.began) / done * (self.epochs - self.epoch - part)
            items.append(f"ETA {_duration(left)}")
        return "  ".join(items)

    def _write(self, line, end):
        start = "\r" if self.width else ""
        self.stream.write(f"{start}{line.ljust(self.width)}{end}")
        self.stream.flush()
        self.width = 0 if end else len(line)

    def close(self):
        if self.width:
            self.stream.write("\n")
            self.stream.flush()


def _duration(seconds):
    """Return a time as 0:12 or 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class History(Callback):
    """The course of a training, as `fit` returns it.

    Attributes
    ----------
    epoch : list of int
        The epochs that were run: 0, 1, ...
    history : dict of str to list of float
        "loss", metrics and, with validation data, "val_loss" ...: one value an epoch. The loss is
        the average (or sum) over the epoch of the losses before each update.
    """

    def __init__(self):
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch, logs):
        """Append the epoch's losses."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def get_state(self):
        """Return epochs and values; those that JSON has no number for, as "nan" and "inf"."""
        history = {
            name: [float(v) if math.isfinite(v) else str(float(v)) for v in values]
            for name, values in self.history.items()
        }
        return {"epoch": list(self.epoch), "history": history}

    def set_state(self, state):
        """Go on with these epochs and values."""
        state = _checks.callback_state("History", state, ("epoch", "history"))
        self.epoch = list(state["epoch"])
        self.history = {name: list(map(float, v)) for name, v in state["history"].items()}

    def plot(self, path=None, ax=None):
        """Draw the learning curves: losses, and other metrics below them; needs matplotlib.

        Parameters
        ----------
        path : str or path, optional
            Where to save the picture; the ending says in which format.
        ax : matplotlib Axes, optional
            Where to draw the losses alone. By default a new figure.

        Returns
        -------
        matplotlib.figure.Figure
            As `fastnn.plotting.learning_curves` describes it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the history is empty, or has not a value for each epoch.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
        >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=100)
        >>> figure = history.plot("curves.png")  # doctest: +SKIP
        """
        return plotting.learning_curves(self, path, ax)

    def to_dataframe(self):
        """Return the history as a table; needs pandas.

        Returns
        -------
        pandas.DataFrame
            A row an epoch, with "epoch" as the index; a column each for "loss", "val_loss", ...

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If the history has not a value for each epoch.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
        >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=100)
        >>> history.to_dataframe().loc[99, "loss"]  # doctest: +SKIP
        2.196
        """
        pandas = _checks.installed("pandas", "to_dataframe")
        _checks.history(self, empty=True)
        index = pandas.Index(self.epoch, dtype="int64", name="epoch")
        return pandas.DataFrame(self.history, index=index)

    def __repr__(self):
        last = ", ".join(f"{name}={values[-1]:.6g}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs: {last}>"
