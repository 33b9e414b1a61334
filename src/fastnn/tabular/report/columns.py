"""How each column is encoded, and how many of the held-out rows have missing or rare values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.codes import Ordered, is_missing
from fastnn.tabular.report.html import Html, as_text, counted, joined, paragraph, percent, table
from fastnn.tabular.spelling import Lookup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.encoding import Entry
    from fastnn.tabular.report.subject import Subject
    from fastnn.tabular.table import Column


def section(subject: Subject) -> Html:
    """Return a table of the used columns, and a table of the unused ones."""
    recipe = subject.recipe
    rows = [_row(entry, subject.table.columns[entry.name], subject.n) for entry in recipe.columns]
    head = ["Column", "Kind", "Inputs", "Encoding", "Missing values", "Rare or new texts"]
    text = (
        f"{counted(len(recipe.columns), 'column')} of the table became "
        f"{counted(len(recipe.names), 'input')} of the {subject.predictor}. The encoding was "
        "derived from the training rows alone; missing values and rare texts are counted in the "
        "held-out rows."
    )
    parts = [paragraph(text), table("Columns that are used", head, rows, "words")]
    if recipe.ignored:
        left = [[as_text(name), why] for name, why in recipe.ignored.items()]
        parts.append(table("Columns that are not used", ["Column", "Why"], left, "words"))
    return joined(parts)


def _row(entry: Entry, column: Column, n: int) -> list[Any]:
    """Return the table cells that describe a column."""
    codes = "; ".join(code.described() for code in entry.codes)
    missing = int(is_missing(column.values).sum())
    found = "none" if not missing else f"{missing:,} ({percent(missing / n)})"
    if missing and not entry.takes_missing:
        found += ", though none in training"
    return [as_text(entry.name), entry.kind, len(entry.inputs), codes, found, _rare(entry, column)]


def _rare(entry: Entry, column: Column) -> str:
    """Return how many held-out rows have texts without an input of their own."""
    category = entry.category
    if category is None:
        return ""
    index = Lookup(category.texts, are_all=not category.other)
    places = [index(text) for text in column.texts]
    is_new = np.array([*(place is None for place in places), False])  # the last one: missing
    found = [
        _of_texts(column, is_new, "as the input of rare texts" if category.other else "as missing")
    ]
    if isinstance(category, Ordered):
        is_rare = [i is not None and category.texts[i] not in category.known for i in places]
        found.append(_of_texts(column, np.array([*is_rare, False]), "as a neighbour in the order"))
    return "; ".join(filter(None, found)) or "none"


def _of_texts(column: Column, is_one: NDArray[np.bool_], how: str) -> str:
    """Return how many rows have the texts that `is_one` marks; empty if no row has one."""
    rows = column.values[is_one[column.values]]
    if not len(rows):
        return ""
    return f"{counted(len(rows), 'row')} with {counted(len(np.unique(rows)), 'text')}, {how}"
