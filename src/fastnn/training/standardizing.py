"""Mean and scale of each column of a source's rows, for Standardize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _checks, _conversion
from fastnn.training import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

#: Sums of squares of numbers between 2^-LIMIT and 2^LIMIT neither overflow nor underflow.
LIMIT = 450


class Moments(NamedTuple):
    """Mean, standard deviation, minimum and maximum of each column: arrays (n_in,)."""

    mean: Column
    deviation: Column
    low: Column
    high: Column


def mean_and_scale(source: rows.Rows, name: str, dtype: np.dtype[Any]) -> tuple[Column, Column]:
    """Return the mean (n_in,) and the scale (n_in,) of each column.

    The scale is the standard deviation, or 1 for a constant column. A ValueError names a column
    that cannot be standardized in `dtype`.
    """
    with np.errstate(all="ignore"):
        found, spread = _moments(source)
        exponents = np.frexp(np.where(np.isfinite(spread), spread, np.finfo(np.float64).max))[1]
        is_extreme = (spread > 0) & (np.abs(exponents) > LIMIT)
        if is_extreme.any():
            found, _ = _moments(source, np.where(is_extreme, exponents + 1, 0))
        # A column that varies by no more than rounding errors is constant.
        least = 16 * np.finfo(np.float64).eps * np.abs(found.mean)
        scale = np.where(found.deviation > least, found.deviation, 1.0)
        extent = np.maximum(found.high - found.mean, found.mean - found.low)
    _checks.standardizable(name, scale, extent, dtype)
    if isinstance(source, rows.ConvertedRows):
        _check_zeros(source, name, found)
    return found.mean, scale


def _check_zeros(source: rows.ConvertedRows, name: str, found: Moments) -> None:
    """Check that a column of zeros was also zero before its conversion to a narrower type."""
    is_zero = (found.low == 0) & (found.high == 0)
    if not is_zero.any() or source.X.dtype.itemsize <= source.dtype.itemsize:
        return
    size = rows.BLOCK_BYTES // (8 * source.X.shape[1]) + 1
    for first in range(0, source.n, size):
        some: Any = slice(first, first + size)
        some = some if source.numbers is None else source.numbers[some]
        _checks.kept_columns(name, source.X[some], ~is_zero[None], source.dtype)


def _moments(
    source: rows.Rows, exponents: NDArray[np.intc] | None = None
) -> tuple[Moments, Column]:
    """Return the moments of the columns, and the largest distance of each from the first row.

    The means and squares of a part of the rows are combined with those of the rows before (Chan,
    Golub, LeVeque 1979). All numbers are taken relative to the first row, since sums of many
    numbers far from 0 lose precision. The size of a part does not depend on the source. With
    `exponents`, the columns are first divided by 2**exponents.
    """
    n, origin = 0, None
    mean: Any = 0.0
    squares: Any = 0.0
    low: Any = 0.0
    high: Any = 0.0
    size = rows.BLOCK_BYTES // (8 * source.X.shape[1]) + 1
    parts = (
        _conversion.dense(block.X[first : first + size])
        for block in source.blocks(None, size)
        for first in range(0, block.n, size)
    )
    for part in parts:
        X = part.astype(np.float64)
        if exponents is not None:
            X = np.ldexp(X, -exponents)
        origin = X[0].copy() if origin is None else origin
        X -= origin
        low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
        middle = X.mean(axis=0)
        shift, total = middle - mean, n + len(X)
        squares = squares + ((X - middle) ** 2).sum(axis=0) + shift**2 * (n * len(X) / total)
        mean = mean + shift * (len(X) / total)
        n = total
    found = origin + mean, np.sqrt(squares / n), origin + low, origin + high
    if exponents is not None:
        found = tuple(np.ldexp(values, exponents) for values in found)
    return Moments(*found), np.maximum(high, -low)
