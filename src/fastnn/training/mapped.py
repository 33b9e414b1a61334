"""Memory-mapped files: their paths, and advice to the system about their pages."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

#: The machine's memory in bytes; 0 on Windows, which takes no advice about pages.
MEMORY_BYTES = (
    os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
)


def files_of(*rows: Any) -> list[str]:
    """Return the paths of the files that are mapped by arrays, sparse rows or lists of batches."""
    found: list[str] = []
    for value in rows:
        if isinstance(value, list | tuple) and value:
            first = value[0][:1] if isinstance(value[0], list | tuple) else value[:1]
            if any(isinstance(array, np.ndarray) for array in first):
                found += files_of(*value)
        elif hasattr(value, "indptr"):
            found += files_of(value.data, value.indices, value.indptr)
        while isinstance(value, np.ndarray):
            name = getattr(value, "filename", None)
            found += [os.fspath(name)] if name is not None else []
            value = value.base
    return list(dict.fromkeys(found))


def release(array: object) -> None:
    """Let the system free the pages of a mapped file that have been read.

    The pages stay in the system's cache as long as memory is available. Private mappings are left
    alone, since their pages may have been changed.
    """
    mapped = getattr(array, "_mmap", None)
    is_shared = getattr(array, "mode", None) in ("r", "r+", "w+")
    if mapped is not None and is_shared and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def advise(array: object, advice: str) -> bool:
    """Tell the system how a mapped file that is too large for its cache will be read.

    Without MADV_RANDOM the system would read half a megabyte around every row, and drop it before
    another row of it is used. Return whether the advice was given.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is None or not hasattr(mmap, advice) or len(mapped) <= MEMORY_BYTES / 2:
        return False
    mapped.madvise(getattr(mmap, advice))
    return True
