"""The training of members, by the engine or by threads that call `MLP.fit`."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING

from fastnn.callbacks import Callback, EarlyStopping
from fastnn.many.interrupts import despite_ctrl_c
from fastnn.many.outcomes import DIVERGED, FINISHED, STOPPED, Status, with_number
from fastnn.many.unattended import Unattended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.callbacks import History
    from fastnn.callbacks.base import Logs
    from fastnn.many.members import Members
    from fastnn.many.progress import Progress
    from fastnn.many.results import Fits
    from fastnn.mlp import MLP
    from fastnn.training.state import Snapshot, State

#: Seconds between two checks for signals by the waiting thread.
_LOOK = 0.05


class Crew:
    """Threads that train the members `numbers` in this order; one thread trains a member."""

    def __init__(
        self, members: Members, fits: Fits, numbers: Sequence[int], raises: bool, progress: Progress
    ) -> None:
        self.members, self.fits, self.raises, self.progress = members, fits, raises, progress
        self.numbers = numbers
        self.lock = threading.Lock()  # guards all attributes that threads change
        self.left: collections.deque[int] = collections.deque()  # members that are not begun
        self.running: dict[int, MLP] = {}
        self.stopping = False
        self.ended = threading.Event()  # set once no member is left or running
        self.error: tuple[int, BaseException] | None = None  # number and error of the first failure

    def run(self, n_threads: int) -> None:
        """Train all members; raise the first error, with the number of its member."""
        self.train(n_threads)
        if self.error is not None:
            number, error = self.error
            raise with_number(error, number)

    def train(self, n_threads: int) -> None:
        """Train all members, first those that the engine can train without Python.

        The first error of a member, or KeyboardInterrupt, ends the training after the steps in
        progress.
        """
        unattended = Unattended(self.members, self.fits, self.raises, self.progress)
        alone = [number for number in self.numbers if unattended.can_train(number)]
        unattended.train(alone, n_threads)
        self.error = unattended.error
        left = set(self.numbers) - set(alone)
        if left and self.error is None:
            self._run_threads([number for number in self.numbers if number in left], n_threads)

    def _run_threads(self, numbers: Sequence[int], n_threads: int) -> None:
        """Train members by threads that call `MLP.fit`."""
        self.left.extend(numbers)
        threads = [
            threading.Thread(target=self._train_those_left, name="fastnn-member")
            for _ in range(n_threads)
        ]
        try:
            for thread in threads:
                thread.start()
            while not self.ended.wait(_LOOK):
                self.progress.show()
        finally:  # after Ctrl-C, or an error in the progress, members may still be running
            despite_ctrl_c(self._end, threads)

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        """Stop the training, and wait until no thread changes a network; can be repeated."""
        self.stop()
        self.ended.wait()  # not only join: if a signal interrupts join, it takes a thread for dead
        for thread in threads:
            if thread.ident is not None:
                thread.join()

    def stop(self) -> None:
        """Stop the members in progress, and begin no further ones."""
        with self.lock:
            self.stopping = True
            self.left.clear()
            for net in self.running.values():
                net.stop_training = True
            self._note_end()

    def _note_end(self) -> None:
        if not self.left and not self.running:
            self.ended.set()

    def _train_those_left(self) -> None:
        while True:
            with self.lock:
                if not self.left:
                    return
                number = self.left.popleft()
                net = self.running[number] = self.members.nets[number]
            try:
                self._train(number, net)
            except BaseException as error:  # a callback may raise SystemExit or KeyboardInterrupt
                with self.lock:
                    self.error = self.error or (number, error)
                self.stop()
            finally:
                with self.lock:
                    del self.running[number]
                    self._note_end()

    def _train(self, number: int, net: MLP) -> None:
        state, fits = net._state, self.fits
        before: Snapshot = state.snapshot()
        options = self.members.options(number)
        if self.stopping:  # requested while the rows were prepared
            return
        callbacks: list[Callback] = options["callbacks"]
        watch = _Watch(self)
        options["callbacks"] = [*callbacks, watch]
        if state.classes is None:
            state.classes = self.members.classes_of(state)
        state.feature_names = state.feature_names or self.members.feature_names
        state.inputs_of_call = self.members.inputs  # the fit itself reads copies of some rows
        try:
            history = net.fit(n_threads=1, **options)
        except BaseException as error:
            if error is not watch.error:
                self._undo(state, before, watch.has_begun)
            if self.raises or error is not watch.error:
                raise
            fits.histories[number] = watch.history
            fits.statuses[number] = Status(DIVERGED, len(watch.history.epoch), str(error))
        else:
            ended = len(history.epoch) < self.members.epochs[number]
            if self.stopping and (ended or state.network.step - before.step < watch.steps):
                state.take(before)
                return
            fits.histories[number] = history
            fits.best_epochs[number] = _restored_epoch(callbacks)
            # Last, since a checkpoint may read statuses at any time and save what has ended.
            fits.statuses[number] = Status(STOPPED if ended else FINISHED, len(history.epoch))
        finally:
            state.inputs_of_call = ()
        self.progress.count(fits.statuses[number])

    def _undo(self, state: State, before: Snapshot, has_begun: bool) -> None:
        """Restore a network whose fit raised an error other than that of a divergence."""
        if has_begun:
            state.take(before)
        else:  # the fit was refused; another thread may be training the network
            state.classes, state.feature_names = before.classes, before.feature_names


class _Watch(Callback):
    """Watches the fit of a member, and ends it if the call is ending.

    It tells the error of a fit that diverges from errors that callbacks and metrics raise.
    """

    _is_internal = True
    error: FloatingPointError | None = None
    history: History  # of a fit that diverged

    def __init__(self, crew: Crew) -> None:
        self.crew, self.has_begun = crew, False
        self.steps = 0  # number of updates in all epochs

    def on_train_begin(self, logs: Logs) -> None:
        """End the fit at once if the crew was stopped before: the fit has reset that request."""
        self.has_begun, self.steps = True, self.params["steps"] * self.params["epochs"]
        if self.crew.stopping:
            self.model.stop_training = True

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """Keep the error, which `fit` raises next, and the history of the fit."""
        fit = self.model._state.fit
        assert fit is not None
        self.error, self.history = error, fit.history
        return False


def _restored_epoch(callbacks: list[Callback]) -> int | None:
    """Return the epoch whose weights the network has, if a callback restored one."""
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback.restore_best_weights:
            return callback.best_epoch
    return None
