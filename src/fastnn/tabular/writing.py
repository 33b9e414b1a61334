"""Predictions to files and as text: CSV, JSON lines, Parquet and .npy.

Here: the output formats, and whether a path can be written to. Not here: the meaning of outputs
(Recipe.decode), and replacing a file atomically (_files.py).
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _files
from fastnn.tabular.errors import TableError, polars_for
from fastnn.tabular.text_files import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from fastnn.tabular.recipe import Recipe

#: Endings of the files that `write` can write.
WRITTEN = (".csv", ".parquet", ".npy")

_BLOCK = 65536  # rows that are converted to text at a time


def check_place(path: str, endings: Collection[str]) -> str:
    """Check that a file can be written: its ending and its folder. Leave no file behind.

    Parameters
    ----------
    path : str
    endings : collection of str
        The allowed endings of the name; if empty, any ending.

    Returns
    -------
    str
        The path with symbolic links resolved.

    Raises
    ------
    TableError, OSError
        If the file cannot be written.
    """
    if endings and os.path.splitext(path)[1].lower() not in endings:
        raise TableError(f"{path!r} must end with {_checks.either(endings)}")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise TableError(
            f"{path!r} cannot be written: the folder {folder!r} does not exist; create it"
        )
    place: str = _files.regular(path)
    probe = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        open(probe, "xb").close()
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)
    return place


def write(
    path: str,
    recipe: Recipe,
    outputs: NDArray[Any],
    proba: bool = False,
    spread: NDArray[Any] | None = None,
) -> None:
    """Write predictions to a file, which is replaced as a whole.

    Parameters
    ----------
    path : str
        A name with the ending .csv, .parquet or .npy.
    recipe : Recipe
    outputs : ndarray of shape (n, n_out)
        The outputs of the network.
    proba : bool, default False
        Whether to add the class probabilities after the predictions; a .npy file then holds only
        the probabilities.
    spread : ndarray of shape (n, n_out), optional
        Standard deviations of the outputs, such as those over an ensemble. They get columns of
        their own: "price_std" after "price", "cut=Ideal_std" after all probabilities. They end with
        "__std" if a class has such a name itself. A .npy file omits them.

    Raises
    ------
    TableError, ValueError, OSError, ImportError
        If the file cannot be written, or is a model file; an old file is then left unchanged.
    """
    place = check_place(_checks.output_path("path", path), WRITTEN)
    ending = os.path.splitext(path)[1].lower()
    pl = polars_for(path) if ending == ".parquet" else None
    with _files.replacing(place) as file:
        if ending == ".npy":
            np.save(file, outputs if proba else recipe.decode(outputs), allow_pickle=False)
        elif pl is not None:
            columns = {_name(recipe): recipe.decode(outputs)}
            numbers = _numbers(recipe, outputs, proba, spread)
            columns |= dict(zip(_names(recipe, proba, spread), numbers, strict=True))
            columns = {name: np.ascontiguousarray(values) for name, values in columns.items()}
            pl.DataFrame(columns).write_parquet(file)
        else:
            for text in csv_text(recipe, outputs, proba, spread):
                file.write(text.encode())


def write_text(path: str, text: str) -> None:
    """Write a text file, which is replaced as a whole."""
    with _files.replacing(check_place(_checks.output_path("path", path), ())) as file:
        file.write(text.encode())


def _name(recipe: Recipe) -> str:
    """Return the name of the prediction column."""
    return "prediction" if recipe.target is None else recipe.target


def _proba_names(recipe: Recipe) -> list[str]:
    """Return the names of the probability columns, such as "cut=Ideal"."""
    return [f"{_name(recipe)}={value}" for value in recipe.classes or ()]


def _names(recipe: Recipe, proba: bool, spread: NDArray[Any] | None) -> list[str]:
    """Return the names of the numeric columns after the predictions."""
    found = _proba_names(recipe) if proba else []
    if spread is None or (recipe.classes is not None and not proba):
        return found
    suffix = "_std"
    while any(f"{name}{suffix}" in found for name in found):  # classes "a" and "a_std"
        suffix = f"_{suffix}"
    return [*found, *(f"{name}{suffix}" for name in found or [_name(recipe)])]


def _numbers(
    recipe: Recipe, outputs: NDArray[Any], proba: bool, spread: NDArray[Any] | None
) -> list[NDArray[Any]]:
    """Return the numeric columns after the predictions, from outputs (n, n_out)."""
    found = [*outputs.T] if proba else []
    if spread is None or (recipe.classes is not None and not proba):
        return found
    return [*found, *spread.T]


def csv_text(
    recipe: Recipe,
    outputs: NDArray[Any],
    proba: bool = False,
    spread: NDArray[Any] | None = None,
) -> Iterator[str]:
    """Yield predictions as CSV, block by block."""
    header = [_name(recipe), *_names(recipe, proba, spread)]
    yield ",".join(map(quoted, header)) + "\n"
    for start in range(0, len(outputs), _BLOCK):
        rows = slice(start, start + _BLOCK)
        some, deviations = outputs[rows], None if spread is None else spread[rows]
        numbers = _numbers(recipe, some, proba, deviations)
        columns = [_cells(recipe, some), *(column.astype(str) for column in numbers)]
        lines = columns[0] if len(columns) == 1 else map(",".join, zip(*columns, strict=True))
        yield "\n".join(lines) + "\n"


def _cells(recipe: Recipe, outputs: NDArray[Any]) -> NDArray[np.str_]:
    """Return predictions (n,) as cells of a CSV file, from outputs (n, n_out)."""
    if recipe.classes is None:
        return outputs[:, 0].astype(str)
    names = np.array([quoted(str(v)) for v in recipe.classes])
    cells: NDArray[np.str_] = names[outputs.argmax(axis=1)]
    return cells


def json_text(
    recipe: Recipe,
    outputs: NDArray[Any],
    proba: bool = False,
    spread: NDArray[Any] | None = None,
) -> Iterator[str]:
    """Yield predictions as JSON, one object per line, block by block; inf and NaN become null."""
    name = json.dumps(_name(recipe))
    by_class, by_class_std = _keys_by_class(recipe)
    classes = None if recipe.classes is None else np.array([*map(json.dumps, recipe.classes)])
    for start in range(0, len(outputs), _BLOCK):
        some = outputs[start : start + _BLOCK]
        values = _json_numbers(some[:, 0]) if classes is None else classes[some.argmax(axis=1)]
        parts: list[Any] = [np.char.add(f"{name}: ", values)]
        deviations = None if spread is None else spread[start : start + _BLOCK]
        if proba:
            parts.append(_by_class(recipe, by_class, some))
            if deviations is not None:
                parts.append(_by_class(recipe, by_class_std, deviations))
        elif deviations is not None and classes is None:
            key = json.dumps(f"{_name(recipe)}_std")
            parts.append(np.char.add(f"{key}: ", _json_numbers(deviations[:, 0])))
        yield "".join(f"{{{', '.join(row)}}}\n" for row in zip(*parts, strict=True))


def _keys_by_class(recipe: Recipe) -> tuple[str, str]:
    """Return the JSON keys of the probabilities and their deviations; they are not the target's."""
    keys = ("probabilities", "probabilities_std")
    return ("_probabilities", "_probabilities_std") if _name(recipe) in keys else keys


def _by_class(recipe: Recipe, name: str, numbers: NDArray[Any]) -> list[str]:
    """Return numbers (n, n_classes) as JSON members: '"probabilities": {"a": 1.0}'."""
    keys = [json.dumps(str(value)) + ": " for value in recipe.classes or ()]
    cells = [np.char.add(k, _json_numbers(c)) for k, c in zip(keys, numbers.T, strict=True)]
    return [f'"{name}": {{{", ".join(row)}}}' for row in zip(*cells, strict=True)]


def _json_numbers(numbers: NDArray[Any]) -> NDArray[np.str_]:
    """Return numbers (n,) as JSON, which has neither inf nor NaN."""
    return np.where(np.isfinite(numbers), numbers.astype(str), "null")
