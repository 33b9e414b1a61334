"""Reading CSV files by polars: column names, columns, and messages about damaged files.

Here: text files only. Every column is loaded as strings; columns.py decides which are numbers. Not
here: encodings and separators (text_files.py), other file formats (reading.py).
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from fastnn._checks import counted
from fastnn.tabular import text_files
from fastnn.tabular.errors import TableError, one_line_about, polars_for, polars_path
from fastnn.tabular.numbers import decimal_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars
    from numpy.typing import NDArray

    from fastnn.tabular.text_files import Form

#: Points that can only separate thousands, as in 1.234.567.
_GROUPS = r"\.\d{3}\."

#: Which texts of a column are examined to find the decimal point, as patterns of polars, and how
#: many distinct ones that match each pattern. Texts whose comma or point cannot separate thousands,
#: or can do nothing else, are in samples of their own, so that thousands of others before them do
#: not hide them.
_EXAMINED = (r",(\d{0,2}\D*$|\d{4,})", r"\.(\d{0,2}\D*$|\d{4,})", _GROUPS, ",", r"\.",
             "^[^,.]*$")  # fmt: skip
_SAMPLE = 1000

#: The most characters of a field; Python's csv takes a C long, which may have 32 bits.
_LONGEST = 2**31 - 1


class CsvFile:
    """An open CSV file.

    Attributes
    ----------
    names : list of str
        The names of the columns.
    notes : list of str
        What was detected about the file and may surprise the user.
    is_matrix : bool
        Whether the names are positions, because the file has none.
    """

    is_plain_text = True

    def __init__(self, path: str, form: Form) -> None:
        self._path, self._form = path, form
        self._pl = polars_for(path)
        self.notes: list[str] = []
        if path != "-":
            open(path, "rb").close()  # its errors say more than those of polars
        self._n_above = 0  # lines that were removed from the top of the content
        self._content = text_files.content_of(path)
        self._head = text_files.head_of(path, self._content)
        is_utf8 = text_files.encoding_of(self._head) in ("utf-8", "utf-8-sig")
        if form.encoding is not None or not is_utf8:
            self._decode()
        if b"\r" in self._head and b"\n" not in self._head:  # lines of old Macs
            self._rewrite(lambda text: text.replace("\r\n", "\n").replace("\r", "\n"))
        self._find_separator()
        self._written: list[str] = self._parse(n_rows=0 if self._has_names else 1).columns
        self.names = [name.strip() for name in self._unescaped()]
        if not self._has_names:
            self.names = [str(j) for j in range(len(self._written))]
        elif text_files.may_be_values(self.names):
            self.notes.append(
                f"the first line of {path} holds numbers, which are taken as column names; if it "
                "is a row: --no-header"
            )
        self.is_matrix = not self._has_names
        self._refuse_repeated()

    def load(self, some: list[str]) -> dict[str, polars.Series]:
        """Return some columns as strings, without blank lines if the file has several columns."""
        last = self._written[-1]
        written = dict(zip(self.names, self._written, strict=True))
        wanted = [written[name] for name in some]
        read = list(dict.fromkeys([*wanted, last]))
        try:
            frame = self._parse(columns=read)
        except UnicodeError:
            self._decode()
            frame = self._parse(columns=read)
        if len(self._written) > 1 and frame[last].null_count():  # polars pads short rows
            blank = self._blank_lines(frame.height)
            frame = frame.filter(~self._pl.Series(blank))
        return dict(zip(some, frame.select(wanted).get_columns(), strict=True))

    def decimal_of(self, columns: Mapping[str, Any], missing: Sequence[str]) -> str:
        """Return the decimal point of a file's numbers, as stated or as found from its columns.

        `missing` are the texts that stand for a missing value.
        """
        if self._form.decimal is not None:
            return self._form.decimal
        texts = columns.values()
        has_commas = any(series.str.contains(",", literal=True).any() for series in texts)
        may_be_comma = has_commas or (
            self._separator != "," and any(series.str.contains(_GROUPS).any() for series in texts)
        )
        if not may_be_comma:
            return "."
        decimal = decimal_of((_some_texts(each, missing) for each in texts), self._separator)
        if decimal == ",":
            how = "have decimal commas" if has_commas else "have points between thousands"
            self.notes.append(f"numbers of {self._path} {how}")
        return decimal

    def _decode(self) -> None:
        """Convert the content to UTF-8, which polars needs, and note the original encoding."""
        if self._content is None:
            with open(self._path, "rb") as file:
                self._content = file.read()
        text, encoding = text_files.decoded(self._path, self._content, self._form.encoding)
        if self._form.encoding is None and encoding != "utf-8":
            self.notes.append(f"{self._path} is not UTF-8 text; it was read as {encoding.upper()}")
        self._content = text.encode()
        self._head = text_files.head_of(self._path, self._content)

    def _find_separator(self) -> None:
        """Detect the separator and whether the first line has names.

        A line above it that states the separator for Excel is removed.
        Columns separated by spaces, row names of R, and the header of Weka and KEEL files are
        converted to CSV.
        """
        head = self._head.decode(errors="replace").removeprefix("\ufeff")
        size = len(self._content) if self._content is not None else os.path.getsize(self._path)
        stated = text_files.SEPARATOR_LINE.match(head)
        if stated:
            self._rewrite(lambda text: text_files.SEPARATOR_LINE.sub("", text, count=1))
            head, self._n_above = head[stated.end() :], 1
        lines = text_files.lines_of(head, size <= len(self._head))
        ending = os.path.splitext(self._path.removesuffix(".gz"))[1].lower()
        if text_files.is_of_weka(head):
            self._rewrite(lambda text: text_files.without_attributes(self._path, text))
            self._separator, self._has_names = ",", True
            return
        given = self._form.separator or (stated and stated[1])
        given = given or ("\t" if ending in (".tsv", ".tab") else None)
        self._separator = given or text_files.separator_of(lines, is_csv=ending == ".csv")
        if self._separator == " ":
            self._separator = "\t"
            self._rewrite(text_files.with_single_separators)
            lines = [re.sub(r'("[^"]*")|[ \t]+', lambda m: m[1] or "\t", x.strip()) for x in lines]
        rows = text_files.rows_of(lines, self._separator)
        widths = [len(row) for row in rows]
        first = rows[0] if rows else []
        names = [field.strip() for field in first]
        self._has_names = self._form.header and not text_files.cannot_be_names(names)
        if self._form.header and not self._has_names:
            self.notes.append(
                f"the first line of {self._path} is a row of numbers; the columns are called '0', "
                "'1', ..."
            )
        if not self._has_names and len(first) > 1 and head[:1] in ("\r", "\n"):
            self._n_above += len(head[: -len(head.lstrip("\r\n"))].splitlines())
            self._rewrite(lambda text: text.lstrip("\r\n"))  # else polars finds no columns
        if len(set(widths[1:])) == 1 and widths[1] == widths[0] + 1 and self._has_names:
            if any(row[-1].strip() for row in rows[1:]):
                self._rewrite(lambda text: f'""{self._separator}{text}')
                self.notes.append(f"the first column of {self._path} has no name")
            else:
                self._rewrite(lambda t: text_files.without_last_separators(t, self._separator))
                self.notes.append(f"ignored the separator at the end of the rows of {self._path}")

    def _rewrite(self, change: Any) -> None:
        """Replace the text by the result of a function."""
        if self._content is None:
            with open(self._path, "rb") as file:
                self._content = file.read()
        try:
            text = self._content.decode().removeprefix("\ufeff")
        except UnicodeError:
            self._decode()
            text = self._content.decode()
        self._content = change(text).encode()

    def _parse(self, **options: Any) -> polars.DataFrame:
        """Parse the file by polars; a TableError says what is wrong with it."""
        errors = self._pl.exceptions
        file = polars_path(self._path) if self._content is None else io.BytesIO(self._content)
        options |= {"infer_schema_length": 0, "separator": self._separator, "glob": False}
        options = {"has_header": self._has_names, **options}
        try:
            with one_line_about(self._path, "CSV", errors.PanicException):
                frame: polars.DataFrame = self._pl.read_csv(file, **options)
        except errors.NoDataError as error:
            raise TableError(
                f"{self._path} is empty; it needs a line of column names and rows below it"
            ) from error
        except errors.PolarsError as error:
            if "utf-8" in str(error) or "utf8" in str(error):
                raise UnicodeError(str(error)) from error
            raise TableError(self._complaint(error)) from error
        return frame

    def _unescaped(self) -> list[str]:
        """Return the names of the columns; polars leaves doubled quotes in those of `_written`."""
        if any('""' in name for name in self._written):
            with contextlib.suppress(csv.Error), self._rows() as rows:
                first: list[str] = next((row for row in rows if row), [])
                if len(first) == len(self._written):
                    return first
        return self._written

    def _refuse_repeated(self) -> None:
        """Check that no name is repeated; polars would rename the second to NAME_duplicated_0."""
        names = self.names
        if any("_duplicated_" in name for name in names):
            first = self._parse(has_header=False, n_rows=1).row(0)
            names = [(name or "").strip() for name in first]
        repeated = next((name for name, n in Counter(names).items() if n > 1), None)
        if repeated is not None:
            raise TableError(
                f"{self._path} has two columns {repeated!r}; rename one of them, or if the first "
                "line is a row: --no-header"
            )

    def _blank_lines(self, n: int) -> NDArray[np.bool_]:
        """Return which of n rows are blank lines; check that all other rows are complete."""
        width = len(self._written)
        blank: list[bool] = []
        with one_line_about(self._path, "CSV", csv.Error), self._rows() as rows:
            for row in rows:
                is_blank = len(row) < 2 and not "".join(row).strip()
                if blank or not is_blank:  # polars skips blank lines before the first line
                    blank.append(is_blank)
                if len(row) < width and not is_blank:
                    raise TableError(
                        f"{self._n_fields(len(row), rows.line_num, width)}; the file may be cut "
                        "off: complete the line, or write missing values as empty fields"
                    )
        found = np.array(blank[self._has_names :], bool)
        if len(found) != n and found.any():
            raise TableError(
                f"{self._path} has blank lines, but which of them are rows is unclear, as its "
                "quotes or line ends are damaged; remove the blank lines"
            )
        return found if len(found) == n else np.zeros(n, bool)

    def _n_fields(self, n: int, line: int, width: int) -> str:
        """Return how many fields a line of the content has, and how many it should have."""
        first = f"line {self._n_above + 1}" if self._n_above else "its first line"
        expected = counted(width, "name") if self._has_names else f"{width}"
        return (
            f"{self._path} has {counted(n, 'field')} in line {self._n_above + line}, but "
            f"{expected} in {first}"
        )

    @contextlib.contextmanager
    def _rows(self) -> Iterator[Any]:
        """Return a csv.reader of the file, for fields of any length."""
        limit = csv.field_size_limit(_LONGEST)
        try:
            with self._lines() as lines:
                yield csv.reader(lines, delimiter=self._separator)
        finally:
            csv.field_size_limit(limit)

    def _lines(self) -> TextIO:
        """Return the file opened as text."""
        if self._content is not None:
            return io.TextIOWrapper(io.BytesIO(self._content), "utf-8-sig", "replace", newline="")
        return open(self._path, encoding="utf-8-sig", errors="replace", newline="")

    def _complaint(self, error: Exception) -> str:
        """Return what is wrong with a CSV file, and where."""
        first = str(error).partition("\n")[0]
        if "more fields" in first:
            with contextlib.suppress(csv.Error), self._rows() as rows:
                width = len(next(rows))
                for row in rows:
                    if len(row) > width:
                        remedy = "correct the line, or quote fields that contain the separator"
                        if width == 1:  # a title or a comment
                            remedy = "remove the lines above the names of the columns"
                        n_fields = self._n_fields(len(row), rows.line_num, width)
                        return f"{n_fields}; {remedy}, or name the separator: --separator CHAR"
        return f"{self._path} cannot be read as CSV: {first}; look for a quote that is never closed"


def _some_texts(column: polars.Series, missing: Sequence[str]) -> list[str]:
    """Return distinct texts of a column that show its decimal point, and others.

    They do not include those that stand for a missing value.
    """
    texts = column.drop_nulls().str.strip_chars().unique(maintain_order=True)
    texts = texts.filter(~texts.is_in(missing))
    samples = [texts.filter(texts.str.contains(each)).head(_SAMPLE) for each in _EXAMINED]
    return list(dict.fromkeys(text for sample in samples for text in sample.to_list()))
