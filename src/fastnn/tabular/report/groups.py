"""Groups of equally many rows, in the order of a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Fewest rows of a group, if possible.
_FEWEST = 10


def equal_groups(values: NDArray[Any], most: int) -> list[NDArray[np.intp]]:
    """Return the indices of values (n,) in at most `most` groups, from small to large values.

    Equal values that are split between groups keep the order of their indices.
    """
    order = np.argsort(values, kind="stable")
    n_groups = max(1, min(most, len(order) // _FEWEST))
    return [group for group in np.array_split(order, n_groups) if len(group)]
