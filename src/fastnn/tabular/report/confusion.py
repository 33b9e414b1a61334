"""The confusion matrix: how many rows of each class are predicted as each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.report.html import (
    Html,
    counted,
    element,
    figure,
    grid,
    joined,
    legend,
    paragraph,
    percent,
    table,
)
from fastnn.tabular.report.svg import WIDTH, drawing
from fastnn.tabular.report.widths import fitted, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastnn.tabular.report.subject import Subject

#: Most classes for which a matrix is drawn, most classes with counts in it, most mistakes listed.
_MOST_CLASSES, _MOST_COUNTS, _MOST_MISTAKES = 30, 10, 12

#: Left and top of the cells, and the most classes whose names are written horizontally below.
_LEFT, _TOP, _FEW = 104.0, 6.0, 4

#: Least and most width of a cell: its name needs a line. Room for a name beside or below the cells.
_LEAST, _MOST, _ROOM = 14.0, 64.0, 78.0

#: The size of a count in proportion to other texts of a drawing (style.css).
_COUNT_SIZE = 13 / 12


def counts_of(labels: NDArray[Any], predicted: NDArray[Any], n: int) -> NDArray[np.intp]:
    """Return how many rows of class i are predicted as class j: (n, n)."""
    found: NDArray[np.intp] = np.bincount(n * labels + predicted, minlength=n * n).reshape(n, n)
    return found


def section(subject: Subject) -> Html:
    """Return the matrix, a table of the classes, and the most frequent mistakes."""
    classes = subject.classes or []
    counts = counts_of(subject.targets, subject.predicted, len(classes))
    parts = []
    if len(classes) <= _MOST_CLASSES:
        key = legend([("fill one", "right"), ("fill two", "wrong")])
        caption = (
            "Each row of the matrix is a true class, each column a predicted one. The stronger the "
            "colour of a cell, the larger its share of the true class."
        )
        head = ["True class", *(f"predicted as {name}" for name in classes)]
        rows = [
            [name, *(f"{count:,}" for count in line)]
            for name, line in zip(classes, counts.tolist(), strict=True)
        ]
        numbers = table("Rows by true and predicted class", head, rows, "matrix")
        parts.append(figure(_matrix(counts, classes), caption, numbers, key))
    side = [_classes(counts, classes)]
    if len(classes) > 2:
        side.append(_mistakes(counts, classes))
    right = int(np.trace(counts))
    text = (
        f"The predicted class is the most probable one. It is right for {right:,} of "
        f"{counted(subject.n, 'held-out row')}."
    )
    if len(classes) > _MOST_CLASSES:
        text += f" The matrix itself is shown for at most {_MOST_CLASSES} classes."
    return joined([paragraph(text), grid(*parts, element("div", *side, class_="broad"))])


def _matrix(counts: NDArray[np.intp], classes: list[str]) -> Html:
    """Return the matrix as a drawing, wider than others if the cells need room."""
    n = len(classes)
    width = max(_LEAST, min(_MOST, (WIDTH - _LEFT - 6) / n))
    height = width if n > _FEW else min(width, 52.0)
    if n <= _MOST_COUNTS:
        width = max(width, _room_of(counts))
    made = [*_cells(counts, classes, width, height), *_names(classes, width, height)]
    right, bottom = _LEFT + width * n, _TOP + height * n
    below = 34.0 if n <= _FEW else 30 + min(_ROOM, max(map(width_of, classes)))
    made.append(element("text", "predicted", x=f"{(_LEFT + right) / 2:.1f}", class_="label",
                        y=f"{bottom + below - 2:.1f}", text_anchor="middle"))  # fmt: skip
    made.append(element("text", "true", transform=f"translate(12 {(_TOP + bottom) / 2:.1f}) "
                        "rotate(-90)", text_anchor="middle", class_="label"))  # fmt: skip
    total = counted(int(counts.sum()), "row")
    says = f"{int(np.trace(counts)):,} of {total} on the diagonal"
    return drawing("confusion", "Confusion matrix", says, max(WIDTH, right + 6),
                   bottom + below + 4, made)  # fmt: skip


def _room_of(counts: NDArray[np.intp]) -> float:
    """Return the least distance of cells at which counts side by side do not touch."""
    widths = np.array([[width_of(f"{count:,}") for count in line] for line in counts.tolist()])
    return float((widths[:, 1:] + widths[:, :-1]).max() / 2 * _COUNT_SIZE + 3)


def _cells(
    counts: NDArray[np.intp], classes: list[str], width: float, height: float
) -> Iterator[Html]:
    """Yield the cells, with their counts if there is room."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for i, name in enumerate(classes):
        for j, other in enumerate(classes):
            x, y, count = _LEFT + width * j, _TOP + height * i, int(counts[i, j])
            share = float(shares[i, j])
            says = f"{counted(count, 'row')} of {name}, predicted as {other}: {percent(share)}"
            colour = "one" if i == j else "two" if count else "muted"
            yield element("rect", element("title", says), x=f"{x:.1f}", y=f"{y:.1f}",
                          width=f"{width - 1:.1f}", height=f"{height - 1:.1f}",
                          fill_opacity=f"{0.5 * share**0.5:.2f}",
                          class_=f"cell {colour}")  # fmt: skip
            if len(classes) <= _MOST_COUNTS:
                yield element("text", f"{count:,}", x=f"{x + width / 2:.1f}",
                              y=f"{y + height / 2 + 4:.1f}", text_anchor="middle",
                              class_="count" if count else None)  # fmt: skip


def _names(classes: list[str], width: float, height: float) -> Iterator[Html]:
    """Yield the class names at the left and below, where many names are rotated upright."""
    n = len(classes)
    bottom = _TOP + height * n
    for i, name in enumerate(classes):
        y = _TOP + height * (i + 0.5) + 4
        yield element("text", element("title", name), fitted(name, _ROOM), x=_LEFT - 8,
                      y=f"{y:.1f}", text_anchor="end")  # fmt: skip
        x = _LEFT + width * (i + 0.5)
        if n <= _FEW:
            yield element("text", element("title", name), fitted(name, width - 4), x=f"{x:.1f}",
                          y=f"{bottom + 16:.1f}", text_anchor="middle")  # fmt: skip
        else:
            place = f"translate({x + 4:.1f} {bottom + 8:.1f}) rotate(-90)"
            yield element("text", element("title", name), fitted(name, _ROOM), transform=place,
                          text_anchor="end")  # fmt: skip


def _classes(counts: NDArray[np.intp], classes: list[str]) -> Html:
    """Return a table of the precision, recall and F1 score of each class."""
    right, of_class, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        recall, precision = right / of_class, right / predicted
        f1 = 2 * right / (of_class + predicted)
    rows = [
        [name, f"{of_class[i]:,}", *(percent(float(each[i])) for each in (recall, precision, f1))]
        for i, name in enumerate(classes)
    ]
    head = ["Class", "Rows", "Recall", "Precision", "F1"]
    text = (
        "Recall: the share of the rows of a class that are predicted as this class. Precision: the "
        "share of the rows predicted as the class that belong to it. F1: their harmonic mean."
    )
    return joined([table("Each class", head, rows), paragraph(text)])


def _mistakes(counts: NDArray[np.intp], classes: list[str]) -> Html:
    """Return a table of the most frequent mistakes."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
    rows = []
    for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[i, j]:
            share = wrong[i, j] / counts[i].sum()
            rows.append([classes[i], classes[j], f"{wrong[i, j]:,}", percent(float(share))])
    if not rows:
        return Html()
    head = ["True class", "Predicted as", "Rows", "Share of the class"]
    return table("The most frequent mistakes", head, rows)
