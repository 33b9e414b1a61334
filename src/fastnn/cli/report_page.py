"""`fastnn train --report`: the subject of the page, and the check of its path.

Not here: the page itself (tabular/report/), and the results as text (result_text.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.cli.options import UsageError
from fastnn.cli.output import counted, require_ending, writing
from fastnn.cli.result_text import are_several, class_weights
from fastnn.tabular import report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from fastnn.cli.job import Job
    from fastnn.tabular.models import Model


def check(options: argparse.Namespace) -> None:
    """Check, before training, that the report can be written."""
    if not options.test:
        raise UsageError("--report needs test rows; leave out --test 0")
    try:
        _checks.separate_outputs([("--out", options.out), ("--report", options.report)])
    except ValueError as error:
        raise UsageError(str(error)) from error
    require_ending("--report", options.report, report.ENDINGS)
    with writing(options.report):
        report.check_path("--report", options.report)


def write(job: Job, model: Model, record: Mapping[str, Any], warnings: Sequence[str]) -> None:
    """Write the report on networks trained on some rows of a table, evaluated on its test rows."""
    options, table, y, test = job.options, job.table, job.y, job.rows["test"]
    if model.by is not None:  # rows whose value has no network get no prediction
        test = test[model.knows(table.columns[model.by])[test]]
    columns = {n: replace(c, values=c.values[test]) for n, c in table.columns.items()}
    subject = report.Subject(
        model,
        job.recipe,
        replace(table, n=len(test), columns=columns),
        y[test],
        _note(record),
        facts=[*_facts(record)],
        warnings=warnings,
        known=y[job.rows["training"]],
        is_weighted=options.class_weight is not None,
        seed=options.seed,
    )
    with writing(options.report):
        report.write(options.report, subject)


def _note(record: Mapping[str, Any]) -> str:
    """Return a note on which rows and which networks are scored."""
    n = record["rows"]
    seen = n["training"] + n["validation"]
    text = (
        f"All figures on this page, except the learning curves, are computed from "
        f"{counted(n['test'], 'test row')} of {record['data']}, drawn at random and held out: "
        f"training and the choice of epochs used only the other {counted(seen, 'row')}."
    )
    if record["refit"] is not None:
        again, them = "A new network was", "it"
        if are_several(record):
            again, them = "New networks were", "them"
        text += (
            f" {again} then trained on all {record['refit']:,} rows for the model file, so no row "
            f"is left to score {them}."
        )
    return text


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield facts from the training record as pairs of a name and a text."""
    n = record["rows"]
    parts = [f"{n[part]:,} {part}" for part in ("training", "validation", "test") if n[part]]
    yield "Data", str(record["data"])
    yield "Rows", f"{sum(n.values()):,}: {', '.join(parts)}"
    yield "Preset", str(record["preset"])
    if "search" in record:
        yield "Search", f"best of {counted(record['search']['trials'], 'trial')}"
    if "by" in record:
        yield "Networks by", str(record["by"])
    if weights := class_weights(record):
        yield "Class weights", ", ".join(weights)
    yield "Seed", str(record["seed"])
