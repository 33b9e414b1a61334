"""Batches: rows from an iterable whose items are batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.training import streams
from fastnn.training.ahead import Ahead
from fastnn.training.rows import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from fastnn.training.rows import Rows
    from fastnn.training.streams import Stream


class Batches:
    """An iterable of (X, y) or (X, y, sample_weight): each item is a batch, trained in one step.

    An iterable is read from its beginning in each epoch; an iterator is continued where the last
    epoch stopped. An epoch ends with the iterable, or after `steps` batches. ``check(number,
    item)`` converts an item to rows that the kernels can read, or raises an error. It sets
    `feature_names` to the names of the columns, once a batch is a data frame.
    """

    n = None

    def __init__(
        self, iterable: Iterable[Any], steps: int | None, check: Callable[[int, Any], Rows]
    ) -> None:
        self.iterable, self.steps, self.check = iterable, steps, check
        self.feature_names: tuple[str, ...] | None = None
        self.iterator = iterable if isinstance(iterable, Iterator) else None
        self.reading: Ahead[Block | BaseException] | None = None

    def blocks(self, order: NDArray[np.int64] | None, batch: int | None) -> Generator[Block]:
        """Yield the batches of an epoch; another thread checks and converts them, one ahead."""
        iterator = iter(self.iterable) if self.iterator is None else self.iterator
        stream = streams.of(iterator)
        self.reading = reading = Ahead(self._checked(iterator, stream), _refuse)
        stream.reading = reading
        try:
            for found in reading:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            stream.ending = reading

    def wait(self, seconds: float) -> None:
        """Wait up to this many seconds until the thread of the last epoch has ended."""
        if self.reading is not None:
            self.reading.wait(seconds)
        streams.release()

    def _checked(self, iterator: Iterator[Any], stream: Stream) -> Generator[Block | BaseException]:
        """Yield the batches of an epoch, or in place of a batch its error; run by the other thread.

        No item after the last batch of the epoch is taken from the iterator. An item that the fit
        does not use is put back into the stream.
        """
        if stream.ending is not None:
            stream.ending.wait()
        taken = 0
        while self.steps is None or taken < self.steps:
            item, error = None, None
            try:
                item = stream.take(iterator)
            except StopIteration:
                return
            except BaseException as raised:
                error = raised
            found = self._block(taken, item) if error is None else error
            try:
                yield found
            except GeneratorExit:
                stream.put_back(item, error)
                return
            if isinstance(found, BaseException):
                return
            taken += 1

    def _block(self, number: int, item: Any) -> Block | BaseException:
        """Return an item as a block, or the error that its check raised."""
        try:
            rows = self.check(number, item)
        except BaseException as error:
            return error
        return Block(*rows.arrays(), batch=rows.n)


def _refuse(n_items: int) -> Generator[Block | BaseException]:
    """Raise the error for a forked child, which cannot read further items."""
    _checks.iterator_of_this_process(is_lost=True)
    yield from ()
