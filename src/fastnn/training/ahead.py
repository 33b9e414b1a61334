"""A thread that makes the next item of an iterator while the one before is in use."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable, Generator, Iterator

Item = TypeVar("Item")

#: Seconds that the end of a fit waits for an item in the making, and after Ctrl-C.
PATIENCE, BRIEFLY = 5.0, 0.1


class Ahead(Generic[Item]):
    """The items of a generator, each made by another thread while the one before is in use.

    One is made ahead. The thread closes the generator when it ends, so a generator knows there that
    its last item was not used. It is a daemon, so a source that never gives its next item does not
    keep the process from ending.

    A child of a fork does not have the thread: there the items that are left are those of
    `after_fork`, called with the number of items so far. It may raise an error instead.
    """

    def __init__(
        self,
        items: Generator[Item],
        after_fork: Callable[[int], Generator[Item]],
    ) -> None:
        self.reader, self.after_fork = _Reader(items), after_fork

    def __iter__(self) -> Iterator[Item]:
        """Yield the items; once."""
        received, reader = 0, self.reader
        try:
            reader.begin()
            while True:
                made = reader.made.get()
                if reader.is_lost:
                    self.reader = reader = _Reader(self.after_fork(received))
                    reader.begin()
                    continue
                if made is None:
                    return
                found, error = made
                if error is not None:
                    raise error
                received += 1
                reader.wanted.put(True)
                yield found.pop()
        finally:
            # In one call of C, so that no signal's handler can raise an error before it.
            reader.wanted.put(False)

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended."""
        return self.reader.ended.is_set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended, at most so long.

        Once `__iter__` has ended, or was closed, the thread ends with the item in the making.
        """
        if not self.reader.is_lost and self.reader.ended.wait(seconds):
            self.reader.thread.join()  # all that is left to it is to leave


class _Reader:
    """The thread and the two queues between it and `Ahead`."""

    def __init__(self, items: Generator[Any]) -> None:
        import queue  # a tenth of `import fastnn`, with threading: imported only where it is used
        import threading

        self.items, self.is_lost = items, False
        self.wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.made: queue.SimpleQueue[tuple[list[Any], BaseException | None] | None] = (
            queue.SimpleQueue()
        )
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="fastnn-data", daemon=True)
        _READERS.add(self)

    def begin(self) -> None:
        self.thread.start()
        self.wanted.put(True)

    def _run(self) -> None:
        try:
            while self.wanted.get() and not self.is_lost:
                self.made.put(self._made())
            self.items.close()
        finally:
            self.ended.set()

    def _made(self) -> tuple[list[Any], BaseException | None] | None:
        """Return the next item in a list, or the error in its place; None after the last one."""
        try:
            return [next(self.items)], None
        except StopIteration:
            return None
        except BaseException as error:
            return [], error

    def lose(self) -> None:
        """In a child of a fork: wake who waits for the thread, or the thread if it has forked."""
        self.is_lost = True
        self.made.put(None)
        self.wanted.put(False)


_READERS: weakref.WeakSet[_Reader] = weakref.WeakSet()


def _lose_readers() -> None:
    for reader in list(_READERS):
        reader.lose()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lose_readers)
