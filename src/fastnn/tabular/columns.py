"""The kind and the values of a column, from what a file's reader or a data frame gives.

Here: when a column counts as numbers, categories or dates, whichever library read it, and the
messages about values that don't fit. Not here: files (reading.py) and frames (frames.py), and what
a text means as a number, a date or a bool (numbers.py, dates.py, spelling.py). A column is
converted as a whole, or by its different texts, never row by row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn import _checks
from fastnn.tabular import dates, remedies, spelling
from fastnn.tabular.errors import TableError
from fastnn.tabular.numbers import (
    are_numbers,
    as_number,
    have_thousands,
    is_placeholder,
    numbers_of,
)
from fastnn.tabular.table import DATES, Column

if TYPE_CHECKING:
    import polars
    from numpy.typing import NDArray

    #: A column as a reader returns it.
    Raw: TypeAlias = polars.Series | NDArray[Any] | "CodedTexts"

#: The precision of polars' types of numbers other than float64.
_PRECISIONS = {"Float16": "f2", "Float32": "f4"}
_DOUBLE = np.dtype(np.float64)

#: The kind of a date by whether its day stands before its month; None if no text leaves this open.
_KIND_OF_DATE = dict(zip((None, True, False), DATES, strict=True))


@dataclass
class CodedTexts:
    """The texts of a column, each of them once, and which one each row has.

    Parameters
    ----------
    texts : list of str
        Texts that a row may have.
    codes : ndarray of shape (n,)
        The index of each row's text, -1 where it is missing.
    levels : list of str
        All texts that an ordered category may have, the lowest first; empty for other columns.
    """

    texts: list[str]
    codes: NDArray[Any]
    levels: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass
class Source:
    """Where a column comes from, and how its texts are read.

    Parameters
    ----------
    path : str
    is_plain_text : bool
        Whether the file holds text only, so that numbers must be recognized (CSV).
    missing : sequence of str
        Texts that stand for a missing value.
    decimal : {".", ","}, default "."
        The decimal point of numbers that are text.
    thousands : dict of str to bool
        Whether points separate thousands in a column of numbers. Receives it for the columns of a
        file with decimal commas, whose own texts decide unless the column is here.
    placeholders : dict of str to list of str
        Receives the texts that were read as missing numbers, and the columns that hold them.
    guesses : dict of str to str
        Receives the columns of dates whose order of day and month is a guess, and a date of each.
    has_learned_kinds : bool, default False
        Whether the wanted kinds are those of a recipe. A text is then read in the same way whatever
        the other rows hold.
    """

    path: str
    is_plain_text: bool
    missing: Sequence[str]
    decimal: str = "."
    thousands: dict[str, bool] = field(default_factory=dict)
    placeholders: dict[str, list[str]] = field(default_factory=dict)
    guesses: dict[str, str] = field(default_factory=dict)
    has_learned_kinds: bool = False


def column_of(source: Source, name: str, raw: Raw, wanted: str | None) -> Column:
    """Return a column from raw values; `wanted` is the kind it must have, None for any."""
    if isinstance(raw, np.ndarray):
        return _of_array(source, name, raw, wanted)
    if isinstance(raw, CodedTexts):
        return _of_levels(_of_coded(source, name, raw, wanted), raw.levels, source.missing)
    import polars

    dtype = raw.dtype
    if isinstance(dtype, polars.Enum):
        column = _of_series(source, name, raw.cast(polars.String), wanted)
        return _of_levels(column, dtype.categories.to_list(), source.missing)
    if dtype in (polars.String, polars.Categorical):
        return _of_series(source, name, raw.cast(polars.String), wanted)
    if dtype == polars.Boolean:
        return _of_bools(source, name, raw.cast(polars.Float64).to_numpy(), wanted)
    if dtype.is_integer():
        known = raw.fill_null(0)
        is_large = str(dtype).endswith("128")  # NumPy has no such integers
        integers = np.array(known.to_list(), object) if is_large else known.to_numpy()
        return _of_integers(source, name, integers, raw.is_null().to_numpy(), wanted)
    if dtype.is_numeric() or dtype in (polars.Null, polars.Time, polars.Duration):
        if dtype in (polars.Time, polars.Duration):
            raw = raw.cast(polars.Duration("us")).dt.total_microseconds() / 1e6
        precision = np.dtype(_PRECISIONS.get(str(dtype), "f8"))
        return _of_numbers(source, name, raw.cast(polars.Float64).to_numpy(), wanted, precision)
    if dtype in (polars.Date, polars.Datetime):
        if dtype == polars.Datetime:
            raw = raw.dt.replace_time_zone(None)
        moments = raw.cast(polars.Datetime("us")).to_physical().cast(polars.Float64)
        return _of_dates(source, name, moments.to_numpy() / 1e6, wanted)
    return _of_other_type(source, name, str(dtype), wanted)


def _of_array(source: Source, name: str, raw: NDArray[Any], wanted: str | None) -> Column:
    """Return the column of an ndarray (n,)."""
    kind = raw.dtype.kind
    if kind in "US":
        different, inverse = np.unique(raw, return_inverse=True)
        coded = CodedTexts(different.astype(str).tolist(), inverse.reshape(-1))
        return _of_coded(source, name, coded, wanted)
    if kind == "b":
        return _of_bools(source, name, raw.astype(np.float64), wanted)
    if kind in "iu" or isinstance(raw, np.ma.MaskedArray):
        is_missing = np.ma.getmaskarray(raw)
        return _of_integers(source, name, np.ma.getdata(raw), is_missing, wanted)
    if kind == "f":
        return _of_numbers(source, name, raw.astype(np.float64), wanted, raw.dtype)
    if kind in "mM":
        seconds = raw.astype(f"{kind}8[us]").astype(np.int64) / 1e6
        seconds[np.isnat(raw)] = np.nan
        of_kind = _of_dates if kind == "M" else _of_numbers
        return of_kind(source, name, seconds, wanted)
    return _of_other_type(source, name, str(raw.dtype), wanted)


# ---- numbers, bools and dates -------------------------------------------------------------------


def _of_numbers(
    source: Source,
    name: str,
    values: NDArray[np.float64],
    wanted: str | None,
    precision: np.dtype[Any] = _DOUBLE,
) -> Column:
    """Return the column of numbers (n,); as a category if that is wanted.

    `precision` is the type of the numbers in the table: in float32, -99.9 is another number than in
    float64, and has the same text.
    """
    sentinels = np.array([*map(as_number, source.missing)])
    with np.errstate(over="ignore"):
        rounded = sentinels.astype(precision).astype(np.float64)
    sentinels = np.append(sentinels, rounded[np.isfinite(rounded)])
    values = np.where(np.isin(values, sentinels), np.nan, values)
    is_beyond = np.abs(values) > _checks.LARGEST
    if is_beyond.any():
        row = int(is_beyond.argmax())
        raise TableError(
            f"{source.path}: column {name!r} holds {values[row]:g} in row {row + 1}; numbers must "
            f"be between -{_checks.LARGEST:.2g} and {_checks.LARGEST:.2g}; leave a missing value "
            "empty"
        )
    if wanted in DATES:
        return _of_other_type(source, name, "number", wanted, values)
    if wanted != "category":
        return Column(name, "number", values)
    return _categories(name, values.astype(precision), ~np.isnan(values))


def _of_integers(
    source: Source,
    name: str,
    values: NDArray[Any],
    is_missing: NDArray[np.bool_],
    wanted: str | None,
) -> Column:
    """Return the column of integers (n,); as a category it keeps digits that float64 cannot hold.

    Integers of more than 64 bits are Python objects.
    """
    if wanted != "category":
        numbers = np.where(is_missing, np.nan, values.astype(np.float64))
        return _of_numbers(source, name, numbers, wanted)
    for text in source.missing:
        number: float = int(text) if re.fullmatch("[+-]?[0-9]+", text) else as_number(text)
        is_missing = is_missing | (values == number)
    return _categories(name, values, ~is_missing)


def _categories(name: str, values: NDArray[Any], is_known: NDArray[np.bool_]) -> Column:
    """Return the column of numbers (n,) as a category, missing where they are not known."""
    different, indices = np.unique(values[is_known], return_inverse=True)
    texts = [_text_of(value) for value in different]
    codes = np.full(len(values), -1)
    # Texts have another order than numbers: "10" stands before "9".
    codes[is_known] = np.argsort(np.argsort(texts))[indices] if texts else indices
    return Column(name, "category", codes, sorted(texts))


def _text_of(value: int | np.integer[Any] | np.floating[Any]) -> str:
    """Return a number as text, whole numbers without a point: 3, not 3.0."""
    is_whole = isinstance(value, int | np.integer) or value.is_integer()
    return str(int(value)) if is_whole else str(value)


def _of_bools(source: Source, name: str, values: NDArray[np.float64], wanted: str | None) -> Column:
    """Return the column of 0 and 1 (n,), NaN where missing."""
    if wanted == "number":
        return Column(name, "number", values)
    if wanted in DATES:
        return _of_other_type(source, name, "bool", wanted, values)
    is_known = ~np.isnan(values)
    found = [text for value, text in enumerate(("false", "true")) if (values == value).any()]
    codes = np.full(len(values), -1)
    codes[is_known] = values[is_known] if len(found) == 2 else 0
    return Column(name, "category", codes, found)


def _of_dates(source: Source, name: str, values: NDArray[np.float64], wanted: str | None) -> Column:
    """Return the column of seconds since 1970 (n,), NaN where missing."""
    if wanted in ("number", "category"):
        return _of_other_type(source, name, "date", wanted, values)
    return Column(name, wanted or "date", values)


# ---- texts --------------------------------------------------------------------------------------


def _of_levels(column: Column, levels: Sequence[str], missing: Sequence[str]) -> Column:
    """Return the column with the texts that it may have in their order, if it has an order."""
    if column.kind != "category" or not levels:
        return column
    known = dict.fromkeys(text.strip() for text in levels)  # several may differ in spaces alone
    return replace(column, levels=[text for text in known if text not in missing])


def _of_series(source: Source, name: str, series: polars.Series, wanted: str | None) -> Column:
    """Return the column of a polars Series of strings."""
    import polars

    series = series.str.strip_chars()
    series = series.set(series.is_in(source.missing).fill_null(True), None)
    if source.decimal == "." and (wanted == "number" or (wanted is None and source.is_plain_text)):
        numbers = series.cast(polars.Float64, strict=False)
        if (series.is_null() | numbers.is_not_null()).all():
            return _of_numbers(source, name, numbers.to_numpy(), wanted)
    different = series.drop_nulls().unique().sort()
    codes = series.cast(polars.Enum(different)).to_physical().cast(polars.Int64).fill_null(-1)
    return _of_texts(source, name, different.to_list(), codes.to_numpy(), wanted)


def _of_coded(source: Source, name: str, raw: CodedTexts, wanted: str | None) -> Column:
    """Return the column of texts, some of which may stand for missing values or not occur."""
    stripped = [text.strip() for text in raw.texts]
    occurring = {stripped[code] for code in np.unique(raw.codes).tolist() if code >= 0}
    texts = sorted(occurring - set(source.missing))
    index = {text: i for i, text in enumerate(texts)}
    code_of = np.array([*(index.get(text, -1) for text in stripped), -1])
    return _of_texts(source, name, texts, code_of[raw.codes], wanted)


def _of_texts(
    source: Source, name: str, texts: list[str], codes: NDArray[Any], wanted: str | None
) -> Column:
    """Return the column of different texts, sorted, and the index of each row's (n,)."""
    if wanted == "number" or (wanted is None and source.is_plain_text):
        numbers = _numbers(source, name, texts, codes, wanted)
        if numbers is not None:
            return _of_numbers(source, name, np.append(numbers, np.nan)[codes], wanted)
    if wanted in DATES or (wanted is None and texts):
        matches = dates.matched(texts)
        if matches is not None:
            return _of_matches(source, name, matches, texts, codes, wanted)
        if wanted is not None:
            is_bad = np.array([dates.matched([text]) is None for text in texts])
            raise TableError(_is_not(source.path, name, texts, "dates", codes, is_bad))
    stands_for = spelling.merged(texts)
    kept = sorted(set(stands_for.values()))
    index = {text: i for i, text in enumerate(kept)}
    code_of = np.array([*(index[stands_for[text]] for text in texts), -1])
    return Column(name, "category", code_of[codes], kept)


def _numbers(
    source: Source, name: str, texts: list[str], codes: NDArray[Any], wanted: str | None
) -> NDArray[np.float64] | None:
    """Return the number of each text, NaN if it means a missing one; None if some are no numbers.

    They must be numbers if that is wanted, and also if all but few are.
    """
    is_grouped = source.thousands.get(name)
    if is_grouped is None or source.decimal == ".":
        is_grouped = have_thousands(texts, source.decimal)
    numbers = numbers_of(texts, source.decimal, is_grouped)
    is_bad = np.isnan(numbers)
    bad = [texts[i] for i in np.flatnonzero(is_bad)]
    if all(map(is_placeholder, bad)) and (wanted == "number" or len(bad) < len(texts)):
        for text in bad:
            source.placeholders.setdefault(text, []).append(name)
        if source.decimal == ",":
            source.thousands[name] = is_grouped
        return numbers
    if wanted == "number":
        truths = [spelling.truth(text) for text in texts]
        if None not in truths:
            return np.array(truths, np.float64)
        message = _is_not(source.path, name, texts, "numbers", codes, is_bad)
        raise TableError(message + _or_other_decimal(source, bad))
    if len(bad) * 10 <= len(texts):
        row, n = _first(codes, is_bad), int(np.append(is_bad, False)[codes].sum())
        message = _almost_numbers(source, name, texts[codes[row]], row, n - 1)
        raise TableError(message + _or_other_decimal(source, bad))
    return None


def _of_matches(
    source: Source,
    name: str,
    matches: Sequence[Any],
    texts: list[str],
    codes: NDArray[Any],
    wanted: str | None,
) -> Column:
    """Return the column of texts that have the form of dates."""
    kind = wanted or DATES[0]
    each_decides = kind == DATES[0] and source.has_learned_kinds
    if each_decides:
        _require_decided(source.path, name, matches, codes)
    elif kind == DATES[0]:
        kind = _KIND_OF_DATE[dates.is_day_first(matches)]
        example = dates.undecided(matches)
        if example is not None:
            source.guesses[name] = example
    seconds = dates.seconds_of(matches, None if each_decides else kind == _KIND_OF_DATE[True])
    is_bad = np.isnan(seconds)
    if is_bad.any():
        row = _first(codes, is_bad)
        if wanted in DATES[1:]:
            match = matches[codes[row]]
            raise TableError(_not_in_order(source.path, name, match, row, wanted))
        if wanted is not None:
            raise TableError(_is_not(source.path, name, texts, "dates", codes, is_bad))
        raise TableError(
            f"{source.path}: column {name!r} holds dates except {texts[codes[row]]!r} in row "
            f"{row + 1}; "
            "correct the value, or leave it empty if it is missing, or treat the column as "
            f"categories ({remedies.as_category(source.path, name)})"
        )
    return Column(name, kind, np.append(seconds, np.nan)[codes])


def _require_decided(
    path: str, name: str, matches: Sequence[re.Match[str]], codes: NDArray[Any]
) -> None:
    """Check that each date shows its order of day and month, as the training rows do not.

    Otherwise the date of a row would depend on the other rows.
    """
    is_open = np.array([dates.is_open(match) for match in matches], bool)
    if is_open.any():
        row = _first(codes, is_open)
        text = matches[codes[row]].string
        raise TableError(
            f"{path}: column {name!r} holds {text!r} in row {row + 1}, but neither this date nor "
            "the training rows show whether the day or the month is first; write it with the year "
            "first, as in 2020-01-31, or, if the day is first, state it in training: "
            f"{remedies.as_date(path, name, DATES[1])}"
        )


def _first(codes: NDArray[Any], is_bad: NDArray[Any]) -> int:
    """Return the first row (codes (n,) of different texts) that has a text which is bad."""
    return int(np.append(is_bad, False)[codes].argmax())


# ---- messages -----------------------------------------------------------------------------------


def _almost_numbers(source: Source, name: str, text: str, row: int, n_more: int) -> str:
    more = f" and {n_more:,} more" if n_more else ""
    return (
        f"{source.path}: column {name!r} holds numbers except {text!r} in row {row + 1}{more}; "
        f"correct the value, or treat it as missing ({remedies.as_missing(source.path, text)}), or "
        f"treat the column as categories ({remedies.as_category(source.path, name)})"
    )


def _or_other_decimal(source: Source, bad: Sequence[str]) -> str:
    """Return a further remedy if texts that are no numbers are some with the other decimal."""
    if not source.is_plain_text or not are_numbers(bad, "," if source.decimal == "." else "."):
        return ""
    remedy = remedies.other_decimal(source.decimal)
    return f", or state the decimal point of this file: {remedy}"


def _is_not(
    path: str, name: str, texts: list[str], what: str, codes: NDArray[Any], is_bad: NDArray[Any]
) -> str:
    row = _first(codes, is_bad)
    text = texts[codes[row]]
    return (
        f"{path}: column {name!r} holds {text!r} in row {row + 1} but must hold {what}; correct "
        "the value, or leave it empty if it is missing"
    )


def _not_in_order(path: str, name: str, match: re.Match[str], row: int, wanted: str) -> str:
    """Return the message about a date that does not exist in the wanted order of day and month."""
    (other,) = {*DATES[1:]} - {wanted}
    first, other_first = (kind.partition("-")[0] for kind in (wanted, other))
    exists = not np.isnan(dates.seconds_of([match], other == _KIND_OF_DATE[True])).any()
    stated = remedies.as_date(path, name, other)
    remedy = (
        f", if the {other_first} is first, state it in training: {stated}"
        if exists
        else " leave it empty if it is missing"
    )
    return (
        f"{path}: column {name!r} holds {match.string!r} in row {row + 1} but must hold dates with "
        f"the {first} first; correct the value, or{remedy}"
    )


def _of_other_type(
    source: Source,
    name: str,
    kind: str,
    wanted: str | None,
    values: NDArray[np.float64] | None = None,
) -> Column:
    """Return the column of values of a type that is not the wanted one, or that no network takes.

    Any kind of column may have nothing but missing values, as in a request of a single row. A
    library then gives it another type. `values` (n,) are NaN where one is missing.
    """
    if wanted is not None and values is not None and np.isnan(values).all():
        return Column(name, wanted, values if wanted != "category" else np.full(len(values), -1))
    if wanted is not None:
        raise TableError(
            f"{source.path}: column {name!r} is of type {kind} but must be a {wanted}; convert it"
        )
    return Column(name, kind)
