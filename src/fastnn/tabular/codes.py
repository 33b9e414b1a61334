"""Codes: how the values of one column are encoded as inputs, as plain data.

A code is a frozen dataclass whose fields are stored as plain data in the model file. `names`
returns the names of its inputs, `described` a readable description, and `write` fills in the inputs
of some rows. A column may have several codes side by side. The values of a column are numbers, or
seconds since 1970 for dates, NaN where missing; the values of a category are indices into the texts
of its code, or `MISSING` or `UNKNOWN`.

A new code needs a class here, a line in `CODES`, and its form in onnx_columns.py; learning.py
decides which columns get it. Not here: whole tables (encoding.py).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

#: Values of a category where the text is missing, or is not among the texts of its code.
MISSING, UNKNOWN = -1, -2

#: Seconds of a day; the largest number that Clipped squares.
DAY, FAR = 86400, 1e150

_SHOWN = 8  # number of texts in a description
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Code:
    """Base class of the codes."""

    #: Name in the model file.
    kind: ClassVar[str]

    #: Whether the inputs are quantities, which a Standardize layer scales; it leaves others
    #: unchanged.
    is_measured: ClassVar[bool] = False

    #: Whether at most one input of a row is nonzero.
    is_one_hot: ClassVar[bool] = False

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs of a column of this name."""
        raise NotImplementedError

    def described(self) -> str:
        """Return a readable description of the inputs."""
        raise NotImplementedError

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs for values (n,) to `out` (n, n_inputs), which holds zeros."""
        raise NotImplementedError

    def nonzeros(
        self, values: NDArray[Any], width: int, dtype: DTypeLike
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the output of `write` as its nonzeros: their rows, their inputs and their values.

        Each array has shape (n_nonzeros,), sorted by row and then by input; `width` is the number
        of inputs.
        """
        out = np.zeros((len(values), width), dtype)
        self.write(values, out)
        rows, inputs = np.nonzero(out)
        return rows, inputs, out[rows, inputs]

    def to_plain(self) -> dict[str, Any]:
        """Return the code as plain data."""
        return {"code": self.kind, **dataclasses.asdict(self)}  # type: ignore[call-overload]  # every code is a dataclass


@dataclass(frozen=True)
class Value(Code):
    """One input: ``(x - shift) / scale``; a missing x is replaced by `fill`."""

    fill: float
    shift: float
    scale: float

    kind = "value"
    is_measured = True

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        return [column]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return "standardized" if self.scale != 1.0 else "its value, standardized by the network"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        filled = np.where(np.isnan(values), self.fill, values)
        out[:, 0] = (filled - self.shift) / self.scale


@dataclass(frozen=True)
class Bounded(Value):
    """The input of `Value`, with x limited to ``low`` ... ``high``.

    Without the limits, a number far outside the range of the training rows, often a mistake, could
    change a prediction arbitrarily.
    """

    low: float
    high: float

    kind = "bounded"

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return "standardized, limited to the training range extended by half on either side"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        super().write(np.clip(values, self.low, self.high), out)


@dataclass(frozen=True)
class Clipped(Code):
    """One input: ``u / sqrt(1 + (u / 3)**2)`` of ``u = (x - shift) / scale``, from -3 to 3.

    A missing x is replaced by `fill`. Outliers change the input little; they would shift a mean and
    a standard deviation much.
    """

    fill: float
    shift: float
    scale: float

    kind = "clipped"

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        return [f"{column}=(clipped)"]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return "clipped smoothly by median and quartiles"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        with np.errstate(over="ignore"):
            u = (np.where(np.isnan(values), self.fill, values) - self.shift) / self.scale
        u = np.clip(u, -FAR, FAR)  # so that the square is finite
        out[:, 0] = u / np.sqrt(1.0 + (u / 3) ** 2)  # hypot's last digit differs between systems


@dataclass(frozen=True)
class PiecewiseLinear(Code):
    """One input per interval between edges: 0 below the interval, 1 above it, linear within it.

    A missing x is replaced by `fill` (Gorishniy, Rubachev, Babenko, NeurIPS 2022).
    """

    fill: float
    edges: list[float]

    kind = "piecewise_linear"

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        n = len(self.edges) - 1
        return [f"{column}=({i} of {n})" for i in range(1, n + 1)]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return f"piecewise linear in {len(self.edges) - 1} intervals"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        filled = np.where(np.isnan(values), self.fill, values)
        with np.errstate(over="ignore"):  # an interval may be as short as 1e-310
            for i, (low, high) in enumerate(pairwise(self.edges)):
                out[:, i] = np.clip((filled - low) / (high - low), 0.0, 1.0)


@dataclass(frozen=True)
class Missing(Code):
    """One input: 1 where a value is missing."""

    kind = "missing"
    is_one_hot = True

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        return [f"{column}=(missing)"]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return "an input for missing values"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        out[:, 0] = is_missing(values)


@dataclass(frozen=True)
class OneHot(Code):
    """One input for each text of a category and, with `other`, one for all other texts."""

    texts: list[str]
    other: bool

    kind = "one_hot"
    is_one_hot = True

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        return [f"{column}={text}" for text in self.texts] + [f"{column}=(other)"] * self.other

    def described(self) -> str:
        """Return a readable description of the inputs."""
        shown = ", ".join(text or "''" for text in self.texts[:_SHOWN])
        more = f" and {len(self.texts) - _SHOWN} more" if len(self.texts) > _SHOWN else ""
        other = "; another input for all rarer texts" if self.other else ""
        return f"one-hot, {_checks.counted(len(self.texts), 'text')}: {shown}{more}{other}"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        rows, inputs = self._places(values)
        out[rows, inputs] = 1

    def nonzeros(
        self, values: NDArray[Any], width: int, dtype: DTypeLike
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the nonzeros directly, without an array of all inputs, which may be many."""
        rows, inputs = self._places(values)
        return rows, inputs, np.ones(len(rows), dtype)

    def _places(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the rows whose text has an input, and the index of that input in each of them."""
        if self.other:
            values = np.where(values == UNKNOWN, len(self.texts), values)
        rows = np.flatnonzero(values >= 0)
        return rows, values[rows]


@dataclass(frozen=True)
class Ordered(Code):
    """An input for each known text of an ordered category, and one for each step of the order.

    The input of a step is 1 for its text and all higher ones (thermometer code), so neighbours in
    the order differ in one step. `texts` has all texts that the category may take, the lowest
    first; `known` has those with enough training rows. Any other text is encoded as the next lower
    known text, or as the lowest known one.
    """

    texts: list[str]
    known: list[str]

    kind = "ordered"
    other = False  # unlike OneHot, no input for other texts

    def __post_init__(self) -> None:
        remaining = iter(self.texts)
        if not self.known or not all(text in remaining for text in self.known):
            raise ValueError(
                f"the known texts {self.known} must be some of the texts {self.texts}, in their "
                "order"
            )

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        steps = [f"{column}>={text}" for text in self.known[1:]]
        return [*(f"{column}={text}" for text in self.known), *steps]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        shown = " < ".join(text or "''" for text in self.known[:_SHOWN])
        more = f" and {len(self.known) - _SHOWN} more" if len(self.known) > _SHOWN else ""
        return (
            f"one-hot and steps of the order, {_checks.counted(len(self.known), 'text')}: "
            f"{shown}{more}"
        )

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        n = len(self.known)
        places = [self.texts.index(text) for text in self.known]
        rows = np.flatnonzero(values >= 0)
        known = np.maximum(np.searchsorted(places, values[rows], side="right") - 1, 0)
        out[rows, known] = 1
        out[rows, n:] = known[:, None] >= np.arange(1, n)


@dataclass(frozen=True)
class Month(Code):
    """Twelve inputs: 1 for the month of a date."""

    kind = "month"
    is_one_hot = True

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        return [f"{column}={month}" for month in _MONTHS]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return "month"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        rows = np.flatnonzero(~np.isnan(values))
        out[rows, values[rows].astype("M8[s]").astype("M8[M]").astype(int) % 12] = 1


@dataclass(frozen=True)
class Weekday(Code):
    """Seven inputs: 1 for the day of the week of a date."""

    kind = "weekday"
    is_one_hot = True

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        return [f"{column}={day}" for day in _WEEKDAYS]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return "day of the week"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        rows = np.flatnonzero(~np.isnan(values))
        out[rows, ((values[rows] // DAY).astype(int) + 3) % 7] = 1  # day 0 was a Thursday


@dataclass(frozen=True)
class TimeOfDay(Code):
    """Two inputs, sine and cosine of the time of day, so that midnight is near 23:59."""

    kind = "time_of_day"

    def names(self, column: str) -> list[str]:
        """Return the names of the inputs."""
        return [f"{column}=sin(time)", f"{column}=cos(time)"]

    def described(self) -> str:
        """Return a readable description of the inputs."""
        return "time of day"

    def write(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the inputs."""
        rows = np.flatnonzero(~np.isnan(values))
        angle = 2 * np.pi * (values[rows] % DAY) / DAY
        out[rows, 0], out[rows, 1] = np.sin(angle), np.cos(angle)


#: The codes by their names in model files.
CODES: dict[str, type[Code]] = {
    code.kind: code
    for code in (
        Value,
        Bounded,
        Clipped,
        PiecewiseLinear,
        Missing,
        OneHot,
        Ordered,
        Month,
        Weekday,
        TimeOfDay,
    )
}


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a column's values are missing: (n,)."""
    missing: NDArray[np.bool_] = values == MISSING if values.dtype.kind == "i" else np.isnan(values)
    return missing


def from_plain(place: str, plain: Any) -> Code:
    """Return the code from the result of `to_plain`; errors name the place and the problem."""
    name = _checks.fields(place, plain).get("code")
    code = CODES[_checks.choice(f"{place}'s code", name, tuple(CODES))]
    fields = dataclasses.fields(code)  # type: ignore[arg-type]  # every code is a dataclass
    found = _checks.fields(place, plain, ("code", *(field.name for field in fields)))
    return code(**{f.name: _checked(f"{place}'s {f.name}", f, found[f.name]) for f in fields})


def _checked(place: str, field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a field's value, checked against its annotation; a scale must be above 0."""
    if field.name == "scale":
        return _checks.number(place, value, above=0.0)
    return _CHECKS[str(field.type)](place, value)


#: The check of a field by its annotation.
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "float": _checks.number,
    "bool": _checks.flag,
    "list[float]": _checks.ascending,
    "list[str]": _checks.texts,
}
