"""A thread that prepares the next item of a generator while the current item is in use."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable, Generator, Iterator

Item = TypeVar("Item")

#: Seconds that a fit waits, at its end and after Ctrl-C, for the item that is being prepared.
PATIENCE, BRIEFLY = 5.0, 0.1


class Ahead(Generic[Item]):
    """Iterate over a generator that another thread runs, one item ahead of the consumer.

    The thread closes the generator when it ends; the GeneratorExit tells the generator that its
    last item was not used. It is a daemon thread, so a source that blocks forever does not keep the
    process from exiting.

    A forked child does not have the thread. There the remaining items come from ``after_fork(n)``,
    where n is the number of items received so far; `after_fork` may also raise an error.
    """

    def __init__(
        self,
        items: Generator[Item],
        after_fork: Callable[[int], Generator[Item]],
    ) -> None:
        self.reader, self.after_fork = _Reader(items), after_fork

    def __iter__(self) -> Iterator[Item]:
        """Yield the items; can be iterated over only once."""
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
                yield found.pop()  # no reference to the item stays here while the consumer uses it
        finally:
            # One call into C, so that no signal handler can raise an error before it is done.
            reader.wanted.put(False)

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended."""
        return self.reader.ended.is_set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait up to this many seconds, or without limit if None, until the thread has ended.

        The thread finishes the current item and ends once `__iter__` has ended or was closed.
        """
        if not self.reader.is_lost and self.reader.ended.wait(seconds):
            self.reader.thread.join()  # returns at once: the thread has set `ended` as its last act


class _Reader:
    """The thread and the two queues between it and `Ahead`."""

    def __init__(self, items: Generator[Any]) -> None:
        import queue  # with threading a tenth of the time of `import fastnn`, so imported here
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
        """Return ([item], None), or ([], error) if that was raised; None after the last item."""
        try:
            return [next(self.items)], None
        except StopIteration:
            return None
        except BaseException as error:
            return [], error

    def lose(self) -> None:
        """In a forked child, wake the consumer, or the thread if it was this thread that forked."""
        self.is_lost = True
        self.made.put(None)
        self.wanted.put(False)


_READERS: weakref.WeakSet[_Reader] = weakref.WeakSet()


def _lose_readers() -> None:
    for reader in list(_READERS):
        reader.lose()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lose_readers)
