"""What a fit has taken from a user's iterator and not used: kept for the next fit over it.

A thread takes items one ahead, and may still be waiting for one when a fit is stopped.
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
        self.reading: Ahead[Any] | None = None  # of the last epoch that began
        # Of the last epoch that ended; its thread may not have ended.
        self.ending: Ahead[Any] | None = None
        self.busy = threading.Lock()  # of a thread that is taking an item
        self.is_lost = False  # a thread that the parent of this process has may be taking one

    def take(self, iterator: Iterator[Any]) -> Any:
        """Return the next item, or raise the error that takes its place."""
        with self.busy:
            _checks.iterator_of_this_process(self.is_lost)
            if not self.unused:
                return next(iterator)
            item, error = self.unused.pop()
            if error is not None:
                raise error
            return item

    def put_back(self, item: Any, error: BaseException | None) -> None:
        """Let the next `take` return an item, or raise an error, that was not used."""
        self.unused.append((item, error))

    @property
    def is_at_rest(self) -> bool:
        """Whether no thread is reading."""
        return all(each is None or each.is_over for each in (self.reading, self.ending))

    def after_fork(self) -> None:
        """In a child of a fork, whatever was reading is not there, nor the item it was taking."""
        import threading

        self.busy = threading.Lock()
        self.is_lost = not self.is_at_rest


#: The streams by their iterator's id, each with a weak reference to the iterator, or with the
#: iterator itself where it has none: a generator is forgotten with its stream, a map is not.
_STREAMS: dict[int, tuple[Any, Stream]] = {}


def of(iterator: Iterator[Any]) -> Stream:
    """Return the stream of an iterator."""
    key = id(iterator)
    try:
        reference: Any = weakref.ref(iterator, lambda _: _STREAMS.pop(key, None))
    except TypeError:
        reference = iterator
    # Looked up and entered at once: another thread may begin a fit over the same iterator.
    return _STREAMS.setdefault(key, (reference, Stream()))[1]


def release() -> None:
    """Forget the iterators that have no weak references, but the last one if an item is kept."""
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
