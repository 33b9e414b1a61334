"""Arrays that were checked stay as they were: callbacks, iterators and generators change their own.

A callback that overwrites labels, weights, targets or orders, or an iterator that yields one buffer
over and over, must give the bits of a training with arrays that nobody touches. An order or a label
that is out of range would be read out of bounds. Not here: X itself, which `fit` reads where it is
(see the notes of `MLP.fit`), and the values that are refused (test_bad_input.py).
"""

import numpy as np
import pytest
from comparing import sha256
from conditions import until

from fastnn import MLP, Callback, CustomLoss, Dense

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 6)).astype("f4")
LABELS, TARGETS, WEIGHTS = RNG.integers(0, 3, 90), RNG.random((90, 3)).astype("f4"), RNG.random(90)


def classifier():
    return MLP(6, [Dense(20, "tanh"), Dense(3, "softmax")], loss="cross_entropy", optimizer="adam",
               seed=0)  # fmt: skip


def regression():
    return MLP(6, [Dense(20, "tanh"), Dense(3)], loss="squared_error", optimizer="adam", seed=0)


class Overwrite(Callback):
    """Fills arrays with a value before every epoch and every batch."""

    def __init__(self, value, *arrays):
        self.value, self.arrays = value, arrays

    def on_epoch_begin(self, epoch, logs):
        for array in self.arrays:
            array[...] = self.value

    def on_train_batch_begin(self, batch, logs):
        self.on_epoch_begin(0, logs)


class Orders:
    """Draws orders into one buffer, which a callback can reach."""

    def __init__(self, dtype):
        self.buffer, self.generator = np.zeros(90, dtype), np.random.default_rng(1)

    def permutation(self, n):
        self.buffer[:] = self.generator.permutation(n)
        return self.buffer


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
@pytest.mark.parametrize("value", [2**31 - 1, -7])
def test_an_order_is_the_one_that_was_drawn(value, dtype):
    nets = classifier(), classifier()
    for net, callbacks in zip(nets, ([], [value]), strict=True):
        orders = Orders(dtype)
        net.fit(X, LABELS, epochs=3, shuffle=orders,
                callbacks=[Overwrite(each, orders.buffer) for each in callbacks])  # fmt: skip
    assert sha256(nets[0]) == sha256(nets[1])


@pytest.mark.parametrize("value", [2**40, -1, 3])
def test_labels_are_the_ones_that_were_checked(value):
    labels, held_out = LABELS.copy(), LABELS[:20].copy()
    net, twin = classifier(), classifier()
    one = net.fit(X, labels, epochs=3, validation_data=(X[:20], held_out), metrics=["accuracy"],
                  callbacks=[Overwrite(value, labels, held_out)])  # fmt: skip
    other = twin.fit(X, LABELS, epochs=3, validation_data=(X[:20], LABELS[:20]),
                     metrics=["accuracy"], callbacks=[Overwrite(0)])  # fmt: skip
    assert (sha256(net), one.history) == (sha256(twin), other.history)


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_targets_and_weights_are_the_ones_that_were_checked(value):
    y, w = TARGETS.copy(), WEIGHTS.astype("f4")
    v, u = TARGETS[:20].copy(), w[:20].copy()
    net, twin = regression(), regression()
    one = net.fit(X, y, epochs=3, sample_weight=w, validation_data=(X[:20], v, u),
                  callbacks=[Overwrite(value, y, w, v, u)])  # fmt: skip
    other = twin.fit(X, TARGETS, epochs=3, sample_weight=WEIGHTS, callbacks=[Overwrite(0)],
                     validation_data=(X[:20], TARGETS[:20], WEIGHTS[:20]))  # fmt: skip
    assert (sha256(net), one.history) == (sha256(twin), other.history)


@pytest.mark.parametrize("kind", ["real", "any"])
def test_targets_of_a_loss_in_python_are_the_ones_that_were_checked(kind):
    def half_square(y_true, y_pred):
        error = y_pred - y_true
        return 0.5 * (error**2).sum(axis=1), error

    nets = [
        MLP(6, [Dense(5, "tanh"), Dense(3)], loss=CustomLoss(half_square, targets=kind),
            optimizer="adam", seed=0)
        for _ in range(2)
    ]  # fmt: skip
    y = TARGETS.copy()
    nets[0].fit(X, y, epochs=3, callbacks=[Overwrite(7.0, y)])
    nets[1].fit(X, TARGETS, epochs=3, callbacks=[Overwrite(0)])
    assert sha256(nets[0]) == sha256(nets[1])


def test_a_metric_may_overwrite_what_it_gets():
    def spoil(y_true, y_pred):
        y_true[...], y_pred[...] = 7, 7
        return 0.0

    net, twin = regression(), regression()
    net.fit(X, TARGETS, epochs=3, metrics=[spoil], validation_split=0.2)
    twin.fit(X, TARGETS, epochs=3, metrics=["mae"], validation_split=0.2)
    assert sha256(net) == sha256(twin)


def test_an_autoencoder_needs_no_second_copy_of_its_rows():
    net, twin = (MLP(6, [Dense(6)], loss="squared_error", optimizer="sgd", seed=0) for _ in "12")
    net.fit(X, X)
    twin.fit(X, X.copy())
    assert sha256(net) == sha256(twin)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("of_classes", [False, True])
def test_an_iterator_may_use_its_buffers_again(of_classes, dtype, weighted):
    """Each batch waits until the next one, made ahead, has overwritten the buffers."""
    build, y = (classifier, LABELS) if of_classes else (regression, TARGETS)
    filled = []

    def batches():
        rows = np.empty((10, 6), dtype), np.empty((10, *y.shape[1:]), y.dtype), np.empty(10, "f4")
        for i in range(0, 90, 10):
            for buffer, array in zip(rows, (X, y, WEIGHTS), strict=True):
                buffer[...] = array[i : i + 10]
            filled.append(i)
            yield rows if weighted else rows[:2]

    class Wait(Callback):
        def on_train_batch_begin(self, batch, logs):
            until(lambda: len(filled) >= min(9, batch + 2))

    net, twin = build(), build()
    net.fit(batches(), callbacks=[Wait()])
    twin.fit(X, y, batch_size=10, shuffle=False, sample_weight=WEIGHTS if weighted else None)
    assert sha256(net) == sha256(twin)


def test_an_iterator_of_tensors_may_use_its_buffers_again():
    torch = pytest.importorskip("torch")
    filled, buffer = [], torch.empty((10, 6))

    def batches():
        for i in range(0, 90, 10):
            buffer[...] = torch.from_numpy(X[i : i + 10])
            filled.append(i)
            yield buffer, LABELS[i : i + 10]

    class Wait(Callback):
        def on_train_batch_begin(self, batch, logs):
            until(lambda: len(filled) >= min(9, batch + 2))

    net, twin = classifier(), classifier()
    net.fit(batches(), callbacks=[Wait()])
    twin.fit(X, LABELS, batch_size=10, shuffle=False)
    assert sha256(net) == sha256(twin)
