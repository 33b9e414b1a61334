"""Permutation importance: how much worse predictions become when one column is shuffled.

The values of one column are shuffled among the held-out rows, and the rows are predicted again. The
importance of the column is how much worse the score becomes (Breiman, Machine Learning 45, 2001).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastnn.tabular.report.html import (
    Html,
    as_text,
    capitalized,
    counted,
    details,
    figure,
    fixed,
    grid,
    joined,
    paragraph,
    table,
    times,
)
from fastnn.tabular.report.svg import bars
from fastnn.tabular.scores import RISING, SCORES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.report.subject import Subject

#: Most columns drawn; most rows predicted per repetition, over all columns; fewest rows used.
_MOST_DRAWN, _MOST_PREDICTED, _FEWEST_ROWS = 20, 100_000, 200


@dataclass(frozen=True)
class Importance:
    """The change of the scores when each column is shuffled.

    Parameters
    ----------
    names : list of str
        The columns, in the order of the recipe.
    rows : ndarray of int of shape (m,)
        The numbers of the held-out rows that were used.
    losses : dict of str to ndarray of shape (n_columns, n_repeats)
        For each score, by how much shuffling makes it worse; NaN if a score is undefined, as for
        predictions that are not finite.
    """

    names: list[str]
    rows: NDArray[np.intp]
    losses: dict[str, NDArray[np.float64]]


def of_columns(subject: Subject) -> Importance:
    """Return the importance of each column of the recipe.

    The permutations depend on the seed and the number of rows, and are the same for all columns.
    """
    names = [entry.name for entry in subject.recipe.columns]
    most = max(_FEWEST_ROWS, _MOST_PREDICTED // len(names))
    m = min(subject.n, subject.max_rows, most)
    rng = np.random.default_rng([subject.seed, 2])
    rows = np.sort(rng.choice(subject.n, m, replace=False)) if m < subject.n else np.arange(m)
    orders = [rng.permutation(m) for _ in range(subject.n_repeats)]
    encoded, targets = subject.encoded, subject.targets[rows]
    groups = None if subject.groups is None else subject.groups[rows]
    parts = [part[rows] for part in encoded.parts]
    before = subject.score(subject.outputs[rows], targets)
    losses = {name: np.zeros((len(names), len(orders))) for name in _scores_of(subject)}
    for j, part in enumerate(parts):
        for k, order in enumerate(orders):
            mixed = replace(encoded, parts=[*parts[:j], part[order], *parts[j + 1 :]])
            X = mixed.inputs(dtype=subject.model.net.dtype)
            outputs = subject.model.predict(X, groups)[0].astype(np.float64)
            after = subject.score(outputs, targets)
            for name, found in losses.items():
                found[j, k] = _worse(name, before[name], after[name])
    return Importance(names, rows, losses)


def _scores_of(subject: Subject) -> list[str]:
    """Return the scores to compare: that of the loss, and the best-known one of the task."""
    return [subject.main_score, "r2" if subject.is_regression else "accuracy"]


def _worse(name: str, before: float | None, after: float | None) -> float:
    """Return by how much a score has become worse."""
    if before is None or after is None:
        return float("nan")
    return before - after if name in RISING else after - before


def section(subject: Subject) -> Html:
    """Return the columns, sorted by importance."""
    found = of_columns(subject)
    main, other = _scores_of(subject)
    means, spreads = found.losses[main].mean(axis=1), found.losses[main].std(axis=1)
    order = np.argsort(-means, kind="stable")
    names = [as_text(name) for name in found.names]
    label = f"increase of the {SCORES[main]}"
    text, of_other = (
        fixed(float(np.nanmax(np.abs(each), initial=0.0))) for each in (means, found.losses[other])
    )
    drawn = []
    for j in order[np.isfinite(means[order])][:_MOST_DRAWN].tolist():
        says = f"{text(means[j])} ± {text(spreads[j])}"
        drawn.append((names[j], float(means[j]), float(spreads[j]), says))
    first = order[0]
    says = f"The most important column is {names[first]}"
    if not means[first] > 0:
        says = f"No column increases the {SCORES[main]} when it is shuffled"
    chart = bars("importance", "Permutation importance", says, drawn, label, text)
    caption = (
        f"{capitalized(label)} when a column is shuffled; the thin line is ± one standard "
        f"deviation of {counted(subject.n_repeats, 'repetition')}."
    )
    if len(drawn) < len(names):
        caption += f" The {len(drawn)} most important of {len(names)} columns are drawn."
    fall = "accuracy" if other == "accuracy" else "R²"
    head = ["Column", "Increase", "Standard deviation", f"Decrease of {fall}"]
    rows = []
    for j in order.tolist():
        lost = float(found.losses[other][j].mean())
        rows.append([names[j], text(means[j]), text(spreads[j]), of_other(lost)])
    numbers = table(f"Importance of the columns: {label}", head, rows)
    return joined([
        paragraph(_text(subject, found)),
        grid(figure(chart, caption), _folded(numbers, len(rows))),
    ])  # fmt: skip


def _folded(numbers: Html, n: int) -> Html:
    """Return a table, folded away if it is long."""
    return details("Show as a table", numbers) if n > _MOST_DRAWN else numbers


def _text(subject: Subject, found: Importance) -> str:
    """Return the text on how the importances were measured."""
    m = len(found.rows)
    sampled = (
        f"{'all ' if m > 1 else ''}{counted(m, 'held-out row')}"
        if m == subject.n
        else f"{m:,} of the {subject.n:,} held-out rows, drawn at random with seed {subject.seed}"
    )
    by = ""
    if subject.model.by is not None:
        by = f" The column {subject.model.by!r}, which selects the network, is not shuffled."
    relies = "relies" if subject.predictor == "network" else "rely"
    return (
        f"The values of one column are shuffled among {sampled}, {times(subject.n_repeats)}, and "
        "the rows are predicted again. The worse the scores become, the more the "
        f"{subject.predictor} {relies} on the column. Correlated columns share their importance: "
        "shuffling one of them changes little while the others carry the same information, even if "
        f"it is informative about {subject.target}.{by}"
    )
