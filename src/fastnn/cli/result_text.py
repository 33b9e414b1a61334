"""Descriptions of a trained network in text: its task, its rows, its scores.

Here: text that `fastnn train` and `fastnn info` share. Not here: the computation of scores
(scores.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.cli.output import abbreviated, counted, one_line, score
from fastnn.tabular.scores import SCORES, baseline_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastnn.losses import Loss
    from fastnn.tabular.recipe import Recipe


def task_facts(recipe: Recipe, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a name and a text on the task, the rows and the columns of a training."""
    classes = "" if recipe.classes is None else f", {len(recipe.classes)} classes"
    yield "task", f"{recipe.task} of {one_line(str(recipe.target))}{classes}"
    if record:
        n = record["rows"]
        parts = [f"{n[part]:,} {part}" for part in ("training", "validation", "test") if n[part]]
        yield "rows", f"{sum(n.values()):,} of {record['data']}: {', '.join(parts)}"
        if weights := class_weights(record):
            yield "class weights", abbreviated(weights)
    columns = [
        one_line(column.name)
        + (f" ({len(column.category.texts)})" if column.category is not None else "")
        for column in recipe.columns
    ]
    inputs = counted(len(recipe.names), "input")
    yield "columns", f"{len(columns)}, {inputs}: {abbreviated(columns)}"


def class_weights(record: Mapping[str, Any]) -> list[str]:
    """Return the class weights of a training as texts, such as "yes=5"; empty without any."""
    stated = record.get("class_weight")
    if isinstance(stated, dict):
        return [f"{one_line(name)}={weight:g}" for name, weight in stated.items()]
    return [] if stated is None else [stated]


def are_several(record: Mapping[str, Any]) -> bool:
    """Return whether a training made several networks."""
    return "ensemble" in record or "by" in record


def epochs(record: Mapping[str, Any]) -> str:
    """Return the number of epochs of a training, or the most of several trainings."""
    several = "up to " if are_several(record) else ""
    of_search = (
        f"best of {counted(record['search']['trials'], 'trial')}, " if "search" in record else ""
    )
    return of_search + several + counted(record["epochs"], "epoch")


def refit_note(record: Mapping[str, Any]) -> str:
    """Return a note on networks trained again on all rows after scoring; empty without them."""
    return "" if record["refit"] is None else f", then again on all {record['refit']:,} rows"


def best_epoch_note(record: Mapping[str, Any]) -> str:
    """Return a note on the epoch whose weights were kept; empty if it is the last."""
    return "" if record["best_epoch"] is None else f"weights of epoch {record['best_epoch']} kept"


def score_table(recipe: Recipe, record: Mapping[str, Any], loss: Loss) -> str:
    """Return a table of the scores of the network and the baseline; empty without test rows."""
    if record["test"] is None:
        return ""
    baseline = baseline_name(loss, recipe.classes is None)
    rows = [
        (SCORES[name], *(score(name, record[which][name]) for which in ("test", "baseline")))
        for name in record["test"]
    ]
    ours = "networks" if are_several(record) else "network"
    rows = [(f"on {counted(record['rows']['test'], 'test row')}", ours, baseline), *rows]
    left, middle, right = (max(map(len, column)) for column in zip(*rows, strict=True))
    return (
        "\n"
        + "".join(
            f"{name:<{left}}  {ours:>{middle}}  {theirs:>{right}}\n" for name, ours, theirs in rows
        )
        + _scored(record)
    )


def _scored(record: Mapping[str, Any]) -> str:
    """Return a note on the networks that were scored, if the file has retrained ones."""
    if record["refit"] is None:
        return ""
    scored, kept = "a network", "the one in the file was"
    if are_several(record):
        scored, kept = "networks", "those in the file were"
    return (
        f"\nThe scores are of {scored} trained on {record['rows']['training']:,} rows; {kept} "
        f"trained on all {record['refit']:,}.\n"
    )
