"""`fastnn info` of a table: how its columns are read, without training.

Not here: networks (info.py), and how the kind of a column is found (tabular/).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import tables
from fastnn.cli.output import abbreviated, counted, one_line, print_now, tell
from fastnn.tabular.codes import is_missing
from fastnn.tabular.numbers import in_four_digits
from fastnn.tabular.remedies import shell_argument

if TYPE_CHECKING:
    from fastnn.tables import Column


def show(path: str, form: dict[str, Any], as_json: bool) -> int:
    """Print the columns of a table; return the exit code."""
    table = tables.read(path, **form)
    described = [_described(column, table.n) for column in table.columns.values()]
    if as_json:
        print_now(json.dumps({"table": path, "rows": table.n, "columns": described}) + "\n")
        return 0
    for note in table.notes:
        tell(f"note: {note}")
    names = [one_line(column["name"]) for column in described]
    width = max(map(len, names))
    lines = [f"{counted(table.n, 'row')}, {counted(len(described), 'column')}\n\n"]
    for name, found in zip(names, described, strict=True):
        missing = f"; {found['missing']:,} missing" if found["missing"] else ""
        lines.append(f"{name:<{width}}  {found['kind']}{_range(found)}{missing}\n")
    data = shell_argument(path)
    lines.append(f"\nto train on it: fastnn train {data} --target COLUMN --out FILE\n")
    print_now("".join(lines))
    return 0


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
