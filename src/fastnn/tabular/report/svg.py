"""Drawings as inline SVG: a chart has two axes, and its marks are given in their units.

Colours and widths are classes of the style sheet (style.css), so a drawing follows the colour
scheme of the page. A drawing is 360 units wide and shown at about that width in pixels, so its
letters are as large as those of the text. Not here: what is drawn (the sections).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.report.html import Html, element, joined, number, shape, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

WIDTH, HEIGHT = 360, 250

#: Space for the labels of axes at the left, the right, the top and the bottom.
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 12, 10, 44


@dataclass(frozen=True)
class Axis:
    """The scale of an axis: from `low` to `high`, on a logarithmic scale if `is_log`."""

    label: str
    low: float
    high: float
    is_log: bool = False
    text: Callable[[float], str] = number

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
        raw = (self.high - self.low) / most
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw * (1 - 1e-9))
        lowest = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(lowest, math.floor(self.high / step + 1e-9) + 1)]


def spanning(label: str, *values: ArrayLike, **options: Any) -> Axis:
    """Return an axis that spans all finite values, with a small margin at each end."""
    found = np.concatenate([np.ravel(np.asarray(each, np.float64)) for each in values])
    found = found[np.isfinite(found)]
    low, high = (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)
    if options.get("is_log"):
        return Axis(label, low / 1.1, high * 1.1, **options)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    return Axis(label, low - room, high + room, **options)


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

    # ---- places ---------------------------------------------------------------------------------

    def at(self, xs: ArrayLike, ys: ArrayLike) -> list[tuple[float, float]]:
        """Return the positions of points in units of the drawing."""
        across = _LEFT + self.x.place(xs) * (WIDTH - _LEFT - _RIGHT)
        down = self.height - _BOTTOM - self.y.place(ys) * (self.height - _TOP - _BOTTOM)
        across, down = np.broadcast_arrays(np.atleast_1d(across), np.atleast_1d(down))
        return list(zip(across.tolist(), down.tolist(), strict=True))

    # ---- marks ----------------------------------------------------------------------------------

    def line(self, xs: ArrayLike, ys: ArrayLike, style: str) -> None:
        """Draw a line through points, with a gap where a point is not finite."""
        path, pen = [], "M"
        for across, down in self.at(xs, ys):
            if math.isfinite(across) and math.isfinite(down):
                path.append(f"{pen}{_short(across)} {_short(down)}")
                pen = "L"
            else:
                pen = "M"
        if path:
            self._marks.append(shape("path", d="".join(path), class_=f"line {style}"))

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
        right, bottom = WIDTH - _RIGHT, self.height - _BOTTOM
        made = []
        for tick in self.y.ticks(4):
            [(_, down)] = self.at(self.x.low, tick)
            made.append(shape("path", d=f"M{_LEFT} {_short(down)}H{right}", class_="rule"))
            made.append(element("text", self.y.text(tick), x=_LEFT - 6, y=_short(down + 4),
                                text_anchor="end"))  # fmt: skip
        for tick in self.x.ticks():
            [(across, _)] = self.at(tick, self.y.low)
            d = f"M{_short(across)} {bottom}v4"
            made.append(shape("path", d=d, class_="axis"))
            made.append(element("text", self.x.text(tick), x=_short(across), y=bottom + 17,
                                text_anchor="middle"))  # fmt: skip
        made.append(shape("path", d=f"M{_LEFT} {bottom}H{right}", class_="axis"))
        middle = (_TOP + bottom) / 2
        made.append(element("text", self.x.label, x=(_LEFT + right) / 2, y=self.height - 8,
                            text_anchor="middle", class_="label"))  # fmt: skip
        made.append(element("text", self.y.label, x=-middle, y=12, transform="rotate(-90)",
                            text_anchor="middle", class_="label"))  # fmt: skip
        return made


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
    step, top, left, right = 24, 6, 128, 52
    ends = [0.0, *(v - s for _, v, s, _ in rows), *(v + s for _, v, s, _ in rows)]
    axis = Axis(label, min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1.0)
    height = top + step * len(rows) + 38

    def across(value: float) -> float:
        return float(left + axis.place(value) * (WIDTH - left - right))

    bottom, made = top + step * len(rows), []
    for tick in axis.ticks(3):
        d = f"M{_short(across(tick))} {top}V{bottom}"
        made.append(shape("path", d=d, class_="axis" if tick == 0 else "rule"))
        made.append(element("text", number(tick), x=_short(across(tick)), y=bottom + 15,
                            text_anchor="middle"))  # fmt: skip
    for i, (what, value, spread, says) in enumerate(rows):
        y, (low, high) = top + step * i, sorted((across(0.0), across(value)))
        made.append(element("text", element("title", what), shortened(what, 19), x=left - 8,
                            y=y + 16, text_anchor="end"))  # fmt: skip
        made.append(element("rect", element("title", f"{what}: {says}"), x=_short(low), y=y + 4,
                            width=_short(max(1.0, high - low)), height=step - 8,
                            class_="fill one"))  # fmt: skip
        ends = [across(value - spread), across(value + spread)]
        if spread:
            d = f"M{_short(ends[0])} {y + step / 2}H{_short(ends[1])}"
            made.append(shape("path", d=d, class_="whisker"))
        made.append(element("text", text(value), x=_short(max(*ends, high) + 6), y=y + 16))
    made.append(element("text", label, x=(left + WIDTH - right) / 2, y=height - 6,
                        text_anchor="middle", class_="label"))  # fmt: skip
    return drawing(name, title, description, WIDTH, height, made)


def thinned(n: int, most: int) -> NDArray[np.intp]:
    """Return the indices of at most `most` of a line's n points, including both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.intp))


def runs(edges: Sequence[float]) -> list[tuple[float, float]]:
    """Return the intervals between edges."""
    return list(pairwise(edges))


def _short(value: float) -> str:
    """Return a coordinate with one decimal."""
    return f"{value:.1f}".removesuffix(".0")
