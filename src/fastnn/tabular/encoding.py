"""The numbers of a table's rows as a network takes them: X in blocks, from encoded columns.

Here: the entries that describe how one column is encoded, and the arithmetic of encoding. Not
here: how an entry is learned (learning.py), and what the columns are for (recipe.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import numpy as np

from fastnn.tabular.errors import TableError, listed, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    from fastnn.tabular.table import Column, Table

_BLOCK = 65536  # rows of a block


class NumberEntry(TypedDict):
    """How a column of numbers is encoded: one input, and one more if values may be missing.

    A missing value becomes the median; `shift` is subtracted from every value. It is 0 unless a
    column is so far from 0 that float32 would lose its digits.
    """

    name: str
    kind: Literal["number"]
    missing: bool
    median: float
    shift: float


class CategoryEntry(TypedDict):
    """How a category is encoded: one input a text, and one more if values may be missing."""

    name: str
    kind: Literal["category"]
    missing: bool
    texts: list[str]


Entry: TypeAlias = NumberEntry | CategoryEntry


def input_names(entry: Entry) -> list[str]:
    """Return the names of the inputs that a column is encoded as."""
    name = entry["name"]
    names = [name] if entry["kind"] == "number" else [f"{name}={t}" for t in entry["texts"]]
    return [*names, f"{name}=(missing)"] if entry["missing"] else names


def encode(entries: Sequence[Entry], table: Table, unknown: str) -> Rows:
    """Return the rows of a table, encoded; `unknown` is "error" or "missing", as in Recipe.encode.

    All columns are looked up before the first is encoded, so that a missing one is reported first.
    """
    columns = [table.column(entry["name"]) for entry in entries]
    parts, replaced = [], {}
    for column, entry in zip(columns, entries, strict=True):
        if entry["kind"] == "number":
            parts.append(column.values)
        else:
            codes, n_unknown = _codes(table.path, column, entry, unknown)
            parts.append(codes)
            if n_unknown:
                replaced[column.name] = n_unknown
    return Rows(entries, parts, replaced)


def _missing_code(entry: CategoryEntry) -> int:
    """Return the index of the input for missing values among a category's inputs, -1 for none."""
    return len(entry["texts"]) if entry["missing"] else -1


def _codes(
    path: str, column: Column, entry: CategoryEntry, unknown: str
) -> tuple[NDArray[Any], int]:
    """Return the index of each row's input (n,), -1 for none, and the number of unknown texts."""
    index_of = {text: i for i, text in enumerate(entry["texts"])}
    missing = _missing_code(entry)
    code_of = np.array([*(index_of.get(text, -2) for text in column.texts), missing])
    codes = code_of[column.values]
    is_unknown = codes == -2
    count = int(is_unknown.sum())
    if count and unknown == "error":
        row = int(is_unknown.argmax())
        text = column.texts[column.values[row]]
        hint = suggestion(text, entry["texts"])
        more = f" ({count:,} such rows)" if count > 1 else ""
        raise TableError(
            f"{path}: column {column.name!r} holds {text!r} in row {row + 1}{more}, which does not "
            f"occur in the training rows; {hint}known texts are {listed(entry['texts'])}; correct "
            "the value, or treat it as missing: --unknown missing"
        )
    codes[is_unknown] = missing
    return codes, count


@dataclass
class Rows:
    """The encoded rows of a table, one number a column until `matrix` makes inputs of them.

    Parameters
    ----------
    entries : sequence of dict
        How each column is encoded.
    parts : list of ndarray of shape (n,)
        For each column its numbers, or the indices of a category's inputs.
    replaced : dict of str to int
        How many unknown texts were treated as missing, by column.
    """

    entries: Sequence[Entry]
    parts: list[NDArray[Any]]
    replaced: dict[str, int]

    def __len__(self) -> int:
        return len(self.parts[0])

    def n_missing(self) -> dict[str, int]:
        """Return the number of missing values, by column, for columns with any."""
        found = {}
        for entry, values in zip(self.entries, self.parts, strict=True):
            if entry["kind"] == "number":
                is_missing = np.isnan(values)
            else:
                is_missing = values == _missing_code(entry)
            count = int(is_missing.sum()) - self.replaced.get(entry["name"], 0)
            if count:
                found[entry["name"]] = count
        return found

    def matrix(
        self, rows: slice | NDArray[Any] = slice(None), dtype: DTypeLike = "float32"
    ) -> NDArray[Any]:
        """Return the inputs X (n, n_in) of some rows, by default of all."""
        parts = [part[rows] for part in self.parts]
        X = np.zeros((len(parts[0]), sum(len(input_names(entry)) for entry in self.entries)), dtype)
        first = 0
        for entry, values in zip(self.entries, parts, strict=True):
            if entry["kind"] == "number":
                is_missing = np.isnan(values)
                filled = np.where(is_missing, entry["median"], values)
                X[:, first] = filled - entry["shift"]
                if entry["missing"]:
                    X[:, first + 1] = is_missing
            else:
                has_input = np.flatnonzero(values >= 0)
                X[has_input, first + values[has_input]] = 1
            first += len(input_names(entry))
        return X

    def blocks(self, dtype: DTypeLike = "float32") -> Iterator[NDArray[Any]]:
        """Yield the inputs X of all rows, block by block."""
        for start in range(0, len(self), _BLOCK):
            yield self.matrix(slice(start, start + _BLOCK), dtype)
