"""Convert the rows that a user passes to arrays and sources for a network.

Not here: checks of arrays (_checks), the conversion of types (_conversion.py, rows.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _conversion
from fastnn.training import weights
from fastnn.training.batches import Batches
from fastnn.training.rows import ConvertedRows, Rows, is_large

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fastnn._checks.classes import Classes
    from fastnn.metrics import Resolved
    from fastnn.training.state import State

    Targets = tuple[NDArray[Any] | None, NDArray[np.int64] | None, NDArray[Any] | None]


# ---- arrays, converted at once ------------------------------------------------------------------


def matrix(state: State, name: str, X: Any, own: bool = False) -> Any:
    """Return inputs as an array or SparseRows that the kernels can read; with `own` a copy."""
    X = encoded(state, X)
    _checks.same_columns(name, X, state.feature_names)
    spec = state.specification
    found = _checks.matrix(name, X, spec.n_in, spec.dtype, own=own)
    return _checks.categories(name, found, spec.categories)


def is_encoded_by(state: State, X: Any) -> bool:
    """Whether X is a data frame that the network encodes by its recipe for tables.

    A frame whose columns are already the encoded inputs is not.
    """
    if type(X) is np.ndarray or not _checks.is_recipe(state.metadata.get("table")):
        return False
    names = tuple(X) if isinstance(X, Mapping) else _conversion.column_names(X)
    return names is not None and names != state.feature_names


def column_names(state: State, X: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of X if X is a data frame of inputs, else None."""
    names = _conversion.column_names(X)
    if names is None or len(names) != state.specification.n_in or is_encoded_by(state, X):
        return None  # or X has a `columns` attribute of another meaning
    return names


def encoded(state: State, X: Any) -> Any:
    """Encode a data frame as inputs, if the network has a recipe for tables; otherwise return X."""
    if not is_encoded_by(state, X):
        return X
    from fastnn.tabular.recipe import Recipe  # rarely needed

    recipe = Recipe.from_plain(state.metadata["table"])
    return recipe.encode(X).inputs(dtype=state.specification.dtype)


def inputs(state: State, name: str, X: Any, own: bool = False) -> Any:
    """Return inputs as `matrix` does; a ValueError if a Standardize layer has not seen data."""
    found = matrix(state, name, X, own)
    state.require_standardization()
    return found


def targets(
    state: State,
    n: int,
    y: Any,
    sample_weight: Any,
    where: str = "",
    own: bool = False,
    classes: Classes | None = None,
    may_be_zero: bool = False,
) -> Targets:
    """Return T, labels and weights for n rows; labels and weights are copies, T only with `own`.

    `classes` are the labels for a network that has none yet; `may_be_zero` allows a weight of 0 for
    every row.
    """
    spec, rows_of = state.specification, f"{where}X"
    _checks.given_targets(f"{where}y", y, rows_of)
    classes = state.classes if classes is None else classes
    y = _checks.as_numbers(f"{where}y", y, spec.loss, spec.n_out, classes)
    shape = n, spec.n_out
    weight = _checks.sample_weight(
        f"{where}sample_weight", sample_weight, shape, spec.dtype, rows_of, spec.loss, may_be_zero
    )
    y = _checks.without_missing(f"{where}y", y, weight, spec.loss)
    T, labels = _checks.targets(f"{where}y", y, spec.loss, n, spec.n_out, spec.dtype, rows_of, own)
    return T, labels, weight


def rows(
    state: State,
    X: Any,
    y: Any,
    sample_weight: Any,
    where: str = "",
    own: bool = False,
    may_be_zero: bool = False,
) -> Rows:
    """Return rows that the network can use as one batch; with `own` all arrays are copies.

    `may_be_zero` allows a weight of 0 for every row.
    """
    X = inputs(state, f"{where}X", X, own)
    found = targets(state, len(X), y, sample_weight, where, own, may_be_zero=may_be_zero)
    return Rows(X, *found, found[-1])


# ---- sources ------------------------------------------------------------------------------------


def unlabelled(state: State, name: str, X: Any, for_scaling: bool = False) -> Rows:
    """Return a source of inputs without targets; large inputs are converted when they are used.

    If the inputs are to be standardized by their own mean and scale (the first data of a
    Standardize layer, or `for_scaling`), a column that the conversion rounds to 0 is an error.
    """
    spec = state.specification
    if not is_large(X, spec.dtype):
        found = matrix(state, name, X)
        if for_scaling or not state.is_ready:
            _checks.kept_columns(name, X, found, spec.dtype)
        return Rows(found)
    return large(state, name, X)


def large(state: State, name: str, X: Any) -> ConvertedRows:
    """Return a source of inputs whose values are converted and checked when they are used."""
    spec = state.specification
    _checks.rows_of_numbers(name, X, spec.n_in)
    return ConvertedRows(X, dtype=spec.dtype, name=name, categories=spec.categories)


def source(
    state: State,
    X: Any,
    y: Any,
    sample_weight: Any,
    where: str = "",
    classes: Classes | None = None,
) -> Rows:
    """Return checked rows as a source; large rows are converted when they are used.

    Targets are copied, so that no callback can change them after the check. A mapped file, and the
    inputs themselves as targets (of an autoencoder), are not copied: they may exceed the memory.
    """
    found = unlabelled(state, f"{where}X", X)
    own = not (isinstance(y, np.memmap) or _is_part_of(y, X))
    T, labels, weight = targets(state, found.n, y, sample_weight, where, own, classes)
    return dataclasses.replace(found, T=T, labels=labels, weights=weight, sample_weight=weight)


def _is_part_of(y: Any, X: Any) -> bool:
    """Whether the targets y share memory with the inputs X."""
    both = isinstance(y, np.ndarray) and isinstance(X, np.ndarray)
    return both and np.may_share_memory(y, X)


def batches(
    state: State,
    iterable: Iterable[Any],
    steps: int | None,
    by_class: NDArray[np.float64] | None,
    metrics: Iterable[Resolved] = (),
    validation_X: Any = None,
) -> Batches:
    """Return a source that reads batches from an iterable, and checks the metrics on each.

    Batches that are data frames must have the same columns, also as `validation_X`; the source
    keeps their names.
    """
    names = column_names(state, validation_X)
    # The first argument that is a data frame, and the names of its columns.
    columns = [] if names is None else [("validation X", names)]

    def check(i: int, item: Any) -> Rows:
        X, y, sample_weight = _checks.batch(f"batch {i}", item)
        names = column_names(state, X)
        if columns and names is not None:
            _checks.same_columns(f"batch {i} X", X, columns[0][1], columns[0][0])
        elif names is not None:
            columns.append((f"batch {i}", names))
        made.feature_names = names or made.feature_names
        # Copies: an iterator may reuse its arrays for the next batch, which is prepared ahead.
        found = rows(state, X, y, sample_weight, where=f"batch {i} ", own=True, may_be_zero=True)
        # A metric checks targets when it is called, with those of all batches of an epoch.
        for metric in metrics:
            metric.check_weights(f"batch {i} sample_weight", found.sample_weight)
        return with_class_weights(found, by_class, state.specification.dtype, may_be_zero=True)

    made = Batches(iterable, steps, check)
    return made


def check_metrics(metrics: Iterable[Resolved], rows: Rows, where: str = "") -> None:
    """Raise a ValueError if a metric is not defined for the targets or the weights of rows."""
    for metric in metrics:
        metric.check_targets(f"{where}y", rows.used(rows.T))
        metric.check_weights(f"{where}sample_weight", rows.used(rows.sample_weight))


def with_class_weights(
    found: Rows,
    by_class: NDArray[np.float64] | None,
    dtype: np.dtype[Any],
    may_be_zero: bool = False,
) -> Rows:
    """Return rows whose weights in losses are multiplied by the weights of their classes.

    `may_be_zero` allows a weight of 0 for every row.
    """
    if by_class is None:
        return found
    classes = weights.classes_of(found.T, found.labels)
    if found.numbers is not None:  # others may make up for a weight of 0 of all these rows
        own = found.used(found.weights)
        weights.of_rows(by_class, found.used(classes), own, dtype, may_be_zero)
    product = weights.of_rows(by_class, classes, found.weights, dtype, may_be_zero)
    return dataclasses.replace(found, weights=product)
