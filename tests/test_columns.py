"""Training by columns: threads that divide the columns of layers, not the rows of a batch, give the
bits of one thread.

Here: networks and batches for which the engine chooses columns. Not here: the same promise by rows
(test_threads.py), and the choice of a team's size (test_pool.py).
"""

import hashlib

import numpy as np
import pytest

from fastnn import MLP, SGD, Adam, Dense, Dropout, LayerNorm, Residual, Standardize

RNG = np.random.default_rng(0)
X = RNG.standard_normal((190, 300), np.float32)
LABELS = RNG.integers(0, 10, 190)
WEIGHTS = RNG.random(190) + 0.1


def wide(dtype="float32", optimizer="adam", seed=3, **options):
    """Return the options of a classifier whose weights are more than the numbers of a batch."""
    hidden = options.pop("hidden", (400, 230))
    layers = [Dense(n, "relu", **options) for n in hidden]
    return {"layers": [*layers, Dense(10, "softmax")], "loss": "cross_entropy",
            "optimizer": optimizer, "dtype": dtype, "seed": seed}  # fmt: skip


def between(*between, first=()):
    """Return the options of a classifier with layers between its hidden ones, or below them."""
    spec = wide()
    lowest, second, last = spec["layers"]
    return {**spec, "layers": [*first, lowest, *between, second, *between, last]}


def digest(spec, threads, y=LABELS, batch=64, **options):
    """Return the SHA-256 of the weights after some epochs, and the losses."""
    net = MLP(X.shape[1], n_threads=threads, **spec)
    if isinstance(spec["layers"][0], Standardize):
        net.adapt(X)
    by_columns = net._network.trains_by_columns(batch, threads)
    assert by_columns == (threads > 1)
    history = net.fit(X.astype(net.dtype), y, epochs=3, batch_size=batch, **options)
    total = hashlib.sha256()
    for w in net.get_weights():
        total.update(w.tobytes())
    return total.hexdigest(), history.history["loss"]


CASES = {
    "adam": (wide(), {}),
    "float64": (wide("float64"), {}),
    "momentum": (wide(optimizer=SGD(0.01, momentum=0.9)), {}),
    "clipvalue": (wide(optimizer=Adam(clipvalue=0.01)), {}),
    "clipnorm": (wide(optimizer=Adam(clipnorm=0.1)), {}),
    "global_clipnorm": (wide(optimizer=Adam(global_clipnorm=0.1)), {}),
    "ema": (wide(optimizer=Adam(use_ema=True)), {}),
    "penalties": (wide(l1=1e-5, l2=1e-4), {}),
    "no biases": (wide(use_bias=False), {}),
    "sample weights": (wide(), {"sample_weight": WEIGHTS}),
    "a batch of one row": (wide(hidden=(500, 500, 700)), {"batch": 1}),
    "a batch of few rows": (wide(), {"batch": 3}),
    "slopes that are kept": ({**wide(), "layers": [Dense(400, "gelu"), Dense(300, "silu"),
                                                   Dense(10, "softmax")]}, {}),
    "a layer by rows between": ({**wide(), "layers": [Dense(400, "tanh"), Dense(30, "relu"),
                                                      Dense(400, "elu"), Dense(10, "softmax")]},
                                {}),
    "one output": ({**wide(), "layers": [Dense(400, "tanh"), Dense(200, "tanh"), Dense(1)],
                    "loss": "squared_error"}, {"y": WEIGHTS}),
    "wide outputs": ({**wide(), "layers": [Dense(200, "relu"), Dense(300, "tanh")],
                      "loss": "huber"}, {"y": RNG.standard_normal((190, 300))}),
    "wide softmax": ({**wide(), "layers": [Dense(400, "relu"), Dense(300, "softmax")]}, {}),
    "Dropout": (between(Dropout(0.3)), {}),
    "Dropout, a batch of few rows": (between(Dropout(0.3)), {"batch": 3}),
    "Dropout of the inputs": (between(first=[Dropout(0.2)]), {}),
    "Dropout twice": (between(Dropout(0.2), Dropout(0.3)), {}),
    "Dropout of a layer by rows": ({**wide(), "layers": [
        Dense(400, "tanh"), Dense(30, "relu"), Dropout(0.5), Dense(400, "elu"), Dropout(0.1),
        Dense(10, "softmax")]}, {}),
    "Standardize": (between(Dropout(0.1), first=[Standardize()]), {}),
    "one layer": ({**wide(), "layers": [Dense(500)], "loss": "squared_error"},
                  {"y": RNG.standard_normal((190, 500))}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_one_thread(name):
    spec, options = CASES[name]
    truth = digest(spec, 1, **options)
    assert all(np.isfinite(truth[1]))
    for threads in 2, 3, 4:
        assert digest(spec, threads, **options) == truth


def test_frozen_layers():
    spec = wide()
    spec["layers"][0] = Dense(400, "relu", trainable=False)
    truth = digest(spec, 1)
    assert digest(spec, 2) == truth


def test_steps_that_check_for_signals_are_trained_by_rows():
    layers = [Dense(3000, "tanh"), Dense(3000)]
    net = MLP(900, layers, loss="squared_error", optimizer="sgd", n_threads=2)
    assert net._network.trains_by_columns(30, 2)
    assert not net._network.trains_by_columns(200, 2)


def test_a_loss_that_is_not_finite_ends_training_before_its_update():
    def trained(threads):
        net = MLP(300, n_threads=threads, **wide(optimizer=SGD(1e30)))
        with pytest.raises(FloatingPointError, match="the loss became"):
            net.fit(X, LABELS, epochs=3, batch_size=64)
        return net.step, net.get_weights()

    (step, weights), (step_2, weights_2) = trained(1), trained(2)
    assert step == step_2
    assert all(map(np.array_equal, weights, weights_2))
    assert all(np.isfinite(w).all() for w in weights)


def test_a_frozen_layer_below_a_dropout():
    spec = between(Dropout(0.2))
    spec["layers"][0] = Dense(400, "relu", trainable=False)
    truth = digest(spec, 1)
    assert digest(spec, 2) == truth


@pytest.mark.parametrize("layer", [LayerNorm(), Residual([Dense(400, "relu")])])
def test_other_layers_are_trained_by_rows(layer):
    spec = between(first=[Dense(400, "relu"), layer])
    assert not MLP(300, n_threads=2, **spec)._network.trains_by_columns(64, 2)


def test_batches_with_more_numbers_than_weights_are_trained_by_rows():
    assert not MLP(300, n_threads=2, **wide())._network.trains_by_columns(1000, 2)
