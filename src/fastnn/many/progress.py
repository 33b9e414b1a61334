"""Progress of `fit_many`: a bar over the networks, or lines of text."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from fastnn.many.outcomes import DIVERGED, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self


class Progress:
    """Counts trained networks, and shows the count: a tqdm bar on a terminal, lines elsewhere.

    A line is written when the count has grown, at most once a second. Without `show` nothing is
    written and tqdm isn't imported. The rate counts networks that this call has trained, without
    those in `before`, which an earlier call has trained.
    """

    _SECONDS = 1.0  # between two lines

    def __init__(self, n: int, show: bool, before: Sequence[Status] = ()) -> None:
        self.n, self.n_before, self.done = n, len(before), len(before)
        self.diverged = sum(status.kind == DIVERGED for status in before)
        self._lock = threading.Lock()  # guards the counts
        self.is_shown, self.bar = show, _bar(n, len(before)) if show else None
        self.began = self.shown = time.monotonic()
        self._told = 0  # the count in the last line

    def count(self, status: Status) -> None:
        """Count a network; any thread may call it."""
        with self._lock:
            self.done += 1
            self.diverged += status.kind == DIVERGED

    def show(self) -> None:
        """Show the counts, if that is due."""
        if self.bar is not None:
            self.bar.update(self.done - self.bar.n)
        elif self.is_shown and self.done > self._told and self._is_time():
            self._write_line()

    def _is_time(self) -> bool:
        return time.monotonic() - self.shown >= self._SECONDS

    def _write_line(self) -> None:
        self.shown, self._told = time.monotonic(), self.done
        seconds = max(self.shown - self.began, 1e-9)
        trained = self.done - self.n_before
        rate = f"{trained / seconds:,.1f} networks/s"
        if 0 < trained < seconds:
            rate = f"{seconds / trained:,.1f} s a network"
        failed = f", {self.diverged} diverged" if self.diverged else ""
        line = f"{self.done}/{self.n} networks{failed}, {rate}"
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.show()
            self.bar.close()
        elif self.is_shown and not 0 < self._told == self.done:
            self._write_line()


def _bar(n: int, n_before: int) -> Any:
    """Return a bar of tqdm, or None if it is not installed or stderr is not a terminal."""
    is_notebook = "ipykernel" in sys.modules  # where stderr does not report a terminal
    if sys.stderr is None or not (sys.stderr.isatty() or is_notebook):
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    kind = type("Bar", (tqdm,), {"monitor_interval": 0})  # starts no thread
    return kind(total=n, initial=n_before, unit=" networks", dynamic_ncols=True, file=sys.stderr)
