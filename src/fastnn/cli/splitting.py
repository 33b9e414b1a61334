"""The split of a table's rows into training, validation and test rows.

Not here: the values of the target (tabular/targets.py), and the random choice of rows
(splits.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.splits import pick
from fastnn.tabular.errors import TableError

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from fastnn.tabular.table import Column


def split(
    options: argparse.Namespace, y: NDArray[Any], classes: list[Any] | None, validation: float
) -> dict[str, NDArray[np.intp]]:
    """Return the indices of the "training", "validation" and "test" rows, each sorted.

    Rows without a target are in none of them. `y` (n,) and `classes` are those that `target_of`
    returns. `options` has the fraction `test`, the `seed`, and `data` for messages. `validation` is
    the fraction of the rows that are not test rows.
    """
    known = np.flatnonzero(~np.isnan(y) if classes is None else y >= 0)
    n = len(known)
    rng = np.random.default_rng(options.seed)
    rows = {}
    for name, fraction in (("test", options.test), ("validation", validation)):
        is_picked = pick(rng, None if classes is None else y[known], len(known), fraction)
        if fraction and not is_picked.any():
            n_classes = len(np.unique(y[known])) if classes is not None else 0
            if 2 * n_classes > len(known) >= 1 / fraction:
                raise TableError(
                    f"{options.data} has {n_classes:,} classes in {len(known):,} rows, nearly a "
                    f"class for each row, so that none can be held out for --{name} {fraction:g}; "
                    f"choose another target, merge classes, or hold out none: --{name} 0"
                )
            if name == "validation" and n * fraction >= 1 > len(known) * fraction:
                raise TableError(
                    f"{options.data}: --test {options.test:g} leaves {len(known):,} of the {n:,} "
                    f"rows with a target, too few for --validation {fraction:g}; lower --test, or "
                    "hold out none: --validation 0"
                )
            raise TableError(
                f"{options.data} has too few rows with a target ({len(known):,}) for --{name} "
                f"{fraction:g}; add rows, or hold out none: --{name} 0"
            )
        rows[name], known = known[is_picked], known[~is_picked]
    if len(known) < 2 <= n:
        held_out = " and ".join(f"--{name}" for name, some in rows.items() if len(some))
        raise TableError(
            f"{options.data}: {held_out} leave{'' if ' ' in held_out else 's'} {len(known)} of the "
            f"{n:,} rows with a target for training; lower {held_out}"
        )
    return {"training": known, **rows}


# ---- a network for each value of a column (--by) ------------------------------------------------


def with_value(
    options: argparse.Namespace, column: Column, y: NDArray[Any], classes: list[Any] | None
) -> NDArray[Any]:
    """Return the targets (n,) without those of rows that lack a value in the column of --by."""
    found = np.where(column.values < 0, np.nan if classes is None else -1, y)
    if not (~np.isnan(found) if classes is None else found >= 0).any():
        raise TableError(
            f"{options.data}: no row with a target has a value in {column.name!r}, the column of "
            "--by; name another column"
        )
    return found


def with_network(
    options: argparse.Namespace, column: Column, rows: dict[str, NDArray[np.intp]]
) -> NDArray[np.intp]:
    """Return the test rows whose value in the column of --by also occurs in other rows."""
    test, others = rows["test"], np.concatenate([rows["training"], rows["validation"]])
    found = test[np.isin(column.values[test], column.values[others])]
    if len(test) and not len(found):
        raise TableError(
            f"{options.data}: no test row has a value of {column.name!r}, the column of --by, that "
            "occurs in the training rows, so no network can be scored; choose a column with fewer "
            "values, or compute no scores: --test 0"
        )
    return found
