"""Columns that give the target away: one alone tells it in nearly every row.

Such a column is often the target in another form, or known only after it. Not here: what is done
about it (cli/train.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.codes import is_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.table import Column, Table

#: The share of the target's variation, or of the rows, that a column must tell.
SHARE = 0.999

#: The fewest rows that show it.
_ROWS = 30


def giving_away(
    table: Table, names: list[str], y: NDArray[Any], rows: NDArray[Any], is_class: bool
) -> dict[str, float]:
    """Return the columns that give the target away, and how well each alone tells it.

    Parameters
    ----------
    table : Table
    names : list of str
        The columns to look at.
    y : ndarray of shape (n,)
        The target: numbers, or indices of classes.
    rows : ndarray of int
        The rows to look at, all of which have a target.
    is_class : bool

    Returns
    -------
    dict of str to float
        For a regression the squared correlation with the target, of values or of ranks, or the
        share of its variance between the texts of a category. For classes the share of rows that
        have the class which their text, or their interval of numbers, mostly has.
    """
    if len(rows) < _ROWS:
        return {}
    t = y[rows]
    tell = _told_class if is_class else _told_number
    found = {name: tell(table.columns[name], table.columns[name].values[rows], t) for name in names}
    return {name: share for name, share in found.items() if share >= SHARE}


def _told_number(column: Column, values: NDArray[Any], t: NDArray[Any]) -> float:
    """Return the share of the variance of t (n,) that a column tells."""
    known = ~is_missing(values)
    values, t = values[known], t[known]
    spread = ((t - t.mean()) ** 2).sum() if len(t) >= _ROWS else 0.0
    if spread == 0:
        return 0.0
    if column.kind == "category":
        groups = np.bincount(values)
        if np.count_nonzero(groups) * 10 > len(t):
            return 0.0
        means = np.bincount(values, t) / np.maximum(groups, 1)
        return float(1 - ((t - means[values]) ** 2).sum() / spread)
    if values.min() == values.max():
        return 0.0
    pairs = (values, t), (_ranks(values), _ranks(t))
    return float(max(np.corrcoef(a, b)[0, 1] ** 2 for a, b in pairs))


def _ranks(values: NDArray[Any]) -> NDArray[np.intp]:
    """Return the rank of each value among the different ones."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _told_class(column: Column, values: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of rows whose class is the most frequent one of their text or interval.

    0 if this says little: if most rows are of one class, or intervals are as small as rows.
    """
    n_classes = int(labels.max()) + 1
    if np.bincount(labels).max() > 0.95 * len(labels):
        return 0.0
    if column.kind == "category":
        groups = values + 1
    else:
        order = np.argsort(values, kind="stable")
        # An interval ends where the class changes between two different values.
        changes = (np.diff(labels[order]) != 0) & (np.diff(values[order]) != 0)
        groups = np.empty(len(values), np.intp)
        groups[order] = np.concatenate([[0], np.cumsum(changes)])
    if groups.max() + 1 > max(2 * n_classes, len(labels) // 50):
        return 0.0
    counts = np.zeros((groups.max() + 1, n_classes), np.intp)
    np.add.at(counts, (groups, labels), 1)
    return float(counts.max(axis=1).sum() / len(labels))
