"""Widths of texts in drawings, estimated, and the texts shortened to the room that they have.

A page cannot know the fonts of its readers. The widths are those of DejaVu Sans, which is wider
than the other fonts of the style sheet. Not here: the places of the texts (svg.py, confusion.py).
"""

from __future__ import annotations

import unicodedata

#: Widths of letters in units of a drawing, whose letters have a size of 12.
_NARROW, _DIGIT, _CAPITAL, _WIDE = 5.0, 8.0, 9.5, 13.0

_NARROW_LETTERS = frozenset(" !'()*,./:;I[]fijlrt|")
_WIDE_LETTERS = frozenset("%@MWmw\u2026\u2014")

#: What stands for the middle of a text that is shortened, and the share of the room for its end.
_LEFT_OUT, _SHARE_OF_END = "\u2026", 0.4


def width_of(text: str) -> float:
    """Return the width of a text in units of a drawing, or a little more."""
    return sum(map(_width_of_letter, text))


def fitted(text: str, room: float) -> str:
    """Return a text, shortened if it may be wider than `room` units of a drawing.

    Its end is kept, too, since names that begin alike often differ there: "column nu…17".
    """
    if width_of(text) <= room:
        return text
    room -= width_of(_LEFT_OUT)
    end = _beginning(text[::-1], _SHARE_OF_END * room)[::-1]
    return _beginning(text, room - width_of(end)) + _LEFT_OUT + end


def _beginning(text: str, room: float) -> str:
    """Return the first letters of a text, as many as fit into `room`."""
    n = 0
    while n < len(text) and (room := room - _width_of_letter(text[n])) >= 0:
        n += 1
    return text[:n]


def _width_of_letter(letter: str) -> float:
    if unicodedata.combining(letter) or unicodedata.category(letter) == "Cf":
        return 0.0
    if letter in _NARROW_LETTERS:
        return _NARROW
    if letter in _WIDE_LETTERS or unicodedata.east_asian_width(letter) in "WF":
        return _WIDE
    return _CAPITAL if letter.isupper() or letter in "+=<>\u2212" else _DIGIT
