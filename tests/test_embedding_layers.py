"""Embedding and NumericEmbedding: layers that replace columns of a row by learned vectors.

Trainings are compared bit by bit with a Dense over one-hot rows, values with formulas; then what is
checked, and other forms of a network. Not here: what all layers promise (test_layers.py), calls of
any network from C (test_embedding.py).
"""

import ctypes
import pickle
import re
import shutil
import subprocess

import numpy as np
import pytest
from comparing import refuses, sha256
from layer_stacks import BINS, EMBEDDING, EMBEDDINGS, has, network, rows

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Dense,
    Dropout,
    Embedding,
    NumericEmbedding,
    Residual,
    Standardize,
    embedding,
    fit_many,
    reference,
)

EXACT = {"rtol": 1e-9, "atol": 1e-10}

NAMED = pytest.mark.parametrize("stack", EMBEDDINGS.values(), ids=EMBEDDINGS)
ALL = EMBEDDINGS["categories, waves and bins"]


def fresh(*layers):
    """Return a network whose parameters have their initial values."""
    return MLP(5, layers, loss="squared_error", optimizer="sgd", dtype="float64", seed=3)


def narrow(edges):
    return NumericEmbedding(3, bins=[[0.0, 1.0], edges], columns=[0, 2])


# ---- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [3, 16, 20])
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.01), AdamW(0.01)], ids=repr)
def test_an_embedding_is_a_dense_over_one_hot_rows(isa, dim, optimizer):
    """Bit for bit: a product with 0 adds nothing to a chain of multiply-adds."""
    rng = np.random.default_rng(0)
    codes, y = rng.integers(0, 50, 300), rng.normal(size=(300, 2)).astype("float32")
    one_hot = np.eye(50, dtype="float32")[codes]
    made = {"loss": "squared_error", "optimizer": optimizer, "seed": 0}
    ours = MLP(1, [Embedding(50, dim), Dense(9, "tanh"), Dense(2)], **made)
    theirs = MLP(50, [Dense(dim, use_bias=False), Dense(9, "tanh"), Dense(2)], **made)
    theirs.set_weights(ours.get_weights())
    ours.fit(codes[:, None].astype("float32"), y, batch_size=32, epochs=3, shuffle=False)
    theirs.fit(one_hot, y, batch_size=32, epochs=3, shuffle=False)
    assert sha256(ours) == sha256(theirs)


def test_decay_is_of_weights_alone():
    """Where the gradient is 0 only decay changes parameters."""
    stack = [Embedding(3, 2, columns=[1]), NumericEmbedding(2, "periodic", columns=[0]), Dense(2)]
    net = network(stack, AdamW(0.1, weight_decay=0.5))
    before = net.get_weights()
    before[-2][:], before[-1][:] = 0, 0
    net.set_weights(before)
    net.fit(rows(10, [EMBEDDING])[0], np.zeros((10, 2)), batch_size=None)
    table, frequencies, W, b, *_ = net.get_weights()
    np.testing.assert_allclose(table, 0.95 * before[0])
    assert np.array_equal(frequencies, before[1])
    np.testing.assert_allclose(W, 0.95 * before[2])
    assert np.array_equal(b, before[3])


def test_mixed_bfloat16_leaves_embeddings_in_float32():
    """Only products of Dense layers are rounded, so the layer's own outputs are the same."""
    X, y = rows(50, [EMBEDDING], "float32")
    stack = [EMBEDDING, NumericEmbedding(16, bins=BINS[:1], columns=[0]), Dense(8), Dense(2)]
    mixed, plain = (network(stack, "adam", dtype) for dtype in ("mixed_bfloat16", "float32"))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(mixed.activations(X)[:2], plain.activations(X)[:2], strict=True)
    )
    twin = reference.Network.like(mixed)
    loss = mixed.loss_and_gradients(X, y)[0]
    np.testing.assert_allclose(loss, twin.loss_and_gradients(X, y)[0], rtol=1e-5)
    mixed.fit(X, y, epochs=2)


# ---- values -------------------------------------------------------------------------------------


def test_outputs_have_the_order_of_their_columns():
    net = network([EMBEDDING, Dense(2)])
    X, _ = rows(4, [EMBEDDING])
    table, z = net.get_weights()[0], net.activations(X)[0]
    codes = X.astype(int)
    expected = [X[:, :1], table[codes[:, 1]], X[:, 2:4], table[3 + codes[:, 4]]]
    assert np.array_equal(z, np.hstack(expected))


def test_piecewise_encoding_has_open_ends():
    """As in the paper: no lower end of the first bin, no upper end of the last one."""
    net = network(
        [NumericEmbedding(3, bins=BINS[:1], columns=[0], activation="identity"), Dense(2)]
    )
    net.set_weights([np.eye(3), np.zeros((1, 3)), *net.get_weights()[2:]])
    X = np.zeros((5, 5))
    X[:, 0] = [-4, -2, 0.05, 0.4, 1.6]
    expected = [
        [-2 / 1.7, 0, 0], [0, 0, 0], [1, 0.5, 0], [1, 1, 0], [1, 1, 2],
    ]  # fmt: skip
    np.testing.assert_allclose(net.activations(X)[0][:, :3], expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_periodic_encoding(isa, dtype):
    net = MLP(1, [NumericEmbedding(2, "periodic"), Dense(1)], loss="squared_error", optimizer="sgd",
              dtype=dtype, seed=0)  # fmt: skip
    frequencies, W, b, *_ = net.get_weights()
    X = np.linspace(-30, 30, 200).astype(dtype)[:, None]
    angle = 2 * np.pi * (X * frequencies).astype("float64")
    e = np.hstack([np.sin(angle), np.cos(angle)])
    z = np.maximum(e @ W.astype("float64") + b[0], 0)
    tolerance = 40 * np.finfo(dtype).eps
    np.testing.assert_allclose(net.activations(X)[1], z, rtol=0, atol=tolerance)


def test_standardize_leaves_categories_alone():
    net = network(ALL)
    mean, scale = net.standardization
    assert mean[[1, 4]].tolist() == [0, 0]
    assert scale[[1, 4]].tolist() == [1, 1]
    assert (mean[[0, 2, 3]] != 0).all()
    fitted = MLP(5, ALL, loss="squared_error", optimizer="sgd", seed=3)
    fitted.fit(*rows(50, [EMBEDDING], "float32"), epochs=1)
    assert fitted.standardization[1][[1, 4]].tolist() == [1, 1]


def test_initial_values():
    net = fresh(EMBEDDING, Dense(2))
    assert 0.4 < np.abs(net.get_weights()[0]).max() <= 0.5  # 1 / sqrt(4)
    net = fresh(NumericEmbedding(30, bins=BINS, columns=[0, 2, 3]), Dense(2))
    W, b = net.get_weights()[:2]
    assert W.shape == (9, 30)
    assert b.shape == (3, 30)
    for k, part in enumerate((W[:3], W[3:4], W[4:])):
        bound = 1 / np.sqrt(len(part))
        assert 0.8 * bound < np.abs(part).max() <= bound
        assert 0.8 * bound < np.abs(b[k]).max() <= bound
    net = fresh(NumericEmbedding(2, "periodic", n_frequencies=400, sigma=0.5), Dense(2))
    frequencies = net.get_weights()[0]
    assert frequencies.shape == (5, 400)
    assert abs(frequencies.std() - 0.5) < 0.03


def test_edges_of_bins():
    X = np.array([[0, 5], [1, 5], [2, 5], [3, 7], [4, 7]])
    assert NumericEmbedding.edges(X, 2) == [[0, 2, 4], [5, 7]]
    assert NumericEmbedding.edges(X, 2, columns=[1]) == [[5, 7]]
    near = np.array([0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2, 0.8, 1.0, -1e-17, 0.0])[:, None]
    assert NumericEmbedding.edges(near, 7) == [[-1e-17, 0.3, 0.8, 1.0]]
    assert NumericEmbedding.edges(near + 1e6, 7)[0][1:] == [1e6 + 0.3, 1e6 + 0.8, 1e6 + 1]
    with pytest.raises(ValueError, match=r"column 0 of X is 3 in all rows, so it has no bins"):
        NumericEmbedding.edges(np.full((4, 2), 3.0))
    with pytest.raises(ValueError, match=r"X\[1, 0\] is nan; replace or drop"):
        NumericEmbedding.edges([[1.0], [np.nan]])


def test_summary_has_a_line_for_each_piece(capsys):
    network(ALL).summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:10]] == [
        "input", "Standardize", "Embedding", "PeriodicEncoding", "BlockDense",
        "PiecewiseEncoding", "BlockDense", "LayerNorm",
    ]  # fmt: skip


def test_profile_has_the_layers():
    X, y = rows(64, [EMBEDDING], "float32")
    assert fastnn.profile(network(ALL, "adam", "float32"), X, y, batch_size=16)


# ---- what is checked ----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [3.0, -1.0, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_invalid_categories_are_refused_before_anything_changes(bad, dtype):
    net, (X, y) = network([EMBEDDING, Dense(2)], "adam", "float32"), rows(20, [EMBEDDING], dtype)
    y = y.astype("float32")
    before = sha256(net)
    X[7, 1] = bad
    message = (
        rf"X\[7, 1\] is {bad:g}, but column 1 holds categories, which are numbered from 0 to 2;"
    )
    calls = [
        lambda: net.predict(X),
        lambda: net.fit(X, y, epochs=1),
        lambda: net.train_on_batch(X, y),
        lambda: net.evaluate(X, y),
        lambda: net.loss_and_gradients(X, y),
        lambda: net.activations(X),
        lambda: net.fit(rows(20, [EMBEDDING])[0], y, epochs=1, validation_data=(X, y)),
        lambda: net.predict(pytest.importorskip("scipy.sparse").csr_matrix(X)),
        lambda: fit_many([net], X, y, epochs=1),
        lambda: net.fit(iter([(X, y)]), epochs=1, steps_per_epoch=1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    assert sha256(net) == before


def test_categories_of_large_rows_are_checked(monkeypatch):
    monkeypatch.setattr("fastnn.training.rows.LARGE_BYTES", 0)
    net = network([EMBEDDING, Dense(2)], "adam", "float32")
    X = np.zeros((20, 5), np.uint8)
    net.fit(X, np.zeros((20, 2)), epochs=1)
    X[13, 4] = 40
    with pytest.raises(ValueError, match=r"X\[13, 4\] is 40, but column 4 holds categories"):
        net.fit(X, np.zeros((20, 2)), epochs=1)


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: Embedding(0, 2), "n_categories must be"),
        (lambda: Embedding(2**24 + 1, 2), "n_categories must be"),
        (lambda: Embedding([3, 4], 2, columns=[1]), "one entry, for its column; it has 2"),
        (lambda: Embedding([], 2), "at least one entry"),
        (lambda: Embedding("3", 2), "must be a list of integers, one for each column"),
        (lambda: Embedding(3, 0), "dim must be"),
        (lambda: Embedding(3, 2, columns=[1, 1]), "column numbers that increase"),
        (lambda: Embedding(3, 2, columns=[]), "column numbers that increase"),
        (lambda: Embedding(3, 2, columns=2), "columns must be a list of column numbers"),
        (
            lambda: network([Embedding(3, 2, columns=[5]), Dense(2)]),
            "columns holds 5, but the layer",
        ),
        (lambda: network([Embedding([3], 2), Dense(2)]), "n_categories is for 1 column, but"),
        (lambda: network([Dense(5), Embedding(3, 2), Dense(2)]), "must be the first layer, or"),
        (lambda: network([Dropout(0.1), EMBEDDING, Dense(2)]), "must be the first layer, or"),
        (lambda: Residual([EMBEDDING]), "must be the first layer of the network"),
        (lambda: network([EMBEDDING]), "at least one Dense"),
        (lambda: NumericEmbedding(3), "bins is needed for kind='piecewise'"),
        (lambda: NumericEmbedding(3, "sine"), "kind must be"),
        (lambda: NumericEmbedding(3, "periodic", bins=BINS), "bins is for kind='piecewise' only"),
        (lambda: NumericEmbedding(3, bins=4), "bins=NumericEmbedding.edges(X, 4)"),
        (lambda: NumericEmbedding(3, bins=[[1.0]]), "bins[0] must be two or more numbers"),
        (lambda: NumericEmbedding(3, bins=[[1.0, 1.0]]), "bins[0] must be two or more numbers"),
        (lambda: NumericEmbedding(3, bins=BINS, columns=[1]), "one entry, for its column"),
        (
            lambda: network([narrow([0.0, 1e-309, 1.0]), Dense(2)]),
            "bins of column 2 has the edges 0.0 and 1e-309, too close to each other for float64",
        ),
        (
            lambda: network([narrow([0.0, 1e-39, 1.0]), Dense(2)]).copy(dtype="float32"),
            "for float32; drop one of them, or multiply the column by a constant, or build the",
        ),
        (lambda: NumericEmbedding(3, "periodic", sigma=0), "sigma must be"),
        (lambda: NumericEmbedding(3, "periodic", activation="softmax"), "acts on whole rows"),
        (lambda: network([NumericEmbedding(3, bins=BINS), Dense(2)]), "bins is for 3 columns, but"),
        (lambda: network([NumericEmbedding(3, "periodic")]), "at least one Dense"),
    ],
)
def test_invalid_arguments_are_refused(make, fragment):
    refuses((TypeError, ValueError), [fragment], make)


# ---- other forms --------------------------------------------------------------------------------


@NAMED
def test_trained_layers_can_be_frozen(stack):
    net, (X, y) = network(stack, Adam(0.01)), rows(30, stack)
    net.freeze()
    before = net.get_weights()
    net.unfreeze([-1])
    net.fit(X, y, epochs=1)
    changed = [not np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True)]
    assert changed == [False] * (len(before) - 2) + [True, True]


def tolerance(dtype):
    return {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-10}


def strange(X):
    """Return rows whose column 4 holds numbers that are no categories: those are 0 to 39."""
    numbers = [40, 1e30, np.inf, -1, -0.5, 1.5, 38.75, np.nan]
    rows = X[: len(numbers)].copy()
    rows[:, 4] = numbers
    return rows


@NAMED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_onnx(stack, dtype, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net, (X, _) = network(stack, dtype=dtype), rows(20, stack, dtype)
    model = fastnn.onnx.export(net).SerializeToString()
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"input": X})
    np.testing.assert_allclose(found, net.predict(X), **tolerance(dtype))
    if net._state.specification.categories:
        assert np.isnan(session.run(None, {"input": strange(X)})[0]).all()
    (tmp_path / "net.onnx").write_bytes(model)
    with pytest.raises(ValueError, match=r"^the model has embeddings or .*; load the file"):
        fastnn.from_onnx(tmp_path / "net.onnx")


@NAMED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch(stack, dtype):
    torch = pytest.importorskip("torch")
    net, (X, y) = network(stack, dtype=dtype), rows(20, stack, dtype)
    module = pickle.loads(pickle.dumps(fastnn.to_torch(net)))
    out = module(torch.from_numpy(X))
    np.testing.assert_allclose(out.detach().numpy(), net.predict(X), **tolerance(dtype))
    if net._state.specification.categories:
        assert np.isnan(module(torch.from_numpy(strange(X))).detach().numpy()).all()
    loss = 0.5 * ((out - torch.from_numpy(y)) ** 2).sum(1).mean()
    loss.backward()
    gradients = net.loss_and_gradients(X, y)[1]
    for parameter, expected in zip(module.parameters(), gradients, strict=True):
        if parameter.grad is not None:  # it is trained
            found = parameter.grad.numpy()
            found = found if found.shape == expected.shape else found.T  # of a Linear
            np.testing.assert_allclose(found, expected, **tolerance(dtype))


def test_periodic_functions_of_large_numbers_in_torch():
    """Angles of many turns would have few digits left in float32."""
    torch = pytest.importorskip("torch")
    layers = [NumericEmbedding(4, "periodic", sigma=1.0), Dense(1)]
    net = MLP(1, layers, loss="squared_error", optimizer="sgd", seed=1)
    X = np.float32(1e4) * (1 + np.random.default_rng(0).random((200, 1), "f4"))
    module = fastnn.to_torch(net)
    found = module(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(found, net.predict(X), atol=1e-5)


def test_scikit_learn_has_no_embeddings():
    pytest.importorskip("sklearn")
    message = r"to_sklearn cannot write Embedding layer 0 of 1; scikit-learn has no such layer"
    with pytest.raises(ValueError, match=message):
        fastnn.to_sklearn(network([EMBEDDING, Dense(2)]))


@pytest.mark.parametrize("flag", ["-march=native", "-DFASTNN_SCALAR"])
@NAMED
def test_c_source(stack, flag, tmp_path):
    """Predictions, and steps where the network has no dropout and nothing is frozen."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    net, (X, y) = network(stack, SGD(0.05)), rows(20, stack)
    plain = all(isinstance(layer, (Standardize, Residual)) or layer.trainable for layer in stack)
    training = plain and "learning_rate_multiplier=0.5" not in repr(stack) and not any(
        isinstance(layer, Dropout) for layer in stack
    )  # fmt: skip
    net.to_c(tmp_path / "n.c", training=training)
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    library = tmp_path / "n.so"
    subprocess.run([compiler, *strict, flag, tmp_path / "n.c", "-o", library], check=True)
    functions = ctypes.CDLL(str(library))
    out = np.empty((20, 2))
    for x, z in zip(X, out, strict=True):
        functions.n_predict(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(z.ctypes.data))
    np.testing.assert_allclose(out, net.predict(X), **EXACT)
    if net._state.specification.categories:
        for x, z in zip(strange(X), out, strict=False):
            functions.n_predict(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(z.ctypes.data))
            assert np.isnan(z).all()
    if not training:
        return
    sizes = re.findall(r"\[(\d+)\]; /\*", (tmp_path / "n.h").read_text())
    trained = (ctypes.c_double * sum(map(int, sizes))).in_dll(functions, "n_trained")
    weights = type(trained)(*trained)
    functions.n_step.restype = ctypes.c_double
    rate = ctypes.c_double(0.05)
    for x, t in zip(X, y, strict=True):
        loss = functions.n_step(weights, ctypes.c_void_p(x.ctypes.data),
                                ctypes.c_void_p(t.ctypes.data), rate)  # fmt: skip
        np.testing.assert_allclose(loss, net.train_on_batch(x[None], t[None]), rtol=1e-8)


@pytest.mark.parametrize("name", [name for name in EMBEDDINGS if has(EMBEDDINGS[name], Embedding)])
def test_a_step_from_c_refuses_an_invalid_category(name):
    stack = EMBEDDINGS[name]
    net, (X, y) = network(stack, Adam(0.01), "float32"), rows(30, stack, "float32")
    before = sha256(net)
    api, workspace = embedding.functions(), embedding.Workspace(net, 30, training=True)
    X[3, 4] = 40
    status = api.train_f32(workspace.address, 30, X.ctypes.data, y.ctypes.data, None)
    assert "is no category" in api.message(status).decode()
    assert sha256(net) == before
