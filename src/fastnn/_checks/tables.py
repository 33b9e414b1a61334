"""How the file of a table is written, and lists of texts. What is in a table is checked there."""

from __future__ import annotations

import codecs

from fastnn._checks.callbacks import separator
from fastnn._checks.files import plain_list
from fastnn._checks.values import shown

_NAMED_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";",
                     "pipe": "|"}  # fmt: skip


def table_separator(value: object) -> str:
    """Return the character that separates the columns of a table, which may have a name."""
    return separator(_NAMED_SEPARATORS.get(value, value) if isinstance(value, str) else value)


def encoding(value: object) -> str:
    """Return the name of a text encoding."""
    try:
        known = codecs.lookup(value)  # type: ignore[arg-type]  # or it raises
        is_text: bool = known._is_text_encoding
    except (LookupError, TypeError, ValueError):
        is_text = False
    if not is_text:
        raise ValueError(
            f"encoding must be a text encoding such as 'utf-8', 'latin-1', 'cp1252' or 'utf-16'; "
            f"got {shown(value)}"
        )
    return str(value)


def texts(place: str, value: object) -> list[str]:
    """Return a list of texts."""
    found = plain_list(place, value)
    for text in found:
        if not isinstance(text, str):
            raise TypeError(f"{place} must hold texts; got {shown(text)}")
    return found
