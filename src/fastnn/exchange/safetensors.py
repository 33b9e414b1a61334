"""Read and write tensors and strings as safetensors: https://huggingface.co/docs/safetensors.

    8 bytes     n, the length of the header, little-endian
    n bytes     the header: JSON, with spaces at its end so that the data begin on a multiple of 8
    the rest    the data: one tensor after the other, little-endian, in C order, without gaps

The header is {"__metadata__": {"sha256": ..., key: value, ...}, name: {"dtype": "F32", "shape":
[2, 3], "data_offsets": [0, 24]}, ...}. "sha256" is the SHA-256 of the whole file with its own 64
digits replaced by zeros, so that a change of any bit is detected. The official package can read
these files; `read` accepts only files that `write` may have written.

Not here: networks. The caller defines the meaning of names, shapes and strings.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
from reprlib import repr as _shown  # limits the length
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _files

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Mapping
    from typing import BinaryIO

    from numpy.typing import ArrayLike, NDArray

    Tensors = dict[str, NDArray[Any]]
    Strings = dict[str, str]
    Layout = list[tuple[str, np.dtype[Any], list[int]]]

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"),
           "I64": np.dtype("<i8"), "U64": np.dtype("<u8"), "U8": np.dtype("u1")}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

_MAX_HEADER = 2**24  # bytes, for 1e5 tensors; parsing the worst such header takes 600 MB
_CHUNK = 2**20  # bytes that are read at a time, and hashed while they are in the cache
_DIGITS = re.compile(rb'(?<="sha256":")[^"]{64}(?=")')
_ZEROS = b"0" * 64


class ModelFileError(ValueError):
    """Raised for a file that fastnn did not write, or that was truncated or altered since."""


# ---- writing ------------------------------------------------------------------------------------


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, ArrayLike],
    metadata: Mapping[str, str],
) -> None:
    """Write a file atomically: at any moment the path has the complete old or new file."""
    pieces = encode(tensors, metadata)
    with _files.replacing(path) as file:
        for piece in pieces:
            file.write(piece)


def encode(
    tensors: Mapping[str, ArrayLike], metadata: Mapping[str, str]
) -> list[bytes | memoryview]:
    """Return the pieces of a file of these tensors and strings: the head, then the data."""
    if "__metadata__" in tensors or "sha256" in metadata:
        raise ValueError("'__metadata__' and 'sha256' are reserved: choose other names")
    arrays = [(name, _storable(name, tensor)) for name, tensor in tensors.items()]
    arrays.sort(key=lambda item: -item[1].itemsize)  # so that every array is aligned
    entries: dict[str, Any] = {}
    end = 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        dtype, shape = _NAMES[array.dtype], list(array.shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    _layout(entries, end)  # raises the errors that `read` would raise
    strings = _strings({"sha256": _ZEROS.decode(), **metadata})
    header = {"__metadata__": strings, **entries}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(
            f"the header takes {len(text)} bytes, more than {_MAX_HEADER}; shorten the metadata"
        )
    memory = [_bytes(array) for _, array in arrays]
    return [seal(len(text).to_bytes(8, "little") + text, *memory), *memory]


def _storable(name: str, tensor: ArrayLike) -> NDArray[Any]:
    """Return a finite array in the layout of the file, without a copy if it has this layout."""
    array = np.asarray(tensor)
    dtype = array.dtype.newbyteorder("<")
    if dtype not in _NAMES:
        raise TypeError(
            f"tensor {_shown(name)} has dtype {array.dtype}; pass float32, float64, int64, uint64 "
            "or uint8"
        )
    _require_finite(name, array)
    return np.asarray(array, dtype, order="C")


def seal(head: bytes, *rest: bytes | memoryview) -> bytes:
    """Return the head of a file (or the whole file) with the checksum of all pieces filled in."""
    digest = _sha256(_DIGITS.sub(_ZEROS, head, count=1))
    for piece in rest:
        digest.update(piece)
    return _DIGITS.sub(digest.hexdigest().encode(), head, count=1)


def _sha256(first: bytes) -> hashlib._Hash:
    """Return a SHA-256 that has been fed these bytes."""
    import hashlib  # takes 4 ms, `import fastnn` 20 ms: imported only for files

    return hashlib.sha256(first)


def _bytes(array: NDArray[Any]) -> memoryview:
    """Return the memory of a C-contiguous array."""
    return array.reshape(-1).view(np.uint8).data


# ---- reading ------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str]) -> tuple[Tensors, Strings]:
    """Return (tensors, metadata) of a file; raise a ModelFileError if it is malformed.

    An OSError passes through: the file does not exist, may not be read, or is a folder.
    """
    path = os.fsdecode(path)
    with open(path, "rb", opener=_open_at_once) as file:
        try:
            return _read(file, _size_of(file))
        except _NoModelFileError as error:
            raise ModelFileError(
                f"{path!r} is not a model file: {error}; pass a file that MLP.save wrote"
            ) from error
        except ValueError as error:
            raise ModelFileError(
                f"{path!r} is not a model file, or was damaged: {error}; save it again, "
                "or restore a backup"
            ) from error


def _open_at_once(path: str, flags: int) -> int:
    # Otherwise opening a FIFO would wait for a writer. Windows has no FIFOs in its file system.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes) -> tuple[Tensors, Strings]:
    """Return (tensors, metadata) of a file's bytes; raise a ValueError if they are malformed."""
    return _read(io.BytesIO(data), len(data))


def _size_of(file: BinaryIO) -> int:
    """Return the size of an open file, which must be a regular file."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is a device or a pipe")
    return status.st_size


class _NoModelFileError(ValueError):
    """The file is of another format."""


def _read(file: BinaryIO, size: int) -> tuple[Tensors, Strings]:
    """Return (tensors, metadata) of an open file; raise a ValueError if it is malformed."""
    if size < 8:
        raise ValueError(f"it has {size} bytes, fewer than the 8 at the start of every model file")
    length = file.read(8)
    n, room = int.from_bytes(length, "little"), size - 8
    if n > room and n > _MAX_HEADER and file.read(1) != b"{":
        raise _NoModelFileError("it does not begin with the header of a safetensors file")
    if n > min(room, _MAX_HEADER):
        raise ValueError(
            f"its header would take {n} bytes of {room}; at most {_MAX_HEADER} are allowed"
        )
    text = file.read(n)
    entries, metadata, checksum = _parse(text)
    layout = _layout(entries, room - n)

    digest = _sha256(length + text.replace(checksum.encode(), _ZEROS, 1))
    tensors = {name: np.empty(shape, dtype) for name, dtype, shape in layout}
    for array in tensors.values():
        _fill(_bytes(array), file, digest)
    if digest.hexdigest() != checksum:
        raise ValueError("its checksum does not match its bytes, so some bytes have changed")
    for name, array in tensors.items():
        _require_finite(name, array)
    return tensors, metadata


def _fill(memory: memoryview, file: BinaryIO, digest: hashlib._Hash) -> None:
    """Fill memory from a file, and update the digest with it."""
    for at in range(0, len(memory), _CHUNK):
        piece = memory[at : at + _CHUNK]
        if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]  # BinaryIO lacks it
            raise ValueError("it became shorter while it was read")
        digest.update(piece)


def _parse(text: bytes) -> tuple[dict[str, Any], Strings, str]:
    """Return the entries of a header, its metadata without the checksum, and the checksum."""
    if not text.startswith(b"{"):
        raise ValueError(f"its header begins with {_shown(text[:1])}, not with '{{'")
    try:
        entries = json.loads(text.decode(), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    except ValueError as error:  # of the decoder, of json, of an int of too many digits, of _object
        raise ValueError(f"its header is not valid JSON ({error})") from error
    metadata = _strings(entries.pop("__metadata__", {}))
    if "sha256" not in metadata:
        raise ValueError(
            "it has no checksum ('sha256' in its metadata), so another program wrote it: "
            "safetensors.numpy.load_file may read it"
        )
    return entries, metadata, metadata.pop("sha256")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the dict of a JSON object; duplicate keys and strings invalid in UTF-8 are errors."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = _shown([key for key, _ in pairs])
        raise ValueError(f"one of the keys {keys} occurs twice")
    for text in (*found, *found.values()):
        if isinstance(text, str):
            text.encode()
    return found


# ---- rules of the format, checked by write and read ---------------------------------------------


def _strings(metadata: Any) -> Strings:
    """Return metadata after checking that all keys and values are strings."""
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata must be a dict of strings; it is {_shown(metadata)}")
    for key, value in metadata.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise ValueError(f"metadata {_shown(key)} must be a string; it is {_shown(value)}")
    return metadata


def _layout(entries: Mapping[str, Any], room: int) -> Layout:
    """Return [(name, dtype, shape)] in the order of the data, which must fill `room` bytes."""
    spans, at = sorted(_span(name, entry) for name, entry in entries.items()), 0
    for begin, end, name, *_ in spans:
        if begin != at:
            place = f"tensor {_shown(name)} begins at byte {_shown(begin)} of the data"
            raise ValueError(f"{place}, not at {_shown(at)}")
        at = end
    if at != room:
        raise ValueError(f"its tensors take {_shown(at)} bytes but {room} follow the header")
    return [(name, dtype, shape) for _, _, name, dtype, shape in spans]


def _span(name: Any, entry: Any) -> tuple[int, int, str, np.dtype[Any], list[int]]:
    """Return (begin, end, name, dtype, shape) of a tensor after checking its entry."""
    tensor = f"tensor {_shown(name)}"
    if not isinstance(name, str) or not name:
        raise ValueError(f"{tensor} must have a name: a string, not an empty one")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        fields = _shown(list(entry) if isinstance(entry, dict) else entry)
        raise ValueError(f"{tensor} must have dtype, shape and data_offsets; it has {fields}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"{tensor} has dtype {_shown(dtype)}; it must be {', '.join(_DTYPES)}")
    if not _are_integers(shape, low=1) or len(shape) > 2:
        raise ValueError(
            f"{tensor} has shape {_shown(shape)}; it must have 0 to 2 sizes of 1 or more"
        )
    if not _are_integers(offsets, low=0) or len(offsets) != 2:
        raise ValueError(f"{tensor} has data_offsets {_shown(offsets)}; it must have two")
    begin, end = offsets
    if end - begin != math.prod(shape) * _DTYPES[dtype].itemsize:
        raise ValueError(f"{tensor}, {dtype} {_shown(shape)}, does not fill {_shown(offsets)}")
    return begin, end, name, _DTYPES[dtype], shape


def _are_integers(values: Any, low: int) -> bool:
    """Return whether `values` is a list of integers (bool excluded) of at least `low`."""
    return isinstance(values, list) and all(type(v) is int and v >= low for v in values)


def _require_finite(name: str, array: NDArray[Any]) -> None:
    """Check that an array holds neither NaN nor an infinity."""
    finite = np.isfinite(array)
    if not finite.all():
        raise ValueError(f"tensor {_shown(name)} holds {array[~finite][0]}; it must be finite")
