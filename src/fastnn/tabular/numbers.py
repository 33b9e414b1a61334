"""Texts as numbers: decimal commas, separated thousands, units, and marks of missing numbers.

Also here: numbers as texts of four digits. Not here: columns that a library already has as numbers
(columns.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

#: Texts, in lower-case letters, that count as missing in a column of numbers; a category keeps
#: them, since they may have a meaning there.
PLACEHOLDERS = (
    "?", "-", "--", "---", ".", "..", "*", "\\n", "none", "nil", "n.a.", "n/d", "nd", "na", "nan",
    "unknown", "missing", "not available", "#value!", "#div/0!", "#num!", "#ref!", "#n/a", "#null!",
)  # fmt: skip

#: What programs write in place of a space, an apostrophe or a minus sign.
_SIMPLE = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2019": "'",
                         "\u2212": "-"})  # fmt: skip

#: From this number on, float64 does not know all digits before the point.
MANY_DIGITS = 1e15

_UNITS = "$€£¥"
_EXPONENT = r"(?:[eE][+-]?\d+)?"


def _number_pattern(decimal: str) -> re.Pattern[str]:
    """Return the pattern of a number: sign, currency, thousands separators, percent sign.

    The sign is before or after a currency: -$5 or $-5.
    """
    thousands = r"[, ']" if decimal == "." else r"[. ']"
    grouped, fraction = rf"[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+", re.escape(decimal)
    number = rf"(?:(?:{grouped}|\d+)(?:{fraction}\d*)?|{fraction}\d+){_EXPONENT}"
    sign = rf"(?:(?P<sign>[+-]?)[{_UNITS}]? ?|[{_UNITS}] ?(?P<inner>[+-]))"
    return re.compile(rf"{sign}(?P<digits>{number}) ?[{_UNITS}%]?")


_PATTERNS = {decimal: _number_pattern(decimal) for decimal in ".,"}


def numbers_of(
    texts: Sequence[str], decimal: str, is_grouped: bool | None = None
) -> NDArray[np.float64]:
    """Return the number that each text stands for (n,), NaN for a text that is not a number.

    A point is the decimal point of an otherwise plain number, whatever `decimal` is, unless points
    separate thousands (`is_grouped`), which by default the texts decide. A number in parentheses is
    negative, as in accounting.
    """
    is_grouped = have_thousands(texts, decimal) if is_grouped is None else is_grouped
    texts = [_simplified(text) for text in texts]
    plain = np.array([as_number(text) for text in texts], np.float64)
    pattern = _PATTERNS[decimal]
    doubtful = range(len(texts)) if is_grouped else np.flatnonzero(np.isnan(plain)).tolist()
    for i in doubtful:
        match = pattern.fullmatch(texts[i])
        if match is not None:
            digits = re.sub("[ ']" if decimal == "," else "[, ']", "", match["digits"])
            if decimal == ",":
                digits = digits.replace(".", "").replace(",", ".")
            plain[i] = float((match["inner"] or match["sign"]) + digits)
    return plain


def have_thousands(texts: Sequence[str], decimal: str) -> bool:
    """Return whether all points in texts can separate thousands, with this decimal point."""
    with_points = [_simplified(text) for text in texts if "." in text]
    return decimal == "," and all(map(_PATTERNS[decimal].fullmatch, with_points))


def _simplified(text: str) -> str:
    """Return a number's text with plain spaces and signs: "-0.09" for "(0.09)"."""
    simple = text.translate(_SIMPLE)
    is_negative = simple.startswith("(") and simple.endswith(")")
    return f"-{simple[1:-1].strip()}" if is_negative else simple


def as_number(text: str) -> float:
    """Return the number that a text is, NaN if it is not one."""
    if "_" in text:  # float() accepts Python's 1_000
        return np.nan
    try:
        return float(text)
    except ValueError:
        return np.nan


def decimal_of(columns: Iterable[Sequence[str]], separator: str) -> str:
    """Return the decimal point of columns of texts in a file with this separator between columns.

    It is a comma if a column of numbers has commas that cannot separate thousands, such as 1,5. If
    all commas can, such as in 1,234, they are decimal points unless the separator is a comma, too,
    or a column of numbers has points that cannot separate thousands, such as 0.977. The same holds
    for a column of numbers with points that can only separate thousands, such as 1.234.567.
    """
    known = [[text for text in texts if not is_placeholder(text)] for texts in columns]
    may_have_commas = [texts for texts in known if are_numbers(texts, ",")]
    with_commas = [texts for texts in may_have_commas if "," in "".join(texts)]
    if any(not are_numbers([text for text in texts if "," in text], ".") for texts in with_commas):
        return ","
    are_grouped = any(not are_numbers(texts, ".") for texts in may_have_commas)
    is_doubtful = (bool(with_commas) or are_grouped) and separator != ","
    return "," if is_doubtful and not any(map(_need_point, known)) else "."


def are_numbers(texts: Sequence[str], decimal: str) -> bool:
    """Return whether all texts are numbers."""
    return not np.isnan(numbers_of(texts, decimal)).any()


def _need_point(texts: Sequence[str]) -> bool:
    """Return whether all texts are numbers, some with a point that cannot separate thousands."""
    return are_numbers(texts, ".") and any(
        "." in text and _PATTERNS[","].fullmatch(_simplified(text)) is None for text in texts
    )


def is_placeholder(text: str) -> bool:
    """Return whether a text in a column of numbers marks a missing number."""
    return text.lower() in PLACEHOLDERS


def in_four_digits(value: float) -> str:
    """Return a number as text with four digits, or with all digits before the point up to 15."""
    return f"{value:,.0f}" if 1000 <= abs(value) < MANY_DIGITS else f"{value:.4g}"
