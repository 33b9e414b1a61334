"""How requested column names are matched with the names in a table, and input names made unique.

Here: names that differ only in case, spaces or punctuation, columns with a position instead of a
name, and inputs with the same name. Not here: the message about an absent column (errors.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastnn.tabular.errors import FRAME, TableError, listed, require_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def matching(
    path: str,
    wanted: Sequence[str],
    names: Sequence[str],
    is_matrix: bool = False,
    of_matrix: bool = True,
) -> tuple[dict[str, str], list[str]]:
    """Map each wanted name to the column that matches it; a TableError lists the missing ones.

    If the table is a matrix (`is_matrix`) and the wanted names are those of a matrix, too
    (`of_matrix`), columns are matched by position, since they have no names. The digits of other
    names say nothing about positions. Also return a note about the columns whose names differ from
    the wanted names.
    """
    there_are, are_wanted = set(names), set(wanted)
    if are_wanted <= there_are:
        return {name: name for name in wanted}, []
    by_position = _by_position(wanted, names) if is_matrix and of_matrix else None
    if by_position is not None:
        return by_position, _renamed(by_position, "by position")
    alike = _unique(names)
    own = _unique(wanted)
    found = {}
    for name in wanted:
        there = name if name in there_are else alike.get(_plain(name))
        is_taken = there in are_wanted and there != name
        if there is not None and not is_taken and (there == name or own.get(_plain(name)) == name):
            found[name] = there
    missing = [name for name in wanted if name not in found]
    if path == FRAME:
        _require_same_form(missing, wanted, names, is_matrix)
    require_columns(path, missing, names)
    return found, _renamed(found, "regardless of case, spaces and punctuation")


def distinct(names: Sequence[str]) -> list[str]:
    """Return names with a number added to each that occurred before: ["a", "a (2)"]."""
    found: dict[str, None] = {}
    given = set(names)
    for name in names:
        other, count = name, 1
        while other in found or (count > 1 and other in given):
            count += 1
            other = f"{name} ({count})"
        found[other] = None
    return list(found)


def _require_same_form(
    missing: Sequence[str], wanted: Sequence[str], names: Sequence[str], is_matrix: bool
) -> None:
    """Check that a frame with names does not replace an array without names, or the reverse."""
    of_array = [name for name in missing if re.fullmatch(r"x\d+", name)]
    if is_matrix and len(of_array) < len(missing):
        raise TableError(
            "the data are an array, whose columns have no names, but columns "
            f"{listed(wanted, 12)} are needed; pass a data frame with these columns"
        )
    if not is_matrix and missing and len(of_array) == len(wanted):
        raise TableError(
            f"{FRAME} has no columns {listed(wanted)}, the names of an array's columns; its "
            f"columns are {listed(names, 12)}; if training used an array, pass an array to the "
            f"estimator, or rename the columns, in the order of that array: {wanted[0]!r} for the "
            "first"
        )


def _renamed(found: Mapping[str, str], how: str) -> list[str]:
    """Return a note about the columns whose names differ from the wanted names."""
    pairs = [(there, name) for name, there in found.items() if there != name]
    if len(pairs) > 3:
        there, name = pairs[0]
        return [f"took columns {how}: {there!r} for {name!r} and so on"]
    return [f"took column {there!r} for {name!r}" for there, name in pairs]


def _plain(name: str) -> str:
    """Return a name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Return names by their plain form, without the forms that several names share."""
    found: dict[str, str] = {}
    twice = set()
    for name in names:
        plain = _plain(name)
        twice |= {plain} & found.keys()
        found[plain] = name
    return {plain: name for plain, name in found.items() if plain and plain not in twice}


def _by_position(wanted: Sequence[str], names: Sequence[str]) -> dict[str, str] | None:
    """Match columns by position if all wanted columns belong to one matrix; otherwise return None.

    The columns of a matrix are called "X0", "X1", ... in a .npz file, "0", "1", ... in a .npy file
    and "x0", "x1", ... in an array.
    """
    sought = _places(wanted)
    if len(sought) != 1:
        return None
    (places,) = sought.values()
    there = [found for found in _places(names).values() if found.keys() == set(range(len(found)))]
    if len(there) != 1 or len(places) != len(wanted) or not places.keys() <= there[0].keys():
        return None
    return {name: there[0][place] for place, name in places.items()}


def _places(names: Iterable[str]) -> dict[str, dict[int, str]]:
    """Return the column names of matrices by position, for each prefix."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*?)(0|[1-9]\d{0,8})", name)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = name
    return found
