"""StratifiedSplit: a choice of rows for validation that keeps the proportions of the classes.

Here: the random choice of rows, also for tables and their command line. Not here: training on some
of the rows (training/rows.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class StratifiedSplit:
    """Rows for validation: a random fraction of each class, but never all rows of a class.

    For ``MLP.fit(validation_split=...)`` and ``fit_many(validation=...)``. The number of rows that
    are held out of a class of ``count`` rows is ``fraction * count``, rounded up or down; a class
    with a single row stays in training. The classes are those of the targets: labels, the largest
    of the probabilities of a row, or 0 and 1 of a single sigmoid output (1 from 0.5 on). The choice
    depends only on the seed, the fraction, and which rows have the same class.

    Parameters
    ----------
    fraction : float
        The fraction of the rows, above 0 and below 1. At least one row is held out.
    seed : int, default 0
        Seed of the choice, 0 or more.

    Raises
    ------
    TypeError, ValueError
        If a parameter is invalid.

    Examples
    --------
    >>> import fastnn
    >>> split = fastnn.StratifiedSplit(0.25)
    >>> training, validation = split.rows(["a", "a", "a", "a", "b", "b", "b", "b", "c"])
    >>> validation
    array([1, 7])
    """

    fraction: float
    seed: int = 0

    def __post_init__(self) -> None:
        fraction = _checks.number("fraction", self.fraction, above=0.0, below=1.0)
        object.__setattr__(self, "fraction", fraction)
        object.__setattr__(self, "seed", _checks.seed_of_split(self.seed))

    def rows(self, y: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the numbers of the rows to train on and of those for validation, each sorted.

        Parameters
        ----------
        y : array-like of shape (n,)
            The class of each row: numbers or text.

        Returns
        -------
        training, validation : ndarray of int

        Raises
        ------
        TypeError, ValueError
            If y is invalid, or no row can be held out, since each is the only one of its class.
        """
        _, first, numbers = np.unique(
            _checks.strata("y", y), return_index=True, return_inverse=True
        )
        by_first_row = np.argsort(np.argsort(first))  # whatever the names of the classes
        n = len(numbers)
        fraction = max(self.fraction, (1 + 1e-9) / n)  # n times it is at least 1
        rng = np.random.default_rng(self.seed)
        is_held_out = pick(rng, by_first_row[numbers], n, fraction)
        _checks.some_held_out(is_held_out, self)
        return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def pick(
    rng: np.random.Generator, labels: NDArray[Any] | None, n: int, fraction: float
) -> NDArray[np.bool_]:
    """Return a random choice among n rows, as a mask (n,).

    With labels (n,), the same fraction of each class is chosen, but never all rows of a class.
    """
    order = rng.permutation(n)
    places = np.arange(n)
    in_order = np.floor((places + 1) * fraction) > np.floor(places * fraction)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
        in_order = _spare_first_rows(in_order, labels[order])
    in_order[:1] = False
    is_picked = np.zeros(n, bool)
    is_picked[order] = in_order
    return is_picked


def _spare_first_rows(is_picked: NDArray[np.bool_], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a choice (n,) without the first row of any class; labels (n,) are sorted.

    A chosen first row is exchanged for the next row of its class that is not chosen, if there is
    one. If no row remains chosen, since each was the only one of its class, a row of the largest
    class is chosen, unless that class has only one row, too.
    """
    if not is_picked.any():
        return is_picked
    n = len(labels)
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    ends = np.r_[starts[1:], n]
    free = np.r_[np.flatnonzero(~is_picked), n]
    spared = is_picked[starts]
    instead = free[np.searchsorted(free, starts[spared])]
    found = is_picked.copy()
    found[starts] = False
    found[instead[instead < ends[spared]]] = True
    if not found.any():
        largest = (ends - starts).argmax()
        found[starts[largest] + 1 : ends[largest]][:1] = True
    return found
