"""Tables from files: CSV, Parquet and the files of NumPy.

Here: `read`, and which columns a file has. Not here: the text of CSV (csv_files.py), and the kind
that a column gets (columns.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _checks
from fastnn.tabular.columns import Source, column_of
from fastnn.tabular.csv_files import open_csv
from fastnn.tabular.errors import (
    TableError,
    one_line_about,
    polars_for,
    polars_path,
    require_columns,
)
from fastnn.tabular.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars
    from numpy.typing import NDArray

    from fastnn.tabular.columns import Raw

#: Texts that stand for a missing value, besides the empty text.
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A")

_ENDINGS = ".csv, .csv.gz, .tsv, .tsv.gz, .parquet, .npz or .npy"


def read(
    path: str | os.PathLike[str],
    *,
    kinds: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Table:
    """Read a table.

    Parameters
    ----------
    path : str or path
        A file whose name ends with .csv or .tsv (optionally followed by .gz), .parquet, .npz
        (named arrays: the columns of a matrix "X" are called "X0", "X1", ...) or .npy (a matrix,
        whose columns are called "0", "1", ..., or records). "-" is CSV from standard input.
    kinds : dict of str to str, optional
        The kind, "number" or "category", that a column must have. By default a column of a CSV
        file is of numbers if all its values are; in other files the type of a column decides.
    only : list of str, optional
        The columns to read; ``table.others`` names the rest. By default all.
    drop : list of str, optional
        Columns to leave out.
    missing : list of str, optional
        Texts that stand for a missing value, besides those of `MISSING`.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        If the file is not such a table, lacks a column, or a column cannot have its kind.
    ImportError
        If polars is needed but not installed.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from fastnn import tables
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/few.npz", age=[31, 47], name=["Ann", "Bo"])
    ...     table = tables.read(f"{folder}/few.npz")
    >>> table.columns["age"].values, table.columns["name"].texts
    (array([31., 47.]), ['Ann', 'Bo'])
    """
    path = _checks.file_path("path", path)
    file = _open(path)
    require_columns(path, [*drop, *(only or ())], file.names)
    wanted = [name for name in file.names if (only is None or name in only) and name not in drop]
    raw = file.load(wanted)
    source = Source(path, file.is_plain_text, [*MISSING, *missing])
    kinds = kinds or {}
    columns = {name: column_of(source, name, raw[name], kinds.get(name)) for name in wanted}
    n = max((len(values) for values in raw.values()), default=0)
    if n == 0:
        raise TableError(f"{path} has no rows; add at least one")
    return Table(path, n, columns, [name for name in file.names if name not in columns])


class _File(NamedTuple):
    """An open table: names of its columns, a function that loads some, whether all is text."""

    names: list[str]
    load: Callable[[list[str]], Mapping[str, Raw]]
    is_plain_text: bool


def _open(path: str) -> _File:
    """Open a table by the ending of its name."""
    ending = os.path.splitext(path.removesuffix(".gz"))[1].lower()
    if path == "-" or ending in (".csv", ".tsv"):
        return _File(*open_csv(path, "\t" if ending == ".tsv" else None), is_plain_text=True)
    if path.endswith(".gz") or ending not in (".parquet", ".npz", ".npy"):
        raise TableError(f"{path!r} must end with {_ENDINGS}; convert the file, or rename it")
    if ending == ".parquet":
        return _File(*_open_parquet(path), is_plain_text=False)
    arrays = _arrays(path)
    return _File(list(arrays), lambda names: {name: arrays[name] for name in names}, False)


def _open_parquet(path: str) -> tuple[list[str], Callable[[list[str]], dict[str, polars.Series]]]:
    """Return the names of a Parquet file's columns, and a function that loads some."""
    pl = polars_for(path)
    errors = pl.exceptions.PolarsError, pl.exceptions.PanicException
    with open(path, "rb") as file, one_line_about(path, "Parquet", *errors):
        names = list(pl.read_parquet_schema(file))

    def load(some: list[str]) -> dict[str, polars.Series]:
        with one_line_about(path, "Parquet", *errors):
            source = polars_path(path)
            frame: polars.DataFrame = pl.read_parquet(source, columns=some, glob=False)
            columns: dict[str, polars.Series] = frame.to_dict()
        return columns

    return names, load


def _arrays(path: str) -> dict[str, NDArray[Any]]:
    """Return the columns of a .npy or .npz file by name."""
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            found = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (FileNotFoundError, IsADirectoryError, PermissionError, MemoryError):
        raise
    except Exception as error:  # a damaged file may make zipfile and NumPy raise anything
        raise TableError(
            f"{path} is not a file of NumPy arrays, is damaged, or holds Python objects; save "
            "numbers and strings with numpy.save or numpy.savez"
        ) from error
    columns: dict[str, NDArray[Any]] = {}
    for key, array in found.items():
        if array.dtype.names and array.ndim == 1:
            columns |= {key + name: array[name] for name in array.dtype.names}
        elif array.ndim == 2 and (array.shape[1] != 1 or not key):
            columns |= {f"{key}{j}": array[:, j] for j in range(array.shape[1])}
        elif array.ndim in (1, 2) and key:
            columns[key] = array.reshape(-1)
        else:
            what = repr(key) if key else "its array"
            raise TableError(f"{path}: {what} has shape {array.shape}; it must be (n, columns)")
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name!r} {len(column)}" for name, column in columns.items())
        raise TableError(f"{path} has columns of different lengths: {lengths}; make them equal")
    return columns
