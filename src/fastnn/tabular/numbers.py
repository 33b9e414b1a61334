"""Texts as numbers: decimal commas, separated thousands, units, and marks of missing numbers.

Not here: columns that a library already has as numbers (columns.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Texts, in lower-case letters, that count as missing in a column of numbers; a category keeps
#: them, since they may have a meaning there.
PLACEHOLDERS = (
    "?", "-", "--", "---", ".", "..", "*", "\\n", "none", "nil", "n.a.", "n/d", "nd", "na", "nan",
    "unknown", "missing", "not available", "#value!", "#div/0!", "#num!", "#ref!", "#n/a", "#null!",
)  # fmt: skip

_UNITS = "$€£¥"
_EXPONENT = r"(?:[eE][+-]?\d+)?"


def _number_pattern(decimal: str) -> re.Pattern[str]:
    """Return the pattern of a number: sign, currency, thousands separators, percent sign."""
    thousands = r"[, ']" if decimal == "." else r"[. ']"
    grouped, fraction = rf"[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+", re.escape(decimal)
    number = rf"(?:(?:{grouped}|\d+)(?:{fraction}\d*)?|{fraction}\d+){_EXPONENT}"
    return re.compile(rf"([+-]?)[{_UNITS}]? ?({number}) ?[{_UNITS}%]?")


_PATTERNS = {decimal: _number_pattern(decimal) for decimal in ".,"}


def numbers_of(texts: Sequence[str], decimal: str) -> NDArray[np.float64]:
    """Return the number that each text stands for (n,), NaN for a text that is not a number.

    A point is the decimal point of an otherwise plain number, whatever `decimal` is, unless all
    points in the texts separate thousands.
    """
    plain = np.array([as_number(text) for text in texts], np.float64)
    pattern = _PATTERNS[decimal]
    is_grouped = decimal == "," and all(pattern.fullmatch(text) for text in texts if "." in text)
    doubtful = range(len(texts)) if is_grouped else np.flatnonzero(np.isnan(plain)).tolist()
    for i in doubtful:
        match = pattern.fullmatch(texts[i])
        if match is not None:
            digits = re.sub("[ ']" if decimal == "," else "[, ']", "", match[2])
            if decimal == ",":
                digits = digits.replace(".", "").replace(",", ".")
            plain[i] = float(match[1] + digits)
    return plain


def as_number(text: str) -> float:
    """Return the number that a text is, NaN if it is not one."""
    if "_" in text:  # float() accepts Python's 1_000
        return np.nan
    try:
        return float(text)
    except ValueError:
        return np.nan


def needs_comma(texts: Sequence[str], separator: str) -> bool:
    """Return whether all texts are numbers with commas as decimal points.

    In a file with commas between its columns, commas that can separate thousands are not taken for
    decimal points.
    """
    texts = [text for text in texts if not is_placeholder(text)]
    with_comma = [text for text in texts if "," in text]
    if not with_comma or np.isnan(numbers_of(texts, ",")).any():
        return False
    return separator != "," or bool(np.isnan(numbers_of(with_comma, ".")).any())


def is_placeholder(text: str) -> bool:
    """Return whether a text in a column of numbers marks a missing number."""
    return text.lower() in PLACEHOLDERS
