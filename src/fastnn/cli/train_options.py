"""The options of `fastnn train`.

Not here: argument types (options.py, objectives.py, judging.py, several.py), defaults (presets.py),
and the effect of the options (train.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _checks, activations, optimizers, tables
from fastnn._precision import POLICIES
from fastnn.cli import several
from fastnn.cli.judging import conditions
from fastnn.cli.objectives import LOSSES, class_weights, objective
from fastnn.cli.options import (
    add_form_options,
    add_value_options,
    checked,
    count,
    fraction,
    names,
    units,
)
from fastnn.cli.presets import DEFAULTS, NAMES, shown

if TYPE_CHECKING:
    from fastnn.cli.options import Commands, Group, Parser


def parser_of(commands: Commands) -> Parser:
    """Add the command with its options; return its parser."""
    parser = commands.add_parser(
        "train",
        help="train networks on a table, and save them",
        description="Train networks to predict one column of a table from the other columns. "
        "Numbers are standardized; a missing number is replaced by the median, and an additional "
        "input indicates that it is missing. Each text of a category has an input, and so has a "
        "missing text; dates are encoded as the time, the month, the weekday and the time of day. "
        "The model file stores this encoding, and `fastnn predict` applies it to new rows. "
        "By default, five wide networks are trained, which suit most tables: first on part of the "
        "rows, to compute scores on the other rows, and then on all rows.",
        epilog=f"Texts that stand for missing values: {', '.join(tables.MISSING[1:])}, and the "
        "empty text.\n\nExample: fastnn train data.csv --target price --out model.safetensors",
    )
    parser.add_argument("data", metavar="DATA", help="a table: text such as .csv, .tsv or .txt, "
                        "also with .gz, .bz2, .xz or .zip; .parquet, .arrow, .feather, .jsonl, "
                        ".npz, .npy; or - for CSV from standard input")  # fmt: skip
    target = parser.add_argument("--target", metavar="COLUMN",
                                 help="the column to predict; required, except for .npz, where "
                                 "the default is y")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", required=True,
                        help="where to save the networks; required")  # fmt: skip
    parser.require(target, unless=("--out", ".npz"))  # train.py says what to do if it alone lacks
    parser.add_argument("--report", metavar="FILE", default=None,
                        help="where to write a report: an HTML page with scores, learning curves, "
                        "errors, calibration and the importance of each column")  # fmt: skip
    _add_table_options(parser.add_argument_group("the table"))
    add_form_options(parser.add_argument_group("the format of a text file"))
    _add_network_options(parser.add_argument_group("the network"))
    _add_training_options(parser.add_argument_group("the training"))
    _add_options_of_several(parser.add_argument_group("several networks"))
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="show no progress and no notes")
    return parser


def _add_table_options(group: Group) -> None:
    group.add_argument(
        "--task", choices=["classification", "regression"],
        help="default: classification of texts, regression of numbers; whole numbers are classes "
        f"if there are at most {tables.FEW_NUMBERS} different ones, with {tables.ROWS_PER_NUMBER} "
        "rows or more for each on average",
    )  # fmt: skip
    group.add_argument("--drop", metavar="COLUMNS", type=names, default=[],
                       help="columns to leave out, such as id,name")  # fmt: skip
    add_value_options(group)
    group.add_argument("--test", metavar="FRACTION", type=fraction("test"), default=0.2,
                       help="fraction of the rows held out for the scores (default: 0.2; 0: no "
                       "scores)")  # fmt: skip
    group.add_argument("--require", metavar="CONDITIONS", type=conditions, default=[],
                       help="save no network, and exit with code 3, unless the scores meet "
                       "conditions such as r2>=0.8, or are better than the baseline's (baseline)"
                       )  # fmt: skip
    group.add_argument("--validation", metavar="FRACTION", type=fraction("validation"),
                       default=None, help="fraction of the other rows that decides which epoch's "
                       "weights are kept; with the preset good each network has its own rows "
                       f"({shown('validation')}; 0: train all epochs)")  # fmt: skip
    group.add_argument("--no-refit", dest="refit", action="store_false", default=None,
                       help="save the networks that were scored, which have not seen the test "
                       "rows; do not train again on all rows")  # fmt: skip


def _add_network_options(group: Group) -> None:
    group.add_argument("--preset", choices=NAMES, default=None,
                       help="good: several wide networks with rich encodings of the columns, whose "
                       "predictions are averaged (the default); plain: one network with plain "
                       "encodings, in much less time (the default with --optimizer, --l2, "
                       "--patience, --by and --search, which only plain has)")  # fmt: skip
    group.add_argument("--hidden", metavar="UNITS", type=units, default=None,
                       help=f"units of the hidden layers ({shown('hidden')}; none: a linear "
                       "model)")  # fmt: skip
    group.add_argument("--activation", choices=activations.HIDDEN, default=None, metavar="NAME",
                       help=f"activation of the hidden layers ({shown('activation')}): "
                       f"{', '.join(activations.HIDDEN)}")  # fmt: skip
    group.add_argument("--dropout", metavar="RATE", type=fraction("dropout"), default=None,
                       help="dropout rate of the hidden layers' outputs "
                       f"({shown('dropout')})")  # fmt: skip
    group.add_argument("--l2", metavar="STRENGTH", default=None,
                       type=checked(_checks.number, "l2", low=0.0),
                       help="strength of the penalty on squared weights (default: 0); plain only"
                       )  # fmt: skip
    group.add_argument("--dtype", choices=list(POLICIES), default="float32",
                       help="precision of weights and arithmetic (default: float32)")  # fmt: skip


def _add_training_options(group: Group) -> None:
    group.add_argument("--loss", metavar="NAME", type=objective, default=None,
                       help=f"loss of a regression: {', '.join(LOSSES)} (default: squared_error); "
                       "quantile:0.9 for another quantile, huber:2 for another delta, in standard "
                       "deviations of the target")  # fmt: skip
    group.add_argument("--class-weight", metavar="WEIGHTS", type=class_weights, default=None,
                       help="balanced, to give all classes the same total weight, or weights such "
                       "as yes=5,no=1")  # fmt: skip
    group.add_argument("--epochs", metavar="N", type=count("epochs"), default=None,
                       help="maximum number of epochs (default: 50, adjusted within 4 to 150 to "
                       "make 3,000 to 8,000 updates; plain: 200)")  # fmt: skip
    group.add_argument("--patience", metavar="N", type=count("patience", 0), default=None,
                       help="stop after this many epochs without a lower validation loss, and keep "
                       "the weights of the best epoch (default: 10); plain only")  # fmt: skip
    group.add_argument("--batch-size", metavar="N", type=count("batch size"), default=None,
                       help=f"rows per update ({shown('batch_size')})")  # fmt: skip
    group.add_argument("--optimizer", choices=optimizers.NAMES, default=None,
                       help="update rule (default: adam, or adamw with --weight-decay); plain only"
                       )  # fmt: skip
    group.add_argument("--learning-rate", metavar="RATE", default=None,
                       type=checked(_checks.number, "learning rate", above=0.0),
                       help="largest learning rate (default: "
                       f"{DEFAULTS['good']['learning_rate']}; plain: the optimizer's, 0.001 for "
                       "adam)")  # fmt: skip
    group.add_argument("--weight-decay", metavar="RATE", default=None,
                       type=checked(_checks.number, "weight decay", low=0.0),
                       help="decoupled weight decay (default: "
                       f"{DEFAULTS['good']['weight_decay']}; plain: 0)")  # fmt: skip
    group.add_argument("--seed", metavar="N", type=count("seed", 0), default=0,
                       help="seed of all random numbers; the same seed gives the same file "
                       "(default: 0)")  # fmt: skip
    group.add_argument("--threads", metavar="N", type=count("threads", 1, 256), default=None,
                       help="training threads (default: the available CPUs)")  # fmt: skip


def _add_options_of_several(group: Group) -> None:
    one = group.add_mutually_exclusive_group()
    one.add_argument("--ensemble", metavar="N", type=count("ensemble", 1, 10_000), default=None,
                     help="train N networks with different seeds; predicted numbers and "
                     "probabilities are means over the networks, with standard deviations "
                     f"({shown('ensemble')})")  # fmt: skip
    one.add_argument("--by", metavar="COLUMN", default=None,
                     help="train one network for each value of a column, on the rows with this "
                     "value")  # fmt: skip
    one.add_argument("--search", metavar="BUDGET", type=several.budget, default=None,
                     help="search for good hidden layers, dropout, batch size and learning rate, "
                     "and save the network with the lowest validation loss; the budget is a "
                     "number of trials such as 50, or a time such as 10min, after which no new "
                     "trial begins")  # fmt: skip
