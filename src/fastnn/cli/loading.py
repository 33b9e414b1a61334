"""Model files, for the commands that need one, and what a file is that is none.

Not here: the container of model files (exchange/), tables (tabular/).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import fastnn
from fastnn import ModelFileError, tables
from fastnn.cli.models import Model, of_fits
from fastnn.exchange import model_files
from fastnn.tabular.reading import TABLE_ENDINGS

if TYPE_CHECKING:
    from fastnn.mlp import MLP
    from fastnn.tables import Recipe

_READERS = {
    ".onnx": "an ONNX model; read it from Python: fastnn.from_onnx(path)",
    ".pt": "a file of PyTorch; convert the module from Python: fastnn.from_torch(module)",
    ".pth": "a file of PyTorch; convert the module from Python: fastnn.from_torch(module)",
    ".keras": "a model of Keras, which fastnn cannot read; export it as ONNX: fastnn.from_onnx",
    ".h5": "a model of Keras, which fastnn cannot read; export it as ONNX: fastnn.from_onnx",
    ".pkl": "a pickle; load it in Python, and save the network: net.save(path)",
    ".pickle": "a pickle; load it in Python, and save the network: net.save(path)",
    ".joblib": "a pickle; load it in Python, and save the network: net.save(path)",
    ".json": "an export; name the model file itself",
    ".c": "an export; name the model file itself",
}


def network(path: str) -> MLP:
    """Return the network of a model file; the error tells what a file is that is none."""
    try:
        return fastnn.load(path)
    except ModelFileError as error:
        ending = os.path.splitext(path)[1].lower()
        what = _READERS.get(ending)
        if is_table(path):
            what = "a table; a command names the model before it: fastnn predict MODEL DATA"
        if what is None:
            raise
        raise ModelFileError(f"{path!r} is not a model file but {what}") from error


def model(path: str) -> tuple[Model, Recipe]:
    """Return the networks of a file that `fastnn train` wrote, one or many, and their recipe."""
    if not model_files.has_many(path):
        net, recipe = loaded(path)
        return Model.of(net), recipe
    found = of_fits(path, fastnn.load_many(path))
    return found, _recipe(path, found.net)


def is_table(path: str) -> bool:
    """Return whether a file has the name of a table."""
    stem, ending = os.path.splitext(path.lower())
    return ending in TABLE_ENDINGS or os.path.splitext(stem)[1] in TABLE_ENDINGS


def loaded(path: str) -> tuple[MLP, Recipe]:
    """Return the network and the recipe of a model file."""
    net = network(path)
    return net, _recipe(path, net)


def _recipe(path: str, net: MLP) -> Recipe:
    try:
        return tables.recipe_of(net)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
