"""Drawings as inline SVG: a chart has two axes, and its marks are given in their units.

Colours and widths are classes of the style sheet (style.css), so a drawing follows the colour
scheme of the page. A drawing is 360 units wide and shown at about that width in pixels, so its
letters are as large as those of the text. Numbers and names stay inside the drawing and apart from
each other: margins grow with the numbers, and names are shortened (widths.py). Not here: what is
drawn (the sections).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.numbers import MANY_DIGITS
from fastnn.tabular.report.html import (
    Html,
    element,
    evenly_spaced,
    joined,
    number,
    shape,
)
from fastnn.tabular.report.widths import fitted, width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT = 360, 250

#: Least space for the labels of axes at the left, the right, the top and the bottom.
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 12, 10, 44

#: Units of the numbers of an axis that would be too long for it, the largest first.
_UNITS = (1e12, "trillions"), (1e9, "billions"), (1e6, "millions")

#: Space between the numbers of an axis; space for the label of the vertical axis.
_BETWEEN, _LABEL = 8, 18


@dataclass(frozen=True)
class Axis:
    """The scale of an axis: from `low` to `high`, on a logarithmic scale if `is_log`.

    An axis of counts (`is_count`) has ticks at whole numbers only.
    """

    label: str
    low: float
    high: float
    is_log: bool = False
    is_count: bool = False

    def place(self, value: ArrayLike) -> Any:
        """Return the positions of values on the axis: 0 at its low end and 1 at its high end."""
        low, high, found = self.low, self.high, np.asarray(value, np.float64)
        if self.is_log:
            with np.errstate(divide="ignore", invalid="ignore"):
                low, high, found = math.log(low), math.log(high), np.log(found)
        return (found - low) / (high - low)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round numbers within the axis, about `most` of them."""
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits in ((1, 2, 5), (1, 3), (1,)):
                all_of = (d * 10.0**k for k in decades for d in digits)
                found = [value for value in all_of if self.low <= value <= self.high]
                if len(found) <= most + 1:
                    return found
            return found[:: math.ceil(len(found) / most)]
        step = self._step(most)
        lowest = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(lowest, math.floor(self.high / step + 1e-9) + 1)]

    def _step(self, most: int) -> float:
        """Return the distance of about `most` ticks on an axis that is not logarithmic."""
        raw = (self.high - self.low) / most
        if self.is_count:
            raw = max(raw, 1.0)
        size = 10.0 ** math.floor(math.log10(raw))
        factors = (1, 2, 5, 10) if self.is_count and size < 10 else (1, 2, 2.5, 5, 10)
        return next(size * m for m in factors if size * m >= raw * (1 - 1e-9))

    @property
    def unit(self) -> tuple[float, str]:
        """The unit of the numbers, as a number and as an addition to the label."""
        largest = max(abs(self.low), abs(self.high))
        if self.is_log or largest >= MANY_DIGITS:
            return 1.0, ""
        return next(((size, f", {name}") for size, name in _UNITS if largest >= size), (1.0, ""))

    def numbered(self, most: int, unit: float = 1.0) -> list[tuple[float, str]]:
        """Return about `most` ticks with their numbers, which differ from each other."""
        ticks = self.ticks(most)
        if self.is_log:
            texts = [number(tick) for tick in ticks]
        else:
            texts = evenly_spaced([tick / unit for tick in ticks], self._step(most) / unit)
        return list(zip(ticks, texts, strict=True))

    def numbered_across(
        self, room: float, most: int = 5, unit: float = 1.0
    ) -> list[tuple[float, str]]:
        """Return ticks and their numbers, so few that the numbers fit side by side into `room`."""
        for fewer in range(most, 0, -1):
            found = self.numbered(fewer, unit)
            places = self.place([tick for tick, _ in found]) * room
            if len(found) < 2 or np.diff(places).min() >= _widest(found) + _BETWEEN:
                return found
        return found[:1]


def _widest(numbered: Sequence[tuple[float, str]]) -> float:
    """Return the width of the widest number of an axis."""
    return max((width_of(text) for _, text in numbered), default=0.0)


def spanning(label: str, *values: ArrayLike, **options: Any) -> Axis:
    """Return an axis that spans all finite values, with a small margin at each end."""
    found = np.concatenate([np.ravel(np.asarray(each, np.float64)) for each in values])
    found = found[np.isfinite(found)]
    low, high = (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)
    if options.get("is_log"):
        return Axis(label, low / 1.1, high * 1.1, **options)
    room = 0.5 * abs(high) or 1.0 if are_equal(low, high) else 0.04 * (high - low)
    return Axis(label, low - room, high + room, **options)


def are_equal(low: float, high: float) -> bool:
    """Return whether the ends of an axis are equal, or differ by less than can be drawn."""
    return high - low <= 1e-12 * max(abs(low), abs(high))


class Chart:
    """A drawing with a horizontal and a vertical axis.

    `name` is the base of ids in the page and must be unique; screen readers read `title` and
    `description`.
    """

    def __init__(
        self, name: str, title: str, description: str, x: Axis, y: Axis, height: int = HEIGHT
    ) -> None:
        self.name, self.title, self.description = name, title, description
        self.x, self.y, self.height = x, y, height
        self._marks: list[Html] = []
        # The numbers of y decide the left margin, and those of x, which must fit beside it, the
        # right margin, for which fewer of them may fit.
        unit_of_x, unit_of_y = x.unit[0], y.unit[0]
        self._down = y.numbered(4, unit_of_y)
        self._left = max(_LEFT, _LABEL + _widest(self._down) + 6)
        self._across = x.numbered_across(WIDTH - self._left - _RIGHT, unit=unit_of_x)
        self._right = WIDTH - max(_RIGHT, _widest(self._across) / 2 + 2)
        self._across = x.numbered_across(self._right - self._left, unit=unit_of_x)

    # ---- places ---------------------------------------------------------------------------------

    def at(self, xs: ArrayLike, ys: ArrayLike) -> list[tuple[float, float]]:
        """Return the positions of points in units of the drawing."""
        across = self._left + self.x.place(xs) * (self._right - self._left)
        down = self.height - _BOTTOM - self.y.place(ys) * (self.height - _TOP - _BOTTOM)
        across, down = np.broadcast_arrays(np.atleast_1d(across), np.atleast_1d(down))
        return list(zip(across.tolist(), down.tolist(), strict=True))

    # ---- marks ----------------------------------------------------------------------------------

    def line(self, xs: ArrayLike, ys: ArrayLike, style: str) -> None:
        """Draw a line through points, with a gap where a point is not finite.

        A point between two gaps is drawn as a dot, by a line of length zero.
        """
        path, points = "", self.at(xs, ys)
        are_finite = [math.isfinite(a) and math.isfinite(d) for a, d in points]
        for is_line, some in groupby(zip(are_finite, points, strict=True), key=itemgetter(0)):
            if is_line:
                places = [f"{_short(across)} {_short(down)}" for _, (across, down) in some]
                path += "M" + "L".join(places) + ("h0" if len(places) == 1 else "")
        if path:
            self._marks.append(shape("path", d=path, class_=f"line {style}"))

    def band(self, xs: ArrayLike, low: ArrayLike, high: ArrayLike, style: str) -> None:
        """Fill the area between two lines."""
        edge = [*self.at(xs, low), *reversed(self.at(xs, high))]
        path = "L".join(f"{_short(across)} {_short(down)}" for across, down in edge)
        self._marks.append(shape("path", d=f"M{path}Z", class_=f"band {style}"))

    def cloud(self, xs: ArrayLike, ys: ArrayLike, style: str) -> None:
        """Draw many small dots, as one path of lines of length zero."""
        path = "".join(f"M{_short(a)} {_short(d)}h0" for a, d in self.at(xs, ys))
        self._marks.append(shape("path", d=path, class_=f"cloud {style}"))

    def dot(self, x: float, y: float, style: str, says: str) -> None:
        """Draw a dot with a tooltip."""
        [(across, down)] = self.at(x, y)
        self._marks.append(
            element("circle", element("title", says), cx=_short(across), cy=_short(down), r=4.5,
                    class_=f"dot {style}")
        )  # fmt: skip

    def bar(self, x: tuple[float, float], y: tuple[float, float], style: str, says: str) -> None:
        """Fill a rectangle between two values on each axis, with a tooltip."""
        (left, bottom), (right, top) = self.at([*x], [*y])
        left, right, top, bottom = (
            min(left, right), max(left, right), min(top, bottom), max(top, bottom)
        )  # fmt: skip
        gap = min(1.0, 0.1 * (right - left))
        self._marks.append(
            element("rect", element("title", says), x=_short(left + gap), y=_short(top),
                    width=_short(max(0.0, right - left - 2 * gap)), height=_short(bottom - top),
                    class_=f"fill {style}")
        )  # fmt: skip

    def whisker(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Draw a thin line between two points as an error bar."""
        (a, b), (c, d) = self.at([*x], [*y])
        path = f"M{_short(a)} {_short(b)}L{_short(c)} {_short(d)}"
        self._marks.append(shape("path", d=path, class_="whisker"))

    # ---- the whole ------------------------------------------------------------------------------

    def svg(self) -> Html:
        """Return the drawing."""
        return drawing(
            self.name, self.title, self.description, WIDTH, self.height, [*self._grid(),
            *self._marks],
        )  # fmt: skip

    def _grid(self) -> list[Html]:
        """Return the grid lines of both axes with their numbers and labels."""
        left, right, bottom = self._left, self._right, self.height - _BOTTOM
        start, end, made = _short(left), _short(right), []
        for tick, text in self._down:
            [(_, down)] = self.at(self.x.low, tick)
            made.append(shape("path", d=f"M{start} {_short(down)}H{end}", class_="rule"))
            made.append(element("text", text, x=_short(left - 6), y=_short(down + 4),
                                text_anchor="end"))  # fmt: skip
        for tick, text in self._across:
            [(across, _)] = self.at(tick, self.y.low)
            d = f"M{_short(across)} {bottom}v4"
            made.append(shape("path", d=d, class_="axis"))
            made.append(element("text", text, x=_short(across), y=bottom + 17,
                                text_anchor="middle"))  # fmt: skip
        made.append(shape("path", d=f"M{start} {bottom}H{end}", class_="axis"))
        across, down = (left + right) / 2, (_TOP + bottom) / 2
        made.append(element("text", self._label(self.x, 2 * min(across, WIDTH - across)),
                            x=_short(across), y=self.height - 8, text_anchor="middle",
                            class_="label"))  # fmt: skip
        made.append(element("text", self._label(self.y, 2 * down), x=_short(-down), y=12,
                            transform="rotate(-90)", text_anchor="middle",
                            class_="label"))  # fmt: skip
        return made

    @staticmethod
    def _label(axis: Axis, room: float) -> str:
        """Return the label of an axis with the unit of its numbers, short enough for `room`."""
        unit = axis.unit[1]
        return fitted(axis.label, room - width_of(unit)) + unit


def drawing(
    name: str, title: str, description: str, width: float, height: float, marks: Sequence[Html]
) -> Html:
    """Return marks as a drawing with a title and a description."""
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        joined(marks),
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def bars(
    name: str,
    title: str,
    description: str,
    rows: Sequence[tuple[str, float, float, str]],
    label: str,
    text: Callable[[float], str],
) -> Html:
    """Return horizontal bars from rows of (name, value, spread, tooltip).

    Bars begin at 0, those of negative values too.
    """
    step, top, left = 24, 6, 128
    right = max(52.0, 8 + max((width_of(text(value)) for _, value, _, _ in rows), default=0.0))
    ends = [0.0, *(v - s for _, v, s, _ in rows), *(v + s for _, v, s, _ in rows)]
    axis = Axis(label, min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1.0)
    height = top + step * len(rows) + 38

    def across(value: float) -> float:
        return float(left + axis.place(value) * (WIDTH - left - right))

    bottom, made = top + step * len(rows), []
    for tick, tick_text in axis.numbered_across(WIDTH - left - right, most=3):
        d = f"M{_short(across(tick))} {top}V{bottom}"
        made.append(shape("path", d=d, class_="axis" if tick == 0 else "rule"))
        made.append(element("text", tick_text, x=_short(across(tick)), y=bottom + 15,
                            text_anchor="middle"))  # fmt: skip
    for i, (what, value, spread, says) in enumerate(rows):
        y, (low, high) = top + step * i, sorted((across(0.0), across(value)))
        made.append(element("text", element("title", what), fitted(what, left - 10), x=left - 8,
                            y=y + 16, text_anchor="end"))  # fmt: skip
        made.append(element("rect", element("title", f"{what}: {says}"), x=_short(low), y=y + 4,
                            width=_short(max(1.0, high - low)), height=step - 8,
                            class_="fill one"))  # fmt: skip
        ends = [across(value - spread), across(value + spread)]
        if spread:
            d = f"M{_short(ends[0])} {y + step / 2}H{_short(ends[1])}"
            made.append(shape("path", d=d, class_="whisker"))
        made.append(element("text", text(value), x=_short(max(*ends, high) + 6), y=y + 16))
    made.append(element("text", label, x=_short((left + WIDTH - right) / 2), y=height - 6,
                        text_anchor="middle", class_="label"))  # fmt: skip
    return drawing(name, title, description, WIDTH, height, made)


def thinned(n: int, most: int) -> NDArray[np.intp]:
    """Return the indices of at most `most` of a line's n points, including both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.intp))


def _short(value: float) -> str:
    """Return a coordinate with one decimal."""
    return f"{value:.1f}".removesuffix(".0")
