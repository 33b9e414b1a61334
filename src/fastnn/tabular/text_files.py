"""The text of a table's file: its encoding, its separator, and the names in its first line.

Here: what is detected before a line is parsed, and the text format as a user states it. Not here:
parsing (csv_files.py) and values (columns.py).
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastnn import _checks
from fastnn.tabular.errors import TableError, one_line_about
from fastnn.tabular.numbers import as_number

#: How many bytes of a file are examined to detect its format.
_HEAD = 1 << 16

#: How many lines of these bytes must agree on a separator.
_LINES = 50

#: The decimal points of text files.
DECIMALS = (".", ",")

_MARKS = {  # byte order marks; longer ones first, as a short one may be their prefix
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig",
}  # fmt: skip
_OTHER_FILES = {
    b"PK\x03\x04": "an Excel workbook or another zip archive; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the sheet as CSV",
    b"PAR1": "a Parquet file; rename it to end with .parquet",
    b"\x93NUMPY": "a NumPy array; rename it to end with .npy",
    b"ARROW1": "an Arrow file; rename it to end with .arrow",
    b"SQLite": "an SQLite database; export the table as CSV",
    b"%PDF": "a PDF document; save its table as CSV",
}


#: The first line of a file for Excel that states its separator: "sep=;".
SEPARATOR_LINE = re.compile(r"(?i)\Asep=(.)(?:\r\n|\r|\n)")


@dataclass(frozen=True)
class Form:
    """How a text file is written; fields that are None are detected.

    Parameters
    ----------
    separator : str, optional
        The character between columns, or "tab", or "space" for runs of spaces and tabs.
    decimal : {".", ","}, optional
        The decimal point of numbers.
    encoding : str, optional
        A name of Python's codecs, such as "utf-8", "latin-1" or "utf-16".
    header : bool, default True
        Whether the first line has the names of the columns; if not, they are named "0", "1", ...
    thousands : dict of str to bool
        For columns of numbers with decimal commas, whether points separate thousands; the texts of
        other columns decide.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool = True
    thousands: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.separator is not None:
            separator = _checks.table_separator(self.separator)
            object.__setattr__(self, "separator", separator)
        if self.decimal is not None:
            _checks.choice("decimal", self.decimal, DECIMALS)
        if self.encoding is not None:
            _checks.encoding(self.encoding)
        _checks.flag("header", self.header)


def content_of(path: str) -> bytes | None:
    """Return the bytes of a file, decompressed; None for plain text, which is read in place."""
    kinds = EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile
    if path == "-":
        if sys.stdin is None:
            raise TableError("standard input is closed; name a file")
        content = sys.stdin.buffer.read()
        with one_line_about("standard input", "a compressed file", *kinds):
            return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    openers: dict[str, Callable[[str], Any]] = {
        ".gz": gzip.open,
        ".bz2": bz2.open,
        ".xz": lzma.open,
        ".zip": _open_zip,
    }
    opener = openers.get(os.path.splitext(path)[1].lower())
    if opener is None:
        return None
    with open(path, "rb"):  # so that an error of the OS names the path
        pass
    with one_line_about(path, "a compressed file", *kinds), opener(path) as file:
        unpacked: bytes = file.read()
    return unpacked


def _open_zip(path: str) -> io.BytesIO:
    """Return the one file in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/") and "__MACOSX" not in n]
        if len(names) != 1:
            raise TableError(f"{path} must hold one file but holds {len(names)}; unpack it")
        return io.BytesIO(archive.read(names[0]))


def head_of(path: str, content: bytes | None) -> bytes:
    """Return the first bytes of a file; raise a TableError if it is not text."""
    if content is None:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    else:
        head = content[:_HEAD]
    for magic, what in _OTHER_FILES.items():
        if head.startswith(magic):
            raise TableError(f"{path} is not a text file but {what}")
    if head[4:10] == b'\0\0\0\0{"':  # after the length of the header, which is below 2^32
        raise TableError(f"{path} is not a text file but a model file; name a table")
    return head


def encoding_of(head: bytes) -> str:
    """Return the encoding suggested by the first bytes, "unknown" if neither UTF-8 nor UTF-16."""
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    zeros = [head[start:4096:2].count(0) for start in (0, 1)]
    if sum(zeros) > len(head[:4096]) // 8:  # UTF-16 of ASCII has a zero in every second byte
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "unknown"
    return "utf-8"


def decoded(path: str, content: bytes, encoding: str | None) -> tuple[str, str]:
    """Return a file's text and its encoding, which is detected if it is not given."""
    stated = encoding or encoding_of(content[:_HEAD])
    # Line ends of UTF-16 have a zero byte; without this check, UTF-8 would decode as Chinese.
    is_wide = codecs.lookup(stated).name.startswith(("utf-16", "utf-32")) if encoding else False
    try:
        if is_wide and content and 0 not in content:
            raise UnicodeError("has no zero byte")
        if stated != "unknown":
            return content.decode(stated).removeprefix("\ufeff"), stated
    except UnicodeError as error:
        if encoding is not None:
            raise TableError(
                f"{path} is not {stated.upper()} text; name another --encoding, or leave it out to "
                "have the encoding detected"
            ) from error
        if stated != "utf-8":
            raise TableError(
                f"{path} is not {stated.upper()} text; name its encoding: --encoding NAME"
            ) from error
        if isinstance(error, UnicodeDecodeError) and not content.partition(b"\n")[0].isascii():
            line = content.count(b"\n", 0, error.start) + 1
            raise TableError(
                f"{path} has the byte 0x{content[error.start]:02x} in line {line}, which is not "
                "UTF-8 text, but its first line is; correct the line, or name the encoding: "
                "--encoding NAME"
            ) from error
    try:
        return content.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "Latin-1"


def lines_of(head: str, is_whole: bool) -> list[str]:
    """Return the complete lines at the start of a text, without empty ones."""
    lines = head.splitlines()
    lines = lines if is_whole or len(lines) == 1 else lines[:-1]
    return [line for line in lines if line.strip()][:_LINES]


def separator_of(lines: list[str], is_csv: bool) -> str:
    """Return the separator of columns: a comma, a semicolon, a tab, a bar, or " " for spaces.

    A separator that occurs equally often in all lines wins, then the most frequent in the first
    line.
    """
    bare = [re.sub(r'"[^"]*"', "x", line) for line in lines]
    first = bare[0] if bare else ""
    steady = [s for s in "\t;|," if first.count(s) and len({line.count(s) for line in bare}) == 1]
    if len(bare) > 1 and steady:
        return steady[0]
    if not any(s in first for s in ",;\t|") and not is_csv and len(bare) > 1:
        fields = [len(line.split()) for line in bare[1:]]
        if fields[0] > 1 and len(set(fields)) == 1 and fields[0] - len(first.split()) in (0, 1):
            return " "
    return max(",;\t|", key=first.count)


def with_single_separators(text: str) -> str:
    """Return text with the runs of spaces and tabs between columns replaced by one tab."""
    lines = (re.sub(r'("[^"\n]*")|[ \t]+', lambda m: m[1] or "\t", line.strip())
             for line in text.splitlines())  # fmt: skip
    return "\n".join(lines) + "\n"


def cannot_be_names(names: list[str]) -> bool:
    """Return whether the first line cannot be names: its numbers repeat, or many are fractional."""
    numbers = _numbers(names)
    is_exact = any(re.search(r"[.eE]\d|^-", name) for name in numbers)
    return len(set(numbers)) < len(numbers) or (is_exact and len(numbers) > len(names) / 2)


def may_be_values(names: list[str]) -> bool:
    """Return whether the names in the first line may be values."""
    return len(_numbers(names)) > len(names) / 2


def _numbers(names: list[str]) -> list[str]:
    """Return the names that are numbers."""
    return [name for name in names if as_number(name) == as_number(name)]


#: A text of a Weka file in single quotes, or in double quotes.
_WEKA_QUOTED = r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\""""

#: A field of a row and the comma after it; the name of a column; the line above the rows.
_WEKA_FIELD = re.compile(rf"[ \t]*(?:{_WEKA_QUOTED}|([^,]*?))[ \t]*,")
_WEKA_NAME = re.compile(rf"(?im)^\s*@attribute\s+(?:{_WEKA_QUOTED}|([^\s{{]+))")
_WEKA_DATA = re.compile(r"(?im)^\s*@data\s*$")


def is_of_weka(head: str) -> bool:
    """Return whether the start of a text is that of a file of Weka (ARFF) or KEEL."""
    starts_so = head.lstrip()[:1] in ("%", "@")
    return starts_so and re.search(r"(?im)^\s*@relation\b", head) is not None


def without_attributes(path: str, text: str) -> str:
    """Return a file of Weka (ARFF) or KEEL as CSV.

    The head of such a file has a line "@attribute NAME ..." per column and ends with "@data".
    """
    data = _WEKA_DATA.search(text)
    end = len(text) if data is None else data.end()
    names = [_unescaped(*parts) for parts in _WEKA_NAME.findall(text, 0, end)]
    rows = [",".join('"{}"'.format(name.replace('"', '""')) for name in names)]
    for number, line in enumerate(text[end:].split("\n"), text.count("\n", 0, end) + 1):
        line = line.strip()
        if not line or line[0] == "%":
            continue
        if line[0] == "{" and len(rows) == 1:
            raise TableError(
                f"{path} is a sparse ARFF file, whose rows, such as {{0 1, 2 3}}, list only some "
                "columns; convert it by Weka's filter SparseToNonSparse, or save it as CSV"
            )
        fields = _WEKA_FIELD.findall(f"{line},")
        if len(fields) != len(names):
            raise TableError(
                f"{path} has {_checks.counted(len(fields), 'field')} in line {number}, but "
                f"{_checks.counted(len(names), '@attribute')}; correct the line: quote fields that "
                "contain a comma, and write ? for a missing value"
            )
        rows.append(",".join("" if f[2] == "?" else quoted(_unescaped(*f)) for f in fields))
    return "\n".join(rows) + "\n"


def _unescaped(single: str, double: str, plain: str) -> str:
    """Return a text of a Weka file, given what is in single quotes, in double quotes, or plain."""
    return re.sub(r"\\(.)", r"\1", single or double) or plain


def rows_of(lines: list[str], separator: str) -> list[list[str]]:
    """Return the fields of each row; a row has several lines if line breaks are in quotes."""
    return [row for row in csv.reader(lines, delimiter=separator) if row]


def without_last_separators(text: str, separator: str) -> str:
    """Return text without the separator at the end of each line, except in quotes."""
    found = rf'("(?:[^"]|"")*")|{re.escape(separator)} *(?=[\r\n]|\Z)'
    return re.sub(found, lambda m: m[1] or "", text)


def quoted(text: str) -> str:
    """Return a text as a field; an empty text is quoted, so that it does not read as missing."""
    needs = text == "" or text != text.strip() or any(c in text for c in ',"\r\n')
    return '"{}"'.format(text.replace('"', '""')) if needs else text
