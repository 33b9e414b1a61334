"""ProgressBar: a bar of tqdm, or lines of text."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.callbacks.base import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from fastnn.callbacks.base import Logs


@_checks.explaining
class ProgressBar(Callback):
    """Show the progress of training with its speed, losses, metrics and remaining time.

    If tqdm is installed, this is a bar over the rows of all epochs, redrawn about ten times a
    second (in a notebook with ipywidgets, tqdm's widget). Otherwise it is one line per epoch. If
    nothing is to be shown, tqdm is not imported.

    Parameters
    ----------
    show : bool, optional
        Whether to show progress; by default only on a terminal or in a notebook.
    stream : text stream, optional
        Where to write; by default the value of ``sys.stderr`` when training begins.

    Raises
    ------
    TypeError
        If an argument is invalid.

    Examples
    --------
    >>> from fastnn.callbacks import ProgressBar
    >>> net.fit(X, y, epochs=100, callbacks=[ProgressBar()])  # doctest: +SKIP
    epoch 38/100:  37%|███▋      | 22.4M/60.0M [00:05<00:09, 4.11M rows/s, loss=0.0123]
    """

    _display: _Bar | _Lines | None = None

    def __init__(self, show: bool | None = None, stream: TextIO | None = None) -> None:
        self.show = _checks.optional_flag("show", show, "on a terminal or in a notebook")
        self.stream = _checks.text_stream("stream", stream)

    @property
    def wants_progress(self) -> bool:
        """Whether progress is shown; decided when training begins."""
        return self._display is not None

    def on_train_begin(self, logs: Logs) -> None:
        """Decide whether to show anything, and how."""
        self.close()
        stream = sys.stderr if self.stream is None else self.stream
        if stream is None:  # the process has no stderr
            return
        is_terminal = hasattr(stream, "isatty") and stream.isatty()
        in_notebook = self.stream is None and _is_notebook()
        if not (is_terminal or in_notebook if self.show is None else self.show):
            return
        tqdm = _tqdm(in_notebook)
        if tqdm is None:
            self._display = _Lines(stream, is_terminal, self.params)
        else:
            self._display = _Bar(tqdm, stream, self.params)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Start an epoch."""
        if self._display is not None:
            self._display.begin_epoch(epoch)

    def on_progress(self, rows: int, logs: Logs) -> None:
        """Show the rows so far."""
        if self._display is not None:
            self._display.progress(rows, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Show the epoch's losses and metrics."""
        if self._display is not None:
            self._display.end_epoch(logs)

    def close(self) -> None:
        """Complete the last bar or line."""
        display, self._display = self._display, None
        if display is not None:
            display.close()


def _is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


def _tqdm(in_notebook: bool) -> Any:
    """Return tqdm's class for a notebook or a terminal, or None if tqdm is not installed."""
    try:
        import importlib.util  # slow to import

        if in_notebook and importlib.util.find_spec("ipywidgets") is not None:
            from tqdm.notebook import tqdm as widget

            return widget
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


class _Bar:
    """A bar of tqdm over the rows of all epochs."""

    _INTERVAL = 0.05  # seconds between redraws: one takes 0.1 ms, an epoch may take less

    def __init__(self, tqdm: Any, stream: TextIO, params: Mapping[str, Any]) -> None:
        self.kind = type("Bar", (tqdm,), {"monitor_interval": 0})  # starts no thread
        self.stream, self.epochs, self.samples = stream, params["epochs"], params["samples"]
        self.bar: Any = None
        self.logs: Logs = {}
        self.drawn = -math.inf

    def begin_epoch(self, epoch: int) -> None:
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

    def progress(self, rows: int, logs: Logs) -> None:
        self.rows = self.began_at + rows
        self.logs.update(logs)
        self._draw()

    def end_epoch(self, logs: Logs) -> None:
        if self.samples is not None:
            self.rows = self.began_at + self.samples
        self.logs.update(logs)
        self._draw()

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self.drawn >= self._INTERVAL:
            self.drawn = now
            self._label()
            self.bar.update(self.rows - self.bar.n)

    def _label(self) -> None:
        values = ", ".join(f"{name}={value:.4g}" for name, value in self.logs.items())
        self.bar.set_description_str(f"epoch {self.epoch + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(values, refresh=False)

    def close(self) -> None:
        if self.bar is not None:
            self._label()
            self.bar.n = self.rows
            self.bar.close()


class _Lines:
    """One line per epoch, which is rewritten on a terminal while the epoch is trained."""

    def __init__(self, stream: TextIO, is_terminal: bool, params: Mapping[str, Any]) -> None:
        self.stream, self.is_terminal = stream, is_terminal
        self.epochs, self.samples = params["epochs"], params["samples"]
        self.first: int | None = None
        self.width = 0

    def begin_epoch(self, epoch: int) -> None:
        self.epoch, self.epoch_began = epoch, time.perf_counter()
        self.rows: int | None = None
        if self.first is None:
            self.first, self.began = epoch, self.epoch_began

    def progress(self, rows: int, logs: Logs) -> None:
        self.rows = rows
        if self.is_terminal:
            import shutil  # slow to import, and needed only on terminals

            room = shutil.get_terminal_size().columns - 1  # a line that wraps cannot be overwritten
            part = rows / self.samples if self.samples else 0.0
            self._write(self._line(logs, part)[:room], "")

    def end_epoch(self, logs: Logs) -> None:
        if self.samples is not None:
            self.rows = self.samples
        self._write(self._line(logs, 1.0), "\n")

    def _line(self, logs: Logs, part: float) -> str:
        """Return the line for an epoch; `part` is the fraction of the epoch that is done."""
        now = time.perf_counter()
        items = [f"epoch {self.epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"]
        items += [f"{name} {value:.4g}" for name, value in logs.items()]
        if self.rows is not None:
            items.append(f"{self.rows / max(now - self.epoch_began, 1e-9):,.0f} rows/s")
        done = self.epoch - (self.first or 0) + part
        if done > 0:
            left = (now - self.began) / done * (self.epochs - self.epoch - part)
            items.append(f"ETA {_duration(left)}")
        return "  ".join(items)

    def _write(self, line: str, end: str) -> None:
        start = "\r" if self.width else ""
        self.stream.write(f"{start}{line.ljust(self.width)}{end}")
        self.stream.flush()
        self.width = 0 if end else len(line)

    def close(self) -> None:
        if self.width:
            self.stream.write("\n")
            self.stream.flush()


def _duration(seconds: float) -> str:
    """Return a time as 0:12 or 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
