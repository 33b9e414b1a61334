"""`fastnn predict`: predictions for the rows of a table.

Not here: encoding rows and writing predictions (tabular/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import tables
from fastnn.cli import loading
from fastnn.cli.options import UsageError, add_form_options, form_of
from fastnn.cli.output import (
    abbreviated,
    counted,
    log,
    print_now,
    protect,
    require_ending,
    writing,
)

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from fastnn.cli.options import Commands
    from fastnn.tables import EncodedRows, Recipe, Table


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="predict the rows of a table with a network",
        description="Predict the rows of a table with a network from `fastnn train`. The result is "
        "a column with the name of the target, in the order of the rows. For an ensemble, a "
        "predicted number is the mean over the networks, and another column, such as price_std, "
        "has the standard deviation; a predicted class is the one with the highest mean "
        "probability.",
        epilog="Example: fastnn predict model.safetensors new.csv > predictions.csv",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="a file that `fastnn train` saved")
    parser.add_argument("data", metavar="DATA", help="a table, as for `fastnn train`; it needs the "
                        "columns used in training, in any order")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write to a file, not to standard output: "
                        ".csv, .parquet or .npy")  # fmt: skip
    parser.add_argument("--proba", action="store_true",
                        help="write the probabilities of the classes as well, and for an ensemble "
                        "their standard deviations")  # fmt: skip
    parser.add_argument("--unknown", choices=["error", "missing"], default="error",
                        help="whether a text that does not occur in the training rows is an error "
                        "or counts as missing (default: error); in a column with texts that were "
                        "rare in training, it counts as one of these instead")  # fmt: skip
    add_form_options(parser.add_argument_group("the format of a text file"))
    parser.add_argument("--json", action="store_true", help="print a JSON object for each row")
    parser.add_argument("--quiet", action="store_true", help="show no notes")


def run(options: argparse.Namespace) -> int:
    """Predict the rows of a table; return the exit code."""
    if options.out is not None and options.json:
        raise UsageError(
            "--json writes to standard output; leave out --out, or redirect the output: > FILE"
        )
    protect([options.model, options.data], {} if options.out is None else {"--out": options.out})
    if options.out is not None:
        require_ending("--out", options.out, tables.WRITTEN)
    model, recipe = loading.model(options.model)
    if options.proba and recipe.classes is None:
        raise UsageError(
            f"--proba needs a classifier, but {options.model} predicts numbers; leave out --proba"
        )
    if options.out is not None:
        with writing(options.out):
            tables.check_place(options.out, ())
    table = recipe.read(options.data, by=model.by, **form_of(options))
    groups = None if model.by is None else model.groups_of(table.path, table.column(model.by))
    rows = recipe.encode(table, options.unknown)
    if not options.quiet:
        _note(table, recipe, rows)
    outputs, spread = model.predict_encoded(rows, groups)
    if not options.quiet:
        _note_not_finite(outputs, spread, "; they are null" if options.json else "")
    if options.out is not None:
        with writing(options.out):
            tables.write(options.out, recipe, outputs, options.proba, spread)
        return 0
    text = tables.json_text if options.json else tables.csv_text
    for block in text(recipe, outputs, options.proba, spread):
        print_now(block)
    return 0


def _note_not_finite(outputs: NDArray[Any], spread: NDArray[Any] | None, shown: str) -> None:
    """Print how many rows have a prediction that is not finite; `shown` says how it is written."""
    numbers = outputs if spread is None else np.hstack([outputs, spread])
    n = len(numbers) - int(np.isfinite(numbers).all(axis=1).sum())
    if n:
        log(
            f"note: numbers of {counted(n, 'prediction')} are not finite{shown}: the rows are far "
            "from those of training"
        )


def _note(table: Table, recipe: Recipe, rows: EncodedRows) -> None:
    """Print which columns are not used, and which hold texts or missing values unlike training."""
    for note in table.notes:
        log(f"note: {note}")
    extra = [name for name in table.others if name != recipe.target and name not in recipe.ignored]
    if extra:
        plural = "s" if len(extra) > 1 else ""
        log(
            f"note: ignored column{plural} {abbreviated([*map(repr, extra)])}: not used in training"
        )
    for name, count in rows.replaced.items():
        log(f"note: column {name!r}: treated {counted(count, 'unknown text')} as missing")
    for name, count in rows.others.items():
        what = "rare or new text" if count == 1 else "rare or new texts"
        log(f"note: column {name!r}: {count:,} {what}, which count as (other)")
    had = {column.name for column in recipe.columns if column.takes_missing}
    for name, count in rows.n_missing().items():
        if name not in had:
            log(f"note: column {name!r}: {count:,} missing, but none in the training rows")
