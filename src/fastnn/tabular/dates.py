"""Dates: whether texts are dates, and their times in seconds since 1970.

Accepted are years first (2020-01-31, 2020/1/31), days or months first (31.1.2020, 1/31/20), and
months by name (31-Jan-2020, Jan 31, 2020), each with or without a time of day. An offset from UTC
is ignored: the local time counts. Not here: the date types of libraries (columns.py).
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = "(?P<name>[A-Za-z]{3})[a-z]*[.]?"
_TIME = (
    r"(?:(?:[ T]|, )(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:[.,]\d+)?))?"
    r"\s*(?P<half>[AaPp][Mm])?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?"
)
_FORMS = [
    re.compile(day + _TIME)
    for day in (
        r"(?P<year>\d{4})(?P<by>[-/.])(?P<month>\d{1,2})(?P=by)(?P<day>\d{1,2})",
        r"(?P<first>\d{1,2})(?P<by>[-/.])(?P<then>\d{1,2})(?P=by)(?P<year>\d{4}|\d{2})",
        rf"(?P<day>\d{{1,2}})[- .]{{1,2}}{_NAME}[-, ]{{1,2}}(?P<year>\d{{4}}|\d{{2}})",
        rf"{_NAME} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})",
    )
]
_EPOCH = datetime.datetime(1970, 1, 1)


def matched(texts: Sequence[str]) -> list[re.Match[str]] | None:
    """Return the parts of texts that all have the form of a date, None if any does not."""
    found = []
    for text in texts:
        match = next((m for form in _FORMS if (m := form.fullmatch(text))), None)
        if match is None:
            return None
        found.append(match)
    return found


def is_day_first(matches: Sequence[re.Match[str]]) -> bool | None:
    """Return whether days stand before months, from the digits or else from the separator.

    31.1.2020 and 31-1-2020 are written with the day first, 1/31/2020 with the month first. Return
    None if no date begins with a day or a month in digits.
    """
    parts = [m for m in matches if "first" in m.re.groupindex]
    if not parts:
        return None
    if any(int(m["first"]) > 12 for m in parts):
        return True
    if any(int(m["then"]) > 12 for m in parts):
        return False
    return any(m["by"] != "/" for m in parts)


def is_open(match: re.Match[str]) -> bool:
    """Return whether a date is another one with the other order of day and month, as 3/11/2020."""
    return undecided([match]) is not None and int(match["first"]) != int(match["then"])


def undecided(matches: Sequence[re.Match[str]]) -> str | None:
    """Return a date with slashes if its order of day and month is a guess, None otherwise.

    It is a guess if some dates begin with a day or a month in digits, none of these has a number
    above 12, and all are written with slashes.
    """
    parts = [m for m in matches if "first" in m.re.groupindex]
    decided = (max(int(m["first"]), int(m["then"])) > 12 or m["by"] != "/" for m in parts)
    if not parts or any(decided):
        return None
    return next((m.string for m in parts if m["first"] != m["then"]), parts[0].string)


def seconds_of(matches: Sequence[re.Match[str]], day_first: bool | None) -> NDArray[np.float64]:
    """Return the seconds since 1970 (n,), NaN for a date or a time that does not exist.

    If `day_first` is None, each date decides by itself whether its day or its month is first.
    """
    if day_first is None:
        seconds = [_seconds(match, bool(is_day_first([match]))) for match in matches]
    else:
        seconds = [_seconds(match, day_first) for match in matches]
    return np.array(seconds, np.float64)


def _seconds(match: re.Match[str], day_first: bool) -> float:
    """Return the seconds since 1970 of one date, NaN if it, or its time, does not exist."""
    parts = match.groupdict()
    if "first" in parts:
        day, month = parts["first"], parts["then"]
        day, month = (int(day), int(month)) if day_first else (int(month), int(day))
    else:
        name = parts.get("name", "").lower()
        if name and name not in _MONTHS:
            return np.nan
        day, month = int(parts["day"]), _MONTHS.index(name) + 1 if name else int(parts["month"])
    year = int(parts["year"])
    if len(parts["year"]) == 2:  # as in POSIX, 69 to 99 mean 1969 to 1999
        year += 1900 if year >= 69 else 2000
    try:
        midnight = datetime.datetime(year, month, day)
    except ValueError:
        return np.nan
    return (midnight - _EPOCH).total_seconds() + _seconds_of_day(parts)


def _seconds_of_day(parts: dict[str, Any]) -> float:
    """Return the seconds since midnight, NaN for a time that does not exist.

    24:00 is the end of a day, and second 60 a leap second, as in ISO 8601.
    """
    hour, minute = int(parts["hour"] or 0), int(parts["minute"] or 0)
    second = float((parts["second"] or "0").replace(",", "."))
    if parts["half"]:
        if not 1 <= hour <= 12:
            return np.nan
        hour = hour % 12 + 12 * (parts["half"].lower() == "pm")
    found = 3600 * hour + 60 * minute + second
    return found if minute < 60 and second < 61 and found <= 24 * 3600 else np.nan
