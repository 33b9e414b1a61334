"""LayerNorm and Residual: the stages that are neither products nor masks.

Gradients are compared with central differences and the reference, values with PyTorch and Keras,
trainings bit by bit on several numbers of threads; files; and what is refused.
"""

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activate,
    Activation,
    Adam,
    AdamW,
    Dense,
    Dropout,
    LayerNorm,
    ModelFileError,
    Residual,
    Standardize,
    check_gradients,
    layers,
    reference,
)
from fastnn.training.binding import ROUNDING

EXACT = {"rtol": 1e-10, "atol": 1e-10}

STACKS = {  # name: layers behind five inputs, two outputs
    "norm of inputs": [LayerNorm(), Dense(2)],
    "norm between": [Dense(19, "tanh"), LayerNorm(), Dense(2)],
    "norm of one panel": [Dense(16, "gelu"), LayerNorm(1e-3), Dense(2)],
    "frozen norm": [Dense(19, "tanh"), LayerNorm(trainable=False), Dense(7, "silu"), Dense(2)],
    "norm below frozen layers": [LayerNorm(), Dense(9, "tanh", trainable=False), Dense(2)],
    "norm and dropout": [Dense(19, "tanh"), LayerNorm(), Dropout(0.3), Dense(2)],
    "dropout and norm": [Dense(19, "tanh"), Dropout(0.3), LayerNorm(), Dense(2)],
    "sum": [Dense(9, "tanh"), Residual([Dense(20, "tanh"), Dense(9)]), Dense(2)],
    "sum over the inputs": [Residual([Dense(5, "sigmoid")]), Dense(2)],
    "sum of one norm": [Dense(9, "tanh"), Residual([LayerNorm()]), Dense(2)],
    "sums in a row": [Residual([Dense(5, "tanh")]), Residual([Dense(5, "tanh")]), Dense(2)],
    "sums in sums": [
        Residual(
            [Dense(9, "tanh"), Residual([LayerNorm(), Residual([Dense(9, "gelu")])]), Dense(5)]
        ),
        Dense(2),
    ],
    "sum and dropouts": [
        Dropout(0.1),
        Residual([Dropout(0.2), Dense(9, "tanh", l1=1e-3), Dropout(0.3), Dense(5, l2=1e-3)]),
        Dropout(0.4),
        Dense(2),
    ],
    "standardized": [Standardize(), Residual([LayerNorm(), Dense(5, "tanh")]), Dense(2)],
    "norm and activation": [Dense(19), LayerNorm(), Activate("relu"), Dense(2)],
    "norm, activation of slopes, dropout": [
        Dense(19),
        LayerNorm(),
        Activate("gelu"),
        Dropout(0.3),
        Activate("elu"),
        Dense(2),
    ],
    "activations of inputs": [Activate("tanh"), Activate(Activation("leaky_relu", 0.3)), Dense(2)],
    "activations and sums": [
        Residual([Activate("silu"), Dense(5), Activate("tanh")]),
        Activate("softplus"),
        Residual([Activate("mish")]),
        Dropout(0.1),
        Activate("identity"),
        Dense(2),
    ],
    "frozen below an activation": [
        Dense(9, "tanh", trainable=False),
        LayerNorm(trainable=False),
        Activate("mish"),
        Dense(2),
    ],
    "frozen below a sum": [
        Dense(9, "tanh", trainable=False),
        Residual([Dense(9, "tanh", trainable=False), LayerNorm()]),
        Dense(2),
    ],
}


@pytest.fixture(params=STACKS, ids=str)
def stack(request):
    return STACKS[request.param]


def network(stack, optimizer="sgd", dtype="float64", **options):
    """Return a network whose gains, biases and shifts are not those it starts with."""
    net = MLP(5, stack, loss="squared_error", optimizer=optimizer, dtype=dtype, seed=3, **options)
    rng = np.random.default_rng(4)
    if any(layer.comes_first for layer in stack):
        net.adapt(rng.normal(2, 3, (50, 5)))
    net.set_weights([w + 0.2 * rng.standard_normal(w.shape) for w in net.get_weights()])
    return net


def rows(n, dtype="float64"):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, 5)).astype(dtype), rng.normal(size=(n, 2)).astype(dtype)


# ---- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 5, 40])
def test_gradients_are_those_of_the_reference(isa, stack, n):
    net, (X, y) = network(stack), rows(n)
    twin = reference.Network.like(net)
    loss, gradients = net.loss_and_gradients(X, y, training=True)
    truth, expected = twin.loss_and_gradients(X, y, training=True)
    np.testing.assert_allclose(loss, truth, **EXACT)
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


def test_gradients_against_central_differences(isa, stack):
    assert check_gradients(network(stack), *rows(7)) < 1e-6


def test_input_gradients_against_differences(isa, stack):
    net, (X, _) = network(stack), rows(6)
    predict, found = reference.Network.like(net).predict, net.jacobian(X)
    for i, step in enumerate(1e-5 * np.eye(5)):
        slope = (predict(X + step) - predict(X - step)) / 2e-5
        np.testing.assert_allclose(found[:, :, i], slope, rtol=1e-6, atol=1e-8)


# ---- training -----------------------------------------------------------------------------------


OPTIMIZERS = [
    SGD(0.02),
    SGD(0.002, momentum=0.9),
    Adam(0.01),
    AdamW(0.01, weight_decay=0.1),
    Adam(0.01, clipvalue=0.01),
    SGD(0.02, clipnorm=0.1),
    SGD(0.02, global_clipnorm=0.1),
    Adam(0.01, use_ema=True),
]


@pytest.mark.parametrize("batch", [1, 4, 7, 40])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_is_that_of_the_reference(stack, optimizer, batch):
    net, (X, y) = network(stack, optimizer), rows(40)
    twin = reference.Network.like(net)
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(40)
        loss = net.fit(X[order], y[order], batch_size=batch, shuffle=False).history["loss"][0]
        np.testing.assert_allclose(loss, twin.fit_epoch(X, y, order, batch), **EXACT)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)
    if optimizer.use_ema:
        for ours, theirs in zip(net.get_ema_weights(), twin.average, strict=True):
            np.testing.assert_allclose(ours, theirs, **EXACT)


@pytest.mark.parametrize("batch", [1, 30, 1100])
def test_bits_do_not_depend_on_threads(isa, stack, batch):
    X, y = rows(1200 if batch > 1000 else 60, "float32")
    found = set()
    for n_threads in (1, 2, 3):
        net = network(stack, Adam(0.01), "float32")
        net.fit(X, y, batch_size=batch, epochs=2, n_threads=n_threads)
        found.add(b"".join(w.tobytes() for w in net.get_weights()))
    assert len(found) == 1


def test_predictions_do_not_depend_on_the_batch(isa, stack):
    net, (X, _) = network(stack, dtype="float32"), rows(200, "float32")
    whole = net.predict(X)
    for n in (1, 2, 5, 96, 97):
        assert np.array_equal(net.predict(X[:n]), whole[:n])


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
    net, (X, y) = network(STACKS["norm between"]), rows(9)
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
    net = network(STACKS["sum of one norm"])
    z, unit, total, y = net.activations(rows(3)[0])
    assert np.array_equal(total, z + unit)
    assert np.array_equal(y, net.predict(rows(3)[0]))


# ---- specifications and files -------------------------------------------------------------------


def test_kinds_have_a_place_everywhere(kernels):
    assert set(reference.TWINS) == set(layers.KINDS)
    pieces = {kind.name for kind in layers.PIECES}
    assert pieces | set(ROUNDING.values()) == set(kernels.registry()["stages"])


def test_files_keep_the_layers(stack, tmp_path):
    net, (X, y) = network(stack, Adam(0.01)), rows(30)
    net.fit(X, y, epochs=2)
    net.save(tmp_path / "net.safetensors")
    twin = fastnn.load(tmp_path / "net.safetensors")
    assert twin.layers == net.layers
    for one in (net, twin):
        one.fit(X, y, epochs=2)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_configurations_build_the_same(stack):
    net = network(stack)
    assert MLP.from_json(net.to_json()).layers == net.layers


def test_a_file_whose_layers_do_not_fit_is_refused(tmp_path):
    net = network(STACKS["sum"])
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
    network(STACKS["sum of one norm"]).summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:8]] == [
        "input", "Dense", "Fork", "LayerNorm", "Sum", "Dense",
    ]  # fmt: skip


def test_layers_within_others_are_dense_too():
    net = network(STACKS["sum and dropouts"])
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
def test_what_does_not_fit_is_refused(make, fragment):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert fragment in str(caught.value)
