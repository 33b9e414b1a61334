"""Batches: rows of an iterable, a batch an item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastnn.training.ahead import ahead
from fastnn.training.rows import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from fastnn.training.rows import Rows


class Batches:
    """An iterable of (X, y) or (X, y, sample_weight): each item is a batch, and an update.

    Each epoch iterates over an iterable from its beginning, and over an iterator from where the
    epoch before stopped. An epoch ends with the iterable, or after `steps` batches. `check` turns
    an item, after its number, into rows as the kernels take them.
    """

    n = None

    def __init__(
        self, iterable: Iterable[Any], steps: int | None, check: Callable[[int, Any], Rows]
    ) -> None:
        self.iterable, self.steps, self.check = iterable, steps, check
        self.iterator = iterable if isinstance(iterable, Iterator) else None

    def blocks(
        self, order: NDArray[np.int64] | None, batch: int | None, unit: int = 1
    ) -> Iterator[Block]:
        """Yield the epoch's batches, checked and converted by another thread, one ahead."""
        iterator = iter(self.iterable) if self.iterator is None else self.iterator

        def checked() -> Iterator[Block]:
            for i, item in enumerate(self._some(iterator)):
                rows = self.check(i, item)
                yield Block(*rows.arrays(), batch=rows.n)

        yield from ahead(checked())

    def _some(self, iterator: Iterator[Any]) -> Iterator[Any]:
        """Yield the epoch's items, and take none from the iterator beyond them."""
        taken = 0
        while self.steps is None or taken < self.steps:
            try:
                item = next(iterator)
            except StopIteration:
                return
            yield item
            taken += 1
