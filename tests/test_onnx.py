"""fastnn.onnx: written files predict the same in ONNX Runtime, read files the same in fastnn.

Tests that files are valid, that every activation and layer can be written in both precisions, that
graphs of other exporters are read, and that an error names the node that no MLP can express.

Not here: PyTorch's and scikit-learn's own objects (test_interop.py).
"""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from onnx_graphs import (
    assert_close,
    composed,
    helper,
    model_of,
    node,
    numpy_helper,
    onnx,
    read_and_compare,
    run,
    saved,
)

import fastnn
from fastnn import MLP, Activation, Adam, Dense, Dropout, ModelFileError, Standardize
from fastnn.exchange import onnx_writer
from fastnn.layers import Activate, LayerNorm, Residual

DTYPES = ["float32", "float64"]
#: Of ONNX Runtime's outputs, relative to the larger of 1 and their size.
CLOSE = {"float32": 1e-5, "float64": 1e-12}


def network(rng, layers, n_in=5, dtype="float32"):
    """Return a network with weights and biases that are all drawn, and rows for it."""
    net = MLP(n_in, layers, loss="squared_error", optimizer="adam", dtype=dtype, seed=0)
    net.set_weights([rng.normal(0, 0.4, array.shape) for array in net.get_weights()])
    X = rng.normal(1, 1, (37, n_in)).astype(dtype)
    if isinstance(layers[0], Standardize):
        net.adapt(X)
    return net, X


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "net.onnx")


# ---- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_activation_of_the_output_is_the_runtimes(activation, dtype, path, rng):
    net, X = network(rng, [Dense(4, activation)], dtype=dtype)
    fastnn.onnx.export(net, path)
    onnx.checker.check_model(path, full_check=True)
    assert_close(run(path, X), net.predict(X), CLOSE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_hidden_activation_is_the_runtimes(hidden, dtype, path, rng):
    layers = [Standardize(), Dense(9, hidden), Dropout(0.5), Dense(7, hidden, use_bias=False)]
    net, X = network(rng, [*layers, Dense(3, "softmax")], dtype=dtype)
    fastnn.onnx.export(net, path)
    onnx.checker.check_model(path, full_check=True)
    assert_close(run(path, X), net.predict(X), CLOSE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", fastnn.activations.NAMES)
def test_activations_far_from_0_and_at_it(name, dtype, path):
    net = MLP(2, [Dense(2, name)], loss="squared_error", optimizer="sgd", dtype=dtype)
    net.set_weights([np.eye(2), [0, 0]])
    ends = [-80, -30, -10, -5, -1e-3, 0, 1e-3, 5, 10, 30, 80]
    X = np.array([ends, ends[::-1]], dtype).T.copy()
    fastnn.onnx.export(net, path)
    assert_close(run(path, X), net.predict(X), CLOSE[dtype])


def test_gelu_in_float64_is_right_to_rounding_everywhere(path):
    net = MLP(1, [Dense(1, "gelu")], loss="squared_error", optimizer="sgd", dtype="float64")
    net.set_weights([[[1]], [0]])
    fastnn.onnx.export(net, path)
    X = np.concatenate([np.linspace(-40, 40, 8001), [-1e300, -1e6, -1e-300, 1e6]])[:, None]
    assert_close(run(path, X), net.predict(X), 4 * np.finfo(float).eps)


@pytest.mark.parametrize("name", ["softplus", "mish"])
def test_activations_composed_in_float64_keep_their_tails(name, path):
    net = MLP(1, [Dense(1, name)], loss="squared_error", optimizer="sgd", dtype="float64")
    net.set_weights([[[1]], [0]])
    fastnn.onnx.export(net, path)
    X = np.concatenate([np.linspace(-700, 40, 8001), np.linspace(-40, -30, 101), [-1e300]])[:, None]
    np.testing.assert_allclose(run(path, X), net.predict(X), rtol=8 * np.finfo(float).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_the_largest_outputs_do_not_overflow(name, dtype, path):
    net = MLP(1, [Dense(1, name)], loss="squared_error", optimizer="sgd", dtype=dtype)
    net.set_weights([[[1]], [0]])
    fastnn.onnx.export(net, path)
    largest = 0.9 * np.finfo(dtype).max
    X = np.array([[largest], [-largest]], dtype)
    np.testing.assert_array_equal(run(path, X), net.predict(X))


NORMS = [LayerNorm(), Dense(9, "tanh"), LayerNorm(1e-3), Dropout(0.5), Dense(7), LayerNorm()]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [[], [Standardize()]], ids=["", "standardized"])
def test_a_layer_norm_is_the_runtimes(first, dtype, path, rng):
    net, X = network(rng, [*first, *NORMS, Dense(3, "softmax")], dtype=dtype)
    fastnn.onnx.export(net, path)
    onnx.checker.check_model(path, full_check=True)
    assert_close(run(path, X), net.predict(X), CLOSE[dtype])
    twin = fastnn.from_onnx(path)
    assert_close(twin.predict(X), net.predict(X), 64 * np.finfo(dtype).eps)
    assert [type(layer) for layer in twin.layers] == [
        type(layer) for layer in net.layers if not isinstance(layer, Dropout)
    ]
    found = [layer.epsilon for layer in twin.layers if isinstance(layer, LayerNorm)]
    np.testing.assert_allclose(found, [1e-5, 1e-3, 1e-5], rtol=1e-12)
    for one, other in zip(twin.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=4e-16)


def test_only_a_layer_norm_needs_newer_operators(path, rng):
    versions = []
    for layers, dtype in (([], "float32"), (NORMS, "float32"), (NORMS, "float64")):
        fastnn.onnx.export(network(rng, [*layers, Dense(1)], dtype=dtype)[0], path)
        model = onnx.load(path)
        versions.append((model.opset_import[0].version, model.ir_version))
    assert versions == [(13, 7), (17, 8), (13, 7)]


RESIDUALS = {
    "first": [Residual([Dense(5, "tanh")])],
    "twice": [Dense(4), Residual([Dense(4, "relu")]), Residual([Dense(6, "relu"), Dense(4)])],
    "nested": [
        Residual([LayerNorm(), Residual([Dense(7, "silu"), Dense(5)]), Dense(5, "gelu")]),
        Dense(3, "elu"),
    ],
    "nested at both ends": [Dense(6, "silu"), Residual([Residual([Residual([Dense(6, "selu")])])])],
    "normalized": [Residual([LayerNorm(), Dense(9, "gelu"), Dropout(0.5), Dense(5)]), LayerNorm()],
    "of a norm": [Residual([LayerNorm()]), Residual([LayerNorm(0.1), Dense(5)])],
    "composed": [Dense(6, "softplus"), Residual([Dense(6, "softplus")]), Dense(6, "silu")],
    "activated": [
        Dense(6),
        LayerNorm(),
        Activate("relu"),
        Residual([Dense(6, "tanh")]),
        Activate("silu"),
        Residual([Activate("gelu_tanh"), Dense(6), LayerNorm(), Activate("mish")]),
        Activate("elu"),
    ],
    "activated inputs": [Activate("tanh"), Residual([Activate("softplus")]), Dense(4)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", [[], [Standardize()]], ids=["", "standardized"])
@pytest.mark.parametrize("name", RESIDUALS)
def test_a_residual_is_the_runtimes_and_comes_back(name, first, dtype, path, rng):
    net, X = network(rng, [*first, *RESIDUALS[name], Dense(3, "softmax")], dtype=dtype)
    fastnn.onnx.export(net, path)
    onnx.checker.check_model(path, full_check=True)
    assert_close(run(path, X), net.predict(X), CLOSE[dtype])
    twin = fastnn.from_onnx(path)
    assert_close(twin.predict(X), net.predict(X), 64 * np.finfo(dtype).eps)
    assert outline(twin.layers) == outline(net.layers)
    for one, other in zip(twin.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=4e-16)


def outline(layers):
    """Return layers' kinds and widths, without Dropout."""
    return [
        outline(layer.layers)
        if isinstance(layer, Residual)
        else (type(layer), getattr(layer, "units", None), str(getattr(layer, "activation", "")))
        for layer in layers
        if not isinstance(layer, Dropout)
    ]


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_any_number_of_rows(n, path, rng):
    net, _ = network(rng, [Dense(6, "relu"), Dense(1)])
    fastnn.onnx.export(net, path)
    X = rng.normal(size=(n, 5)).astype("float32")
    assert_close(run(path, X), net.predict(X), 1e-5)


def test_deep_and_narrow_networks(path, rng):
    net, X = network(rng, [*(Dense(3, "tanh") for _ in range(30)), Dense(1)])
    fastnn.onnx.export(net, path)
    assert_close(run(path, X), net.predict(X), 1e-5)


def test_a_graph_says_who_made_it_and_what_its_columns_are(path, rng):
    net = MLP(5, [Dense(2, "softmax")], loss="cross_entropy", optimizer="adam")
    net.feature_names = tuple("abcde")
    net.metadata, net.classes = {"place": "Köln"}, ("no", "größer")
    fastnn.onnx.export(net, path, input_name="X", output_name="proba")
    model = onnx.load(path)
    assert (model.producer_name, model.producer_version) == ("fastnn", fastnn.__version__)
    [given], [made] = model.graph.input, model.graph.output
    assert (given.name, made.name) == ("X", "proba")
    shapes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (given, made)
    ]
    assert shapes == [["n", 5], ["n", 2]]
    twin = fastnn.from_onnx(path)
    assert twin.feature_names == net.feature_names
    assert (twin.metadata, twin.classes) == (net.metadata, net.classes)


def test_names_that_the_graph_would_use_itself(path, rng):
    net, X = network(rng, [Dense(3, "gelu"), Dense(2, "gelu")])
    fastnn.onnx.export(net, path, input_name="layers.0.W", output_name="Gemm_0")
    onnx.checker.check_model(path, full_check=True)
    assert_close(run(path, X), net.predict(X), 1e-5)


def test_dropout_and_identity_take_no_nodes(path, rng):
    net, _ = network(rng, [Dropout(0.1), Dense(2), Dropout(0.5), Dense(2)])
    fastnn.onnx.export(net, path)
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Gemm", "Gemm"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 3])
def test_the_mean_of_several_networks_is_the_runtimes(n, dtype, path, rng):
    layers = [Dense(4, "tanh"), Dense(2)]
    nets = [network(rng, layers, dtype=dtype)[0] for _ in range(n)]
    X = rng.normal(1, 1, (37, 5)).astype(dtype)
    fastnn.onnx.export(nets, path)
    expected = np.mean([net.predict(X) for net in nets], axis=0)
    assert_close(run(path, X), expected, CLOSE[dtype])
    if n > 1:
        with pytest.raises(ValueError, match=r"the mean of several networks, .* fastnn.load"):
            fastnn.from_onnx(path)


def test_networks_that_are_not_trained_are_left_out(path, rng):
    nets = [network(rng, [Dense(2)])[0] for _ in range(3)]
    fits, X = fastnn.Fits(nets), rng.normal(size=(7, 5)).astype("f4")
    with pytest.raises(ValueError, match="none of these networks is trained"):
        fastnn.onnx.export(fits, path)
    for number in (0, 2):
        fits.statuses[number] = fastnn.Status("finished", 1)
    fastnn.onnx.export(fits, path)
    assert_close(run(path, X), fits.predict(X, "mean").astype("f4"), 1e-5)


def test_networks_of_other_classes_are_refused(path):
    layers = [Dense(2, "softmax")]
    nets = [MLP(5, layers, loss="cross_entropy", optimizer="adam", seed=i) for i in range(2)]
    nets[0].classes, nets[1].classes = ("a", "b"), ("b", "a")
    with pytest.raises(ValueError, match=r"net\[1\] differs from net\[0\] in its classes"):
        fastnn.onnx.export(nets, path)


def test_writing_leaves_the_network_as_it_was(path, rng):
    net, X = network(rng, [Standardize(), Dense(3, "elu"), Dense(1)])
    before = net.predict(X), net.get_weights()
    fastnn.onnx.export(net, path)
    np.testing.assert_array_equal(net.predict(X), before[0])
    for one, other in zip(net.get_weights(), before[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_file_that_cannot_be_written_stays_as_it_was(call, path, rng, monkeypatch):
    net, _ = network(rng, [Dense(1)])
    fastnn.onnx.export(net, path)
    with open(path, "rb") as file:
        old = file.read()

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            fastnn.onnx.export(network(rng, [Dense(2)])[0], path)
    with open(path, "rb") as file:
        assert file.read() == old
    assert os.listdir(os.path.dirname(path)) == ["net.onnx"]


def test_a_full_disk_leaves_nothing_half_written(path):
    code = """
import resource, signal, sys, fastnn
from fastnn import MLP, Dense
net = MLP(100, [Dense(100)], loss="squared_error", optimizer="sgd")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    fastnn.onnx.export(net, sys.argv[1])
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    assert done.stdout == "File too large\n"
    assert os.listdir(os.path.dirname(path)) == []


def test_what_cannot_be_exported_says_so(path, rng, monkeypatch):
    net, _ = network(rng, [Dense(1)])
    with pytest.raises(ValueError, match="input_name and output_name are both 'input'; give two"):
        fastnn.onnx.export(net, path, output_name="input")
    with pytest.raises(ValueError, match="output_name must not be empty"):
        fastnn.onnx.export(net, path, output_name="")
    with pytest.raises(ValueError, match=r"input_name must be text that UTF-8 can hold; got '\\ud"):
        fastnn.onnx.export(net, path, input_name="\udcff")
    with pytest.raises(TypeError, match="input_name must be a str; got 3"):
        fastnn.onnx.export(net, path, input_name=3)
    with pytest.raises(TypeError, match="net must be an MLP or a fitted estimator; got 'net'"):
        fastnn.onnx.export("net", path)
    with pytest.raises(TypeError, match="path must be a str or a path"):
        fastnn.onnx.export(net, 3)
    net.metadata["a set"] = {1}
    with pytest.raises(ValueError, match=r"net\.metadata cannot be written as JSON"):
        fastnn.onnx.export(net, path)
    unadapted = MLP(1, [Standardize(), Dense(1)], loss="squared_error", optimizer="sgd")
    with pytest.raises(ValueError, match="Standardize"):
        fastnn.onnx.export(unadapted, path)
    monkeypatch.setattr(onnx_writer, "_MOST_BYTES", 20)
    with pytest.raises(
        ValueError, match="the weights take 24 bytes but an ONNX file holds at most 20"
    ):
        fastnn.onnx.export(network(rng, [Dense(1)])[0], path)
    assert not os.path.exists(path)


def test_without_onnx(path, monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = "^fastnn.onnx needs onnx; install it with pip install onnx$"
    with pytest.raises(ImportError, match=message):
        fastnn.onnx.export(network(rng, [Dense(1)])[0], path)
    with pytest.raises(ImportError, match=message):
        fastnn.from_onnx(path)


# ---- reading what was written -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_comes_back(activation, dtype, path, rng):
    middle = "relu" if activation.name == "softmax" else activation
    layers = [Standardize(), Dense(9, middle), Dense(6, "silu", use_bias=False)]
    net, X = network(rng, [*layers, Dense(3, activation)], dtype=dtype)
    fastnn.onnx.export(net, path)
    twin = fastnn.from_onnx(path)
    assert [type(layer) for layer in twin.layers] == [type(layer) for layer in net.layers]
    for one, other in zip(twin.dense, net.dense, strict=True):
        assert one.activation.name == other.activation.name
        alphas = one.activation.alpha or 0.0, other.activation.alpha or 0.0
        assert alphas[0] == pytest.approx(alphas[1], rel=1e-12)
        assert one.use_bias == other.use_bias
    for one, other in zip(twin.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert_close(twin.predict(X), net.predict(X), 64 * np.finfo(dtype).eps)


def test_biases_that_are_0_come_back(path):
    net = MLP(3, [Dense(4, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    fastnn.onnx.export(net, path)
    twin = fastnn.from_onnx(path)
    assert [layer.use_bias for layer in twin.dense] == [True, True]
    twin.set_weights(net.get_weights())


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ("softmax", "cross_entropy"),
        ("sigmoid", "binary_cross_entropy"),
        ("exp", "poisson"),
        ("tanh", "squared_error"),
    ],
)
def test_the_loss_is_the_outputs_own_unless_it_is_given(output, loss, path, rng):
    net, _ = network(rng, [Dense(2, output)])
    fastnn.onnx.export(net, path)
    assert fastnn.from_onnx(path).loss.name == loss
    twin = fastnn.from_onnx(path, loss="huber", optimizer=Adam(0.5), seed=3)
    assert (twin.loss.name, twin.learning_rate, twin.seed) == ("huber", 0.5, 3)


def test_a_network_that_was_read_learns(path, rng):
    net, X = network(rng, [Standardize(), Dense(20, "relu"), Dense(1)])
    fastnn.onnx.export(net, path)
    twin, y = fastnn.from_onnx(path, optimizer=Adam(0.01), seed=0), X[:, 0]
    before = twin.evaluate(X, y)
    twin.fit(X, y, epochs=100)
    assert twin.evaluate(X, y) < 0.1 * before
    np.testing.assert_allclose(twin.standardization, net.standardization, rtol=1e-6)


def test_an_activation_for_logits(path, rng):
    net, X = network(rng, [Dense(3)])
    fastnn.onnx.export(net, path)
    twin = fastnn.from_onnx(path, output="softmax")
    logits = net.predict(X).astype(float)
    e = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(twin.predict(X), e / e.sum(1, keepdims=True), rtol=1e-5)
    assert twin.loss.name == "cross_entropy"


# ---- reading others' graphs ---------------------------------------------------------------------


@pytest.fixture
def constants(rng):
    """Weights by name, as the tests' graphs use them."""
    shapes = {"W": (3, 4), "b": (4,), "V": (2, 4), "c": (1, 2), "mean": (3,), "row": (1, 3)}
    found = {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    return found | {"std": rng.uniform(0.5, 2, 3).astype("f4"), "two": np.float32(2)}


def test_a_graph_as_pytorch_exports_it(path, rng, constants):
    nodes = [
        node("Flatten", "x", out="flat", axis=1),
        node("Transpose", "W", out="Wt", perm=[1, 0]),
        node("Gemm", "flat", "Wt", "b", out="a", transB=1),
        node("Elu", "a", out="z", alpha=0.2),
        node("Dropout", "z", "rate", out="dropped"),
        node("Gemm", "dropped", "V", "c", out="logits", transB=1, alpha=0.5, beta=2.0),
        node("Softmax", "logits", out="y", axis=1),
    ]
    saved(path, nodes, constants | {"rate": np.float32(0.3)})
    net = read_and_compare(path, rng)
    assert repr(net) == "<MLP 3-4-2, cross_entropy, adam, float32>"
    assert net.dense[0].activation == Activation("elu", 0.2)
    assert net.layers[1] == Dropout(0.3)


def test_a_graph_as_skl2onnx_exports_it(path, rng, constants):
    nodes = [
        node("Cast", "x", out="cast", to=onnx.TensorProto.FLOAT),
        node("Sub", "cast", "mean", out="centred"),
        node("Div", "centred", "std", out="scaled"),
        node("MatMul", "scaled", "W", out="product"),
        node("Add", "product", "b", out="a"),
        node("Relu", "a", out="z"),
        node("MatMul", "z", "Vt", out="product2"),
        node("Add", "c", "product2", out="a2"),
        node("Identity", "a2", out="a3"),
        node("Sigmoid", "a3", out="p"),
        node("Reshape", "p", "shape", out="y"),
    ]
    extra = {"Vt": constants["V"].T.copy(), "shape": np.array([-1, 2])}
    net = read_and_compare(saved(path, nodes, constants | extra), rng)
    assert [type(layer) for layer in net.layers] == [Standardize, Dense, Dense]
    np.testing.assert_array_equal(net.standardization, [constants["mean"], constants["std"]])
    assert net.loss.name == "binary_cross_entropy"


def test_normalization_by_factors_and_offsets(path, rng, constants):
    nodes = [
        node("Mul", "std", "x", out="scaled"),
        node("Add", "scaled", "row", out="moved"),
        node("Sub", "moved", "two", out="moved2"),
        node("Gemm", "moved2", "W", out="y"),
    ]
    net = read_and_compare(saved(path, nodes, constants), rng)
    assert isinstance(net.layers[0], Standardize)
    assert not net.dense[0].use_bias


@pytest.mark.parametrize("size", [1, 4])
def test_added_zeros_are_biases_and_factors_are_not(size, path, constants):
    weights = {"W": constants["W"][:, :size], "zeros": np.zeros(size, "f4")}
    nodes = [node("MatMul", "x", "W", out="product"), node("Add", "product", "zeros", out="y")]
    assert fastnn.from_onnx(saved(path, nodes, weights)).dense[0].use_bias
    nodes = [node("MatMul", "x", "W", out="product"), node("Mul", "product", "two", out="y")]
    assert not fastnn.from_onnx(saved(path, nodes, constants | weights)).dense[0].use_bias


def test_a_normalization_that_no_standardize_is_goes_into_the_weights(path, rng, constants):
    nodes = [
        node("Sub", "two", "x", out="turned"),
        node("Mul", "turned", "mean", out="scaled"),
        node("Gemm", "scaled", "W", "b", out="y"),
    ]
    net = read_and_compare(saved(path, nodes, constants), rng)
    assert [type(layer) for layer in net.layers] == [Dense]


def test_scalings_between_layers_go_into_the_weights(path, rng, constants):
    vectors = {"gamma": np.array([1.5, -2, 0, 1], "f4"), "var": np.array([0.3, 1, 2, 3], "f4")}
    nodes = [
        node("Gemm", "x", "W", out="a"),
        node("BatchNormalization", "a", "gamma", "b", "b", "var", out="normal", epsilon=0.1),
        node("Tanh", "normal", out="z"),
        node("BatchNormalization", "z", "var", "b", "b", "var", out="normal2"),
        node("Gemm", "normal2", "V", out="a2", transB=1),
        node("Div", "a2", "two", out="halved"),
        node("Sub", "two", "halved", out="y"),
    ]
    net = read_and_compare(saved(path, nodes, constants | vectors), rng)
    assert [layer.activation.name for layer in net.dense] == ["tanh", "identity"]
    assert net.dense[1].use_bias


NATIVE = {
    "gelu_tanh": (20, node("Gelu", "a", out="z", approximate="tanh")),
    "relu6": (10, node("Clip", "a", out="z", min=0.0, max=6.0)),
    "hard_tanh": (10, node("Clip", "a", out="z", min=-1.0, max=1.0)),
    "hard_sigmoid": (13, node("HardSigmoid", "a", out="z", alpha=1 / 6)),
    "hard_silu": (14, node("HardSwish", "a", out="z")),
    "mish": (18, node("Mish", "a", out="z")),
    "gelu": (20, node("Gelu", "a", out="z")),
    "silu": (24, node("Swish", "a", out="z")),
    "selu": (13, node("Selu", "a", out="z")),
    "softplus": (13, node("Softplus", "a", out="z")),
    "exp": (13, node("Exp", "a", out="z")),
    "tanh": (13, node("Tanh", "a", out="z")),
    "sigmoid": (13, node("Sigmoid", "a", out="z")),
    "relu": (13, node("Relu", "a", out="z")),
    "leaky_relu(0.01)": (13, node("LeakyRelu", "a", out="z")),
    "leaky_relu(0.3)": (13, node("LeakyRelu", "a", out="z", alpha=0.3)),
    "elu(1)": (13, node("Elu", "a", out="z")),
    "softmax": (11, node("Softmax", "a", out="z")),
}


@pytest.mark.parametrize("name", NATIVE)
def test_an_operator_of_its_own(name, path, rng, constants):
    opset, made = NATIVE[name]
    nodes = [node("Gemm", "x", "W", "b", out="a"), made]
    saved(path, nodes, constants, opset=opset)
    net = fastnn.from_onnx(path)
    assert str(net.dense[-1].activation) == name
    if opset < 20:  # runtimes are slow to have the newest operators
        read_and_compare(path, rng)


COMPOSED = {
    "silu": [("Sigmoid", "a", "s"), ("Mul", "s", "a", "z")],
    "gelu": [
        ("Mul", "a", 0.70710678, "r"),
        ("Erf", "r", "e"),
        ("Mul", "a", 0.5, "h"),
        ("Add", 1.0, "e", "p"),
        ("Mul", "p", "h", "z"),
    ],
    "softplus": [("Exp", "a", "e"), ("Add", "e", 1.0, "p"), ("Log", "p", "z")],
    "relu": [("Max", "a", 0.0, "z")],
    "leaky_relu(0.1)": [("Mul", "a", 0.1, "m"), ("Max", "a", "m", "z")],
    "selu": [
        ("Max", "a", 0.0, "up"),
        ("Min", "a", 0.0, "down"),
        ("Exp", "down", "e"),
        ("Sub", "e", 1.0, "m"),
        ("Mul", "m", 1.6732632, "s"),
        ("Add", "up", "s", "u"),
        ("Mul", "u", 1.050701, "z"),
    ],
}


@pytest.mark.parametrize("name", COMPOSED)
def test_an_activation_that_is_composed(name, path, rng, constants):
    middle, numbers = composed(COMPOSED[name])
    last = node("Gemm", "z", "V", out="y", transB=1)
    nodes = [node("Gemm", "x", "W", "b", out="a"), *middle, last]
    net = read_and_compare(saved(path, nodes, constants | numbers), rng)
    assert str(net.dense[0].activation) == name


NORMALIZED = {  # opset, and nodes that normalize "a" (n, 4)
    "LayerNormalization": (17, [("LayerNormalization", "a", "g", "b", "z")]),
    "without a bias": (17, [("LayerNormalization", "a", "g", "z")]),
    "as PyTorch composes it": (11, [
        ("ReduceMean", "a", "m"),
        ("Sub", "a", "m", "d"),
        ("Pow", "d", 2.0, "p"),
        ("ReduceMean", "p", "v"),
        ("Add", "v", 1e-3, "e"),
        ("Sqrt", "e", "s"),
        ("Div", "d", "s", "u"),
        ("Mul", "u", "g", "w"),
        ("Add", "w", "b", "z"),
    ]),
    "of other operators": (13, [
        ("ReduceMean", "a", "m"),
        ("Sub", "a", "m", "d"),
        ("Mul", "d", "d", "p"),
        ("ReduceMean", "p", "v"),
        ("Add", 1e-3, "v", "e"),
        ("Sqrt", "e", "s"),
        ("Reciprocal", "s", "r"),
        ("Mul", "r", "d", "u"),
        ("Mul", "u", 2.0, "z"),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMALIZED)
def test_a_layer_norm_of_others(name, path, rng, constants):
    opset, made = NORMALIZED[name]
    nodes = [node("Gemm", "x", "W", "b", out="a")]
    numbers = {"g": rng.normal(size=4).astype("f4")}
    for op, *inputs, out in made:
        names = [i if isinstance(i, str) else f"number {i}" for i in inputs]
        numbers |= {f"number {i}": np.float32(i) for i in inputs if not isinstance(i, str)}
        options = {"ReduceMean": {"axes": [-1]}, "LayerNormalization": {"epsilon": 1e-3}}
        nodes.append(node(op, *names, out=out, **options.get(op, {})))
    nodes.append(node("Gemm", "z", "V", out="y", transB=1))
    net = read_and_compare(saved(path, nodes, constants | numbers, opset=opset), rng)
    assert net.layers == (Dense(4), LayerNorm(1e-3), Dense(2, use_bias=False))


def test_means_whose_axes_are_an_input(path, rng, constants):
    """As ReduceMean has them since opset 18."""
    nodes = [
        node("ReduceMean", "x", "axes", out="m"),
        node("Sub", "x", "m", out="d"),
        node("Mul", "d", "d", out="p"),
        node("ReduceMean", "p", "axes", out="v", keepdims=1),
        node("Add", "v", "two", out="e"),
        node("Sqrt", "e", out="s"),
        node("Div", "d", "s", out="u"),
        node("MatMul", "u", "W", out="y"),
    ]
    saved(path, nodes, constants | {"axes": np.array([1])}, opset=18)
    net = read_and_compare(path, rng)
    assert net.layers == (LayerNorm(2.0), Dense(4, use_bias=False))


def test_constants_of_nodes_and_old_inputs_that_are_initializers(path, rng, constants):
    nodes = [
        helper.make_node(
            "Constant", [], ["K"], value=numpy_helper.from_array(constants["W"], "value")
        ),
        node("MatMul", "x", "K", out="a"),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        node("Mul", "a", "half", out="y"),
    ]
    read_and_compare(saved(path, nodes), rng)
    model = onnx.load(saved(path, [node("Gemm", "x", "W", out="y")], constants))
    model.graph.input.append(helper.make_tensor_value_info("W", 1, [3, 4]))
    onnx.save(model, path)
    read_and_compare(path, rng)


def test_float64_graphs_give_float64_networks(path, rng, constants):
    W = constants["W"].astype(float) + 1e-9
    saved(path, [node("MatMul", "x", "W", out="y")], {"W": W}, dtype="float64")
    net = read_and_compare(path, rng, 1e-14, dtype="float64")
    np.testing.assert_array_equal(net.get_weights()[0], W)


# ---- what no MLP expresses ----------------------------------------------------------------------

GEMM = node("Gemm", "x", "W", "b", out="a")
REFUSED = {
    r"node 'y_node' \(Conv\) is an operator that fastnn cannot read; fastnn has Dense layers": [
        GEMM,
        node("Conv", "a", "W", out="y"),
    ],
    r"node 'y_node' \(theirs\.Relu\) is an operator that fastnn cannot read": [
        GEMM,
        node("Relu", "a", out="y", domain="theirs"),
    ],
    r"node 'y_node' \(Add\) adds its inputs to themselves; put layers between them": [
        GEMM,
        node("Add", "a", "a", out="y"),
    ],
    r"node 's_node' \(Add\) adds its inputs to themselves; put layers between them": [
        GEMM,  # a residual of a residual without layers
        node("Add", "a", "a", out="s"),
        node("Add", "a", "s", out="t"),
        node("Gemm", "t", "S", out="y"),
    ],
    r"node 'y_node' \(Mul\) does not begin an activation of fastnn; fastnn's activations are id": [
        GEMM,
        node("Mul", "a", "a", out="y"),
    ],
    r"node 'y_node' \(Add\) ends the network; fastnn networks end with a Dense layer": [
        GEMM,
        node("Gemm", "a", "S", out="h"),
        node("Add", "a", "h", out="y"),
    ],
    r"node 'h_node' \(Gemm\) is one of 2 nodes that take 'a' \(Gemm, Mul\), a branch that is": [
        GEMM,
        node("Gemm", "a", "S", out="h"),
        node("Mul", "a", "h", out="y"),
    ],
    r"node 'g_node' \(Gemm\) is one of 2 nodes that take 'a' \(Gemm, Gemm\), a branch that is": [
        GEMM,
        node("Gemm", "a", "S", out="g"),
        node("Gemm", "a", "S", out="h"),
        node("Add", "g", "h", out="y"),
    ],
    r"node 'h_node' \(Gemm\) is one of 3 nodes that take 'a' \(Gemm, Gemm, Add\), a branch": [
        GEMM,
        node("Gemm", "a", "S", out="h"),
        node("Gemm", "a", "S", out="g"),
        node("Add", "h", "a", out="s"),
        node("Add", "g", "s", out="y"),
    ],
    r"node 's_node' \(Add\) adds 'a', which is not the input of the innermost residual; fastnn": [
        GEMM,
        node("Gemm", "a", "S", out="g"),
        node("Gemm", "g", "S", out="h"),
        node("Add", "h", "a", out="s"),
        node("Gemm", "s", "S", out="k"),
        node("Add", "k", "g", out="t"),
        node("Gemm", "t", "S", out="y"),
    ],
    r"node 's_node' \(Add\) adds 3 inputs to 4 outputs; fastnn's residuals have as many": [
        node("Gemm", "x", "W", "b", out="h"),
        node("Add", "h", "x", out="s"),
        node("Gemm", "s", "S", out="y"),
    ],
    r"node 'y_node' \(Mul\) scales the output of an activation at the end": [
        GEMM,
        node("Relu", "a", out="z"),
        node("Mul", "z", "b", out="y"),
    ],
    r"node 'y_node' \(Gemm\) comes after a softmax": [
        GEMM,
        node("Softmax", "a", out="z", axis=1),
        node("Gemm", "z", "S", out="y"),
    ],
    r"node 'y_node' \(Softmax\) is along axis 0": [GEMM, node("Softmax", "a", out="y", axis=0)],
    r"node 'y_node' \(LogSoftmax\) outputs logarithms of probabilities; pass output='softmax'": [
        GEMM,
        node("LogSoftmax", "a", out="y"),
    ],
    r"node 'y_node' \(Selu\) with alpha=1\.0 does not begin an activation of fastnn": [
        GEMM,
        node("Selu", "a", out="y", alpha=1.0),
    ],
    r"node 'y_node' \(Gemm\) has 3 rows of weights, but node 'a_node' \(Gemm\) before it has 4": [
        GEMM,
        node("Gemm", "a", "W", out="y"),
    ],
    r"node 'y_node' \(Add\) has 3 numbers, but node 'a_node' \(Gemm\) before it has 4 outputs": [
        GEMM,
        node("Add", "a", "mean", out="y"),
    ],
    r"node 'y_node' \(MatMul\) multiplies its input from the left": [
        node("MatMul", "S", "x", out="y")
    ],
    r"node 'y_node' \(Gemm\) multiplies its input from the left, or transposes|from the left": [
        node("Gemm", "x", "S", out="y", transA=1)
    ],
    r"node 'y_node' \(MatMul\) has weights of shape \(4,\)": [
        GEMM,
        node("MatMul", "a", "b", out="y"),
    ],
    r"node 'y_node' \(Add\) has a constant of shape \(4, 4\)": [
        GEMM,
        node("Add", "a", "S", out="y"),
    ],
    r"node 'y_node' \(Div\) divides by its input": [GEMM, node("Div", "b", "a", out="y")],
    r"node 'z_node' \(Div\) has numbers that are not finite, or divides by 0": [
        GEMM,
        node("Div", "a", "zero", out="z"),
        node("Relu", "z", out="y"),
    ],
    r"node 'a_node' \(Gemm\) has numbers that are not finite": [node("Gemm", "x", "NaN", out="a")],
    r"node 'y_node' \(Dropout\) is in training": [
        GEMM,
        node("Dropout", "a", "half", "true", out="y"),
    ],
    r"node 'y_node' \(Flatten\) flattens from axis 0; fastnn networks take and output rows": [
        GEMM,
        node("Flatten", "a", out="y", axis=0),
    ],
    r"node 'y_node' \(LeakyRelu\) with alpha=-0\.5 does not begin an activation of fastnn": [
        GEMM,
        node("LeakyRelu", "a", out="y", alpha=-0.5),
    ],
    r"the network has no weights": [node("Identity", "x", out="y")],
    r"node 'y_node' \(LayerNormalization\) ends the network; fastnn networks end with a Dense": [
        GEMM,
        node("LayerNormalization", "a", "b", out="y"),
    ],
    r"node 'n_node' \(LayerNormalization\) is along axis 0": [
        GEMM,
        node("LayerNormalization", "a", "b", out="n", axis=0),
        node("Gemm", "n", "S", out="y"),
    ],
    r"node 'n_node' \(LayerNormalization\) has 3 inputs, but node 'a_node' \(Gemm\) before it": [
        GEMM,
        node("LayerNormalization", "a", "mean", out="n"),
        node("Gemm", "n", "S", out="y"),
    ],
    r"node 'n_node' \(LayerNormalization\): epsilon must be": [
        GEMM,
        node("LayerNormalization", "a", "b", out="n", epsilon=0.0),
        node("Gemm", "n", "S", out="y"),
    ],
    r"node 'm_node' \(ReduceMean\) takes means along axes \[0\] with keepdims=1; export layer": [
        GEMM,
        node("ReduceMean", "a", "rows", out="m"),
        node("Sub", "a", "m", out="y"),
    ],
    r"node 'm_node' \(ReduceMean\) is one of 2 nodes .* nor a layer normalization": [
        GEMM,
        node("ReduceMean", "a", "columns", out="m"),
        node("Sub", "a", "m", out="y"),
    ],
    r"node 'y_node' \(Relu\) doesn't take 'x', the tensor before it": [
        GEMM,
        node("Relu", "b", out="y"),
    ],
}


FLOAT, FLOAT16, INT32, INT64 = 1, 10, 6, 7
TO_FLOAT = node("Cast", "a", out="f", to=FLOAT)
CASTS = {
    r"node 'a_node' \(Div\) computes with numbers of the type INT32, but .*; cast the inputs": (
        INT32, [node("Div", "x", "int", out="a"), TO_FLOAT, node("Gemm", "f", "W", out="y")]
    ),
    r"node 'a_node' \(Relu\) computes with numbers of the type INT32": (
        INT32, [node("Relu", "x", out="a"), TO_FLOAT, node("Gemm", "f", "W", out="y")]
    ),
    r"node 'a_node' \(Cast\) rounds numbers of the type FLOAT to FLOAT16, .*; export the network": (
        FLOAT, [node("Cast", "x", out="a", to=FLOAT16), TO_FLOAT, node("Gemm", "f", "W", out="y")]
    ),
    r"node 'y_node' \(Cast\) outputs numbers of the type INT64": (
        FLOAT, [GEMM, node("Cast", "a", out="y", to=INT64)]
    ),
    r"node 'y_node' \(Cast\) has the unknown type 110": (
        FLOAT, [GEMM, node("Cast", "a", out="y", to=110)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", CASTS)
def test_computing_with_integers_and_rounding_are_refused(message, constants):
    """The whole numbers of a Div are other numbers than its quotients."""
    kind, nodes = CASTS[message]
    model = model_of(nodes, constants | {"int": np.int32(255)})
    model.graph.input[0].type.tensor_type.elem_type = kind
    with pytest.raises(ValueError, match=message):
        fastnn.from_onnx(model)


@pytest.mark.parametrize("kind", [INT32, INT64, 2], ids=["int32", "int64", "uint8"])
def test_integers_may_be_cast_at_the_beginning(kind, constants):
    nodes = [node("Flatten", "x", out="a"), TO_FLOAT, node("Gemm", "f", "W", "b", out="y")]
    model = model_of(nodes, constants)
    model.graph.input[0].type.tensor_type.elem_type = kind
    X = np.array([[10, 255, 3], [200, 7, 0]]).astype(helper.tensor_dtype_to_np_dtype(kind))
    assert_close(fastnn.from_onnx(model).predict(X), run(model, X), 1e-5)


@pytest.mark.parametrize("message", REFUSED)
def test_a_graph_that_no_mlp_expresses_is_refused_by_the_nodes_name(message, path, rng, constants):
    more = {"S": rng.normal(size=(4, 4)).astype("f4"), "zero": np.float32(0)}
    more |= {"rows": np.array([0]), "columns": np.array([1])}
    more |= {"half": np.float32(0.5), "true": np.array(True), "NaN": np.full((3, 2), np.nan, "f4")}
    saved(path, REFUSED[message], constants | more, opset=20)
    with pytest.raises(ValueError, match=message):
        fastnn.from_onnx(path)


def test_weights_that_are_computed_are_refused(path, constants):
    nodes = [node("MatMul", "W", "V", out="K"), node("Gemm", "x", "K", out="y")]
    with pytest.raises(ValueError, match=r"node 'K_node' \(MatMul\) doesn't take 'x'"):
        fastnn.from_onnx(saved(path, nodes, constants))


def test_graphs_of_several_inputs_or_outputs_are_refused(path, constants):
    model = onnx.load(saved(path, [GEMM], constants))
    model.graph.input.append(helper.make_tensor_value_info("more", 1, ["n", 2]))
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"2 inputs: x, more; .*onnx\.utils\.extract_model"):
        fastnn.from_onnx(path)
    model = onnx.load(saved(path, [GEMM, node("Relu", "a", out="y")], constants))
    model.graph.output.append(helper.make_tensor_value_info("a", 1, ["n", 4]))
    onnx.save(model, path)
    with pytest.raises(ValueError, match="2 outputs: y, a"):
        fastnn.from_onnx(path)


@pytest.mark.parametrize(
    "data", [b"no protocol buffer", b"", b"\x08\x07"], ids=["text", "empty", "no graph"]
)
def test_a_file_that_is_no_model_is_a_model_file_error(data, path):
    with open(path, "wb") as file:
        file.write(data)
    with pytest.raises(ModelFileError, match=r"net.onnx' is not a valid ONNX model: "):
        fastnn.from_onnx(path)


def test_a_graph_that_is_not_valid_is_a_model_file_error(path, constants):
    saved(path, [node("Relu", "nowhere", out="y")], constants)
    with pytest.raises(ModelFileError, match="nowhere"):
        fastnn.from_onnx(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("classes", "3", "classes must be a list; got 3"),
        ("classes", "[[1],[2]]", r"classes\[0\] must be text or a number; got \[1\]"),
        ("classes", '[1,"a"]', "classes must be all text or all numbers"),
        ("classes", "[1e999,2]", "classes holds 1e999"),
        ("classes", "[", "classes is not JSON"),
        ("classes", "[" * 100_000, "its JSON is nested too deeply"),
        ("feature_names", "[", "feature_names is not JSON"),
        ("feature_names", "[1,2,3]", "feature_names must be 3 names"),
        ("metadata", "[", "metadata is not JSON"),
        ("metadata", "[]", "metadata is not a JSON object"),
        ("metadata", '{"a":NaN}', "metadata holds NaN"),
    ],
    ids=lambda text: text[:20],
)
def test_metadata_that_fastnn_did_not_write_are_a_model_file_error(key, value, message):
    net = MLP(3, [Dense(2, "softmax")], loss="cross_entropy", optimizer="sgd", seed=0)
    model = fastnn.onnx.export(net)
    helper.set_model_props(model, {"metadata": "{}", key: value})
    start = r"^the model has metadata that fastnn cannot have written: "
    with pytest.raises(ModelFileError, match=f"{start}{message}.*; export it again$"):
        fastnn.from_onnx(model)


def test_nodes_that_are_not_as_onnx_describes_them_are_refused(constants):
    more = {"two": np.ones(2, "f4"), "inf": np.array([np.inf]), "none": np.ones(0, "f4")}
    start = r"^the model has a node that is not as ONNX describes it"
    for message, *nodes in (
        (rf"{start} \(OverflowError: .*; export it again", node("Unsqueeze", "x", "inf", out="y")),
        (rf"{start} \(KeyError: 'to'\)", node("Cast", "x", out="y")),
        (r"has a gain of 2 numbers and a bias of 4", GEMM,
         node("LayerNormalization", "a", "two", "b", out="n"), node("Gemm", "n", "S", out="y")),
        (r"node 'a_node' \(Add\) scales by no numbers", node("Add", "x", "none", out="a"),
         node("Gemm", "a", "W", out="y")),
    ):  # fmt: skip
        model = model_of(nodes, constants | more | {"S": np.ones((4, 4), "f4")})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(onnx.checker, "check_model", lambda _: None)  # it does not find them all
            with pytest.raises(ValueError, match=message):
                fastnn.from_onnx(model)


def test_a_file_cut_short_is_refused(path, rng):
    net, _ = network(rng, [Dense(4, "relu"), Dense(1)])
    fastnn.onnx.export(net, path)
    with open(path, "rb") as file:
        whole = file.read()
    for end in range(0, len(whole), 7):
        with open(path, "wb") as file:
            file.write(whole[:end])
        with pytest.raises(ValueError, match=r"^[^\n]"):
            fastnn.from_onnx(path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_damaged_file_is_read_or_is_a_value_error(dtype, path, rng):
    layers = [Standardize(), Dense(4, "gelu"), Residual([LayerNorm(), Dense(4, "elu")])]
    layers.append(Dense(2, "softmax"))
    net, _ = network(rng, layers, dtype=dtype)
    fastnn.onnx.export(net, path)
    with open(path, "rb") as file:
        whole = file.read()
    for _ in range(1000):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] = rng.integers(256)
        with open(path, "wb") as file:
            file.write(damaged)
        try:
            fastnn.from_onnx(path)
        except ValueError as error:
            assert not isinstance(error, UnicodeError)  # noqa: PT017


def test_weights_in_a_file_of_their_own(path, constants):
    """As exporters write large models; a part of the second file may be missing."""
    model = onnx.load(saved(path, [GEMM], constants))
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, path, **options)
    np.testing.assert_array_equal(fastnn.from_onnx(path).get_weights()[0], constants["W"])
    weights = os.path.join(os.path.dirname(path), "weights.bin")
    os.truncate(weights, 20)
    with pytest.raises(ModelFileError, match=r"net\.onnx' is not a valid .* exceeds .* 'W'"):
        fastnn.from_onnx(path)
    os.remove(weights)
    with pytest.raises(ModelFileError, match=r"net\.onnx' is not a valid .*weights\.bin"):
        fastnn.from_onnx(path)


def test_a_missing_file_is_an_os_error(path):
    with pytest.raises(FileNotFoundError):
        fastnn.from_onnx(path)


# ---- names --------------------------------------------------------------------------------------


def test_importing_fastnn_imports_none_of_it_and_a_name_does():
    code = """
import sys, fastnn
lazy = ["fastnn.onnx", "fastnn.interop", "fastnn.sklearn", "onnx", "sklearn", "torch"]
assert not sys.modules.keys() & lazy
assert {"onnx", "interop", "sklearn", "from_onnx", "from_sklearn", "to_torch"} <= {*dir(fastnn)}
fastnn.onnx.export, fastnn.interop.to_torch
assert fastnn.from_onnx is fastnn.onnx.from_onnx
assert fastnn.to_sklearn is fastnn.interop.to_sklearn
assert not sys.modules.keys() & {"fastnn.sklearn", "onnx", "sklearn", "torch"}
from fastnn import *
assert from_torch is fastnn.interop.from_torch
try:
    fastnn.nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "module 'fastnn' has no attribute 'nothing'\n"
