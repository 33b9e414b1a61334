"""Files that are replaced as a whole: at any moment there is either the old one or the new one.

Here too: whether two names are of one file, and whether a file holds a model, for the checks of
paths. Not here: those checks (_checks/paths.py); what is in the files (exchange/,
tabular/writing.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


#: The beginning of the header of every model file, after the 8 bytes of its length.
MODEL_HEAD = b'{"__metadata__":{"sha256":"'


def are_same(one: str | int, other: str | int) -> bool:
    """Whether two paths or descriptors are of one regular file.

    Links, other spellings of a path and, where the file system ignores case, of a name make no
    difference. A file that is still to be made is known by its real path.
    """
    try:
        first, second = os.stat(one), os.stat(other)
    except OSError:
        paths = [os.path.realpath(path) for path in (one, other) if isinstance(path, str)]
        return len(paths) == 2 and paths[0] == paths[1]
    return stat.S_ISREG(first.st_mode) and os.path.samestat(first, second)


def holds_model(path: str) -> bool:
    """Whether a file begins as fastnn's model files do."""
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(PermissionError), open(path, "rb") as file:
        return file.read(8 + len(MODEL_HEAD))[8:] == MODEL_HEAD
    return False


def exists(path: str) -> bool:
    """Whether there is a file of this name; an OSError if that cannot be known."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def make_folder_of(path: str) -> None:
    """Make the folder that a file goes to, if it doesn't exist."""
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)


def regular(path: str | os.PathLike[str]) -> str:
    """Return the real path of a file, links followed; an OSError if it is a folder or a device."""
    target = os.path.realpath(os.fsdecode(path))
    with contextlib.suppress(FileNotFoundError):  # a new file
        mode = os.stat(target).st_mode  # raises for links that lead in a circle
        if not stat.S_ISREG(mode):
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(number, "Not a regular file", target)
    return target


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary binary file, which replaces `path` once it is complete and synced.

    If anything fails, the old file is as it was.
    """
    target = regular(path)
    folder, name = os.path.split(target)
    # Cut, so that the temporary name of the longest possible name is not too long.
    temporary = os.path.join(folder, f".{name[:50]}.{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:  # O_CREAT | O_EXCL, 0o666 less the umask
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = target
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make a new name in a folder survive a power cut, where the file system can."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows: folders cannot be opened
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # a folder without read permission; some network file systems
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.ENOTSUP):
            raise
