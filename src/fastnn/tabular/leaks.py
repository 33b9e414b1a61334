"""Columns that leak the target: a single column that predicts it in nearly every row.

Such a column is often the target in another form, or is known only after the target. Not here: the
warning about it (cli/train.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.codes import is_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.table import Column, Table

#: Least share of the target's variance, or of the rows, that a leaking column predicts.
SHARE = 0.999

#: Fewest rows needed to report a column.
_ROWS = 30


def giving_away(
    table: Table, names: list[str], y: NDArray[Any], rows: NDArray[Any], is_class: bool
) -> dict[str, float]:
    """Return the columns that leak the target, and how well each one alone predicts it.

    Parameters
    ----------
    table : Table
    names : list of str
        The columns to check.
    y : ndarray of shape (n,)
        The target: numbers, or indices of classes.
    rows : ndarray of int
        The rows to check; all have a target.
    is_class : bool

    Returns
    -------
    dict of str to float
        For regression, the squared correlation with the target (of values or of ranks, whichever is
        higher), or the share of the target's variance explained by the texts of a category. For
        classification, the share of rows whose class is the most frequent one for their text or
        interval of numbers.
    """
    if len(rows) < _ROWS:
        return {}
    t = y[rows]
    measure = _fraction_predicted if is_class else _variance_explained
    found = {
        name: measure(table.columns[name], table.columns[name].values[rows], t) for name in names
    }
    return {name: share for name, share in found.items() if share >= SHARE}


def _variance_explained(column: Column, values: NDArray[Any], t: NDArray[Any]) -> float:
    """Return the share of the variance of t (n,) that a column explains."""
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
    """Return the rank of each value among the distinct values."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _fraction_predicted(column: Column, values: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of rows whose class is the most frequent one of their text or interval.

    Return 0 where this is no evidence: one class has most rows, or texts or intervals are too many.
    """
    n_classes = int(labels.max()) + 1
    if np.bincount(labels).max() > 0.95 * len(labels):
        return 0.0
    if column.kind == "category":
        groups = values + 1
    else:
        order = np.argsort(values, kind="stable")
        # An interval ends where the class changes between two distinct values.
        changes = (np.diff(labels[order]) != 0) & (np.diff(values[order]) != 0)
        groups = np.empty(len(values), np.intp)
        groups[order] = np.concatenate([[0], np.cumsum(changes)])
    if groups.max() + 1 > max(2 * n_classes, len(labels) // 50):
        return 0.0
    counts = np.zeros((groups.max() + 1, n_classes), np.intp)
    np.add.at(counts, (groups, labels), 1)
    return float(counts.max(axis=1).sum() / len(labels))
