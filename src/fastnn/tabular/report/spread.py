"""The spread of an ensemble: how far its networks differ, and whether that predicts the error."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
)
from fastnn.tabular.report.svg import Axis, Chart
from fastnn.tabular.scores import root_mean_square

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.report.subject import Subject

_GROUPS = 10


def section(subject: Subject) -> Html | None:
    """Return how far the networks differ; None if there is only one."""
    if not subject.of_nets:
        return None
    return _of_numbers(subject) if subject.is_regression else _of_classes(subject)


# ---- numbers ------------------------------------------------------------------------------------


def _of_numbers(subject: Subject) -> Html:
    """Return the errors of rows by the standard deviation of their predictions."""
    spread, errors = _spread_of(subject), np.abs(subject.targets - subject.predicted)
    groups = equal_groups(spread, _GROUPS)
    means = np.array([spread[group].mean() for group in groups])
    rmse = np.array([root_mean_square(errors[group]) for group in groups])
    typical = np.array([np.median(errors[group]) for group in groups])
    within = [float((errors <= k * spread).mean()) for k in (1, 2)]
    text = (
        f"The standard deviation of the {len(subject.model.fits)} networks' predictions of a row "
        f"is {number(float(spread.mean()))} on average. {percent(within[0])} of the true values "
        f"are within one standard deviation of the mean, {percent(within[1])} within two. The "
        "standard deviation shows how uncertain the mean is. It does not include the noise of the "
        "target, so it gives no interval for the target itself; the residuals above give one."
    )
    x = Axis("standard deviation of the networks", 0.0, 1.06 * float(means.max()) or 1.0)
    y = Axis("error", 0.0, 1.06 * float(rmse.max()) or 1.0)
    says = (
        f"From {number(float(rmse[0]))} where the networks agree most to {number(float(rmse[-1]))}"
    )
    chart = Chart("spread", "Error by the spread of the networks", says, x, y)
    chart.line(means, rmse, "one")
    chart.line(means, typical, "two dashed")
    head = ["Mean standard deviation", "Rows", "Root mean squared error", "Median error"]
    rows = []
    for at, group, error, median in zip(means, groups, rmse, typical, strict=True):
        cells = [number(float(value)) for value in (at, error, median)]
        rows.append([cells[0], f"{len(group):,}", *cells[1:]])
        shown = (
            f"{counted(len(group), 'row')}: spread {cells[0]}, root mean squared error {cells[1]}"
        )
        chart.dot(float(at), float(error), "one", shown)
    caption = (
        f"{counted(len(groups), 'group')} of rows, ordered by the standard deviation of the "
        "networks. If the lines rise, predictions with a larger standard deviation are less "
        "certain."
    )
    numbers = table("Error by the spread of the networks", head, rows)
    key = legend([("line one", "root mean squared error"), ("line two dashed", "median error")])
    return joined([paragraph(text), grid(figure(chart.svg(), caption, numbers, key))])


def _spread_of(subject: Subject) -> NDArray[np.float64]:
    """Return the standard deviation of the networks' predictions: (n,)."""
    if subject.spread is None:
        raise AssertionError("an ensemble has a spread")
    found: NDArray[np.float64] = subject.spread[:, 0]
    return found


# ---- classes ------------------------------------------------------------------------------------


def _of_classes(subject: Subject) -> Html:
    """Return how often the networks agree, and how often they are right when they do."""
    labels = np.stack([each.argmax(axis=1) for each in subject.of_nets])
    agree = (labels == subject.predicted).sum(axis=0)
    is_right = subject.predicted == subject.targets
    rows = []
    for n in np.unique(agree)[::-1].tolist():
        some = agree == n
        share = percent(float(is_right[some].mean()))
        rows.append(
            [f"{n} of {len(labels)}", f"{some.sum():,}", percent(float(some.mean())), share]
        )
    all_agree = agree == len(labels)
    text = (
        f"For {percent(float(all_agree.mean()))} of the rows, each of the {len(labels)} networks "
        "alone predicts the same class as their mean."
    )
    if all_agree.any() and not all_agree.all():
        right = [percent(float(is_right[some].mean())) for some in (all_agree, ~all_agree)]
        text += f" {right[0]} of these predictions are correct, {right[1]} of the others."
    head = ["Networks that agree", "Rows", "Share of rows", "Correct"]
    return joined([paragraph(text), table("Agreement of the networks", head, rows)])
