"""Concurrent calls of one network and of several: correct with the GIL and without.

On a build of Python without the GIL, Python code runs on all threads at the same time, too, so
these tests find more there (`make free-threaded`). Not here: the pool of threads, forks, and what
threads must leave alone (test_threads.py); calls from C (test_embedding.py).
"""

import hashlib
import os
import pickle
import subprocess
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conditions import LONG, is_refused, until

import fastnn
from fastnn import (
    MLP,
    Callback,
    CustomLoss,
    Dense,
    LayerNorm,
    PiecewiseConstantDecay,
    Residual,
)
from fastnn.training import streams

RNG = np.random.default_rng(0)
X = RNG.standard_normal((240, 16)).astype(np.float32)
Y = np.tanh(X @ RNG.standard_normal((16, 3))).astype(np.float32)
BATCH = 24  # ten steps an epoch

free_threaded = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this build of Python has a GIL"
)


def squares(y, outputs):
    return ((outputs - y) ** 2).sum(1) / 2, outputs - y


NETWORKS = {
    "usual": ([Dense(40, "relu"), Dense(3)], {}),
    "wide": ([Dense(700, "relu"), Dense(3)], {}),  # a team of threads from a batch of some rows on
    "tiny": ([Dense(4, "tanh"), Dense(3)], {}),
    "residual": ([Residual([LayerNorm(), Dense(16, "gelu")]), Dense(3)], {}),
    "averaged": ([Dense(40, "tanh"), Dense(3)], {"use_ema": True}),
}


def network(name="usual", **options):
    layers, of_optimizer = NETWORKS[name]
    rest = {"loss": "squared_error", "seed": 3, "n_threads": 2} | options
    return MLP(16, layers, optimizer=fastnn.Adam(1e-3, **of_optimizer), **rest)


def digest(net):
    """Return the SHA-256 of weights, moments and averages."""
    blocks = net._state.snapshot().blocks
    return hashlib.sha256(b"".join(a.tobytes() for block in blocks for a in block)).hexdigest()


def at_once(*works):
    """Run functions on a thread each, all begun together; return what they return."""
    together = threading.Barrier(len(works))

    def run(work):
        together.wait(LONG)
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return [each.result(LONG) for each in [threads.submit(run, work) for work in works]]


def until_set(stop, work):
    """Return a function that calls `work` until an event is set, at least once."""

    def run():
        work()
        while not stop.is_set():
            work()

    return run


def and_then(work, stop):
    """Return a function that calls `work`, and sets an event whatever happens."""

    def run():
        try:
            return work()
        finally:
            stop.set()

    return run


# ---- predictions --------------------------------------------------------------------------------


def wrong_predictions(net, n_calls, n_threads):
    """Return how many of so many predictions of a row differ from those of one thread."""
    rows = [row[None] for row in X]
    expected = [net.predict(row).tobytes() for row in rows]

    def work(first):
        wrong, out = 0, np.empty((1, net.n_out), np.float32)
        for i in range(first, n_calls, n_threads):
            at = i % len(rows)
            found = net.predict(rows[at], out=out) if i % 3 else net.predict(rows[at])
            wrong += found.tobytes() != expected[at]
        return wrong

    return sum(at_once(*(lambda first=first: work(first) for first in range(n_threads))))


@pytest.mark.parametrize("name", NETWORKS)
def test_concurrent_predictions_of_rows_are_those_of_one_thread(name):
    assert wrong_predictions(network(name), 4000, 4) == 0


@pytest.mark.slow
def test_ten_million_concurrent_predictions_are_those_of_one_thread():
    assert wrong_predictions(network(), 10_000_000, 4) == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_concurrent_calls_of_all_kinds_are_those_of_one_thread(name):
    """None of them changes the network: predictions, losses, gradients, copies of weights."""
    net = network(name)
    net.fit(X, Y, batch_size=BATCH)

    def results():
        parts = [
            net.predict(X), net.predict(X[:5].tolist()), net.evaluate(X, Y), net.jacobian(X[:3]),
            *net.activations(X[:7]), *net.loss_and_gradients(X[:9], Y[:9], flat=True),
            net.per_sample_gradients(X[:9], Y[:9], flat=True), net.get_flat_weights(),
        ]  # fmt: skip
        twins = net.copy(), pickle.loads(pickle.dumps(net))
        return [np.asarray(part).tobytes() for part in parts] + [digest(twin) for twin in twins]

    expected = results()
    found = at_once(*[lambda: [results() for _ in range(5)]] * 4)
    assert found == [[expected] * 5] * 4


# ---- fits and predictions -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_fits_and_predictions_of_different_networks(name):
    twin, other = network(name), network(name, seed=4)
    expected, seen, stop = other.predict(X).tobytes(), set(), threading.Event()
    twin.fit(X, Y, batch_size=BATCH, epochs=20)

    def fit():
        net = network(name)
        net.fit(X, Y, batch_size=BATCH, epochs=20)
        return digest(net)

    def predict():
        seen.add(other.predict(X).tobytes())

    both = at_once(*[and_then(fit, stop)] * 2, until_set(stop, predict))
    assert both[:2] == [digest(twin)] * 2
    assert seen == {expected}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fit_is_not_disturbed_by_predictions_of_its_network(name):
    """Predictions may mix weights of two updates, but they are finite numbers."""
    twin, net, stop = network(name), network(name), threading.Event()
    twin.fit(X, Y, batch_size=BATCH, epochs=30)

    def ask():
        assert np.isfinite(net.predict(X)).all()
        assert np.isfinite(net.predict(X[:1])).all()
        assert net.learning_rate == 1e-3
        assert 0 <= net.step <= 300

    fit = and_then(lambda: net.fit(X, Y, batch_size=BATCH, epochs=30), stop)
    at_once(fit, *[until_set(stop, ask)] * 3)
    assert digest(net) == digest(twin)


# ---- changes of one network ---------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", CustomLoss(squares)], ids=["kernels", "own"])
def test_concurrent_steps_are_made_whole_or_refused(loss):
    """All threads have the same batch, so the weights are those of as many steps of one thread."""
    net, twin = network(loss=loss), network(loss=loss)

    def work():
        return sum(not is_refused(lambda: net.train_on_batch(X, Y)) for _ in range(60))

    made = at_once(*[work] * 4)
    assert net.step == sum(made)
    for _ in range(net.step):
        twin.train_on_batch(X, Y)
    assert digest(net) == digest(twin)


def test_of_two_concurrent_steps_one_is_told_that_the_network_is_busy():
    """The second one is made while the first one is in the loss function."""
    inside, refused = threading.Event(), threading.Event()

    def slow(y, outputs):
        inside.set()
        assert refused.wait(LONG)
        return squares(y, outputs)

    net = network(loss=CustomLoss(slow))

    def second():
        assert inside.wait(LONG)
        assert is_refused(lambda: net.train_on_batch(X, Y))
        refused.set()

    at_once(lambda: net.train_on_batch(X, Y), second)
    assert net.step == 1


def test_weights_are_read_whole_or_refused_while_others_set_them():
    net, stop = network("wide"), threading.Event()
    shapes = [w.shape for w in net.get_weights()]
    net.set_weights([np.full(shape, 0.0) for shape in shapes])
    seen = set()

    def write(value):
        weights = [np.full(shape, value) for shape in shapes]
        for _ in range(300):
            is_refused(lambda: net.set_weights(weights))

    def read():
        is_refused(lambda: seen.add(tuple(np.unique(net.get_flat_weights()))))
        is_refused(lambda: seen.add(tuple(np.unique(np.concatenate(net.get_weights(), None)))))
        is_refused(lambda: seen.add(tuple(np.unique(net.copy().get_flat_weights()))))

    at_once(and_then(lambda: write(1.0), stop), lambda: write(2.0), *[until_set(stop, read)] * 2)
    read()
    assert seen <= {(0.0,), (1.0,), (2.0,)}


def test_copies_during_a_fit_are_of_one_moment_or_refused(tmp_path):
    """A copy, a pickle and a file of the network at its n-th step have all that this step left."""
    digests, net, seen, stop = {}, network("averaged"), [], threading.Event()

    class Note(Callback):
        def on_train_batch_end(self, batch, logs):
            digests[self.model.step] = digest(self.model)

    network("averaged").fit(X, Y, batch_size=BATCH, epochs=20, callbacks=[Note()])

    class Wait(Callback):
        """Lets the copies come between two steps, and before the fit ends."""

        def on_train_batch_end(self, batch, logs):
            if self.model.step in (50, 150):
                before = len(seen)
                until(lambda: len(seen) > before or stop.is_set())

    def saved(i):
        path = tmp_path / f"{i}.safetensors"
        net.save(path)
        return fastnn.load(path)

    def copy(i):
        for make in (net.copy, lambda: pickle.loads(pickle.dumps(net)), lambda: saved(i)):
            is_refused(lambda make=make: compare(make()))

    def compare(twin):
        assert digest(twin) == digests[twin.step]
        seen.append(twin.step)

    digests[0] = digest(net)
    fit = and_then(lambda: net.fit(X, Y, batch_size=BATCH, epochs=20, callbacks=[Wait()]), stop)
    at_once(fit, *(until_set(stop, lambda i=i: copy(i)) for i in range(2)))
    assert digest(net) == digests[200]
    assert seen


def test_reading_weights_during_a_step_is_refused():
    """The fit continues until every way of reading weights has been refused."""
    net, refused = network("wide"), threading.Event()

    class StopWhenRefused(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = refused.is_set()

    def ask():
        for read in (net.get_weights, net.get_flat_weights, net.copy, lambda: pickle.dumps(net)):
            until(lambda read=read: is_refused(read))

    fit = lambda: net.fit(X, Y, epochs=10**9, callbacks=[StopWhenRefused()])  # noqa: E731
    at_once(fit, and_then(ask, refused))
    assert not is_refused(net.get_weights)


def test_readers_refuse_neither_each_other_nor_a_step():
    net, twin, stop = network("wide"), network("wide"), threading.Event()

    def train():
        for _ in range(100):
            net.train_on_batch(X, Y)

    read = until_set(stop, lambda: is_refused(net.get_weights))
    at_once(and_then(train, stop), *[read] * 3)
    for _ in range(100):
        twin.train_on_batch(X, Y)
    assert digest(net) == digest(twin)
    at_once(*[lambda: [net.get_weights() and net.copy() for _ in range(50)]] * 4)


def test_schedules_are_replaced_while_others_read_the_rate():
    net, stop = network(), threading.Event()
    rates = [np.linspace(1, 2, n + 1) * n for n in (1, 50, 500)]
    schedules = [PiecewiseConstantDecay(range(1, len(r)), r.tolist()) for r in rates]
    net.learning_rate = schedules[0]

    def change():
        for i in range(600):
            is_refused(lambda i=i: setattr(net, "learning_rate", schedules[i % 3]))

    def read():
        assert net.learning_rate in {1.0, 50.0, 500.0}

    at_once(and_then(change, stop), change, *[until_set(stop, read)] * 2)


def test_members_of_fit_many_are_refused_to_readers_and_trained_as_alone():
    nets, twins = ([network(seed=seed) for seed in range(6)] for _ in range(2))
    stop = threading.Event()
    for twin in twins:
        twin.fit(X, Y, batch_size=BATCH, epochs=20)

    def read():
        for net in nets:
            is_refused(net.copy)
            assert np.isfinite(net.predict(X[:1])).all()

    def fit():
        return fastnn.fit_many(nets, X, Y, batch_size=BATCH, epochs=20, n_threads=2)

    at_once(and_then(fit, stop), *[until_set(stop, read)] * 2)
    assert list(map(digest, nets)) == list(map(digest, twins))


def test_orders_of_rows_are_drawn_once_although_others_copy_the_network():
    """The generator of orders is made when it is first asked for, by any thread."""
    twin = network()
    twin.fit(X, Y, batch_size=BATCH)
    twin.fit(X, Y, batch_size=BATCH)
    for _ in range(30):
        net = network()
        ask = [lambda net=net: is_refused(net.copy)] * 3
        at_once(lambda net=net: net.fit(X, Y, batch_size=BATCH), *ask)
        net.fit(X, Y, batch_size=BATCH)
        assert digest(net) == digest(twin)


# ---- what all threads of the process share ------------------------------------------------------


def test_threads_that_ask_for_the_stream_of_an_iterator_get_one():
    for _ in range(200):
        iterator = iter([])
        found = at_once(*[lambda iterator=iterator: streams.of(iterator)] * 4)
        assert len(set(map(id, found))) == 1
        streams._STREAMS.pop(id(iterator))


def test_concurrent_saves_to_one_file_leave_a_whole_one(tmp_path):
    path, nets = tmp_path / "net.safetensors", [network(seed=seed) for seed in range(4)]
    at_once(*(lambda net=net: [net.save(path) for _ in range(10)] for net in nets))
    assert digest(fastnn.load(path)) in {digest(net) for net in nets}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


FIRST_USE = """
import hashlib, threading
together, digests = threading.Barrier(8), []
def work():
    together.wait()
    import fastnn
    from fastnn import MLP, Dense, Standardize
    import numpy as np
    X = np.random.default_rng(0).standard_normal((200, 16))
    net = MLP(16, [Standardize(), Dense(700, "relu"), Dense(3)], loss="squared_error",
              optimizer="adam", seed=0, n_threads=3)
    net.fit(X, X[:, :3], epochs=2)
    fastnn.embedding.functions(), fastnn.get_include(), fastnn.to_c
    digests.append(hashlib.sha256(net.predict(X).tobytes()).hexdigest())
threads = [threading.Thread(target=work) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(len(digests), len(set(digests)))
"""


def test_first_import_and_first_use_on_eight_threads():
    command = [sys.executable, "-c", FIRST_USE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONG)
    assert done.stdout == "8 1\n"


@free_threaded
def test_importing_does_not_enable_the_gil():
    code = "import sys, fastnn.embedding, fastnn.verification; print(sys._is_gil_enabled())"
    command, env = [sys.executable, "-W", "error", "-c", code], dict(os.environ)
    env.pop("PYTHON_GIL", None)  # which keeps it off whatever modules declare
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=True, timeout=LONG
    )
    assert done.stdout == "False\n"
