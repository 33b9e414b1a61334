"""Residuals of a regression: true minus predicted values."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.report.groups import equal_groups
from fastnn.tabular.report.html import (
    Html,
    counted,
    figure,
    grid,
    joined,
    legend,
    number,
    paragraph,
    percent,
    table,
    told_apart,
)
from fastnn.tabular.report.svg import Axis, Chart, are_equal, spanning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.report.subject import Subject

_MOST_POINTS, _BINS, _GROUPS = 1500, 30, 10

#: Residuals beyond these quantiles are counted in the outermost bars.
_ENDS = 0.005, 0.995

_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def section(subject: Subject) -> Html:
    """Return predicted against true values, their residuals, and residuals by prediction."""
    true, predicted = subject.targets.astype(np.float64), subject.predicted
    residuals = true - predicted
    sizes = np.quantile(np.abs(residuals), [0.5, 0.9])
    text = (
        f"A residual is the true {subject.target} minus the predicted one. Half of the residuals "
        f"are within ±{number(sizes[0])}, 90\u202f% within ±{number(sizes[1])}; their mean is "
        f"{number(float(residuals.mean()))}."
    )
    return joined([
        paragraph(text),
        paragraph(_interval(residuals)),
        grid(
            _scatter(subject, true, predicted),
            _histogram(residuals),
            _by_prediction(subject, predicted, residuals),
        ),
    ])  # fmt: skip


def interval_of(residuals: NDArray[Any]) -> tuple[float, float, float]:
    """Return bounds of the residual of a new row, after the probability that they contain it.

    The residual of a new row is equally likely to be in each of the n + 1 gaps between and beside n
    residuals, so the bounds are wider than those of 90 % of these residuals, and the probability is
    at most (n - 1) / (n + 1) (Wilks, Annals of Mathematical Statistics 12, 1941).
    """
    n = len(residuals)
    level = min(0.9, (n - 1) / (n + 1))
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(residuals, ends, method="weibull").tolist()
    return level, low, high


def _interval(residuals: NDArray[Any]) -> str:
    """Return the text on the interval that contains the true value of a new row."""
    if len(residuals) == 1:
        return "A single row gives no interval for the true values of new rows."
    low, *_, high = (number(value) for value in np.quantile(residuals, _LEVELS).tolist())
    level, *bounds = interval_of(residuals)
    share, (least, most) = f"{100 * level:.0f}\u202f%", map(number, bounds)
    return (
        f"90\u202f% of the residuals lie between {low} and {high}. The residual of a new row lies "
        f"between {least} and {most} with a probability of {share}, provided that the row comes "
        f"from the same distribution as these rows. Added to its prediction, these bounds give a "
        f"{share} interval for its true value."
    )


def _scatter(subject: Subject, true: NDArray[Any], predicted: NDArray[Any]) -> Html:
    """Return the drawing of predicted against true values."""
    some = np.arange(len(true))
    if len(some) > _MOST_POINTS:
        rng = np.random.default_rng([subject.seed, 3])
        some = np.sort(rng.choice(len(some), _MOST_POINTS, replace=False))
    x = spanning(f"true {subject.target}", true, predicted)
    y = spanning(f"predicted {subject.target}", true, predicted)
    r2 = subject.scores["r2"]
    says = f"{counted(len(some), 'row')}; R² of all held-out rows is {number(r2)}"
    chart = Chart("predicted", "Predicted against true values", says, x, y, 330)
    chart.cloud(true[some], predicted[some], "one")
    chart.line([x.low, x.high], [y.low, y.high], "ink dotted")
    sampled = "" if len(some) == len(true) else f" of {len(true):,}, drawn at random"
    caption = f"Predicted against true values: {counted(len(some), 'held-out row')}{sampled}."
    key = legend([("dot one", "a row"), ("line ink dotted", "predicted = true")])
    return figure(chart.svg(), caption, None, key)


def _histogram(residuals: NDArray[Any]) -> Html:
    """Return the drawing of the number of rows by residual."""
    low, high = np.quantile(residuals, _ENDS).tolist()
    if are_equal(low, high):
        room = 0.5 * abs(low) or 0.5
        low, high = low - room, high + room
    edges = np.linspace(low, high, _BINS + 1)
    counts = np.histogram(np.clip(residuals, low, high), edges)[0]
    says = f"The mean residual is {number(float(residuals.mean()))}"
    y = Axis("rows", 0.0, 1.06 * float(counts.max()), is_count=True)
    x = Axis("residual", float(edges[0]), float(edges[-1]))
    chart = Chart("residuals", "Histogram of residuals", says, x, y, 330)
    for (left, right), n in zip(pairwise(edges.tolist()), counts.tolist(), strict=True):
        says = f"{number(left)} to {number(right)}: {counted(n, 'row')}"
        chart.bar((left, right), (0.0, n), "one", says)
    caption = "Residuals; the outermost bars include all rows beyond them."
    if low <= 0 <= high:
        chart.line([0, 0], [0, y.high], "ink dotted")
        caption += " The dotted line is 0."
    else:
        caption += f" 0 is outside of the drawing, on the {'left' if low > 0 else 'right'}."
    values = np.quantile(residuals, _LEVELS).tolist()
    rows = [[percent(level), number(v)] for level, v in zip(_LEVELS, values, strict=True)]
    numbers = table("Quantiles of the residuals", ["Share of rows below", "Residual"], rows)
    return figure(chart.svg(), caption, numbers)


def _by_prediction(subject: Subject, predicted: NDArray[Any], residuals: NDArray[Any]) -> Html:
    """Return quantiles of the residuals in groups of rows with similar predictions."""
    groups = equal_groups(predicted, _GROUPS)
    middle = np.array([np.median(predicted[group]) for group in groups])
    found = np.array([np.quantile(residuals[group], _LEVELS) for group in groups])
    says = "Quantiles of the residuals for rows with similar predictions"
    x = spanning(f"predicted {subject.target}", middle)
    chart = Chart("by-prediction", "Residuals by prediction", says, x,
                  spanning("residual", found, [0.0]), 330)  # fmt: skip
    chart.band(middle, found[:, 0], found[:, 4], "one faint")
    chart.band(middle, found[:, 1], found[:, 3], "one")
    chart.line(middle, found[:, 2], "one")
    if len(groups) == 1:  # a band without width is invisible
        chart.whisker((middle[0], middle[0]), (found[0, 0], found[0, 4]))
    chart.line([x.low, x.high], [0, 0], "ink dotted")
    head = ["Median prediction", "Rows", *(f"{percent(level)} below" for level in _LEVELS)]
    rows = [
        [at, f"{len(group):,}", *map(number, line)]
        for at, group, line in zip(told_apart(middle.tolist()), groups, found.tolist(), strict=True)
    ]
    caption = (
        f"Residuals of {counted(len(groups), 'group')} of rows with similar predictions. A median "
        "far from 0 means biased predictions in this group; a wide band means large errors."
    )
    key = legend([("line one", "median"), ("band one", "half of the rows"),
                  ("band one faint", "90 % of the rows")])  # fmt: skip
    return figure(chart.svg(), caption, table("Residuals by prediction", head, rows), key)
