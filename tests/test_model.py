"""The network as an object: get and set weights, copies, pickles, callbacks, printing."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conditions import LONG

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activation,
    Adam,
    Callback,
    Dense,
    Dropout,
    Huber,
    Quantile,
    Standardize,
)

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 6)), RNG.standard_normal((40, 2))


def network(optimizer="adam", **kwargs):
    layers = [Dense(20, Activation("elu", 0.5)), Dropout(0.2), Dense(7, "gelu", use_bias=False),
              Dense(2, l2=1e-3)]  # fmt: skip
    return MLP(6, layers, loss=Huber(0.7), optimizer=optimizer, seed=0, **kwargs)


def bits(net):
    """Return weights, moments, step and random state, to be compared."""
    now = net._state.snapshot()
    weights = [w.tobytes() for block in now.blocks for w in block]
    return weights, (now.step, now.epoch), (now.shuffler, now.dropout_seed)


# ---- weights ------------------------------------------------------------------------------------


def test_weights_go_out_and_in():
    net = network()
    weights = net.get_weights()
    assert [w.shape for w in weights] == [(6, 20), (20,), (20, 7), (7, 2), (2,)]
    doubled = [2 * w for w in weights]
    net.set_weights(doubled)
    for got, given in zip(net.get_weights(), doubled, strict=True):
        np.testing.assert_array_equal(got, given)


def test_weights_are_copies():
    net = network()
    before = net.predict(X)
    for w in net.get_weights():
        w[...] = 0
    np.testing.assert_array_equal(net.predict(X), before)


@pytest.mark.parametrize("name", fastnn.initializers.NAMES)
def test_initializers_have_their_spread(name):
    layer = Dense(400, "tanh", initializer=name)
    net = MLP(300, [layer, Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    W, b = net.get_weights()[:2]
    assert not b.any()
    if name == "zeros":
        assert not W.any()
    elif name == "orthogonal":
        np.testing.assert_allclose(W @ W.T, np.eye(300), atol=1e-5)
    else:
        fan = {"glorot": 350 / 1, "he": 300 / 2, "lecun": 300}[name.split("_")[0]]
        assert W.std() == pytest.approx(np.sqrt(1 / fan), rel=0.02)
        assert abs(W.mean()) < 0.001
        if name.endswith("uniform"):
            assert abs(W).max() <= np.sqrt(3 / fan)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [3, 400])  # biases of a W that is stored transposed, or not
def test_biases_have_their_initializer(dtype, units):
    kinds = {"zeros": (0.0, 0.0), "ones": (1.0, 0.0), "standard_normal": (0.0, 1.0)}
    for name, (mean, deviation) in kinds.items():
        layers = [Dense(units, "tanh", bias_initializer=name), Dense(units, bias_initializer=name)]
        net = MLP(10, layers, loss="squared_error", optimizer="sgd", dtype=dtype, seed=0)
        for b in net.get_weights()[1::2]:
            assert abs(b.mean() - mean) < 4 * deviation / units**0.5 + 1e-12
            assert abs(b.std() - deviation) < 0.9 * deviation + 1e-12
        first, second = net.get_weights()[1::2]
        assert np.array_equal(first, second) == (name != "standard_normal")


def test_the_initializer_of_biases_leaves_the_first_weights_as_they_are():
    nets = [
        MLP(4, [Dense(9, "relu", bias_initializer=name), Dense(1)], loss="squared_error",
            optimizer="sgd", seed=3)
        for name in ("zeros", "standard_normal")
    ]  # fmt: skip
    assert np.array_equal(nets[0].get_weights()[0], nets[1].get_weights()[0])


def test_a_dense_without_biases_ignores_their_initializer():
    layers = [Dense(5, use_bias=False, bias_initializer="standard_normal")]
    net = MLP(2, layers, loss="squared_error", optimizer="sgd", seed=0)
    assert len(net.get_weights()) == 1


def test_each_activation_gets_the_initializer_that_suits_it():
    suited = {a: Dense(1, a).initializer for a in ("relu", "tanh", "selu")}
    assert suited == {"relu": "he_uniform", "tanh": "glorot_uniform", "selu": "lecun_normal"}


# ---- copies and pickles -------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_a_copy_goes_on_with_the_same_bits(optimizer, duplicate):
    net = network(optimizer)
    net.fit(X, Y, epochs=3)
    twin = duplicate(net)
    assert twin.step == net.step
    for each in (net, twin):
        each.fit(X, Y, epochs=3)
    assert bits(net) == bits(twin)


def test_a_copy_is_independent():
    net = network()
    before = bits(net)
    net.copy().fit(X, Y)
    assert bits(net) == before


def test_a_copy_in_another_precision():
    net = network()
    wide = net.copy(dtype="float64")
    assert wide.predict(X).dtype == np.float64
    np.testing.assert_allclose(wide.predict(X), net.predict(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_copy_in_a_narrower_precision_holds_all_numbers(dtype):
    net = MLP(3, [Dense(2), Dense(1)], loss="squared_error", optimizer="adam", dtype="float64")
    net.fit(X[:, :3], X[:, 3], epochs=1)
    largest = np.finfo(np.float32).max
    weights = net.get_weights()
    weights[2][1, 0] = -float(largest)
    net.set_weights(weights)
    assert net.copy(dtype=dtype).get_weights()[2][1, 0] == -largest
    weights[2][1, 0] = -1e300
    net.set_weights(weights)
    with pytest.raises(
        ValueError, match=r"^weights\[2\] \(layers.1.W\) has a value of magnitude 1e"
    ):
        net.copy(dtype=dtype)
    assert net.copy(dtype="float64").get_weights()[2][1, 0] == -1e300


@pytest.mark.parametrize("optimizer", [Adam(), SGD(momentum=0.9), SGD(use_ema=True)], ids=str)
def test_a_copy_in_a_narrower_precision_holds_the_moments(optimizer):
    net = MLP(3, [Dense(1)], loss="squared_error", optimizer=optimizer, dtype="float64")
    if optimizer.use_ema:
        net.set_weights([np.full((3, 1), 1e40), [0.0]])
        net.train_on_batch(np.zeros((2, 3)), [0.0, 0.0])
        net.set_weights([np.ones((3, 1)), [0.0]])
    else:
        net.train_on_batch(np.full((2, 3), 1e30), [1e30, 1e30])
        net.set_weights([np.ones((3, 1)), [0.0]])
    with pytest.raises(ValueError, match=r"moment or average of weights\[0\].* for float32; keep"):
        net.copy(dtype="float32")


def test_a_copy_and_a_file_with_another_number_of_threads(tmp_path):
    """They keep what a network made of the configuration would lack: scales, classes, metadata."""
    layers = [Standardize(), Dense(4, "tanh"), Dense(1, "sigmoid")]
    net = MLP(X.shape[1], layers, loss="binary_cross_entropy", optimizer="adam", n_threads=3)
    net.fit(X, np.where(X[:, 0] > 0, "yes", "no"), epochs=2)
    net.metadata = {"owner": "us"}
    net.save(tmp_path / "net.safetensors")
    for twin in (net.copy(n_threads=1), fastnn.load(tmp_path / "net.safetensors", n_threads=1)):
        assert (twin.n_threads, twin.copy().n_threads) == (1, 1)
        assert (twin.classes, twin.metadata) == (net.classes, net.metadata)
        assert bits(twin) == bits(net)
        np.testing.assert_array_equal(twin.predict_classes(X), net.predict_classes(X))
    assert fastnn.load(tmp_path / "net.safetensors").n_threads == 3
    with pytest.raises(AttributeError, match=r"keeps the n_threads .*; net\.copy\(n_threads"):
        net.n_threads = 1
    for call in (net.copy, lambda **options: fastnn.load(tmp_path / "net.safetensors", **options)):
        with pytest.raises(ValueError, match="n_threads must be from 1"):
            call(n_threads=0)


def test_a_pickle_opens_in_another_process(tmp_path):
    net = network()
    net.fit(X, Y)
    (tmp_path / "net.pkl").write_bytes(pickle.dumps((net, X, net.predict(X))))
    code = (
        "import pickle, sys; net, X, y = pickle.load(open(sys.argv[1], 'rb'));"
        "assert net.predict(X).tobytes() == y.tobytes()"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "net.pkl"], check=True, cwd=tmp_path)


def test_the_thread_count_of_this_machine_is_not_pickled():
    net = network()
    assert pickle.loads(pickle.dumps(net)).get_config()["n_threads"] is None
    assert pickle.loads(pickle.dumps(network(n_threads=3))).n_threads == 3


# ---- callbacks ----------------------------------------------------------------------------------


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs):
        self.calls.append("train begin")

    def on_train_end(self, logs):
        self.calls.append("train end")

    def on_epoch_begin(self, epoch, logs):
        self.calls.append(f"begin {epoch}")

    def on_epoch_end(self, epoch, logs):
        assert self.model.predict(X).shape == (40, 2)
        self.calls.append(f"end {epoch} {sorted(logs)}")


def test_hooks_are_called_in_turn():
    recorder = Recorder()
    network().fit(X, Y, epochs=2, callbacks=[recorder], validation_data=(X, Y))
    assert recorder.calls == [
        "train begin",
        "begin 0",
        "end 0 ['loss', 'val_loss']",
        "begin 1",
        "end 1 ['loss', 'val_loss']",
        "train end",
    ]


def test_a_callback_can_stop_training():
    class Stop(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = epoch == 2

    net = network()
    assert net.fit(X, Y, epochs=10, callbacks=[Stop()]).epoch == [0, 1, 2]
    assert len(net.fit(X, Y, epochs=2).epoch) == 2


def test_a_callback_that_raises_leaves_the_network_usable():
    class Raise(Callback):
        def on_epoch_end(self, epoch, logs):
            raise OSError("disk full")

    net = network()
    with pytest.raises(OSError, match="disk full"):
        net.fit(X, Y, epochs=3, callbacks=[Raise()])
    assert net.step == 2
    net.fit(X, Y)


def test_fitting_from_within_fit_is_refused():
    class Again(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.fit(X, Y)

    with pytest.raises(RuntimeError, match="being fitted already"):
        network().fit(X, Y, callbacks=[Again()])


def test_ctrl_c_leaves_whole_steps():
    """A signal during an epoch raises KeyboardInterrupt between two steps.

    The signal is sent once steps have been made; the fit does not end by itself.
    """
    code = """
import os, signal, threading, time
import numpy as np
from fastnn import MLP, Dense

def interrupt():
    while net.step == 0:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

net = MLP(64, [Dense(64, "relu"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
X, y = np.ones((200_000, 64), np.float32), np.ones(200_000)
threading.Thread(target=interrupt).start()
try:
    net.fit(X, y, batch_size=1, epochs=10**9, shuffle=False)
except KeyboardInterrupt:
    assert net.step > 0 and np.isfinite(net.predict(X[:1])).all()
    net.fit(X[:10], y[:10])
else:
    raise SystemExit("not interrupted")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=LONG)


# ---- what it prints -----------------------------------------------------------------------------


def test_verbose_prints_a_line_an_epoch(capsys):
    network().fit(X, Y, epochs=10, verbose=1, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    for i, line in enumerate(lines, 1):
        assert line.startswith(f"epoch {i:>2}/10  loss ")
        assert "val_loss" in line
        assert line.endswith("samples/s")


def test_it_is_silent_unless_asked(capsys):
    network().fit(X, Y, epochs=2)
    assert capsys.readouterr() == ("", "")


def test_summary_counts_parameters(capsys):
    net = network()
    net.summary()
    output = capsys.readouterr().out
    assert "Dropout 0.2" in output
    assert "elu(0.5)" in output
    assert f"{sum(w.size for w in net.get_weights())} parameters, float32, huber, adam" in output


def test_reprs_are_short():
    assert repr(network()) == "<MLP 6-20-7-2, huber, adam, float32>"
    assert repr(network().fit(X, Y, epochs=2)).startswith("<History of 2 epochs: loss=")


def test_quantiles_for_each_output():
    net = MLP(6, [Dense(3)], loss=Quantile((0.1, 0.5, 0.9)), optimizer="adam", seed=0)
    net.fit(X, np.repeat(Y[:, :1], 3, axis=1), epochs=400)
    low, middle, high = net.predict(X).mean(axis=0)
    assert low < middle < high


@pytest.mark.parametrize("name", sorted(MLP._BUILT_WITH))
def test_what_a_network_was_built_with_cannot_be_set(name):
    net = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    for other in (net, net.copy(), pickle.loads(pickle.dumps(net))):
        before = getattr(other, name)
        with pytest.raises(AttributeError, match=f"keeps the {name} that it was built"):
            setattr(other, name, before)
        assert getattr(other, name) is before
    net.learning_rate = 0.5
    assert net.optimizer == fastnn.SGD(0.5)
