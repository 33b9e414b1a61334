"""What all layers promise, for the stacks of layer_stacks.py, which have every kind of layer.

Gradients are compared with the reference and central differences, trainings with the reference, and
bit by bit: on several numbers of threads and instruction sets, as members of fit_many, from sparse
rows and from C; then files. Not here: what a single kind computes or refuses (test_stages.py,
test_embedding_layers.py, test_ensemble_layers.py), Dense networks (test_training.py).
"""

import ctypes
import pickle

import numpy as np
import pytest
from comparing import digest, sha256
from layer_stacks import STACKS, inside, network, rows

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Dense,
    _cpu,
    check_gradients,
    embedding,
    fit_many,
    layers,
    reference,
)
from fastnn.training.binding import ROUNDING

EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(params=STACKS, ids=str)
def stack(request):
    return STACKS[request.param]


def has_penalties(stack):
    return any(getattr(layer, name, 0) for layer in inside(stack) for name in ("l1", "l2"))


def assert_close(arrays, expected):
    for ours, theirs in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)


# ---- every kind is there ------------------------------------------------------------------------


def test_stacks_have_every_kind_of_layer():
    found = {type(layer) for stack in STACKS.values() for layer in inside(stack)}
    assert set(layers.KINDS.values()) - found == set()
    pieces = {type(piece) for stack in STACKS.values() for piece, _ in layers.with_widths(stack, 5)}
    assert set(layers.PIECES) - pieces == set()


def test_kinds_have_a_place_everywhere(kernels):
    assert set(reference.TWINS) == set(layers.KINDS)
    pieces = {kind.name for kind in layers.PIECES}
    assert pieces | set(ROUNDING.values()) == set(kernels.registry()["stages"])


# ---- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 5, 40])
def test_gradients_are_those_of_the_reference(isa, stack, n):
    net, (X, y) = network(stack), rows(n, stack)
    loss, gradients = net.loss_and_gradients(X, y, training=True)
    truth, expected = reference.Network.like(net).loss_and_gradients(X, y, training=True)
    np.testing.assert_allclose(loss, truth, **EXACT)
    assert_close(gradients, expected)


def test_gradients_against_central_differences(isa, stack):
    assert check_gradients(network(stack), *rows(7, stack)) < 1e-6


def test_input_gradients_against_differences(isa, stack):
    """They are 0 for categories."""
    net, (X, _) = network(stack), rows(6, stack)
    predict, found = reference.Network.like(net).predict, net.jacobian(X)
    categories = net._state.specification.categories
    for i, step in enumerate(1e-5 * np.eye(5)):
        slope = (predict(X + step) - predict(X - step)) / 2e-5 if i not in categories else 0.0
        expected = np.broadcast_to(slope, (6, 2))
        np.testing.assert_allclose(found[:, :, i], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in STACKS if not has_penalties(STACKS[name])])
def test_gradients_of_rows_add_up(isa, name):
    """Without penalties, of which rows have none."""
    net, (X, y) = network(STACKS[name]), rows(21, STACKS[name])
    of_rows = net.per_sample_gradients(X, y)
    assert_close([each.mean(0) for each in of_rows], net.loss_and_gradients(X, y)[1])
    alone = net.loss_and_gradients(X[7:8], y[7:8])[1]
    assert digest(each[7] for each in of_rows) == digest(alone)


# ---- training -----------------------------------------------------------------------------------

OPTIMIZERS = [
    SGD(0.02),
    SGD(0.002, momentum=0.9),
    Adam(0.01),
    AdamW(0.01, weight_decay=0.1),
    Adam(0.01, clipvalue=0.01),
    SGD(0.02, clipnorm=0.1),
    SGD(0.02, global_clipnorm=0.1),
    AdamW(0.01, use_ema=True),
]


@pytest.mark.parametrize("batch", [1, 4, 7, 40])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_is_that_of_the_reference(stack, optimizer, batch):
    net, (X, y) = network(stack, optimizer), rows(40, stack)
    twin = reference.Network.like(net)
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(40)
        loss = net.fit(X[order], y[order], batch_size=batch, shuffle=False).history["loss"][0]
        np.testing.assert_allclose(loss, twin.fit_epoch(X, y, order, batch), **EXACT)
    assert_close(net.get_weights(), twin.get_weights())
    if optimizer.use_ema:
        assert_close(net.get_ema_weights(), twin.average)


@pytest.mark.parametrize("shape", [(30,), (30, 2)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sample_weights(stack, shape, reduction):
    net, (X, y) = network(stack, Adam(0.01), reduction=reduction), rows(30, stack)
    twin = reference.Network.like(net)
    weight = np.random.default_rng(0).random(shape)
    for _ in range(2):
        loss = net.train_on_batch(X, y, sample_weight=weight)
        np.testing.assert_allclose(loss, twin.train_on_batch(X, y, weight), **EXACT)
    assert_close(net.get_weights(), twin.get_weights())
    truth = twin.evaluate(X, y, weight)
    np.testing.assert_allclose(net.evaluate(X, y, sample_weight=weight), truth, **EXACT)


# ---- bits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 30, 1100])
def test_bits_do_not_depend_on_threads(isa, stack, batch):
    X, y = rows(1200 if batch > 1000 else 60, stack, "float32")
    found = set()
    for n_threads in (1, 2, 3):
        net = network(stack, Adam(0.01), "float32")
        history = net.fit(X, y, batch_size=batch, epochs=2, n_threads=n_threads, metrics=["mse"],
                          validation_data=(X[:33], y[:33])).history  # fmt: skip
        found.add((sha256(net), repr(history)))
    assert len(found) == 1


def test_bits_do_not_depend_on_the_instruction_set(stack, monkeypatch):
    """Nor on the order in which a batch is cut into rounds: it has more rows than one has."""
    X, y = rows(1300, stack, "float32")
    found = set()
    for name in _cpu.INSTRUCTION_SETS:
        if name == "baseline":  # which does not fuse
            continue
        monkeypatch.setattr(_cpu, "ISA", name)
        net = network(stack, Adam(0.01), "float32")
        net.fit(X, y, batch_size=1100)
        found.add(digest([*net.get_weights(), net.predict(X)]))
    assert len(found) == 1


def test_predictions_do_not_depend_on_the_batch(isa, stack):
    net, (X, _) = network(stack, dtype="float32"), rows(200, stack, "float32")
    whole = net.predict(X)
    for n in (1, 2, 5, 96, 97):
        assert np.array_equal(net.predict(X[:n]), whole[:n])


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
@pytest.mark.parametrize("n_out", [1, 2, 5])
@pytest.mark.parametrize("width", [3, 16, 17, 20, 61])
def test_an_infinite_hidden_output_is_read_with_real_weights_only(isa, width, n_out, dtype):
    """The columns behind the last have weights 0, and 0 times infinity is NaN."""
    layers = [Dense(1, "exp"), Dense(width, "tanh"), Dense(n_out)]
    net = MLP(1, layers, loss="squared_error", optimizer="sgd", dtype=dtype, seed=0)
    X = np.array([[1e4], [-1e4], [0.5]] * 3, net.dtype)
    assert np.isinf(net.activations(X)[0]).any()
    exact = reference.Network.like(net.copy(dtype="float64")).predict(X)
    near = 0.05 if dtype == "mixed_bfloat16" else 1e-5
    np.testing.assert_allclose(net.predict(X), exact, rtol=0, atol=near)
    np.testing.assert_array_equal(net.predict(X[:1]), net.predict(X)[:1])


def test_members_of_fit_many_have_the_bits_of_their_own_fits(stack):
    X, y = rows(70, stack, "float32")
    alone, together = ([network(stack, AdamW(0.01), "float32") for _ in range(3)] for _ in "12")
    options = {"batch_size": 16, "epochs": 3, "shuffle": False, "metrics": ["mse"]}
    for i, net in enumerate(alone):
        net.fit(X[i:], y[i:], validation_data=(X[:20], y[:20]), **options)
    parts = [np.arange(i, 70) for i in range(3)]
    fit_many(together, X, y, rows=parts, validation=(X[:20], y[:20]), **options)
    assert [*map(sha256, alone)] == [*map(sha256, together)]


def test_sparse_rows_have_the_bits_of_dense_ones(stack):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    X, y = rows(60, stack, "float32")
    X[:, [0, 2]] *= X[:, [0, 2]] > 0
    sparse = scipy_sparse.csr_array(X)
    one, other = network(stack, Adam(0.01), "float32"), network(stack, Adam(0.01), "float32")
    one.fit(X, y, batch_size=16, epochs=2)
    other.fit(sparse, y, batch_size=16, epochs=2)
    assert sha256(one) == sha256(other)
    assert np.array_equal(one.predict(X), other.predict(sparse))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_calls_from_c_have_the_bits_of_calls_from_python(stack, dtype):
    X, y = rows(30, stack, dtype)
    net, twin = (network(stack, Adam(0.01), dtype) for _ in "12")
    workspace, suffix = embedding.Workspace(net, 30, training=True), f"f{dtype[-2:]}"
    train, predict = (getattr(embedding.functions(), f"{n}_{suffix}") for n in ("train", "predict"))
    loss, out = ctypes.c_double(), np.empty((30, 2), dtype)
    given = (workspace.address, 30, X.ctypes.data, y.ctypes.data, ctypes.addressof(loss))
    assert train(*given) == 0
    assert loss.value == twin.train_on_batch(X, y)
    assert sha256(net) == sha256(twin)
    assert predict(workspace.address, 30, X.ctypes.data, out.ctypes.data) == 0
    assert np.array_equal(out, net.predict(X))


# ---- files --------------------------------------------------------------------------------------


def test_files_keep_the_layers(stack, tmp_path):
    net, (X, y) = network(stack, Adam(0.01)), rows(30, stack)
    net.fit(X, y, epochs=2)
    net.save(tmp_path / "net.safetensors")
    twin = fastnn.load(tmp_path / "net.safetensors")
    assert twin.layers == net.layers
    for one in (net, twin):
        one.fit(X, y, epochs=2)
    assert sha256(net) == sha256(twin)


def test_configurations_and_pickles_keep_the_layers(stack):
    net = network(stack)
    assert MLP.from_json(net.to_json()).layers == net.layers
    twin = pickle.loads(pickle.dumps(net))
    assert twin.layers == net.layers
    assert sha256(twin) == sha256(net)
