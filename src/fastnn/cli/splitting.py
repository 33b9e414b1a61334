"""The split of a table's rows: which are trained on, which stop the training, which are held out.

Not here: what a value of the target is (tabular/targets.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.errors import TableError

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray


def split(
    options: argparse.Namespace, y: NDArray[Any], classes: list[Any] | None
) -> dict[str, NDArray[np.intp]]:
    """Return the indices of the "training", "validation" and "test" rows, each sorted.

    Rows without a target are in none of them. `y` (n,) and `classes` are what `target_of` returns;
    `options` has the fractions `test` and `validation`, the `seed`, and `data` for messages.
    """
    known = np.flatnonzero(~np.isnan(y) if classes is None else y >= 0)
    rng = np.random.default_rng(options.seed)
    rows = {}
    for name, fraction in (("test", options.test), ("validation", options.validation)):
        is_picked = pick(rng, None if classes is None else y[known], len(known), fraction)
        if fraction and not is_picked.any():
            raise TableError(
                f"{options.data} has too few rows with a target ({len(known):,}) for --{name} "
                f"{fraction:g}; add rows, or do without: --{name} 0"
            )
        rows[name], known = known[is_picked], known[~is_picked]
    return {"training": known, **rows}


def pick(
    rng: np.random.Generator, labels: NDArray[Any] | None, n: int, fraction: float
) -> NDArray[np.bool_]:
    """Return which of n rows are picked at random: (n,).

    With labels (n,) the same fraction of each class is picked, and never all rows of one.
    """
    order = rng.permutation(n)
    places = np.arange(n)
    in_order = np.floor((places + 1) * fraction) > np.floor(places * fraction)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
        ordered = labels[order]
        in_order[1:] &= ordered[1:] == ordered[:-1]  # the first row of a class is not picked
    in_order[:1] = False
    is_picked = np.zeros(n, bool)
    is_picked[order] = in_order
    return is_picked
