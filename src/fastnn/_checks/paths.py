"""Paths of files, and the names that are derived from them."""

import os
import re

from fastnn._checks.values import shown


def file_path(name: str, value: object) -> str:
    """Return the path of a file as a str."""
    try:
        path = os.fspath(value)  # type: ignore[call-overload]
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a str or a path; got {shown(value)}")
    if not os.path.basename(path):
        raise ValueError(f"{name} must end with the name of a file; got {path!r}")
    return path


def c_path(name: str, value: object) -> str:
    """Return the path of a C file; ".c" is added to a path without an ending."""
    path = file_path(name, value)
    stem, ending = os.path.splitext(path)
    if ending not in ("", ".c"):
        raise ValueError(f"{name} must end with '.c', or with no ending; got {path!r}")
    return stem + ".c"


_KEYWORDS = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|"
    "union|unsigned|void|volatile|while"
)


def c_name(name: str, value: object, by_path: bool) -> str:
    """Return a prefix for names in C: an identifier, taken from a path if `by_path`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str; got {shown(value)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) or _KEYWORDS.fullmatch(value):
        remedy = "pass name=, or name the file so" if by_path else "such as 'digits'"
        raise ValueError(f"{name} must be an identifier of C, {remedy}; got {value!r}")
    return value
