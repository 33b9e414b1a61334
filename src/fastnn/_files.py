"""Replace files atomically: at any moment there is either the old file or the new one.

Also here: whether two paths refer to the same file, and whether a file holds a model or a
checkpoint of `fit_many`, for the checks of paths. Not here: these checks (_checks/paths.py); the
content of files (exchange/, tabular/writing.py).
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

#: The beginning of every checkpoint of `fit_many`.
CHECKPOINT_HEAD = b"fastnn fit_many\n"


def are_same(one: str | int, other: str | int) -> bool:
    """Whether two paths or descriptors refer to the same regular file, by their identities."""
    found = identity(one)
    return found is not None and found == identity(other)


def identity(file: str | int) -> tuple[int, int] | str | None:
    """Return what all paths and descriptors of a regular file have in common; None for others.

    Links, different spellings of a path and, if the file system ignores it, case make no
    difference. A file that does not exist yet has its real path.
    """
    try:
        found = os.stat(file)
    except OSError:
        return os.path.realpath(file) if isinstance(file, str) else None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def holds_model(path: str) -> bool:
    """Whether a file begins as fastnn's model files do."""
    return _beginning(path, 8 + len(MODEL_HEAD))[8:] == MODEL_HEAD


def holds_checkpoint(path: str) -> bool:
    """Whether a file begins as checkpoints of `fit_many` do."""
    return _beginning(path, len(CHECKPOINT_HEAD)) == CHECKPOINT_HEAD


def _beginning(path: str, n: int) -> bytes:
    """Return the first n bytes of a file; none if it is no regular file or may not be read."""
    if not os.path.isfile(path):
        return b""
    with contextlib.suppress(PermissionError), open(path, "rb") as file:
        return file.read(n)
    return b""


def exists(path: str) -> bool:
    """Whether a file of this name exists; raise an OSError if that cannot be determined."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def make_folder_of(path: str) -> None:
    """Create the folder of a file if it doesn't exist."""
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)


def regular(path: str | os.PathLike[str]) -> str:
    """Return the real path of a file, following links; an OSError for a folder or a device."""
    target = os.path.realpath(os.fsdecode(path))
    with contextlib.suppress(FileNotFoundError):  # a new file
        mode = os.stat(target).st_mode  # raises an error for circular links
        if not stat.S_ISREG(mode):
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(number, "Not a regular file", target)
    return target


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary binary file, which replaces `path` once it is complete and synced.

    If an error occurs, the old file is unchanged. The new file has the permissions of the old one.
    """
    target = regular(path)
    folder, name = os.path.split(target)
    # Shortened, so that the temporary name of a name of maximal length is not too long.
    temporary = os.path.join(folder, f".{name[:50]}.{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:  # O_CREAT | O_EXCL, 0o666 less the umask
            _keep_permissions(target, file.fileno())
            yield file
            sync(file)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and _is_of(error, temporary):
            error.filename = target
        raise
    _sync_folder(folder)


#: Errors that only writing can cause, and that name no file: there is no room for more bytes.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _is_of(error: OSError, temporary: str) -> bool:
    """Whether an error is one of the temporary file."""
    names_none = error.filename is None and error.errno in _NO_ROOM
    return names_none or error.filename == temporary


def sync(file: BinaryIO) -> None:
    """Write a file to the disk, so that an error of the disk occurs here."""
    file.flush()
    os.fsync(file.fileno())


def _keep_permissions(target: str, descriptor: int) -> None:
    """Give an open file the permissions of the file that it will replace, if there is one."""
    if not hasattr(os, "fchmod"):  # Windows
        return
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(os.stat(target).st_mode)
        if mode != stat.S_IMODE(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, mode)


def _sync_folder(folder: str) -> None:
    """Sync a folder, so that a new name in it survives a power failure, where this is possible."""
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
