"""Rows in groups of equal size, by the order of a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows that a group should have at least.
_FEWEST = 10


def equal_groups(values: NDArray[Any], most: int) -> list[NDArray[np.intp]]:
    """Return the places of values (n,) in at most so many groups, from small to large values.

    Equal values in different groups are in the order of their places.
    """
    order = np.argsort(values, kind="stable")
    n_groups = max(1, min(most, len(order) // _FEWEST))
    return [group for group in np.array_split(order, n_groups) if len(group)]
