"""`fastnn train --report`: the subject of the page, and the check of its path.

Not here: the page itself (tabular/report/), and the results as text (report.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.cli.options import UsageError
from fastnn.cli.output import writing
from fastnn.tabular import report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastnn.tabular.models import Model
    from fastnn.tabular.recipe import Recipe
    from fastnn.tabular.table import Table


def check(options: argparse.Namespace) -> None:
    """Check, before training, that the report can be written."""
    if not options.test:
        raise UsageError("--report needs test rows; leave out --test 0")
    _checks.separate_outputs([("--out", options.out), ("--report", options.report)])
    with writing(options.report):
        report.check_path("--report", options.report)


def write(
    options: argparse.Namespace,
    model: Model,
    recipe: Recipe,
    table: Table,
    y: NDArray[Any],
    rows: Mapping[str, NDArray[np.intp]],
    found: Mapping[str, Any],
    warnings: Sequence[str],
) -> None:
    """Write the report on networks trained on some rows of a table, evaluated on its other rows.

    `y` (n,) and `rows` are those of the whole table, `found` is the training record.
    """
    test = rows["test"]
    if model.by is not None:  # rows whose value has no network get no prediction
        test = test[model.knows(table.columns[model.by])[test]]
    columns = {n: replace(c, values=c.values[test]) for n, c in table.columns.items()}
    subject = report.Subject(
        model,
        recipe,
        replace(table, n=len(test), columns=columns),
        y[test],
        _note(found),
        facts=[*_facts(found)],
        warnings=warnings,
        known=y[rows["training"]],
        is_weighted=options.class_weight is not None,
        seed=options.seed,
    )
    with writing(options.report):
        report.write(options.report, subject)


def _note(found: Mapping[str, Any]) -> str:
    """Return a note on which rows and which networks are scored."""
    n = found["rows"]
    seen = n["training"] + n["validation"]
    text = (
        f"All figures on this page, except the learning curves, are computed from the "
        f"{n['test']:,} test rows of {found['data']}. These were drawn at random and held out: "
        f"training and the choice of epochs used only the other {seen:,} rows."
    )
    if found["refit"] is not None:
        text += (
            f" The networks in the model file were then trained again on all {found['refit']:,} "
            "rows, so no row is left to score them."
        )
    return text


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield facts from the training record as pairs of a name and a text."""
    n = found["rows"]
    parts = [f"{n[part]:,} {part}" for part in ("training", "validation", "test") if n[part]]
    yield "Data", str(found["data"])
    yield "Rows", f"{sum(n.values()):,}: {', '.join(parts)}"
    yield "Preset", str(found["preset"])
    if "search" in found:
        yield "Search", f"best of {found['search']['trials']} trials"
    if "by" in found:
        yield "Networks by", str(found["by"])
    yield "Seed", str(found["seed"])
