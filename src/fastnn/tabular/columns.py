"""The kind and the values of a column, from what a file's reader gives.

Here: when a column counts as numbers, categories or dates, whichever library read it, and the
messages about values that don't fit. Not here: files (reading.py). A column is converted as a
whole, never row by row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.tabular.errors import TableError, shell_argument
from fastnn.tabular.table import Column

if TYPE_CHECKING:
    import polars
    from numpy.typing import NDArray

    #: A column as a reader returns it.
    Raw: TypeAlias = polars.Series | NDArray[Any]

_LARGEST = float(np.finfo(np.float32).max)
_DATE = r"^(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})([ T]\d{1,2}:\d{2}.*)?$"


@dataclass
class Source:
    """The file that a column comes from, and how its texts are read.

    Parameters
    ----------
    path : str
    is_plain_text : bool
        Whether the file holds text only, so that numbers must be recognized (CSV).
    missing : sequence of str
        Texts that stand for a missing value.
    """

    path: str
    is_plain_text: bool
    missing: Sequence[str]


def column_of(source: Source, name: str, raw: Raw, wanted: str | None) -> Column:
    """Return a column from raw values; `wanted` is the kind it must have, None for any."""
    if isinstance(raw, np.ndarray):
        return _of_array(source, name, raw, wanted)
    import polars

    dtype = raw.dtype
    if dtype in (polars.String, polars.Categorical, polars.Enum, polars.Boolean):
        return _of_series(source, name, raw.cast(polars.String), wanted)
    if dtype.is_numeric() or dtype == polars.Null:
        return _of_numbers(source, name, raw.cast(polars.Float64).to_numpy(), wanted)
    is_date = dtype in (polars.Date, polars.Datetime)
    return _of_other_type(source, name, "date" if is_date else str(dtype), wanted)


def _of_array(source: Source, name: str, raw: NDArray[Any], wanted: str | None) -> Column:
    """Return the column of an ndarray (n,)."""
    kind = raw.dtype.kind
    if kind in "US":
        return _of_strings(source, name, raw.astype(str), wanted)
    if kind == "b":
        return _of_strings(source, name, np.where(raw, "true", "false"), wanted)
    if kind in "fiu":
        return _of_numbers(source, name, raw.astype(np.float64), wanted)
    return _of_other_type(source, name, "date" if kind == "M" else str(raw.dtype), wanted)


def _of_numbers(
    source: Source, name: str, values: NDArray[np.float64], wanted: str | None
) -> Column:
    """Return the column of numbers (n,); as a category if that is wanted."""
    for number in map(_as_number, source.missing):
        if not np.isnan(number):
            values = np.where(values == number, np.nan, values)
    is_beyond = np.abs(values) > _LARGEST
    if is_beyond.any():
        row = int(is_beyond.argmax())
        raise TableError(
            f"{source.path}: column {name!r} holds {values[row]:g} in row {row + 1}; numbers must "
            f"be between -{_LARGEST:.2g} and {_LARGEST:.2g}; leave a missing value empty"
        )
    if wanted != "category":
        return Column(name, "number", values)
    is_known = ~np.isnan(values)
    different, indices = np.unique(values[is_known], return_inverse=True)
    texts = [_text_of(value) for value in different.tolist()]
    codes = np.full(len(values), -1)
    # Texts have another order than numbers: "10" stands before "9".
    codes[is_known] = np.argsort(np.argsort(texts))[indices] if texts else indices
    return Column(name, "category", codes, sorted(texts))


def _text_of(value: float) -> str:
    """Return a number as text, whole numbers without a point: 3, not 3.0."""
    return str(int(value)) if value.is_integer() else repr(value)


def _as_number(text: str) -> float:
    """Return the number that a text stands for, NaN if none."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def _of_strings(source: Source, name: str, values: NDArray[np.str_], wanted: str | None) -> Column:
    """Return the column of an array of strings (n,)."""
    different, inverse = np.unique(np.char.strip(values), return_inverse=True)
    is_missing = np.isin(different, source.missing)
    code_of = np.where(is_missing, -1, np.cumsum(~is_missing) - 1)
    texts: list[str] = different[~is_missing].tolist()
    codes = code_of[inverse.reshape(-1)]
    if wanted != "number":
        is_date = wanted is None and texts and all(re.match(_DATE, text) for text in texts)
        return Column(name, "date") if is_date else Column(name, "category", codes, texts)
    numbers = np.array([*map(_as_number, texts), np.nan])
    is_bad = np.isnan(numbers[:-1])
    if is_bad.any():
        bad = int(is_bad.argmax())
        row = int((codes == bad).argmax())
        raise TableError(_not_a_number(source.path, name, texts[bad], row))
    return _of_numbers(source, name, numbers[codes], wanted)


def _of_series(source: Source, name: str, series: polars.Series, wanted: str | None) -> Column:
    """Return the column of a polars Series of strings."""
    import polars

    series = series.str.strip_chars()
    series = series.set(series.is_in(source.missing).fill_null(True), None)
    is_bad = np.ones(0, bool)
    if wanted == "number" or (wanted is None and source.is_plain_text):
        numbers = series.cast(polars.Float64, strict=False)
        is_bad = (series.is_not_null() & numbers.is_null()).to_numpy()
        if not is_bad.any():
            return _of_numbers(source, name, numbers.to_numpy(), wanted)
        if wanted == "number":
            row = int(is_bad.argmax())
            raise TableError(_not_a_number(source.path, name, series[row], row))
    if wanted is None and series.drop_nulls().str.contains(_DATE).all() and series.count():
        return Column(name, "date")
    different = series.drop_nulls().unique().sort()
    if wanted is None and source.is_plain_text:
        _refuse_almost_numbers(source.path, series, different, is_bad)
    codes = series.cast(polars.Enum(different)).to_physical().cast(polars.Int64).fill_null(-1)
    return Column(name, "category", codes.to_numpy(), different.to_list())


def _refuse_almost_numbers(
    path: str, series: polars.Series, different: polars.Series, is_bad: NDArray[np.bool_]
) -> None:
    """Refuse a column of which at most a tenth of the different texts are not numbers."""
    import polars

    n_texts = different.cast(polars.Float64, strict=False).null_count()
    if n_texts * 10 <= len(different):
        row = int(is_bad.argmax())
        n_more = int(is_bad.sum()) - 1
        more = f" and {n_more:,} more" if n_more else ""
        raise TableError(
            f"{path}: column {series.name!r} holds numbers except {series[row]!r} in row {row + 1}"
            f"{more}; correct the value, or treat it as missing (--missing "
            f"{shell_argument(series[row])}), or treat the column as categories (--categorical "
            f"{shell_argument(series.name)})"
        )


def _not_a_number(path: str, name: str, text: str, row: int) -> str:
    return (
        f"{path}: column {name!r} holds {text!r} in row {row + 1} but must hold numbers; correct "
        "the value, or leave it empty if it is missing"
    )


def _of_other_type(source: Source, name: str, kind: str, wanted: str | None) -> Column:
    """Return the column of values that are neither numbers nor texts."""
    if wanted is not None:
        raise TableError(
            f"{source.path}: column {name!r} is of type {kind} but must be a {wanted}; convert it"
        )
    return Column(name, kind)
