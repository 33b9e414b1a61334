"""The head of a report: what was trained, on which rows, and with which scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fastnn
from fastnn.tabular.models import sizes
from fastnn.tabular.report.html import (
    NOTHING,
    Html,
    capitalized,
    counted,
    element,
    facts,
    grid,
    joined,
    number,
    paragraph,
    percent,
    table,
)
from fastnn.tabular.scores import RISING, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn.tabular.report.subject import Subject

_SHARES = ("accuracy", "balanced_accuracy")


def in_short(subject: Subject) -> Html:
    """Return a one-sentence description of the subject."""
    by = counted(len(subject.model.fits), "network")
    rows = counted(subject.n, "held-out row")
    return element("p", f"A {subject.recipe.task} by {by}, scored on {rows}.", class_="lead")


def trained(subject: Subject) -> Html:
    """Return a description of the networks and the rows they were trained on."""
    return facts(_facts(subject))


def _facts(subject: Subject) -> Iterator[tuple[str, object]]:
    model, recipe = subject.model, subject.recipe
    if subject.classes is None:
        yield "Task", f"regression of {subject.target}"
    else:
        yield "Task", f"classification of {subject.target}, {len(subject.classes)} classes"
    yield from subject.facts
    become = "becomes" if len(recipe.columns) == 1 else "become"
    n_inputs = counted(len(recipe.names), "input")
    yield "Columns", f"{len(recipe.columns):,}, which {become} {n_inputs}"
    yield subject.predictor.capitalize(), sizes(model.net, len(model.fits))
    yield "Loss", str(model.net.loss).removesuffix("()")
    yield "Epochs", _epochs(subject)
    yield "Made with", f"fastnn {fastnn.__version__}"


def _epochs(subject: Subject) -> str:
    done = [status.epochs for status in subject.model.fits.statuses]
    chosen = [best + 1 for best in subject.model.fits.best_epochs if best is not None]
    text = _span(done)
    if chosen:
        epochs = "epoch" if len(set(chosen)) == 1 else "epochs"
        return f"{text}; the weights of {epochs} {_span(chosen)} are kept"
    if subject.model.net.optimizer.use_ema:
        return f"{text}; the moving average of the weights after the last epoch is kept"
    return f"{text}; the last weights are kept"


def _span(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


# ---- scores -------------------------------------------------------------------------------------


def how_good(subject: Subject) -> Html:
    """Return the scores next to those of the baseline."""
    names = list(subject.scores)
    several = [subject.score(each, subject.targets) for each in subject.of_nets]
    head = ["Score", subject.predictor.capitalize(), "Baseline", "Better if"]
    rows = []
    for name in names:
        values = (subject.scores[name], subject.baseline[name])
        better = "higher" if name in RISING else "lower"
        rows.append([capitalized(SCORES[name]), *(shown(name, value) for value in values), better])
        found = [each[name] for each in several]
        known = [value for value in found if value is not None]
        if several:
            ends = [shown(name, end) for end in (min(known), max(known))] if known else [NOTHING]
            rows[-1].append(" to ".join(ends))
    head += ["Each network alone"] if several else []
    tiles = [_tile(subject, name) for name in names[:3]]
    return joined([
        paragraph(subject.note),
        grid(*tiles, class_="tiles"),
        table(f"Scores of {counted(subject.n, 'held-out row')}", head, rows),
        paragraph(_of_baseline(subject)),
    ])  # fmt: skip


def _tile(subject: Subject, name: str) -> Html:
    """Return one score in large letters, with the baseline below it."""
    ours, theirs = subject.scores[name], subject.baseline[name]
    return element(
        "div",
        element("span", capitalized(SCORES[name])),
        element("strong", shown(name, ours)),
        element("span", f"baseline {shown(name, theirs)}"),
        class_="tile",
    )


def _of_baseline(subject: Subject) -> str:
    rows = "the held-out rows" if subject.known is None else "the training rows"
    if subject.is_regression:
        return (
            f"The baseline predicts the {subject.baseline_name} of the target in {rows} for every "
            f"row. Errors are in the units of {subject.target}."
        )
    return (
        f"The baseline predicts the class frequencies in {rows} for every row, and so always the "
        "most frequent class."
    )


def shown(name: str, value: float | None) -> str:
    """Return a score formatted for readers."""
    if value is None:
        return number(None)
    if name in _SHARES:
        return percent(value)
    return number(value) if name in ("mae", "rmse", "pinball") else _four(value)


def _four(value: float) -> str:
    if abs(value) >= 1000:  # R² of targets that hardly differ
        return number(value)
    return f"{value:.4f}".replace("-0.0000", "0.0000").replace("-", "\u2212")
