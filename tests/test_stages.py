"""LayerNorm and Residual: the stages that are neither products nor masks.

Values are compared with PyTorch and Keras; then initial values, and what is refused. Not here: what
all layers promise (test_layers.py).
"""

import numpy as np
import pytest
from comparing import refuses
from layer_stacks import NORMS_AND_SUMS, network, rows

import fastnn
from fastnn import MLP, Adam, AdamW, Dense, LayerNorm, ModelFileError, Residual, Standardize

# ---- training -----------------------------------------------------------------------------------


def test_frozen_norms_stay():
    net = network([Dense(6, "tanh"), LayerNorm(trainable=False), Dense(2)], Adam(0.1))
    before = net.get_weights()
    net.fit(*rows(20), epochs=3)
    changed = [not np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True)]
    assert changed == [True, True, False, False, True, True]


def test_weight_decay_leaves_gain_and_bias_alone():
    """Where the gradient is 0 only decay changes parameters."""
    net = network([Dense(6), LayerNorm(), Dense(2)], AdamW(0.1, weight_decay=0.5))
    weights = net.get_weights()
    weights[-2][:], weights[-1][:] = 0, 0
    net.set_weights(weights)
    net.fit(rows(10)[0], np.zeros((10, 2)), batch_size=None)
    W0, _, gain, bias = net.get_weights()[:4]
    assert np.allclose(W0, 0.95 * weights[0])
    assert np.array_equal(gain, weights[2])
    assert np.array_equal(bias, weights[3])


# ---- other libraries' numbers -------------------------------------------------------------------


def test_layer_norm_is_torchs():
    torch = pytest.importorskip("torch")
    net, (X, y) = network(NORMS_AND_SUMS["norm between"]), rows(9)
    W0, b0, gain, bias, W1, b1 = (torch.from_numpy(w).requires_grad_() for w in net.get_weights())
    z = torch.tanh(torch.from_numpy(X) @ W0 + b0)
    z = torch.nn.functional.layer_norm(z, (19,), gain, bias, eps=1e-5)
    out = z @ W1 + b1
    loss = 0.5 * ((out - torch.from_numpy(y)) ** 2).sum(1).mean()
    loss.backward()
    value, gradients = net.loss_and_gradients(X, y)
    np.testing.assert_allclose(net.predict(X), out.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-12)
    for ours, theirs in zip(gradients, (W0, b0, gain, bias, W1, b1), strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras on its backend
def test_layer_norm_is_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    net, (X, _) = network([LayerNorm(1e-3), Dense(2)]), rows(9)
    gain, bias = net.get_weights()[:2]
    theirs = keras.layers.LayerNormalization(epsilon=1e-3, dtype="float64")
    theirs.build((None, 5))
    theirs.set_weights([gain, bias])
    expected = keras.ops.convert_to_numpy(theirs(X))
    np.testing.assert_allclose(net.activations(X)[0], expected, atol=1e-6)  # float32 there


# ---- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 67, 130])
def test_any_width(isa, dtype, n):
    net = MLP(n, [LayerNorm(), Dense(1)], loss="squared_error", optimizer="sgd", dtype=dtype)
    X = np.random.default_rng(n).normal(3, 5, (6, n)).astype(dtype)
    x = X.astype("float64")
    x -= x.mean(1, keepdims=True)
    truth = x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-5)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(net.activations(X)[0], truth, rtol=0, atol=100 * eps)


def test_equal_numbers_give_the_bias():
    net = MLP(4, [LayerNorm(), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    net.set_weights([[2, 2, 2, 2], [1, 2, 3, 4], *net.get_weights()[2:]])
    assert net.activations([[7.0] * 4])[0].tolist() == [[1, 2, 3, 4]]


def test_activations_are_of_norms_and_sums_too():
    net = network(NORMS_AND_SUMS["sum of one norm"])
    z, unit, total, y = net.activations(rows(3)[0])
    assert np.array_equal(total, z + unit)
    assert np.array_equal(y, net.predict(rows(3)[0]))


# ---- specifications and files -------------------------------------------------------------------


def test_a_file_whose_layers_do_not_fit_is_refused(tmp_path):
    net = network(NORMS_AND_SUMS["sum"])
    path = tmp_path / "net.safetensors"
    net.save(path)
    path.write_bytes(path.read_bytes().replace(b"residual", b"rezidual"))
    with pytest.raises(ModelFileError):
        fastnn.load(path)


def test_initial_values():
    net = MLP(3, [LayerNorm(), Dense(2)], loss="squared_error", optimizer="sgd", seed=0)
    gain, bias = net.get_weights()[:2]
    assert gain.tolist() == [1, 1, 1]
    assert bias.tolist() == [0, 0, 0]
    plain = MLP(3, [Dense(2)], loss="squared_error", optimizer="sgd", seed=0)
    assert np.array_equal(net.get_weights()[2], plain.get_weights()[0])


def test_summary_has_a_line_for_each(capsys):
    network(NORMS_AND_SUMS["sum of one norm"]).summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:8]] == [
        "input", "Dense", "Fork", "LayerNorm", "Sum", "Dense",
    ]  # fmt: skip


def test_layers_within_others_are_dense_too():
    net = network(NORMS_AND_SUMS["sum and dropouts"])
    assert [layer.units for layer in net.dense] == [9, 5, 2]
    assert np.allclose(net.dropout_rates, [0.2, 0.3, 0.4])


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: LayerNorm(0.0), "epsilon must be"),
        (lambda: LayerNorm(-1.0), "epsilon must be"),
        (lambda: LayerNorm("1e-5"), "epsilon must be a number"),
        (lambda: LayerNorm(trainable=1), "trainable must be True or False"),
        (lambda: Residual([]), "at least one layer"),
        (lambda: Residual(Dense(3)), "must be a list"),
        (lambda: Residual([3]), "layers[0] must be a layer"),
        (lambda: Residual([Standardize()]), "must be the first layer of the network"),
        (lambda: Residual([Dense(3, "softmax")]), "softmax, which is for the output layer only"),
        (lambda: network([Residual([Dense(4)]), Dense(2)]), "takes 5 inputs here, but"),
        (lambda: network([Dense(2), LayerNorm()]), "must end with a Dense"),
        (lambda: network([Dense(5), Residual([Dense(5)])]), "must end with a Dense"),
        (lambda: network([LayerNorm()]), "at least one Dense"),
    ],
)
def test_invalid_arguments_are_refused(make, fragment):
    refuses((TypeError, ValueError), [fragment], make)
