"""Forks during a fit: in a hook, a signal handler, an iterable, or while another thread fits.

The child has only the thread that forked. Its fit continues with the bits of the parent, or raises
an error if it needs a thread that only the parent has; it never waits for such a thread. The fit of
the parent continues undisturbed. Forks between fits are in test_threads.py.
"""

import os
import pickle
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from comparing import sha256
from conditions import LONG, is_refused, until

from fastnn import MLP, Adam, Callback, Dense, Embedding, ScheduleFreeAdamW
from fastnn.training import rows

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    # From Python 3.12 on fork warns where there are threads: here that is the point.
    pytest.mark.filterwarnings(
        r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork:DeprecationWarning"
    ),
]

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((240, 30)).astype("f4"), RNG.standard_normal((240, 2)).astype("f4")
LOST = "this process was forked while a thread of its parent was reading the iterable"


def network(n_threads=1):
    return MLP(30, [Dense(40, "tanh"), Dense(2)], loss="squared_error", optimizer="adam", seed=0,
               n_threads=n_threads)  # fmt: skip


class Family:
    """Forks once; collects the result of the child, and ends it."""

    def __init__(self):
        self.parent, self.pipe = os.getpid(), None

    def fork(self):
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(read)
            self.pipe = write
            signal.alarm(LONG)  # a child that hangs ends, and has sent nothing
        else:
            os.close(write)
            self.pipe = read

    def results(self, work):
        """Return what `work` returned in the parent and in the child, or the errors raised."""
        try:
            found = work()
        except BaseException as error:
            found = error
        if os.getpid() != self.parent:
            try:
                os.write(self.pipe, pickle.dumps(found))
            finally:
                os._exit(0)
        with os.fdopen(self.pipe, "rb") as pipe:
            sent = pipe.read()
        os.wait()
        assert sent, "the child hangs"
        return found, pickle.loads(sent)


class ForkAt(Callback):
    """Forks in a hook of batch 3 of the second epoch."""

    def __init__(self, hook, family):
        self.epoch, self.family = 0, family
        self.__class__ = type("ForkAt", (ForkAt,), {hook: ForkAt._fork})
        self.at = (1, 3) if hook.startswith("on_train_batch") else None
        self.done = False

    def on_epoch_begin(self, epoch, logs):
        self.epoch = epoch

    def _fork(self, number, logs):
        if not self.done and self.at in (None, (self.epoch, number)):
            self.done = True
            self.family.fork()


def mapped(path):
    np.save(path, X)
    return np.load(path, mmap_mode="r")


SOURCES = {
    "in memory": lambda path: X,
    "mapped": lambda path: mapped(path / "X.npy"),
    "sparse": lambda path: scipy.sparse.csr_array(X),
    "narrow": lambda path: (X * 10).astype("i1"),
}


@pytest.mark.parametrize(
    "hook", ["on_train_batch_begin", "on_train_batch_end", "on_epoch_end", "on_progress"]
)
@pytest.mark.parametrize("source", SOURCES)
def test_rows_that_fastnn_converts_go_on_in_the_child(source, hook, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LARGE_BYTES", 100)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 30 * 4 * 20)
    data, family, twin, net = SOURCES[source](tmp_path), Family(), network(), network()
    options = {"batch_size": 10, "epochs": 3, "validation_data": (data, Y)}

    def work():
        net.fit(data, Y, callbacks=[ForkAt(hook, family)], **options)
        return sha256(net), net.predict(data).tobytes()

    parent, child = family.results(work)
    twin.fit(data, Y, callbacks=[Callback()], **options)
    expected = sha256(twin), twin.predict(data).tobytes()
    assert parent == expected
    assert child == expected


@pytest.mark.parametrize("kind", ["postponed updates", "averaged by the optimizer"])
def test_a_child_can_use_a_network_that_a_lost_thread_was_training(kind):
    """The lost thread's run, and the exchange of weights and average, mean nothing in the child."""
    n, table = 4000, Embedding([9000], 16, columns=[0])
    rows = np.column_stack([RNG.integers(0, 9000, n), RNG.standard_normal(n)])
    y, is_postponed = RNG.standard_normal((n, 1)), kind == "postponed updates"
    first = [table] if is_postponed else []
    net = MLP(2, [*first, Dense(32, "relu"), Dense(1)], loss="squared_error", seed=0, n_threads=1,
              optimizer=Adam(0.001) if is_postponed else ScheduleFreeAdamW(0.01))  # fmt: skip
    half = [np.full_like(w, 0.5) for w in net.get_weights()]
    for _ in range(5):
        family, options = Family(), {"batch_size": 16, "epochs": 2000}
        thread = threading.Thread(target=net.fit, args=(rows, y), kwargs=options)
        step = net.step
        thread.start()
        until(lambda step=step: net.step > step + 50)

        def work(family=family, thread=thread):
            family.fork()
            if os.getpid() == family.parent:
                net.stop_training = True
                thread.join()
                return None
            found = [np.isfinite(w).all() for w in net.get_weights()]
            net.set_weights(half)
            return found, [(w == 0.5).all() for w in net.get_weights()]

        _, child = family.results(work)
        assert child == ([True] * len(half),) * 2, child


@pytest.mark.parametrize("form", ["list", "generator", "slow generator"])
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_batches_go_on_in_the_parent_and_are_an_error_in_the_child(form, hook):
    """The process forks while the slow generator is producing an item."""
    family, net, twin, forked = Family(), network(), network(), threading.Event()
    batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 240, 10)]

    class Release(Callback):
        def on_train_batch_end(self, batch, logs):
            if family.pipe is not None:
                forked.set()

    def generated():
        for i, batch in enumerate(batches * 2):
            if form == "slow generator" and i == 24 + 5:
                assert forked.wait(LONG)
            yield batch

    def work():
        data = batches if form == "list" else generated()
        try:
            net.fit(data, epochs=2, steps_per_epoch=24, callbacks=[ForkAt(hook, family), Release()])
        finally:
            assert net.fit(X, Y).epoch == [0]  # whatever happened, it is usable
        return sha256(net)

    parent, child = family.results(work)
    twin.fit(batches, epochs=2)
    twin.fit(X, Y)
    assert parent == sha256(twin)
    assert isinstance(child, RuntimeError)
    assert str(child).startswith(LOST)


def test_a_child_is_told_that_it_cannot_read_an_iterator_of_its_parent():
    family, net = Family(), network()
    waits, goes_on = threading.Event(), threading.Event()

    def batches():
        yield X, Y
        waits.set()
        assert goes_on.wait(LONG)
        yield X, Y

    items = batches()

    def work():
        assert waits.wait(LONG)
        family.fork()
        if os.getpid() == family.parent:
            goes_on.set()
            return reading.result(LONG).history
        return network().fit(items)

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(net.fit, items)
        parent, child = family.results(work)
    assert len(parent["loss"]) == 1
    assert str(child).startswith(LOST)


def test_a_network_that_another_thread_was_fitting_is_free_in_the_child():
    """The other thread is in a step, which refuses new weights, or between steps."""
    net, stop = network(), threading.Event()
    large = np.tile(X, (40, 1)), np.tile(Y, (40, 1))

    class Stop(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = stop.is_set()

    with ThreadPoolExecutor(1) as threads:
        fitting = threads.submit(net.fit, *large, epochs=10**9, callbacks=[Stop()])
        try:
            until(lambda: net._state.fit is not None)
            for is_in_step in (True, False) * 4:
                family = Family()

                def work(is_in_step=is_in_step, family=family):
                    if is_in_step:
                        until(lambda: is_refused(net.get_weights))
                    family.fork()
                    if os.getpid() == family.parent:
                        return None
                    net.learning_rate = 1e-4
                    net.fit(X, Y, callbacks=[Callback()])
                    net.train_on_batch(X, Y)
                    return bool(np.isfinite(net.predict(X)).all())

                assert family.results(work) == (None, True)
        finally:
            stop.set()
        fitting.result(LONG)


def test_a_network_whose_fit_forked_is_still_in_the_fit_in_the_child():
    family, net = Family(), network()

    class Fork(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 0:
                family.fork()
                with pytest.raises(RuntimeError, match="is being fitted already"):
                    self.model.fit(X, Y)
                with (
                    ThreadPoolExecutor(1) as threads,
                    pytest.raises(RuntimeError, match="is being fitted already"),
                ):
                    threads.submit(self.model.fit, X, Y).result(LONG)

    def work():
        net.fit(X, Y, epochs=3, callbacks=[Fork()])
        return sha256(net)

    parent, child = family.results(work)
    assert parent == child


class UntilForked(Callback):
    """Stops a fit after the epoch in which the process forked."""

    def __init__(self, family):
        self.family = family

    def on_epoch_end(self, epoch, logs):
        self.model.stop_training = self.family.pipe is not None


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("long_step", [False, True])
def test_a_handler_of_a_signal_may_fork(long_step, n_threads):
    """The child continues after a fork between two slices, but not within a shared step."""
    family = Family()
    net = MLP(300, [Dense(500, "relu"), Dense(500, "relu"), Dense(2)], loss="squared_error",
              optimizer="sgd", seed=0, n_threads=n_threads)  # fmt: skip
    twin = net.copy()
    n = 6_000 if long_step else 2_000
    many, y = np.ones((n, 300), "f4"), np.ones((n, 2), "f4")
    options = {"batch_size": None if long_step else 10}

    def handle(*_):
        if family.pipe is None:
            family.fork()

    def send_during_a_step():
        until(lambda: is_refused(net.get_weights))
        os.kill(os.getpid(), signal.SIGUSR1)

    def work():
        net.fit(many, y, epochs=1000, callbacks=[UntilForked(family)], **options)
        return sha256(net), net.epoch

    before = signal.signal(signal.SIGUSR1, handle)
    sender = threading.Thread(target=send_during_a_step)
    sender.start()
    try:
        parent, child = family.results(work)
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    weights, epochs = parent
    twin.fit(many, y, epochs=epochs, **options)
    assert weights == sha256(twin)
    assert child == parent or "forked this process during a training step" in str(child)
