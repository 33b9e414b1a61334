"""`fastnn train`: train a network on a table and save it with its recipe and training record.

Here: the order of the steps, and the output. Not here: the options (train_options.py, presets.py),
and the steps themselves (tabular/, splitting.py, objectives.py, fitting.py, preset_good.py,
several.py, scores.py, judging.py, result_text.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fastnn
from fastnn import _checks, tables
from fastnn.cli import preset_good, presets, report_page, saving, several
from fastnn.cli.fitting import fit, network_of, optimizer_of
from fastnn.cli.job import End, Job
from fastnn.cli.judging import beats_baseline, require_scores
from fastnn.cli.objectives import check_target, objective_of, weights_of
from fastnn.cli.options import UsageError, form_of, require_one_kind, stated_kinds
from fastnn.cli.output import counted, log, print_now, protect, two_columns, writing
from fastnn.cli.result_text import (
    are_several,
    best_epoch_note,
    epochs,
    refit_note,
    score_table,
    task_facts,
)
from fastnn.cli.scores import names_of, scores
from fastnn.cli.splitting import split, with_network, with_value
from fastnn.cli.train_options import parser_of
from fastnn.tabular import remedies
from fastnn.tabular.errors import TableError
from fastnn.tabular.models import Model, sizes
from fastnn.tabular.reading import COMPRESSED
from fastnn.tabular.scores import baseline_name
from fastnn.tabular.targets import doubt

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from fastnn.cli.judging import Condition
    from fastnn.cli.options import Commands
    from fastnn.tables import Recipe, Table


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser_of(commands).set_defaults(run=run)


# ---- steps --------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Train networks on a table, save them, and report; return the exit code."""
    presets.settle(options)
    target = _target(options)
    _check_paths(options)
    job = _job(options, target)
    warnings = _leaks(job)
    if not options.quiet:
        _note(job)
        for warning in warnings:
            log(f"warning: {warning}")
    began = time.perf_counter()
    model, summary, end = _trained(job)
    record, recipe = _record(job, model, summary), job.recipe
    warnings += _warn_about_scores(job, record, end)
    loss = job.objective.loss
    unmet = [each for each in options.require if not each.holds(record, loss)]
    scored = model
    if options.refit and len(job.rows["test"]) and end is not End.INTERRUPTED and not unmet:
        model, recipe, end = _trained_again(job, model, record)
    seconds = time.perf_counter() - began
    failures: list[Exception] = []
    saved = report = None
    if not unmet:
        model.attach(recipe, training=record)
        saved = saving.save(model, options.out, failures)
    # Not even Ctrl-C during the report keeps the scores from being printed.
    with contextlib.suppress(KeyboardInterrupt), _deferred(failures):
        if options.report is not None and record["test"] is not None:
            report_page.write(job, scored, record, warnings)
            report = options.report
    result = _Result(options, model, recipe, record, seconds, warnings, saved, report)
    print_now(_as_json(result) if options.json else _as_text(result))
    return _ended(result, end, unmet, failures)


@contextlib.contextmanager
def _deferred(failures: list[Exception]) -> Iterator[None]:
    """Append an error to a list, to raise it once the scores of a long training are printed."""
    try:
        yield
    except Exception as error:
        failures.append(error)


def _check_paths(options: argparse.Namespace) -> None:
    """Check, before training, that the model file and the report can be written."""
    protect([options.data], {"--out": options.out, **_report_of(options)})
    _checks.model_path("--out", options.out)
    with writing(options.out):
        tables.check_place(options.out, ())
    if options.report is not None:
        report_page.check(options)


def _job(options: argparse.Namespace, target: str) -> Job:
    """Return the data of the training; errors in the options or the table are raised here."""
    table, target = _read(options, target)
    task, classes, y = tables.target_of(table, target, options.task)
    if options.by is not None:
        y = with_value(options, table.columns[options.by], y, classes)
    objective = objective_of(options.loss, task, table.columns[target].kind == "category")
    is_weighted = weights_of(options.class_weight, classes) is not None
    known = names_of(objective.loss, len(classes or ()), is_weighted)
    require_scores(options.require, known, task)
    # Each network of the preset good takes its own validation rows from the training rows.
    rows = split(options, y, classes, 0.0 if options.preset == "good" else options.validation)
    if options.by is not None:
        rows["test"] = with_network(options, table.columns[options.by], rows)
    check_target(objective, table.path, target, y[np.concatenate([*rows.values()])])
    recipe = _recipe(options, table, target, task, classes, rows["training"])
    encoded = recipe.encode(table, unknown="missing")
    return Job(options, table, recipe, objective, encoded, y, rows)


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


def _trained(job: Job) -> tuple[Model, dict[str, Any], End]:
    """Return the trained model, a summary of the training, and how it ended."""
    options = job.options
    if options.preset == "good":
        model, summary, interrupted = preset_good.fit(job)
        return model, summary, End.INTERRUPTED if interrupted else End.STOPPED
    optimizer = optimizer_of(options)
    if options.ensemble == 1 and options.by is None and options.search is None:
        return fit(network_of(job, optimizer), job)
    common = several.Common(job)
    if options.ensemble > 1:
        model, more, interrupted = several.ensemble(common, optimizer, options.ensemble)
    elif options.by is not None:
        column = job.table.columns[options.by]
        model, more, interrupted = several.by_column(common, optimizer, column)
    else:
        model, more, interrupted = several.search(common, optimizer)
    summary = {**several.summary_of(model.fits), **more}
    return model, summary, End.INTERRUPTED if interrupted else End.STOPPED


def _trained_again(job: Job, model: Model, record: dict[str, Any]) -> tuple[Model, Recipe, End]:
    """Train networks on all rows, including the test rows; return them with their recipe.

    If Ctrl-C interrupts this training, return the networks that were scored.
    """
    rows = np.sort(np.concatenate([*job.rows.values()]))
    if not job.options.quiet:
        log(f"training again on all {len(rows):,} rows")
    old = job.recipe
    try:
        recipe = _recipe(job.options, job.table, old.target, old.task, old.classes, rows)
        encoded = recipe.encode(job.table, unknown="missing")
        again = job._replace(recipe=recipe, encoded=encoded, rows={"training": rows})
        whole, _, interrupted = preset_good.fit(again)
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        return model, old, End.INTERRUPTED_AFTER_SCORES
    record["refit"] = len(rows)
    return whole, recipe, End.STOPPED


def _record(job: Job, model: Model, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training record, which is stored in the model file."""
    options, groups, rows = job.options, None, dict(job.rows)
    is_weighted = options.class_weight is not None
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
        **summary,
        "loss": str(job.objective),
        "class_weight": options.class_weight,
        "seed": options.seed,
        **scores(model.on(groups), job.encoded, job.y, rows, job.objective.loss, is_weighted),
    }


def _warn_about_scores(job: Job, record: Mapping[str, Any], end: End) -> list[str]:
    """Print notes and warnings about the losses and the scores; return the warnings."""
    n_epochs, warnings = job.options.epochs, []
    last_is_best = end is End.EPOCHS and record["best_epoch"] == record["epochs"]
    if last_is_best and not job.options.quiet:
        log(f"note: the validation loss was still falling after --epochs {n_epochs}; more epochs "
            f"may help: --epochs {2 * n_epochs}")  # fmt: skip
    if not beats_baseline(record, job.objective.loss):
        baseline = baseline_name(job.objective.loss, job.recipe.classes is None)
        ours = "the network is no better than its"
        if are_several(record):
            ours = "the networks are no better than their"
        warnings.append(
            f"{ours} baseline ({baseline}) on the test rows; the columns may carry no information "
            f"about {job.recipe.target!r}, or the rows may be too few"
        )
        log(f"warning: {warnings[0]}")
    return warnings


def _read(options: argparse.Namespace, target: str) -> tuple[Table, str]:
    """Return the table, and the name of its target."""
    kinds = {name: kind for name, kind, _ in _stated_kinds(options)}
    table = tables.read(options.data, kinds=kinds, drop=options.drop, missing=options.missing,
                        **form_of(options))  # fmt: skip
    if options.data.lower().endswith(".npy") and re.fullmatch(r"-\d+", target):
        n = len(table.columns) + len(table.others)
        if int(target) < -n:
            raise TableError(
                f"{options.data} has no column {target}; counted from the end, its columns are -1 "
                f"to -{n}"
            )
        target = str(n + int(target))
    for name in kinds:
        table.column(name)
    return table, target


def _stated_kinds(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Return the columns whose kind is stated, as `stated_kinds` does; --by states one, too."""
    of_by = [(options.by, "category", "--by")] if options.by else []
    return [*stated_kinds(options), *of_by]


def _check_stated_kinds(options: argparse.Namespace) -> None:
    """Check that no column has two kinds, or has a kind and is dropped."""
    stated = _stated_kinds(options)
    require_one_kind(stated)
    for name, _, option in stated:
        if name in options.drop:
            raise UsageError(f"column {name!r} is in --drop and in {option}; name it in one")


def _ended(result: _Result, end: End, unmet: list[Condition], failures: list[Exception]) -> int:
    """Report how a training ended: an unmet --require, an error, Ctrl-C; return the exit code."""
    options = result.options
    no_report = "; no report was written" if result.report != options.report else ""
    if unmet:
        left = "no file was written" if result.report is None else "no network was saved"
        found = ", ".join(filter(None, (each.score_in(result.record) for each in unmet)))
        which = ", ".join(map(str, unmet)) + (f": {found}" if found else "")
        ours = "networks do" if are_several(result.record) else "network does"
        log(f"fastnn: error: the {ours} not meet --require {which}; {left}")
    is_cut = end in (End.INTERRUPTED, End.INTERRUPTED_AFTER_SCORES)
    what = f"has {_left(result.record, end)}" if is_cut else "is complete"
    if failures:
        if result.saved is not None:
            instead = f", saved instead of {options.out}," if result.saved != options.out else ""
            log(f"fastnn: {result.saved}{instead} {what}{no_report}")
        raise failures[0]
    if unmet:
        return 3
    if is_cut or no_report:
        log(f"fastnn: interrupted; {options.out} {what}{no_report}")
        return 130
    return 0


def _left(record: Mapping[str, Any], end: End) -> str:
    """Return a text on what the file contains after Ctrl-C."""
    if end is End.INTERRUPTED_AFTER_SCORES:
        return f"the networks that were scored, trained on {record['rows']['training']:,} rows"
    if "search" in record:
        return f"the best network of {counted(record['search']['trials'], 'trial')}"
    if "ensemble" in record or "by" in record or record["preset"] == "good":
        return "the networks whose training was complete"
    best, epochs = record["best_epoch"], counted(record["epochs"] or 0, "complete epoch")
    return f"the weights after {epochs}" if best is None else f"the best weights, of epoch {best}"


def _leaks(job: Job) -> list[str]:
    """Return a warning about each column that leaks the target."""
    is_class, target = job.recipe.classes is not None, job.recipe.target
    names = [*job.recipe.kinds]
    shares = tables.giving_away(job.table, names, job.y, job.rows["training"], is_class)
    return [
        f"column {name!r} alone determines {100 * min(share, 0.9999):.2f} % of {target!r}; if it "
        f"is not known when predicting, leave it out: {remedies.drop(job.table.path, [name])}"
        for name, share in shares.items()
    ]


def _target(options: argparse.Namespace) -> str:
    """Return the name of the target column; refuse contradictory options."""
    if options.target is None and not options.data.lower().endswith(".npz"):
        raise UsageError("name the column to predict: --target COLUMN")
    target: str = "y" if options.target is None else options.target
    if options.require and not options.test:
        raise UsageError("--require needs test rows for the scores; leave out --test 0")
    if target in options.drop:
        raise UsageError(f"the target {target!r} cannot be dropped; remove it from --drop")
    if options.by == target or options.by in options.drop:
        what = "the target" if options.by == target else "dropped"
        raise UsageError(f"--by {options.by}: the column is {what}; name another one")
    _check_stated_kinds(options)
    if options.search and not options.validation:
        raise UsageError("--search compares validation losses; leave out --validation 0")
    return target


def _report_of(options: argparse.Namespace) -> dict[str, str]:
    """Return the path of the report by option name; empty without a report."""
    return {} if options.report is None else {"--report": options.report}


def _note(job: Job) -> None:
    """Print which rows and columns are not used, and which columns may be used by mistake."""
    options = job.options
    for note in job.table.notes:
        log(f"note: {note}")
    n_known = int((~np.isnan(job.y) if job.recipe.classes is None else job.y >= 0).sum())
    if n_known < job.table.n:
        names = " or ".join(map(repr, filter(None, (job.recipe.target, options.by))))
        log(f"note: left out {counted(job.table.n - n_known, 'row')} without {names}")
    unscored = n_known - sum(map(len, job.rows.values()))
    if unscored:
        log(f"note: left out {counted(unscored, 'test row')}, whose {options.by!r} occurs in no "
            "training row and so has no network")  # fmt: skip
    target = job.table.columns.get(job.recipe.target or "")
    doubtful = doubt(target, job.recipe.task or "") if target and not options.task else None
    if doubtful:
        log(f"note: {doubtful}")
    for name, why in job.recipe.ignored.items():
        log(f"note: ignored column {name!r}: {why}")
    for name, n in job.encoded.replaced.items():
        log(f"note: column {name!r}: {counted(n, 'value')} not among the texts of the training "
            "rows, treated as missing")  # fmt: skip
    for name in job.recipe.kinds:
        if tables.counts_rows(job.table.columns[name]):
            log(f"note: column {name!r} just numbers the rows; if it has no other meaning, leave "
                f"it out: {remedies.drop(job.table.path, [name])}")  # fmt: skip


# ---- results ------------------------------------------------------------------------------------


class _Result(NamedTuple):
    """The result of a training: its options, networks, training record, time and warnings.

    `saved` and `report` are the paths of the model file and of the report, None if there is none.
    """

    options: argparse.Namespace
    model: Model
    recipe: Recipe
    record: dict[str, Any]
    seconds: float
    warnings: list[str]
    saved: str | None
    report: str | None


def _as_json(result: _Result) -> str:
    """Return a result as one line of JSON."""
    options, net, recipe = result.options, result.model.net, result.recipe
    n_networks = len(result.model.fits)
    described = {
        "model": result.saved,
        **({} if options.report is None else {"report": result.report}),
        "task": recipe.task,
        "target": recipe.target,
        "classes": recipe.classes,
        "columns": recipe.kinds,
        "ignored": recipe.ignored,
        "n_inputs": net.n_in,
        "n_parameters": net.n_parameters,
        **({"n_networks": n_networks} if n_networks > 1 else {}),
        **result.record,
        "warnings": result.warnings,
        "seconds": round(result.seconds, 3),
    }
    return json.dumps(described) + "\n"


def _as_text(result: _Result) -> str:
    """Return a result as text for readers."""
    options, recipe, record = result.options, result.recipe, result.record
    n_networks = len(result.model.fits)
    stem, ending = os.path.splitext(options.data)
    if ending.lower() in COMPRESSED:
        ending = os.path.splitext(stem)[1]
    new = "-" if options.data == "-" else f"NEW{ending}"
    how = f"{epochs(record)}{refit_note(record)} in {result.seconds:.2f} s"
    pairs = [
        *task_facts(recipe, record),
        ("network" + "s" * (n_networks > 1), sizes(result.model.net, n_networks)),
        ("training", "; ".join(filter(None, (how, best_epoch_note(record))))),
    ]
    text = two_columns(pairs) + score_table(recipe, record, result.model.net.loss)
    if result.saved is not None:
        model = remedies.shell_path(result.saved)
        text += f"\nsaved {result.saved}; to use it: fastnn predict {model} {new}\n"
    if result.report is not None:
        text += f"\nwrote the report {result.report}\n"
    return text
