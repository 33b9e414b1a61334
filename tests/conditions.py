"""Conditions that tests force, so that no result depends on the speed or the load of the machine.

Here: the limit for tests that hang, waiting for a condition, callbacks that interrupt a training at
a known moment, and events that are counted instead of timed (checks for signals, lines of Python).
Not here: the clock that tests set (a fixture of conftest.py).
"""

import _thread
import ctypes
import itertools
import os
import signal
import sys
import time

from fastnn import Callback

#: Seconds after which a test that hangs fails. A passing test takes a small fraction of this on a
#: busy machine, and still less than all of it under emulation, which is 20 times slower.
LONG = 600

#: Whether the tests run in the user emulation of tests/arm64.py, whose own memory is that of the
#: process, too.
EMULATED = "QEMU_CPU" in os.environ


def until(condition):
    """Wait until `condition()` is true and return its value; fail after LONG seconds."""
    end = time.monotonic() + LONG
    while not (found := condition()):
        assert time.monotonic() < end, f"{condition} is not met"
        time.sleep(0.001)
    return found


def is_refused(call):
    """Return whether a network refuses a call because another thread is in the middle of a step."""
    try:
        call()
    except RuntimeError as error:
        assert "being trained in another thread; wait" in str(error)  # noqa: PT017
        return True
    return False


class EachBatch(Callback):
    """Makes a fit return to Python after each batch."""

    def on_train_batch_end(self, batch, logs):
        pass


class Interrupting(Callback):
    """Sends Ctrl-C in the second epoch, and returns when the call has told the network to stop."""

    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            _thread.interrupt_main()
            while not self.model.stop_training:
                time.sleep(0.001)


class SignalChecks:
    """Counts the work done between two checks for signals: `with SignalChecks(progress): work()`.

    A signal is pending all the time because its handler raises it again. So Python calls the
    handler wherever the library checks for signals, and `seen` records what `progress()` returned
    at each check. At the first check where `interrupt_at(progress)` is true, the handler raises
    SIGINT instead, and the next check must turn it into KeyboardInterrupt. No clock and no second
    thread are involved.

    The handler is the C function `raise`: a handler in Python would be interrupted by the signal
    that it raises itself. `progress` is called while ctypes converts the argument of `raise`.
    """

    def __init__(self, progress, interrupt_at=lambda progress: False):
        self.progress, self.interrupt_at = progress, interrupt_at
        self.seen, self.next = [], signal.SIGUSR1

    def from_param(self, signum):
        """Convert the argument of `raise`: return the number of the next signal, 0 for none."""
        if self.next == signal.SIGUSR1:
            self.seen.append(self.progress())
            if self.interrupt_at(self.seen[-1]):
                self.next = signal.SIGINT
            return ctypes.c_int(self.next)
        return ctypes.c_int(0)

    def __enter__(self):
        raise_again = ctypes.CDLL(None)["raise"]
        raise_again.argtypes = [self, ctypes.py_object]
        self.before = signal.signal(signal.SIGUSR1, raise_again)
        signal.raise_signal(signal.SIGUSR1)
        return self

    def __exit__(self, *_):
        self.next = 0
        signal.signal(signal.SIGUSR1, self.before)


def call_at(n, act, work, files=(), counts=lambda: True):
    """Run `work` and call `act` at its n-th moment: before a line of Python, in `files` an opcode.

    Only moments while `counts()` is true are counted. Like a signal's handler, `act` may raise.
    """
    count = itertools.count(1)

    def trace(frame, event, _):
        frame.f_trace_opcodes = is_fine = frame.f_code.co_filename in files
        if event == ("opcode" if is_fine else "line") and counts() and next(count) == n:
            act()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
