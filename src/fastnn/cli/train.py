"""`fastnn train`: a network from a table, saved with its recipe and the record of its training.

Here: the options, the order of the steps, and what is shown. Not here: the steps themselves
(tabular/, splitting.py, fitting.py, scores.py).
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import fastnn
from fastnn import _checks, activations, optimizers, tables
from fastnn.cli.fitting import fit, network_of, optimizer_of
from fastnn.cli.options import UsageError, checked, count, fraction, names, units
from fastnn.cli.output import print_now, protect, tell, two_columns, writing
from fastnn.cli.report import epochs, kept, of_task, score_table, sizes
from fastnn.cli.scores import scores
from fastnn.cli.splitting import split

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn.cli.options import Commands, Group
    from fastnn.mlp import MLP
    from fastnn.tables import Recipe, Rows, Table


# ---- options ------------------------------------------------------------------------------------


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a network on a table, and save it",
        description="Train a network to predict one column of a table from the other columns. "
        "Numbers are standardized; a missing number is replaced by the median, and a further input "
        "tells that it is missing. Each text of a category is an input, and so is a missing text. "
        "The model file keeps all of this, and `fastnn predict` does the same with new rows.",
        epilog=f"Texts that stand for missing values: {', '.join(tables.MISSING[1:])}, and the "
        "empty text. Example: fastnn train data.csv --target price --out model.safetensors",
    )
    parser.set_defaults(run=run)
    parser.add_argument("data", metavar="DATA", help="a table: .csv or .tsv, also with .gz; "
                        ".parquet, .npz, .npy; or - for CSV from standard input")  # fmt: skip
    parser.add_argument("--target", metavar="COLUMN",
                        help="the column to predict (default for .npz: y)")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", required=True, help="where to save the network")
    _add_table_options(parser.add_argument_group("the table"))
    _add_network_options(parser.add_argument_group("the network"))
    _add_training_options(parser.add_argument_group("the training"))
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
                       help="decoupled weight decay, for adamw")  # fmt: skip
    group.add_argument("--seed", metavar="N", type=count("seed", 0), default=0,
                       help="seed of all random numbers; the same seed gives the same file "
                       "(default: 0)")  # fmt: skip
    group.add_argument("--threads", metavar="N", type=count("threads", 1, 256), default=None,
                       help="threads of the training (default: the available CPUs)")  # fmt: skip


# ---- steps --------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Train a network on a table, save it, and report; return the exit code."""
    optimizer = optimizer_of(options)
    target = _target(options)
    protect([options.data], {"--out": options.out})
    _checks.model_path("--out", options.out)
    with writing(options.out):
        tables.check_place(options.out, ())
    kinds = dict.fromkeys(options.categorical, "category")
    table = tables.read(options.data, kinds=kinds, drop=options.drop, missing=options.missing)
    if options.data.endswith(".npy") and target.startswith("-"):
        target = str(len(table.columns) + len(options.drop) + int(target))
    for name in options.categorical:
        table.column(name)
    task, classes, y = tables.target_of(table, target, options.task)
    rows = split(options, y, classes)
    recipe = tables.learn(table, target, task, classes, rows["training"], options.missing)
    encoded = recipe.encode(table, unknown="missing")
    if not options.quiet:
        _note(table, recipe, rows, encoded)
    net = network_of(options, recipe, optimizer)
    began = time.perf_counter()
    course = fit(net, options, recipe, encoded, y, rows)
    seconds = time.perf_counter() - began
    found = {
        "fastnn": fastnn.__version__,
        "data": os.path.basename(options.data),
        "rows": {name: len(some) for name, some in rows.items()},
        **course,
        "seed": options.seed,
        **scores(net, encoded, y, rows, classes is not None),
    }
    net.metadata = {"table": recipe.to_plain(), "training": found}
    net.feature_names = tuple(recipe.names)
    with writing(options.out):
        net.save(options.out)
    print_now(_as_json(options, net, recipe, found, seconds) if options.json else
              _as_text(options, net, recipe, found, seconds))  # fmt: skip
    return 0


def _target(options: argparse.Namespace) -> str:
    """Return the name of the target column; in a .npy file it may count from the end."""
    if options.target is None and not options.data.endswith(".npz"):
        raise UsageError("name the column to predict: --target COLUMN")
    target: str = "y" if options.target is None else options.target
    if target in options.drop:
        raise UsageError(f"the target {target!r} cannot be dropped; remove it from --drop")
    return target


def _note(table: Table, recipe: Recipe, rows: Mapping[str, NDArray[Any]], encoded: Rows) -> None:
    """Tell which rows and columns are not used, and which columns may be used by mistake."""
    without = table.n - sum(map(len, rows.values()))
    if without:
        tell(f"note: left out {without:,} rows without {recipe.target!r}")
    for name, why in recipe.ignored.items():
        remedy = "; to use them, convert them to numbers such as year and month"
        tell(f"note: ignored column {name!r}: {why}{remedy if why == 'dates' else ''}")
    for name, n in encoded.replaced.items():
        tell(f"note: column {name!r}: {n:,} rows hold texts that do not occur in the training "
             "rows; they count as missing")  # fmt: skip
    for name in recipe.kinds:
        if tables.counts_rows(table.columns[name]):
            tell(f"note: column {name!r} counts the rows; if it has no other meaning, leave it "
                 f"out: --drop {name}")  # fmt: skip


# ---- results ------------------------------------------------------------------------------------


def _as_json(
    options: argparse.Namespace, net: MLP, recipe: Recipe, found: dict[str, Any], seconds: float
) -> str:
    """Return the result as one line of JSON."""
    described = {
        "model": options.out,
        "task": recipe.task,
        "target": recipe.target,
        "classes": recipe.classes,
        "columns": recipe.kinds,
        "ignored": recipe.ignored,
        "n_inputs": net.n_in,
        "n_parameters": net.n_parameters,
        **found,
        "seconds": round(seconds, 3),
    }
    return json.dumps(described) + "\n"


def _as_text(
    options: argparse.Namespace, net: MLP, recipe: Recipe, found: dict[str, Any], seconds: float
) -> str:
    """Return the result as people read it."""
    new = "-" if options.data == "-" else f"NEW{os.path.splitext(options.data)[1]}"
    best = kept(found)
    pairs = [
        *of_task(recipe, found),
        ("network", sizes(net)),
        ("training", f"{epochs(found)} in {seconds:.2f} s{best and f'; {best}'}"),
    ]
    return (
        two_columns(pairs)
        + score_table(recipe, found)
        + f"\nsaved {options.out}; to use it: fastnn predict {options.out} {new}\n"
    )
