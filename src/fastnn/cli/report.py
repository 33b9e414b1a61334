"""Descriptions of a trained network in text: its task, its rows, its scores.

Here: text that `fastnn train` and `fastnn info` share. `found` is the training record in a model
file. Not here: the computation of scores (scores.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.cli.output import abbreviated, counted, score
from fastnn.tabular.scores import SCORES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastnn.tabular.recipe import Recipe


def of_task(recipe: Recipe, found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a name and a text on the task, the rows and the columns of a training."""
    classes = "" if recipe.classes is None else f", {len(recipe.classes)} classes"
    yield "task", f"{recipe.task} of {recipe.target}{classes}"
    if found:
        n = found["rows"]
        parts = [f"{n[part]:,} {part}" for part in ("training", "validation", "test") if n[part]]
        yield "rows", f"{sum(n.values()):,} of {found['data']}: {', '.join(parts)}"
    columns = [
        (column.name or "''")
        + (f" ({len(column.category.texts)})" if column.category is not None else "")
        for column in recipe.columns
    ]
    yield "columns", f"{len(columns)}, {len(recipe.names)} inputs: {abbreviated(columns)}"


def epochs(found: Mapping[str, Any]) -> str:
    """Return the number of epochs of a training, or the most of several trainings."""
    several = "up to " if "ensemble" in found or "by" in found else ""
    of_search = f"best of {found['search']['trials']} trials, " if "search" in found else ""
    return of_search + several + counted(found["epochs"], "epoch")


def again(found: Mapping[str, Any]) -> str:
    """Return a note if networks were trained again on all rows after scoring."""
    return "" if found["refit"] is None else f", then again on all {found['refit']:,} rows"


def kept(found: Mapping[str, Any]) -> str:
    """Return a note on the epoch whose weights were kept; empty if it is the last."""
    return "" if found["best_epoch"] is None else f"weights of epoch {found['best_epoch']} kept"


def baseline_of(recipe: Recipe, found: Mapping[str, Any]) -> str:
    """Return the name of the constant that the baseline predicts."""
    loss, _, parameter = found["loss"].partition(":")
    by_loss = {"absolute_error": "median", "quantile": f"quantile {parameter}"}
    return "most frequent class" if recipe.classes is not None else by_loss.get(loss, "mean")


def score_table(recipe: Recipe, found: Mapping[str, Any]) -> str:
    """Return a table of the scores of the network and the baseline; empty without test rows."""
    if found["test"] is None:
        return ""
    baseline = baseline_of(recipe, found)
    rows = [
        (SCORES[name], *(score(name, found[which][name]) for which in ("test", "baseline")))
        for name in found["test"]
    ]
    ours = "networks" if "ensemble" in found or "by" in found else "network"
    rows = [(f"on {found['rows']['test']:,} test rows", ours, baseline), *rows]
    left, middle, right = (max(map(len, column)) for column in zip(*rows, strict=True))
    return (
        "\n"
        + "".join(
            f"{name:<{left}}  {ours:>{middle}}  {theirs:>{right}}\n" for name, ours, theirs in rows
        )
        + _scored(found)
    )


def _scored(found: Mapping[str, Any]) -> str:
    """Return a note on the networks that were scored, if the file has retrained ones."""
    if found["refit"] is None:
        return ""
    n = found["rows"]["training"]
    return (
        f"\nThe scores are of networks trained on {n:,} rows; those in the file were trained on "
        f"all {found['refit']:,}.\n"
    )
