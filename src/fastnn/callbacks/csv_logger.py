"""CSVLogger: losses and metrics in a CSV file, one row per epoch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastnn import _checks, _files
from fastnn.callbacks.base import Callback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

    from fastnn.callbacks.base import Logs


@_checks.explaining
class CSVLogger(Callback):
    """Write the losses and metrics to a CSV file, one row per epoch.

    The columns are "epoch", counted from 0, and the names in the logs of the first epoch written;
    with `append` the columns are those of the file. A missing value is written as "NA". Existing
    content is replaced or shortened when the first epoch ends, so a `fit` that fails earlier leaves
    it unchanged.

    Parameters
    ----------
    path : str or path
        Path of the file. Missing folders are created.
    separator : str, default ","
        The character between columns.
    append : bool, default False
        Whether to append to an existing file instead of replacing it. Existing rows of the first
        epoch trained and of later epochs are removed, as is an incomplete last row, so that after a
        resumed training every epoch has one row.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; in `fit`, if the file to append to lacks columns or is not UTF-8
        text, or if the file is a network, is read by `fit`, or is written by another callback.
    OSError
        In `fit`, if the file cannot be written.

    Examples
    --------
    >>> from fastnn.callbacks import CSVLogger
    >>> net.fit(X, y, epochs=100, callbacks=[CSVLogger("runs/log.csv")])  # doctest: +SKIP
    """

    _absolute = ""  # the path when a training begins, which may change the working directory
    _file: TextIO | None = None
    _writer: Any = None

    def __init__(
        self, path: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.path = _checks.file_path("path", path)
        self.separator = _checks.separator(separator)
        self.append = _checks.flag("append", append)

    @property
    def files_written(self) -> Sequence[str]:
        """The path."""
        return (self.path,)

    def on_train_begin(self, logs: Logs) -> None:
        """Open the file."""
        self.close()
        _checks.output_path("path", self.path)
        self._absolute = os.path.abspath(self.path)
        self._columns = self._header() if self.append else None
        if self._columns is not None:
            _checks.log_columns(self.path, self._columns, self.params["monitors"])
        _files.make_folder_of(self.path)
        import csv  # slow to import, and rarely needed

        file = open(self.path, "a", encoding="utf-8", newline="")  # noqa: SIM115  close() does it
        self._file = file
        self._writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
        self._is_first = True

    def _header(self) -> list[str] | None:
        """Return the columns of a file that exists, or None."""
        import csv

        if not os.path.exists(self.path):
            return None
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                return next(csv.reader(file, delimiter=self.separator), None)
        except (UnicodeDecodeError, csv.Error) as error:
            _checks.not_a_log(self.path, error)

    def _drop_rows(self, columns: list[str], epoch: int) -> None:
        """Truncate the file before the first row of this or a later epoch, or an incomplete row."""
        import csv

        place = columns.index("epoch")
        with open(self._absolute, "r+b") as file:
            header = file.readline()
            end = len(header)
            for line in file:
                (cells,) = csv.reader([line.decode("utf-8", "replace")], delimiter=self.separator)
                number = "".join(cells[place : place + 1]).strip()
                if not line.endswith(b"\n") or (number.isdigit() and int(number) >= epoch):
                    break
                end += len(line)
            file.truncate(end)
            if not header.endswith(b"\n"):
                file.seek(end)
                file.write(b"\n")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the epoch's row."""
        assert self._file is not None
        if self._is_first and not self.append and os.path.isfile(self._absolute):  # or a device
            self._file.truncate(0)
        if self._columns is None:
            self._columns = ["epoch", *logs]
            self._writer.writerow(self._columns)
        elif self._is_first:
            self._drop_rows(self._columns, epoch)
        self._is_first = False
        values = {name: float(value) for name, value in logs.items()} | {"epoch": epoch}
        self._writer.writerow([values.get(name, "NA") for name in self._columns])
        self._file.flush()

    def on_train_end(self, logs: Logs) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = self._writer = None  # neither can be copied or pickled
