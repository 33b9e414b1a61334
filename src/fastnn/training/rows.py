"""Sources of rows: rows in memory, or rows that are converted one block at a time.

A source yields an epoch as blocks: arrays that the kernels can read, each of whole batches, so that
every source gives the same bits. Not here: iterables of batches (batches.py), the choice of the
source for a user's rows (sources.py), checks of arrays (_checks).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _conversion
from fastnn.splits import StratifiedSplit
from fastnn.training import mapped
from fastnn.training.ahead import Ahead
from fastnn.training.weights import classes_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import Self

    from numpy.typing import NDArray

#: Rows whose converted copy would be larger than this are converted one block at a time.
LARGE_BYTES = 32 << 20

#: Size of a block, or of one batch if that is larger; two blocks are in memory at a time.
BLOCK_BYTES = 8 << 20


@dataclass
class Rows:
    """Rows in memory in the form that the kernels read; an epoch is one block.

    X is (n, n_in) in the network's dtype; targets are T (n, n_out) or labels (n,). `weights` (n,)
    or None are the weights of rows in losses, with class weights; `sample_weight` are the weights
    in metrics, without class weights. With `numbers`, only these rows of the arrays are used; the
    arrays are those of the whole data, which are not copied.
    """

    X: Any  # NDArray or SparseRows
    T: NDArray[Any] | None = None
    labels: NDArray[np.int64] | None = None
    weights: NDArray[Any] | None = None
    sample_weight: NDArray[Any] | None = None
    numbers: NDArray[np.intp] | None = dataclasses.field(default=None, kw_only=True)

    @property
    def n(self) -> int:
        """Number of rows."""
        rows: int = self.X.shape[0] if self.numbers is None else len(self.numbers)
        return rows

    def used(self, array: NDArray[Any] | None) -> Any:
        """Return the items of one of the arrays that belong to rows in use."""
        return array if array is None or self.numbers is None else array[self.numbers]

    def is_like(self, other: Rows) -> bool:
        """Whether both sources are in memory and of one form, dense arrays or sparse rows."""
        return type(self) is type(other) is Rows and type(self.X) is type(other.X)

    def arrays(self) -> tuple[Any, Any, Any, Any, Any]:
        """Return X, T, labels, weights and sample_weight."""
        return self.X, self.T, self.labels, self.weights, self.sample_weight

    def for_loss(self) -> tuple[Any, NDArray[Any] | None, NDArray[np.int64] | None, Any]:
        """Return X, T, labels and weights: the arrays from which the engine computes losses."""
        return self.X, self.T, self.labels, self.weights

    def part(self, rows: slice) -> Self:
        """Return a slice of the rows as a source of the same kind."""
        names = ("X", "T", "labels", "weights", "sample_weight")
        arrays = zip(names, self.arrays(), strict=True)
        parts = {name: array[rows] for name, array in arrays if array is not None}
        return dataclasses.replace(self, **parts)

    def copied(self, numbers: NDArray[Any]) -> Rows:
        """Return copies of the rows with these numbers in the arrays."""
        X, *others = (None if array is None else array[numbers] for array in self.arrays())
        return Rows(X, *others)

    def blocks(self, order: NDArray[np.int64] | None, batch: int) -> Generator[Block]:
        """Yield the epoch as one block with this order of rows; None is the order 0, 1, ...

        Rows with `numbers` are used in that order without a copy, or else copied in portions.
        """
        if self.numbers is None:
            yield Block(*self.arrays(), order=order, batch=batch)
        elif order is not None:
            yield Block(*self.arrays(), order=self.numbers[order], batch=batch)
        else:
            stride = _rows_of_blocks(min(batch, self.n), self.X.shape[1], np.dtype(np.float64))
            for first in range(0, self.n, stride):
                part = self.copied(self.numbers[first : first + stride])
                yield Block(*part.arrays(), batch=batch)


@dataclass
class Block(Rows):
    """Rows that are used in `order` (None for 0, 1, ...), in batches of `batch` rows."""

    order: NDArray[np.int64] | None = None
    batch: int = 1

    @property
    def n(self) -> int:
        """Number of rows."""
        rows: int = self.X.shape[0] if self.order is None else len(self.order)
        return rows

    def last(self, n: int) -> Rows:
        """Return the last rows: of the arrays, or in order if not all rows are used."""
        if self.order is None or self.n == self.X.shape[0]:
            return Rows(*self.arrays()).part(slice(-n, None))
        return self.copied(self.order[-n:])

    def for_metrics(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return targets and weights (or None) for the metrics, in the order of use."""
        y = self.T if self.labels is None else self.labels
        assert y is not None
        if self.order is None:
            return y, self.sample_weight
        weights = self.sample_weight
        return y[self.order], None if weights is None else weights[self.order]


@dataclass
class ConvertedRows(Rows):
    """Rows on disk or of a narrower type, which are converted and checked one block at a time.

    X keeps its type; the other arrays are already in the form that the kernels read. Row 0 is row
    `first` of the user's argument `name`.
    """

    dtype: np.dtype[Any] = dataclasses.field(kw_only=True)
    name: str = dataclasses.field(default="X", kw_only=True)
    first: int = dataclasses.field(default=0, kw_only=True)
    categories: Mapping[int, int] = dataclasses.field(default_factory=dict, kw_only=True)

    def part(self, rows: slice) -> Self:
        """Return a slice of the rows as a source of the same kind."""
        return dataclasses.replace(super().part(rows), first=self.first + (rows.start or 0))

    def blocks(self, order: NDArray[np.int64] | None, batch: int) -> Generator[Block]:
        """Yield blocks of whole batches, while another thread converts the next block."""
        columns = self.X.shape[1]
        stride = _rows_of_blocks(min(batch, self.n), columns, self.dtype)
        room = [np.empty((min(stride, self.n), columns), self.dtype) for _ in range(2)]

        def converted(n_before: int = 0) -> Generator[Block]:
            for i in range(n_before, -(-self.n // stride)):
                part = slice(i * stride, min((i + 1) * stride, self.n))
                chosen: Any = part if order is None else order[part]
                chosen = chosen if self.numbers is None else self.numbers[chosen]
                X = self._converted(chosen, room[i % 2])
                mapped.release(self.X)
                some = (None if a is None else a[chosen] for a in self.arrays()[1:])
                T, labels, weights, sample_weight = some
                yield Block(X, T, labels, weights, sample_weight, batch=batch)

        is_random = (order is not None or self.numbers is not None) and mapped.advise(
            self.X, "MADV_RANDOM"
        )
        reading = Ahead(converted(), after_fork=converted)
        try:
            yield from reading
        finally:
            if is_random:
                mapped.advise(self.X, "MADV_NORMAL")
            reading.wait()

    def _converted(self, rows: slice | NDArray[np.int64], room: NDArray[Any]) -> NDArray[Any]:
        """Convert rows of X into the buffer `room`, check them, and return them."""
        found, original = _conversion.copy_rows(self.X, rows, room)
        _checks.finite_rows(self.name, found, original, rows, self.first)
        _checks.categories_of_rows(self.name, found, self.categories, rows, self.first)
        return found


def is_large(X: Any, dtype: np.dtype[Any]) -> bool:
    """Whether X is a large array on disk or of a narrower type, to be converted block by block."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "fiub":
        return False
    grows = isinstance(X, np.memmap) or X.dtype.itemsize < dtype.itemsize
    return bool(grows) and math.prod(X.shape) * dtype.itemsize > LARGE_BYTES


def _rows_of_blocks(batch: int, columns: int, dtype: np.dtype[Any]) -> int:
    """Return the number of rows of a block, which is that of whole batches."""
    return batch * max(1, BLOCK_BYTES // (batch * columns * dtype.itemsize))


def divide(source: Rows, split: float | StratifiedSplit) -> tuple[Rows, Rows]:
    """Return the rows to train on and those to validate on: the last fraction, or some by class."""
    if isinstance(split, StratifiedSplit):
        numbers = split.rows(classes_of(source.T, source.labels))
        training, validation = (dataclasses.replace(source, numbers=each) for each in numbers)
        remedy = "give validation_split another seed, or leave out rows of weight 0"
    else:
        kept = _checks.rows_to_train(source.n, split)
        training, validation = source.part(slice(kept)), source.part(slice(kept, None))
        remedy = "shuffle the rows, since validation_split takes the last ones"
    weights = training.used(training.weights), validation.used(validation.weights)
    _checks.split_weights(*weights, remedy)
    return training, validation
