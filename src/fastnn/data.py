"""Where training finds its rows: arrays in memory, arrays that are converted a stretch at a time,
and iterables of batches.

A source gives an epoch as blocks: arrays as the kernels take them, each of whole batches, so that
it makes no difference to a bit which source the rows came from. Here: which source suits what a
user passed, conversion on the way, and the thread that prepares a block while the one before is
used. Not here: the loop over epochs (training.py), what an array must be like (_checks).
"""

import dataclasses
import math
import mmap
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastnn import _checks

#: Rows whose converted copy would be larger than this are converted a block at a time.
LARGE_BYTES = 32 << 20

#: A block's bytes, or one batch's if that is more: two are in memory at a time.
BLOCK_BYTES = 8 << 20

#: The machine's memory.
MEMORY_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Rows:
    """Rows in memory as the kernels take them, in the network's dtype: an epoch is one block.

    X is (n, n_in), targets are T (n, n_out) or labels (n,); `weights` (n,) or None weigh the rows
    in losses, `sample_weight` in metrics, which class weights don't concern.
    """

    X: np.ndarray
    T: np.ndarray | None
    labels: np.ndarray | None
    weights: np.ndarray | None
    sample_weight: np.ndarray | None

    @property
    def n(self):
        """Number of rows."""
        return self.X.shape[0]

    def arrays(self):
        """Return the arrays in their order, X first."""
        return self.X, self.T, self.labels, self.weights, self.sample_weight

    def part(self, rows):
        """Return some of the rows as a source of the same kind."""
        return dataclasses.replace(
            self,
            **{
                field.name: array[rows]
                for field, array in zip(dataclasses.fields(Rows), self.arrays(), strict=True)
                if array is not None
            },
        )

    def blocks(self, order, batch, unit=1):
        """Return the epoch."""
        weights = self.sample_weight
        return (Block(self.X, self.T, self.labels, self.weights, weights, order, batch),)


@dataclass
class Block(Rows):
    """Rows to be used in `order`, None for 0, 1, ..., `batch` of them a step."""

    order: np.ndarray | None = None
    batch: int = 1

    def judged(self):
        """Return targets, and their weights or None, in the order of use: what metrics see."""
        y = self.T if self.labels is None else self.labels
        if self.order is None:
            return y, self.sample_weight
        weights = self.sample_weight
        return y[self.order], None if weights is None else weights[self.order]


@dataclass
class ConvertedRows(Rows):
    """Rows on disk, sparse or in a narrow type: a block at a time is converted and checked.

    X keeps the type it has; the other arrays are as the kernels take them. Its first row is row
    `first` of what a user passed as `name`.
    """

    dtype: np.dtype
    name: str = "X"
    first: int = 0

    def part(self, rows):
        """Return a slice of the rows as a source of the same kind."""
        return dataclasses.replace(super().part(rows), first=self.first + (rows.start or 0))

    def blocks(self, order, batch, unit=1):
        """Yield whole batches, converted by another thread while the block before is used.

        They have a multiple of `unit` rows, a multiple of `batch`.
        """
        unit, columns = max(unit, min(batch, self.n)), self.X.shape[1]
        stride = unit * max(1, BLOCK_BYTES // (unit * columns * self.dtype.itemsize))
        room = [np.empty((min(stride, self.n), columns), self.dtype) for _ in range(2)]

        def converted():
            for i, first in enumerate(range(0, self.n, stride)):
                rows = slice(first, min(first + stride, self.n))
                rows = rows if order is None else order[rows]
                X = _checks.rows_into(self.name, self.X, rows, room[i % 2], self.first)
                release(self.X)
                others = (None if a is None else a[rows] for a in self.arrays()[1:])
                yield Block(X, *others, batch=batch)

        is_random = order is not None and advise(self.X, "MADV_RANDOM")
        try:
            yield from ahead(converted())
        finally:
            if is_random:
                advise(self.X, "MADV_NORMAL")


class Batches:
    """An iterable of (X, y) or (X, y, sample_weight): each is a batch, and an update.

    An iterable is gone through anew each epoch; an iterator goes on where it stopped. An epoch ends
    with the iterable, or after `steps` batches.
    """

    n = None

    def __init__(self, iterable, steps, check):
        self.iterable, self.steps, self.check = iterable, steps, check
        self.iterator = iterable if isinstance(iterable, Iterator) else None

    def blocks(self, order, batch, unit=1):
        """Yield the epoch's batches, checked and converted by another thread, one ahead."""
        iterator = iter(self.iterable) if self.iterator is None else self.iterator

        def checked():
            for i, item in enumerate(self._some(iterator)):
                rows = self.check(i, item)
                yield Block(*rows.arrays(), batch=rows.n)

        yield from ahead(checked())

    def _some(self, iterator):
        """Yield the epoch's items, and take none from the iterator beyond them."""
        taken = 0
        while self.steps is None or taken < self.steps:
            try:
                item = next(iterator)
            except StopIteration:
                return
            yield item
            taken += 1


def ahead(items):
    """Yield an iterator's items, each made by another thread while the one before is in use.

    One is made ahead. The thread is a daemon: who stops waiting for a slow source may go at once.
    """
    nothing, wanted, made = object(), queue.SimpleQueue(), queue.SimpleQueue()

    def make():
        while wanted.get():
            try:
                made.put((next(items, nothing), None))
            except BaseException as error:
                made.put((nothing, error))

    threading.Thread(target=make, name="fastnn-data", daemon=True).start()
    try:
        wanted.put(True)
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is nothing:
                return
            wanted.put(True)
            yield item
    finally:
        wanted.put(False)


def release(array):
    """Let the system have back the memory of a mapped file's pages that have been read.

    They stay in its cache as long as there is room. Not where pages are this process's alone.
    """
    mapped = getattr(array, "_mmap", None)
    is_shared = mapped is not None and getattr(array, "mode", None) in ("r", "r+", "w+")
    if is_shared and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def advise(array, advice):
    """Tell the system how a mapped file that it cannot keep will be read; return whether it heard.

    Around every row read at random it would read half a megabyte, gone before it is wanted.
    """
    mapped = getattr(array, "_mmap", None)
    heard = mapped is not None and hasattr(mmap, advice) and len(mapped) > MEMORY_BYTES / 2
    if heard:
        mapped.madvise(getattr(mmap, advice))
    return heard


def is_large(X, dtype):
    """Whether rows are converted a block at a time: on disk, sparse, or of a narrower type."""
    is_sparse = _checks.is_csr(X)
    if not (is_sparse or isinstance(X, np.ndarray)) or X.ndim != 2 or X.dtype.kind not in "fiub":
        return False
    grows = is_sparse or isinstance(X, np.memmap) or X.dtype.itemsize < dtype.itemsize
    return grows and math.prod(X.shape) * dtype.itemsize > LARGE_BYTES


def divide(source, split):
    """Return the rows to train on, and the last ones, a fraction `split`, to validate on."""
    kept = _checks.rows_to_train(source.n, split)
    training, validation = source.part(slice(kept)), source.part(slice(kept, None))
    _checks.split_weights(training.weights, validation.weights)
    return training, validation


def mean_and_scale(source):
    """Return each column's mean and standard deviation, 1 where it doesn't vary: (n_in,), float64.

    Those of some rows are put together with those of the rows before (Chan, Golub, LeVeque 1979),
    all as seen from the first row: a sum of many numbers that are far from 0 rounds too much. How
    many rows doesn't depend on the source.
    """
    n, mean, squares, origin = 0, 0.0, 0.0, None
    rows = BLOCK_BYTES // (8 * source.X.shape[1]) + 1
    parts = (
        block.X[first : first + rows]
        for block in source.blocks(None, rows)
        for first in range(0, block.n, rows)
    )
    for part in parts:
        X = part.astype(np.float64)
        origin = X[0].copy() if origin is None else origin
        X -= origin
        middle = X.mean(axis=0)
        apart, total = middle - mean, n + len(X)
        squares = squares + ((X - middle) ** 2).sum(axis=0) + apart**2 * (n * len(X) / total)
        mean = mean + apart * (len(X) / total)
        n = total
    mean, scale = origin + mean, np.sqrt(squares / n)
    # What rounding alone makes vary doesn't vary.
    least = 16 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(scale > least, scale, 1.0)
