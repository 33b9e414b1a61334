"""Different texts with the same value: True and true, 1 and 1.0, yes and 1.

A category keeps its texts as its file spells them, but compares them by value, since the same
column is written as 1 by one program, as 1.0 by another that allows for missing values, and as
true by a third. Not here: columns of nothing but numbers, which columns.py converts to numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_NUMBER = re.compile(r"([+-]?)(0|[1-9]\d*)(?:\.(\d*))?", re.ASCII)  # 01 is a code


def canonical(text: str) -> str:
    """Return one text for all spellings of a number or a bool; return other texts unchanged."""
    if text.lower() in ("true", "false"):
        return text.lower()
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    fraction = (found[3] or "").rstrip("0")
    digits = found[2] + ("." + fraction if fraction else "")
    return f"-{digits}" if found[1] == "-" and digits != "0" else digits


def merged(texts: Sequence[str]) -> dict[str, str]:
    """Map each text to itself or, if several texts have its value, to the canonical spelling."""
    spellings: dict[str, list[str]] = {}
    for text in texts:
        spellings.setdefault(canonical(text), []).append(text)
    return {
        text: some[0] if len(some) == 1 else value
        for value, some in spellings.items()
        for text in some
    }


class Lookup:
    """Find the index of a text among known ones, by value.

    An unknown text is matched with the known text of the same value: the same number, the same
    digits without leading zeros (1 for 01), or, if the known texts are the two values of a bool,
    the same truth value. There is no match if several known texts have that value. If the known
    texts are not all that a column had in training (`are_all`), 01 or yes may be one of the others,
    so only texts of the same number, or true and false in another case, match.

    Attributes
    ----------
    exact, by_value, by_number : dict of str to int
        The index of a known text by the text, by its `canonical` spelling and by its `digits`; a
        text is looked up in this order.
    by_truth : dict of bool to int
        The index of a known text by its `truth`, which is looked up last.
    """

    def __init__(self, known: Sequence[str], are_all: bool = True) -> None:
        self.exact = {text: i for i, text in enumerate(known)}
        self.by_value = _unique((canonical(text), i) for i, text in enumerate(known))
        numbers = ((digits(text), i) for i, text in enumerate(known))
        self.by_number = _unique(numbers) if are_all else {}
        truths = [truth(text) for text in known]
        is_bool = are_all and len(known) == 2 and set(truths) == {True, False}
        self.by_truth = {t is True: i for i, t in enumerate(truths)} if is_bool else {}

    def __call__(self, text: str) -> int | None:
        """Return the index of the matching known text, None if there is none."""
        if text in self.exact:
            return self.exact[text]
        for table, key in ((self.by_value, canonical(text)), (self.by_number, digits(text)),
                           (self.by_truth, truth(text))):  # fmt: skip
            if key in table:
                return table[key]  # type: ignore[index]  # no table has None
        return None


def truth(text: str) -> bool | None:
    """Return the bool that a text stands for, None if it does not stand for one."""
    lower = canonical(text).lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


def digits(text: str) -> str:
    """Return the canonical spelling, without leading zeros if it consists of digits."""
    value = canonical(text)
    return (value.lstrip("0") or "0") if value.isascii() and value.isdecimal() else value


def _unique(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return pairs as a dict, without the keys that occur more than once."""
    found: dict[str, int] = {}
    twice = set()
    for key, i in pairs:
        twice |= {key} & found.keys()
        found[key] = i
    return {key: i for key, i in found.items() if key not in twice}


def spellings(texts: Iterable[str]) -> list[str]:
    """Return texts and the usual spellings of their values, for programs that have no Lookup.

    Such a program looks up 1 and 1.0, 1067 for 01067, and True, TRUE and YES. A Lookup tells which
    of these stand for one of the texts.
    """
    truths = [case for text in _TRUE + _FALSE for case in (text, text.upper(), text.title())]
    plain = [*texts, *truths]
    shorter = [text.removesuffix(".0") for text in plain] + [text.lstrip("0") for text in plain]
    return [*plain, *(f"{text}.0" for text in plain), *shorter]
