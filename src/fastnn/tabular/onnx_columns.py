"""The columns of a table as inputs of an ONNX model, which encodes them like the recipe.

Here: a column's input, and each code in terms of ONNX operators: FORMS has a function for each
class of codes. A form computes in float64, by the steps of the code's `write`, so that its inputs
have the same bits. All columns of numbers are encoded together, since a runtime takes about a
microsecond for each operator. Not here: the graph, and the networks after the encoded columns
(exchange/onnx_writer.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.tabular.codes import (
    DAY,
    FAR,
    MISSING,
    Bounded,
    Clipped,
    Code,
    Missing,
    Month,
    OneHot,
    Ordered,
    PiecewiseLinear,
    TimeOfDay,
    Value,
    Weekday,
)
from fastnn.tabular.numbers import as_number
from fastnn.tabular.reading import MISSING as MISSING_TEXTS
from fastnn.tabular.recipe import recipe_of
from fastnn.tabular.spelling import Lookup, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastnn.mlp import MLP
    from fastnn.tabular.encoding import Entry
    from fastnn.tabular.recipe import Recipe

_DOUBLE, _STRING = np.dtype(np.float64), np.dtype(object)  # as onnx.helper knows these types


@dataclass(frozen=True)
class Group:
    """Columns with a code of the same class: columns of numbers, or a single other column.

    Parameters
    ----------
    x : tensor (n, n_columns)
        The values, as the codes take them: numbers, or indices of texts.
    is_missing : tensor of bool (n, n_columns)
    codes : list of Code
        The code of each column.
    """

    x: Any
    is_missing: Any
    codes: Sequence[Any]

    def each(self, name: str) -> Any:
        """Return a field of the codes as a constant (n_columns,)."""
        return self.x.graph.constant(name, [getattr(code, name) for code in self.codes])

    def filled(self, x: Any) -> Any:
        """Return numbers with each code's `fill` in place of missing ones."""
        return self.is_missing("Where", self.each("fill"), x)


def recipe_for(nets: Sequence[MLP]) -> Recipe:
    """Return the recipe of networks that are written together, which they must share."""
    _checks.encoded_alike("net", [net.metadata.get("table") for net in nets])
    return recipe_of(nets[0])


def encoded(graph: Any, recipe: Recipe) -> Any:
    """Append an input for each column and the nodes that encode all of them.

    Return the encoded columns (n, n_in) in the network's dtype.
    """
    in_double = graph.with_dtype(_DOUBLE)
    columns = [_input(in_double, entry, recipe.missing) for entry in recipe.columns]
    dtype = graph.onnx.helper.np_dtype_to_tensor_dtype(graph.dtype)
    parts, order = [], []
    for (kind, _), members in _grouped(recipe.columns).items():
        indices, codes, places = zip(*members, strict=True)
        first, *others = (columns[i] for i in indices)
        x = first("Concat", *others, axis=1) if others else first
        is_text = recipe.columns[indices[0]].category is not None
        is_missing = x("Equal", x.graph.integers("missing", [MISSING])) if is_text else x("IsNaN")
        parts.append(FORMS[kind](Group(x, is_missing, codes))("Cast", to=dtype))
        order += [place for some in places for place in some]
    together = graph.node("Concat", parts, {"axis": 1})
    return together("Gather", graph.integers("order", np.argsort(order).tolist()), axis=1)


def _grouped(
    entries: Iterable[Entry],
) -> dict[tuple[type[Code], int], list[tuple[int, Code, range]]]:
    """Return the codes that are encoded together: their columns, and the places of their inputs.

    The keys have the class of the codes and the index of the column, -1 for those of numbers.
    """
    found: dict[tuple[type[Code], int], list[tuple[int, Code, range]]] = {}
    first = 0
    for i, entry in enumerate(entries):
        for code in entry.codes:
            key = type(code), -1 if entry.kind == "number" else i
            last = first + len(code.names(entry.name))
            found.setdefault(key, []).append((i, code, range(first, last)))
            first = last
    return found


# ---- columns -------------------------------------------------------------------------------------


def _input(graph: Any, entry: Entry, missing: Sequence[str]) -> Any:
    """Append the input for a column; return its values. `missing` are the recipe's texts."""
    if entry.category is not None:
        texts = graph.input(entry.name, _STRING, 1, "text; '' is missing")
        return _indices(texts, entry.category, missing)
    is_number = entry.kind == "number"
    about = "number" if is_number else "date, in seconds since 1970 of local time"
    x = graph.input(entry.name, _DOUBLE, 1, f"{about}; NaN is missing")
    for number in map(as_number, missing if is_number else ()):
        if not np.isnan(number):
            x = x("Equal", number)("Where", np.nan, x)
    return x


def _indices(texts: Any, code: OneHot | Ordered, missing: Iterable[str]) -> Any:
    """Return the indices of texts, which one LabelEncoder looks up in their usual spellings.

    All texts that it does not know have the index of the input that they share, if there is one.
    """
    index = Lookup(code.texts, are_all=not code.other)
    found = {text: index(text) for text in spellings(code.texts)}
    found |= dict.fromkeys((*MISSING_TEXTS, *missing), MISSING)
    known = {text: i for text, i in found.items() if i is not None}
    keys, values = list(known), list(known.values())
    default = len(code.texts) if code.other else MISSING
    return texts("LabelEncoder", domain="ai.onnx.ml", keys_strings=keys, values_int64s=values,
                 default_int64=default)  # fmt: skip


# ---- numbers -------------------------------------------------------------------------------------


def _value(group: Group) -> Any:
    return _scaled(group, group.x)


def _bounded(group: Group) -> Any:
    return _scaled(group, group.x("Max", group.each("low"))("Min", group.each("high")))


def _clipped(group: Group) -> Any:
    u = _scaled(group, group.x)("Clip", -FAR, FAR)
    return u / (u / 3.0 * (u / 3.0) + 1.0)("Sqrt")


def _scaled(group: Group, x: Any) -> Any:
    return (group.filled(x) - group.each("shift")) / group.each("scale")


def _piecewise_linear(group: Group) -> Any:
    """Append all intervals of all columns at once."""
    intervals = [(i, *pair) for i, code in enumerate(group.codes) for pair in pairwise(code.edges)]
    columns, low, high = zip(*intervals, strict=True)
    graph = group.x.graph
    x = group.filled(group.x)("Gather", graph.integers("columns", list(columns)), axis=1)
    u = (x - graph.constant("low", low)) / graph.constant("width", np.subtract(high, low))
    return u("Clip", 0.0, 1.0)


def _missing(group: Group) -> Any:
    return group.is_missing


# ---- categories ----------------------------------------------------------------------------------


def _one_hot(group: Group) -> Any:
    [code] = group.codes
    return _is_one_of(group.x, len(code.texts) + code.other)


def _ordered(group: Group) -> Any:
    """Append the index of the known text that stands for x, and compare it with all of them."""
    [code] = group.codes
    n, places = len(code.known), [code.texts.index(text) for text in code.known]
    below = np.searchsorted(places, range(len(code.texts)), side="right") - 1
    known = [*np.maximum(below, 0).tolist(), MISSING]  # Gather takes the last for -1
    x = group.x.graph.integers("known", known)("Gather", group.x)
    steps = x("GreaterOrEqual", x.graph.integers("steps", list(range(1, n))))
    return _is_one_of(x, n)("Concat", steps, axis=1)


def _is_one_of(x: Any, n: int) -> Any:
    """Return whether integers (n_rows, 1) are 0 ... n - 1, as bools (n_rows, n)."""
    return x("Equal", x.graph.integers("indices", list(range(n))))


# ---- dates ---------------------------------------------------------------------------------------


def _divided(x: Any, n: float) -> tuple[Any, Any]:
    """Return the quotient, rounded down, and the remainder, from 0 on, both to the last bit."""
    rest = x("Mod", n, fmod=1)
    rest = rest("Less", 0.0)("Where", rest + n, rest)
    return ((x - rest) / n)("Round"), rest


def _month(group: Group) -> Any:
    """Append the month of the Gregorian calendar, in years that begin in March.

    Leap days then end a year, and a month is found from the day of the year by a linear function
    (https://howardhinnant.github.io/date_algorithms.html#civil_from_days).
    """
    x = group.x
    day, _second = _divided(x - x("Mod", 1.0, fmod=1), DAY)
    _, day = _divided(day + 719468.0, 146097.0)  # of 400 years, from a 1 March
    leap_days = (day / 1460.0)("Floor") - (day / 36524.0)("Floor") + (day / 146096.0)("Floor")
    year = ((day - leap_days) / 365.0)("Floor")
    of_year = day - (year * 365.0 + (year / 4.0)("Floor") - (year / 100.0)("Floor"))
    month = ((of_year * 5.0 + 2.0) / 153.0)("Floor")
    return month("Equal", x.graph.constant("months", [10, 11, *range(10)]))


def _weekday(group: Group) -> Any:
    day, _second = _divided(group.x, DAY)
    _week, day = _divided(day + 3.0, 7.0)  # day 0 was a Thursday
    return day("Equal", day.graph.constant("weekdays", range(7)))


def _time_of_day(group: Group) -> Any:
    """Append two sines, since ONNX Runtime 1.22 has no cosine in float64."""
    _day, second = _divided(group.x, DAY)
    cosine = second * -1.0 + DAY / 4
    angles = second("Concat", cosine, axis=1) * (2 * np.pi) / DAY
    return group.is_missing("Where", 0.0, angles("Sin"))


#: For each class of codes, the function that appends the inputs (n, n_inputs) of a group, column by
#: column: numbers or bools, which are then cast.
FORMS: dict[type[Code], Callable[[Group], Any]] = {
    Value: _value,
    Bounded: _bounded,
    Clipped: _clipped,
    PiecewiseLinear: _piecewise_linear,
    Missing: _missing,
    OneHot: _one_hot,
    Ordered: _ordered,
    Month: _month,
    Weekday: _weekday,
    TimeOfDay: _time_of_day,
}
