"""Several networks of `fastnn train`: an ensemble, a search, or one for each value of a column.

All networks are trained at the same time by `fit_many`, on the rows of one table. Not here: the
options and the reports (train.py), a single network (fitting.py).
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _cpu
from fastnn._precision import POLICIES
from fastnn.callbacks import EarlyStopping
from fastnn.cli.fitting import network_of
from fastnn.cli.objectives import weights_of
from fastnn.cli.output import counted, log
from fastnn.many import Fits, fit_many
from fastnn.tabular.encoding import measured
from fastnn.tabular.errors import TableError
from fastnn.tabular.models import Model
from fastnn.tabular.target_scaling import TargetScaling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastnn.cli.job import Job
    from fastnn.mlp import MLP
    from fastnn.optimizers import Optimizer
    from fastnn.tabular.table import Column

#: Largest number of trials of a search that are trained together, if there are fewer threads.
_ROUND = 16

_SECONDS = {"s": 1, "min": 60, "h": 3600}

#: The values that a search chooses from.
_HIDDEN = [[32], [64], [128], [256], [64, 32], [128, 64], [256, 128], [64, 64, 64], [128, 128, 64]]
_ACTIVATIONS = ["relu", "relu", "gelu", "tanh"]
_DROPOUT = [0.0, 0.0, 0.1, 0.2, 0.4]
_BATCHES = [32, 64, 128, 256]
_RATES = 0.1, 10.0  # times the learning rate of the command line


class Common:
    """Data that all networks share: the rows in use as inputs X and targets y.

    The networks are trained on the "training" rows, which come first, and stopped early by the
    "validation" rows.
    """

    def __init__(self, job: Job) -> None:
        used = np.concatenate([job.rows["training"], job.rows["validation"]])
        self.job, self.used = job, used
        self.X, self.y = job.encoded.inputs(used, POLICIES[job.options.dtype]), job.y[used]
        self.n_training = len(job.rows["training"])

    def fit(
        self,
        nets: list[MLP],
        groups: Sequence[NDArray[np.intp]] | None = None,
        batch_sizes: list[int] | None = None,
    ) -> Fits:
        """Train networks on all used rows, or each on its group of them; return all of them."""
        options, n = self.job.options, len(self.used)
        recipe, output = self.job.recipe, self.job.objective.output
        is_class = recipe.classes is not None
        groups = [np.arange(n)] * len(nets) if groups is None else groups
        training = [some[some < self.n_training] for some in groups]
        validation = [some[some >= self.n_training] for some in groups]
        y, scalings = self.y if is_class else np.zeros(n), []
        for net, some, rows in zip(nets, groups, training, strict=True):
            if recipe.is_measured.any():
                net.adapt(measured(self.X[rows], recipe.is_measured))
            if not is_class:
                scaling = TargetScaling.of(self.job.target, self.y[rows], output, options.dtype)
                y[some] = scaling.scaled(self.y[some])
                scalings.append(scaling)
        stop = EarlyStopping(patience=options.patience, restore_best_weights=True)
        judged = len(validation[0]) > 0
        with unnumbered():
            fits = fit_many(
                nets,
                self.X,
                y,
                rows=training,
                validation=validation if judged else None,
                epochs=options.epochs,
                batch_size=options.batch_size if batch_sizes is None else batch_sizes,
                class_weight=weights_of(options.class_weight, recipe.classes),
                callbacks=[stop] if judged else [],
                on_error="record" if options.search else "raise",
                n_threads=options.threads,
                verbose=not options.quiet,
            )
        for number, scaling in enumerate(scalings):
            if fits.statuses[number].is_trained:
                scaling.undo(nets[number])
        return fits


def _with_options(job: Job, **changes: Any) -> Job:
    """Return a job with other values of some options."""
    return job._replace(options=argparse.Namespace(**{**vars(job.options), **changes}))


@contextlib.contextmanager
def unnumbered() -> Iterator[None]:
    """Context manager: raise the error about a non-finite loss without the number of the network.

    The error that `fit_many` raises has the number in its message, and the original error as its
    cause.
    """
    try:
        yield
    except FloatingPointError as error:
        raise (error.__cause__ or error) from None


def _trained(fits: Fits) -> Fits:
    """Return the networks that were trained to the end; raise KeyboardInterrupt without any."""
    if not fits.is_trained.any():
        raise KeyboardInterrupt
    return fits.some(fits.is_trained)


def summary_of(fits: Fits) -> dict[str, int | None]:
    """Return the epochs of the longest training and, for a single network, the best epoch."""
    best = fits.best_epochs[0] if len(fits) == 1 else None
    return {
        "epochs": max(status.epochs for status in fits.statuses),
        "best_epoch": None if best is None else best + 1,
    }


# ---- an ensemble --------------------------------------------------------------------------------


def ensemble(common: Common, optimizer: Optimizer, n: int) -> tuple[Model, dict[str, Any], bool]:
    """Train networks that differ only in their seeds.

    Return the model, additions to the summary of the training, and whether Ctrl-C interrupted it.
    """
    seed = common.job.options.seed
    nets = [network_of(_with_options(common.job, seed=seed + i), optimizer) for i in range(n)]
    fits = _trained(common.fit(nets))
    return Model(fits), {"ensemble": len(fits)}, fits.interrupted


# ---- a network for each value of a column -------------------------------------------------------


def by_column(
    common: Common, optimizer: Optimizer, column: Column
) -> tuple[Model, dict[str, Any], bool]:
    """Train a network for each text of a column, on the rows with this text.

    Return the same as `ensemble`.
    """
    options, values = common.job.options, column.values[common.used]
    texts = [text for i, text in enumerate(column.texts) if (values == i).any()]
    groups = [np.flatnonzero(values == column.texts.index(text)) for text in texts]
    for text, some in zip(texts, groups, strict=True):
        n = int((some < common.n_training).sum())
        if n == 0 or (options.validation and n == len(some)):
            training = f"only {counted(n, 'training row')}" if n else "no training row"
            held_out = "no validation row"
            if n < len(some):
                held_out = f"only {counted(len(some) - n, 'validation row')}"
            raise TableError(
                f"{options.data}: --by {column.name} gives {text!r} {training} and {held_out}; "
                "remove such rows, choose a column with fewer values, or use --validation 0"
            )
    nets = [network_of(common.job, optimizer) for _ in groups]
    fits = common.fit(nets, groups)
    fits.groups = np.array(texts, object)
    return Model(_trained(fits), column.name), {"by": column.name}, fits.interrupted


# ---- a search -----------------------------------------------------------------------------------


def budget(text: str) -> tuple[int | None, float]:
    """Return (trials, seconds) of a budget: (50, inf) of "50", (None, 600.0) of "10min"."""
    found = re.fullmatch(r"(\d+)(s|min|h)?", text)
    if found is None or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"must be a number of trials such as 50, or a time such as 30s, 10min or 2h; got "
            f"{text!r}"
        )
    amount = int(found[1])
    return (None, float(amount * _SECONDS[found[2]])) if found[2] else (amount, math.inf)


def _n_of_round(budget: tuple[int | None, float], n_done: int, elapsed: float, threads: int) -> int:
    """Return how many trials to train next; 0 if the budget is spent after `elapsed` seconds.

    With a time, the first trials begin at once, and later rounds have half of the trials that the
    time left suffices for at the pace so far, so that the last of them begin in time, too.
    """
    most, seconds = budget
    if most:
        return min(_ROUND, most - n_done)
    if elapsed >= seconds:
        return 0
    expected = n_done * (seconds - elapsed) / elapsed if elapsed else 0.0
    return max(threads, min(_ROUND, int(expected / 2)))


def _trial(rate: float, rng: np.random.Generator) -> dict[str, Any]:
    """Return randomly drawn options of a trial."""
    low, high = map(math.log, _RATES)
    return {
        "hidden": _HIDDEN[rng.integers(len(_HIDDEN))],
        "activation": _ACTIVATIONS[rng.integers(len(_ACTIVATIONS))],
        "dropout": _DROPOUT[rng.integers(len(_DROPOUT))],
        "batch_size": _BATCHES[rng.integers(len(_BATCHES))],
        "learning_rate": float(f"{rate * math.exp(rng.uniform(low, high)):.2g}"),
    }


def search(common: Common, optimizer: Optimizer) -> tuple[Model, dict[str, Any], bool]:
    """Train networks with other layers and rates, and return the one of least validation loss.

    The first trial has the options of the command line, so the result is never worse than these.
    Return the same as `ensemble`.
    """
    options = common.job.options
    rng = np.random.default_rng([options.seed, 1])  # a different stream than that of the split
    threads = options.threads or _cpu.available_threads()
    began, n_done, n_lost, interrupted = time.monotonic(), 0, 0, False
    best: tuple[float, Fits, dict[str, Any]] | None = None
    while not interrupted and n_lost < _ROUND:  # if so many diverge in a row, others will, too
        n = _n_of_round(options.search, n_done, time.monotonic() - began, threads)
        if n == 0:
            break
        rate = float(optimizer.learning_rate)  # type: ignore[arg-type]  # no schedule
        trials = [_trial(rate, rng) for _ in range(n)]
        if n_done + n_lost == 0:
            given = {name: getattr(options, name) for name in trials[0]}
            trials[0] = {**given, "learning_rate": rate}
        nets = [_network(common, optimizer, trial) for trial in trials]
        fits = common.fit(nets, batch_sizes=[trial["batch_size"] for trial in trials])
        interrupted = fits.interrupted
        n_done += int(fits.is_trained.sum())
        if not fits.is_trained.any():
            n_lost += n
            continue
        n_lost, number = 0, fits.best()
        value = float(fits.values()[number])
        if best is None or value < best[0]:
            best = value, fits.some([number]), trials[number]
    if best is None and interrupted:
        raise KeyboardInterrupt
    if best is None:
        raise FloatingPointError("the losses of all trials became infinite or nan")
    value, fits, trial = best
    summary = {"search": {"trials": n_done, "val_loss": value, **trial}}
    if not options.quiet:
        log(f"best of {counted(n_done, 'trial')}: {described(trial)}")
    return Model(fits), summary, interrupted


def _network(common: Common, optimizer: Optimizer, trial: dict[str, Any]) -> MLP:
    """Return the untrained network of a trial."""
    net = network_of(_with_options(common.job, **trial), optimizer)
    net.learning_rate = trial["learning_rate"]
    return net


def described(trial: dict[str, Any]) -> str:
    """Return the options of a trial in the form of the command line."""
    hidden = ",".join(map(str, trial["hidden"])) or "none"
    rest = ("activation", "dropout", "batch_size", "learning_rate")
    others = (f"--{name.replace('_', '-')} {trial[name]:g}" if not isinstance(trial[name], str)
              else f"--{name} {trial[name]}" for name in rest)  # fmt: skip
    return f"--hidden {hidden} {' '.join(others)}"
