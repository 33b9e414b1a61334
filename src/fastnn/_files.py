"""Files that are replaced as a whole: at any moment the old one or the new one, whatever happens.

Not here: what is in them (_safetensors.py, onnx.py, tabular/writing.py).
"""

import contextlib
import errno
import os


def regular(path):
    """Return where a file is or will be, through links, which stay links; no folder, no device."""
    target = os.path.realpath(os.fsdecode(path))
    if os.path.exists(target) and not os.path.isfile(target):
        number = errno.EISDIR if os.path.isdir(target) else errno.EINVAL
        raise OSError(number, "Not a regular file", target)
    return target


@contextlib.contextmanager
def replacing(path):
    """Give a binary file to write, which is moved to its place once it is whole and synced.

    If anything fails, the old file is as it was.
    """
    target = regular(path)
    folder, name = os.path.split(target)
    # Cut, so that the longest name a folder can hold leaves room for the rest.
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


def _sync_folder(folder):
    """Make a new name in a folder outlast a power cut, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # a folder that we may write but not read; some network file systems
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.ENOTSUP):
            raise
