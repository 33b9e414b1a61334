"""Updates of an Embedding's rows that are postponed until a batch reads them: the same bits.

They are postponed in a fit of several batches over rows of numbers. A call for one batch updates
all rows, and so does a fit with a hook for batches: each is a twin to compare with. Not here: the
layer itself (test_embedding_layers.py).
"""

import contextlib
import dataclasses
import itertools
import signal

import numpy as np
import pytest
from comparing import state_of
from conditions import EachBatch

from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Callback,
    Dense,
    Embedding,
    Ensemble,
    LinearWarmup,
    ScheduleFreeAdamW,
    Standardize,
    fit_many,
)

SIZES = (3, 700, 90)
N = 60


@pytest.fixture
def data(rng):
    """Categories in the columns 0, 2 and 3 of four."""
    X = rng.normal(size=(N, 4)).astype(np.float32)
    for column, size in zip((0, 2, 3), SIZES, strict=True):
        X[:, column] = rng.integers(size, size=N)
    return X, rng.normal(size=(N, 2)).astype(np.float32)


def network(optimizer, units=5, below=(), **options):
    layers = [*below, Embedding(SIZES, units, columns=[0, 2, 3]), Dense(9, "tanh"), Dense(2)]
    options = {"loss": "squared_error", "seed": 1} | options
    return MLP(4, layers, optimizer=optimizer, **options)


def blocks_of(net):
    """Return the state of a network but for its epochs, which calls for one batch do not count."""
    step, _, blocks = state_of(net)
    return step, blocks


def assert_same_fits(make, X, y, batch_size, epochs=2, n_threads=1):
    net, dense = make(n_threads=n_threads), make()
    options = {"batch_size": batch_size, "epochs": epochs}
    history, expected = (
        net.fit(X, y, **options),
        dense.fit(X, y, callbacks=[EachBatch()], **options),
    )
    assert blocks_of(net) == blocks_of(dense)
    assert history.history == expected.history
    assert not dense._network.postpones_updates()
    return net


def test_copies_for_the_members_of_an_ensemble(data):
    """Rows are indexed as the caller has them, and copies are not: nothing is postponed."""

    def make(**options):
        layers = [Embedding(SIZES, 5, columns=[0, 2, 3]), Ensemble(3, [Dense(9, "tanh"), Dense(2)])]
        return MLP(4, layers, loss="squared_error", optimizer=Adam(0.01), seed=1, **options)

    for n_threads in (1, 2):
        net = assert_same_fits(make, *data, batch_size=7, n_threads=n_threads)
        assert not net._network.postpones_updates()


OPTIONS = {
    "alone": {},
    "weight decay": {"weight_decay": 0.1},
    "clipped by value": {"clipvalue": 0.01},
    "clipped by norm": {"clipnorm": 0.01},
    "averaged": {"use_ema": True, "ema_momentum": 0.9},
    "up the gradient": {"maximize": True, "learning_rate": 1e-4},
    "a schedule": {"learning_rate": LinearWarmup(0.01, 9)},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_every_optimizer(optimizer, options, data):
    if optimizer.is_average and options in ("averaged", "a schedule"):
        pytest.skip("the optimizer averages the weights itself, and takes no schedule")
    rule = dataclasses.replace(optimizer, **OPTIONS[options])
    for batch_size, units in itertools.product([1, 7], [1, 16, 20]):
        net = assert_same_fits(
            lambda units=units, **kwargs: network(rule, units, **kwargs), *data, batch_size
        )
        assert net._network.postpones_updates() == (options != "clipped by norm")


@pytest.mark.parametrize("n_threads", [2, 3, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_threads(data, n_threads, dtype):
    """More threads than some shares of the table have rows, and panels that are divided."""
    for rule, units in itertools.product((SGD(0.1, 0.9), Adam(0.01, use_ema=True)), (5, 40)):
        assert_same_fits(
            lambda rule=rule, units=units, **kwargs: network(rule, units, dtype=dtype, **kwargs),
            *data, 4, n_threads=n_threads,
        )  # fmt: skip


def test_batches_one_by_one(isa, data):
    """Without the order of rows, a fit is a call for each batch."""
    X, y = data
    fitted, stepped = (network(AdamW(0.01, weight_decay=0.1)) for _ in range(2))
    fitted.fit(X, y, batch_size=8, epochs=3, shuffle=False)
    for _, at in itertools.product(range(3), range(0, N, 8)):
        stepped.train_on_batch(X[at : at + 8], y[at : at + 8])
    assert blocks_of(fitted) == blocks_of(stepped)


def test_behind_standardized_columns(data):
    X, y = data
    nets = [network(Adam(0.01), below=[Standardize()]) for _ in range(2)]
    for net in nets:
        net.adapt(X)
    nets[0].fit(X, y, batch_size=8, epochs=3, shuffle=False)
    for _, at in itertools.product(range(3), range(0, N, 8)):
        nets[1].train_on_batch(X[at : at + 8], y[at : at + 8])
    assert blocks_of(nets[0]) == blocks_of(nets[1])


def test_more_than_a_thousand_steps(data):
    """No more than PAST of simd/ops.h are postponed."""
    X, y = (np.tile(array, (19, 1)) for array in data)
    X[N:, 3] = 1  # most rows of the table are read at the start alone
    assert_same_fits(lambda **kwargs: network(Adam(0.001), **kwargs), X, y, 1, epochs=1)


def test_frozen_tables_and_learning_rates_of_their_own(data):
    for options in ({"trainable": False}, {"learning_rate_multiplier": 3.0}):
        layers = [Embedding(SIZES, 5, columns=[0, 2, 3], **options), Dense(2)]
        assert_same_fits(
            lambda layers=layers, **kwargs: MLP(
                4, layers, loss="squared_error", optimizer="adam", seed=1, **kwargs
            ),
            *data,
            4,
        )


@pytest.mark.parametrize("rule", [SGD(0.1, 0.9), SGD(0.1, 0.9, nesterov=True)], ids=str)
def test_tables_with_numbers_of_minus_zero(data, rule):
    """The first update of a row by a velocity makes them +0, also if no batch reads the row."""

    def make(**options):
        net = network(rule, **options)
        W, *rest = net.get_weights()
        W[::2] = -0.0
        net.set_weights([W, *rest])
        return net

    assert_same_fits(make, *data, 4)


def test_validation_and_callbacks_see_whole_updates(data):
    X, y = data
    losses = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs):
            losses.append(self.model.evaluate(X, y))

    watched, alone = (network(ScheduleFreeAdamW(0.01)) for _ in range(2))
    history = watched.fit(X, y, batch_size=8, epochs=3, validation_data=(X, y), callbacks=[Watch()])
    again = alone.fit(X, y, batch_size=8, epochs=3, validation_data=(X, y))
    assert history.history == again.history
    assert blocks_of(watched) == blocks_of(alone)
    assert losses[-1] == again.history["val_loss"][-1]


def test_members_of_many(data):
    """Also of other tables in the buffers of one before."""
    X, y = data
    rows = X[:, 2:3].copy()

    def nets():
        tables = (Embedding(700, 4), Embedding(1400, 4), Embedding(700, 20), Embedding(701, 4))
        return [MLP(1, [table, Dense(2)], loss="squared_error", optimizer="adam", seed=2)
                for table in tables]  # fmt: skip

    expected = nets()
    for net in expected:
        net.fit(rows, y, batch_size=8, epochs=3)
    found = fit_many(nets(), rows, y, batch_size=8, epochs=3, n_threads=1)
    assert [blocks_of(net) for net in found] == [blocks_of(net) for net in expected]


def test_activations_and_gradients_in_a_handler_are_those_of_whole_updates(data):
    X, y = (np.tile(array, (20, 1)) for array in data)
    found = []

    def handler(*_):
        first = net.activations(X[:9])[-1], net.loss_and_gradients(X[:9], y[:9], flat=True)[1]
        twin = net.copy()
        expected = twin.predict(X[:9]), twin.loss_and_gradients(X[:9], y[:9], flat=True)[1]
        found.extend(zip(first, expected, strict=True))
        net.stop_training = True

    net = network(Adam(0.01))
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        net.fit(X, y, batch_size=1, epochs=10**6, shuffle=False)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(found) == 2
    assert all(ours.tobytes() == theirs.tobytes() for ours, theirs in found)


def test_a_handler_of_signals_reads_whole_updates(data):
    X, y = (np.tile(array, (20, 1)) for array in data)
    found = []

    def handler(*_):
        found.append((net.step, blocks_of(net), net.predict(X[:9]).tobytes()))
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        while not found:
            net = network(Adam(0.01))
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                net.fit(X, y, batch_size=1, epochs=50, shuffle=False)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if found and found[0][0] == 0:
                found.clear()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert found[0] == (net.step, blocks_of(net), net.predict(X[:9]).tobytes())
    twin = network(Adam(0.01))
    for step in range(found[0][0]):
        at = step % len(X)
        twin.train_on_batch(X[at : at + 1], y[at : at + 1])
    assert blocks_of(twin) == found[0][1]
