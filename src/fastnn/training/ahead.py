"""A thread that makes the next item of an iterator while the one before is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import queue
    from collections.abc import Iterator

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield an iterator's items, each made by another thread while the one before is in use.

    One is made ahead. The thread is a daemon, so a caller that stops early does not wait for a slow
    source.
    """
    import queue  # a tenth of `import fastnn`, with threading: imported only where it is used
    import threading

    wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
    made: queue.SimpleQueue[tuple[list[Item], BaseException | None]] = queue.SimpleQueue()

    def make() -> None:
        while wanted.get():
            try:
                made.put(([next(items)], None))
            except StopIteration:
                made.put(([], None))
            except BaseException as error:
                made.put(([], error))

    threading.Thread(target=make, name="fastnn-data", daemon=True).start()
    try:
        wanted.put(True)
        while True:
            found, error = made.get()
            if error is not None:
                raise error
            if not found:
                return
            wanted.put(True)
            yield found.pop()
    finally:
        wanted.put(False)
