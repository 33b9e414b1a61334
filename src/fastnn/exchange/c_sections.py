"""The C functions in networks as C source: marked sections of the kernels' headers.

A section is the text between two comments,

    /* c-source: begin vtanh (needs maths, polynomial) */
    ...
    /* c-source: end */

on lines of their own. A section depends only on the sections that its comment names and on the
section "base". Between the markers the headers are C99 for any type with the operations of "base",
so that every formula is written only once.

Here: sections and their dependencies. Not here: which sections a network needs (c_stages.py), and
which the columns of a table (tabular/c_columns.py).
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
FILES = (
    "exchange/c_source.h",
    "engine/simd/real.h",
    "engine/simd/ops.h",
    "engine/simd/vmath.h",
    "engine/simd/activations.h",
    "engine/simd/losses.h",
    "engine/simd/layer_norm.h",
    "tabular/c_columns.h",
)
_BEGIN = re.compile(r"/\* c-source: begin (\w+)(?: \(needs (\w+(?:, \w+)*)\))? \*/\n")
_END = "/* c-source: end */\n"


@dataclass(frozen=True)
class Section:
    """A marked section: its name, the names of the sections it needs, and its text."""

    name: str
    needs: tuple[str, ...]
    text: str


def sections_in(text: str) -> dict[str, Section]:
    """Return the marked sections of a header by name; markers must come in pairs."""
    found: dict[str, Section] = {}
    name, needs = None, ""
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        begin = _BEGIN.fullmatch(line)
        assert begin or line == _END or "c-source:" not in line, f"line {number} is no marker"
        if begin:
            assert name is None, f"line {number} begins a section inside of {name}"
            assert begin[1] not in found, f"line {number} begins {begin[1]} a second time"
            name, needs, lines = begin[1], begin[2] or "", []
        elif line == _END:
            assert name is not None, f"line {number} ends no section"
            found[name] = Section(name, tuple(needs.split(", ")) if needs else (), "".join(lines))
            name = None
        elif name is not None:
            lines.append(line)
    assert name is None, f"section {name} has no end"
    return found


@functools.cache
def sections() -> dict[str, Section]:
    """Return the sections of all headers by name."""
    found: dict[str, Section] = {}
    for file in FILES:
        more = sections_in((_PACKAGE / file).read_text(encoding="utf-8"))
        assert not found.keys() & more.keys(), f"{file} has sections that another file has"
        found |= more
    unknown = {need for section in found.values() for need in section.needs} - found.keys()
    assert not unknown, f"there are no sections {unknown}"
    return found


def needed(names: Iterable[str]) -> list[Section]:
    """Return these sections and their dependencies in an order that C allows; "base" first."""
    found: dict[str, Section] = {}

    def take(name: str) -> None:
        section = sections()[name]
        for need in section.needs:
            take(need)
        found.setdefault(name, section)

    for name in ("base", *sorted(names)):
        take(name)
    return list(found.values())
