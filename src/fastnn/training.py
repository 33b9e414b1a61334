"""One fit: its epochs, whom it tells about them, and how it ends.

Here: the loop over epochs and blocks of rows, hooks of callbacks, validation, metrics, divergence,
and the state that a checkpoint keeps of a fit. Not here: checks of arguments (mlp.py has them made
before), where rows come from (data.py), steps (the kernels).
"""

import contextlib
import copy
import math
import time
from dataclasses import dataclass

import numpy as np

from fastnn import _checks
from fastnn.callbacks import Callback, History
from fastnn.data import Batches, Rows

#: Seconds between two calls of `on_progress`.
PROGRESS_SECONDS = 0.1

#: Rows that are evaluated together, at least: chunks for eight threads. Wide ones take room, too.
EVALUATION_ROWS = 96 * 8

#: Rows that the weights after an epoch's last update are tried on.
TRIED_ROWS = 32

HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_progress",
    "on_nonfinite_loss",
    "close",
)


@dataclass
class Plan:
    """What a fit was asked for, checked: metrics by name, sources of rows (data.py), ..."""

    metrics: dict
    batch_size: int | None
    epochs: int
    shuffle: object  # False, True (by the network) or what draws the orders
    callbacks: list
    verbose: int
    n_threads: int
    source: Rows | Batches | None = None
    validation: Rows | None = None

    def check_targets(self):
        """Raise a ValueError if a metric cannot judge by the targets."""
        for metric in self.metrics.values():
            if isinstance(self.source, Rows):
                metric.check_targets("y", self.source.T)
            if self.validation is not None:
                metric.check_targets("validation y", self.validation.T)

    def monitors(self):
        """Return the names that an epoch's logs have."""
        names = ["loss", *self.metrics]
        return names if self.validation is None else names + [f"val_{name}" for name in names]


class Fit:
    """A fit in progress; `net.save` keeps its state, `resume` takes that up again."""

    def __init__(self, net, plan):
        self.net, self.plan, self.history = net, plan, History()
        self.epoch = 0  # the next one's number
        first = [c for c in plan.callbacks if not c.runs_last]
        self.listeners = [*first, self.history, *(c for c in plan.callbacks if c.runs_last)]
        self.hooks = {name: overridden(name, self.listeners) for name in HOOKS}
        self.hears_batches = bool(
            self.hooks["on_train_batch_begin"] or self.hooks["on_train_batch_end"]
        )
        self.hears_progress = False
        self.logs_rate = False
        self.unit = 1 if plan.source.n is None else net._network.unit(plan.batch_size)
        self.steps = 1  # units in a stretch that takes about PROGRESS_SECONDS
        self.reported = 0.0  # when on_progress was called last

    # ---- what a checkpoint keeps ----------------------------------------------------------------

    def get_state(self):
        """Return the number of the next epoch, and the state of history and callbacks."""
        return {"epoch": self.epoch, "callbacks": [c.get_state() for c in self._keepers()]}

    def set_state(self, state):
        """Go on from such a state."""
        self.epoch = state["epoch"]
        for callback, kept in zip(self._keepers(), state["callbacks"], strict=True):
            callback.set_state(kept)

    def rehearse(self, state):
        """Let copies of history and callbacks go on from a state: they raise what these would."""
        for callback, kept in zip(self._keepers(), state["callbacks"], strict=True):
            copy.copy(callback).set_state(kept)

    def _keepers(self):
        return [self.history, *self.plan.callbacks]

    # ---- epochs ---------------------------------------------------------------------------------

    def run(self):
        """Train all epochs, or until somebody stops; return the history."""
        self._tell_all()
        try:
            self._notify("on_train_begin", {})
            self.hooks["on_progress"] = [c.on_progress for c in self.listeners if c.wants_progress]
            self.hears_progress = bool(self.hooks["on_progress"])
            try:
                while self.epoch < self.plan.epochs and not self.net.stop_training:
                    self._run_epoch(self.epoch)
            except FloatingPointError as error:
                handled = False
                for hook in self.hooks["on_nonfinite_loss"]:
                    handled |= bool(hook(error))
                if not handled:
                    raise
            self._notify("on_train_end", {})
        finally:
            with contextlib.ExitStack() as stack:  # all, even if one raises
                for close in reversed(self.hooks["close"]):
                    stack.callback(close)
        return self.history

    def _tell_all(self):
        """Give every listener the network and what is known of the fit."""
        n, batch = self.plan.source.n, self.plan.batch_size
        steps = self.plan.source.steps if n is None else -(-n // batch)
        monitors = self.plan.monitors()  # one list: who adds to the logs adds to it
        self.logs_rate = self.net.optimizer.schedule is not None
        if self.logs_rate:
            monitors.append("learning_rate")
        for listener in self.listeners:
            listener.model = self.net
            listener.params = {
                "epochs": self.plan.epochs,
                "steps": steps,
                "samples": n,
                "batch_size": batch if n is not None else None,
                "verbose": self.plan.verbose,
                "monitors": monitors,
            }

    def _notify(self, name, *args):
        for hook in self.hooks[name]:
            hook(*args)

    def _run_epoch(self, epoch):
        plan, network, began = self.plan, self.net._network, time.perf_counter()
        self._notify("on_epoch_begin", epoch, {})
        first_step = network.step
        passed = _Pass(plan.metrics, self.net)
        for block in self._blocks():
            self._train(block, passed)
            if passed.tally.failure is not None:
                when = f"in epoch {epoch + 1}, step {network.step - first_step + 1}"
                raise self._divergence(passed.tally.failure, when)
            if self.net.stop_training:
                break
        _checks.some_batches(passed.rows, epoch)
        if plan.callbacks or epoch + 1 == plan.epochs:
            self._try_last(block, epoch)
        if self.hears_progress:
            self._report(passed)
        rate = passed.rows / (time.perf_counter() - began)
        logs = passed.logs()
        if plan.validation is not None:
            found = evaluate(self.net, plan.validation, plan.metrics, plan.n_threads)
            logs |= {f"val_{name}": value for name, value in found.items()}
        if self.logs_rate:
            logs["learning_rate"] = self.net.learning_rate
        self._count_epoch(logs)
        self._notify("on_epoch_end", epoch, logs)
        if plan.verbose:
            _print_epoch(epoch + 1, plan.epochs, logs, rate)

    def _count_epoch(self, logs):
        """Count the epoch, before a checkpoint of it is written; adapt the rate."""
        self.epoch += 1
        self.net._network.epoch += 1
        if self.net._adapted is not None:
            self.net._adapt(logs["loss"])

    def _blocks(self):
        plan, order = self.plan, None
        if plan.shuffle and plan.source.n is not None:
            if plan.shuffle is True:
                order = self.net._shuffler.permutation(plan.source.n)
            else:
                order = _checks.order(plan.shuffle.permutation(plan.source.n), plan.source.n)
        return plan.source.blocks(order, plan.batch_size, self.unit)

    def _train(self, block, passed):
        """Train on a block: in one go if nobody wants to hear of its batches or its progress."""
        n, out, done = len(block.X), None, 0
        if passed.metrics:
            out = np.empty((n, self.net.n_out), self.net.dtype)
        whole = not (self.hears_batches or self.hears_progress)
        for first, stop in ((0, n),) if whole else self._stretches(block.batch, n, passed):
            if self.hears_batches:
                self._train_batch(block, passed, first, stop, out)
            else:
                self._train_rows(block, passed.tally, first, stop, out)
            if passed.tally.failure is not None:
                return
            done, passed.rows = stop, passed.rows + stop - first
            if self.net.stop_training:
                break
        if passed.metrics:
            passed.judge(block, out, done)

    def _train_rows(self, block, tally, first, stop, out):
        self.net._network.train(
            block.X,
            block.T,
            block.labels,
            block.weights,
            block.order,
            block.batch,
            self.plan.n_threads,
            tally,
            first,
            stop,
            out,
        )

    def _train_batch(self, block, passed, first, stop, out):
        """Train on one batch, and tell of it."""
        tally = self.net._network.tally()
        self._notify("on_train_batch_begin", passed.batch, {})
        self._train_rows(block, tally, first, stop, out)
        passed.add(tally)
        if tally.failure is None:
            self._notify("on_train_batch_end", passed.batch - 1, {"loss": tally.value})

    def _stretches(self, batch, n, passed):
        """Yield where each stretch of rows that is trained in one go begins and ends."""
        first, unit = 0, max(batch, self.unit)
        while first < n:
            stop = min(n, first + (batch if self.hears_batches else self.steps * unit))
            began = time.perf_counter()
            yield first, stop
            first = stop
            now = time.perf_counter()
            if not self.hears_batches:
                self.steps = max(1, int(self.steps * min(10.0, PROGRESS_SECONDS / (now - began))))
            if self.hears_progress and now - self.reported > PROGRESS_SECONDS / 2:
                self._report(passed)

    def _report(self, passed):
        self.reported = time.perf_counter()
        self._notify("on_progress", passed.rows, {"loss": passed.tally.value})

    def _try_last(self, block, epoch):
        """Check that the last update, whose outcome no step sees, left the loss of rows finite."""
        network, tally = self.net._network, self.net._network.tally()
        arrays = (block.X, block.T, block.labels, block.weights)
        last = (None if a is None else a[-TRIED_ROWS:] for a in arrays)
        network.evaluate(*last, 1, tally)  # one thread, of so little room
        loss = tally.loss + network.penalties(tally.total)
        if not math.isfinite(loss):
            raise self._divergence(loss, f"after epoch {epoch + 1}")

    def _divergence(self, loss, when):
        """Go back to the last good weights; return the error that says so."""
        net, rate = self.net, self.net.learning_rate
        dropped = net._network.restore(net.optimizer.initial_moment)
        where = "no update has been made"
        if dropped is not None:
            where = (
                f"the network is back at its weights of {dropped} updates before, whose loss was "
                "finite, and the optimizer's moments start anew"
            )
        return FloatingPointError(
            f"the loss became {loss} {when}: {where}; lower the learning rate (now {rate:g}), clip "
            "the gradients (such as clipnorm=1.0) or scale X and y"
        )


class _Pass:
    """What an epoch has come to so far: losses, rows, and outputs where metrics want them."""

    def __init__(self, metrics, net):
        self.metrics = metrics
        self.tally = net._network.tally()
        self.rows = self.batch = 0
        self.judged = []

    def add(self, tally):
        """Add a batch."""
        self.tally.loss += tally.loss
        self.tally.total += tally.total
        self.tally.failure = tally.failure
        self.batch += 1

    def judge(self, block, out, done):
        """Keep targets, outputs and weights of the rows done, for the metrics."""
        if done:
            y, weights = block.judged()
            self.judged.append((y[:done], out[:done], None if weights is None else weights[:done]))

    def logs(self, penalties=0.0):
        """Return loss and metrics by name."""
        logs = {"loss": self.tally.value + penalties}
        if self.metrics:
            arrays = self._judged_together()
            logs |= {name: metric(*arrays) for name, metric in self.metrics.items()}
        return logs

    def _judged_together(self):
        """Return all targets, outputs and weights or None; batches may have them of two kinds."""
        y, out, weights = zip(*self.judged, strict=True)
        if len({t.ndim for t in y}) > 1:  # labels become one-hot rows, too
            one_hot = np.eye(out[0].shape[1], dtype=out[0].dtype)
            y = [one_hot[t] if t.ndim == 1 else t for t in y]
        if all(w is None for w in weights):
            return np.concatenate(y), np.concatenate(out), None
        pairs = zip(weights, out, strict=True)
        weights = [np.ones(len(o), o.dtype) if w is None else w for w, o in pairs]
        return np.concatenate(y), np.concatenate(out), np.concatenate(weights)


def evaluate(net, source, metrics, n_threads):
    """Return the loss of a source's rows and their metrics, by name."""
    passed = _Pass(metrics, net)
    for block in source.blocks(None, EVALUATION_ROWS):
        n = len(block.X)
        out = np.empty((n, net.n_out), net.dtype) if metrics else None
        rows = block.X, block.T, block.labels, block.weights
        net._network.evaluate(*rows, n_threads, passed.tally, out)
        if metrics:
            passed.judge(block, out, n)
    return passed.logs(net._network.penalties(passed.tally.total))


def overridden(name, callbacks):
    """Return the hooks of that name that do something, bound to their callbacks."""
    hooks = [getattr(callback, name) for callback in callbacks]
    nothing = getattr(Callback, name)
    return [hook for hook in hooks if getattr(hook, "__func__", hook) is not nothing]


def _print_epoch(epoch, epochs, logs, rate):
    """Print an epoch's values and its samples a second in training."""
    values = "  ".join(f"{name} {value:.6g}" for name, value in logs.items())
    count = f"{epoch:>{len(str(epochs))}}/{epochs}"
    print(f"epoch {count}  {values}  {rate:,.0f} samples/s", flush=True)
