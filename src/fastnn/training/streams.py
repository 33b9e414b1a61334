"""Items that a fit took from a user's iterator and did not use, kept for the next fit over it.

A thread takes items one ahead, and may still be waiting for an item when a fit is stopped.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

from fastnn import _checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn.training.ahead import Ahead


class Stream:
    """The state of one iterator, shared by all fits over it."""

    def __init__(self) -> None:
        import threading

        self.unused: list[tuple[Any, BaseException | None]] = []
        self.reading: Ahead[Any] | None = None  # reader of the last epoch that began
        # Reader of the last epoch that ended; its thread may still be running.
        self.ending: Ahead[Any] | None = None
        self.busy = threading.Lock()  # held by the thread that is taking an item
        self.is_lost = False  # forked child: a thread of the parent may be taking an item

    def take(self, iterator: Iterator[Any]) -> Any:
        """Return the next item, or raise the error that was raised in its place."""
        with self.busy:
            _checks.iterator_of_this_process(self.is_lost)
            if not self.unused:
                return next(iterator)
            item, error = self.unused.pop()
            if error is not None:
                raise error
            return item

    def put_back(self, item: Any, error: BaseException | None) -> None:
        """Put back an unused item, or an error; the next `take` returns or raises it."""
        self.unused.append((item, error))

    @property
    def is_at_rest(self) -> bool:
        """Whether no thread is reading."""
        return all(each is None or each.is_over for each in (self.reading, self.ending))

    def after_fork(self) -> None:
        """In a forked child, mark the stream as lost if a thread was reading: its item is gone."""
        import threading

        self.busy = threading.Lock()
        self.is_lost = not self.is_at_rest


#: The streams by the id of the iterator. Each has a weak reference to its iterator, so that both
#: are freed together; an iterator without weak references, such as a map, is kept alive instead.
_STREAMS: dict[int, tuple[Any, Stream]] = {}


def of(iterator: Iterator[Any]) -> Stream:
    """Return the stream of an iterator."""
    key = id(iterator)
    try:
        reference: Any = weakref.ref(iterator, lambda _: _STREAMS.pop(key, None))
    except TypeError:
        reference = iterator
    # setdefault is atomic: another thread may begin a fit over the same iterator.
    return _STREAMS.setdefault(key, (reference, Stream()))[1]


def release() -> None:
    """Drop the iterators without weak references, except the last one if it is still needed."""
    strong = [
        (key, stream)
        for key, (reference, stream) in list(_STREAMS.items())
        if not isinstance(reference, weakref.ref)
    ]
    for key, stream in strong:
        if key != strong[-1][0] or (stream.is_at_rest and not stream.unused):
            _STREAMS.pop(key, None)


def _after_fork() -> None:
    for _, stream in list(_STREAMS.values()):
        stream.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
