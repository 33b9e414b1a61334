"""Which columns of a table are meant by which names.

Here: names that differ in case, spaces or punctuation alone, and columns that have a position in
place of a name. Not here: the message about a column that is not there (errors.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastnn.tabular.errors import require_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def matching(
    path: str, wanted: Sequence[str], names: Sequence[str], is_matrix: bool = False
) -> dict[str, str]:
    """Return for each wanted name the one that a table has; a TableError names those it lacks.

    The columns of a matrix have no names but places.
    """
    if all(name in names for name in wanted):
        return {name: name for name in wanted}
    by_position = _by_position(wanted, names) if is_matrix else None
    if by_position is not None:
        return by_position
    alike = _unique(names)
    own = _unique(wanted)
    found = {}
    for name in wanted:
        there = name if name in names else alike.get(_plain(name))
        is_taken = there in wanted and there != name
        if there is not None and not is_taken and (there == name or own.get(_plain(name)) == name):
            found[name] = there
    require_columns(path, [name for name in wanted if name not in found], names)
    return found


def renamed(found: Mapping[str, str]) -> list[str]:
    """Return a note about the columns that have another name than was wanted."""
    pairs = [(there, name) for name, there in found.items() if there != name]
    if len(pairs) > 3:
        pairs = pairs[:1]
        return [f"took columns by place: {pairs[0][0]!r} for {pairs[0][1]!r} and so on"]
    return [f"took column {there!r} for {name!r}" for there, name in pairs]


def _plain(name: str) -> str:
    """Return a name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Return names by their plain form, without forms that two of them share."""
    found: dict[str, str] = {}
    twice = set()
    for name in names:
        plain = _plain(name)
        twice |= {plain} & found.keys()
        found[plain] = name
    return {plain: name for plain, name in found.items() if plain and plain not in twice}


def _by_position(wanted: Sequence[str], names: Sequence[str]) -> dict[str, str] | None:
    """Return columns by place, if all wanted are of one matrix, None if they are not.

    The columns of a matrix are called "X0", "X1", ... in a .npz file, "0", "1", ... in a .npy file
    and "x0", "x1", ... if they are an array.
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
    """Return the names of matrices' columns by their place, for each prefix."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*?)(0|[1-9]\d{0,8})", name)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = name
    return found
