"""Plan: the checked arguments of a fit, with its rows as sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _checks
from fastnn import metrics as metric_kinds
from fastnn.callbacks import Callback
from fastnn.splits import StratifiedSplit
from fastnn.training import sources, weights
from fastnn.training.batches import Batches
from fastnn.training.mapped import files_of
from fastnn.training.rows import Rows, divide

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastnn._checks.classes import Classes
    from fastnn.metrics import Resolved
    from fastnn.training.state import State

    Arguments = tuple[Any, Any, Any]  # X, y and sample_weight


@dataclass(eq=False, repr=False)
class Plan:
    """The checked arguments of a fit."""

    metrics: dict[str, Resolved]
    batch_size: int | None  # a number if the source has a known number of rows
    epochs: int
    shuffle: Any  # False, True (drawn by the network) or an object that draws the orders
    callbacks: list[Callback]
    verbose: int
    n_threads: int
    source: Rows | Batches
    validation: Rows | None
    feature_names: tuple[str, ...] | None  # columns of X, if it is one data frame
    inputs: list[str]  # paths of the mapped files among the rows
    classes: Classes | None  # labels found in y, or those that the network has
    split: str | None  # the stratified split, as text for a checkpoint

    @property
    def monitors(self) -> list[str]:
        """The names in the logs of an epoch."""
        names = ["loss", *self.metrics]
        return names if self.validation is None else names + [f"val_{name}" for name in names]


def make(
    state: State,
    X: Any,
    y: Any,
    *,
    batch_size: int | None,
    epochs: int,
    shuffle: Any,
    sample_weight: Any,
    class_weight: Any,
    validation_data: Any,
    validation_split: float | StratifiedSplit,
    metrics: Any,
    callbacks: Any,
    steps_per_epoch: int | None,
    resume: Any,
    verbose: int | bool,
    n_threads: int | None,
) -> Plan:
    """Return the plan that the arguments of `MLP.fit` describe."""
    spec = state.specification
    metrics = metric_kinds.resolve(metrics, spec.loss, spec.n_out)
    batch_size = _checks.batch_size(batch_size)
    epochs = _checks.integer("epochs", epochs, low=0, high=math.inf)
    shuffle = _checks.shuffle(shuffle)
    callbacks = _checks.callback_list(callbacks, Callback)
    verbose = _checks.verbosity(verbose)
    n_threads = _checks.n_threads(n_threads, state.n_threads)
    _checks.trainable(spec.with_parameters)
    _checks.resumable(resume, shuffle)
    classes = state.classes
    if classes is None and y is not None:
        classes = _checks.classes_of("y", y, spec.loss, spec.n_out)
    split = _checks.validation_split(validation_split, validation_data, StratifiedSplit)
    given = None if validation_data is None else _checks.validation_data(validation_data)
    if y is None and _checks.are_batches(X):
        _checks.for_batches(sample_weight, split, class_weight)
        found = _batches(state, X, class_weight, steps_per_epoch, metrics, given)
    else:
        _checks.no_batches(X, y)
        _checks.no_steps(steps_per_epoch)
        found = _rows(state, (X, y, sample_weight), class_weight, classes, metrics, split)
        batch_size = min(batch_size or found.source.n, found.source.n)
    validation = _validation(state, given, found, classes, metrics)
    inputs = files_of(X, y, sample_weight, *(given or ()))
    _checks.files_written(callbacks, [*inputs, *state.inputs_of_call])
    return Plan(
        metrics=metrics,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=shuffle,
        callbacks=callbacks,
        verbose=verbose,
        n_threads=n_threads,
        source=found.source,
        validation=validation,
        feature_names=found.feature_names,
        inputs=inputs,
        classes=classes,
        split=repr(split) if isinstance(split, StratifiedSplit) else None,
    )


class _Training(NamedTuple):
    """The source of the rows to train on, and what was found with it."""

    source: Any  # Rows or Batches
    by_class: NDArray[np.float64] | None  # weights of the classes
    held_out: Rows | None = None  # rows of X for validation
    feature_names: tuple[str, ...] | None = None  # columns of X, if it is one data frame


def _batches(
    state: State,
    X: Any,
    class_weight: Any,
    steps_per_epoch: int | None,
    metrics: dict[str, Resolved],
    given: Arguments | None,
) -> _Training:
    """Return an iterable of batches as the source.

    `given` is `validation_data`, whose columns must be those of the batches.
    """
    state.require_standardization()
    by_class = weights_of_classes(state, class_weight, state.classes, None)
    steps = _checks.steps(steps_per_epoch)
    validation_X = None if given is None else given[0]
    source = sources.batches(state, X, steps, by_class, metrics.values(), validation_X)
    return _Training(source, by_class)


def _rows(
    state: State,
    given: Arguments,
    class_weight: Any,
    classes: Classes | None,
    metrics: dict[str, Resolved],
    split: float | StratifiedSplit,
) -> _Training:
    """Return the given rows as the source, without those that a split holds out."""
    spec = state.specification
    if isinstance(split, StratifiedSplit):
        _checks.strata_of_loss("validation_split", split, spec.loss, spec.n_out)
    rows, held_out = sources.source(state, *given, classes=classes), None
    if split:
        rows, held_out = divide(rows, split)
    by_class = weights_of_classes(state, class_weight, classes, rows)
    source = _with_class_weights(state, rows, by_class, metrics)
    return _Training(source, by_class, held_out, sources.column_names(state, given[0]))


def _validation(
    state: State,
    given: Arguments | None,
    training: _Training,
    classes: Classes | None,
    metrics: dict[str, Resolved],
) -> Rows | None:
    """Return the rows to validate on: `validation_data`, rows held out from X, or None."""
    rows = training.held_out
    if given is not None:
        if state.feature_names is None and sources.column_names(state, given[0]) is not None:
            _checks.same_columns("validation X", given[0], training.feature_names, "X")
        rows = sources.source(state, *given, where="validation ", classes=classes)
    if rows is None:
        return None
    return _with_class_weights(state, rows, training.by_class, metrics, "validation ")


def _with_class_weights(
    state: State,
    rows: Rows,
    by_class: NDArray[np.float64] | None,
    metrics: dict[str, Resolved],
    where: str = "",
) -> Rows:
    """Return rows with the weights of their classes; check that all metrics are defined on them."""
    found = sources.with_class_weights(rows, by_class, state.specification.dtype)
    sources.check_metrics(metrics.values(), found, where)
    return found


def weights_of_classes(
    state: State, class_weight: Any, classes: Classes | None, rows: Rows | None
) -> NDArray[np.float64] | None:
    """Return the weight of each class, or None; "balanced" weights are computed from the rows."""
    spec = state.specification
    checked = _checks.weights_by_number(class_weight, spec.loss, spec.n_out, classes)
    n_classes = spec.loss.n_classes(spec.n_out)
    if checked is None or n_classes is None:
        return None
    if isinstance(checked, dict):
        return weights.given(checked, n_classes)
    assert rows is not None
    classes_of_rows = weights.classes_of(rows.used(rows.T), rows.used(rows.labels))
    return weights.balanced(classes_of_rows, n_classes)
