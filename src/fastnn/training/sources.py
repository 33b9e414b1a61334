"""From what a user passes as rows to arrays and sources of a network.

Not here: what an array must be like (_checks), how it is converted (_conversion.py, rows.py).
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
    """Return rows of inputs as the kernels take them, an array or SparseRows; `own`: a copy."""
    X = _encoded(state, X)
    _checks.same_columns(name, X, state.feature_names)
    spec = state.specification
    found = _checks.matrix(name, X, spec.n_in, spec.dtype, own=own)
    return _checks.categories(name, found, spec.categories)


def _encoded(state: State, X: Any) -> Any:
    """Return the inputs for a data frame, if the network has a recipe for tables; otherwise X.

    A frame that has the columns of the inputs themselves is left as it is.
    """
    if "table" not in state.metadata or type(X) is np.ndarray:
        return X
    names = tuple(X) if isinstance(X, Mapping) else _conversion.column_names(X)
    if names is None or names == state.feature_names:
        return X
    from fastnn.tabular.recipe import Recipe  # rarely needed

    recipe = Recipe.from_plain(state.metadata["table"])
    return recipe.encode(X).inputs(dtype=state.specification.dtype)


def inputs(state: State, name: str, X: Any, own: bool = False) -> Any:
    """Return rows of inputs that the network can use: a Standardize layer has seen data."""
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
) -> Targets:
    """Return T, labels and weights for n rows; labels and weights are copies, T with `own`.

    `classes` are those of a network that has none yet.
    """
    spec, rows_of = state.specification, f"{where}X"
    classes = state.classes if classes is None else classes
    y = _checks.as_numbers(f"{where}y", y, spec.loss, spec.n_out, classes)
    weight = _checks.sample_weight(
        f"{where}sample_weight", sample_weight, (n, spec.n_out), spec.dtype, rows_of, spec.loss
    )
    y = _checks.without_missing(f"{where}y", y, weight, spec.loss)
    T, labels = _checks.targets(f"{where}y", y, spec.loss, n, spec.n_out, spec.dtype, rows_of, own)
    return T, labels, weight


def rows(
    state: State, X: Any, y: Any, sample_weight: Any, where: str = "", own: bool = False
) -> Rows:
    """Return rows that the network can use as one batch; with `own` all arrays are copies."""
    X = inputs(state, f"{where}X", X, own)
    found = targets(state, len(X), y, sample_weight, where, own)
    return Rows(X, *found, found[-1])


# ---- sources ------------------------------------------------------------------------------------


def unlabelled(state: State, name: str, X: Any, for_scaling: bool = False) -> Rows:
    """Return rows of inputs without targets; large ones are converted when they are used.

    Those that Standardize will see first, or `for_scaling`, may have no column that became 0.
    """
    spec = state.specification
    if not is_large(X, spec.dtype):
        found = matrix(state, name, X)
        if for_scaling or not state.is_ready:
            _checks.kept_columns(name, X, found, spec.dtype)
        return Rows(found)
    return large(state, name, X)


def large(state: State, name: str, X: Any) -> ConvertedRows:
    """Return rows of inputs that are converted, and their values checked, when they are used."""
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
    """Return checked rows as a source; large ones are converted when they are used.

    Targets are copies, so that no callback can change what was checked. The exceptions are a mapped
    file, and the rows themselves (an autoencoder's): these may be larger than memory.
    """
    found = unlabelled(state, f"{where}X", X)
    own = not (isinstance(y, np.memmap) or _is_part_of(y, X))
    T, labels, weight = targets(state, found.n, y, sample_weight, where, own, classes)
    return dataclasses.replace(found, T=T, labels=labels, weights=weight, sample_weight=weight)


def _is_part_of(y: Any, X: Any) -> bool:
    """Whether targets are an array in the memory of the inputs."""
    both = isinstance(y, np.ndarray) and isinstance(X, np.ndarray)
    return both and np.may_share_memory(y, X)


def batches(
    state: State,
    iterable: Iterable[Any],
    steps: int | None,
    by_class: NDArray[np.float64] | None,
    metrics: Iterable[Resolved] = (),
) -> Batches:
    """Return a source of the batches of an iterable, on which the metrics are defined."""

    def check(i: int, item: Any) -> Rows:
        X, y, sample_weight = _checks.batch(f"batch {i}", item)
        # Copies: an iterator may use its arrays again for the next batch, which is made ahead.
        found = rows(state, X, y, sample_weight, where=f"batch {i} ", own=True)
        for metric in metrics:
            metric.check_weights(f"batch {i} sample_weight", found.sample_weight)
        return weighed(found, by_class, state.specification.dtype)

    return Batches(iterable, steps, check)


def weighed(found: Rows, by_class: NDArray[np.float64] | None, dtype: np.dtype[Any]) -> Rows:
    """Return rows whose weights in losses are multiplied by those of their classes."""
    if by_class is None:
        return found
    classes = weights.classes_of(found.T, found.labels)
    product = weights.of_rows(by_class, classes, found.weights, dtype)
    return dataclasses.replace(found, weights=product)
