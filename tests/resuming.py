"""Fits that are stopped and resumed: `python resuming.py FOLDER CASE [EPOCH LINE]`.

Fits the network of a case for 20 epochs with its files in FOLDER, from the checkpoint there if one
exists. Prints the number of each epoch as it begins, and at the end a SHA-256 of everything:
weights, moments, counts, random state, history, the state of callbacks, the log.

With EPOCH and LINE the process kills itself in that epoch before its LINE-th line of Python, or
when the next epoch begins if the epoch has fewer lines.
"""

import functools
import hashlib
import json
import os
import pathlib
import signal
import sys

import numpy as np
from conditions import call_at

from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Adaptive,
    Callback,
    CosineDecay,
    CSVLogger,
    Dense,
    Dropout,
    EarlyStopping,
    LearningRateScheduler,
    LinearWarmup,
    ModelCheckpoint,
    OneCycle,
    ReduceLROnPlateau,
    RMSProp,
    Standardize,
)

EPOCHS = 20
RNG = np.random.default_rng(0)
X = RNG.standard_normal((1500, 12))
LABELS = (X @ RNG.standard_normal((12, 3)) + RNG.standard_normal((1500, 3))).argmax(axis=1)
Y = np.sin(X[:, :2]) + 0.1 * RNG.standard_normal((1500, 2))


class EpochPrinter(Callback):
    """Prints the epoch that begins; raises an error at a given moment."""

    def __init__(self, moment=None, silent=False):
        self.moment, self.silent = moment, silent

    def at(self, *moment):
        if moment == self.moment:
            raise OSError("stopped")

    def on_epoch_begin(self, epoch, logs):
        if not self.silent:
            print(epoch, flush=True)
        self.at("begin", epoch)

    def on_epoch_end(self, epoch, logs):
        self.at("end", epoch)

    def on_train_end(self, logs):
        self.at("train end")


def classifier(*, optimizer, hidden=24, **options):
    stack = [Standardize(), Dense(hidden, "relu", l2=1e-5), Dropout(0.3), Dense(17, "gelu"),
             Dense(3, "softmax")]  # fmt: skip
    return MLP(12, stack, loss="cross_entropy", optimizer=optimizer, seed=1, **options)


def regressor(*, optimizer, **options):
    stack = [Dropout(0.1), Dense(16, "tanh"), Dense(2)]
    return MLP(12, stack, loss="squared_error", optimizer=optimizer, seed=1, **options)


def tiny(**options):
    return MLP(12, [Dense(8, "tanh"), Dense(2)], loss="huber", seed=1, **options)


def halved(epoch, rate):
    return rate * (0.5 if epoch % 4 == 3 else 1.0)


CHECKED = {"validation_split": 0.25, "metrics": ["accuracy"], "class_weight": {0: 0.5, 2: 2.0}}
BATCHES = [(X[i : i + 100], Y[i : i + 100]) for i in range(0, 1500, 100)]

# The network, other callbacks and what is fitted: X, y and options.
CASES = {
    "everything": (
        functools.partial(classifier, n_threads=1, optimizer=Adam(
            LinearWarmup(CosineDecay(0.01, 2000), 100), clipnorm=0.5, use_ema=True)),
        lambda: [EarlyStopping(patience=30, restore_best_weights=True)],
        (X, LABELS), {"batch_size": 16, **CHECKED}),
    "a rate of its own each epoch": (
        functools.partial(regressor, dtype="float64", optimizer=AdamW(
            OneCycle(0.01, 20, per="epoch"), global_clipnorm=1.0)),
        list, (X, Y), {"batch_size": 10, "metrics": ["mae"]}),
    "a rate that adapts": (
        functools.partial(regressor, optimizer=SGD(
            Adaptive(0.05, tol=0.003, patience=2), momentum=0.9, nesterov=True)),
        list, (X, Y), {"batch_size": 8, "shuffle": False}),
    "a rate that is lowered": (
        functools.partial(regressor, optimizer=RMSProp(0.01, momentum=0.5, clipvalue=0.1)),
        lambda: [ReduceLROnPlateau(patience=2, factor=0.5, min_delta=0.01, cooldown=2),
                 EarlyStopping(patience=25, min_delta=0.001, restore_best_weights=True)],
        (X, Y), {"batch_size": 8, "validation_split": 0.2}),
    "a rate that is set": (
        functools.partial(regressor, optimizer=SGD(0.01, momentum=0.9, use_ema=True)),
        lambda: [LearningRateScheduler(halved)], (X, Y), {"batch_size": 8}),
    "stopped early": (
        functools.partial(classifier, optimizer=Adam(0.02)),
        lambda: [EarlyStopping(patience=3, restore_best_weights=True)],
        (X, LABELS), {"batch_size": 16, **CHECKED}),
    "several threads": (
        functools.partial(classifier, hidden=150, n_threads=3, optimizer=Adam(amsgrad=True)),
        list, (X, LABELS), {"batch_size": 200, "sample_weight": 1 + np.arange(1500) % 3}),
    "rows one by one": (
        functools.partial(tiny, optimizer="adam"), list, (X, Y), {"batch_size": 1}),
    "an iterable": (functools.partial(tiny, optimizer="adagrad"), list, (BATCHES,), {}),
}  # fmt: skip


class Kill(EpochPrinter):
    """Kills the process in an epoch, before a line of Python or when the next epoch begins."""

    def __init__(self, last_epoch):
        super().__init__()
        self.last_epoch, self.epoch = last_epoch, None

    def on_epoch_begin(self, epoch, logs):
        super().on_epoch_begin(epoch, logs)
        self.epoch = epoch
        if epoch > self.last_epoch:
            self.kill()

    def is_due(self):
        return self.epoch == self.last_epoch

    def kill(self):
        os.kill(os.getpid(), signal.SIGKILL)


def fit(case, folder, moment=None, silent=True, printer=None):
    """Return network, callbacks and history of a case's fit."""
    build, others, arrays, options = CASES[case]
    net, path = build(), folder / "checkpoint"
    callbacks = [printer or EpochPrinter(moment, silent), ModelCheckpoint(path), *others(),
                 CSVLogger(folder / "log.csv", append=True)]  # fmt: skip
    history = net.fit(*arrays, epochs=EPOCHS, callbacks=callbacks, resume=path, **options)
    return net, callbacks, history


def digest(net, callbacks, history, folder):
    """Return a SHA-256 of all results of a fit."""
    now = net._state.snapshot()
    random = now.shuffler, now.dropout_seed, now.adapted
    found = hashlib.sha256(b"".join(w.tobytes() for block in now.blocks for w in block))
    for array in net.standardization or ():
        found.update(array.tobytes())
    kept = []
    for callback in callbacks:
        for name, value in callback.get_state().items():
            arrays = isinstance(value, list) and value and isinstance(value[0], np.ndarray)
            kept.append((name, [a.tobytes().hex() for a in value] if arrays else value))
    plain = [now.step, now.epoch, random, net.learning_rate, history.epoch, history.history, kept]
    found.update(json.dumps(plain).encode())
    found.update((folder / "log.csv").read_bytes())
    return found.hexdigest()


def main(folder, case, epoch=None, line=None):
    if epoch is None:
        print(digest(*fit(case, folder, silent=False), folder))
    else:
        kill = Kill(epoch)
        call_at(line, kill.kill, lambda: fit(case, folder, printer=kill), counts=kill.is_due)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
