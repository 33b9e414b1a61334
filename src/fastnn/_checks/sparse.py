"""Checks of sparse rows: the structure of compressed matrices, which SciPy does not check.

SciPy reads and writes out of bounds if indices are out of range. Unsorted indices, and several
values at one place (which are summed), are allowed in SciPy and here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.values import counted
from fastnn.sparse_rows import SparseRows, columns_ascend

if TYPE_CHECKING:
    from numpy.typing import NDArray


def csr(name: str, value: Any) -> SparseRows:
    """Return checked sparse rows whose index arrays no other code in this process can change.

    The index arrays are copies, unless they are memory-mapped files.
    """
    indptr, indices = compressed(name, value, own=True)
    if value.shape[1] > np.iinfo(np.int32).max:
        raise ValueError(f"{name} has {value.shape[1]} columns; sparse rows have fewer than 2^31")
    if value.data.ndim != 1:
        _refuse(name, "CSR", f"data has {counted(value.data.ndim, 'dimension')}, not 1")
    return SparseRows(value.data[: indptr[-1]], indices, indptr, value.shape)


def compressed(name: str, value: Any, *, own: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check a CSR or CSC matrix; return its indptr and the indices in use, with `own` as copies
    that no other code can change, as in `csr`."""
    kind, n, minor = value.format.upper(), value.shape[0], value.shape[1]
    along, across = "row", "column"
    if value.format == "csc":
        n, minor, along, across = minor, n, across, along
    indptr = _integers(name, kind, "indptr", value.indptr, own)
    if len(indptr) != n + 1:
        _refuse(name, kind, f"indptr has {len(indptr)} entries, but {n} {along}s need {n + 1}")
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        _refuse(name, kind, "indptr must begin with 0 and must not decrease")
    count = int(indptr[-1])
    indices = _integers(name, kind, "indices", value.indices, own)[:count]
    for part, length in (("indices", len(indices)), ("data", value.data.size)):
        if length < count:
            _refuse(name, kind, f"{part} has {length} entries, but indptr counts {count}")
    if columns_ascend(indices, indptr, minor):
        return indptr, indices
    if count and not 0 <= indices.min() <= indices.max() < minor:
        at = int(np.argmax((indices < 0) | (indices >= minor)))
        where = int(np.searchsorted(indptr, at, side="right")) - 1
        _refuse(
            name,
            kind,
            f"{along} {where} has a value in {across} {indices[at]}, but {across}s run from 0 to "
            f"{minor - 1}",
        )
    return indptr, indices


def _integers(name: str, kind: str, part: str, value: Any, own: bool) -> NDArray[Any]:
    """Return an array of indices, with `own` as a copy unless it is memory-mapped.

    Unsigned integers become int64; those beyond it become negative, which no index may be.
    """
    copies = own and not isinstance(value, np.memmap)
    array: NDArray[Any] = np.array(value) if copies else np.asanyarray(value)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        _refuse(name, kind, f"{part} must be an array of integers")
    return array.astype(np.int64) if array.dtype.kind == "u" else array


def coordinates(name: str, value: Any) -> None:
    """Check the places of the values of a COO matrix."""
    for axis, indices in (("row", value.row), ("column", value.col)):
        n = value.shape[axis == "column"]
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < n:
            worst = indices.min() if indices.min() < 0 else indices.max()
            _refuse(name, "COO", f"it has a value in {axis} {worst}, but there are {n} {axis}s")


def _refuse(name: str, kind: str, what: str) -> None:
    """Raise the error for a matrix that SciPy would read out of bounds."""
    raise ValueError(f"{name} is a damaged {kind} matrix: {what}; rebuild it with valid indices")
