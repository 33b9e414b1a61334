"""Files that are replaced as a whole: at any moment there is either the old one or the new one.

Not here: what is in them (exchange/, tabular/writing.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


def make_folder_of(path: str) -> None:
    """Make the folder that a file goes to, if it doesn't exist."""
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)


def regular(path: str | os.PathLike[str]) -> str:
    """Return the real path of a file, links followed; an OSError if it is a folder or a device."""
    target = os.path.realpath(os.fsdecode(path))
    if os.path.exists(target) and not os.path.isfile(target):
        number = errno.EISDIR if os.path.isdir(target) else errno.EINVAL
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
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make a new name in a folder survive a power cut, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # a folder without read permission; some network file systems
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.ENOTSUP):
            raise
