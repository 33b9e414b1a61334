"""Inspection of a network: activations, derivatives with respect to the inputs, the summary."""

import html.parser

import numpy as np
import pytest

from fastnn import (
    MLP,
    Activate,
    Activation,
    Adam,
    Dense,
    Dropout,
    Embedding,
    Ensemble,
    LayerNorm,
    NumericEmbedding,
    Residual,
    Standardize,
    inspection,
    reference,
)

TORCH = {  # name: z of torch, a, alpha
    "identity": lambda torch, a, alpha: a,
    "sigmoid": lambda torch, a, alpha: torch.sigmoid(a),
    "tanh": lambda torch, a, alpha: torch.tanh(a),
    "relu": lambda torch, a, alpha: torch.relu(a),
    "leaky_relu": lambda torch, a, alpha: torch.nn.functional.leaky_relu(a, alpha),
    "softmax": lambda torch, a, alpha: torch.softmax(a, -1),
    "elu": lambda torch, a, alpha: torch.nn.functional.elu(a, alpha),
    "selu": lambda torch, a, alpha: torch.selu(a),
    "gelu": lambda torch, a, alpha: torch.nn.functional.gelu(a),
    "gelu_tanh": lambda torch, a, alpha: torch.nn.functional.gelu(a, approximate="tanh"),
    "silu": lambda torch, a, alpha: torch.nn.functional.silu(a),
    "mish": lambda torch, a, alpha: torch.nn.functional.mish(a),
    "relu6": lambda torch, a, alpha: torch.nn.functional.relu6(a),
    "hard_tanh": lambda torch, a, alpha: torch.nn.functional.hardtanh(a),
    # the derivative of torch's own has the 1 / 6 of float32
    "hard_sigmoid": lambda torch, a, alpha: torch.nn.functional.relu6(a + 3) / 6,
    "hard_silu": lambda torch, a, alpha: torch.nn.functional.hardswish(a),
    "softplus": lambda torch, a, alpha: torch.nn.functional.softplus(a, threshold=700),
    "exp": lambda torch, a, alpha: torch.exp(a),
}

SIZES = 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33  # around those of vectors and panels


def network(*layers, n_in=3, loss="squared_error", dtype="float64", **options):
    """Return a network with biases that are not 0."""
    net = MLP(n_in, layers, loss=loss, optimizer="adam", dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(1)
    net.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in net.get_weights()])
    return net


def rows(n, n_in=3):
    return np.random.default_rng(2).uniform(-1, 1, (n, n_in))


def differences(net, X, eps=1e-5):
    """Return dy_k/dx_i (n, n_out, n_in) from central differences of the reference's prediction."""
    predict = reference.Network.like(net).predict
    found = np.empty((len(X), net.n_out, net.n_in))
    for i, step in enumerate(eps * np.eye(net.n_in)):
        found[:, :, i] = (predict(X + step) - predict(X - step)) / (2 * eps)
    return found


def of_torch(net, X):
    """Return dy_k/dx_i (n, n_out, n_in) by torch's automatic differentiation."""
    torch = pytest.importorskip("torch")

    def predict(z):
        weights = iter(torch.from_numpy(w) for w in net.get_weights())
        for layer in net.dense:
            a = z @ next(weights)
            a = a + next(weights) if layer.use_bias else a
            z = TORCH[layer.activation.name](torch, a, layer.activation.alpha)
        return z

    each = [torch.autograd.functional.jacobian(predict, x) for x in torch.from_numpy(X)]
    return torch.stack(each).numpy()


# ---- activations --------------------------------------------------------------------------------


def test_activations_are_those_of_the_reference(hidden, activation):
    net = network(Dense(4, hidden), Dense(5, hidden), Dense(2, activation))
    X, twin = rows(7), reference.Network.like(net)
    twin.forward(X)
    found = inspection.activations(net, X)
    assert [z.shape for z in found] == [(7, 4), (7, 5), (7, 2)]
    for z, (_, _, _, truth) in zip(found, twin.tape, strict=True):
        assert z.dtype == np.float64
        np.testing.assert_allclose(z, truth, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_last_activation_is_the_prediction(dtype):
    net = network(Dense(40, "gelu"), Dropout(0.5), Dense(3, "softmax"), dtype=dtype)
    X, eps = rows(300), np.finfo(dtype).eps
    z, y = inspection.activations(net, X)
    assert z.dtype == y.dtype == dtype
    np.testing.assert_allclose(y, net.predict(X), rtol=50 * eps)


# ---- derivatives --------------------------------------------------------------------------------


def test_jacobian_against_central_differences(hidden, pair):
    loss, output = pair
    net = network(Dense(4, hidden), Dense(5, hidden), Dense(2, output), loss=loss)
    X = rows(7)
    found = inspection.jacobian(net, X)
    assert found.shape == (7, 2, 3)
    np.testing.assert_allclose(found, differences(net, X), rtol=1e-7, atol=1e-8)


def test_jacobian_against_torch(hidden, activation):
    net = network(Dense(4, hidden), Dense(5, hidden), Dense(3, activation))
    X = rows(3)
    truth = of_torch(net, X)
    np.testing.assert_allclose(inspection.jacobian(net, X), truth, rtol=1e-10, atol=1e-10)


def test_jacobian_in_float32(hidden, activation):
    net = network(Dense(4, hidden), Dense(5, hidden), Dense(3, activation))
    X = rows(7)
    truth = inspection.jacobian(net, X)
    found = inspection.jacobian(net.copy(dtype="float32"), X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-5 * np.abs(truth).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_output_alone(isa, activation, dtype):
    """No slope leaks from one output into another, whatever their number and size.

    Behind ``y_k = h(c x_k)`` the Jacobian is diagonal, its zeros exact.
    """
    if activation.name == "softmax":
        pytest.skip("its outputs depend on each other")
    value, slope = reference.ACTIVATIONS[activation.name]
    eps = np.finfo(dtype).eps
    for units in SIZES:
        net = network(Dense(units, activation, use_bias=False), n_in=units, dtype=dtype)
        for c in (1e-20, 1.0, 10.0):
            net.set_weights([c * np.eye(units)])
            X = rows(5, units).astype(dtype)
            found = inspection.jacobian(net, X)
            assert not found[:, ~np.eye(units, dtype=bool)].any()
            a = c * X.astype(np.float64)
            truth = c * slope(a, value(a, activation.alpha), activation.alpha)
            slopes = np.diagonal(found, axis1=1, axis2=2)
            np.testing.assert_allclose(slopes, truth, rtol=50 * eps, atol=8 * c * eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_any_size(isa, dtype):
    """``dy_k/da_j = y_k (1[k = j] - y_j)``."""
    for units in SIZES[1:]:
        net = network(Dense(units, "softmax", use_bias=False), n_in=units, dtype=dtype)
        for c in (1e-3, 1.0, 30.0):
            net.set_weights([c * np.eye(units)])
            X = rows(units + 3, units).astype(dtype)
            y = reference.softmax(net.get_weights()[0][0, 0] * X.astype(np.float64))
            truth = c * (y[:, :, None] * np.eye(units) - y[:, :, None] * y[:, None])
            found = inspection.jacobian(net, X)
            np.testing.assert_allclose(found, truth, rtol=0, atol=20 * c * np.finfo(dtype).eps)


def test_layers_without_bias():
    layers = Dense(4, "tanh", use_bias=False), Dense(5, "elu"), Dense(2, "softmax", use_bias=False)
    net, X = network(*layers), rows(5)
    np.testing.assert_allclose(inspection.jacobian(net, X), of_torch(net, X), rtol=1e-10)


def test_dropout_does_not_act():
    layers = Dense(20, "tanh"), Dense(2, "sigmoid")  # too wide for a path of their own
    plain = network(*layers)
    dropped = network(Dropout(0.5), layers[0], Dropout(0.5), layers[1])
    dropped.set_weights(plain.get_weights())
    for look in (inspection.activations, inspection.jacobian, inspection.input_gradients):
        for one, other in zip(look(plain, rows(5)), look(dropped, rows(5)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_large_outputs_have_their_slopes():
    """Where 1 is below the outputs' rounding, and where twice them overflows."""
    for value in (1e30, -1e30, 3e38, -3e38):
        net = network(Dense(2), n_in=2, dtype="float32")
        net.set_weights([[[2.0, 0.0], [0.0, 3.0]], [value, value]])
        np.testing.assert_array_equal(inspection.jacobian(net, [[1.0, 1.0]]), [[[2, 0], [0, 3]]])


def test_overflowing_outputs_and_derivatives_are_not_finite():
    net = network(Dense(2, "relu"), Dense(2, "exp"), dtype="float32")
    net.set_weights([np.full(w.shape, 1e30) for w in net.get_weights()])
    z, y = inspection.activations(net, np.ones((1, 3)))
    assert np.isfinite(z).all()
    assert np.isinf(y).all()
    assert not np.isfinite(inspection.jacobian(net, np.ones((1, 3)))).any()
    assert not np.isfinite(inspection.input_gradients(net, np.ones((1, 3)))).any()


def test_input_gradients_are_rows_of_the_jacobian():
    net, X = network(Dense(9, "silu"), Dense(4, "softmax")), rows(50)
    J, best = inspection.jacobian(net, X), net.predict(X).argmax(axis=1)
    assert len(set(best)) > 1
    found = inspection.input_gradients(net, X)
    np.testing.assert_allclose(found, J[np.arange(50), best], rtol=1e-12, atol=1e-15)
    for k in range(4):
        found = inspection.input_gradients(net, X, output=k)
        np.testing.assert_allclose(found, J[:, k], rtol=1e-12, atol=1e-15)


def test_one_output_needs_no_index():
    net, X = network(Dense(4, "tanh"), Dense(1)), rows(5)
    J = inspection.jacobian(net, X)
    assert J.shape == (5, 1, 3)
    np.testing.assert_array_equal(inspection.input_gradients(net, X), J[:, 0])
    np.testing.assert_array_equal(inspection.input_gradients(net, X, np.int64(0)), J[:, 0])


# ---- blocks, standardization, arguments ---------------------------------------------------------


@pytest.mark.parametrize("n", [1, 95, 96, 97, 192, 200])
def test_results_of_a_row_do_not_depend_on_other_rows(n):
    """Around the 96 rows that go through a network together: bit by bit what a row alone gives."""
    net, X = network(Dense(20, "gelu"), Dense(3, "softmax")), rows(n)
    for look in (inspection.activations, inspection.jacobian, inspection.input_gradients):
        whole, alone = look(net, X), [look(net, X[i : i + 1]) for i in range(n)]
        if look is inspection.activations:
            whole, alone = whole[-1], [z[-1] for z in alone]
        np.testing.assert_array_equal(whole, np.concatenate(alone))


def test_many_rows_of_a_wide_network():
    net = network(Dense(300, "relu"), Dense(2), dtype="float32")
    X = rows(2001)
    np.testing.assert_allclose(inspection.activations(net, X)[-1], net.predict(X), atol=1e-5)
    last = inspection.jacobian(net, X[-3:])
    np.testing.assert_allclose(inspection.jacobian(net, X)[-3:], last, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardized_inputs(dtype):
    net, X = network(Dense(4, "tanh"), Dense(2, "sigmoid"), dtype=dtype), rows(6)
    mean, scale = np.array([1.0, -2.0, 0.5]), np.array([0.5, 4.0, 10.0])
    Z, eps = (X - mean) / scale, 50 * np.finfo(dtype).eps
    z, J = inspection.activations(net, Z), inspection.jacobian(net, Z)
    g = inspection.input_gradients(net, Z)
    layers, weights = net.layers, net.get_weights()
    net = network(Standardize(), *layers, dtype=dtype)
    net.set_weights(weights)
    net._state.standardize(mean, scale)
    for one, other in zip(inspection.activations(net, X), z, strict=True):
        np.testing.assert_allclose(one, other, rtol=eps, atol=eps)
    found = inspection.jacobian(net, X)
    assert found.dtype == inspection.input_gradients(net, X).dtype == dtype
    np.testing.assert_allclose(found, J / scale, rtol=eps, atol=eps)
    np.testing.assert_allclose(inspection.input_gradients(net, X), g / scale, rtol=eps, atol=eps)


@pytest.mark.parametrize(
    "look", [inspection.activations, inspection.jacobian, inspection.input_gradients]
)
def test_bad_inputs(look):
    net = network(Dense(2))
    with pytest.raises(ValueError, match="X has 4 columns but this MLP takes 3; reshape X"):
        look(net, np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"X\[1, 2\] is nan; replace"):
        look(net, [[1, 2, 3], [1, 2, np.nan]])
    with pytest.raises(ValueError, match="X has no rows"):
        look(net, np.empty((0, 3)))
    with pytest.raises(TypeError, match="X must hold real numbers"):
        look(net, [["a", "b", "c"]])


@pytest.mark.parametrize("output", [2, -1])
def test_an_output_that_does_not_exist(output):
    with pytest.raises(ValueError, match=f"2 outputs, numbers 0 to 1; got output={output}"):
        inspection.input_gradients(network(Dense(2)), rows(2), output)


@pytest.mark.parametrize("output", [1.0, "1", True, [0, 1]])
def test_an_index_of_an_output_that_is_not_an_integer(output):
    with pytest.raises(TypeError, match="output must be an integer; got"):
        inspection.input_gradients(network(Dense(2)), rows(2), output)


def test_the_network_and_the_inputs_are_not_changed():
    net, X = network(Dense(4, "relu"), Dense(2)), rows(5)
    weights, kept = net.get_weights(), X.copy()
    inspection.input_gradients(net, X)
    inspection.jacobian(net, X)[...] = 0
    for z in inspection.activations(net, X):
        z[...] = 0
    assert all(map(np.array_equal, net.get_weights(), weights))
    np.testing.assert_array_equal(X, kept)


# ---- summary ------------------------------------------------------------------------------------


def test_summary_has_a_row_for_each_layer():
    net = network(Dropout(0.1), Dense(20, Activation("elu", 0.5)), Dense(2, use_bias=False), n_in=6)
    lines = inspection.summary(net).splitlines()
    assert [line.split() for line in lines[2:-4]] == [
        ["input", "6"],
        ["Dropout", "0.1", "6"],
        ["Dense", "elu(0.5)", "20", "140", "240"],
        ["Dense", "identity", "2", "40", "80"],
    ]
    assert lines[-3] == "180 parameters, float64, squared_error, adam"


def test_summary_counts_parameters_and_flops():
    net = network(Dense(100, "relu"), Dense(50, "relu"), Dense(10, "softmax"), n_in=784)
    text = inspection.summary(net)
    assert f"{net.n_parameters:,} parameters, " in text
    products = 784 * 100 + 100 * 50 + 50 * 10
    step = 6 * products - 2 * 784 * 100
    assert f"flops per row: {2 * products:,} forward, {step:,} in a training step" in text


FROZEN = {"trainable": False}


@pytest.mark.parametrize(
    ("layers", "forward", "delta", "update"),
    [  # products of a row: deltas are those above the lowest layer that is updated
        ([Dense(5), Dense(2)], 15 + 10, 10, 15 + 10),
        ([Dense(5, **FROZEN), Dense(2)], 15 + 10, 0, 10),
        ([Dense(5), Dense(2, **FROZEN)], 15 + 10, 10, 15),
        ([Dense(5), Dense(4, **FROZEN), Dense(2)], 15 + 20 + 8, 20 + 8, 15 + 8),
        ([Dense(5, **FROZEN), Dense(2, **FROZEN)], 15 + 10, 0, 0),
        ([LayerNorm(), Dense(5), Dense(2)], 15 + 10, 15 + 10, 15 + 10),
        ([LayerNorm(**FROZEN), Dense(5), Dense(2)], 15 + 10, 10, 15 + 10),
        ([Embedding(4, 2, columns=[1]), Dense(5), Dense(2)], 20 + 10, 20 + 10, 20 + 10),
        ([NumericEmbedding(5, "periodic", n_frequencies=2), Dense(2)], *3 * [60 + 30]),
        ([NumericEmbedding(5, bins=3 * [[0, 1, 2]]), Dense(2)], 30 + 30, 30, 30 + 30),
        ([Dropout(0.1), Residual([Dense(3)]), Dense(2)], 9 + 6, 6, 9 + 6),
        ([Ensemble(4, [Dense(5), Dense(2)])], *3 * [4 * (15 + 10)]),
        ([Ensemble(4, [Dense(5), Dense(2)], **FROZEN)], 4 * 25, 4 * 10, 4 * 25),
    ],
)
def test_flops_of_a_step_are_those_of_its_products(layers, forward, delta, update):
    net = network(*layers)
    counts = {"forward": forward, "delta": delta, "update": update}
    assert inspection.flops_of_a_row(net) == {name: 2 * n for name, n in counts.items()}
    assert sum(int(cells[-1] or 0) for cells in inspection._rows(net)) == 2 * forward


@pytest.mark.parametrize(
    ("layers", "columns"),
    [  # numbers of a row: the inputs, and z and delta of each layer
        ([Dense(5), Dense(2)], 3 + 2 * 5 + 2 * 2),
        ([Dropout(0.1), Dense(5), Dropout(0.1), Dense(2)], 3 + 3 + 2 * 5 + 5 + 2 * 2),
        ([Dense(5), Activate("gelu"), Dense(2)], 3 + 2 * 5 + 5 + 2 * 2),
        ([Standardize(), Residual([LayerNorm(), Dense(3)]), Dense(2)], 3 + 3 * 2 * 3 + 2 * 2),
        ([NumericEmbedding(5, bins=3 * [[0, 1, 2]]), Dense(2)], 3 + 2 * 6 + 2 * 15 + 2 * 2),
        ([Ensemble(4, [Dense(5), Dense(2)])], 4 * (3 + 2 * 3 + 2 * 5 + 2 * 2)),
    ],
)
def test_summary_counts_the_arrays_of_every_layer(layers, columns):
    assert inspection.summary(network(*layers), batch_size=1).endswith(
        f", activations {8 * columns} bytes (batch of 1)"
    )


@pytest.mark.parametrize(
    ("options", "is_shown"),
    [({}, False), ({"clipvalue": 1.0}, False), ({"clipnorm": 1.0}, True),
     ({"global_clipnorm": 1.0}, True)],
)  # fmt: skip
def test_summary_counts_gradients_that_are_clipped_by_norms(options, is_shown):
    net = MLP(3, [Dense(2)], loss="huber", optimizer=Adam(**options), seed=0)
    assert ("gradients 32 bytes, " in inspection.summary(net)) == is_shown


def test_only_dense_layers_have_operands_in_bfloat16():
    layers = [Embedding(1000, 8, columns=[0]), Dense(8), Dense(1)]
    net = MLP(1, layers, loss="huber", optimizer="sgd", dtype="mixed_bfloat16", seed=0)
    operands = 2 * 8 * 8 + 4 * 32 * (8 + 8)
    assert f"bfloat16 operands {operands / 1024:.1f} KB" in inspection.summary(net)


@pytest.mark.parametrize(
    ("optimizer", "moments"), [("sgd", 0), ("rmsprop", 1), ("adam", 2), (Adam(amsgrad=True), 3)]
)
def test_summary_counts_memory(optimizer, moments):
    net = MLP(255, [Dense(256, "relu"), Dense(512)], loss="huber", optimizer=optimizer)
    state = ["0 bytes", "770.0 KB", "1.5 MB", "2.3 MB"][moments]
    assert inspection.summary(net).splitlines()[-1] == (
        f"memory: weights and copy 1.5 MB, optimizer state {state}, "
        f"activations {4 * 32 * (255 + 2 * 768) / 1024:.1f} KB (batch of 32)"
    )


def test_summary_of_a_batch_in_rounds():
    net = network(Dense(2), dtype="float32")
    assert inspection.summary(net, batch_size=1024).endswith(
        "memory: weights and copy 64 bytes, optimizer state 64 bytes, activations 28.0 KB "
        "(batch of 1,024)"
    )
    assert inspection.summary(net, batch_size=60_000).endswith(
        "weights and copy 64 bytes, optimizer state 64 bytes, gradients 32 bytes, "
        "activations 28.0 KB (batch of 60,000)"
    )


def test_summary_names_what_is_trainable():
    net = network(Dense(20, "relu"), Dense(2))
    object.__setattr__(net.dense[0], "trainable", False)
    assert "122 parameters (42 trainable), float64" in inspection.summary(net)


def test_summary_shows_standardization():
    assert "Standardize" not in inspection.summary(network(Dense(2)))
    net = network(Standardize(), Dense(2))
    assert inspection.summary(net).splitlines()[3].split() == ["Standardize", "3"]


def test_the_columns_of_the_summary_are_as_wide_as_their_texts():
    net = network(Dense(1, Activation("leaky_relu", 0.123456)), Dense(2))
    head, rule, *rest = inspection.summary(net).splitlines()
    assert len(head) == len(rule) > 50
    assert {len(line) for line in rest if line.startswith("Dense")} == {len(head)}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KB"), (1536, "1.5 KB"), (2**20, "1.0 MB"),
     (5 * 2**30, "5.0 GB"), (2**42, "4,096.0 GB")],
)  # fmt: skip
def test_bytes_in_human_units(size, text):
    assert inspection._bytes(size) == text


def test_a_bad_batch_size():
    with pytest.raises(ValueError, match="batch_size must be at least 1; got 0"):
        inspection.summary(network(Dense(2)), batch_size=0)


# ---- in notebooks -------------------------------------------------------------------------------


class Table(html.parser.HTMLParser):
    """The cells of the rows of a table, and all text; unclosed tags are an error."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.text, self.open = [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_a_notebook_shows_the_summary_as_a_table():
    layers = [Standardize(), Dense(8, "relu"), Dropout(0.5), Dense(2, "softmax")]
    net = MLP(3, layers, loss="cross_entropy", optimizer="adam", seed=0)
    shown = Table(net._repr_html_())
    assert [row[0] for row in shown.rows] == [
        "layer", "input", "Standardize", "Dense relu", "Dropout 0.5", "Dense softmax",
    ]  # fmt: skip
    assert shown.rows[3] == ["Dense relu", "8", "32", "48"]
    assert "MLP 3-8-2, cross_entropy, adam, float32" in shown.text
    assert "50 parameters" in shown.text
    assert "trained" not in shown.text


def test_names_in_a_notebook_are_escaped():
    net = MLP(1, [Dense(2, "softmax")], loss="cross_entropy", optimizer="adam", seed=0)
    net.fit([[0.0], [1.0]], ["<b>", "a & b"])
    net.feature_names = ("<script>",)
    assert "<script>" not in net._repr_html_()
    shown = Table(net._repr_html_())
    assert "classes: <b>, a & b" in shown.text
    assert "columns: <script>" in shown.text
    assert "trained for 1 epoch, 1 update" in shown.text
