"""Texts that spell the same value: True and true, 1 and 1.0, yes and 1.

A category keeps its texts as its file spells them, and is compared by value, because the same
column is written as 1 by one program, as 1.0 by another that allows for missing values, and as
true by a third. Not here: texts that are numbers throughout, which columns.py turns into numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_NUMBER = re.compile(r"([+-]?)(0|[1-9]\d*)(?:\.(\d*))?")  # without leading zeros: 01 is a code


def canonical(text: str) -> str:
    """Return the one text for all spellings of a number or of a bool; other texts as they are."""
    if text.lower() in ("true", "false"):
        return text.lower()
    found = _NUMBER.fullmatch(text)
    if found is None:
        return text
    fraction = (found[3] or "").rstrip("0")
    digits = found[2] + ("." + fraction if fraction else "")
    return f"-{digits}" if found[1] == "-" and digits != "0" else digits


def merged(texts: Sequence[str]) -> dict[str, str]:
    """Return for each text the one that stands for it: itself, if no other spells its value."""
    spellings: dict[str, list[str]] = {}
    for text in texts:
        spellings.setdefault(canonical(text), []).append(text)
    return {
        text: some[0] if len(some) == 1 else value
        for value, some in spellings.items()
        for text in some
    }


class Lookup:
    """The place of a text among known ones, by value.

    A text that is not among them counts as the known one of the same value: of the same number, of
    the same number without leading zeros (1 for 01), or, if the known texts are the two values of a
    bool, of the same truth. Nothing is guessed where several known texts have that value.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._exact = {text: i for i, text in enumerate(known)}
        self._by_value = _unique((canonical(text), i) for i, text in enumerate(known))
        self._by_number = _unique((_without_zeros(text), i) for i, text in enumerate(known))
        truths = [truth(text) for text in known]
        is_bool = len(known) == 2 and set(truths) == {True, False}
        self._by_truth = {t: i for i, t in enumerate(truths)} if is_bool else {}

    def __call__(self, text: str) -> int | None:
        """Return the index of a text, None if it is unknown."""
        if text in self._exact:
            return self._exact[text]
        value = canonical(text)
        for table, key in ((self._by_value, value), (self._by_number, _without_zeros(value)),
                           (self._by_truth, truth(value))):  # fmt: skip
            if key in table:
                return table[key]  # type: ignore[index]  # no table has None
        return None


def truth(text: str) -> bool | None:
    """Return the bool that a text stands for, None if it stands for none."""
    lower = canonical(text).lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


def _without_zeros(text: str) -> str:
    """Return a text of digits without leading zeros."""
    return canonical(text.lstrip("0") or "0") if text.isdecimal() else canonical(text)


def _unique(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return pairs as a dict, without the keys that occur twice."""
    found: dict[str, int] = {}
    twice = set()
    for key, i in pairs:
        twice |= {key} & found.keys()
        found[key] = i
    return {key: i for key, i in found.items() if key not in twice}
