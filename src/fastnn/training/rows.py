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
from fastnn.training import mapped
from fastnn.training.ahead import Ahead

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
    in metrics, without class weights.
    """

    X: Any  # NDArray or SparseRows
    T: NDArray[Any] | None = None
    labels: NDArray[np.int64] | None = None
    weights: NDArray[Any] | None = None
    sample_weight: NDArray[Any] | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        rows: int = self.X.shape[0]
        return rows

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
        fields = zip(dataclasses.fields(Rows), self.arrays(), strict=True)
        parts = {field.name: array[rows] for field, array in fields if array is not None}
        return dataclasses.replace(self, **parts)

    def blocks(self, order: NDArray[np.int64] | None, batch: int) -> Generator[Block]:
        """Yield the epoch as one block with this order of rows; None is the order 0, 1, ..."""
        yield Block(*self.arrays(), order=order, batch=batch)


@dataclass
class Block(Rows):
    """Rows that are used in `order` (None for 0, 1, ...), in batches of `batch` rows."""

    order: NDArray[np.int64] | None = None
    batch: int = 1

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
        rows, columns = min(batch, self.n), self.X.shape[1]
        stride = rows * max(1, BLOCK_BYTES // (rows * columns * self.dtype.itemsize))
        room = [np.empty((min(stride, self.n), columns), self.dtype) for _ in range(2)]

        def converted(n_before: int = 0) -> Generator[Block]:
            for i in range(n_before, -(-self.n // stride)):
                part = slice(i * stride, min((i + 1) * stride, self.n))
                chosen = part if order is None else order[part]
                X = self._converted(chosen, room[i % 2])
                mapped.release(self.X)
                some = (None if a is None else a[chosen] for a in self.arrays()[1:])
                T, labels, weights, sample_weight = some
                yield Block(X, T, labels, weights, sample_weight, batch=batch)

        is_random = order is not None and mapped.advise(self.X, "MADV_RANDOM")
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


def divide(source: Rows, split: float) -> tuple[Rows, Rows]:
    """Return the rows to train on, and the last fraction `split` of the rows to validate on."""
    kept = _checks.rows_to_train(source.n, split)
    training, validation = source.part(slice(kept)), source.part(slice(kept, None))
    _checks.split_weights(training.weights, validation.weights)
    return training, validation
