"""`fastnn info`: what a saved network predicts, from which columns, and how well; or a table.

Not here: the description of a table (table_info.py), the summary of layers (inspection.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn
from fastnn import _checks, inspection
from fastnn.cli import table_info
from fastnn.cli.loading import is_table, model, network
from fastnn.cli.options import add_form_options, add_value_options
from fastnn.cli.output import abbreviated, one_line, print_now, protect, two_columns
from fastnn.cli.result_text import best_epoch_note, epochs, refit_note, score_table, task_facts
from fastnn.exchange import model_files
from fastnn.tabular.codes import Ordered, Value
from fastnn.tabular.numbers import in_four_digits
from fastnn.tabular.scores import SCORES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from fastnn.cli.options import Commands
    from fastnn.losses import Loss
    from fastnn.many import Fits
    from fastnn.mlp import MLP
    from fastnn.tables import Recipe
    from fastnn.tabular.encoding import Entry


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "info",
        help="describe a network or a table",
        description="Describe a saved network: its target, its columns, its scores and its layers. "
        "For a table, show how its columns are read.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="a model file, or a table; - is CSV from "
                        "standard input")  # fmt: skip
    add_value_options(parser.add_argument_group("the columns of a table"))
    add_form_options(parser.add_argument_group("the format of a text file"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Describe a network; return the exit code."""
    protect([options.model])
    if options.model == "-" or is_table(options.model):
        return table_info.show(options)
    recipe, record, several = None, {}, {}
    if model_files.has_many(options.model):
        fits = fastnn.load_many(options.model)
        net, several = fits[0], _of_many(fits)
    else:
        net = network(options.model)
    if _checks.is_recipe(net.metadata.get("table")):
        recipe = model(options.model)[1]
        if "training" in net.metadata:
            record = _record(options.model, net)
    if options.json:
        described = {
            "model": options.model,
            "task": recipe and recipe.task,
            "n_inputs": net.n_in,
            "n_outputs": net.n_out,
            "n_parameters": net.n_parameters,
            "epochs": net.epoch,
            **several,
            "inputs": None if net.feature_names is None else list(net.feature_names),
            "table": recipe and recipe.to_plain(),
            "training": record or None,
            "config": net.get_config(),
        }
        print_now(json.dumps(described) + "\n")
        return 0
    text = "" if recipe is None else _of_recipe(recipe, record, net.loss) + "\n"
    if several:
        text = two_columns(_described(several)) + text
    print_now(text + inspection.summary(net) + "\n")
    return 0


def _of_many(fits: Fits) -> dict[str, Any]:
    """Return the facts about a file of many networks that do not apply to one network."""
    kinds = [status.kind for status in fits.statuses]
    groups = None if fits.groups is None else [str(label) for label in fits.groups]
    return {
        "n_networks": len(fits),
        "statuses": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "groups": groups,
        "interrupted": fits.interrupted,
    }


def _described(several: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a name and a text that describe many networks."""
    statuses = ", ".join(f"{n} {kind}" for kind, n in several["statuses"].items())
    yield "networks", f"{several['n_networks']}: {statuses}; the first is shown"
    if several["groups"] is not None:
        yield "groups", abbreviated(several["groups"])


def _record(path: str, net: MLP) -> dict[str, Any]:
    """Return the training record that `fastnn train` stores in the file."""
    try:
        return _checks.training_record(net.metadata["training"], tuple(SCORES))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}; {_checks.RESTORE}") from error


def _of_recipe(recipe: Recipe, record: dict[str, Any], loss: Loss) -> str:
    """Return a text on what a network predicts, from which columns, and how well."""
    pairs = list(task_facts(recipe, record))
    if recipe.classes is not None:
        pairs.insert(1, ("classes", abbreviated([*map(str, recipe.classes)])))
    if record:
        best = best_epoch_note(record)
        how = f"{epochs(record)}{refit_note(record)}{best and f', {best}'}, seed {record['seed']}"
        pairs.append(("training", f"{how}, fastnn {record['fastnn']}"))
    if recipe.ignored:
        left_out = [f"{one_line(name)} ({why})" for name, why in recipe.ignored.items()]
        pairs.append(("ignored", abbreviated(left_out)))
    names = [one_line(column.name) for column in recipe.columns]
    width = max(map(len, names))
    rows = (
        f"{name:<{width}}  {_of_column(column)}\n"
        for name, column in zip(names, recipe.columns, strict=True)
    )
    scores = score_table(recipe, record, loss) if record else ""
    return two_columns(pairs) + scores + "\n" + "".join(rows)


def _of_column(column: Entry) -> str:
    """Return a description of the values that a column takes."""
    if column.category is not None:
        other = "; any other text counts as (other)" if column.category.other else ""
        missing = "; or missing" if column.takes_missing else ""
        order = ", in this order" if isinstance(column.category, Ordered) else ""
        return f"one of {abbreviated(column.category.texts, 8)}{order}{other}{missing}"
    missing = ", with an input that indicates it" if column.takes_missing else ""
    fill = next((code.fill for code in column.codes if isinstance(code, Value)), 0.0)
    if column.kind == "number":
        return f"a number; {in_four_digits(fill)} if missing{missing}"
    day = str(np.datetime64(int(fill), "s"))[:10]
    return f"a {column.kind}; {day} if missing{missing}"
