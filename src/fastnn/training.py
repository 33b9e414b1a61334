"""One fit: its epochs, whom it tells about them, and how it ends.

Here: the loop over epochs and blocks of rows, hooks of callbacks, validation, metrics, divergence,
and the state that a checkpoint keeps of a fit. Not here: checks of arguments (mlp.py has them made
before), where rows come from (data.py), steps (the kernels).
"""

import time
from dataclasses import dataclass

import numpy as np

from fastnn import _checks
from fastnn.callbacks import Callback, History
from fastnn.data import Batches, Rows
from fastnn.schedules import Adaptive

#: Seconds between two calls of `on_progress`.
PROGRESS_SECONDS = 0.1

#: Rows that are evaluated together.
EVALUATION_ROWS = 96 * 64


@dataclass
class Plan:
    """What a fit was asked for, checked: metrics by name, sources of rows (data.py), ..."""

    metrics: dict
    batch_size: int | None
    epochs: int
    shuffle: bool
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
        self.batch_listeners = [
            c for c in plan.callbacks if overrides(c, "on_train_batch_begin", "on_train_batch_end")
        ]
        self.progress_listeners = []
        self.steps = 1  # in a stretch that takes about PROGRESS_SECONDS
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

    def _keepers(self):
        return [self.history, *self.plan.callbacks]

    # ---- epochs ---------------------------------------------------------------------------------

    def run(self):
        """Train all epochs, or until somebody stops; return the history."""
        self._tell_all()
        try:
            self._notify("on_train_begin", {})
            self.progress_listeners = [c for c in self.listeners if c.wants_progress]
            try:
                while self.epoch < self.plan.epochs and not self.net.stop_training:
                    self._run_epoch(self.epoch)
            except FloatingPointError as error:
                handled = False
                for listener in self.listeners:
                    handled |= bool(listener.on_nonfinite_loss(error))
                if not handled:
                    raise
            self._notify("on_train_end", {})
        finally:
            for listener in self.listeners:
                listener.close()
        return self.history

    def _tell_all(self):
        """Give every listener the network and what is known of the fit."""
        n, batch = self.plan.source.n, self.plan.batch_size
        steps = self.plan.source.steps if n is None else -(-n // batch)
        monitors = self.plan.monitors()  # one list: who adds to the logs adds to it
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

    def _notify(self, hook, *args):
        for listener in self.listeners:
            getattr(listener, hook)(*args)

    def _run_epoch(self, epoch):
        self._notify("on_epoch_begin", epoch, {})
        network, began = self.net._network, time.perf_counter()
        first_step = network.step
        passed = _Pass(self.plan.metrics, self.net)
        for block in self._blocks():
            self._train(block, passed)
            if passed.tally.failure is not None:
                raise self._divergence(passed.tally.failure, epoch, network.step - first_step)
            if self.net.stop_training:
                break
        _checks.some_batches(passed.rows, epoch)
        self._report(passed)
        rate = passed.rows / (time.perf_counter() - began)
        logs = passed.logs()
        if self.plan.validation is not None:
            found = evaluate(self.net, self.plan.validation, self.plan.metrics, self.plan.n_threads)
            logs |= {f"val_{name}": value for name, value in found.items()}
        self._count_epoch(logs)
        self._notify("on_epoch_end", epoch, logs)
        if self.plan.verbose:
            _print_epoch(epoch + 1, self.plan.epochs, logs, rate)

    def _count_epoch(self, logs):
        """Count the epoch, before a checkpoint of it is written; adapt the rate."""
        self.epoch += 1
        self.net._network.epoch += 1
        if isinstance(self.net.optimizer.schedule, Adaptive):
            self.net._adapt(logs["loss"])

    def _blocks(self):
        n = self.plan.source.n
        order = self.net._shuffler.permutation(n) if self.plan.shuffle and n is not None else None
        return self.plan.source.blocks(order, self.plan.batch_size)

    def _train(self, block, passed):
        """Train on a block: in one go if nobody wants to hear of its batches or its progress."""
        n = len(block.X)
        out = np.empty((n, self.net.n_out), self.net.dtype) if passed.metrics else None
        done = 0
        for first, stop in self._stretches(block, n, passed):
            tally = passed.tally
            if self.batch_listeners:
                tally = self.net._network.tally()
                for listener in self.batch_listeners:
                    listener.on_train_batch_begin(passed.batch, {})
            self.net._network.train(
                block.X, block.T, block.labels, block.weights, block.order, block.batch,
                self.plan.n_threads, tally, first, stop, out,
            )  # fmt: skip
            if tally.failure is not None:
                passed.tally.failure = tally.failure
                return
            done, passed.rows = stop, passed.rows + stop - first
            if self.batch_listeners:
                passed.add(tally)
                for listener in self.batch_listeners:
                    listener.on_train_batch_end(passed.batch - 1, {"loss": tally.value})
            if self.net.stop_training:
                break
        passed.judge(block, out, done)

    def _stretches(self, block, n, passed):
        """Yield where each stretch of rows that is trained in one go begins and ends."""
        if not (self.batch_listeners or self.progress_listeners):
            yield 0, n
            return
        first = 0
        while first < n:
            steps = 1 if self.batch_listeners else self.steps
            stop = min(n, first + steps * block.batch)
            began = time.perf_counter()
            yield first, stop
            first = stop
            now = time.perf_counter()
            self.steps = max(1, int(steps * min(10.0, PROGRESS_SECONDS / (now - began))))
            if now - self.reported > PROGRESS_SECONDS / 2:
                self._report(passed)

    def _report(self, passed):
        self.reported = time.perf_counter()
        for listener in self.progress_listeners:
            listener.on_progress(passed.rows, {"loss": passed.tally.value})

    def _divergence(self, loss, epoch, steps):
        """Go back to the last good weights; return the error that says so."""
        net, step = self.net, steps + 1
        rate = net.learning_rate
        dropped = net._network.restore(net.optimizer.initial_moment)
        where = "no update has been made"
        if dropped is not None:
            where = (
                f"the network is back at its weights of {dropped} updates before, whose loss was "
                "finite, and the optimizer's moments start anew"
            )
        return FloatingPointError(
            f"the loss became {loss} in epoch {epoch + 1}, step {step}: {where}; lower the learning"
            f" rate (now {rate:g}), clip the gradients (such as clipnorm=1.0) or scale X and y"
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
        self.batch += 1

    def judge(self, block, out, done):
        """Keep targets, outputs and weights of the rows done, for the metrics."""
        if self.metrics and done:
            y, weights = block.judged()
            self.judged.append((y[:done], out[:done], None if weights is None else weights[:done]))

    def logs(self, penalties=0.0):
        """Return loss and metrics by name."""
        logs = {"loss": self.tally.value + penalties}
        if self.metrics:
            y, out, weights = zip(*self.judged, strict=True)
            weights = None if weights[0] is None else np.concatenate(weights)
            arrays = np.concatenate(y), np.concatenate(out), weights
            logs |= {name: metric(*arrays) for name, metric in self.metrics.items()}
        return logs


def evaluate(net, source, metrics, n_threads):
    """Return the loss of a source's rows and their metrics, by name."""
    passed = _Pass(metrics, net)
    for block in source.blocks(None, EVALUATION_ROWS):
        n = len(block.X)
        out = np.empty((n, net.n_out), net.dtype) if metrics else None
        rows = block.X, block.T, block.labels, block.weights
        net._network.evaluate(*rows, n_threads, passed.tally, out)
        passed.judge(block, out, n)
    return passed.logs(net._network.penalties())


def overrides(callback, *hooks):
    """Whether a callback's class has any of these hooks of its own."""
    return any(getattr(type(callback), hook) is not getattr(Callback, hook) for hook in hooks)


def _print_epoch(epoch, epochs, logs, rate):
    """Print an epoch's values and its samples a second in training."""
    values = "  ".join(f"{name} {value:.6g}" for name, value in logs.items())
    count = f"{epoch:>{len(str(epochs))}}/{epochs}"
    print(f"epoch {count}  {values}  {rate:,.0f} samples/s", flush=True)
