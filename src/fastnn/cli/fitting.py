"""The network of `fastnn train`, and its training.

Here: the network that the options describe, early stopping and progress. Not here: the training
itself (MLP.fit), the scaling of a target and the columns of the table (tabular/).
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import optimizers
from fastnn.callbacks import Callback, EarlyStopping, ProgressBar
from fastnn.cli.objectives import weights_of
from fastnn.cli.output import tell
from fastnn.layers import Dense, Dropout, Standardize
from fastnn.mlp import MLP
from fastnn.tabular.ensemble import mean_and_scale, undo_scaling
from fastnn.tabular.models import Model

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from fastnn.cli.objectives import Objective
    from fastnn.optimizers import Optimizer
    from fastnn.tabular.encoding import Rows
    from fastnn.tabular.recipe import Recipe


def optimizer_of(options: argparse.Namespace) -> Optimizer:
    """Return the optimizer that the options describe."""
    name = options.optimizer or ("adam" if options.weight_decay is None else "adamw")
    settings = {}
    if options.learning_rate is not None:
        settings["learning_rate"] = options.learning_rate
    if options.weight_decay is not None:
        settings["weight_decay"] = options.weight_decay
    return optimizers.KINDS[name](**settings)


def network_of(
    options: argparse.Namespace, recipe: Recipe, optimizer: Optimizer, objective: Objective
) -> MLP:
    """Return the untrained network that the options describe."""
    layers: list[Dense | Dropout | Standardize] = []
    if recipe.is_measured.any():
        layers.append(Standardize())
    for units in options.hidden:
        layers.append(Dense(units, options.activation, l2=options.l2))
        layers += [Dropout(options.dropout)] if options.dropout else []
    units = 1 if recipe.classes is None else len(recipe.classes)
    return MLP(
        len(recipe.names),
        [*layers, Dense(units, objective.output, l2=options.l2)],
        loss=objective.loss,
        optimizer=optimizer,
        dtype=options.dtype,
        seed=options.seed,
    )


def fit(
    net: MLP,
    options: argparse.Namespace,
    recipe: Recipe,
    encoded: Rows,
    y: NDArray[Any],
    rows: dict[str, NDArray[np.intp]],
    objective: Objective,
) -> tuple[Model, dict[str, int | None], str]:
    """Train a network; return it, the course of the training, and what ended it.

    The course is the number of epochs and the best one, counted from 1. What ended it is "patience"
    (early stopping), "epochs" (all were made) or "interrupt" (Ctrl-C after an epoch or more: the
    network has its best weights so far).

    A target of numbers is learned with mean 0 and standard deviation 1, counts with mean 1. The
    scaling is then put into the output layer, so that the network predicts in the units of the
    target.
    """
    X = encoded.matrix(rows["training"], net.dtype)
    is_class = recipe.classes is not None
    mean, scale = (0.0, 1.0) if is_class else mean_and_scale(y[rows["training"]], objective.output)
    y = y if is_class else (y - mean) / scale
    if recipe.is_measured.any():
        # A column of zeros has scale 1, so that the inputs of categories stay 0 and 1.
        net.adapt(np.where(recipe.is_measured, X, net.dtype.type(0)))
    callbacks: list[Callback] = [] if options.quiet else [_progress()]
    stop = EarlyStopping(patience=options.patience, restore_best_weights=True)
    validation = None
    if len(rows["validation"]):
        callbacks.append(stop)
        validation = encoded.matrix(rows["validation"], net.dtype), y[rows["validation"]]
    end, history = "epochs", None
    try:
        history = net.fit(
            X,
            y[rows["training"]],
            batch_size=options.batch_size,
            epochs=options.epochs,
            validation_data=validation,
            metrics=["accuracy"] if is_class else ["r2"],
            class_weight=weights_of(options.class_weight, recipe.classes),
            callbacks=callbacks,
            n_threads=options.threads,
        )
    except KeyboardInterrupt:
        if net.epoch == 0:
            raise
        end = "interrupt"
        if validation is not None:
            stop.on_train_end({})  # which restores the best weights
    if not is_class:
        undo_scaling(net, mean, scale, objective.output)
    if validation is None:
        return Model.of(net, history), {"epochs": net.epoch, "best_epoch": None}, end
    model = Model.of(net, history, stop.best_epoch)
    best = None if stop.best_epoch is None else stop.best_epoch + 1
    return (
        model,
        {"epochs": net.epoch, "best_epoch": best},
        "patience" if stop.stopped_epoch else end,
    )


def _progress() -> Callback:
    """Return a callback that shows progress on standard error."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return ProgressBar() if is_terminal else _Lines()


class _Lines(Callback):
    """Progress for a standard error that is no terminal: a line an epoch, at most one a second."""

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        self._last_time = -math.inf
        self._line: str | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        self._line = f"epoch {epoch + 1}/{self.params['epochs']}  {values}"
        if time.monotonic() - self._last_time >= 1:
            self._show()

    def on_train_end(self, logs: dict[str, Any]) -> None:
        self._show()

    def _show(self) -> None:
        """Write the last line, unless it was written already."""
        if self._line:
            tell(self._line)
            self._last_time, self._line = time.monotonic(), None
