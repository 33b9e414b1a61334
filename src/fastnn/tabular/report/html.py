"""Pieces of HTML: elements, tables, and figures with their numbers. Every text in them is escaped.

Here: `Html` and the functions that make it. Only a text of this class is taken for HTML; any other
text is escaped where it enters an element, whatever its source. Not here: drawings (svg.py), and
the contents of the sections.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from fastnn._checks import counted as counted  # for the sections
from fastnn.tabular.numbers import MANY_DIGITS, in_four_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: Characters that HTML cannot hold.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

#: Bidirectional classes of letters, numbers and marks that change the direction of a text.
_RIGHT_TO_LEFT = frozenset(
    ("R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
)

_ROWS = 200  # of a table

#: Shown in place of a missing number: an en dash.
NOTHING = "\u2013"


class Html(str):
    """A text that is already HTML."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Return a value as HTML: unchanged if it is HTML, otherwise as escaped text."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(_CONTROLS.sub("\ufffd", str(value))))


def joined(parts: Iterable[object]) -> Html:
    """Return parts joined as HTML."""
    return Html("".join(map(escaped, parts)))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """Return an element; attributes that are None are left out, and class_ means class."""
    return Html(f"<{tag}{_attributes(attributes)}>{joined(children)}</{tag}>")


def shape(tag: str, **attributes: object) -> Html:
    """Return an SVG element without content."""
    return Html(f"<{tag}{_attributes(attributes)}/>")


def _attributes(attributes: dict[str, object]) -> str:
    pairs = ((n.rstrip("_").replace("_", "-"), v) for n, v in attributes.items() if v is not None)
    return "".join(f' {name}="{escaped(value)}"' for name, value in pairs)


# ---- numbers and texts --------------------------------------------------------------------------


def number(value: float | None) -> str:
    """Return a number with four digits, or with all digits before the point up to 15.

    A missing number is a dash.
    """
    if value is None or value != value:
        return NOTHING
    text = in_four_digits(value)
    return ("0" if text in ("-0", "0") else text).replace("-", "\u2212")


def percent(share: float) -> str:
    """Return a share as a percentage: "7.3 %"."""
    return NOTHING if share != share else f"{100 * share:.1f}\u202f%"


def told_apart(values: Sequence[float]) -> list[str]:
    """Return numbers with four digits, or with as many as their range needs to tell them apart."""
    texts, extent = [number(value) for value in values], max(values) - min(values)
    if extent <= 0 or len(set(texts)) == len(set(values)):
        return texts
    return evenly_spaced(values, 10.0 ** math.floor(math.log10(extent / 100)))


def evenly_spaced(values: Sequence[float], step: float) -> list[str]:
    """Return multiples of a step with the decimals of the step, so that their texts differ.

    If they are very small or very large, they have exponents instead.
    """
    largest = max(map(abs, values), default=0.0)
    if 1e-4 <= largest < MANY_DIGITS:
        decimals = next((d for d in range(20) if abs(round(step, d) - step) < 1e-3 * step), 20)
        texts = [f"{value + 0.0:,.{decimals}f}" for value in values]
    else:
        digits = max(4, math.ceil(math.log10(max(largest, step) / step)) + 1)
        texts = [f"{value:.{digits}g}" for value in values]
    return [text.replace("-", "\u2212") for text in texts]


def fixed(largest: float) -> Callable[[float], str]:
    """Return a formatter of numbers up to about `largest`: fixed decimals, three digits for it.

    If it is very small or very large, numbers have exponents instead, such as 1.23e-30.
    """
    decimals = max(0, 2 - math.floor(math.log10(largest))) if largest > 0 else 0
    has_exponent = decimals > 12 or largest >= MANY_DIGITS

    def text(value: float) -> str:
        if value != value:
            return NOTHING
        if has_exponent:
            return f"{value + 0.0:.2e}".replace("-", "\u2212")  # no -0
        rounded = round(value, decimals) + 0.0
        return f"{rounded:,.{decimals}f}".replace("-", "\u2212")

    return text


def capitalized(text: str) -> str:
    """Return a text with its first letter capitalized and the others unchanged."""
    return text[:1].upper() + text[1:]


def times(n: int) -> str:
    """Return how often something is done: "once", "5 times"."""
    return "once" if n == 1 else f"{n:,} times"


# ---- blocks -------------------------------------------------------------------------------------


def paragraph(*children: object) -> Html:
    """Return a paragraph."""
    return element("p", *children)


def table(
    caption: str,
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    class_: str | None = None,
) -> Html:
    """Return a table: the first cell of a row is its heading, the other cells are its values.

    The values are numbers or, with the class "words", texts. The class "matrix" is for tables of
    many columns, which are made narrow in print.
    """
    titles = joined(element("th", title, scope="col") for title in head)
    body = joined(
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in cells))
        for first, *cells in rows[:_ROWS]
    )
    more = len(rows) - _ROWS
    note = [paragraph(f"The first {_ROWS} of {len(rows):,} are shown.")] if more > 0 else []
    made = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", titles)),
        element("tbody", body),
        class_=class_,
    )
    scrolled = element("div", made, class_="wide", tabindex=0, role="region", aria_label=caption)
    return joined([scrolled, *note])


def figure(drawing: Html, caption: object, numbers: Html | None = None, key: Html = Html()) -> Html:  # noqa: B008  immutable
    """Return a drawing with legend and caption, and its numbers as a table that is folded away.

    The table follows the figure, since in HTML a caption is the first or last part of a figure.
    """
    made = element("figure", drawing, key, element("figcaption", caption))
    if numbers is None:
        return made
    return element("div", made, details("Show as a table", numbers), class_="with-table")


def details(summary: str, *children: object) -> Html:
    """Return content that is folded away until a reader opens it."""
    return element("details", element("summary", summary), *children)


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """Return a legend from pairs of a mark's class, such as "line one", and its text."""
    made = []
    for mark, text in entries:
        swatch = (
            shape("path", d="M0 6H22", class_=mark)
            if mark.startswith("line")
            else shape("rect", x=4, y=0, width=12, height=12, class_=mark)
            if mark.startswith(("fill", "band"))
            else shape("circle", cx=11, cy=6, r=4, class_=mark)
        )
        drawn = element("svg", swatch, viewBox="0 0 22 12", width=22, height=12, aria_hidden="true")
        made.append(element("li", drawn, text))
    return element("ul", *made, class_="key")


def facts(pairs: Iterable[tuple[object, object]]) -> Html:
    """Return a list of names and values."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", what)) for name, what in pairs),
    )


def grid(*children: Html, class_: str = "grid") -> Html:
    """Return blocks, side by side where there is room."""
    return element("div", *children, class_=class_)


def as_text(value: Any) -> str:
    """Return a class or a name as text; an empty text as two quotation marks.

    A text with letters or marks that are written from right to left is isolated, so that it does
    not change the order of the words and numbers around it.
    """
    text = str(value) or "''"
    is_left_to_right = all(
        unicodedata.bidirectional(letter) not in _RIGHT_TO_LEFT for letter in text
    )
    return text if is_left_to_right else f"\u2068{text}\u2069"
