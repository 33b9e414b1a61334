"""On-line training of networks whose layers each fit in one panel, by their own function.

Every activation, loss and optimizer, on every instruction set, is compared with the reference in
float64, also at the limits of what the function supports, just inside and just outside.
"""

import numpy as np
import pytest
from comparing import state_of

from fastnn import MLP, SGD, Adam, Dense, Dropout, reference

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def assert_same_course(net, X, t, epochs=2, **exact):
    """Assert that epochs of batches of one row have the losses and weights of the reference."""
    twin = reference.Network.like(net)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(X))
        loss = net.fit(X[order], t[order], batch_size=1, shuffle=False).history["loss"][0]
        assert np.allclose(loss, twin.fit_epoch(X, t, order, 1), **exact)
    for w, truth in zip(net.get_weights(), twin.get_weights(), strict=True):
        assert np.allclose(w, truth, **exact)
    assert net.step == twin.step == epochs * len(X)


def test_every_hidden_activation(isa, hidden, rng):
    layers = [Dense(5, hidden), Dense(3, hidden, use_bias=False), Dense(1)]
    net = MLP(2, layers, loss="squared_error", optimizer=SGD(1e-3), dtype="float64", seed=0)
    X = 0.3 * rng.normal(size=(20, 2))  # small, for e^(e^a) is among them
    assert_same_course(net, X, rng.normal(size=(20, 1)), **EXACT)


def test_every_pair_of_loss_and_output(isa, pair, targets, rng):
    loss, output = pair
    layers = [Dense(4, "tanh"), Dense(3, output)]
    net = MLP(2, layers, loss=loss, optimizer=SGD(0.01), dtype="float64", seed=0)
    X = rng.normal(size=(20, 2))
    assert_same_course(net, X, targets(loss, net.predict(X), rng), **EXACT)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_optimizer(isa, optimizer, reduction, rng):
    layers = [Dense(7, "tanh"), Dense(3, "softmax")]
    net = MLP(6, layers, loss="cross_entropy", optimizer=optimizer, dtype="float64", seed=0,
              reduction=reduction)  # fmt: skip
    assert_same_course(net, rng.normal(size=(30, 6)), rng.integers(0, 3, 30), **EXACT)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17])
def test_widths_around_vectors_and_panels(isa, dtype, width, rng):
    net = MLP(width, [Dense(width, "tanh"), Dense(width)], loss="squared_error",
              optimizer=Adam(1e-3), dtype=dtype, seed=0)  # fmt: skip
    bounds = EXACT if dtype == "float64" else {"rtol": 1e-3, "atol": 1e-5}
    X = rng.normal(size=(20, width))
    assert_same_course(net, X, np.tanh(X[:, ::-1]), epochs=1, **bounds)


@pytest.mark.parametrize(
    "layers",
    [
        [Dense(4, "tanh"), Dropout(0.5), Dense(1)],
        [Dense(4, "tanh", l2=0.1), Dense(1)],
        [Dense(4, "tanh", l1=0.1), Dense(1)],
    ],
    ids=["dropout", "l2", "l1"],
)
def test_tiny_networks_with_dropout_or_penalties(isa, layers, rng):
    net = MLP(2, layers, loss="squared_error", optimizer="adam", dtype="float64", seed=0)
    assert_same_course(net, rng.normal(size=(20, 2)), rng.normal(size=(20, 1)), **EXACT)


def test_sample_weights(isa, rng):
    net = MLP(2, [Dense(3, "tanh"), Dense(1)], loss="huber", optimizer=SGD(0.1, momentum=0.9),
              reduction="sum", dtype="float64", seed=0)  # fmt: skip
    twin = reference.Network.like(net)
    X, t, weight = rng.normal(size=(20, 2)), rng.normal(size=(20, 1)), rng.uniform(0, 2, 20)
    net.fit(X, t, batch_size=1, shuffle=False, sample_weight=weight)
    twin.fit_epoch(X, t, np.arange(20), 1, weight)
    for w, truth in zip(net.get_weights(), twin.get_weights(), strict=True):
        assert np.allclose(w, truth, **EXACT)


@pytest.mark.parametrize("threads", [2, 3])
def test_a_network_deep_enough_for_several_threads(threads):
    """700 narrow layers are enough work to share, but this path uses one thread."""
    layers = [*(Dense(16, "tanh") for _ in range(700)), Dense(1)]
    nets = [
        MLP(4, layers, loss="squared_error", optimizer="sgd", seed=0, n_threads=n)
        for n in (1, threads)
    ]
    for net in nets:
        net.fit(np.ones((5, 4)), np.ones(5), batch_size=1)
    assert [net.step for net in nets] == [5, 5]
    for w, other in zip(nets[0].get_weights(), nets[1].get_weights(), strict=True):
        assert w.tobytes() == other.tobytes()


def test_the_shuffled_rows_are_the_ones_trained_on(rng):
    X, t = rng.normal(size=(50, 2)), rng.integers(0, 2, 50)
    net = MLP(2, [Dense(3, "relu"), Dense(2, "softmax")], loss="cross_entropy", optimizer="sgd",
              dtype="float64", seed=0)  # fmt: skip
    twin = reference.Network.like(net)
    order = net.copy()._state.shuffler.permutation(50)
    net.fit(X, t, batch_size=1)
    twin.fit_epoch(X, t, order, 1)
    for w, truth in zip(net.get_weights(), twin.get_weights(), strict=True):
        assert np.allclose(w, truth, **EXACT)


def assert_same_bits_as_the_general_step(make, X, t):
    """Sample weights of 1 change nothing, but only the general step has them."""
    net, twin = make(), make()
    losses = [
        net.fit(X, t, batch_size=1, shuffle=False, epochs=2).history,
        twin.fit(X, t, batch_size=1, shuffle=False, epochs=2,
                 sample_weight=np.ones(len(X))).history,
    ]  # fmt: skip
    assert state_of(net) == state_of(twin)
    assert losses[0] == losses[1]
    return net


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["sigmoid", "exp", "softplus"])
@pytest.mark.parametrize("units", [3, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_of_units_that_are_subnormal(dtype, units, activation, optimizer, isa):
    """Training treats them as zero. They are multiplied by large weights, so that the loss would
    show them."""
    low, large = (-90.0, 1e36) if dtype == "float32" else (-730.0, 1e306)

    def make():
        net = MLP(2, [Dense(units, activation), Dense(1)], loss="squared_error",
                  optimizer=optimizer, dtype=dtype, seed=0)  # fmt: skip
        W, b, V, c = net.get_weights()
        net.set_weights([0 * W, np.full_like(b, low), np.full_like(V, large), c])
        return net

    X = np.random.default_rng(0).normal(size=(20, 2))
    net = assert_same_bits_as_the_general_step(make, X, np.zeros((20, 1)))
    assert net.get_weights()[3] == 0
    assert (make().predict(X) != 0).all()
    assert net.fit(X, np.zeros((20, 1)), batch_size=20).history["loss"] == [0]


@pytest.mark.parametrize("hidden", [2, 5])
def test_inputs_gradients_and_weights_that_are_subnormal(hidden, optimizer, rng):
    X = rng.normal(size=(30, 3)).astype(np.float32)
    X[::3], X[1::3] = X[::3] * np.float32(1e-39), X[1::3] * np.float32(1e-30)

    def make():
        net = MLP(3, [Dense(hidden, "tanh"), Dense(2)], loss="squared_error", optimizer=optimizer,
                  seed=0)  # fmt: skip
        weights = net.get_weights()
        weights[0][0] = 1e-41
        weights[2][:] *= np.float32(1e-9)
        net.set_weights(weights)
        return net

    assert_same_bits_as_the_general_step(make, X, 1e-3 * rng.normal(size=(30, 2)))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_fits_in_which_subnormal_numbers_come_and_go(optimizer, activation):
    """tiny.c makes no step of the fit with sample weights."""
    rng = np.random.default_rng(0)
    X = np.float32(10) ** rng.integers(-42, 1, (400, 4)).astype(np.float32)
    X[rng.random(X.shape) < 0.5] = 0
    y, layers = np.sin(X[:, :1]), [Dense(8, activation), Dense(1)]
    nets = [MLP(4, layers, loss="squared_error", optimizer=optimizer, seed=0) for _ in range(2)]
    for net, sample_weight in zip(nets, (None, np.ones(400)), strict=True):
        net.fit(X, y, batch_size=1, epochs=200, sample_weight=sample_weight)
    assert nets[0].get_flat_weights().tobytes() == nets[1].get_flat_weights().tobytes()
