"""CSV files by polars: their separator, the names of their columns, and what is wrong with one.

Here: text files only. Every column is loaded as strings; columns.py says which are numbers. Not
here: other forms of files (reading.py).
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import sys
import zlib
from typing import TYPE_CHECKING, Any, TextIO

from fastnn.tabular.errors import TableError, one_line_about, polars_for, polars_path

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars


def open_csv(
    path: str, separator: str | None
) -> tuple[list[str], Callable[[list[str]], dict[str, polars.Series]]]:
    """Return the names of a CSV file's columns, and a function that loads some as strings.

    The path "-" is standard input. Without a separator it is found in the first line.
    """
    pl = polars_for(path)
    if path == "-" and sys.stdin is None:
        raise TableError("standard input is closed; name a file")
    if path != "-":
        open(path, "rb").close()  # its errors say more than those of polars
    content = sys.stdin.buffer.read() if path == "-" else None
    with one_line_about(path, "CSV", EOFError, zlib.error):
        found = separator or _separator(path, content)

    def parse(**options: Any) -> Any:
        file = polars_path(path) if content is None else io.BytesIO(content)
        options |= {"infer_schema_length": 0, "separator": found, "glob": False}
        try:
            with one_line_about(path, "CSV", pl.exceptions.PanicException):
                return pl.read_csv(file, **options)
        except pl.exceptions.NoDataError as error:
            raise TableError(
                f"{path} is empty; it needs a line of column names and rows below it"
            ) from error
        except pl.exceptions.PolarsError as error:
            raise TableError(_complaint(path, content, found, error)) from error

    written = parse(n_rows=0).columns
    names = [name.strip() for name in written]
    _refuse_repeated(path, names)

    def load(some: list[str]) -> dict[str, polars.Series]:
        read = [*(written[names.index(name)] for name in some), written[-1]]
        frame = parse(columns=list(dict.fromkeys(read)))
        if len(written) > 1 and frame[written[-1]].null_count():  # polars fills short rows
            _refuse_short_rows(path, content, found, len(written))
        return dict(zip(some, frame.select(read[:-1]).get_columns(), strict=True))

    return names, load


def _refuse_repeated(path: str, names: list[str]) -> None:
    """Check that no name occurs twice; polars renames the second to NAME_duplicated_0."""
    for i, name in enumerate(names):
        renamed = re.fullmatch(r"(.*)_duplicated_\d+", name)
        original = renamed[1] if renamed and renamed[1] in names else name
        if original in names[:i]:
            raise TableError(f"{path} has two columns {original!r}; rename one of them")


def _refuse_short_rows(path: str, content: bytes | None, separator: str, width: int) -> None:
    """Check that every row but empty lines has as many fields as there are names."""
    with contextlib.suppress(csv.Error), _lines(path, content) as lines:
        rows = csv.reader(lines, delimiter=separator)
        for row in rows:
            if 0 < len(row) < width:
                plural = "s" if len(row) > 1 else ""
                raise TableError(
                    f"{path} has {len(row)} field{plural} in line {rows.line_num}, but {width} "
                    "names in its first line; the file may be cut off: complete the line, or "
                    "write missing values as empty fields"
                )


def _lines(path: str, content: bytes | None) -> TextIO:
    """Return a CSV file, or the content of standard input, opened as text."""
    if content is not None:
        return io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="replace", newline="")
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="")
    return open(path, encoding="utf-8", errors="replace", newline="")


def _separator(path: str, content: bytes | None) -> str:
    """Return the most frequent separator in the first line: a comma, a semicolon or a tab."""
    with _lines(path, content) as lines:
        names = re.sub(r'"[^"]*"', "", lines.readline(2**20))
    return max(",;\t", key=names.count)


def _complaint(path: str, content: bytes | None, separator: str, error: Exception) -> str:
    """Return what is wrong with a CSV file, and where."""
    first = str(error).partition("\n")[0]
    if "utf-8" in first:
        return f"{path} is not UTF-8 text; save it as UTF-8"
    if "more fields" in first:
        with contextlib.suppress(csv.Error), _lines(path, content) as lines:
            rows = csv.reader(lines, delimiter=separator)
            width = len(next(rows))
            for row in rows:
                if len(row) > width:
                    return (
                        f"{path} has {len(row)} fields in line {rows.line_num}, but {width} names "
                        "in its first line; correct the line, or quote fields that contain the "
                        "separator"
                    )
    return f"{path} cannot be read as CSV: {first}; look for a quote that is never closed"
