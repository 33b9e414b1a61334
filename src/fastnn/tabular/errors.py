"""TableError, and how its messages show names.

Here: helpers that several modules of this package use to raise a TableError. Not here: the checks
of tables, which are in the module that they concern; checks of other arguments (_checks/).
"""

import contextlib
import difflib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType

#: The name of a data frame in messages, where a file has its path.
FRAME = "the data frame"


class TableError(ValueError):
    """A table, or a value in it, cannot be used; the message gives the place and the remedy."""


def require_columns(path: str, wanted: Iterable[str], names: Sequence[str]) -> None:
    """Check that a table has a column for each of these names."""
    known = set(names)
    missing = [name for name in wanted if name not in known]
    if missing:
        hint = suggestion(missing[0], names) if len(missing) == 1 else _suggestions(missing, names)
        plural = "s" if len(missing) > 1 else ""
        raise TableError(
            f"{path} has no column{plural} {listed(missing)}; {hint}its columns are "
            f"{listed(names, 12)}"
        )


def _suggestions(missing: Sequence[str], names: Sequence[str]) -> str:
    """Return a question with the columns most similar to the first missing ones."""
    near = [(name, _nearest(name, names)) for name in missing[:6]]
    pairs = ", ".join(f"{found!r} for {name!r}" for name, found in near if found is not None)
    return f"did you mean {pairs}? " if pairs else ""


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names as a list for a message: the first ones, then how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def suggestion(text: str, known: Sequence[str]) -> str:
    """Return a question with the known text most similar to this one, or an empty string."""
    near = _nearest(text, known)
    return "" if near is None else f"did you mean {near!r}? "


def _nearest(text: str, known: Sequence[str]) -> str | None:
    """Return the known text most similar to this one, preferably the same in another case."""
    same = [each for each in known if each.casefold() == text.casefold()]
    near = difflib.get_close_matches(text, same or known, n=1, cutoff=0.0 if same else 0.7)
    return near[0] if near else None


def polars_for(path: str) -> ModuleType:
    """Import and return polars, which is needed to read or write this file."""
    try:
        import polars
    except ImportError as error:
        raise ImportError(
            f"{path!r} needs polars, which is not installed; pip install polars, or use .npz"
        ) from error
    module: ModuleType = polars
    return module


def polars_path(path: str) -> str | io.BytesIO:
    """Return a path that polars accepts, or the content of the file if the path is not UTF-8."""
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError:
        with open(path, "rb") as file:
            return io.BytesIO(file.read())


@contextlib.contextmanager
def one_line_about(path: str, form: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Turn exceptions of other libraries into a one-line TableError; let errors of the OS pass."""
    try:
        yield
    except BaseException as error:
        is_of_system = isinstance(error, OSError) and error.errno is not None
        if is_of_system or not isinstance(error, (OSError, *kinds)):
            raise
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TableError(f"{path} cannot be read as {form}: {first}") from error
