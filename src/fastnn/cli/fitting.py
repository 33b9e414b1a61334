"""The single network of `fastnn train`, and its training.

Here: building the network from the options, early stopping and progress. Not here: the training
loop (MLP.fit), the scaling of a target and the columns of the table (tabular/).
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

from fastnn import optimizers
from fastnn.callbacks import Callback, EarlyStopping, ProgressBar
from fastnn.cli.job import End
from fastnn.cli.objectives import weights_of
from fastnn.cli.output import log
from fastnn.layers import Dense, Dropout, Standardize
from fastnn.mlp import MLP
from fastnn.tabular.encoding import measured
from fastnn.tabular.models import Model
from fastnn.tabular.target_scaling import TargetScaling

if TYPE_CHECKING:
    import argparse

    from fastnn.cli.job import Job
    from fastnn.optimizers import Optimizer


def optimizer_of(options: argparse.Namespace) -> Optimizer:
    """Return the optimizer that the options describe."""
    name = options.optimizer or ("adam" if options.weight_decay is None else "adamw")
    settings = {}
    if options.learning_rate is not None:
        settings["learning_rate"] = options.learning_rate
    if options.weight_decay is not None:
        settings["weight_decay"] = options.weight_decay
    return optimizers.KINDS[name](**settings)


def network_of(job: Job, optimizer: Optimizer) -> MLP:
    """Return the untrained network that the options describe."""
    options, recipe, objective = job.options, job.recipe, job.objective
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


def fit(net: MLP, job: Job) -> tuple[Model, dict[str, int | None], End]:
    """Train a network; return it, a summary of the training, and how it ended.

    The summary has the number of epochs and the best epoch, counted from 1. If Ctrl-C interrupts
    the training after at least one epoch, the network has its best weights so far.

    A numeric target is scaled to mean 0 and standard deviation 1, a count to mean 1. The output
    layer then undoes the scaling, so that the network predicts in the units of the target.
    """
    options, recipe, encoded, rows = job.options, job.recipe, job.encoded, job.rows
    X = encoded.inputs(rows["training"], net.dtype)
    is_class = recipe.classes is not None
    y, scaling = job.y, None
    if not is_class:
        output, known = job.objective.output, y[rows["training"]]
        scaling = TargetScaling.of(job.target, known, output, options.dtype)
        y = scaling.scaled(y)
    if recipe.is_measured.any():
        net.adapt(measured(X, recipe.is_measured))  # the inputs of categories stay 0 or 1
    callbacks: list[Callback] = [] if options.quiet else [_progress()]
    stop = EarlyStopping(patience=options.patience, restore_best_weights=True)
    validation = None
    if len(rows["validation"]):
        callbacks.append(stop)
        validation = encoded.inputs(rows["validation"], net.dtype), y[rows["validation"]]
    end, history = End.EPOCHS, None
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
        end = End.INTERRUPTED
        if validation is not None:
            stop.on_train_end({})  # restores the best weights
    if scaling is not None:
        scaling.undo(net)
    if validation is None:
        return Model.of(net, history), {"epochs": net.epoch, "best_epoch": None}, end
    model = Model.of(net, history, stop.best_epoch)
    best = None if stop.best_epoch is None else stop.best_epoch + 1
    summary = {"epochs": net.epoch, "best_epoch": best}
    return model, summary, End.STOPPED if stop.stopped_epoch else end


def _progress() -> Callback:
    """Return a callback that shows progress on standard error."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return ProgressBar() if is_terminal else _Lines()


class _Lines(Callback):
    """Progress where standard error is no terminal: a line per epoch, at most one a second."""

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
        """Write the latest line, unless it has been written already."""
        if self._line:
            log(self._line)
            self._last_time, self._line = time.monotonic(), None
