"""Loading model files for the commands, and messages about files that are not model files.

Not here: the format of model files (exchange/), tables (tabular/).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import fastnn
from fastnn import ModelFileError, _checks
from fastnn.exchange import model_files
from fastnn.tabular import remedies
from fastnn.tabular.models import Model
from fastnn.tabular.reading import COMPRESSED, TABLE_ENDINGS, WORKBOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn.many import Fits
    from fastnn.mlp import MLP
    from fastnn.tables import Recipe

_READERS = {
    ".onnx": "an ONNX model; read it from Python: fastnn.from_onnx(path)",
    ".pt": "a PyTorch file; convert the module from Python: fastnn.from_torch(module)",
    ".pth": "a PyTorch file; convert the module from Python: fastnn.from_torch(module)",
    ".keras": "a Keras model, which fastnn cannot read; export it as ONNX: fastnn.from_onnx",
    ".h5": "a Keras model, which fastnn cannot read; export it as ONNX: fastnn.from_onnx",
    ".pkl": "a pickle; load it in Python, and save the network: net.save(path)",
    ".pickle": "a pickle; load it in Python, and save the network: net.save(path)",
    ".joblib": "a pickle; load it in Python, and save the network: net.save(path)",
    ".json": "an exported network; name its model file",
    ".c": "an exported network; name its model file",
    **dict.fromkeys(WORKBOOKS, "a workbook; save the sheet as CSV"),
}


def network(path: str) -> MLP:
    """Return the network of a model file; for another file, the error says what the file is."""
    with _saying_what_it_is(path):
        return fastnn.load(path)


def networks(path: str) -> Fits:
    """Return the networks of a model file, one or many; the file needs no recipe."""
    train = f"train on it first: fastnn train {remedies.shell_path(path)} --target COLUMN"
    with _saying_what_it_is(path, f"{train} --out FILE"):
        has_many = model_files.has_many(path)
        fits = fastnn.load_many(path) if has_many else Model.of(fastnn.load(path)).fits
    _checks.some_networks(path, len(fits))
    return fits


def model(path: str) -> tuple[Model, Recipe]:
    """Return the networks of a model file for tables, one or many, and their recipe."""
    with _saying_what_it_is(path):
        return Model.load(path)


@contextlib.contextmanager
def _saying_what_it_is(
    path: str, if_table: str = "name the model file before it: fastnn predict MODEL DATA"
) -> Iterator[None]:
    """Let the error about a file that is not a model file say what the file is.

    `if_table` is the remedy if the file is a table.
    """
    try:
        yield
    except ModelFileError as error:
        ending = os.path.splitext(path)[1].lower()
        what = _READERS.get(ending)
        if is_table(path):
            what = f"a table; {if_table}"
        if what is None:
            raise
        raise ModelFileError(f"{path!r} is not a model file but {what}") from error


def is_table(path: str) -> bool:
    """Return whether a path has the ending of a table's file."""
    stem, ending = os.path.splitext(path.lower())
    return (os.path.splitext(stem)[1] if ending in COMPRESSED else ending) in TABLE_ENDINGS
