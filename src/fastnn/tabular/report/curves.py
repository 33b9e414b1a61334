"""Learning curves: the losses of each network after each epoch, and the epoch that was kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastnn.tabular.report.html import (
    NOTHING,
    Html,
    capitalized,
    counted,
    details,
    figure,
    grid,
    joined,
    legend,
    number,
    paragraph,
    table,
)
from fastnn.tabular.report.summary import shown
from fastnn.tabular.report.svg import Axis, Chart, spanning, thinned
from fastnn.tabular.scores import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn.tabular.report.subject import Subject

#: A network's name, its losses (n_epochs,) by name, and the kept epoch, counted from 1.
_Course = tuple[str, "Mapping[str, list[float]]", "int | None"]

_HEIGHT, _MOST_POINTS = 200, 400

_VALIDATED = "; the validation loss after it, on rows that the network is not trained on"
_KEPT = " The weights of the epoch with the lowest validation loss are kept."


def section(subject: Subject) -> Html:
    """Return a drawing for each network, and a table of the epochs and losses."""
    fits, net = subject.model.fits, subject.model.net
    courses: list[_Course] = []
    for i, name in subject.shown_nets:
        best = fits.best_epochs[i]
        chosen = None if best is None else best + 1
        courses.append((name, fits.histories[i].history, chosen))
    if not any(history.get("loss") for _, history, _ in courses):
        return paragraph("The model has no training history.")
    x, y = _axes(courses)
    charts = [_drawn(f"curve-{i}", course, x, y) for i, course in enumerate(courses)]
    left_out = len(fits) - len(courses)
    more = f" The first {len(courses)} of {len(fits)} networks are shown." if left_out else ""
    is_validated = any(history.get("val_loss") for _, history, _ in courses)
    is_chosen = any(chosen is not None for *_, chosen in courses)
    averaged = ", with the moving average of the weights" if net.optimizer.use_ema else ""
    text = (
        "Mean loss in each epoch. The training loss is measured during the epoch"
        + (", with dropout" if any(net.dropout_rates) else "")
        + (f"{_VALIDATED}{averaged}." if is_validated else ".")
        + (_KEPT if is_chosen else "")
        + (" Losses are those of the scaled target." if subject.is_regression else "")
        + more
    )
    key = [("line one", "validation")] if is_validated else []
    key.append(("line two dashed", "training"))
    key += [("dot one", "kept epoch")] if is_chosen else []
    return joined([
        paragraph(text),
        legend(key),
        grid(*charts),
        details("Show as a table", _table(subject, courses)),
    ])  # fmt: skip


def _axes(courses: list[_Course]) -> tuple[Axis, Axis]:
    """Return the axes that all drawings share."""
    losses = [
        value
        for _, history, _ in courses
        for name in ("loss", "val_loss")
        for value in history.get(name, [])
        if math.isfinite(value)
    ]
    last = max(len(history.get("loss", [])) for _, history, _ in courses)
    is_log = bool(losses) and 0 < 5 * min(losses) < max(losses)
    epochs = Axis("epoch", 0.0, float(max(last, 2)), is_count=True)
    return epochs, spanning("loss", losses, is_log=is_log)


def _drawn(ident: str, course: _Course, x: Axis, y: Axis) -> Html:
    """Return the curves of one network."""
    name, history, chosen = course
    losses, val_losses = history.get("loss", []), history.get("val_loss", [])
    says = counted(len(losses), "epoch")
    if chosen is not None:
        loss = number(val_losses[chosen - 1])
        says += f"; the weights of epoch {chosen} are kept, validation loss {loss}"
    chart = Chart(ident, f"Learning curves of {name}", says, x, y, _HEIGHT)
    for values, style in ((losses, "two dashed"), (val_losses, "one")):
        if values:
            some = thinned(len(values), _MOST_POINTS)
            chart.line(some + 1, np.array(values)[some], style)
    if chosen is not None:
        chart.line([chosen, chosen], [y.low, y.high], "muted dotted")
        chart.dot(chosen, val_losses[chosen - 1], "one", says)
    return figure(chart.svg(), f"{name}: {says}")


def _table(subject: Subject, courses: list[_Course]) -> Html:
    """Return a table of the epochs and losses of the networks."""
    names = [subject.main_score] if subject.of_nets else []
    head = ["Network", "Epochs", "Kept epoch", "Validation loss", "Training loss",
            *(f"{capitalized(SCORES[name])}, held-out rows" for name in names)]  # fmt: skip
    rows = []
    for i, (name, history, chosen) in enumerate(courses):
        losses, val_losses = history.get("loss", []), history.get("val_loss", [])
        at = (chosen or len(losses)) - 1
        cells: list[object] = [name, len(losses), NOTHING if chosen is None else chosen]
        cells += [number(values[at]) if values else number(None) for values in (val_losses, losses)]
        if names:
            found = subject.score(subject.of_nets[i], subject.targets)
            cells += [shown(each, found[each]) for each in names]
        rows.append(cells)
    return table("Epochs and losses of each network", head, rows)
