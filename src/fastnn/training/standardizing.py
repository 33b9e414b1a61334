"""Mean and scale of each column of a source's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.training import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_and_scale(source: rows.Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each column's mean and standard deviation, 1 where it doesn't vary: (n_in,).

    Means and squares of some rows are combined with those of the rows before (Chan, Golub, LeVeque
    1979), all relative to the first row: a sum of many numbers that are far from 0 rounds too much.
    How many rows are combined at a time doesn't depend on the source.
    """
    n, origin = 0, None
    mean: Any = 0.0
    squares: Any = 0.0
    size = rows.BLOCK_BYTES // (8 * source.X.shape[1]) + 1
    parts = (
        block.X[first : first + size]
        for block in source.blocks(None, size)
        for first in range(0, block.n, size)
    )
    for part in parts:
        X = part.astype(np.float64)
        origin = X[0].copy() if origin is None else origin
        X -= origin
        middle = X.mean(axis=0)
        apart, total = middle - mean, n + len(X)
        squares = squares + ((X - middle) ** 2).sum(axis=0) + apart**2 * (n * len(X) / total)
        mean = mean + apart * (len(X) / total)
        n = total
    mean, scale = origin + mean, np.sqrt(squares / n)
    # A column that varies by no more than the error of rounding doesn't vary.
    least = 16 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(scale > least, scale, 1.0)
