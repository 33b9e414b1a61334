"""The error about a table, and how its messages show names.

Here: what several modules of this package need to raise a TableError. Not here: the checks
themselves, which stand beside what they check; checks of other arguments (_checks/).
"""

import contextlib
import difflib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType


class TableError(ValueError):
    """A table, or a value in one, cannot be used; the message says where, and what to do."""


def require_columns(path: str, wanted: Iterable[str], names: Sequence[str]) -> None:
    """Check that a table has all columns of these names."""
    missing = [name for name in wanted if name not in names]
    if missing:
        hint = suggestion(missing[0], names) if len(missing) == 1 else _suggestions(missing, names)
        plural = "s" if len(missing) > 1 else ""
        raise TableError(
            f"{path} has no column{plural} {listed(missing)}; {hint}its columns are "
            f"{listed(names, 12)}"
        )


def _suggestions(missing: Sequence[str], names: Sequence[str]) -> str:
    """Return a question that names the columns most similar to the first ones that are missing."""
    near = [(n, difflib.get_close_matches(n, names, n=1, cutoff=0.7)) for n in missing[:6]]
    pairs = ", ".join(f"{found[0]!r} for {name!r}" for name, found in near if found)
    return f"did you mean {pairs}? " if pairs else ""


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names as a message lists them: the first ones, then how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def suggestion(text: str, known: Sequence[str]) -> str:
    """Return a question that names the known text most similar to this one, or nothing."""
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}? " if near else ""


def shell_argument(text: str) -> str:
    """Return a text quoted for a shell."""
    import shlex  # slow to import, and rarely needed

    return shlex.quote(text)


def polars_for(path: str) -> ModuleType:
    """Return the module polars, which reading or writing this file needs."""
    try:
        import polars
    except ImportError as error:
        raise ImportError(
            f"{path!r} needs polars, which is not installed; pip install polars, or use .npz"
        ) from error
    module: ModuleType = polars
    return module


def polars_path(path: str) -> str | io.BytesIO:
    """Return a path as polars takes it, or the content of the file if its name is not UTF-8."""
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError:
        with open(path, "rb") as file:
            return io.BytesIO(file.read())


@contextlib.contextmanager
def one_line_about(path: str, form: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Turn exceptions of other libraries into a TableError of one line; errors of the OS pass."""
    try:
        yield
    except BaseException as error:
        is_of_system = isinstance(error, OSError) and error.errno is not None
        if is_of_system or not isinstance(error, (OSError, *kinds)):
            raise
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TableError(f"{path} cannot be read as {form}: {first}") from error
