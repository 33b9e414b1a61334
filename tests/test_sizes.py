"""Sizes beyond memory, beyond 32 bits and beyond Py_ssize_t.

Tests that impossible sizes are refused before anything is allocated, that products of sizes are
checked and do not wrap, that sizes that may be huge (batch_size, epochs) may be, and, in slow
tests, that X with more than 2**31 elements is read to its end.

What cannot be allocated here is 2**47 bytes or more, beyond any address space, so that the tests
don't depend on the machine's memory (AddressSanitizer needs allocator_may_return_null=1).
"""

import pickle
import resource
import tracemalloc

import numpy as np
import pytest

from fastnn import MLP, SGD, Callback, Dense, Dropout, EarlyStopping, kernels


def resident():
    """Return the largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def allocates_nothing(call, error, *fragments):
    """Check that the call raises an error with these fragments before it allocates memory."""
    before = resident()
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert [f for f in fragments if f not in message] == [], message
    assert peak < 2**20
    assert resident() - before < 2**24


def network(n_in, *layers, optimizer="sgd", dtype="float32"):
    return MLP(n_in, list(layers), loss="squared_error", optimizer=optimizer, dtype=dtype, seed=0)


@pytest.mark.parametrize("size", [2**31, 2**32, 2**63 - 1, 2**63, 2**64, 2**64 + 1, 10**30])
def test_sizes_of_31_bits_and_more_are_refused(size):
    limits = ["from 1 to 2147483647", str(size)]
    allocates_nothing(lambda: Dense(size), ValueError, "units", *limits)
    allocates_nothing(lambda: network(size, Dense(1)), ValueError, "n_in", *limits)


M = 2**31 - 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        pytest.param([2**24, 2**24], "cannot allocate", id="2**48-weights"),
        pytest.param([2**30, M], "don't fit in memory", id="2**61-weights"),
        pytest.param([M, M], "don't fit in memory", id="2**62-weights"),
        pytest.param([M, 1, M, M], "don't fit in memory", id="in-a-later-layer"),
        pytest.param([1, M, M, M, M, M, 1], "don't fit in memory", id="2**64-weights-wrap-to-few"),
        pytest.param([1, *[2**29] * 66, 1], "don't fit in memory", id="2**64-weights-in-65-layers"),
    ],
)
def test_products_of_sizes_that_no_memory_holds(sizes, message, dtype, optimizer):
    n_in, *units = sizes
    layers = [Dense(n) for n in units]
    allocates_nothing(
        lambda: network(n_in, *layers, optimizer=optimizer, dtype=dtype), MemoryError, message
    )


@pytest.mark.parametrize("batch_size", [2**31, 2**32 + 1, 2**63 - 1, 2**63, 2**64 + 1, 10**30])
def test_huge_batches_are_the_full_batch_and_take_the_room_of_its_rows(batch_size):
    X, y = np.ones((10, 3), "f4"), np.ones(10)
    net, same = network(3, Dense(4), Dense(1)), network(3, Dense(4), Dense(1))
    before = resident()
    net.fit(X, y, batch_size=batch_size)
    assert resident() - before < 2**24
    same.fit(X, y, batch_size=None)
    assert pickle.dumps(net) == pickle.dumps(same)


def test_huge_numbers_of_epochs_end_when_a_callback_says_so():
    class Stop(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = True

    for stop in (Stop(), EarlyStopping("loss", patience=0, min_delta=1e9)):
        net = network(3, Dense(1))
        history = net.fit(np.ones((2, 3)), [0, 1], epochs=10**30, callbacks=[stop])
        assert len(history.epoch) < 3


@pytest.mark.parametrize("shape", [(2**46, 3), (2**63 // 12, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_rows_without_memory_of_their_own(shape, dtype):
    """Views with strides of 0 have any size: they are refused, or don't fit once copied."""
    rows = np.broadcast_to(np.zeros(1, dtype), shape)
    net = network(3, Dense(1))
    for call in (
        lambda: net.predict(rows),
        lambda: net.fit(rows, rows[:, 0]),
        lambda: kernels.forward(rows, np.ones((3, 2))),
    ):
        with pytest.raises((MemoryError, ValueError)):
            call()
    with pytest.raises(ValueError, match="columns"):
        net.predict(rows.T)


def test_a_batch_that_no_memory_holds():
    """X, labels and weights take some MB each; the workspace is 2**22 rows x 2**22 outputs."""
    net = MLP(1, [Dense(2**22, "softmax")], loss="cross_entropy", optimizer="sgd", seed=0)
    X, labels = np.zeros((2**22, 1), np.float32), np.zeros(2**22, np.int64)
    before = [w.tobytes() for w in net.get_weights()]
    with pytest.raises(MemoryError, match="rows doesn't fit in memory"):
        net.fit(X, labels, batch_size=None)
    assert [w.tobytes() for w in net.get_weights()] == before
    assert net.step == 0
    net.fit(X[:2], labels[:2])  # the network is not left busy
    assert net.step == 1


def test_kernels_check_the_size_of_their_results():
    """Both operands fit, the product of their outer sizes does not."""
    tall, wide = np.ones((2**23, 1), "f4"), np.ones((1, 2**22), "f4")
    with pytest.raises(MemoryError):
        kernels.forward(tall, wide)


# ---- more than 2**31 elements: 8.6 GB of virtual memory, hardly any of it written ----------------

N_IN = 1024
MANY_ROWS = 2**31 // N_IN + 1000
LAST = 300


@pytest.fixture
def many_rows():
    """X of more than 2**31 elements, all 0 but for the last rows."""
    X = np.zeros((MANY_ROWS, N_IN), np.float32)
    X[-LAST:] = np.random.default_rng(0).standard_normal((LAST, N_IN), np.float32)
    assert X.size > 2**31
    return X


@pytest.mark.slow
def test_predict_with_more_than_2_to_31_elements(many_rows):
    net = network(N_IN, Dense(16, "tanh"), Dense(2))
    y = net.predict(many_rows)
    np.testing.assert_array_equal(y[-LAST:], net.predict(many_rows[-LAST:]))
    assert (y[:-LAST] == net.predict(many_rows[:1])).all()
    assert resident() < 12e9


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_with_more_than_2_to_31_elements(many_rows, shuffle):
    """Without biases, rows of 0 leave the weights as they are: only the last row counts."""
    many_rows[-LAST:-1] = 0
    t = np.zeros(MANY_ROWS, np.float32)
    t[-1] = 1
    net, same = (
        MLP(N_IN, [Dense(1, use_bias=False)], loss="squared_error", optimizer=SGD(1e-3),
            reduction="sum", seed=0)
        for _ in range(2)
    )  # fmt: skip
    net.fit(many_rows, t, batch_size=4096, shuffle=shuffle)
    same.train_on_batch(many_rows[-1:], t[-1:])
    np.testing.assert_array_equal(net.get_weights()[0], same.get_weights()[0])
    assert net.step == -(-MANY_ROWS // 4096)
    assert resident() < 12e9


@pytest.mark.slow
def test_evaluate_with_more_than_2_to_31_elements(many_rows):
    net = MLP(N_IN, [Dense(8, "tanh", use_bias=False), Dropout(0.5), Dense(3, "softmax")],
              loss="cross_entropy", optimizer="adam", reduction="sum", seed=0)  # fmt: skip
    labels = np.arange(MANY_ROWS) % 3
    last = net.evaluate(many_rows[-LAST:], labels[-LAST:])
    rest = (MANY_ROWS - LAST) * np.log(3)
    assert net.evaluate(many_rows, labels) == pytest.approx(last + rest, rel=1e-6)
    assert resident() < 12e9
