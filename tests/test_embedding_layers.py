"""Embedding and NumericEmbedding: layers that replace columns of a row by learned vectors.

Gradients are compared with the reference and central differences, trainings with the reference,
and bit by bit: on several numbers of threads, as members of fit_many, from sparse rows, and with a
Dense over one-hot rows. Then what is checked, files and other forms of a network. Not here: calls
of any network from C (test_embedding.py).
"""

import ctypes
import pickle
import re
import shutil
import subprocess

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    NumericEmbedding,
    Residual,
    Standardize,
    check_gradients,
    embedding,
    fit_many,
    reference,
)

EXACT = {"rtol": 1e-9, "atol": 1e-10}

CATEGORIES = Embedding([3, 40], 4, columns=[1, 4])
BINS = [[-2.0, -0.3, 0.4, 1.0], [-1.5, 1.5], [-1.0, -0.5, 0.0, 0.5, 1.0, 2.0]]
#: Behind five inputs, of which the columns 1 and 4 hold categories; two outputs.
STACKS = {
    "categories": [CATEGORIES, Dense(7, "tanh"), Dense(2)],
    "wide vectors": [Embedding([3, 40], 19, columns=[1, 4]), Dense(2)],
    "one column": [Embedding(40, 1, columns=[4]), Dense(7, "tanh"), Dense(2)],
    "frozen categories": [Embedding([3, 40], 4, columns=[1, 4], trainable=False), Dense(2)],
    "bins": [NumericEmbedding(3, bins=BINS[:2], columns=[0, 2], activation="tanh"), Dense(2)],
    "bins, slopes kept": [
        NumericEmbedding(19, bins=BINS, columns=[0, 2, 3], activation="gelu"),
        Dense(7, "tanh"),
        Dense(2),
    ],
    "waves": [NumericEmbedding(3, "periodic", columns=[0, 2], activation="silu"), Dense(2)],
    "waves of all": [
        Standardize(),
        NumericEmbedding(20, "periodic", activation="gelu", n_frequencies=20),
        Dropout(0.2),
        Dense(7, "tanh"),
        Dense(2),
    ],
    "both": [
        Standardize(),
        CATEGORIES,
        NumericEmbedding(
            5, "periodic", columns=[0, 5], n_frequencies=2, sigma=0.3, activation="identity",
            learning_rate_multiplier=0.5,
        ),
        NumericEmbedding(2, bins=BINS[1:], columns=[1, 3], activation="softplus"),
        LayerNorm(),
        Dense(2),
    ],
    "within": [
        Dense(6, "tanh"),
        NumericEmbedding(1, "periodic", columns=[5], n_frequencies=3, activation="tanh"),
        Residual([NumericEmbedding(2, bins=BINS[:1] * 3, columns=[1, 2, 3]), Dense(6)]),
        Dense(2),
    ],
    "frozen numbers": [
        NumericEmbedding(3, "periodic", columns=[0], trainable=False),
        NumericEmbedding(3, bins=BINS[:1], columns=[3], activation="tanh", trainable=False),
        Dense(5, "tanh"),
        Dense(2),
    ],
}  # fmt: skip
NAMED = pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)


def rows(n, dtype="float64"):
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, 5))
    X[:, 1], X[:, 4] = rng.integers(0, 3, n), rng.integers(0, 40, n)
    return X.astype(dtype), rng.normal(size=(n, 2)).astype(dtype)


def rows_for(stack, n, dtype="float64"):
    """Return rows whose numbers are small where no layer takes them as categories."""
    X, y = rows(n, dtype)
    if not any(isinstance(layer, Embedding) for layer in stack):
        X[:, 4] /= 20
    return X, y


def network(stack, optimizer="sgd", dtype="float64", **options):
    net = MLP(5, stack, loss="squared_error", optimizer=optimizer, dtype=dtype, seed=3, **options)
    if isinstance(stack[0], Standardize):
        net.adapt(rows_for(stack, 50)[0])
    return net


def narrow(edges):
    return NumericEmbedding(3, bins=[[0.0, 1.0], edges], columns=[0, 2])


def all_bytes(net):
    return b"".join(w.tobytes() for w in net.get_weights())


# ---- gradients ----------------------------------------------------------------------------------


@NAMED
@pytest.mark.parametrize("n", [1, 4, 5, 40])
def test_gradients_are_those_of_the_reference(isa, stack, n):
    net, (X, y) = network(stack), rows_for(stack, n)
    loss, gradients = net.loss_and_gradients(X, y, training=True)
    truth, expected = reference.Network.like(net).loss_and_gradients(X, y, training=True)
    np.testing.assert_allclose(loss, truth, **EXACT)
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


@NAMED
def test_gradients_against_central_differences(isa, stack):
    assert check_gradients(network(stack), *rows_for(stack, 7)) < 1e-6


@NAMED
def test_input_gradients_against_differences(isa, stack):
    """They are 0 for categories."""
    net, (X, _) = network(stack), rows_for(stack, 6)
    predict, found = reference.Network.like(net).predict, net.jacobian(X)
    holds = network(stack)._state.specification.categories
    for i, step in enumerate(1e-6 * np.eye(5)):
        slope = (predict(X + step) - predict(X - step)) / 2e-6 if i not in holds else 0.0
        np.testing.assert_allclose(found[:, :, i], slope + np.zeros((6, 2)), rtol=1e-5, atol=1e-7)


# ---- training -----------------------------------------------------------------------------------

OPTIMIZERS = [
    SGD(0.02, momentum=0.9),
    AdamW(0.01, weight_decay=0.1),
    Adam(0.01, clipvalue=0.01),
    SGD(0.02, clipnorm=0.1),
    SGD(0.02, global_clipnorm=0.1),
    AdamW(0.01, use_ema=True),
]


@NAMED
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_is_that_of_the_reference(stack, optimizer, batch):
    net, (X, y) = network(stack, optimizer), rows_for(stack, 40)
    twin = reference.Network.like(net)
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(40)
        loss = net.fit(X[order], y[order], batch_size=batch, shuffle=False).history["loss"][0]
        np.testing.assert_allclose(loss, twin.fit_epoch(X, y, order, batch), rtol=1e-8)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)
    if optimizer.use_ema:
        for ours, theirs in zip(net.get_ema_weights(), twin.average, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@NAMED
@pytest.mark.parametrize("batch", [1, 30, 1100])
def test_bits_do_not_depend_on_threads(isa, stack, batch):
    X, y = rows_for(stack, 1200 if batch > 1000 else 60, "float32")
    found = set()
    for n_threads in (1, 2, 3):
        net = network(stack, Adam(0.01), "float32")
        net.fit(X, y, batch_size=batch, epochs=2, n_threads=n_threads)
        found.add(all_bytes(net))
    assert len(found) == 1


@NAMED
def test_predictions_do_not_depend_on_the_batch(isa, stack):
    net, (X, _) = network(stack, dtype="float32"), rows_for(stack, 200, "float32")
    whole = net.predict(X)
    for n in (1, 2, 5, 96, 97):
        assert np.array_equal(net.predict(X[:n]), whole[:n])


@NAMED
def test_members_of_fit_many_have_the_bits_of_their_own_fits(stack):
    X, y = rows_for(stack, 70, "float32")
    alone, together = ([network(stack, AdamW(0.01), "float32") for _ in range(3)] for _ in "12")
    for i, net in enumerate(alone):
        net.fit(X[i:], y[i:], batch_size=16, epochs=3, shuffle=False)
    parts = [np.arange(i, 70) for i in range(3)]
    fit_many(together, X, y, rows=parts, batch_size=16, epochs=3, shuffle=False)
    assert [*map(all_bytes, alone)] == [*map(all_bytes, together)]


@NAMED
def test_sparse_rows_have_the_bits_of_dense_ones(stack):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = rows_for(stack, 60, "float32")
    X[:, [0, 2]] *= X[:, [0, 2]] > 0
    one, other = network(stack, Adam(0.01), "float32"), network(stack, Adam(0.01), "float32")
    one.fit(X, y, batch_size=16, epochs=2)
    other.fit(sparse.csr_matrix(X), y, batch_size=16, epochs=2)
    assert all_bytes(one) == all_bytes(other)
    assert np.array_equal(one.predict(X), other.predict(sparse.csr_matrix(X)))


@pytest.mark.parametrize("dim", [3, 16, 20])
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.01), AdamW(0.01)], ids=repr)
def test_an_embedding_is_a_dense_over_one_hot_rows(isa, dim, optimizer):
    """To the last bit: a product with 0 adds nothing to a chain of multiply-adds."""
    rng = np.random.default_rng(0)
    codes, y = rng.integers(0, 50, 300), rng.normal(size=(300, 2)).astype("float32")
    one_hot = np.eye(50, dtype="float32")[codes]
    made = {"loss": "squared_error", "optimizer": optimizer, "seed": 0}
    ours = MLP(1, [Embedding(50, dim), Dense(9, "tanh"), Dense(2)], **made)
    theirs = MLP(50, [Dense(dim, use_bias=False), Dense(9, "tanh"), Dense(2)], **made)
    theirs.set_weights(ours.get_weights())
    ours.fit(codes[:, None].astype("float32"), y, batch_size=32, epochs=3, shuffle=False)
    theirs.fit(one_hot, y, batch_size=32, epochs=3, shuffle=False)
    assert all_bytes(ours) == all_bytes(theirs)


def test_decay_is_of_weights_alone():
    """Where the gradient is 0 only decay changes parameters."""
    stack = [Embedding(3, 2, columns=[1]), NumericEmbedding(2, "periodic", columns=[0]), Dense(2)]
    net = network(stack, AdamW(0.1, weight_decay=0.5))
    before = net.get_weights()
    before[-2][:], before[-1][:] = 0, 0
    net.set_weights(before)
    net.fit(rows(10)[0], np.zeros((10, 2)), batch_size=None)
    table, frequencies, W, b, *_ = net.get_weights()
    np.testing.assert_allclose(table, 0.95 * before[0])
    assert np.array_equal(frequencies, before[1])
    np.testing.assert_allclose(W, 0.95 * before[2])
    assert np.array_equal(b, before[3])


def test_mixed_bfloat16_leaves_embeddings_in_float32():
    """Only products of Dense layers are rounded, so the layer's own outputs are the same."""
    X, y = rows(50, "float32")
    stack = [CATEGORIES, NumericEmbedding(16, bins=BINS[:1], columns=[0]), Dense(8), Dense(2)]
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
    net = network([CATEGORIES, Dense(2)])
    X, _ = rows(4)
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
    net = network(STACKS["both"])
    mean, scale = net.standardization
    assert mean[[1, 4]].tolist() == [0, 0]
    assert scale[[1, 4]].tolist() == [1, 1]
    assert (mean[[0, 2, 3]] != 0).all()
    fitted = MLP(5, STACKS["both"], loss="squared_error", optimizer="sgd", seed=3)
    fitted.fit(*rows(50, "float32"), epochs=1)
    assert fitted.standardization[1][[1, 4]].tolist() == [1, 1]


def test_initial_values():
    net = network([CATEGORIES, Dense(2)])
    assert 0.4 < np.abs(net.get_weights()[0]).max() <= 0.5  # 1 / sqrt(4)
    net = network([NumericEmbedding(30, bins=BINS, columns=[0, 2, 3]), Dense(2)])
    W, b = net.get_weights()[:2]
    assert W.shape == (9, 30)
    assert b.shape == (3, 30)
    for k, part in enumerate((W[:3], W[3:4], W[4:])):
        bound = 1 / np.sqrt(len(part))
        assert 0.8 * bound < np.abs(part).max() <= bound
        assert 0.8 * bound < np.abs(b[k]).max() <= bound
    net = network([NumericEmbedding(2, "periodic", n_frequencies=400, sigma=0.5), Dense(2)])
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
    network(STACKS["both"]).summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:10]] == [
        "input", "Standardize", "Embedding", "PeriodicEncoding", "BlockDense",
        "PiecewiseEncoding", "BlockDense", "LayerNorm",
    ]  # fmt: skip


def test_profile_has_the_layers():
    X, y = rows(64, "float32")
    assert fastnn.profile(network(STACKS["both"], "adam", "float32"), X, y, batch_size=16)


# ---- what is checked ----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [3.0, -1.0, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_no_categories_are_refused_before_anything_changes(bad, dtype):
    net, (X, y) = network([CATEGORIES, Dense(2)], "adam", "float32"), rows(20, dtype)
    y = y.astype("float32")
    before = all_bytes(net)
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
        lambda: net.fit(rows(20)[0], y, epochs=1, validation_data=(X, y)),
        lambda: net.predict(pytest.importorskip("scipy.sparse").csr_matrix(X)),
        lambda: fit_many([net], X, y, epochs=1),
        lambda: net.fit(iter([(X, y)]), epochs=1, steps_per_epoch=1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    assert all_bytes(net) == before


def test_categories_of_large_rows_are_checked(monkeypatch):
    monkeypatch.setattr("fastnn.training.rows.LARGE_BYTES", 0)
    net = network([CATEGORIES, Dense(2)], "adam", "float32")
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
        (lambda: Embedding([3, 4], 2, columns=[1]), "an entry for each of 1 columns; it has 2"),
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
        (lambda: network([Embedding([3], 2), Dense(2)]), "n_categories is for 1 columns, but"),
        (lambda: network([Dense(5), Embedding(3, 2), Dense(2)]), "must be the first layer, or"),
        (lambda: network([Dropout(0.1), CATEGORIES, Dense(2)]), "must be the first layer, or"),
        (lambda: Residual([CATEGORIES]), "must be the first layer of the network"),
        (lambda: network([CATEGORIES]), "at least one Dense"),
        (lambda: NumericEmbedding(3), "bins is needed for kind='piecewise'"),
        (lambda: NumericEmbedding(3, "sine"), "kind must be"),
        (lambda: NumericEmbedding(3, "periodic", bins=BINS), "bins is for kind='piecewise' only"),
        (lambda: NumericEmbedding(3, bins=4), "bins=NumericEmbedding.edges(X, 4)"),
        (lambda: NumericEmbedding(3, bins=[[1.0]]), "bins[0] must be two or more numbers"),
        (lambda: NumericEmbedding(3, bins=[[1.0, 1.0]]), "bins[0] must be two or more numbers"),
        (lambda: NumericEmbedding(3, bins=BINS, columns=[1]), "an entry for each of 1 columns"),
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
def test_what_does_not_fit_is_refused(make, fragment):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert fragment in str(caught.value)


# ---- files and other forms ----------------------------------------------------------------------


@NAMED
def test_files_keep_the_layers(stack, tmp_path):
    net, (X, y) = network(stack, Adam(0.01)), rows_for(stack, 30)
    net.fit(X, y, epochs=2)
    net.save(tmp_path / "net.safetensors")
    twin = fastnn.load(tmp_path / "net.safetensors")
    assert twin.layers == net.layers
    for one in (net, twin):
        one.fit(X, y, epochs=2)
    assert all_bytes(net) == all_bytes(twin)
    assert MLP.from_json(net.to_json()).layers == net.layers
    assert all_bytes(pickle.loads(pickle.dumps(net))) == all_bytes(net)


@NAMED
def test_trained_layers_can_be_frozen(stack):
    net, (X, y) = network(stack, Adam(0.01)), rows_for(stack, 30)
    net.freeze()
    before = all_bytes(net)
    net.unfreeze([-1])
    net.fit(X, y, epochs=1)
    assert all_bytes(net) != before
    n = sum(w.size for w in net.get_weights()[:-2])
    assert all_bytes(net)[: 8 * n] == before[: 8 * n]


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
    net, (X, _) = network(stack, dtype=dtype), rows_for(stack, 20, dtype)
    model = fastnn.onnx.export(net).SerializeToString()
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"input": X})
    np.testing.assert_allclose(found, net.predict(X), **tolerance(dtype))
    if net._state.specification.categories:
        assert np.isnan(session.run(None, {"input": strange(X)})[0]).all()
    (tmp_path / "net.onnx").write_bytes(model)
    with pytest.raises(ValueError, match="Gather"):
        fastnn.from_onnx(tmp_path / "net.onnx")


@NAMED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch(stack, dtype):
    torch = pytest.importorskip("torch")
    net, (X, y) = network(stack, dtype=dtype), rows_for(stack, 20, dtype)
    if isinstance(stack[0], Standardize):
        with pytest.raises(ValueError, match="to_torch cannot fold a Standardize into"):
            fastnn.to_torch(net)
        return
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


def test_scikit_learn_has_no_embeddings():
    pytest.importorskip("sklearn")
    message = r"to_sklearn cannot write Embedding layer 0 of 1; scikit-learn has no such layer"
    with pytest.raises(ValueError, match=message):
        fastnn.to_sklearn(network([CATEGORIES, Dense(2)]))


@pytest.mark.parametrize("flag", ["-march=native", "-DFASTNN_SCALAR"])
@NAMED
def test_c_source(stack, flag, tmp_path):
    """Predictions, and steps where the network has no dropout and nothing is frozen."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    net, (X, y) = network(stack, SGD(0.05)), rows_for(stack, 20)
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


@NAMED
def test_calls_from_c(stack):
    """They have the bits of Python's calls, and a status of their own for what is no category."""
    X, y = rows_for(stack, 30, "float32")
    net, twin = (network(stack, Adam(0.01), "float32") for _ in "12")
    api, room = embedding.functions(), embedding.Workspace(net, 30, training=True)
    loss = ctypes.c_double()
    step = (room.address, 30, X.ctypes.data, y.ctypes.data, ctypes.addressof(loss))
    assert api.train_f32(*step) == 0
    assert np.float32(loss.value) == np.float32(twin.train_on_batch(X, y))
    assert all_bytes(net) == all_bytes(twin)
    out = np.empty((30, 2), np.float32)
    assert api.predict_f32(room.address, 30, X.ctypes.data, out.ctypes.data) == 0
    assert np.array_equal(out, net.predict(X))
    if net._state.specification.categories:
        X[3, 4] = 40
        status = api.train_f32(*step)
        assert "is no category" in api.message(status).decode()
        assert all_bytes(net) == all_bytes(twin)
