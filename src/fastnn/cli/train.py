"""`fastnn train`: a network from a table, saved with its recipe and the record of its training.

Here: the options, the order of the steps, and what is shown. Not here: the steps themselves
(tabular/, splitting.py, objectives.py, fitting.py, scores.py, judging.py).
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fastnn
from fastnn import _checks, activations, optimizers, tables
from fastnn.cli import several
from fastnn.cli.fitting import fit, network_of, optimizer_of
from fastnn.cli.judging import beats_baseline, conditions, require_scores
from fastnn.cli.objectives import (
    LOSSES,
    check_target,
    class_weights,
    objective,
    objective_of,
    weights_of,
)
from fastnn.cli.options import (
    UsageError,
    add_form_options,
    checked,
    count,
    form_of,
    fraction,
    names,
    units,
)
from fastnn.cli.output import counted, print_now, protect, tell, two_columns, writing
from fastnn.cli.report import baseline_of, epochs, kept, of_task, score_table, sizes
from fastnn.cli.scores import names_of, scores
from fastnn.cli.splitting import split
from fastnn.tabular.errors import shell_argument
from fastnn.tabular.models import Model
from fastnn.tabular.reading import COMPRESSED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn.cli.objectives import Objective
    from fastnn.cli.options import Commands, Group
    from fastnn.optimizers import Optimizer
    from fastnn.tables import Recipe, Rows, Table


# ---- options ------------------------------------------------------------------------------------


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a network on a table, and save it",
        description="Train a network to predict one column of a table from the other columns. "
        "Numbers are standardized; a missing number is replaced by the median, and a further input "
        "tells that it is missing. Each text of a category is an input, and so is a missing text; "
        "dates become the time, the month, the weekday and the time of day. "
        "The model file keeps all of this, and `fastnn predict` does the same with new rows.",
        epilog=f"Texts that stand for missing values: {', '.join(tables.MISSING[1:])}, and the "
        "empty text. Example: fastnn train data.csv --target price --out model.safetensors",
    )
    parser.set_defaults(run=run)
    parser.add_argument("data", metavar="DATA", help="a table: text such as .csv, .tsv or .txt, "
                        "also with .gz, .bz2, .xz or .zip; .parquet, .arrow, .feather, .jsonl, "
                        ".npz, .npy; or - for CSV from standard input")  # fmt: skip
    parser.add_argument("--target", metavar="COLUMN",
                        help="the column to predict (default for .npz: y)")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", required=True, help="where to save the network")
    _add_table_options(parser.add_argument_group("the table"))
    add_form_options(parser.add_argument_group("the form of a text file"))
    _add_network_options(parser.add_argument_group("the network"))
    _add_training_options(parser.add_argument_group("the training"))
    _add_options_of_several(parser.add_argument_group("several networks"))
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="show no progress and no notes")


def _add_table_options(group: Group) -> None:
    group.add_argument(
        "--task", choices=["classification", "regression"],
        help="default: classification of texts, regression of numbers; whole numbers are classes "
        f"if at most {tables.FEW_NUMBERS} are different and each has {tables.ROWS_PER_NUMBER} "
        "rows or more on average",
    )  # fmt: skip
    group.add_argument("--drop", metavar="COLUMNS", type=names, default=[],
                       help="columns to leave out, such as id,name")  # fmt: skip
    group.add_argument("--categorical", metavar="COLUMNS", type=names, default=[],
                       help="columns of numbers to treat as categories")  # fmt: skip
    group.add_argument("--missing", metavar="TEXTS", type=names, default=[],
                       help="further texts that stand for missing values, such as ?,-99"
                       )  # fmt: skip
    group.add_argument("--test", metavar="FRACTION", type=fraction("test"), default=0.2,
                       help="fraction of the rows held out for the scores (default: 0.2; 0: no "
                       "scores)")  # fmt: skip
    group.add_argument("--require", metavar="CONDITIONS", type=conditions, default=[],
                       help="save no network, and exit with 3, unless the scores meet conditions "
                       "such as r2>=0.8, or baseline (to be better than it)")  # fmt: skip
    group.add_argument("--validation", metavar="FRACTION", type=fraction("validation"),
                       default=0.1, help="fraction of the other rows used for early stopping "
                       "(default: 0.1; 0: train all epochs)")  # fmt: skip


def _add_network_options(group: Group) -> None:
    group.add_argument("--hidden", metavar="UNITS", type=units, default=[128, 64],
                       help="units of the hidden layers (default: 128,64; none: a linear model)"
                       )  # fmt: skip
    group.add_argument("--activation", choices=activations.HIDDEN, default="relu", metavar="NAME",
                       help="activation of the hidden layers (default: relu): "
                       f"{', '.join(activations.HIDDEN)}")  # fmt: skip
    group.add_argument("--dropout", metavar="RATE", type=fraction("dropout"), default=0.0,
                       help="dropout rate of the hidden layers' outputs (default: 0)")  # fmt: skip
    group.add_argument("--l2", metavar="STRENGTH", default=0.0,
                       type=checked(_checks.number, "l2", low=0.0),
                       help="strength of the penalty on squared weights (default: 0)")  # fmt: skip
    group.add_argument("--dtype", choices=["float32", "float64"], default="float32",
                       help="precision of weights and arithmetic (default: float32)")  # fmt: skip


def _add_training_options(group: Group) -> None:
    group.add_argument("--loss", metavar="NAME", type=objective, default=None,
                       help=f"loss of a regression: {', '.join(LOSSES)} (default: squared_error); "
                       "quantile:0.9 for another quantile, huber:2 for another delta, in standard "
                       "deviations of the target")  # fmt: skip
    group.add_argument("--class-weight", metavar="WEIGHTS", type=class_weights, default=None,
                       help="balanced, to let all classes count alike, or weights such as "
                       "yes=5,no=1")  # fmt: skip
    group.add_argument("--epochs", metavar="N", type=count("epochs"), default=200,
                       help="largest number of epochs (default: 200)")  # fmt: skip
    group.add_argument("--patience", metavar="N", type=count("patience", 0), default=10,
                       help="stop after this many epochs without a lower validation loss, and keep "
                       "the weights of the best epoch (default: 10)")  # fmt: skip
    group.add_argument("--batch-size", metavar="N", type=count("batch size"), default=64,
                       help="rows of an update (default: 64)")  # fmt: skip
    group.add_argument("--optimizer", choices=optimizers.NAMES, default=None,
                       help="update rule (default: adam, or adamw with --weight-decay)"
                       )  # fmt: skip
    group.add_argument("--learning-rate", metavar="RATE", default=None,
                       type=checked(_checks.number, "learning rate", above=0.0),
                       help="initial learning rate (default: the optimizer's, 0.001 for adam)"
                       )  # fmt: skip
    group.add_argument("--weight-decay", metavar="RATE", default=None,
                       type=checked(_checks.number, "weight decay", low=0.0),
                       help="decoupled weight decay")  # fmt: skip
    group.add_argument("--seed", metavar="N", type=count("seed", 0), default=0,
                       help="seed of all random numbers; the same seed gives the same file "
                       "(default: 0)")  # fmt: skip
    group.add_argument("--threads", metavar="N", type=count("threads", 1, 256), default=None,
                       help="threads of the training (default: the available CPUs)")  # fmt: skip


def _add_options_of_several(group: Group) -> None:
    one = group.add_mutually_exclusive_group()
    one.add_argument("--ensemble", metavar="N", type=count("ensemble", 2, 10_000), default=None,
                     help="train N networks with other seeds; predictions are their mean, with "
                     "the standard deviation")  # fmt: skip
    one.add_argument("--by", metavar="COLUMN", default=None,
                     help="train a network for each value of a column, on its rows")  # fmt: skip
    one.add_argument("--search", metavar="BUDGET", type=several.budget, default=None,
                     help="train networks with other hidden layers, dropout, batch sizes and "
                     "learning rates, and save the one with the least validation loss: a number of "
                     "trials such as 50, or a time such as 10min, after which no trials begin"
                     )  # fmt: skip


# ---- steps --------------------------------------------------------------------------------------


class _Job(NamedTuple):
    """What is trained on: a table, how it is encoded, and what is minimized."""

    table: Table
    recipe: Recipe
    objective: Objective
    encoded: Rows
    y: NDArray[Any]
    rows: dict[str, NDArray[np.intp]]


def run(options: argparse.Namespace) -> int:
    """Train a network on a table, save it, and report; return the exit code."""
    optimizer = optimizer_of(options)
    target = _target(options)
    protect([options.data], {"--out": options.out})
    _checks.model_path("--out", options.out)
    with writing(options.out):
        tables.check_place(options.out, ())
    job = _job(options, target)
    warnings = _leaks(job)
    if not options.quiet:
        _note(job, options.by)
        for warning in warnings:
            tell(f"warning: {warning}")
    began = time.perf_counter()
    model, course, end = _trained(options, job, optimizer)
    seconds = time.perf_counter() - began
    found = _record(options, job, model, course)
    if end == "epochs" and len(job.rows["validation"]) and not options.quiet:
        tell(f"note: the validation loss still fell when --epochs {options.epochs} ended; more "
             f"may help: --epochs {2 * options.epochs}")  # fmt: skip
    if not beats_baseline(found):
        warnings.append(_no_better(job.recipe, found))
        tell(f"warning: {warnings[-1]}")
    unmet = [str(condition) for condition in options.require if not condition.holds(found)]
    if not unmet:
        _save(options, job.recipe, model, found)
    shown = _as_json if options.json else _as_text
    print_now(shown(options, model, job.recipe, found, seconds, warnings, not unmet))
    return _ended(options, end, course, unmet)


def _job(options: argparse.Namespace, target: str) -> _Job:
    """Return what is trained on; whatever is wrong with the options or the table is found here."""
    table, target = _read(options, target)
    task, classes, y = tables.target_of(table, target, options.task)
    if options.by is not None:  # rows without a value have no network
        y = np.where(table.columns[options.by].values < 0, -1 if classes else np.nan, y)
    objective = objective_of(options.loss, task)
    is_weighted = weights_of(options.class_weight, classes) is not None
    require_scores(options.require, names_of(objective, len(classes or ()), is_weighted), task)
    rows = split(options, y, classes)
    check_target(objective, table.path, target, y[np.concatenate([*rows.values()])])
    inputs = replace(table, columns={n: c for n, c in table.columns.items() if n != options.by})
    recipe = tables.learn(inputs, target, task, classes, rows["training"], options.missing)
    return _Job(table, recipe, objective, recipe.encode(table, unknown="missing"), y, rows)


def _trained(
    options: argparse.Namespace, job: _Job, optimizer: Optimizer
) -> tuple[Model, dict[str, Any], str]:
    """Return the network, or several, the course of the training, and what ended it."""
    of_job = options, job.recipe, job.objective, job.encoded, job.y, job.rows
    if options.ensemble is None and options.by is None and options.search is None:
        net = network_of(options, job.recipe, optimizer, job.objective)
        course, end = fit(net, options, job.recipe, *of_job[3:], job.objective)
        return Model.of(net), course, end
    common = several.Common(*of_job)
    if options.ensemble is not None:
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
    """Return the record of a training, which the model file keeps."""
    is_weighted, groups, rows = options.class_weight is not None, None, dict(job.rows)
    if model.by is not None:
        column = job.table.columns[model.by]
        known = np.isin(column.values, [column.texts.index(text) for text in model.texts])
        rows["test"] = rows["test"][known[rows["test"]]]
        some = replace(column, values=column.values[rows["test"]])
        groups = model.groups_of(options.data, some)
    return {
        "fastnn": fastnn.__version__,
        "data": os.path.basename(options.data),
        "rows": {name: len(some) for name, some in rows.items()},
        **course,
        "loss": str(job.objective),
        "seed": options.seed,
        **scores(model.on(groups), job.encoded, job.y, rows, job.objective, is_weighted),
    }


def _save(options: argparse.Namespace, recipe: Recipe, model: Model, found: dict[str, Any]) -> None:
    """Save networks with their recipe and the record of their training."""
    model.attach(recipe, training=found)
    with writing(options.out):
        model.save(options.out)


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
    options: argparse.Namespace, end: str, course: Mapping[str, Any], unmet: list[str]
) -> int:
    """Tell why a training did not end as it should; return the exit code."""
    if unmet:
        tell(f"fastnn: error: the network does not meet --require {', '.join(unmet)}; no file was "
             "written")  # fmt: skip
        return 3
    if end == "interrupt" and "search" in course:
        n = counted(course["search"]["trials"], "trial")
        tell(f"fastnn: interrupted; {options.out} has the best network of {n}")
        return 130
    if end == "interrupt" and ("ensemble" in course or "by" in course):
        tell(f"fastnn: interrupted; {options.out} has the networks that were trained to their end")
        return 130
    if end == "interrupt":
        best, epochs = course["best_epoch"], counted(course["epochs"] or 0, "whole epoch")
        kept = f"weights after {epochs}" if best is None else f"best weights, of epoch {best}"
        tell(f"fastnn: interrupted; {options.out} has the {kept}")
        return 130
    return 0


def _leaks(job: _Job) -> list[str]:
    """Return a warning about each column that gives the target away."""
    is_class, target = job.recipe.classes is not None, job.recipe.target
    names = [*job.recipe.kinds]
    found = tables.giving_away(job.table, names, job.y, job.rows["training"], is_class)
    return [
        f"column {name!r} alone tells {100 * min(share, 0.9999):.2f} % of {target!r}; if it is not "
        f"known when predicting, leave it out: --drop {shell_argument(name)}"
        for name, share in found.items()
    ]


def _no_better(recipe: Recipe, found: Mapping[str, Any]) -> str:
    """Return the warning about a network that is no better than its baseline."""
    baseline = baseline_of(recipe, found)
    return (
        f"the network is no better than its baseline ({baseline}) on the test rows; the columns "
        f"may tell nothing about {recipe.target!r}, or the rows may be too few"
    )


def _target(options: argparse.Namespace) -> str:
    """Return the name of the target column; in a .npy file it may count from the end."""
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


def _note(job: _Job, by: str | None) -> None:
    """Tell which rows and columns are not used, and which columns may be used by mistake."""
    for note in job.table.notes:
        tell(f"note: {note}")
    without = job.table.n - sum(map(len, job.rows.values()))
    if without:
        names = " or ".join(map(repr, filter(None, (job.recipe.target, by))))
        tell(f"note: left out {counted(without, 'row')} without {names}")
    for name, why in job.recipe.ignored.items():
        tell(f"note: ignored column {name!r}: {why}")
    for name, n in job.encoded.replaced.items():
        tell(f"note: column {name!r}: {counted(n, 'value')} not among the texts of the training "
             "rows, treated as missing")  # fmt: skip
    for name in job.recipe.kinds:
        if tables.counts_rows(job.table.columns[name]):
            tell(f"note: column {name!r} counts the rows; if it has no other meaning, leave it "
                 f"out: --drop {shell_argument(name)}")  # fmt: skip


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
    """Return the result as people read it."""
    stem, ending = os.path.splitext(options.data)
    if ending.lower() in COMPRESSED:
        ending = os.path.splitext(stem)[1]
    new = "-" if options.data == "-" else f"NEW{ending}"
    best = kept(found)
    pairs = [
        *of_task(recipe, found),
        ("network" + "s" * (len(model.fits) > 1), sizes(model.net, len(model.fits))),
        ("training", f"{epochs(found)} in {seconds:.2f} s{best and f'; {best}'}"),
    ]
    saved = f"\nsaved {options.out}; to use it: fastnn predict {options.out} {new}\n"
    return two_columns(pairs) + score_table(recipe, found) + (saved if is_saved else "")
