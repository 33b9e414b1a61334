"""A checkpoint of `fit_many`: a file to which networks are added as they finish.

    16 bytes    "fastnn fit_many" and a line feed
    records     each a length n, 8 bytes, little-endian, and a safetensors file of n bytes

The first record holds the digests of the call's arguments and of its networks; each further record
holds networks (files.py) and their numbers in the call. The file is created atomically with its
first record. Further records are appended and synced, so that a killed process leaves at most one
incomplete record, at the end; the networks of that record are trained again.

Not here: digests (digests.py), the tensors of networks (files.py).
"""

from __future__ import annotations

import json
import os
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _files
from fastnn.exchange import model_files, safetensors
from fastnn.exchange.safetensors import ModelFileError
from fastnn.many import digests, files
from fastnn.many.interrupts import without_collections
from fastnn.many.outcomes import DIVERGED, NOT_STARTED
from fastnn.many.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from fastnn.many.members import Members
    from fastnn.many.outcomes import Outcome
    from fastnn.many.results import Fits

HEAD = _files.CHECKPOINT_HEAD
FORMAT = "fastnn checkpoint of fit_many 1"

#: Seconds between two records.
_SECONDS = 2.0

#: Largest number of finished networks that are not yet written. After Ctrl-C they are written
#: before the call ends, which takes no longer than one record.
_MOST_UNWRITTEN = 256


class Checkpoint:
    """The checkpoint of a call of `fit_many` at `path`, which is opened, or created if it is new.

    Networks that the file already holds are put into `fits`, the results of the call, at once.
    """

    def __init__(self, path: str, members: Members, fits: Fits, raises: bool) -> None:
        self.path, self.fits = path, fits
        self.file = os.path.abspath(path)  # a callback may change the working directory
        self.left = list(range(len(fits)))  # numbers of networks that no record holds
        self.end = 0  # end of the last complete record
        self.last = time.monotonic()  # time of the last record
        call, starts = digests.of_call(members), _digests_of_networks(fits)
        if _files.exists(path):
            self._continue(call, starts, raises)
        else:
            self._begin(call, starts)

    def _begin(self, call: dict[str, str], starts: NDArray[np.uint8]) -> None:
        tensors = {"networks": starts}
        data = b"".join(_record(tensors, {"format": FORMAT, "call": json.dumps(call)}))
        with _files.replacing(self.path) as file:
            file.write(HEAD + data)
        self.end = len(HEAD) + len(data)

    # ---- reading --------------------------------------------------------------------------------

    def _continue(self, call: dict[str, str], starts: NDArray[np.uint8], raises: bool) -> None:
        found: dict[int, Outcome] = {}
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not _files.holds_checkpoint(self.path):
                raise ModelFileError(
                    f"checkpoint={self.path!r} is not a checkpoint of fit_many; give another path"
                )
            self.end, records = file.seek(len(HEAD)), self._records(file, size)
            theirs, theirs_of_networks = self._first(records)
            _checks.same_call(self.path, theirs, call)
            for tensors, metadata in records:
                try:
                    found |= self._networks(tensors, metadata)
                except model_files.MALFORMED as error:
                    raise self._not_readable(error) from error
        digest_of = digests.OfNetworks().of
        for number in np.flatnonzero((theirs_of_networks != starts).any(axis=1)).tolist():
            # A network that was trained in place may still have the state after its training.
            outcome = found.get(number)
            digest = outcome and digest_of(outcome.specification, outcome.snapshot)
            _checks.same_network(self.path, number, digest == starts[number].tobytes())
        for number, outcome in found.items():
            ours = files.kind_of_network(self.fits.outcome(number))
            if files.kind_of_network(outcome) != ours:
                raise self._not_readable(f"nets[{number}] does not match the network in it")
        for number, outcome in found.items():
            if not (raises and outcome.status.kind == DIVERGED):
                self.fits.take(number, outcome)
        self._leave()

    def _records(self, file: BinaryIO, size: int) -> Iterator[tuple[Any, dict[str, str]]]:
        """Yield the records of an open file, up to the first incomplete or damaged record."""
        while self.end + 8 <= size:
            n = int.from_bytes(file.read(8), "little")
            if n > size - self.end - 8:
                return
            try:
                tensors, metadata = safetensors.decode(file.read(n))
            except ValueError as error:
                if self.end == len(HEAD):
                    raise
                warnings.warn(
                    f"checkpoint={self.path!r} is damaged from byte {self.end} on: {error}; the "
                    "networks in the rest of it are trained again",
                    stacklevel=6,  # the caller of fit_many, which is decorated
                )
                return
            yield tensors, metadata
            self.end += 8 + n

    def _first(self, records: Iterator[tuple[Any, dict[str, str]]]) -> tuple[Any, NDArray[Any]]:
        """Return the digests in the first record: of the arguments, and of networks (n, SIZE)."""
        try:
            tensors, metadata = next(records)
            _checks.choice("format", metadata["format"], (FORMAT,))
            networks = tensors["networks"]
            _checks.digests(networks, len(self.fits), digests.SIZE)
            return model_files.strict_object(metadata["call"], "call"), networks
        except StopIteration:
            error: Any = "its first record was cut short"
        except model_files.MALFORMED as cause:
            error = cause
        raise self._not_readable(error)

    def _not_readable(self, error: object) -> ModelFileError:
        return ModelFileError(
            f"checkpoint={self.path!r} cannot be read: {error}; remove the file to start over"
        )

    def _networks(self, tensors: Any, metadata: dict[str, str]) -> dict[int, Outcome]:
        """Return the networks of a record by their numbers."""
        outcomes, others = files.decode(tensors, metadata, ("numbers",))
        n = len(self.fits)
        _checks.numbers_of_items("numbers", [others["numbers"]], 1, n)
        return dict(zip(others["numbers"], outcomes, strict=True))

    # ---- writing --------------------------------------------------------------------------------

    def write_at_times(self, n_done: int) -> None:
        """Write a record if the last one is a few seconds old or many networks are not yet written.

        `n_done` is the number of networks that have finished.
        """
        unwritten = n_done - (len(self.fits) - len(self.left))
        if unwritten >= _MOST_UNWRITTEN or time.monotonic() - self.last >= _SECONDS:
            self.write()

    def _leave(self) -> None:
        """Reduce `left` to the numbers of networks that have not finished."""
        statuses = self.fits.statuses
        self.left = [i for i in self.left if statuses[i].kind == NOT_STARTED]

    def write(self) -> None:
        """Add a record of the networks that have finished since the last one."""
        statuses = self.fits.statuses
        numbers = [i for i in self.left if statuses[i].kind != NOT_STARTED]
        self.last = time.monotonic()
        if not numbers:
            return
        outcomes = [self.fits.outcome(i) for i in numbers]
        data = _record(*files.encode(outcomes, {"numbers": numbers}))
        with open(self.file, "r+b") as file:
            file.seek(self.end)
            file.truncate()
            for piece in data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            self.end, self.last = file.tell(), time.monotonic()
        written = set(numbers)  # more may have finished since
        self.left = [i for i in self.left if i not in written]


class Recorder(Progress):
    """A Progress that also writes the records of a checkpoint, if there is one."""

    def __init__(self, fits: Fits, show: bool, checkpoint: Checkpoint | None) -> None:
        before = [status for status in fits.statuses if status.kind != NOT_STARTED]
        super().__init__(len(fits), show, before)
        self.checkpoint = checkpoint

    def show(self) -> None:
        """Show the counts and write a record, each if it is due."""
        super().show()
        if self.checkpoint is not None:
            self.checkpoint.write_at_times(self.done)

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if self.checkpoint is not None:
            with without_collections():  # end without delay after Ctrl-C
                self.checkpoint.write()


def _record(tensors: Any, metadata: dict[str, str]) -> list[bytes | memoryview]:
    """Return a record as pieces to be written one after the other."""
    pieces = safetensors.encode(tensors, metadata)
    return [sum(map(len, pieces)).to_bytes(8, "little"), *pieces]


def _digests_of_networks(fits: Fits) -> NDArray[np.uint8]:
    """Return the digests of all networks (n, SIZE)."""
    digest_of = digests.OfNetworks().of
    found = [digest_of(net._state.specification, net._state.snapshot()) for net in fits]
    return np.frombuffer(b"".join(found), np.uint8).reshape(len(fits), digests.SIZE)
