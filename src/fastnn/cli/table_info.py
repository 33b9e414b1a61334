"""`fastnn info` of a table: how its columns are read, without training.

Not here: networks (info.py), and how the kind of a column is found (tabular/).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import tables
from fastnn.cli.options import form_of, require_one_kind, stated_kinds
from fastnn.cli.output import abbreviated, counted, log, one_line, print_now
from fastnn.tabular.codes import is_missing
from fastnn.tabular.numbers import in_four_digits
from fastnn.tabular.remedies import option, shell_argument, shell_path

if TYPE_CHECKING:
    import argparse

    from fastnn.tables import Column


def show(options: argparse.Namespace) -> int:
    """Print the columns of a table; return the exit code."""
    path, stated = options.model, stated_kinds(options)
    require_one_kind(stated)
    kinds = {name: kind for name, kind, _ in stated}
    table = tables.read(path, kinds=kinds, missing=options.missing, **form_of(options))
    described = [_described(column, table.n) for column in table.columns.values()]
    if options.json:
        print_now(json.dumps({"table": path, "rows": table.n, "columns": described}) + "\n")
        return 0
    for note in table.notes:
        log(f"note: {note}")
    names = [one_line(column["name"]) for column in described]
    width = max(map(len, names))
    lines = [f"{counted(table.n, 'row')}, {counted(len(described), 'column')}\n\n"]
    for name, found in zip(names, described, strict=True):
        missing = f"; {found['missing']:,} missing" if found["missing"] else ""
        lines.append(f"{name:<{width}}  {found['kind']}{_range(found)}{missing}\n")
    train = " ".join(["fastnn train", shell_path(path), *_stated(options)])
    lines.append(f"\nto train on it: {train} --target COLUMN --out FILE\n")
    print_now("".join(lines))
    return 0


def _stated(options: argparse.Namespace) -> list[str]:
    """Return the options that say how the table is read, quoted for a shell."""
    lists = {"--categorical": options.categorical, "--day-first": options.day_first,
             "--month-first": options.month_first, "--missing": options.missing}  # fmt: skip
    texts = {"--separator": options.separator, "--decimal": options.decimal,
             "--encoding": options.encoding}  # fmt: skip
    return [
        *(option(name, values) for name, values in lists.items() if values),
        *(f"{name} {shell_argument(text)}" for name, text in texts.items() if text is not None),
        *(["--no-header"] if options.no_header else []),
    ]


def _described(column: Column, n: int) -> dict[str, Any]:
    """Return a column's name, kind, range or texts, and number of missing values."""
    found: dict[str, Any] = {"name": column.name, "kind": column.kind, "missing": 0}
    if len(column.values) == 0:
        return found
    missing = is_missing(column.values)
    found["missing"] = int(missing.sum())
    if column.kind == "category":
        return found | {"texts": column.texts}
    if found["missing"] == n:
        return found
    low, high = column.values[~missing].min(), column.values[~missing].max()
    if column.kind != "number":
        low, high = (str(np.datetime64(int(value), "s"))[:10] for value in (low, high))
    return found | {"from": low, "to": high}


def _range(found: dict[str, Any]) -> str:
    """Return the range or the texts of a column as text."""
    if "texts" in found:
        return f", {counted(len(found['texts']), 'text')}: {abbreviated(found['texts'], 6)}"
    if "from" not in found:
        return ""
    ends = (found["from"], found["to"])
    low, high = map(in_four_digits, ends) if found["kind"] == "number" else ends
    return f" from {low} to {high}"
