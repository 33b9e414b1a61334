"""SparseRows: rows as their nonzeros, in the three arrays of CSR, without SciPy.

Users without SciPy can pass sparse rows in this form, and all sparse rows have this form between
the checks and the kernels. Not here: checks of the arrays (_checks/sparse.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _kernels_f32

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class SparseRows:
    """Rows of inputs as their nonzeros: compressed sparse rows (CSR), without SciPy.

    Row i has the values ``data[indptr[i]:indptr[i + 1]]`` in the columns
    ``indices[indptr[i]:indptr[i + 1]]``, and zeros elsewhere. Values in the same place of a row are
    added up, as in SciPy. All arrays may be files mapped by ``numpy.memmap``.

    Every method of `MLP` that takes rows accepts SparseRows, as well as SciPy's ``csr_array`` and
    ``csr_matrix``, and checks their arrays. Mapped arrays are not copied if the kernels can read
    them as they are: `data` in the network's dtype, `indices` in int32 and ascending in each row.

    Parameters
    ----------
    data : array-like of shape (n_nonzeros,)
        The values.
    indices : array-like of int, shape (n_nonzeros,)
        The column of each value.
    indptr : array-like of int, shape (n + 1,)
        The start of each row's values, and the end of the last row's values.
    shape : (int, int)
        Numbers of rows and columns.

    Examples
    --------
    >>> import fastnn
    >>> rows = fastnn.SparseRows([1.5, -2.0, 0.5], [0, 40, 7], [0, 2, 3], shape=(2, 100))
    >>> layers = [fastnn.Dense(4, "tanh"), fastnn.Dense(1)]
    >>> net = fastnn.MLP(100, layers, loss="squared_error", optimizer="sgd", seed=0)
    >>> net.predict(rows).tobytes() == net.predict(rows.toarray()).tobytes()
    True
    """

    #: The format of the sparse matrix, by the same attribute as in SciPy.
    format = "csr"

    def __init__(
        self, data: ArrayLike, indices: ArrayLike, indptr: ArrayLike, shape: tuple[int, int]
    ) -> None:
        self.data: NDArray[Any] = np.asanyarray(data)
        self.indices: NDArray[Any] = np.asanyarray(indices)
        self.indptr: NDArray[Any] = np.asanyarray(indptr)
        if self.indptr.dtype.kind == "u":  # differences of unsigned integers would wrap around
            self.indptr = self.indptr.astype(np.int64)
        rows, columns = shape
        self.shape = rows, columns

    @property
    def ndim(self) -> int:
        """Number of dimensions: 2."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.data.dtype

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<SparseRows {self.shape[0]} x {self.shape[1]}, {len(self.data)} {self.dtype}>"

    def __getitem__(self, rows: slice | NDArray[np.integer[Any]]) -> SparseRows:
        """Return some of the rows: a slice with step 1, or an array of row numbers."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, stop, _ = rows.indices(len(self))
            stop = max(first, stop)
            indptr = self.indptr[first : stop + 1]
            values = slice(int(indptr[0]), int(indptr[-1]))
            parts = self.data[values], self.indices[values], indptr - indptr[0]
            return SparseRows(*parts, shape=(stop - first, self.shape[1]))
        numbers = np.arange(len(self))[rows]
        starts, counts = self.indptr[numbers], self.indptr[numbers + 1] - self.indptr[numbers]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        at = np.repeat(starts - indptr[:-1], counts) + np.arange(indptr[-1])
        return SparseRows(
            self.data[at], self.indices[at], indptr, shape=(len(numbers), self.shape[1])
        )

    def numbers_of_rows(self) -> NDArray[np.intp]:
        """Return the number of the row of each value: (n_nonzeros,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def canonical(self) -> SparseRows:
        """Return rows with ascending columns: this object if its columns ascend already.

        Values in the same place are added in their order.
        """
        if columns_ascend(self.indices, self.indptr, self.shape[1]):
            return self
        rows = self.numbers_of_rows()
        order = np.lexsort((self.indices, rows))
        rows, columns = rows[order], self.indices[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
        data = np.zeros(int(is_first.sum()), self.dtype)
        np.add.at(data, np.cumsum(is_first) - 1, self.data[order])
        counts = np.bincount(rows[is_first], minlength=len(self))
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return SparseRows(data, columns[is_first], indptr, shape=(len(self), self.shape[1]))

    def toarray(self) -> NDArray[Any]:
        """Return the rows as a dense array."""
        out, found = np.zeros(self.shape, self.dtype), self.canonical()
        out[found.numbers_of_rows(), found.indices] += found.data
        return out


def columns_ascend(indices: NDArray[Any], indptr: NDArray[Any], n_columns: int) -> bool:
    """Whether the columns of each row are in range and ascend, for an `indptr` that is valid."""
    dtype = np.int32 if indices.dtype == np.int32 else np.int64
    return _kernels_f32.columns_ascend(
        np.ascontiguousarray(indices, dtype), np.ascontiguousarray(indptr, np.int64), n_columns
    )
