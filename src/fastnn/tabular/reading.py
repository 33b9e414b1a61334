"""Reading tables from files and from data frames.

Here: `read`, the file formats, and which columns are read. Not here: the text of CSV files
(csv_files.py), data frames (frames.py), the kind of a column (columns.py).
"""

from __future__ import annotations

import codecs
import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastnn import _checks
from fastnn.tabular import remedies
from fastnn.tabular.columns import Source, column_of
from fastnn.tabular.csv_files import CsvFile
from fastnn.tabular.errors import (
    FRAME,
    TableError,
    listed,
    one_line_about,
    polars_for,
    require_columns,
)
from fastnn.tabular.frames import Frame
from fastnn.tabular.naming import matching
from fastnn.tabular.table import DATES, KINDS, Table
from fastnn.tabular.text_files import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastnn.tabular.columns import Raw

#: Texts that stand for missing values, besides the empty text.
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A", "NaT")

#: Endings of text files; the separator of most of them is detected.
TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".psv", ".arff")

#: Endings of all files that `read` can read, except the compressed ones.
TABLE_ENDINGS = (*TEXT_ENDINGS, ".parquet", ".arrow", ".feather", ".jsonl", ".ndjson", ".npz",
                 ".npy")  # fmt: skip

#: Endings of files that hold tables which `read` cannot read.
WORKBOOKS = (".xls", ".xlsx", ".ods")

#: Endings of compressed text files, which follow another ending.
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
_ENDINGS = ".csv, .tsv, .txt or .dat (also with .gz, .bz2, .xz or .zip), .parquet, .arrow, \
.feather, .jsonl, .npz or .npy"


def read(
    data: Any,
    *,
    kinds: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    missing: Sequence[str | float] = (),
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool = True,
) -> Table:
    """Read a table from a file or a data frame.

    Parameters
    ----------
    data : str, path, data frame, dict or ndarray
        A data frame of pandas, polars or Arrow, a dict of columns, an array of rows whose columns
        are called "x0", "x1", ..., or a file. The name of a file ends with .csv, .tsv, .txt, .dat
        or the like (optionally followed by .gz, .bz2, .xz or .zip), .parquet, .arrow, .feather,
        .jsonl, .npz (named arrays: the columns of a matrix "X" are called "X0", "X1", ...) or .npy
        (a matrix, whose columns are called "0", "1", ..., or records). "-" is CSV from standard
        input. Blank lines of a text file are skipped, except in a file of a single column, where
        they are missing values.
    kinds : dict of str to str, optional
        The kind that a column must have: "number", "category", "date", "day-first date"
        (31/1/2020) or "month-first date" (1/31/2020). For "date", the texts decide whether the day
        or the month is first. If no date of the column has a number above 12 before its year,
        1/2/2020 is read with the month first (``table.notes`` says so), but 1.2.2020 and 1-2-2020
        with the day first. By default a column of a text file holds numbers if all its values
        are numbers, and dates if all have the form of a date; in other files and in frames, the
        type of the column decides. pandas' categories and Arrow's dictionaries are categories,
        unless they hold times; times of day and differences of times are numbers, in seconds.
    only : list of str, optional
        The columns to read; ``table.others`` names the rest. By default all. A column whose name
        differs only in case, spaces or punctuation is accepted, with a note.
    drop : list of str, optional
        Columns to leave out.
    missing : list of str or number, optional
        Texts that stand for a missing value, besides those of ``MISSING``. A number stands for its
        text: -99 for "-99".
    separator, decimal, encoding : str, optional
        The format of a text file. By default the separator is the one of ``, ; | tab space`` that
        the first lines have in common, the decimal point is found from the values, and the encoding
        is UTF-8, UTF-16 or, if it is neither, Windows-1252; ``table.notes`` says what was found.
        ``table.decimal`` is the decimal point, which a recipe keeps for further files.
    header : bool, default True
        Whether the first line of a text file has the names of the columns. If not, they are named
        "0", "1", ...

    Returns
    -------
    Table

    Raises
    ------
    TableError
        If the file is not a table, lacks a column, or a column cannot have the stated kind.
    ValueError
        If an argument is invalid.
    TypeError
        If an argument has the wrong type, such as a text in place of a list of texts.
    ImportError
        If polars is needed but not installed.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from fastnn import tables
    >>> table = tables.read({"age": [31, 47], "name": ["Ann", "Bo"]})
    >>> table.columns["age"].values, table.columns["name"].texts
    (array([31., 47.]), ['Ann', 'Bo'])
    """
    return read_as(
        data, Form(separator, decimal, encoding, header), kinds, only, drop=drop, missing=missing
    )


def read_as(
    data: Any,
    form: Form,
    kinds: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    *,
    drop: Sequence[str] = (),
    missing: Sequence[str | float] = (),
    is_learned: bool = False,
    of_matrix: bool = True,
) -> Table:
    """Read a table as `read` does; `form` says how a text file is written.

    `is_learned` says that the kinds are those of a recipe, so that a date does not depend on the
    other rows; `of_matrix` says that the names in `only` may be those of a matrix.
    """
    kinds = _checks.kinds_of_columns({} if kinds is None else kinds, KINDS)
    drop = _checks.listed_texts("drop", drop)
    missing = _checks.listed_texts("missing", missing)
    only = None if only is None else _checks.listed_texts("only", only)
    stand_for_missing = [*MISSING, *map(str, missing)]
    path, file = _opened(data, form, stand_for_missing)
    require_columns(path, drop, file.names)
    left_out = set(drop)
    wanted = [name for name in file.names if name not in left_out] if only is None else only
    is_array = file.is_matrix and not isinstance(file, CsvFile)
    found, renamed = matching(path, wanted, file.names, is_array, of_matrix)
    require_columns(path, [name for name in kinds if name not in found], file.names)
    raw = file.load(list(found.values()))
    found_decimal = file.decimal_of(raw, stand_for_missing) if isinstance(file, CsvFile) else None
    source = Source(
        path,
        file.is_plain_text,
        stand_for_missing,
        found_decimal or ".",
        {**form.thousands},
        has_learned_kinds=is_learned,
    )
    columns = {
        name: column_of(source, name, raw[there], kinds.get(name)) for name, there in found.items()
    }
    n = max((len(values) for values in raw.values()), default=0)
    if n == 0:
        raise TableError(f"{path} has no rows; add at least one")
    notes = [*file.notes, *_placeholders(source), *_guesses(source), *renamed]
    used = set(found.values())
    others = [name for name in file.names if name not in used]
    return Table(path, n, columns, others, notes, found_decimal, source.thousands, file.is_matrix)


def _placeholders(source: Source) -> list[str]:
    """Return a note for each text that was read as a missing number."""
    return [
        f"read {text!r} as missing in column{'s' if len(names) > 1 else ''} {listed(names)}"
        for text, names in source.placeholders.items()
    ]


def _guesses(source: Source) -> list[str]:
    """Return a note for each column of dates whose order of day and month is a guess."""
    return [
        f"column {name!r} holds dates such as {text!r}, and no value shows whether the day or the "
        "month is first; they were read with the month first; if the day is first, state it in "
        f"training: {remedies.as_date(source.path, name, DATES[1])}"
        for name, text in source.guesses.items()
    ]


# ---- tables of all kinds -------------------------------------------------------------------------


@dataclass
class _Arrays:
    """An open file of arrays with its columns in memory, which have positions, not names."""

    columns: Mapping[str, Raw]
    notes: list[str] = field(default_factory=list)
    is_plain_text = False
    is_matrix = True

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.columns)

    def load(self, names: list[str]) -> dict[str, Raw]:
        """Return some columns."""
        return {name: self.columns[name] for name in names}


@dataclass
class _Lazy:
    """An open table in a file; a function loads its columns."""

    names: list[str]
    load: Callable[[list[str]], Mapping[str, Raw]]
    notes: list[str] = field(default_factory=list)
    is_plain_text = False
    is_matrix = False


def _opened(
    data: Any, form: Form, missing: Sequence[str]
) -> tuple[str, CsvFile | Frame | _Arrays | _Lazy]:
    """Return the name of a table in messages, and the open table.

    `missing` are the texts that stand for a missing value.
    """
    if isinstance(data, str | os.PathLike):
        path = _checks.file_path("data", data)
        return path, _open(path, form)
    return FRAME, Frame(data, FRAME, missing)


def _open(path: str, form: Form) -> CsvFile | _Arrays | _Lazy:
    """Open a table according to the ending of its file name."""
    if path != "-" and os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise TableError(  # a file is opened several times, and a pipe would wait forever
            f"{path!r} is a device or a pipe; pass CSV as standard input, '-', or copy it to a file"
        )
    stem, ending = os.path.splitext(path)
    ending = ending.lower()
    inner = os.path.splitext(stem)[1].lower() if ending in COMPRESSED else ending
    if path == "-" or inner in TEXT_ENDINGS:
        return CsvFile(path, form)
    if ending in (".npz", ".npy"):
        return _Arrays(_arrays(path))
    if ending in WORKBOOKS:
        raise TableError(f"{path!r} is a workbook; save the sheet as CSV")
    if inner != ending or ending not in _FRAMES:
        raise TableError(f"{path!r} must end with {_ENDINGS}; convert the file, or rename it")
    return _open_frame(path, *_FRAMES[ending])


#: How polars reads other files: the name of the format in messages, the function that returns the
#: column names, and the function that reads the columns.
_FRAMES = {
    ".parquet": ("Parquet", "read_parquet_schema", "read_parquet"),
    ".arrow": ("Arrow", "read_ipc_schema", "read_ipc"),
    ".feather": ("Arrow", "read_ipc_schema", "read_ipc"),
    ".jsonl": ("JSON lines", "", "read_ndjson"),
    ".ndjson": ("JSON lines", "", "read_ndjson"),
}


#: All rows of JSON lines decide which columns there are, and their types.
_EVERY_ROW = {"infer_schema_length": None}


def _open_frame(path: str, form: str, schema: str, function: str) -> _Lazy:
    """Open a file that polars reads as a data frame."""
    pl = polars_for(path)
    errors = pl.exceptions.PolarsError, pl.exceptions.PanicException
    read_some = getattr(pl, function)

    def load(some: list[str]) -> Mapping[str, Raw]:
        with _binary(path) as file, one_line_about(path, form, *errors):
            options = {"columns": some} if schema else _EVERY_ROW
            columns: Mapping[str, Raw] = read_some(file, **options).select(some).to_dict()
        return columns

    with _binary(path) as file, one_line_about(path, form, *errors):
        names = getattr(pl, schema)(file) if schema else read_some(file, **_EVERY_ROW).columns
    return _Lazy(list(names), load)


@contextlib.contextmanager
def _binary(path: str) -> Iterator[BinaryIO]:
    """Open a file, after the byte order mark that some programs write before JSON.

    An open file, since polars takes [, * and ? in a path for a pattern of several files.
    """
    with open(path, "rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        yield file


def _arrays(path: str) -> dict[str, NDArray[Any]]:
    """Return the columns of a .npy or .npz file by name."""
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            found = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (FileNotFoundError, IsADirectoryError, PermissionError, MemoryError):
        raise
    except Exception as error:  # zipfile and NumPy raise any error for a damaged file
        raise TableError(
            f"{path} is not a file of NumPy arrays, is damaged, or holds Python objects; save "
            "numbers and strings with numpy.save or numpy.savez"
        ) from error
    columns: dict[str, NDArray[Any]] = {}
    for key, array in found.items():
        if array.dtype.names and array.ndim == 1:
            some = {key + name: array[name] for name in array.dtype.names}
        elif array.ndim == 2 and (array.shape[1] != 1 or not key):
            some = {f"{key}{j}": array[:, j] for j in range(array.shape[1])}
        elif array.ndim in (1, 2) and key:
            some = {key: array.reshape(-1)}
        else:
            what = repr(key) if key else "its array"
            raise TableError(f"{path}: {what} has shape {array.shape}; it must be (n, columns)")
        repeated = next((name for name in some if name in columns), None)
        if repeated is not None:
            raise TableError(
                f"{path} has two columns {repeated!r}, as the columns of a matrix 'X' are called "
                "'X0', 'X1', ...; rename an array"
            )
        columns |= some
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name!r} {len(column)}" for name, column in columns.items())
        raise TableError(f"{path} has columns of different lengths: {lengths}; make them equal")
    return columns
