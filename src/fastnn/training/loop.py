"""Fit: one fit, its epochs and blocks of rows, the hooks of its listeners, and how it ends.

Not here: checks of arguments (plan.py), where rows come from (sources.py), steps (the kernels).
"""

from __future__ import annotations

import _thread
import contextlib
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._kernels_f32 import TRIED_ROWS
from fastnn.callbacks import Callback, History
from fastnn.callbacks.history import shown
from fastnn.training import whole
from fastnn.training.ahead import BRIEFLY, PATIENCE
from fastnn.training.calls import Divergence, divergence_of_fit, evaluate
from fastnn.training.rows import Rows
from fastnn.training.standardizing import mean_and_scale
from fastnn.training.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from numpy.typing import NDArray

    from fastnn._kernels_f32 import Tally
    from fastnn.mlp import MLP
    from fastnn.training.plan import Plan
    from fastnn.training.rows import Block
    from fastnn.training.state import Snapshot, State

#: Seconds between two calls of `on_progress`.
PROGRESS_SECONDS = 0.1

#: Epochs that the engine trains in one call. Their logs are then moved to the history, so that the
#: memory for them is bounded.
EPOCHS_AT_ONCE = 1 << 16

#: The methods of a callback that a fit calls.
HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_") or name == "close")


class Fit:
    """A fit in progress of the network `model`, whose state is `state`.

    A checkpoint keeps the state of the fit (`get_state`), and a resumed fit begins with it.
    """

    def __init__(self, state: State, plan: Plan, model: MLP) -> None:
        _checks.idle(state.fit)
        self.state, self.plan, self.model, self.history = state, plan, model, History()
        self.callbacks = [c for c in plan.callbacks if not c._is_internal]
        self.epoch = 0  # number of the next epoch
        self.ends: list[int] = []  # numbers of updates at the end of each epoch
        self.first_rate: Any = state.specification.optimizer.learning_rate  # callbacks may set it
        first = [c for c in plan.callbacks if not c.runs_last]
        self.listeners = [*first, self.history, *(c for c in plan.callbacks if c.runs_last)]
        self.hooks = {name: overridden(name, self.listeners) for name in HOOKS}
        self.judges_averages = whole.judges_averages(plan.callbacks)
        self.has_batch_hooks = bool(
            self.hooks["on_train_batch_begin"] or self.hooks["on_train_batch_end"]
        )
        self.has_progress_hooks = False
        self.logs_rate = False
        self.batches_per_call = 1  # adapted so that a call takes about PROGRESS_SECONDS
        self.reported = 0.0  # when on_progress was called last
        self.thread = 0  # identifier of the thread that runs the fit
        self.divergence: FloatingPointError | None = None  # once the loss isn't finite

    # ---- the state in a checkpoint --------------------------------------------------------------

    @property
    def inputs(self) -> Sequence[str]:
        """Paths of the files that rows are read from."""
        return self.plan.inputs

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns of the rows, or None; those of batches, once they are read."""
        source = self.plan.source
        found = self.plan.feature_names if isinstance(source, Rows) else source.feature_names
        return self.state.feature_names or found

    def get_state(self) -> dict[str, Any]:
        """Return the number of the next epoch, the states of history and callbacks, and options.

        A fit with the same options can continue from this state.
        """
        plan, source = self.plan, self.plan.source
        return {
            "epoch": self.epoch,
            "callbacks": [callback.get_state() for callback in self._checkpointed()],
            "samples": source.n,
            "batch_size": plan.batch_size,
            "shuffle": plan.shuffle is not False,
            "classes": None if plan.classes is None else list(plan.classes),
            "validation_split": plan.split,
            "logs": plan.monitors,
            "weights": source.weights is not None if isinstance(source, Rows) else None,
            "learning_rate": self.first_rate,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned.

        After an error of a callback, all callbacks have the attributes that they had before.
        """
        before = [(callback, vars(callback).copy()) for callback in self._checkpointed()]
        try:
            for (callback, _), kept in zip(before, state["callbacks"], strict=True):
                callback.set_state(kept)
        except BaseException:
            for callback, attributes in before:
                vars(callback).clear()
                vars(callback).update(attributes)
            raise
        self.epoch = state["epoch"]
        self.first_rate = state.get("learning_rate", self.first_rate)  # older files lack it

    def _checkpointed(self) -> list[Callback]:
        """Return the listeners whose states a checkpoint keeps."""
        return [self.history, *self.callbacks]

    # ---- epochs ---------------------------------------------------------------------------------

    def run(self, resumed: Snapshot | None = None) -> History:
        """Train all epochs, or until a listener stops training; return the history.

        `resumed` is a snapshot of the network if a fit is continued, whose state has been set.
        """
        state, patience = self.state, BRIEFLY
        before, first_step = None, None
        key, has_begun = id(state), False
        try:
            self.thread = _thread.get_ident()
            has_begun = True  # a signal handler may raise an error as soon as the entry is there
            # One atomic operation: another fit may have begun since this object was made.
            other = _IN_PROGRESS.setdefault(key, self)
            has_begun = other is self
            _checks.idle(None if has_begun else other)
            before = _Backup(state, self.plan.shuffle, with_weights=resumed is not None)
            state.fit, state.stop_training = self, False
            state.network.forget()
            if resumed is not None:
                state.take(resumed)
            if not state.is_ready:
                assert isinstance(self.plan.source, Rows)
                dtype = state.specification.dtype
                state.standardize(*mean_and_scale(self.plan.source, "X", dtype))
            state.feature_names = self.feature_names
            state.classes = self.plan.classes
            first_step = state.network.step
            self._run()
            patience = PATIENCE
        except BaseException as error:
            if isinstance(error, Exception):  # but not Ctrl-C
                patience = PATIENCE
            is_untrained = first_step is None or state.network.step == first_step
            if before is not None and is_untrained and error is not self.divergence:
                before.restore(state)
            raise
        finally:
            if has_begun:  # no call before the entry is gone: a signal handler may raise in it
                state.fit = None
                _IN_PROGRESS.pop(key, None)
            if not isinstance(self.plan.source, Rows):
                self.plan.source.wait(patience)
        return self.history

    def _run(self) -> None:
        self._set_up_listeners()
        with contextlib.ExitStack() as stack:  # calls every hook, even if one raises an error
            for close in reversed(self.hooks["close"]):
                stack.callback(close)
            self._notify("on_train_begin", {})
            self.hooks["on_progress"] = [c.on_progress for c in self.listeners if c.wants_progress]
            self.has_progress_hooks = bool(self.hooks["on_progress"])
            try:
                if self._is_unattended:
                    self._run_unattended()
                while self.epoch < self.plan.epochs and not self.state.stop_training:
                    self._run_epoch(self.epoch)
            except FloatingPointError as error:
                if error is not self.divergence:  # raised by a metric, a callback or an iterable
                    raise
                handled = False
                for hook in self.hooks["on_nonfinite_loss"]:
                    handled |= bool(hook(error))
                if not handled:
                    raise
            self._notify("on_train_end", {})

    def _set_up_listeners(self) -> None:
        """Give every listener the network and the parameters of the fit."""
        source, batch = self.plan.source, self.plan.batch_size
        if isinstance(source, Rows):
            steps: int | None = -(-source.n // (batch or source.n))
        else:
            steps, batch = source.steps, None
        monitors = self.plan.monitors  # one list for all listeners, to which callbacks add names
        self.logs_rate = self.state.specification.optimizer.schedule is not None
        if self.logs_rate:
            monitors.append("learning_rate")
        for listener in self.listeners:
            listener.model = self.model
            listener.params = {
                "epochs": self.plan.epochs,
                "steps": steps,
                "samples": source.n,
                "batch_size": batch,
                "verbose": self.plan.verbose,
                "monitors": monitors,
                "metrics": self.plan.metrics,
                "judges_averages": self.judges_averages,
            }

    def _notify(self, name: str, *args: Any) -> None:
        for hook in self.hooks[name]:
            hook(*args)

    def _run_epoch(self, epoch: int) -> None:
        plan, network, began = self.plan, self.state.network, time.perf_counter()
        self._notify("on_epoch_begin", epoch, {})
        if is_last := self.state.stop_training:  # the hook for epochs ends the fit after this one
            self.state.stop_training = False
        first_step = network.step
        totals, block = Totals(plan.metrics, self.state), None
        with contextlib.closing(self._blocks()) as blocks:
            for block in blocks:
                self.state.feature_names = self.feature_names  # of the first frame among batches
                self._train(block, totals)
                if totals.tally.failure is not None:
                    step = network.step - first_step + (not totals.tally.overflowed)
                    when = f"in epoch {epoch + 1}, step {step}"
                    raise self._divergence(totals.tally.failure, totals.tally.overflowed, when)
                if self.state.stop_training:
                    break
        _checks.some_batches(totals.rows, epoch)
        if not self.state.stop_training:
            _checks.some_weight(totals.tally.total, epoch)
        if block is not None and (self.callbacks or epoch + 1 == plan.epochs):
            self._try_last(block, epoch)
        if self.has_progress_hooks:
            self._report(totals)
        rate = totals.rows / (time.perf_counter() - began)
        logs = totals.logs()
        if plan.validation is not None:
            found = evaluate(
                self.state, plan.validation, plan.metrics, plan.n_threads, self.judges_averages
            )
            logs |= {f"val_{name}": value for name, value in found.items()}
        if self.logs_rate:
            logs["learning_rate"] = network.rate
        self._count_epoch(logs)
        self.state.stop_training |= is_last
        for hook in self.hooks["on_epoch_end"]:
            hook(epoch, logs)
            _checks.logs_of_hook(hook, epoch, logs)
        if plan.verbose:
            _print_epoch(epoch + 1, plan.epochs, logs, rate)

    # ---- all epochs in one call of the engine ---------------------------------------------------

    @property
    def _is_unattended(self) -> bool:
        """Whether the engine can carry out the fit as a whole, without Python between epochs."""
        plan = self.plan
        return (
            type(plan.source) is Rows
            and (plan.validation is None or plan.validation.is_like(plan.source))
            and whole.can_draw_orders(plan.shuffle)  # a user's generator is called every epoch
            and not (plan.verbose or self.epoch)  # a resumed fit begins at a later epoch
            and whole.can_compute_metrics(plan.metrics, plan.source, plan.validation)
            and whole.is_possible(self.state.specification, plan.callbacks, plan.metrics)
        )

    def _run_unattended(self) -> None:
        """Train all epochs in the engine."""
        plan, state = self.plan, self.state
        assert isinstance(plan.source, Rows)
        rows = plan.source, plan.validation
        fits = whole.WholeFits(state.specification, *rows, plan.callbacks, plan.metrics)
        fit = fits.make(
            state,
            whole.generator_of(state, plan.shuffle),
            plan.shuffle,
            batch=plan.batch_size or plan.source.n,
            epochs=min(plan.epochs, sys.maxsize),
            numbers=plan.source.numbers,
            validation_numbers=None if plan.validation is None else plan.validation.numbers,
        )
        while self.epoch < plan.epochs and fit.ended is None and not state.stop_training:
            try:
                fit.carry_out(EPOCHS_AT_ONCE, plan.n_threads)
            finally:
                self.history.take(fit.logs())
                self.epoch = fit.epoch
                whole.keep_rate(state)
                whole.update_callbacks(plan.callbacks, fit)
        state.stop_training |= fit.ended == "stopped"
        if fit.has_diverged:
            self.divergence = whole.divergence(
                state,
                fit,
                steps=-(-plan.source.n // (plan.batch_size or plan.source.n)),
                is_weighted=plan.source.weights is not None,
            )
            raise self.divergence

    # ---- epochs, one by one ---------------------------------------------------------------------

    def _count_epoch(self, logs: dict[str, float]) -> None:
        """Count an epoch, before a callback writes a checkpoint; let an Adaptive schedule react."""
        self.epoch += 1
        self.state.network.epoch += 1
        self.ends.append(self.state.network.step)
        self.state.adapt_rate(logs["loss"])

    def _blocks(self) -> Generator[Block]:
        plan, order = self.plan, None
        n = plan.source.n
        if plan.shuffle and n is not None:
            if plan.shuffle is True:
                order = self.state.draw_order(n)
            else:
                order = _checks.order(plan.shuffle.permutation(n), n)
        return plan.source.blocks(order, plan.batch_size or 1)

    def _train(self, block: Block, totals: Totals) -> None:
        """Train on a block: in one call if no listener has a hook for batches or progress."""
        out, done = totals.empty_outputs(block.n), 0
        in_one_call = not (self.has_batch_hooks or self.has_progress_hooks)
        while True:
            first, stop = done, block.n if in_one_call else self._end_of_call(block, done)
            began = time.perf_counter()
            if self.has_batch_hooks:
                self._train_batch(block, totals, first, stop, out)
            else:
                self._train_rows(block, totals.tally, first, stop, out)
            if totals.tally.failure is not None:
                return
            done, totals.rows = stop, totals.rows + stop - first
            if not in_one_call and not self.state.stop_training:
                self._after_call(totals, began)
            if done == block.n or self.state.stop_training:
                break
        totals.keep_for_metrics(block, out, done)

    def _train_rows(
        self, block: Block, tally: Tally, first: int, stop: int, out: NDArray[Any] | None
    ) -> None:
        self.state.network.train(
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

    def _train_batch(
        self, block: Block, totals: Totals, first: int, stop: int, out: NDArray[Any] | None
    ) -> None:
        """Train on one batch, and call the hooks for batches."""
        tally = self.state.network.tally()
        batch = totals.batches
        self._notify("on_train_batch_begin", batch, {})
        self._train_rows(block, tally, first, stop, out)
        totals.add(tally)
        if tally.failure is None:
            self._notify("on_train_batch_end", batch, {"loss": tally.value})

    def _end_of_call(self, block: Block, first: int) -> int:
        """Return where the rows that are trained in one call end, if they begin at row `first`."""
        size = block.batch
        if not self.has_batch_hooks:
            size *= self.batches_per_call
        return min(block.n, first + size)

    def _after_call(self, totals: Totals, began: float) -> None:
        """Adapt the number of rows per call to the time it took; report progress if it is due."""
        now = time.perf_counter()
        if not self.has_batch_hooks:
            factor = min(10.0, PROGRESS_SECONDS / (now - began))
            self.batches_per_call = max(1, int(self.batches_per_call * factor))
        if self.has_progress_hooks and now - self.reported > PROGRESS_SECONDS / 2:
            self._report(totals)

    def _report(self, totals: Totals) -> None:
        self.reported = time.perf_counter()
        self._notify("on_progress", totals.rows, {"loss": totals.tally.value})

    def _try_last(self, block: Block, epoch: int) -> None:
        """Check that the loss is finite after the last update of an epoch.

        A step computes the loss before its update, so no step checks the last one.
        """
        network, tally = self.state.network, self.state.network.tally()
        last = block.last(TRIED_ROWS)
        one_thread = 1  # so that the call needs only a small workspace
        network.evaluate(*last.for_loss(), one_thread, tally, None, network.averages)
        loss = tally.loss + network.penalties(tally.total, network.averages)
        if not math.isfinite(loss):
            overflowed = math.isfinite(tally.loss)
            raise self._divergence(loss, overflowed, f"after epoch {epoch + 1}")

    def _divergence(self, loss: float, overflowed: bool, when: str) -> FloatingPointError:
        """Restore the last good weights; return the error that reports it.

        The arguments are those of `Divergence`.
        """
        network, source = self.state.network, self.plan.source
        is_weighted = not isinstance(source, Rows) or source.weights is not None
        found = Divergence(loss, overflowed, when, network.rate)
        dropped = network.restore(self.state.specification.optimizer.initial_moment)
        network.epoch -= sum(end > network.step for end in self.ends)
        self.divergence = divergence_of_fit(
            self.state, found, is_weighted=is_weighted, dropped=dropped
        )
        return self.divergence


class _Backup:
    """The state that a fit may change before its first step, to be restored after an error.

    Weights are kept only on request, since only a resumed fit replaces them before its first step.
    A user's NumPy generator of orders is restored, too.
    """

    def __init__(self, state: State, shuffle: Any, with_weights: bool) -> None:
        self.snapshot = state.snapshot() if with_weights else None
        self.is_ready = state.is_ready
        self.feature_names, self.classes = state.feature_names, state.classes
        self.optimizer: Any = state.specification.optimizer
        self.adapted = state.adapted
        self.orders = state.shuffler.state if state.has_shuffler else None
        is_numpys = isinstance(shuffle, np.random.Generator | np.random.RandomState)
        self.generator = whole.generator_of(state, shuffle) if is_numpys else None
        self.drawn = None if self.generator is None else self.generator.state

    def restore(self, state: State) -> None:
        """Restore the network, and the user's generator."""
        if self.generator is not None:
            self.generator.state = self.drawn
        if self.snapshot is not None:
            state.take(self.snapshot)
            return
        if not self.is_ready:
            state.forget_standardization()
        state.feature_names, state.classes = self.feature_names, self.classes
        if state.specification.optimizer is not self.optimizer:  # a callback has set the rate
            state.set_learning_rate(self.optimizer.learning_rate, self.adapted)
        if self.orders is None:
            state.forget_shuffler()
        else:
            state.shuffler.state = self.orders


def fit_without_conversion(
    state: State, X: Any, y: Any, batch_size: int | None, epochs: int, shuffle: Any
) -> History | None:
    """Fit arrays that the kernels can read without conversion, without listeners.

    The overhead is a few microseconds. Return None if an argument is invalid or needs conversion;
    `Fit` then raises the error or converts it.
    """
    simple = type(batch_size) is int and type(epochs) is int and type(shuffle) is bool
    if not (simple and 0 < epochs <= EPOCHS_AT_ONCE and state.specification.has_short_path):
        return None
    assert batch_size is not None
    if not 0 < batch_size <= sys.maxsize:
        return None
    fit, history, key, has_begun = _FitWithoutConversion(state), History(), id(state), True
    try:
        other = _IN_PROGRESS.setdefault(key, fit)
        has_begun = other is fit
        _checks.idle(None if has_begun else other)
        state.network.forget()
        state.network.stop_training = 0
        generator = state.shuffler if shuffle else None
        done = state.network.try_fit(X, y, batch_size, epochs, generator)
    finally:
        if has_begun:
            _IN_PROGRESS.pop(key, None)
    if done is None:
        return None
    if done.has_diverged:
        steps = -(-len(X) // batch_size)
        raise whole.divergence(state, done, steps=steps, is_weighted=False)
    history.take(done.logs())
    return history


class _FitWithoutConversion:
    """The entry of `_IN_PROGRESS` for a call of `fit_without_conversion`."""

    def __init__(self, state: State) -> None:
        self.state, self.thread = state, _thread.get_ident()


#: All fits in progress in this process, by the id of the State: one at a time for each network.
_IN_PROGRESS: dict[int, Fit | _FitWithoutConversion] = {}


def _forget_lost_fits() -> None:
    """In a forked child, end the fits of threads that only the parent has."""
    for key, fit in list(_IN_PROGRESS.items()):
        if fit.thread != _thread.get_ident():
            fit.state.fit = None
            _IN_PROGRESS.pop(key)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lost_fits)


def overridden(name: str, callbacks: Iterable[Callback]) -> list[Callable[..., Any]]:
    """Return the bound hooks of that name of all callbacks that override it."""
    hooks = [getattr(callback, name) for callback in callbacks]
    nothing = getattr(Callback, name)
    return [hook for hook in hooks if getattr(hook, "__func__", hook) is not nothing]


def _print_epoch(epoch: int, epochs: int, logs: dict[str, float], rate: float) -> None:
    """Print the losses and metrics of an epoch, and the samples trained per second."""
    values = "  ".join(f"{name} {shown(value)}" for name, value in logs.items())
    count = f"{epoch:>{len(str(epochs))}}/{epochs}"
    print(f"epoch {count}  {values}  {rate:,.0f} samples/s", flush=True)
