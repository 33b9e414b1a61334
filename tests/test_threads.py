"""Threads and processes: the same bits on any number of threads, and no side effects.

Here: fits and predictions on several threads, from several threads and in several processes, and
the state that the threads must not change. Not here: the pool alone (test_pool.py), what a step
computes (test_gradients.py, test_training.py).
"""

import contextlib
import ctypes
import inspect
import itertools
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from comparing import digest
from conditions import LONG, is_refused, until

from fastnn import MLP, Activate, Adam, Callback, Dense, Dropout, LayerNorm, reference
from fastnn.exchange import model_files
from fastnn.inspection import flops_of_a_row
from fastnn.training import loop

RNG = np.random.default_rng(0)
X = RNG.standard_normal((250, 70))
LABELS = RNG.integers(0, 5, 250)
BATCH = 100  # of the net below: 12 million operations a step, shared from 1 million on
FE_UPWARD = {"x86_64": 0x800, "aarch64": 0x400000, "arm64": 0x400000}  # fenv.h's

no_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
no_tasks = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="threads are counted in /proc, which isn't here"
)
# From Python 3.12 on fork warns where there are threads, ours or others: here that is the point.
may_fork = pytest.mark.filterwarnings(
    r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork:DeprecationWarning"
)


def classifier(n_threads=4, dtype="float32", seed=5):
    """Return a net whose steps are shared among threads, with every kind of layer product."""
    return MLP(
        70,
        [Dense(130, "relu", l2=1e-4), Dropout(0.2), Dense(90, "gelu"), Dense(2, "tanh"),
         Dense(5, "softmax")],
        loss="cross_entropy",
        optimizer="adam",
        dtype=dtype,
        seed=seed,
        n_threads=n_threads,
    )  # fmt: skip


def fitted(net, epochs=1, callbacks=()):
    """Fit, predict and evaluate; return the SHA-256 of all results."""
    history = net.fit(X, LABELS, batch_size=BATCH, epochs=epochs, callbacks=callbacks)
    losses = np.array([*history.history["loss"], net.evaluate(X, LABELS)])
    return digest([*net.get_weights(), net.predict(X), losses])


def workers():
    """Return the system's record of each of fastnn's threads in this process, a dict."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # some thread has just ended
            lines = (task / "status").read_text().splitlines()
            found.append(dict(line.split(":\t", 1) for line in lines))
    return [status for status in found if status["Name"] == "fastnn"]


# ---- same seed, same bits -----------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("dtype", "rows", "batch"),
    [("float32", 512, 1024), ("float64", 250, 500), ("float64", 250, 1500)],
)
def test_gradients_of_large_batches(dtype, rows, batch, n_threads):
    """Tiles of weights have another order if the inputs of a batch do not fit in a cache, and are
    computed in strips if a batch of float64 has many rows. Rows of weight 0 change no sum, so the
    other rows of the batch have the same gradients in the usual order."""
    X, labels = RNG.standard_normal((batch, 300)), RNG.integers(0, 5, batch)
    net = MLP(300, [Dense(90, "tanh", l2=1e-3), Dense(33, "tanh"), Dense(5, "softmax")],
              loss="cross_entropy", dtype=dtype, optimizer="adam", reduction="sum", seed=0,
              n_threads=n_threads)  # fmt: skip
    weight = np.repeat([1.0, 0.0], [rows, batch - rows])
    calls = (X, labels, weight), (X[:rows], labels[:rows])
    (_, found), (_, expected) = (net.loss_and_gradients(*call) for call in calls)
    twins = net, net.copy()
    for twin, call in zip(twins, calls, strict=True):
        twin.train_on_batch(*call)
    pairs = [(found, expected), [twin.get_weights() for twin in twins]]
    for one, other in itertools.chain.from_iterable(zip(*pair, strict=True) for pair in pairs):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_the_number_of_threads(dtype, isa):
    digests = {n: fitted(classifier(n, dtype), epochs=4) for n in (1, 2, 3, 4, 8)}
    assert len(set(digests.values())) == 1, digests


# Layers, options of the net, and rows in a batch. On two threads a round of up to 1024 rows has 80
# million operations for each, so there are several portions of 40 million.
LONG_STEPS = {
    "rows": ([Dense(200, "relu"), Dense(100, "tanh")], {"optimizer": "adam"}, 800),
    "columns": ([Dense(512, "relu"), Dense(300, "tanh")], {"optimizer": "adam"}, 130),
    "two rounds": ([Dense(200, "tanh"), Dense(100, "tanh")], {"optimizer": "nadam"}, 1800),
    "clipped": ([Dense(200, "relu"), Dense(100, "relu", l2=1e-4)],
                {"optimizer": Adam(global_clipnorm=0.1)}, 800),
    "normalized": ([Dense(200), LayerNorm(), Activate("relu"), Dropout(0.3), Dense(100, "relu")],
                   {"optimizer": "adam"}, 800),
    "bfloat16": ([Dense(200, "relu"), Dense(100, "relu")],
                 {"optimizer": "adam", "dtype": "mixed_bfloat16"}, 801),
    "zeros": ([Dense(300, "relu"), Dense(100, "relu")], {"optimizer": "adam"}, 800),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG_STEPS)
def test_bits_do_not_depend_on_which_thread_takes_a_portion(name):
    layers, options, batch = LONG_STEPS[name]
    rng = np.random.default_rng(1)
    rows, labels = rng.standard_normal((2 * batch, 160), dtype=np.float32), np.arange(2 * batch) % 5
    if name == "zeros":
        rows[rng.random(rows.shape) < 0.85] = 0

    def trained(n_threads):
        net = MLP(160, [*layers, Dense(5, "softmax")], loss="cross_entropy", seed=3,
                  n_threads=n_threads, **options)  # fmt: skip
        assert sum(flops_of_a_row(net).values()) * min(batch, 1024) >= 2 * 80e6
        history = net.fit(rows, labels, batch_size=batch, epochs=4, shuffle=name != "zeros")
        return digest([*net.get_weights(), np.array(history.history["loss"])])

    digests = {n: trained(n) for n in (1, 2, 3, 4)}
    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize("rows", [1000, 1500])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_gradients_of_inputs_that_do_not_fit_in_caches(rows, clip):
    """Tiles are trained in another order than with fewer rows, and threads in orders of their
    own."""
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((rows, 300), dtype=np.float32), rng.integers(0, 3, rows)
    found = {}
    for n in (1, 2, 3):
        layers = [Dense(75, "relu"), Dense(3, "softmax")]
        net = MLP(300, layers, loss="cross_entropy", optimizer=Adam(global_clipnorm=clip), seed=3,
                  n_threads=n)  # fmt: skip
        twin = reference.Network.like(net)
        net.train_on_batch(X, y)
        found[n] = digest(net.get_weights())
    twin.train_on_batch(X, y)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert len(set(found.values())) == 1, found


@no_tasks
def test_the_steps_of_these_fits_are_shared_among_threads():
    fitted(classifier(8))
    assert len(workers()) >= 7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_prediction_does_not_depend_on_its_batch(dtype, threads, isa):
    net = classifier(threads, dtype)
    net.fit(X, LABELS, batch_size=BATCH)
    rows = RNG.standard_normal((1000, 70))
    together = net.predict(rows)
    for n in (1, 2, 5, 6, 17, 97, 500):
        parts = [net.predict(rows[i : i + n]) for i in range(0, 1000, n)]
        assert np.concatenate(parts).tobytes() == together.tobytes()


# ---- processes ----------------------------------------------------------------------------------


def in_a_fork(work):
    """Return the string that `work` returns in a forked child, or '' if it hangs."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(LONG)
            result = work()
        except BaseException as error:
            result = repr(error)
        os.write(write, result.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result


@no_fork
@may_fork
def test_fit_fork_fit_a_hundred_times():
    net = classifier()
    for _ in range(100):
        net.fit(X, LABELS, batch_size=BATCH)
        assert in_a_fork(lambda: fitted(net)) == fitted(net.copy())


@no_fork
@no_tasks
@may_fork
def test_a_forked_child_has_threads_of_its_own():
    net = classifier()
    fitted(net)
    assert in_a_fork(lambda: f"{len(workers())} {fitted(net) and len(workers())}") == "0 3"


@no_fork
@may_fork
def test_fork_while_another_thread_fits():
    """The child has the pool in the middle of a task, without the threads that would finish it."""
    net, other, stop = classifier(), classifier(), threading.Event()
    expected = fitted(net.copy())
    rows, labels = np.tile(X, (20, 1)), np.tile(LABELS, 20)

    def fit_on():
        while not stop.is_set():
            other.fit(rows, labels, batch_size=BATCH)

    with ThreadPoolExecutor(1) as others:
        fitting = others.submit(fit_on)
        try:
            for _ in range(30):
                until(lambda: is_refused(other.get_weights))
                assert in_a_fork(lambda: fitted(net.copy())) == expected
        finally:
            stop.set()
        fitting.result(LONG)


@may_fork
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method):
    """The network is pickled for the child in the middle of its training."""
    net = classifier()
    fitted(net)
    with multiprocessing.get_context(method).Pool(2) as pool:
        calls = [pool.apply_async(fitted, (net,)) for _ in range(2)]
        assert {each.get(LONG) for each in calls} == {fitted(net)}


def test_joblib():
    joblib = pytest.importorskip("joblib")
    net = classifier()
    fitted(net)
    results = joblib.Parallel(2, backend="loky", timeout=LONG)([joblib.delayed(fitted)(net)] * 2)
    joblib.externals.loky.get_reusable_executor().shutdown()
    assert set(results) == {fitted(net)}


# ---- callers on several threads -----------------------------------------------------------------


def test_many_threads_predict_with_one_network():
    """Calls have 1 to 120 rows; from 24 rows on, a call is shared among threads."""
    net = classifier()
    rows = X.astype(np.float32)
    expected = net.predict(rows)
    together = threading.Barrier(32)

    def work(thread):
        together.wait(LONG)
        for i in range(1000):
            n = 1 + (thread + i * 37) % 120
            if net.predict(rows[:n]).tobytes() != expected[:n].tobytes():
                return f"call {i} with {n} rows"
        return None

    with ThreadPoolExecutor(32) as threads:
        assert not [wrong for wrong in threads.map(work, range(32)) if wrong]


def test_fits_of_different_networks_at_the_same_time():
    expected = [fitted(classifier(seed=seed), epochs=10) for seed in range(4)]
    together = threading.Barrier(4)

    def work(seed):
        net = classifier(seed=seed)
        together.wait(LONG)
        return fitted(net, epochs=10)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == expected


class Hold(Callback):
    """Keeps a fit from ending until `release` is set, and sets an event when it has begun."""

    def __init__(self):
        self.begun, self.release = threading.Event(), threading.Event()

    def on_train_begin(self, logs):
        self.begun.set()

    def on_train_end(self, logs):
        assert self.release.wait(LONG)


def test_a_second_fit_of_one_network_is_refused():
    """It is refused repeatedly while the first fit runs, which is not disturbed."""
    net, hold = classifier(), Hold()
    twin = net.copy()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(fitted, net, 20, [hold])
        try:
            assert hold.begun.wait(LONG)
            for _ in range(200):
                with pytest.raises(RuntimeError, match="being fitted already; wait, or fit a copy"):
                    net.fit(X, LABELS)
        finally:
            hold.release.set()
        assert first.result(LONG) == fitted(twin, 20)
    net.fit(X, LABELS)


def test_a_fit_is_refused_that_was_made_before_another_began():
    """The second fit has found the network idle and reads a file when the first one begins."""
    net, hold, reading = classifier(), Hold(), model_files.checkpoint
    with ThreadPoolExecutor(1) as threads, pytest.MonkeyPatch.context() as patch:
        calls, first = itertools.count(), []

        def read_slowly(*arguments):
            if next(calls) == 0:  # of the second fit; the first one reads without waiting
                first.append(threads.submit(fitted, net, 20, [hold]))
                assert hold.begun.wait(LONG)
            return reading(*arguments)

        patch.setattr(model_files, "checkpoint", read_slowly)
        try:
            with pytest.raises(RuntimeError, match="being fitted already; wait, or fit a copy"):
                net.fit(X, LABELS)
        finally:
            hold.release.set()
        assert first[0].result(LONG) == fitted(classifier(), 20)
    net.fit(X, LABELS)


class Interrupted(dict):
    """A dict in whose methods a signal handler raises an error, once they have done their work."""

    def setdefault(self, *arguments):
        super().setdefault(*arguments)
        raise KeyboardInterrupt

    def get(self, *arguments):
        super().get(*arguments)
        raise KeyboardInterrupt

    def pop(self, *arguments):
        super().pop(*arguments)
        raise KeyboardInterrupt


@pytest.mark.parametrize("callbacks", [(), (Callback(),)], ids=["short path", "hooks"])
def test_a_network_is_not_in_use_after_an_interrupt_at_the_edges_of_a_fit(callbacks):
    net = MLP(70, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    rows = X.astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_IN_PROGRESS", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            net.fit(rows, rows[:, :1], callbacks=callbacks)
        assert loop._IN_PROGRESS == {}
    net.freeze(0)  # raises an error during a fit
    net.unfreeze(0)
    net.fit(rows, rows[:, :1], callbacks=callbacks)


def test_weights_cannot_be_set_during_a_step():
    """Between steps they can be set, as callbacks do. The fit goes on until weights are refused; it
    begins again if it is refused itself, while weights are written."""

    class StopWhenRefused(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = refused.is_set()

    net, refused = classifier(), threading.Event()
    weights = net.get_weights()
    with ThreadPoolExecutor(1) as threads:
        options = {"epochs": 10**9, "callbacks": [StopWhenRefused()]}
        first = threads.submit(until, lambda: not is_refused(lambda: net.fit(X, LABELS, **options)))
        try:
            until(lambda: is_refused(lambda: net.set_weights(weights)))
        finally:
            refused.set()
        first.result(LONG)
    assert not is_refused(lambda: net.set_weights(weights))


def test_a_state_is_not_restored_during_a_step_not_even_in_part():
    X = np.random.default_rng(0).normal(size=(20_000, 64)).astype("f4")
    net = MLP(64, [Dense(128, "relu"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    state, snapshots = net._state, [net._state.snapshot()]
    net.learning_rate = 0.5
    snapshots.append(state.snapshot())
    done, turns = threading.Event(), itertools.cycle(snapshots)

    def train():
        while not done.is_set():
            with contextlib.suppress(RuntimeError):
                net.train_on_batch(X, X[:, 0])

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(train)
        try:
            until(lambda: is_refused(lambda: state.take(next(turns))))
        finally:
            done.set()
        other.result(LONG)
    assert net.learning_rate == state.network.rate


def test_of_many_concurrent_fits_of_a_network_one_succeeds():
    net, hold = classifier(), Hold()
    together, refused = threading.Barrier(8), []

    def work(_):
        together.wait(LONG)
        try:
            return fitted(net, 3, [hold])
        except RuntimeError as error:
            refused.append(str(error))
            if len(refused) == 7:
                hold.release.set()
            return None

    with ThreadPoolExecutor(8) as threads:
        (done,) = filter(None, threads.map(work, range(8)))
    assert len(refused) == 7
    assert done == fitted(classifier(), 3)


@pytest.fixture
def progress():
    """A function that tells whether another Python thread makes progress while `work` runs.

    No thread is ever asked to give up the GIL, so the other thread gets it only where `work`
    releases it. `work` is repeated until that happens, or `times` times.
    """
    interval, turns, stop = sys.getswitchinterval(), [0], threading.Event()

    def take_turns():
        while not stop.is_set():
            turns[0] += 1
            time.sleep(1e-5)

    def makes_progress(work, times=None):
        end = time.monotonic() + LONG
        for _ in itertools.count() if times is None else range(times):
            before = turns[0]
            work()
            if turns[0] > before:
                return True
            if time.monotonic() > end:
                break
        return False

    other = threading.Thread(target=take_turns)
    sys.setswitchinterval(1e6)  # before the start: a wait for the GIL keeps its first interval
    other.start()
    yield makes_progress
    sys.setswitchinterval(interval)
    stop.set()
    other.join()


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL to keep"
)
def test_the_fixture_progress_detects_work_that_keeps_the_gil(progress):
    assert not progress(lambda: sum(range(100_000)), times=20)
    assert progress(lambda: time.sleep(0.001))


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("what", ["fit", "predict", "evaluate", "loss_and_gradients"])
def test_the_gil_is_released(progress, what, threads):
    """The calls of the kernels are measured, since NumPy may release the GIL as well."""
    network = classifier()._network
    rows, labels = np.tile(X, (20, 1)).astype(np.float32), np.tile(LABELS, 20)
    out = np.empty((len(rows), 5), np.float32)
    call = {
        "fit": lambda: network.train(
            rows, None, labels, None, None, BATCH, threads, network.tally(), 0, len(rows)
        ),
        "predict": lambda: network.predict(rows, out, threads),
        "evaluate": lambda: network.evaluate(rows, None, labels, None, threads, network.tally()),
        "loss_and_gradients": lambda: network.gradients(rows, None, labels, None, True, threads),
    }[what]
    call()
    assert progress(call)


# ---- what is left as it was ---------------------------------------------------------------------


def floating_point_state():
    """Return the rounding, whether subnormals live and, where we know its place, MXCSR."""
    libm = ctypes.CDLL(None)
    small = np.array([1e-39], np.float32), np.array([1e-309])
    state = [libm.fegetround(), *(bool((x * x.dtype.type(0.5) > 0).all()) for x in small)]
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        environment = (ctypes.c_uint32 * 8)()  # x87's seven words, then MXCSR
        libm.fegetenv(environment)
        state.append(environment[7] & ~63)  # without the flags that operations raise
    return state


def test_importing_leaves_the_floating_point_state_alone():
    code = "import ctypes, platform, sys; import numpy as np\n"
    code += inspect.getsource(floating_point_state)
    code += "before = floating_point_state(); import fastnn; print(before, floating_point_state())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    state = str(floating_point_state())
    assert done.stdout == f"{state} {state}\n"
    assert "False" not in state


@pytest.mark.parametrize("threads", [1, 4])
def test_fitting_leaves_the_floating_point_state_alone(threads, isa):
    before = floating_point_state()
    fitted(classifier(threads))
    assert floating_point_state() == before


@pytest.mark.skipif(platform.machine() not in FE_UPWARD, reason="FE_UPWARD's value isn't known")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such timers")
def test_a_signal_handler_finds_the_floating_point_state_alone():
    """Also within a step of more than 4e9 operations, which checks for signals while it treats
    subnormal numbers as zero."""
    net = MLP(70, [Dense(300, "relu"), Dense(5, "softmax")], loss="cross_entropy",
              optimizer="adam", seed=0)  # fmt: skip
    rows, labels = np.tile(X, (160, 1)).astype(np.float32), np.tile(LABELS, 160)
    before, found = floating_point_state(), []
    old = signal.signal(signal.SIGALRM, lambda *_: found.append(floating_point_state()))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        net.fit(rows, labels, batch_size=len(rows), epochs=2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert found
    assert all(state == before for state in found)


def test_workers_adopt_the_callers_rounding():
    """The threads were created with another rounding mode; that of the caller does not change."""
    libm, up = ctypes.CDLL(None), FE_UPWARD[platform.machine()]
    to_nearest, usual = fitted(classifier()), libm.fegetround()
    try:
        assert libm.fesetround(up) == 0
        upward = [fitted(classifier(n)) for n in (1, 2, 4)]
        assert libm.fegetround() == up
    finally:
        libm.fesetround(usual)
    assert len(set(upward)) == 1
    assert upward[0] != to_nearest
    assert fitted(classifier()) == to_nearest


@no_tasks
@pytest.mark.parametrize("threads", [2, 4])
def test_idle_workers_sleep_until_they_are_wanted(threads):
    """The system counts how often a thread sleeps: a spinning thread never does."""
    fitted(classifier(threads))

    def naps():
        return [{name: status[name] for name in ("Pid", "State", "voluntary_ctxt_switches")}
                for status in workers()]  # fmt: skip

    def all_slept():
        before = naps()
        time.sleep(0.1)
        return naps() == before and all(nap["State"].startswith("S") for nap in before)

    until(all_slept)
    assert len(naps()) >= threads - 1


@no_tasks
def test_the_number_of_worker_threads_does_not_grow():
    fitted(classifier(4))
    before = len(workers())
    for n in (1, 2, 3, 4) * 15:
        fitted(classifier(n))
    assert len(workers()) == before


SUBINTERPRETER = """
import fastnn
try:
    import _interpreters as interpreters
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string
code = "import warnings; warnings.simplefilter('ignore'); import fastnn"
try:
    print(run(interpreters.create(), code))
except Exception as error:
    print(error)
net = fastnn.MLP(1, [fastnn.Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
net.fit([[1.0]], [1.0])
print("goes on")
"""


def test_a_second_interpreter_is_refused_and_the_first_still_works():
    done = subprocess.run([sys.executable, "-c", SUBINTERPRETER], capture_output=True, text=True)
    if "subprocess not supported" in done.stdout:
        pytest.skip("an editable build starts a compiler, which a second interpreter may not")
    _, _, message = done.stdout.partition("ImportError")  # NumPy's, or ours
    assert "interpreter" in message or "more than once per process" in message
    assert done.stdout.endswith("goes on\n")
