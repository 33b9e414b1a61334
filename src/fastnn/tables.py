"""Tables: from a file to the numbers that a network takes, and from its outputs to a file.

`read` turns a file into columns of numbers and of texts. A `Recipe` is learned from the rows that a
network is trained on, and says what becomes of each column: which are numbers, what stands for a
missing one, which texts are the categories. It is plain data, kept in the metadata of the model's
file, so that `Recipe.encode` makes the same of new rows. `write` puts predictions into a file.

Here: what stands in tables, and the messages about that. Not here: networks and their training, and
what the command line says (cli.py). CSV and Parquet are read by polars, which is imported when it
is needed: ``pip install 'fastnn[cli]'``. A column is handled as a whole, no row by itself.
"""

import contextlib
import csv
import difflib
import gzip
import io
import json
import os
import re
import sys
import zlib
from dataclasses import asdict, dataclass, field

import numpy as np

from fastnn import _checks, _files

#: Texts that stand for a missing value, besides nothing at all.
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A")

#: The most categories that a column can have: each is an input of the network.
MAX_CATEGORIES = 256

#: The most classes that a target can have.
MAX_CLASSES = 4096

#: Whole numbers are classes if there are no more different ones, and so many rows for each.
FEW_NUMBERS, ROWS_PER_NUMBER = 20, 10

_BLOCK = 65536  # rows that are encoded and written together
_FORMAT = 1
_LARGEST = float(np.finfo(np.float32).max)
_DATE = r"^(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})([ T]\d{1,2}:\d{2}.*)?$"
_UNNAMED = ("", "Unnamed: 0", "__index_level_0__")  # where pandas and R leave their row numbers
_READ = ".csv, .csv.gz, .tsv, .tsv.gz, .parquet, .npz or .npy"

#: What predictions are written to.
WRITTEN = (".csv", ".parquet", ".npy")


class TableError(ValueError):
    """A table, or something in one, that cannot be used; the message says where, and what to do."""


@dataclass
class Column:
    """A column of n rows.

    Parameters
    ----------
    name : str
    kind : str
        "number", "category", "date", or what else it holds, which no network takes.
    values : ndarray of shape (n,), or None
        Numbers, NaN where they are missing; or each row's place in `texts`, -1 where it is missing.
    texts : list of str
        The different texts of a category, sorted; all of them occur.
    """

    name: str
    kind: str
    values: np.ndarray | None = None
    texts: list = field(default_factory=list)


@dataclass
class Table:
    """What was read of a file: its columns by name, how many rows, and the columns left out."""

    path: str
    n: int
    columns: dict
    others: list = field(default_factory=list)

    def column(self, name):
        """Return a column; a TableError says which ones there are."""
        _require(self.path, [name], [*self.columns, *self.others])
        return self.columns[name]


# ---- reading ------------------------------------------------------------------------------------


def read(path, *, kinds=None, only=None, drop=(), missing=()):
    """Read a table.

    Parameters
    ----------
    path : str or path
        Of a file that ends with .csv or .tsv (also with .gz behind it), .parquet, .npz (of named
        arrays: the columns of a matrix "X" are called "X0", "X1", ...) or .npy (a matrix, whose
        columns are called "0", "1", ..., or records). "-" is CSV from standard input.
    kinds : dict of str to str, optional
        Columns that must be of kind "number" or "category". By default a column of a CSV file is
        numbers if everything in it is one; of other files it is what its type says.
    only : list of str, optional
        The columns to read; the others' names are in ``table.others``. By default all.
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
        If it is no such table, lacks a column, or a column cannot be of its kind.
    ImportError
        If polars is needed, and not installed.
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
    path = os.fspath(path)
    names, load, is_plain_text = _opened(path)
    _require(path, [*drop, *(only or ())], names)
    wanted = [name for name in names if (only is None or name in only) and name not in drop]
    raw = load(wanted)
    how = _How(path, is_plain_text, [*MISSING, *missing])
    columns = {name: _column(how, name, raw[name], (kinds or {}).get(name)) for name in wanted}
    n = max((len(values) for values in raw.values()), default=0)
    if n == 0:
        raise TableError(f"{path} has no rows; nothing can be made of it")
    return Table(path, n, columns, [name for name in names if name not in columns])


@dataclass
class _How:
    """Of which file a column is, whether all is text there, and what stands for missing values."""

    path: str
    is_plain_text: bool
    missing: list


def _opened(path):
    """Return the names of a file's columns, what loads some of them, and whether all is text."""
    ending = os.path.splitext(path.removesuffix(".gz"))[1].lower()
    if path == "-" or ending in (".csv", ".tsv"):
        return *_opened_csv(path, "\t" if ending == ".tsv" else None), True
    if path.endswith(".gz") or ending not in (".parquet", ".npz", ".npy"):
        raise TableError(f"{path!r} must end with {_READ}; convert it, or give it its ending")
    if ending == ".parquet":
        return *_opened_parquet(path), False
    arrays = _arrays(path)
    return list(arrays), lambda names: {name: arrays[name] for name in names}, False


def _polars(path):
    """Return the module polars."""
    try:
        import polars
    except ImportError as error:
        raise ImportError(
            f"{path!r} needs polars, which is not installed; pip install polars, or use .npz"
        ) from error
    return polars


@contextlib.contextmanager
def _complaining(path, what, *kinds):
    """Turn another library's exceptions of some kinds into one line about the file."""
    try:
        yield
    except (OSError, *kinds) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's
            raise
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TableError(f"{path} cannot be read as {what}: {first}") from error


def _opened_csv(path, separator):
    """Return the names of a CSV file's columns, and what loads some of them as strings."""
    polars = _polars(path)
    if path != "-":
        open(path, "rb").close()  # whose errors are better than polars'
    content = sys.stdin.buffer.read() if path == "-" else None
    with _complaining(path, "CSV", EOFError, zlib.error):
        separator = separator or _separator(path, content)

    def parsed(**options):
        file = path if content is None else io.BytesIO(content)
        options |= {"infer_schema": False, "separator": separator, "glob": False}
        try:
            with _complaining(path, "CSV"):
                return polars.read_csv(file, **options)
        except polars.exceptions.NoDataError as error:
            raise TableError(f"{path} is empty; it takes a line of names and rows below") from error
        except polars.exceptions.PolarsError as error:
            raise TableError(_csv_complaint(path, content, separator, error)) from error

    def load(some):
        frame = parsed(columns=[names.index(name) for name in some])
        return dict(zip(some, frame.get_columns(), strict=True))

    names = [name.strip() for name in parsed(n_rows=0).columns]
    for i, name in enumerate(names):
        twice = re.fullmatch(r"(.*)_duplicated_\d+", name)
        original = twice[1] if twice and twice[1] in names else name
        if original in names[:i]:
            raise TableError(f"{path} has two columns {original!r}; rename one of them")
    return names, load


def _lines(path, content):
    """Return a CSV file's lines, as a text file."""
    if content is not None:
        return io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="replace", newline="")
    opened = gzip.open if path.endswith(".gz") else open
    return opened(path, "rt", encoding="utf-8", errors="replace", newline="")


def _separator(path, content):
    """Return what separates most names in the first line: a comma, a semicolon or a tab."""
    with _lines(path, content) as lines:
        names = re.sub(r'"[^"]*"', "", lines.readline(2**20))
    return max(",;\t", key=names.count)


def _csv_complaint(path, content, separator, error):
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
                        "in its first; mend the line, or quote fields that hold the separator"
                    )
    return f"{path} cannot be read as CSV: {first}; look for a quote that isn't closed"


def _opened_parquet(path):
    """Return the names of a Parquet file's columns, and what loads some of them."""
    polars = _polars(path)
    errors = polars.exceptions.PolarsError
    with open(path, "rb") as file, _complaining(path, "Parquet", errors):
        names = list(polars.read_parquet_schema(file))

    def load(some):
        with _complaining(path, "Parquet", errors):
            return polars.read_parquet(path, columns=some, glob=False).to_dict()

    return names, load


def _arrays(path):
    """Return the columns of a .npy or .npz file by their names."""
    try:
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            found = {"": found} if isinstance(found, np.ndarray) else dict(found)
    except (FileNotFoundError, IsADirectoryError, PermissionError, MemoryError):
        raise
    except Exception as error:  # a damaged file may make zipfile and NumPy raise anything
        raise TableError(
            f"{path} is no file of NumPy's arrays, is damaged, or holds Python objects; save "
            "numbers and texts, by numpy.save or numpy.savez"
        ) from error
    columns = {}
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


# ---- columns ------------------------------------------------------------------------------------


def _column(how, name, raw, wanted):
    """Return the column of a polars Series or an ndarray."""
    if isinstance(raw, np.ndarray):
        if raw.dtype.kind in "US":
            return _of_strings(how, name, raw.astype(str), wanted)
        if raw.dtype.kind == "b":
            return _of_strings(how, name, np.where(raw, "true", "false"), wanted)
        if raw.dtype.kind in "fiu":
            return _of_numbers(how, name, raw.astype(np.float64), wanted)
        return _of_others(how, name, "date" if raw.dtype.kind == "M" else str(raw.dtype), wanted)
    import polars

    dtype = raw.dtype
    if dtype in (polars.String, polars.Categorical, polars.Enum, polars.Boolean):
        return _of_series(how, name, raw.cast(polars.String), wanted)
    if dtype.is_numeric() or dtype == polars.Null:
        return _of_numbers(how, name, raw.cast(polars.Float64).to_numpy(), wanted)
    is_date = dtype in (polars.Date, polars.Datetime)
    return _of_others(how, name, "date" if is_date else str(dtype), wanted)


def _of_numbers(how, name, values, wanted):
    """Return the column of numbers (n,), float64; as a category, of their texts."""
    for number in map(_parsed, how.missing):
        if number == number:  # no NaN
            values = np.where(values == number, np.nan, values)
    beyond = np.abs(values) > _LARGEST
    if beyond.any():
        row = int(beyond.argmax())
        raise TableError(
            f"{how.path}: column {name!r} holds {values[row]:g} in row {row + 1}; numbers must be "
            f"within {_LARGEST:.2g}, and missing ones empty"
        )
    if wanted != "category":
        return Column(name, "number", values)
    known = ~np.isnan(values)
    different, places = np.unique(values[known], return_inverse=True)
    texts = [_number_text(value) for value in different.tolist()]
    codes = np.full(len(values), -1)
    codes[known] = np.argsort(np.argsort(texts))[places] if texts else places
    return Column(name, "category", codes, sorted(texts))


def _number_text(value):
    """Return a number as people write it: 3, not 3.0."""
    return str(int(value)) if value.is_integer() else repr(value)


def _of_strings(how, name, values, wanted):
    """Return the column of an array of strings (n,)."""
    texts, codes = np.unique(np.char.strip(values), return_inverse=True)
    is_missing = np.isin(texts, how.missing)
    place = np.where(is_missing, -1, np.cumsum(~is_missing) - 1)
    texts, codes = texts[~is_missing].tolist(), place[codes.reshape(-1)]
    if wanted != "number":
        is_date = wanted is None and texts and all(re.match(_DATE, text) for text in texts)
        return Column(name, "date") if is_date else Column(name, "category", codes, texts)
    numbers = np.array([*map(_parsed, texts), np.nan])
    bad = np.isnan(numbers[:-1])
    if bad.any():
        row = int((codes == bad.argmax()).argmax())
        raise TableError(_not_a_number(how.path, name, texts[bad.argmax()], row))
    return _of_numbers(how, name, numbers[codes], wanted)


def _parsed(text):
    """Return the number that a text stands for, NaN if for none."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def _of_series(how, name, series, wanted):
    """Return the column of a polars Series of strings."""
    import polars

    series = series.str.strip_chars()
    series = series.set(series.is_in(how.missing).fill_null(True), None)
    bad = np.ones(0, bool)
    if wanted == "number" or (wanted is None and how.is_plain_text):
        numbers = series.cast(polars.Float64, strict=False)
        bad = (series.is_not_null() & numbers.is_null()).to_numpy()
        if not bad.any():
            return _of_numbers(how, name, numbers.to_numpy(), wanted)
        if wanted == "number":
            row = int(bad.argmax())
            raise TableError(_not_a_number(how.path, name, series[row], row))
    if wanted is None and series.drop_nulls().str.contains(_DATE).all() and series.count():
        return Column(name, "date")
    different = series.drop_nulls().unique().sort()
    if wanted is None and how.is_plain_text:
        _refuse_almost_numbers(how.path, series, different, bad)
    codes = series.cast(polars.Enum(different)).to_physical().cast(polars.Int64).fill_null(-1)
    return Column(name, "category", codes.to_numpy(), different.to_list())


def _refuse_almost_numbers(path, series, different, bad):
    """Complain of a column that would be numbers but for a few texts."""
    import polars

    n_texts = different.cast(polars.Float64, strict=False).null_count()
    if n_texts * 10 <= len(different):
        row = int(bad.argmax())
        raise TableError(
            f"{path}: column {series.name!r} is numbers but for {series[row]!r} in row {row + 1}"
            f"{_and_more(int(bad.sum()) - 1)}; mend that, or say that it stands for a missing "
            f"value (--missing {_argument(series[row])}), or that all are categories "
            f"(--categorical {_argument(series.name)})"
        )


def _and_more(count):
    return f" and {count:,} more" if count else ""


def _argument(text):
    """Return a text as a shell takes it."""
    import shlex

    return shlex.quote(text)


def _not_a_number(path, name, text, row):
    return (
        f"{path}: column {name!r} holds {text!r} in row {row + 1}, where the model takes numbers; "
        "mend it, or leave it empty for a missing value"
    )


def _of_others(how, name, kind, wanted):
    """Return the column of what no network takes."""
    if wanted is not None:
        raise TableError(
            f"{how.path}: column {name!r} holds {kind}, but must be a {wanted}; convert it"
        )
    return Column(name, kind)


def _require(path, wanted, names):
    """Complain of columns that aren't there."""
    lacking = [name for name in wanted if name not in names]
    if lacking:
        near = difflib.get_close_matches(lacking[0], names, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]!r}? " if near and len(lacking) == 1 else ""
        plural = "s" if len(lacking) > 1 else ""
        raise TableError(
            f"{path} has no column{plural} {_listed(lacking)}; {hint}its columns are "
            f"{_listed(names, 12)}"
        )


def _listed(names, most=6):
    """Return names as a message lists them, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, list(names)[:most])) + more


# ---- targets ------------------------------------------------------------------------------------


def target_of(table, name, task=None):
    """Return what is to be learned: the task, its classes, and a value for each row.

    Parameters
    ----------
    table : Table
    name : str
        Of the column.
    task : {"classification", "regression"}, optional
        By default regression for numbers, but for few whole ones (at most `FEW_NUMBERS` different
        ones, of `ROWS_PER_NUMBER` rows each on average); classification otherwise.

    Returns
    -------
    task : str
    classes : list or None
        Texts, or numbers where the column holds such, in ascending order.
    values : ndarray of shape (n,)
        Places in the classes, -1 where the target is missing; or numbers, NaN where it is missing.

    Raises
    ------
    TableError
        If the column suits no task, or not this one.
    """
    column = table.column(name)
    where = f"{table.path}: the target {name!r}"
    if column.kind == "number":
        known = column.values[~np.isnan(column.values)]
        different = np.unique(known)
        if task is None:
            is_few = len(different) <= min(FEW_NUMBERS, len(known) / ROWS_PER_NUMBER)
            whole = is_few and (different == np.floor(different)).all()
            task = "classification" if whole else "regression"
        classes = [int(v) if v.is_integer() else v for v in different.tolist()]
        labels = np.searchsorted(different, column.values)
        labels[np.isnan(column.values)] = -1
    elif column.kind == "category":
        if task == "regression":
            example = _listed(column.texts, 3)
            raise TableError(f"{where} holds texts ({example}); regression takes numbers")
        task, classes, labels, different = "classification", column.texts, column.values, ()
    else:
        raise TableError(f"{where} holds {column.kind}; make numbers or classes of it")
    if len(classes) < 2:
        raise TableError(f"{where} is the same in all rows; there is nothing to learn")
    if task == "regression":
        return task, None, column.values
    if len(classes) > MAX_CLASSES:
        raise TableError(
            f"{where} has {len(classes):,} classes, of at most {MAX_CLASSES:,}; choose another, or "
            "put some together"
        )
    return task, classes, labels


# ---- recipes ------------------------------------------------------------------------------------


@dataclass
class Recipe:
    """What becomes of a table's columns, and what a network's outputs mean.

    Parameters
    ----------
    task : {"classification", "regression"}
    target : str
        Name of the column that is predicted.
    classes : list or None
        Of a classification, one for each output.
    columns : list of dict
        In the order of the inputs, by "name" and "kind". A "number" has the "median" that stands
        for missing values, a "shift" that is subtracted (0 but for columns that are so far from 0
        that float32 would lose their digits), and "missing", whether an input of its own says so.
        A "category" has "texts", an input each that is 1 in rows that have it, and "missing",
        whether a missing value has an input, too; where not, all of them are 0.
    ignored : dict of str to str
        Columns that were not used, and why.
    missing : list of str
        Texts that stand for a missing value, besides those of `MISSING`.

    See Also
    --------
    learn, recipe_of
    """

    task: str
    target: str
    classes: list | None
    columns: list
    ignored: dict = field(default_factory=dict)
    missing: list = field(default_factory=list)

    @property
    def kinds(self):
        """The kind of each column by name, as `read` takes them."""
        return {column["name"]: column["kind"] for column in self.columns}

    @property
    def names(self):
        """Names of the network's inputs: "carat", "cut=Ideal", "age=(missing)"."""
        return [name for column in self.columns for name in _inputs(column)]

    @property
    def is_measured(self):
        """Which inputs are numbers, to be standardised: (n_in,), bool. The others are 0 and 1."""
        parts = ([column["kind"] == "number" and not i for i, _ in enumerate(_inputs(column))]
                 for column in self.columns)  # fmt: skip
        return np.array([is_number for part in parts for is_number in part])

    def read(self, path):
        """Read what the network needs of a table; see `read`."""
        return read(path, kinds=self.kinds, only=list(self.kinds), missing=self.missing)

    def encode(self, table, unknown="error"):
        """Return what a network takes of a table.

        Parameters
        ----------
        table : Table
        unknown : {"error", "missing"}, default "error"
            What becomes of a text that is none of a column's categories.

        Returns
        -------
        Rows

        Raises
        ------
        TableError
            If the table lacks a column, or holds a text that is unknown.
        """
        _checks.choice("unknown", unknown, ("error", "missing"))
        columns = [table.column(column["name"]) for column in self.columns]
        parts, replaced = [], {}
        for column, known in zip(columns, self.columns, strict=True):
            if known["kind"] == "number":
                parts.append(column.values)
            else:
                codes, n_unknown = _codes(table.path, column, known, unknown)
                parts.append(codes)
                if n_unknown:
                    replaced[column.name] = n_unknown
        return Rows(self, parts, replaced)

    def decode(self, outputs):
        """Return predictions (n,) from a network's outputs (n, n_out): numbers or classes."""
        if self.task == "regression":
            return outputs[:, 0]
        return np.array(self.classes)[outputs.argmax(axis=1)]

    def to_plain(self):
        """Return the recipe as plain data."""
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def from_plain(cls, plain):
        """Return the recipe that `to_plain` described; a ValueError says what is wrong."""
        names = ("task", "target", "classes", "columns", "ignored", "missing")
        plain = _checks.fields("the recipe", plain, ("format", *names))
        if plain.pop("format") != _FORMAT:
            raise ValueError("the recipe is of another version; train anew")
        for i, column in enumerate(_checks.plain_list("columns", plain["columns"])):
            _check_column(f"column {i}", column)
        for name, kind in (("ignored", dict), ("missing", list), ("classes", list | None)):
            if not isinstance(plain[name], kind):
                raise TypeError(f"{name} is {plain[name]!r:.60}; train anew")
        return cls(**plain)


def _check_column(place, column):
    """Check a column's entry in a recipe from a file."""
    kind = _checks.fields(place, column).get("kind")
    if _checks.choice(f"{place}'s kind", kind, ("number", "category")) == "number":
        _checks.fields(place, column, ("name", "kind", "missing", "median", "shift"))
        _checks.number(f"{place}'s median", column["median"])
        _checks.number(f"{place}'s shift", column["shift"])
    else:
        _checks.fields(place, column, ("name", "kind", "missing", "texts"))
        _checks.plain_list(f"{place}'s texts", column["texts"])
    _checks.flag(f"{place}'s missing", column["missing"])


def _inputs(column):
    """Return the names of the inputs that a column becomes."""
    name = column["name"]
    is_number = column["kind"] == "number"
    names = [name] if is_number else [f"{name}={text}" for text in column["texts"]]
    return [*names, f"{name}=(missing)"] if column["missing"] else names


def _missing_code(category):
    """Return the place of a category's input that says a value is missing, -1 without one."""
    return len(category["texts"]) if category["missing"] else -1


def _codes(path, column, known, unknown):
    """Return the input of each row, -1 for none, and how many rows have unknown texts."""
    at = {text: i for i, text in enumerate(known["texts"])}
    missing = _missing_code(known)
    place = np.array([*(at.get(text, -2) for text in column.texts), missing])
    codes = place[column.values]
    is_unknown = codes == -2
    count = int(is_unknown.sum())
    if count and unknown == "error":
        row = int(is_unknown.argmax())
        text = column.texts[column.values[row]]
        near = difflib.get_close_matches(text, known["texts"], n=1, cutoff=0.7)
        hint = f"did you mean {near[0]!r}? " if near else ""
        more = f" ({count:,} such rows)" if count > 1 else ""
        raise TableError(
            f"{path}: column {column.name!r} holds {text!r} in row {row + 1}{more}, which the rows "
            f"trained on never did; {hint}it knows {_listed(known['texts'])}; mend it, or take it "
            "for a missing value: --unknown missing"
        )
    codes[is_unknown] = missing
    return codes, count


@dataclass
class Rows:
    """The rows of a table, on their way to a network: a number or a category's place for each.

    `replaced` has, by column, how many unknown texts were taken for missing values.
    """

    recipe: Recipe
    parts: list
    replaced: dict

    def __len__(self):
        return len(self.parts[0])

    def n_missing(self):
        """Return how many values are missing, by column, where there are any."""
        found = {}
        for column, values in zip(self.recipe.columns, self.parts, strict=True):
            if column["kind"] == "number":
                is_missing = np.isnan(values)
            else:
                is_missing = values == _missing_code(column)
            count = int(is_missing.sum()) - self.replaced.get(column["name"], 0)
            if count:
                found[column["name"]] = count
        return found

    def matrix(self, rows=slice(None), dtype="float32"):
        """Return the inputs X (n, n_in) of some rows, all by default."""
        parts = [part[rows] for part in self.parts]
        X = np.zeros((len(parts[0]), len(self.recipe.names)), dtype)
        first = 0
        for column, values in zip(self.recipe.columns, parts, strict=True):
            if column["kind"] == "number":
                is_missing = np.isnan(values)
                filled = np.where(is_missing, column["median"], values)
                X[:, first] = filled - column["shift"]
                if column["missing"]:
                    X[:, first + 1] = is_missing
            else:
                has_input = np.flatnonzero(values >= 0)
                X[has_input, first + values[has_input]] = 1
            first += len(_inputs(column))
        return X

    def blocks(self, dtype="float32"):
        """Yield X of some rows after the other."""
        for start in range(0, len(self), _BLOCK):
            yield self.matrix(slice(start, start + _BLOCK), dtype)


def learn(table, target, task, classes, rows, missing=()):
    """Learn what becomes of a table's columns from some of its rows.

    Parameters
    ----------
    table : Table
    target, task, classes
        As `target_of` takes and gives them.
    rows : ndarray of int
        Those that the network will be trained on.
    missing : list of str, optional
        As `read` takes it.

    Returns
    -------
    Recipe

    Raises
    ------
    TableError
        If a column has too many different texts, or holds what no network takes, or none is left.
    """
    columns, ignored, crowded, strange = [], {}, [], []
    for column in table.columns.values():
        if column.name == target:
            continue
        if column.kind == "date":
            ignored[column.name] = "dates"
        elif column.kind not in ("number", "category"):
            strange.append(f"{column.name!r} holds {column.kind}")
        elif column.name in _UNNAMED and counts_rows(column):
            ignored[column.name] = "row numbers"
        else:
            known = (_number if column.kind == "number" else _category)(column, rows)
            if known is None:
                ignored[column.name] = "the same in all rows trained on"
            elif len(known.get("texts", ())) > MAX_CATEGORIES:
                crowded.append((column.name, len(known["texts"])))
            else:
                columns.append(known)
    if strange:
        raise TableError(f"{table.path}: column {', '.join(strange)}; convert it, or --drop it")
    if crowded:
        raise TableError(_crowded_complaint(table.path, crowded, len(rows)))
    if not columns:
        why = ", ".join(f"{name!r} ({reason})" for name, reason in ignored.items()) or "none"
        raise TableError(f"{table.path} has no column to learn {target!r} from; others are: {why}")
    return Recipe(task, target, classes, columns, ignored, list(missing))


def _number(column, rows):
    """Return a recipe's entry for numbers, None if they don't vary."""
    values = column.values[rows]
    known = values[~np.isnan(values)]
    has_missing = len(known) < len(values)
    if len(known) == 0 or (known.min() == known.max() and not has_missing):
        return None
    median = float(np.median(known))
    spread = float(known.std()) or 1.0
    shift = median if abs(median) > 1000 * spread else 0.0
    return {"name": column.name, "kind": "number", "median": median, "shift": shift,
            "missing": has_missing}  # fmt: skip


def _category(column, rows):
    """Return a recipe's entry for texts, None if they don't vary."""
    codes = column.values[rows]
    counts = np.bincount(codes + 1, minlength=len(column.texts) + 1)
    has_missing = bool(counts[0])
    texts = [text for text, n in zip(column.texts, counts[1:].tolist(), strict=True) if n]
    if not texts or len(texts) + has_missing < 2:
        return None
    return {"name": column.name, "kind": "category", "texts": texts, "missing": has_missing}


def _crowded_complaint(path, crowded, n):
    described = ", ".join(f"{name!r} ({count:,})" for name, count in crowded[:6])
    names = _argument(",".join(name for name, _ in crowded))
    plural = "s" if len(crowded) > 1 else ""
    return (
        f"{path}: column{plural} {described} of too many different texts in {n:,} rows; at most "
        f"{MAX_CATEGORIES} can be categories; put some together, or leave the column{plural} out: "
        f"--drop {names}"
    )


def counts_rows(column):
    """Whether a column of numbers counts the rows, from 0 or 1."""
    if column.kind != "number" or len(column.values) == 0:
        return False
    first = column.values[0]
    return first in (0, 1) and np.array_equal(
        column.values, np.arange(first, first + len(column.values))
    )


def recipe_of(net):
    """Return the recipe that a network from a file was trained with.

    Parameters
    ----------
    net : MLP

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        If it has none, since it was not trained by ``fastnn train``, or not one that suits it.

    Examples
    --------
    >>> net = fastnn.load("prices.safetensors")  # doctest: +SKIP
    >>> recipe = tables.recipe_of(net)  # doctest: +SKIP
    >>> rows = recipe.encode(recipe.read("new.csv"))  # doctest: +SKIP
    >>> net.predict(rows.matrix())  # doctest: +SKIP
    """
    if "table" not in net.metadata:
        raise ValueError(
            "the network does not say which columns it takes, since it was not made by fastnn "
            "train; use it from Python: fastnn.load(path).predict(X)"
        )
    recipe = Recipe.from_plain(net.metadata["table"])
    n_out = 1 if recipe.classes is None else len(recipe.classes)
    if (len(recipe.names), n_out) != (net.n_in, net.n_out):
        raise ValueError(
            f"the network's recipe makes {len(recipe.names)} inputs and {n_out} outputs, but it "
            f"has {net.n_in} and {net.n_out}; train anew"
        )
    return recipe


# ---- writing ------------------------------------------------------------------------------------


def check_place(path, endings):
    """Check that a file can be written: its ending, its folder; nothing is left there.

    Returns
    -------
    str
        The path, through links.

    Raises
    ------
    TableError, OSError
        If not.
    """
    if endings and os.path.splitext(path)[1].lower() not in endings:
        raise TableError(f"{path!r} must end with {_checks.either(endings)}")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise TableError(f"{path!r} cannot be written: there is no folder {folder!r}; make it")
    place = _files.regular(path)
    probe = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        open(probe, "xb").close()
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)
    return place


def write(path, recipe, outputs, proba=False):
    """Write predictions to a file, which is replaced as a whole.

    Parameters
    ----------
    path : str
        It ends with .csv, .parquet or .npy.
    recipe : Recipe
    outputs : ndarray of shape (n, n_out)
        Of the network.
    proba : bool, default False
        Whether to write the classes' probabilities, too; to .npy they are written alone.

    Raises
    ------
    TableError, OSError, ImportError
        If that cannot be; an old file is then as it was.
    """
    place = check_place(path, WRITTEN)
    ending = os.path.splitext(path)[1].lower()
    polars = _polars(path) if ending == ".parquet" else None
    with _files.replacing(place) as file:
        if ending == ".npy":
            np.save(file, outputs if proba else recipe.decode(outputs), allow_pickle=False)
        elif ending == ".parquet":
            columns = {recipe.target: recipe.decode(outputs)}
            if proba:
                columns |= dict(zip(_proba_names(recipe), outputs.T, strict=True))
            columns = {name: np.ascontiguousarray(values) for name, values in columns.items()}
            polars.DataFrame(columns).write_parquet(file)
        else:
            for text in csv_text(recipe, outputs, proba):
                file.write(text.encode())


def write_text(path, text):
    """Write a text file, which is replaced as a whole."""
    with _files.replacing(check_place(path, ())) as file:
        file.write(text.encode())


def _proba_names(recipe):
    return [f"{recipe.target}={value}" for value in recipe.classes]


def csv_text(recipe, outputs, proba=False):
    """Yield predictions as CSV, a block of rows after the other."""
    header = [recipe.target, *(_proba_names(recipe) if proba else [])]
    yield ",".join(map(_quoted, header)) + "\n"
    for start in range(0, len(outputs), _BLOCK):
        some = outputs[start : start + _BLOCK]
        columns = [_cells(recipe, some), *(column.astype(str) for column in some.T if proba)]
        lines = columns[0] if len(columns) == 1 else map(",".join, zip(*columns, strict=True))
        yield "\n".join(lines) + "\n"


def _cells(recipe, outputs):
    """Return predictions (n, n_out) as the cells of a CSV file."""
    if recipe.classes is None:
        return outputs[:, 0].astype(str)
    return np.array([_quoted(str(v)) for v in recipe.classes])[outputs.argmax(axis=1)]


def _quoted(text):
    """Return a text as a CSV file has it: an empty one would be missing."""
    needs = text == "" or text != text.strip() or any(c in text for c in ',"\r\n')
    return '"{}"'.format(text.replace('"', '""')) if needs else text


def json_text(recipe, outputs, proba=False):
    """Yield predictions as JSON, an object and a line each, a block of rows after the other."""
    name = json.dumps(recipe.target)
    classes = None if recipe.classes is None else np.array([*map(json.dumps, recipe.classes)])
    for start in range(0, len(outputs), _BLOCK):
        some = outputs[start : start + _BLOCK]
        values = some[:, 0].astype(str) if classes is None else classes[some.argmax(axis=1)]
        if not proba:
            yield "".join(f"{{{name}: {value}}}\n" for value in values.tolist())
            continue
        keys = [json.dumps(str(value)) + ": " for value in recipe.classes]
        cells = [np.char.add(k, c.astype(str)) for k, c in zip(keys, some.T, strict=True)]
        parts = map(", ".join, zip(*cells, strict=True))
        yield "".join(
            f'{{{name}: {value}, "probabilities": {{{part}}}}}\n'
            for value, part in zip(values.tolist(), parts, strict=True)
        )
