"""The training of members, by the engine or by threads that call `MLP.fit`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fastnn.callbacks import Callback, EarlyStopping, History
from fastnn.many.outcomes import DIVERGED, FINISHED, STOPPED, Status, with_number
from fastnn.many.unattended import Unattended
from fastnn.training.state import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastnn.many.members import Members
    from fastnn.many.progress import Progress
    from fastnn.many.results import Fits
    from fastnn.mlp import MLP

#: Seconds between two checks for signals by the waiting thread.
_LOOK = 0.05


class Crew:
    """Threads that train the members `numbers` in this order; one thread trains a member."""

    def __init__(
        self, members: Members, fits: Fits, numbers: Sequence[int], raises: bool, progress: Progress
    ) -> None:
        self.members, self.fits, self.raises, self.progress = members, fits, raises, progress
        self.numbers = numbers
        self.left: Iterator[int] = iter(())
        self.lock = threading.Lock()  # guards all attributes that threads change
        self.running: dict[int, MLP] = {}
        self.stopping = False
        self.at_work = 0  # number of threads at work
        self.ended = threading.Event()  # set while no thread is at work
        self.ended.set()
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
        self.left = iter(numbers)
        threads = [
            threading.Thread(target=self._work, name="fastnn-member") for _ in range(n_threads)
        ]
        try:
            for thread in threads:
                self._start(thread)
            while not self.ended.wait(_LOOK):
                self.progress.show()
        except BaseException:
            self.stop()
            raise
        finally:  # not only join: if a signal interrupts it, join takes the thread for dead
            self.ended.wait()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _start(self, thread: threading.Thread) -> None:
        with self.lock:
            self.at_work += 1
            self.ended.clear()
        try:
            thread.start()
        except RuntimeError:  # the system has no room for another thread
            self._leave()
            raise

    def stop(self) -> None:
        """Stop the members in progress, and begin no further ones."""
        with self.lock:
            self.stopping = True
            for net in self.running.values():
                net.stop_training = True

    def _work(self) -> None:
        try:
            self._train_those_left()
        finally:
            self._leave()

    def _leave(self) -> None:
        with self.lock:
            self.at_work -= 1
            if self.at_work == 0:
                self.ended.set()

    def _train_those_left(self) -> None:
        while True:
            with self.lock:
                number = None if self.stopping else next(self.left, None)
                if number is None:
                    return
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

    def _train(self, number: int, net: MLP) -> None:
        state, fits = net._state, self.fits
        before: Snapshot = state.snapshot()
        options = self.members.options(number)
        callbacks: list[Callback] = options["callbacks"]
        kept, divergence = History(), _Divergence()  # for a member that diverges
        options["callbacks"] = [*callbacks, kept, divergence]
        if state.classes is None:
            state.classes = self.members.classes_of(state)
        state.feature_names = state.feature_names or self.members.feature_names
        state.inputs_of_call = self.members.inputs  # the fit itself reads copies of some rows
        try:
            history = net.fit(n_threads=1, **options)
        except KeyboardInterrupt:
            state.take(before)
            raise
        except BaseException as error:
            if error is not divergence.error and state.network.step == before.step:
                # The fit was refused.
                state.classes, state.feature_names = before.classes, before.feature_names
            if self.raises or error is not divergence.error:
                raise
            epochs = state.network.epoch - before.epoch
            fits.histories[number] = kept
            fits.statuses[number] = Status(DIVERGED, epochs, str(error))
        else:
            if self.stopping and len(history.epoch) < self.members.epochs[number]:
                state.take(before)
                return
            ended = len(history.epoch) < self.members.epochs[number]
            fits.histories[number] = history
            fits.best_epochs[number] = _restored_epoch(callbacks)
            # Last, since a checkpoint may read statuses at any time and save what has ended.
            fits.statuses[number] = Status(STOPPED if ended else FINISHED, len(history.epoch))
        finally:
            state.inputs_of_call = ()
        self.progress.count(fits.statuses[number])


class _Divergence(Callback):
    """Tells the error of a fit that diverges from errors that callbacks and metrics raise."""

    error: FloatingPointError | None = None

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """Keep the error, which `fit` raises next."""
        self.error = error
        return False


def _restored_epoch(callbacks: list[Callback]) -> int | None:
    """Return the epoch whose weights the network has, if a callback restored one."""
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback.restore_best_weights:
            return callback.best_epoch
    return None
