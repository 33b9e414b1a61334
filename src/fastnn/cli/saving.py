"""`fastnn train`: the model file; if --out cannot be written, a file in the temporary folder.

Not here: the checks of --out before training (train.py), and the content of the file
(tabular/models.py).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING

from fastnn.cli.output import writing

if TYPE_CHECKING:
    from fastnn.tabular.models import Model


def save(model: Model, out: str, failures: list[Exception]) -> str | None:
    """Save a model; return the path of its file, None if there is none.

    Errors are appended to `failures`. If `out` cannot be written (since --out was checked, the disk
    became full or the folder was removed), the file is written to the temporary folder, so that a
    long training is not lost.
    """
    try:
        with writing(out):
            model.save(out)
    except OSError as error:
        failures.append(error)
        return _saved_elsewhere(model, out)
    except Exception as error:
        failures.append(error)
        return None
    return out


def _saved_elsewhere(model: Model, out: str) -> str | None:
    """Save a model in the temporary folder; return the path, None if that fails, too."""
    stem, ending = os.path.splitext(os.path.basename(out))
    try:
        descriptor, path = tempfile.mkstemp(prefix=f"{stem[:50]}-", suffix=ending)
        os.close(descriptor)
        try:
            model.save(path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
    except OSError:
        return None
    return path
