"""ROC curves: true against false positive rates, and the areas under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.report.html import (
    NOTHING,
    Html,
    counted,
    figure,
    grid,
    joined,
    legend,
    paragraph,
    percent,
    table,
)
from fastnn.tabular.report.svg import Axis, Chart, thinned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.report.subject import Subject

#: Most classes with a curve; most classes with a colour, those of least area; most points of a
#: curve; most names of classes without a curve.
_MOST_CLASSES, _MOST_COLOURS, _MOST_POINTS, _MOST_NAMES = 30, 3, 200, 12

_OF_ONE_CLASS = "All held-out rows are of one class: there is no curve."
_STYLES = ("one", "two dashed", "three dotted")


def curve_of(is_class: NDArray[np.bool_], values: NDArray[Any]) -> tuple[Any, Any]:
    """Return false and true positive rates (k,), from 0 to 1, at all thresholds of values (n,).

    A rate is NaN if it has no rows: none of the class, or none of the others.
    """
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # of equal values
    found = np.append(0, np.cumsum(is_class[order])[ends])
    alarms = np.append(0, ends + 1) - found
    with np.errstate(invalid="ignore"):
        return alarms / alarms[-1], found / found[-1]


def area(false: NDArray[Any], true: NDArray[Any]) -> float:
    """Return the area under a curve: the chance that a row of the class has the higher value."""
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))


def section(subject: Subject) -> Html:
    """Return the curve of the second of two classes, or of each class against the others."""
    classes, outputs, labels = subject.classes or [], subject.outputs, subject.targets
    if len(classes) == 2:
        return _of_two(subject, classes[1])
    counts = np.bincount(labels, minlength=len(classes))
    if (counts > 0).sum() < 2:
        return paragraph(_OF_ONE_CLASS)
    curves = [curve_of(labels == k, outputs[:, k]) for k in range(len(classes))]
    areas = np.array([area(*curve) for curve in curves])  # NaN for a class without rows
    head = ["Class", "Rows", "Area under its curve"]
    rows = [
        [name, f"{count:,}", f"{found:.4f}" if np.isfinite(found) else NOTHING]
        for name, count, found in zip(classes, counts, areas, strict=True)
    ]
    numbers = table("Each class against all others", head, rows)
    text = (
        "One curve for each class against all others: the share of the class that is found (the "
        "true positive rate) and the share of the other rows that are wrongly predicted as this "
        "class (the false positive rate), as the threshold on its probability falls."
    )
    if len(classes) > _MOST_CLASSES:
        text += f" The curves are drawn for at most {_MOST_CLASSES} classes."
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if absent:
        more = f" and {len(absent) - _MOST_NAMES} more" if len(absent) > _MOST_NAMES else ""
        names = ", ".join(absent[:_MOST_NAMES])
        text += f" Classes without a held-out row have no curve: {names}{more}."
    if len(classes) > _MOST_CLASSES:
        return joined([paragraph(text), numbers])
    order = [k for k in np.argsort(areas, kind="stable").tolist() if counts[k]]
    chart = _chart(f"Curves of {len(order)} classes; the smallest area is {areas[order[0]]:.4f}")
    worst = order[:_MOST_COLOURS]
    for k in sorted(order[_MOST_COLOURS:]):
        _draw(chart, curves[k], "thin muted")
    key = []
    for k, style in zip(worst, _STYLES, strict=False):
        _draw(chart, curves[k], style)
        key.append((f"line {style}", f"{classes[k]} ({areas[k]:.4f})"))
    if len(order) > len(worst):
        key.append(("line thin muted", "all other classes"))
    caption = "The classes with the smallest areas are highlighted."
    return joined([paragraph(text), grid(figure(chart.svg(), caption, None, legend(key)), numbers)])


def _of_two(subject: Subject, name: str) -> Html:
    """Return the curve of one class, and a table of its rates at some thresholds."""
    values, is_class = subject.outputs[:, 1], subject.targets == 1
    false, true = curve_of(is_class, values)
    if not (np.isfinite(false).all() and np.isfinite(true).all()):
        return paragraph(_OF_ONE_CLASS)
    found = area(false, true)
    chart = _chart(f"The area under the curve of {name} is {found:.4f}")
    _draw(chart, (false, true), "one")
    rows = []
    for threshold in np.arange(1, 10) / 10:
        rates = [float((values[each] > threshold).mean()) for each in (~is_class, is_class)]
        rows.append([f"{threshold:.1f}", *(percent(rate) for rate in reversed(rates))])
        if threshold == 0.5:
            says = f"true positive rate {percent(rates[1])}, false {percent(rates[0])}"
            chart.dot(rates[0], rates[1], "one", f"Threshold 0.5: {says}")
    head = ["Threshold", "True positive rate", "False positive rate"]
    key = legend([("line one", f"{name} ({found:.4f})"), ("line muted dotted", "chance (0.5)"),
                  ("dot one", "threshold 0.5")])  # fmt: skip
    text = (
        f"A row is predicted as {name} if its probability exceeds a threshold. Lowering the "
        f"threshold raises the share of {name} that is found (the true positive rate) and the "
        f"share of the other rows that are wrongly predicted as {name} (the false positive rate). "
        f"The area under the curve, {found:.4f}, is the chance that a random row of {name} has a "
        "higher probability than a random other row."
    )
    n_found, n_others = int(is_class.sum()), int((~is_class).sum())
    caption = f"{counted(n_found, 'row')} of {name}, {counted(n_others, 'other')}."
    numbers = table("Rates at some thresholds", head, rows)
    return joined([paragraph(text), grid(figure(chart.svg(), caption, None, key), numbers)])


def _chart(says: str) -> Chart:
    """Return an empty chart with the diagonal of random guesses."""
    x = Axis("false positive rate", 0.0, 1.0)
    y = Axis("true positive rate", 0.0, 1.0)
    chart = Chart("roc", "ROC curve", says, x, y, 330)
    chart.line([0, 1], [0, 1], "muted dotted")
    return chart


def _draw(chart: Chart, curve: tuple[Any, Any], style: str) -> None:
    false, true = curve
    steps = np.diff(false), np.diff(true)
    turns = steps[0][1:] * steps[1][:-1] != steps[0][:-1] * steps[1][1:]  # else on one line
    corners = np.concatenate([[0], np.flatnonzero(turns) + 1, [len(false) - 1]])
    some = corners[thinned(len(corners), _MOST_POINTS)]
    chart.line(false[some], true[some], style)
