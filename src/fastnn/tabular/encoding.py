"""Encoding of a table's rows as a network's inputs X, in blocks.

Here: the entries of a recipe, each with the codes of one column, and the values that these codes
take. Not here: the codes (codes.py), how an entry is learned (learning.py), and the role of the
columns (recipe.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.sparse_rows import SparseRows
from fastnn.tabular import codes
from fastnn.tabular.codes import MISSING, UNKNOWN, Code, Missing, OneHot, Ordered
from fastnn.tabular.errors import FRAME, TableError, listed, suggestion
from fastnn.tabular.spelling import Lookup
from fastnn.tabular.table import DATES, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    from fastnn.tabular.table import Column, Table

_BLOCK = 65536  # rows of a block

#: Inputs are sparse rows if there are at least _WIDE of them and at most one in
#: _INPUTS_OF_A_NONZERO is nonzero. With 24 nonzeros among 512 inputs, training takes as long either
#: way; with fewer, sparse rows are faster. They take a tenth of the memory.
_WIDE, _INPUTS_OF_A_NONZERO = 256, 20

#: How to have unknown texts treated as missing: on the command line, in Python.
_AS_MISSING = "--unknown missing", "tables.recipe_of(net).inputs(data, unknown='missing')"


@dataclass(frozen=True)
class Entry:
    """How a column is encoded: its kind, and its codes in the order of the inputs.

    Parameters
    ----------
    name : str
    kind : {"number", "category", "date", "day-first date", "month-first date"}
    codes : tuple of Code
        The codes; each encodes the same values.
    """

    name: str
    kind: str
    codes: tuple[Code, ...]

    @property
    def inputs(self) -> list[str]:
        """Names of the column's inputs."""
        return [name for code in self.codes for name in code.names(self.name)]

    @property
    def is_measured(self) -> list[bool]:
        """Whether each input is a quantity, not a 0 or 1."""
        return [code.is_measured for code in self.codes for _ in code.names(self.name)]

    @property
    def takes_missing(self) -> bool:
        """Whether an input marks missing values."""
        return any(isinstance(code, Missing) for code in self.codes)

    @property
    def category(self) -> OneHot | Ordered | None:
        """The code that has the texts of a category; None for other columns."""
        return next((code for code in self.codes if isinstance(code, OneHot | Ordered)), None)

    def to_plain(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        made = [code.to_plain() for code in self.codes]
        return {"name": self.name, "kind": self.kind, "codes": made}

    @classmethod
    def from_plain(cls, place: str, plain: Any) -> Entry:
        """Return the entry from the result of `to_plain`; an error names the problem."""
        found = _checks.fields(place, plain, ("name", "kind", "codes"))
        kind = _checks.choice(f"{place}'s kind", found["kind"], KINDS)
        made = _checks.plain_list(f"{place}'s codes", found["codes"])
        _checks.plain_text(f"{place}'s name", found["name"])
        entry = cls(found["name"], kind, tuple(codes.from_plain(place, c) for c in made))
        if (kind == "category") != (entry.category is not None):
            raise ValueError(f"{place} is a {kind}, but its codes are for another kind of column")
        return entry


def encode(entries: Sequence[Entry], table: Table, unknown: str) -> EncodedRows:
    """Return the encoded rows of a table; `unknown` is "error" or "missing", as in Recipe.encode.

    All columns are looked up before the first is encoded, so that a missing column is reported
    first.
    """
    columns = [table.column(entry.name) for entry in entries]
    parts: list[NDArray[Any]] = []
    replaced: dict[str, int] = {}
    others: dict[str, int] = {}
    for column, entry in zip(columns, entries, strict=True):
        _require_kind(table.path, column, entry)
        if entry.category is None:
            parts.append(column.values)
        else:
            values, n_unknown = _indices(table.path, column, entry.category, unknown)
            parts.append(values)
            if n_unknown:
                (others if entry.category.other else replaced)[column.name] = n_unknown
    return EncodedRows(entries, parts, replaced, others)


def _require_kind(path: str, column: Column, entry: Entry) -> None:
    """Check that a column has the kind of its entry, as in every table that the recipe reads.

    Dates with the year first, or of a type of dates, suit any kind of date.
    """
    if column.kind != entry.kind and not (column.kind == DATES[0] and entry.kind in DATES):
        raise TableError(
            f"{path}: column {column.name!r} was read as a {column.kind} but was a {entry.kind} in "
            "training; let the recipe read the table: pass the data, or recipe.read(data)"
        )


def _indices(
    path: str, column: Column, code: OneHot | Ordered, unknown: str
) -> tuple[NDArray[Any], int]:
    """Return the index of each row's text (n,) among those of a code, and how many are unknown.

    Unknown texts become missing, or go to the input of all other texts, if there is one.
    """
    index = Lookup(code.texts, are_all=not code.other)
    found = [index(text) for text in column.texts]
    index_of = np.array([*(UNKNOWN if i is None else i for i in found), MISSING])
    values = index_of[column.values]
    is_unknown = values == UNKNOWN
    count = int(is_unknown.sum())
    if code.other:
        return values, count
    if count and unknown == "error":
        row = int(is_unknown.argmax())
        text = column.texts[column.values[row]]
        hint = suggestion(text, code.texts)
        more = f" ({count:,} such rows)" if count > 1 else ""
        raise TableError(
            f"{path}: column {column.name!r} holds {text!r} in row {row + 1}{more}, which does not "
            f"occur in the training rows; {hint}known texts are {listed(code.texts)}; correct "
            f"the value, or treat it as missing: {_AS_MISSING[path == FRAME]}"
        )
    if count:
        values[is_unknown] = MISSING
    return values, count


@dataclass
class EncodedRows:
    """The encoded rows of a table: one value per column, until `matrix` converts them to inputs.

    Parameters
    ----------
    entries : sequence of Entry
        How each column is encoded.
    parts : list of ndarray of shape (n,)
        For each column, its values in the form that the codes take.
    replaced : dict of str to int
        By column, how many unknown texts were treated as missing.
    others : dict of str to int
        By column, how many texts went to the input that rare texts share; they were rare in the
        training rows, or do not occur there.
    """

    entries: Sequence[Entry]
    parts: list[NDArray[Any]]
    replaced: dict[str, int]
    others: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.parts[0])

    def n_missing(self) -> dict[str, int]:
        """Return the number of missing values of each column that has any."""
        found = {}
        for entry, values in zip(self.entries, self.parts, strict=True):
            count = int(codes.is_missing(values).sum()) - self.replaced.get(entry.name, 0)
            if count:
                found[entry.name] = count
        return found

    def matrix(
        self, rows: slice | NDArray[Any] = slice(None), dtype: DTypeLike = "float32"
    ) -> NDArray[Any]:
        """Return the inputs of some rows.

        Parameters
        ----------
        rows : slice or ndarray of int, optional
            Numbers of rows; by default all.
        dtype : {"float32", "float64"}, default "float32"

        Returns
        -------
        ndarray of shape (n, n_in)
        """
        parts = [part[rows] for part in self.parts]
        widths = [[len(code.names(e.name)) for code in e.codes] for e in self.entries]
        X = np.zeros((len(parts[0]), sum(map(sum, widths))), dtype)
        first = 0
        for entry, values, of_codes in zip(self.entries, parts, widths, strict=True):
            for code, width in zip(entry.codes, of_codes, strict=True):
                code.write(values, X[:, first : first + width])
                first += width
        return X

    @property
    def are_sparse(self) -> bool:
        """Whether the inputs are wide with few nonzeros, so that sparse rows are worthwhile."""
        n_in = most = 0
        for entry in self.entries:
            for code in entry.codes:
                width = len(code.names(entry.name))
                n_in += width
                most += 1 if code.is_one_hot else width
        return n_in >= _WIDE and most * _INPUTS_OF_A_NONZERO <= n_in

    def inputs(
        self, rows: slice | NDArray[Any] = slice(None), dtype: DTypeLike = "float32"
    ) -> NDArray[Any] | SparseRows:
        """Return the inputs of some rows, as sparse rows where these are worthwhile.

        Parameters
        ----------
        rows, dtype
            As for `matrix`.

        Returns
        -------
        ndarray or SparseRows of shape (n, n_in)
            SparseRows if `are_sparse`.
        """
        return self.sparse(rows, dtype) if self.are_sparse else self.matrix(rows, dtype)

    def sparse(
        self, rows: slice | NDArray[Any] = slice(None), dtype: DTypeLike = "float32"
    ) -> SparseRows:
        """Return the inputs of some rows as sparse rows, without making a dense array.

        Parameters
        ----------
        rows, dtype
            As for `matrix`.

        Returns
        -------
        SparseRows of shape (n, n_in)
        """
        numbers = np.arange(len(self))[rows]
        starts = range(0, max(1, len(numbers)), _BLOCK)
        blocks = [self._sparse_block(numbers[i : i + _BLOCK], dtype) for i in starts]
        counts = np.concatenate([counts for counts, _, _ in blocks])
        return SparseRows(
            np.concatenate([values for _, _, values in blocks]),
            np.concatenate([inputs for _, inputs, _ in blocks]),
            np.concatenate([[0], np.cumsum(counts)]),
            (len(numbers), sum(len(entry.inputs) for entry in self.entries)),
        )

    def _sparse_block(
        self, rows: NDArray[Any], dtype: DTypeLike
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the nonzeros of some rows: their number per row, their inputs and their values."""
        at, inputs, values, first = [], [], [], 0
        for entry, part in zip(self.entries, self.parts, strict=True):
            for code in entry.codes:
                width = len(code.names(entry.name))
                of_rows, of_code, found = code.nonzeros(part[rows], width, dtype)
                at.append(of_rows)
                inputs.append((of_code + first).astype(np.int32))
                values.append(found)
                first += width
        places = np.concatenate(at)
        order = np.argsort(places, kind="stable")  # stable: keeps the order of inputs within a row
        counts = np.bincount(places, minlength=len(rows))
        return counts, np.concatenate(inputs)[order], np.concatenate(values)[order]

    def blocks(self, dtype: DTypeLike = "float32") -> Iterator[NDArray[Any] | SparseRows]:
        """Yield the inputs of all rows, block by block.

        Parameters
        ----------
        dtype : {"float32", "float64"}, default "float32"

        Yields
        ------
        ndarray or SparseRows of shape (n_block, n_in)
            As from `inputs`.
        """
        for start in range(0, len(self), _BLOCK):
            yield self.inputs(slice(start, start + _BLOCK), dtype)


def measured(X: NDArray[Any] | SparseRows, is_measured: NDArray[Any]) -> NDArray[Any] | SparseRows:
    """Return the inputs with 0 for those that are not quantities, so that Standardize ignores them.

    A Standardize layer that is adapted to a column of zeros gives it mean 0 and scale 1.
    """
    if isinstance(X, SparseRows):
        data = np.where(is_measured[X.indices], X.data, X.dtype.type(0))
        return SparseRows(data, X.indices, X.indptr, X.shape)
    return np.where(is_measured, X, X.dtype.type(0))
