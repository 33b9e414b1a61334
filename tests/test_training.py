"""Training: batches, order, seeds, and the promises of fit, evaluate and predict.

Not here: the arithmetic of a step (test_gradients.py, test_optimizers.py), independence of threads
and batches (test_threads.py).
"""

import copy
import itertools

import numpy as np
import pytest
from comparing import sha256

from fastnn import MLP, SGD, Adam, Callback, Dense, Dropout, reference

RNG = np.random.default_rng(0)
X = RNG.standard_normal((77, 9))
LABELS = RNG.integers(0, 5, 77)


def classifier(seed=1, dtype="float64", optimizer="adam", **kwargs):
    return MLP(
        9,
        [Dense(24, "relu"), Dropout(0.3), Dense(17, "tanh"), Dense(5, "softmax")],
        loss="cross_entropy",
        optimizer=optimizer,
        dtype=dtype,
        seed=seed,
        **kwargs,
    )


def assert_same_weights(net, twin, tolerance=1e-12):
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


# ---- batches and order --------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 10, 77, 1000, None])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_epochs_equal_those_of_the_reference(batch_size, reduction, weighted):
    net = classifier(reduction=reduction, optimizer=SGD(0.01, momentum=0.5))
    twin = reference.Network.like(net)
    weight = RNG.random(77) * (RNG.random(77) > 0.2) if weighted else None
    for _ in range(3):
        order = copy.deepcopy(net._state.shuffler).permutation(77)
        history = net.fit(X, LABELS, batch_size=batch_size, sample_weight=weight)
        expected = twin.fit_epoch(X, LABELS, order, batch_size, weight)
        assert history.history["loss"] == pytest.approx([expected], rel=1e-12)
    assert_same_weights(net, twin)
    assert net.step == twin.step


def test_three_forms_of_descent_count_their_updates():
    for batch_size, steps in [(None, 1), (1, 77), (10, 8)]:
        net = classifier()
        net.fit(X, LABELS, batch_size=batch_size)
        assert net.step == steps


@pytest.mark.parametrize("generator", [np.random.default_rng, np.random.RandomState])
def test_a_generator_draws_the_order_of_each_epoch(generator):
    net, twin, rng = classifier(), classifier(), generator(5)
    net.fit(X, LABELS, batch_size=7, epochs=3, shuffle=generator(5))
    for _ in range(3):
        order = rng.permutation(len(X))
        twin.fit(X[order], LABELS[order], batch_size=7, shuffle=False)
    assert_same_weights(net, twin, 0)


class Fixed:
    """A generator whose orders are the given numbers of rows."""

    def __init__(self, rows):
        self.rows = rows

    def permutation(self, n):
        return self.rows


def test_an_order_may_take_rows_twice():
    net, twin, rows = classifier(), classifier(), np.r_[0, 0, 3 : len(X) + 1][: len(X)] % len(X)
    net.fit(X, LABELS, batch_size=7, shuffle=Fixed(rows.tolist()))
    twin.fit(X[rows], LABELS[rows], batch_size=7, shuffle=False)
    assert_same_weights(net, twin, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.arange(3), "must return 77 integers"),
        (np.arange(77.0), "must return 77 integers"),
        (None, "must return 77 integers"),
        (np.arange(1, 78), "numbers from 1 to 77"),
        (np.arange(-1, 76), "numbers from -1 to 75"),
    ],
    ids=str,
)
def test_an_order_of_other_rows_is_refused(rows, message):
    net = classifier()
    with pytest.raises(ValueError, match=message):
        net.fit(X, LABELS, shuffle=Fixed(rows))
    assert_same_weights(net, classifier(), 0)


def test_an_order_that_no_checkpoint_keeps_is_not_resumed(tmp_path):
    with pytest.raises(ValueError, match="resume needs shuffle=True or False"):
        classifier().fit(X, LABELS, shuffle=np.random.default_rng(0), resume=tmp_path / "net")
    with pytest.raises(TypeError, match="shuffle must be True or False"):
        classifier().fit(X, LABELS, shuffle="yes")


def test_no_shuffle_takes_the_rows_in_turn():
    net = classifier()
    twin = reference.Network.like(net)
    net.fit(X, LABELS, batch_size=7, shuffle=False)
    twin.fit_epoch(X, LABELS, np.arange(77), 7)
    assert_same_weights(net, twin)


def test_batches_longer_than_a_chunk_of_rows():
    """The kernels pass rows through the layers in chunks; a batch of several is still one batch."""
    X_long, y_long = np.tile(X, (5, 1)), np.tile(LABELS, 5)
    net = classifier()
    twin = reference.Network.like(net)
    net.fit(X_long, y_long, batch_size=300, shuffle=False, epochs=2)
    for _ in range(2):
        twin.fit_epoch(X_long, y_long, np.arange(len(X_long)), 300)
    assert_same_weights(net, twin)


@pytest.mark.parametrize("rows", [1025, 2500])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_of_several_rounds(rows, weighted):
    """Gradients are summed over rounds of 1024 rows, with dropout and penalties."""
    X, y = RNG.standard_normal((2 * rows + 30, 9)), RNG.standard_normal((2 * rows + 30, 2))
    weight = RNG.random(len(X)) if weighted else None
    layers = [Dense(20, "gelu", l2=0.01), Dropout(0.4), Dense(33, "tanh", l1=1e-3), Dense(2)]
    net = MLP(9, layers, loss="squared_error", optimizer="adam", dtype="float64", seed=0)
    twin = reference.Network.like(net)
    history = net.fit(X, y, batch_size=rows, shuffle=False, sample_weight=weight, n_threads=2)
    expected = twin.fit_epoch(X, y, np.arange(len(X)), rows, weight)
    assert history.history["loss"] == pytest.approx([expected], rel=1e-12)
    assert_same_weights(net, twin)
    loss, gradients = net.loss_and_gradients(X, y, weight, training=True)
    assert (loss, net.step) == (pytest.approx(net.copy().train_on_batch(X, y, weight)), 3)
    twin_loss, twin_gradients = twin.loss_and_gradients(X, y, weight, training=True)
    assert loss == pytest.approx(twin_loss, rel=1e-12)
    for ours, theirs in zip(gradients, twin_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_single_rows_on_several_threads(optimizer):
    """The network is large enough to be shared among threads; the bits are those of one thread."""
    nets = [
        MLP(500, [Dense(400, "tanh"), Dense(3)], loss="squared_error", optimizer=optimizer,
            seed=0, n_threads=threads)
        for threads in (1, 2, 3)
    ]  # fmt: skip
    x, y = RNG.standard_normal((5, 500), dtype="float32"), np.ones((5, 3), "float32")
    for net in nets:
        net.fit(x, y, batch_size=1)
    assert len({sha256(net) for net in nets}) == 1


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_step_on_one_row_has_the_same_bits_after_larger_batches(optimizer):
    """Units that are always 0 have deltas of either zero, which biases of -0 show."""
    net = MLP(9, [Dense(32, "relu"), Dense(2)], loss="squared_error", optimizer=optimizer, seed=0)
    W, b, V, c = net.get_weights()
    net.set_weights([-np.abs(W), np.full_like(b, -0.0), V, c])
    x, y = np.abs(X[:32]), X[:32, :2]
    net.train_on_batch(x, y)
    twin = net.copy()  # has no buffers yet
    for one in (net, twin):
        one.train_on_batch(x[:1], y[:1])
    assert sha256(net) == sha256(twin)


def test_train_on_batch_is_an_epoch_of_one_batch():
    one, other = classifier(), classifier()
    loss = one.train_on_batch(X, LABELS)
    history = other.fit(X, LABELS, batch_size=None, shuffle=False)
    assert loss == history.history["loss"][0]
    assert sha256(one) == sha256(other)


def test_one_hot_rows_are_labels():
    one, other = classifier(), classifier()
    one.fit(X, LABELS, epochs=3)
    other.fit(X, np.eye(5)[LABELS], epochs=3)
    assert sha256(one) == sha256(other)


def test_several_outputs_and_several_labels():
    Y = RNG.standard_normal((77, 3))
    for loss, output, targets in [
        ("squared_error", "identity", Y),
        ("binary_cross_entropy", "sigmoid", (Y > 0).astype(int)),
        ("poisson", "exp", RNG.poisson(2.0, (77, 3))),
    ]:
        net = MLP(9, [Dense(16, "tanh"), Dense(3, output)], loss=loss, optimizer="adam", seed=0)
        losses = net.fit(X, targets, epochs=60).history["loss"]
        assert losses[-1] < 0.9 * losses[0]
        assert net.predict(X).shape == (77, 3)


def test_a_sample_weight_of_0_leaves_the_row_out():
    kept = np.arange(77) % 3 > 0
    one = MLP(9, [Dense(4, "tanh"), Dense(5, "softmax")], loss="cross_entropy", optimizer="sgd",
              dtype="float64", seed=0)  # fmt: skip
    other = one.copy()
    one.train_on_batch(X, LABELS, kept.astype(float))
    other.train_on_batch(X[kept], LABELS[kept])
    assert_same_weights(one, other)


# ---- same seed, same bits -----------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits():
    one, other, third = classifier(seed=3), classifier(seed=3), classifier(seed=4)
    for net in (one, other, third):
        net.fit(X, LABELS, epochs=2)
    assert sha256(one) == sha256(other) != sha256(third)


def test_watching_the_progress_changes_no_bit(clock):
    """Nor of networks of two tiny layers, which begin every slice of rows with other roundings."""

    class Watch(Callback):
        def on_progress(self, rows, logs):
            seen.append(rows)

    rows, seen = np.random.default_rng(0).standard_normal((3_000_000, 2), dtype="float32"), [0]
    nets = [MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer=SGD(1e-3), seed=0)
            for _ in range(2)]  # fmt: skip
    nets[0].fit(rows, rows[:, 0], batch_size=1, shuffle=False)
    clock(itertools.cycle([0.02, 0.06, 0.03, 0.3]))  # calls are short and long in turn
    nets[1].fit(rows, rows[:, 0], batch_size=1, shuffle=False, callbacks=[Watch()])
    assert sha256(nets[0]) == sha256(nets[1])
    assert len(set(seen)) > 3


def test_networks_without_a_seed_differ():
    assert sha256(classifier(seed=None)) != sha256(classifier(seed=None))


# ---- fit, evaluate, predict ---------------------------------------------------------------------


def test_the_validation_loss_equals_evaluate():
    net = classifier()
    history = net.fit(X, LABELS, epochs=3, validation_data=(X[:20], LABELS[:20])).history
    assert len(history["loss"]) == len(history["val_loss"]) == 3
    assert history["val_loss"][-1] == net.evaluate(X[:20], LABELS[:20])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_evaluate_equals_the_reference(reduction):
    net = MLP(9, [Dense(8, "tanh", l1=0.01, l2=0.02), Dense(2)], loss="huber", optimizer="sgd",
              reduction=reduction, dtype="float64", seed=0)  # fmt: skip
    rows, targets = RNG.standard_normal((300, 9)), RNG.standard_normal((300, 2))
    weight = RNG.random(300)
    twin = reference.Network.like(net)
    assert net.evaluate(rows, targets, weight) == pytest.approx(
        twin.evaluate(rows, targets, weight), rel=1e-12
    )


def test_dropout_acts_in_training_only():
    net = classifier()
    assert net.predict(X).tobytes() == net.predict(X).tobytes()
    still = net.loss_and_gradients(X, LABELS)[0]
    assert still == pytest.approx(net.evaluate(X, LABELS))
    assert net.loss_and_gradients(X, LABELS, training=True)[0] != still


def test_each_step_draws_another_dropout_mask():
    """The learning rate is nearly 0, so only the masks change from step to step."""
    net = classifier(optimizer=SGD(1e-300))
    losses = [net.train_on_batch(X, LABELS) for _ in range(3)]
    assert len(set(losses)) == 3


def test_predict_into_an_array():
    net = classifier()
    out = np.empty((77, 5))
    assert net.predict(X, out=out) is out
    assert out.tobytes() == net.predict(X).tobytes()


def test_a_second_fit_continues_the_first():
    whole, halves = classifier(), classifier()
    whole.fit(X, LABELS, epochs=4)
    halves.fit(X, LABELS, epochs=2)
    halves.fit(X, LABELS, epochs=2)
    assert sha256(whole) == sha256(halves)


def test_divergence_raises_an_error():
    net = MLP(9, [Dense(8), Dense(1)], loss="squared_error", optimizer=SGD(1e6), seed=0)
    said = r"epoch \d+, step \d+: .*; lower the learning rate"
    with pytest.raises(FloatingPointError, match=said):
        net.fit(X, X[:, 0], epochs=50)


def test_adam_is_the_default_adam():
    one, other = classifier(optimizer="adam"), classifier(optimizer=Adam())
    for net in (one, other):
        net.fit(X, LABELS)
    assert sha256(one) == sha256(other)


@pytest.mark.parametrize("inputs", [3, 40])  # a tiny network's path, and the others'
@pytest.mark.parametrize("batch_size", [1, 8])
def test_moments_that_get_no_gradient_reach_zero(inputs, batch_size):
    """Subnormal moments, of dead units, would make every update several times slower."""
    X, y = np.zeros((8, inputs), "float32"), np.ones(8)
    net = MLP(inputs, [Dense(5, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    for block in (1, 2):
        moments = net._network.read(block)
        moments[0][...] = 1e-40
        net._network.write(moments, block)
    net.fit(X, y, batch_size=batch_size)
    assert not net._network.read(1)[0].any()
    assert not net._network.read(2)[0].any()
    assert np.float32(1e-40) * np.float32(0.5) > 0  # here subnormal numbers are what they were
