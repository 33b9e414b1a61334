"""`fastnn train`: train a network on a table and save it with its recipe and training record.

Here: the order of the steps, and the output. Not here: the options (train_options.py, presets.py),
and the steps themselves (tabular/, splitting.py, objectives.py, fitting.py, good.py, several.py,
scores.py, judging.py).
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fastnn
from fastnn import _checks, tables
from fastnn.cli import good, presets, report_page, several
from fastnn.cli.fitting import fit, network_of, optimizer_of
from fastnn.cli.judging import beats_baseline, require_scores
from fastnn.cli.objectives import check_target, objective_of, weights_of
from fastnn.cli.options import UsageError, form_of
from fastnn.cli.output import counted, print_now, protect, tell, two_columns, writing
from fastnn.cli.report import again, baseline_of, epochs, kept, of_task, score_table
from fastnn.cli.scores import names_of, scores
from fastnn.cli.splitting import split
from fastnn.cli.train_options import parser_of
from fastnn.tabular.errors import shell_argument
from fastnn.tabular.models import Model, sizes
from fastnn.tabular.reading import COMPRESSED
from fastnn.tabular.targets import doubt

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn.cli.objectives import Objective
    from fastnn.cli.options import Commands
    from fastnn.tables import Recipe, Rows, Table


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser_of(commands).set_defaults(run=run)


# ---- steps --------------------------------------------------------------------------------------


class _Job(NamedTuple):
    """The data of a training: a table, how it is encoded, and the objective."""

    table: Table
    recipe: Recipe
    objective: Objective
    encoded: Rows
    y: NDArray[Any]
    rows: dict[str, NDArray[np.intp]]


def run(options: argparse.Namespace) -> int:
    """Train networks on a table, save them, and report; return the exit code."""
    presets.settle(options)
    target = _target(options)
    protect([options.data], {"--out": options.out, **_report_of(options)})
    _checks.model_path("--out", options.out)
    with writing(options.out):
        tables.check_place(options.out, ())
    if options.report is not None:
        report_page.check(options)
    job = _job(options, target)
    warnings = _leaks(job)
    if not options.quiet:
        _note(job, options)
        for warning in warnings:
            tell(f"warning: {warning}")
    began = time.perf_counter()
    model, course, end = _trained(options, job)
    found, recipe = _record(options, job, model, course), job.recipe
    if end == "epochs" and len(job.rows["validation"]) and not options.quiet:
        tell(f"note: the validation loss still fell when --epochs {options.epochs} ended; more "
             f"may help: --epochs {2 * options.epochs}")  # fmt: skip
    if not beats_baseline(found):
        warnings.append(_no_better(job.recipe, found))
        tell(f"warning: {warnings[-1]}")
    unmet = [str(condition) for condition in options.require if not condition.holds(found)]
    scored = model
    if options.refit and len(job.rows["test"]) and end != "interrupt" and not unmet:
        model, recipe, end = _trained_again(options, job, model, found)
    seconds = time.perf_counter() - began
    if not unmet:
        model.attach(recipe, training=found)
        with writing(options.out):
            model.save(options.out)
    if options.report is not None:
        of_job = job.recipe, job.table, job.y, job.rows, found
        report_page.write(options, scored, *of_job, warnings)
    shown = _as_json if options.json else _as_text
    print_now(shown(options, model, recipe, found, seconds, warnings, not unmet))
    return _ended(options, end, found, unmet)


def _job(options: argparse.Namespace, target: str) -> _Job:
    """Return the data of the training; errors in the options or the table are raised here."""
    table, target = _read(options, target)
    task, classes, y = tables.target_of(table, target, options.task)
    if options.by is not None:  # rows without a value have no network
        y = np.where(table.columns[options.by].values < 0, -1 if classes else np.nan, y)
    objective = objective_of(options.loss, task)
    is_weighted = weights_of(options.class_weight, classes) is not None
    require_scores(options.require, names_of(objective, len(classes or ()), is_weighted), task)
    # Each network of the preset good takes its own validation rows from the training rows.
    rows = split(options, y, classes, 0.0 if options.preset == "good" else options.validation)
    check_target(objective, table.path, target, y[np.concatenate([*rows.values()])])
    recipe = _recipe(options, table, target, task, classes, rows["training"])
    return _Job(table, recipe, objective, recipe.encode(table, unknown="missing"), y, rows)


def _recipe(
    options: argparse.Namespace,
    table: Table,
    target: str | None,
    task: str | None,
    classes: list[Any] | None,
    rows: NDArray[np.intp],
) -> Recipe:
    """Return how the columns are encoded, as learned from the given rows."""
    inputs = replace(table, columns={n: c for n, c in table.columns.items() if n != options.by})
    codes = "rich" if options.preset == "good" else "plain"
    return tables.learn(inputs, target, task, classes, rows, options.missing, codes=codes)


def _trained_again(
    options: argparse.Namespace, job: _Job, model: Model, found: dict[str, Any]
) -> tuple[Model, Recipe, str]:
    """Train networks on all rows, including the test rows; return them with their recipe.

    If Ctrl-C interrupts this training, keep the networks that were scored.
    """
    rows = np.sort(np.concatenate([*job.rows.values()]))
    if not options.quiet:
        tell(f"training again on all {len(rows):,} rows")
    old = job.recipe
    try:
        recipe = _recipe(options, job.table, old.target, old.task, old.classes, rows)
        encoded = recipe.encode(job.table, unknown="missing")
        whole, _, interrupted = good.fit(options, recipe, encoded, job.y, rows, job.objective)
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        return model, old, "interrupt after scores"
    found["refit"] = len(rows)
    return whole, recipe, "rule"


def _trained(options: argparse.Namespace, job: _Job) -> tuple[Model, dict[str, Any], str]:
    """Return the trained model, a summary of the training, and the reason why it ended."""
    if options.preset == "good":
        of_job = job.recipe, job.encoded, job.y, job.rows["training"], job.objective
        model, course, interrupted = good.fit(options, *of_job)
        return model, course, "interrupt" if interrupted else "rule"
    optimizer = optimizer_of(options)
    if options.ensemble == 1 and options.by is None and options.search is None:
        net = network_of(options, job.recipe, optimizer, job.objective)
        return fit(net, options, job.recipe, job.encoded, job.y, job.rows, job.objective)
    common = several.Common(options, job.recipe, job.objective, job.encoded, job.y, job.rows)
    if options.ensemble > 1:
        model, more, interrupted = several.ensemble(common, optimizer, options.ensemble)
    elif options.by is not None:
        column = job.table.columns[options.by]
        model, more, interrupted = several.by_column(common, optimizer, column)
    else:
        model, more, interrupted = several.search(common, optimizer)
    course = {**several.course_of(model.fits), **more}
    return model, course, "interrupt" if interrupted else "patience"


def _record(
    options: argparse.Namespace, job: _Job, model: Model, course: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the training record, which is stored in the model file."""
    is_weighted, groups, rows = options.class_weight is not None, None, dict(job.rows)
    if model.by is not None:
        column = job.table.columns[model.by]
        rows["test"] = rows["test"][model.knows(column)[rows["test"]]]
        some = replace(column, values=column.values[rows["test"]])
        groups = model.groups_of(options.data, some)
    return {
        "fastnn": fastnn.__version__,
        "data": os.path.basename(options.data),
        "rows": {name: len(some) for name, some in rows.items()},
        "preset": options.preset,
        "refit": None,
        **course,
        "loss": str(job.objective),
        "seed": options.seed,
        **scores(model.on(groups), job.encoded, job.y, rows, job.objective, is_weighted),
    }


def _read(options: argparse.Namespace, target: str) -> tuple[Table, str]:
    """Return the table, and the name of its target."""
    kinds = dict.fromkeys([*options.categorical, *([options.by] if options.by else [])], "category")
    table = tables.read(options.data, kinds=kinds, drop=options.drop, missing=options.missing,
                        **form_of(options))  # fmt: skip
    if options.data.endswith(".npy") and target.startswith("-"):
        target = str(len(table.columns) + len(options.drop) + int(target))
    for name in kinds:
        table.column(name)
    return table, target


def _ended(
    options: argparse.Namespace, end: str, found: Mapping[str, Any], unmet: list[str]
) -> int:
    """Report a training that was interrupted or failed --require; return the exit code."""
    if unmet:
        left = "no file was written" if options.report is None else "no network was saved"
        tell(f"fastnn: error: the network does not meet --require {', '.join(unmet)}; {left}")
        return 3
    if end in ("interrupt", "interrupt after scores"):
        left = _left(found, end == "interrupt after scores")
        tell(f"fastnn: interrupted; {options.out} has {left}")
        return 130
    return 0


def _left(found: Mapping[str, Any], is_scored: bool) -> str:
    """Return a text on what the file contains after Ctrl-C."""
    if is_scored:
        return f"the networks that were scored, trained on {found['rows']['training']:,} rows"
    if "search" in found:
        return f"the best network of {counted(found['search']['trials'], 'trial')}"
    if "ensemble" in found or "by" in found or found["preset"] == "good":
        return "the networks whose training was complete"
    best, epochs = found["best_epoch"], counted(found["epochs"] or 0, "complete epoch")
    return f"the weights after {epochs}" if best is None else f"the best weights, of epoch {best}"


def _leaks(job: _Job) -> list[str]:
    """Return a warning about each column that leaks the target."""
    is_class, target = job.recipe.classes is not None, job.recipe.target
    names = [*job.recipe.kinds]
    found = tables.giving_away(job.table, names, job.y, job.rows["training"], is_class)
    return [
        f"column {name!r} alone determines {100 * min(share, 0.9999):.2f} % of {target!r}; if it "
        f"is not known when predicting, leave it out: --drop {shell_argument(name)}"
        for name, share in found.items()
    ]


def _no_better(recipe: Recipe, found: Mapping[str, Any]) -> str:
    """Return the warning about a network that does not beat the baseline."""
    baseline = baseline_of(recipe, found)
    return (
        f"the network is no better than its baseline ({baseline}) on the test rows; the columns "
        f"may carry no information about {recipe.target!r}, or the rows may be too few"
    )


def _target(options: argparse.Namespace) -> str:
    """Return the name of the target column; refuse contradictory options."""
    if options.target is None and not options.data.endswith(".npz"):
        raise UsageError("name the column to predict: --target COLUMN")
    target: str = "y" if options.target is None else options.target
    if options.require and not options.test:
        raise UsageError("--require needs test rows for the scores; leave out --test 0")
    if target in options.drop:
        raise UsageError(f"the target {target!r} cannot be dropped; remove it from --drop")
    if options.by == target or options.by in options.drop:
        what = "the target" if options.by == target else "dropped"
        raise UsageError(f"--by {options.by}: the column is {what}; name another one")
    if options.search and not options.validation:
        raise UsageError("--search compares validation losses; leave out --validation 0")
    return target


def _report_of(options: argparse.Namespace) -> dict[str, str]:
    """Return the path of the report by option name; empty without a report."""
    return {} if options.report is None else {"--report": options.report}


def _note(job: _Job, options: argparse.Namespace) -> None:
    """Print which rows and columns are not used, and which columns may be used by mistake."""
    for note in job.table.notes:
        tell(f"note: {note}")
    without = job.table.n - sum(map(len, job.rows.values()))
    if without:
        names = " or ".join(map(repr, filter(None, (job.recipe.target, options.by))))
        tell(f"note: left out {counted(without, 'row')} without {names}")
    target = job.table.columns.get(job.recipe.target or "")
    doubtful = doubt(target, job.recipe.task or "") if target and not options.task else None
    if doubtful:
        tell(f"note: {doubtful}")
    for name, why in job.recipe.ignored.items():
        tell(f"note: ignored column {name!r}: {why}")
    for name, n in job.encoded.replaced.items():
        tell(f"note: column {name!r}: {counted(n, 'value')} not among the texts of the training "
             "rows, treated as missing")  # fmt: skip
    for name in job.recipe.kinds:
        if tables.counts_rows(job.table.columns[name]):
            tell(f"note: column {name!r} just numbers the rows; if it has no other meaning, leave "
                 f"it out: --drop {shell_argument(name)}")  # fmt: skip


# ---- results ------------------------------------------------------------------------------------


def _as_json(
    options: argparse.Namespace,
    model: Model,
    recipe: Recipe,
    found: dict[str, Any],
    seconds: float,
    warnings: list[str],
    is_saved: bool,
) -> str:
    """Return the result as one line of JSON."""
    described = {
        "model": options.out if is_saved else None,
        **{name.lstrip("-"): path for name, path in _report_of(options).items()},
        "task": recipe.task,
        "target": recipe.target,
        "classes": recipe.classes,
        "columns": recipe.kinds,
        "ignored": recipe.ignored,
        "n_inputs": model.net.n_in,
        "n_parameters": model.net.n_parameters,
        **({"n_networks": len(model.fits)} if len(model.fits) > 1 else {}),
        **found,
        "warnings": warnings,
        "seconds": round(seconds, 3),
    }
    return json.dumps(described) + "\n"


def _as_text(
    options: argparse.Namespace,
    model: Model,
    recipe: Recipe,
    found: dict[str, Any],
    seconds: float,
    warnings: list[str],
    is_saved: bool,
) -> str:
    """Return the result as text for readers."""
    stem, ending = os.path.splitext(options.data)
    if ending.lower() in COMPRESSED:
        ending = os.path.splitext(stem)[1]
    new = "-" if options.data == "-" else f"NEW{ending}"
    best = kept(found)
    pairs = [
        *of_task(recipe, found),
        ("network" + "s" * (len(model.fits) > 1), sizes(model.net, len(model.fits))),
        ("training", f"{epochs(found)}{again(found)} in {seconds:.2f} s{best and f'; {best}'}"),
    ]
    saved = f"\nsaved {options.out}; to use it: fastnn predict {options.out} {new}\n"
    page = "" if options.report is None else f"\nwrote the report {options.report}\n"
    return two_columns(pairs) + score_table(recipe, found) + (saved if is_saved else "") + page
