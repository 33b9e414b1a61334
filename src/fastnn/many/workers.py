"""The work of an executor's worker: it gets the rows once, and trains portions of the members.

The rows and other data shared by the members are sent as a pickle with out-of-band arrays: in a
file that all processes of a machine map into memory (`InFile`), or as a value that a scheduler
passes to its workers (`InMemory`). A worker caches the last two of them by a token. Only workers of
the call that wrote these pickles read them.

Not here: executors, and which of the two forms each of them gets (executors.py).
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import pickle
import secrets
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks import History
from fastnn.many.outcomes import NOT_STARTED, Outcome, Status
from fastnn.many.progress import Progress
from fastnn.many.results import Fits
from fastnn.many.training import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastnn.many.members import Members
    from fastnn.training.specification import Specification
    from fastnn.training.state import Snapshot

#: Fields of Members that have an item for each member.
_OF_EACH = ("nets", "rows", "validation_rows", "epochs", "batch_size", "shuffle")

#: Fields of Members that may be mapped files.
_ROWS = ("X", "y", "sample_weight")

# ---- pickles ------------------------------------------------------------------------------------


def dumps(value: Any, buffers: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """Return a pickle; with cloudpickle installed, functions and classes may be local ones."""
    try:
        import cloudpickle as module
    except ImportError:
        module = pickle
    found: bytes = module.dumps(value, protocol=5, buffer_callback=buffers)
    return found


@dataclass(frozen=True)
class _Mapped:
    """An array in a file that each process maps itself."""

    path: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    def map(self) -> NDArray[Any]:
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


#: Bytes of a mapped array that are compared with its file at a time.
_COMPARED = 1 << 24


def _mapped(value: Any) -> Any:
    """Return a _Mapped for an array that is the whole of a mapped file; otherwise the array.

    The file must still hold the array: a private mapping may have been written to, and another file
    may have been given the name.
    """
    whole: Any = value if type(value) is np.memmap else getattr(value, "base", None)
    is_whole = (
        type(whole) is np.memmap
        and isinstance(whole.base, mmap.mmap)
        and whole.filename is not None
        and whole.flags.c_contiguous
        and value.__array_interface__ == whole.__array_interface__
    )
    if not is_whole:
        return value
    found = _Mapped(os.path.abspath(whole.filename), whole.dtype, whole.shape, whole.offset)
    return found if _are_same_bytes(found, whole) else value


def _are_same_bytes(mapped: _Mapped, array: NDArray[Any]) -> bool:
    """Whether the file that other processes would map has the bytes of an array."""
    try:
        file = mapped.map()
    except (OSError, ValueError):  # it is gone, or too short
        return False
    one, other = (rows.reshape(-1).view(np.uint8) for rows in (file, array))
    return all(
        np.array_equal(one[at : at + _COMPARED], other[at : at + _COMPARED])
        for at in range(0, len(one), _COMPARED)
    )


# ---- data shared by all members -----------------------------------------------------------------


def shared_data(members: Members, numbers: Sequence[int], map_files: bool) -> Members:
    """Return members with only their shared data, after finding the labels of the classes."""
    for number in numbers:
        state = members.nets[number]._state
        if state.classes is None:
            members.classes_of(state)
    empty: dict[str, Any] = {n: [] for n in _OF_EACH if getattr(members, n) is not None}
    rows = {name: _mapped(getattr(members, name)) for name in _ROWS} if map_files else {}
    caches: dict[str, Any] = {"_made": {}, "_strata": {}, "_of_all_rows": {}}
    return dataclasses.replace(members, **empty, **rows, targets=members.y, groups=None, **caches)


class _Kept:
    """The two values that this process has read last, by their tokens."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.lock = threading.Lock()

    def get(self, token: str, read: Callable[[], Any]) -> Any:
        with self.lock:
            if token not in self.values:
                self.values = {**dict(list(self.values.items())[-1:]), token: read()}
            return self.values[token]


_KEPT = _Kept()


@dataclass(frozen=True)
class InMemory:
    """The data shared by all members, as a value that a scheduler passes to its workers."""

    head: bytes
    buffers: list[NDArray[np.uint8]]
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @classmethod
    def of(cls, members: Members) -> InMemory:
        """Pickle members; the arrays are not copied."""
        buffers: list[pickle.PickleBuffer] = []
        head = dumps(members, buffers.append)
        return cls(head, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers])

    def get(self) -> Members:
        """Return the members."""
        found: Members = _KEPT.get(
            self.token, lambda: pickle.loads(self.head, buffers=self.buffers)
        )
        return found

    @property
    def is_over(self) -> bool:
        """Whether the call has ended: False, since a worker cannot find out."""
        return False


@dataclass(frozen=True)
class InFile:
    """The data shared by all members, in a file that exists as long as the call runs."""

    path: str
    token: str

    @classmethod
    def of(cls, members: Members) -> InFile:
        """Write members to a temporary file."""
        value = InMemory.of(members)
        descriptor, path = tempfile.mkstemp(prefix="fastnn-", suffix=".tmp")
        try:
            with open(descriptor, "wb") as file:
                sizes = [len(buffer) for buffer in value.buffers]
                head = pickle.dumps((value.head, sizes))
                file.write(len(head).to_bytes(8, "little") + head)
                for buffer in value.buffers:
                    file.write(b"\0" * (-file.tell() % 64))
                    file.write(buffer.data)
        except BaseException:
            os.unlink(path)
            raise
        return cls(path, value.token)

    def get(self) -> Members:
        """Return the members; their arrays are views of the mapped file."""
        found: Members = _KEPT.get(self.token, self._read)
        return found

    def _read(self) -> Members:
        with open(self.path, "rb") as file:
            memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        at = 8 + int.from_bytes(memory[:8], "little")
        head, sizes = pickle.loads(memory[8:at])
        buffers = []
        for size in sizes:
            at += -at % 64
            buffers.append(memory[at : at + size])
            at += size
        members: Members = pickle.loads(head, buffers=buffers)
        rows = {name: getattr(members, name) for name in _ROWS}
        mapped: dict[str, Any] = {}
        mapped |= {name: value.map() for name, value in rows.items() if isinstance(value, _Mapped)}
        return dataclasses.replace(members, **mapped)

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return not os.path.exists(self.path)


# ---- portions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Numbered:
    """A user's function of a network's number, called with positions in a portion."""

    function: Callable[[int], Any]
    numbers: tuple[int, ...]

    def __call__(self, i: int) -> Any:
        return self.function(self.numbers[i])


def packed_portion(members: Members, numbers: Sequence[int], raises: bool, n_threads: int) -> bytes:
    """Return the pickle of a portion: the data of its members that is not shared by all."""
    each = {
        name: [getattr(members, name)[i] for i in numbers]
        for name in _OF_EACH
        if getattr(members, name) is not None
    }
    return dumps((tuple(numbers), each, raises, n_threads))


@dataclass(frozen=True)
class Trained:
    """A network that a worker has trained: an Outcome without the specification."""

    number: int
    snapshot: Snapshot
    metadata: dict[str, Any]
    status: Status
    epoch: list[int]
    history: dict[str, list[float]]
    best_epoch: int | None

    def outcome(self, spec: Specification) -> Outcome:
        """Return the Outcome with the given specification."""
        history = History()
        history.epoch, history.history = self.epoch, self.history
        return Outcome(spec, self.snapshot, self.metadata, self.status, history, self.best_epoch)


@dataclass(frozen=True)
class Result:
    """The result of a portion; missing members were not trained to their end."""

    trained: list[Trained]
    seconds: float
    error: tuple[int | None, BaseException] | None = None  # number of its member, and the error


class _Over(Exception):  # noqa: N818  # no error: the call has ended
    """Raised to end a portion whose call has ended."""


class CallWatcher(Progress):
    """A Progress that shows nothing, and ends a portion once its call has ended."""

    def __init__(self, is_over: Callable[[], bool], on_ended: Callable[[Status], None]) -> None:
        super().__init__(0, False)
        self.is_over, self.on_ended = is_over, on_ended

    def count(self, status: Status) -> None:
        """Pass on the status of a network that has ended."""
        self.on_ended(status)

    def show(self) -> None:
        """Raise _Over if the call has ended."""
        if self.is_over():
            raise _Over


def train(shared_data: InFile | InMemory, portion: bytes) -> Result:
    """Train a portion of the members, in a worker."""
    numbers, each, raises, n_threads = pickle.loads(portion)
    try:
        members = dataclasses.replace(shared_data.get(), **each)
    except FileNotFoundError:  # the call has ended, by an error in another portion
        if not shared_data.is_over:
            raise
        return Result([], 0.0)
    if callable(members.callbacks):
        members.callbacks = _Numbered(members.callbacks, numbers)
    fits = Fits(members.nets)
    watcher = CallWatcher(lambda: shared_data.is_over, lambda status: None)
    seconds, error = run(members, fits, range(len(numbers)), raises, watcher, n_threads)
    trained = []
    for i, number in enumerate(numbers):
        if fits.statuses[i].kind != NOT_STARTED:
            o = fits.outcome(i)
            history = o.history.epoch, o.history.history
            one = Trained(number, o.snapshot, o.metadata, o.status, *history, o.best_epoch)
            trained.append(one)
    if error is not None:
        index, cause = error
        error = None if index is None else numbers[index], _sendable(cause)
    return Result(trained, seconds, error)


def run(
    members: Members,
    fits: Fits,
    numbers: Sequence[int],
    raises: bool,
    watcher: CallWatcher,
    n_threads: int,
) -> tuple[float, tuple[int | None, BaseException] | None]:
    """Train members; return the time in seconds and, if any, an error with its member's number.

    Ctrl-C in the worker, or the end of the call, ends the portion.
    """
    began = time.monotonic()
    error: tuple[None, BaseException] | None = None
    crew = Crew(members, fits, numbers, raises, watcher)
    try:
        crew.train(min(n_threads, len(numbers)))
    except (_Over, KeyboardInterrupt):
        pass
    except Exception as cause:
        error = None, cause
    return time.monotonic() - began, crew.error or error


def _sendable(error: BaseException) -> BaseException:
    """Return an error, or a RuntimeError with its text if it cannot be pickled."""
    try:
        pickle.loads(dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
