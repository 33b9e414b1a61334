"""Output of the commands on standard output and standard error, and formatted scores.

Not here: the tables of results (result_text.py), and files (tabular/writing.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn._checks import counted as counted  # for the commands
from fastnn.cli.options import UsageError
from fastnn.tabular.numbers import MANY_DIGITS, in_four_digits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

#: Remedies for errors of the operating system.
_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "check its permissions, or choose another place",
    errno.EROFS: "choose another place",
    errno.EISDIR: "name a file",
    errno.ELOOP: "check the links",
    errno.ENOSPC: "make room, or choose another place",
    errno.EDQUOT: "make room, or choose another place",
}


# ---- streams ------------------------------------------------------------------------------------


def print_now(text: str) -> None:
    """Write text to standard output as UTF-8, and flush it."""
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "is closed")
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            sys.stdout.write(text)
        else:
            buffer.write(text.encode(errors="surrogateescape"))  # a path may hold any bytes
            buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error


def log(text: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def discard(stream: TextIO) -> None:
    """Drop the text that a stream still buffers, so that Python reports no error at exit."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


def protect(inputs: Sequence[str], outputs: Mapping[str, str] | None = None) -> None:
    """Check that no input file is overwritten, by standard output or by one of `outputs`.

    `outputs` are paths by option name. An input "-" is standard input.
    """
    read = [0 if path == "-" else path for path in inputs]
    written: dict[str, str | int] = dict(outputs or {})
    with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or not a file
        written["standard output"] = sys.stdout.fileno()
    try:
        for name, file in written.items():
            _checks.not_read(name, file, read)
    except ValueError as error:
        raise UsageError(str(error)) from error


def require_ending(option: str, path: str, endings: Sequence[str]) -> None:
    """Check that the path of an output file has one of these endings."""
    if os.path.splitext(path)[1].lower() not in endings:
        raise UsageError(f"{option} {path}: the name must end with {_checks.either(endings)}")


# ---- errors -------------------------------------------------------------------------------------


def of_system(error: OSError) -> str:
    """Return an error of the operating system as a message: the file, the problem, the remedy."""
    what = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    remedy = "" if error.errno is None else _REMEDIES.get(error.errno)
    return f"{where}{what}" + (f"; {remedy}" if remedy else "")


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Let an error on writing name this file, not the temporary file that replaces it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


# ---- scores and names ---------------------------------------------------------------------------

#: Characters that end a line or control a terminal.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def score(name: str, value: float | None) -> str:
    """Return a score as text: errors with four digits, other scores with four decimals."""
    if value is None:
        return "-"
    if name not in ("mae", "rmse", "pinball"):
        # R² of targets that hardly differ, or of predictions that are far off
        if abs(value) >= 1000:
            return in_four_digits(value)
        return f"{value:.4f}".replace("-0.0000", "0.0000")
    return f"{value:,.0f}" if 1000 <= value < MANY_DIGITS else f"{value:#.4g}"


def two_columns(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of a name and a text in two aligned columns."""
    return "".join(f"{name:<11} {text}\n" for name, text in pairs)


def one_line(name: str) -> str:
    """Return a name for a line of text: quoted if it is empty or has control characters."""
    return repr(name) if not name or _CONTROLS.search(name) else name


def abbreviated(names: Sequence[str], most: int = 12) -> str:
    """Return names separated by commas: the first ones, then how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(one_line, names[:most])) + more
