"""Ensemble: several networks that share weights, in one.

Gradients are compared with central differences and the reference, outputs with separate networks
and with PyTorch, trainings bit by bit on several numbers of threads; files; and what is refused.
"""

import hashlib

import numpy as np
import pytest
import scipy.sparse

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activate,
    Adam,
    AdamW,
    Dense,
    Dropout,
    Embedding,
    Ensemble,
    LayerNorm,
    NumericEmbedding,
    Residual,
    Standardize,
    _cpu,
    check_gradients,
    embedding,
    interop,
    onnx,
    reference,
)

EXACT = {"rtol": 1e-10, "atol": 1e-10}
BINS = [[-1.0, 0.0, 1.0], [-2.0, -0.5, 0.5, 2.0]]

STACKS = {  # name: layers behind five inputs, two outputs
    "heads alone": [Ensemble(3, [Dense(2)])],
    "first": [Ensemble(4, [Dense(9, "tanh"), Dense(17, "silu"), Dense(2)])],
    "all": [Ensemble(3, [Dense(9, "tanh"), Dense(17, "silu"), Dense(2)], "all")],
    "many members": [Ensemble(33, [Dense(5, "tanh"), Dense(2)])],
    "no biases": [Ensemble(2, [Dense(9, "tanh", use_bias=False), Dense(2, use_bias=False)], "all")],
    "of slopes": [Ensemble(5, [Dense(19, "gelu"), Dense(2, "softplus")])],
    "other layers in it": [
        Dropout(0.1),
        Ensemble(
            3,
            [
                Dense(9, "tanh", l1=1e-3),
                Residual([LayerNorm(), Dropout(0.2), Dense(9, "silu", l2=1e-3)]),
                Activate("elu"),
                Dropout(0.3),
                Dense(2, l1=1e-3, l2=1e-3),
            ],
        ),
    ],
    "sums of factors": [
        Ensemble(
            2,
            [Dense(9, "tanh"), Residual([Dense(9), Residual([Dense(9, "gelu")])]), Dense(2)],
            "all",
            "standard_normal",
        )
    ],
    "layers before it": [
        Standardize(),
        NumericEmbedding(4, bins=BINS, columns=[1, 3]),
        Dense(7, "tanh"),
        Ensemble(6, [Dense(9, "tanh"), Dense(2)]),
    ],
    "frozen": [
        Dense(7, "tanh", trainable=False),
        Ensemble(
            3,
            [Dense(9, "tanh"), Dense(2, trainable=False, learning_rate_multiplier=0.5)],
            trainable=False,
        ),
    ],
    "rates": [
        Ensemble(
            3,
            [Dense(9, "tanh"), Dense(2, learning_rate_multiplier=0.5)],
            learning_rate_multiplier=2.0,
        )
    ],
}


@pytest.fixture(params=STACKS, ids=str)
def stack(request):
    return STACKS[request.param]


def network(stack, optimizer="sgd", dtype="float64", **options):
    """Return a network none of whose parameters is what it starts with."""
    net = MLP(5, stack, loss="squared_error", optimizer=optimizer, dtype=dtype, seed=3, **options)
    rng = np.random.default_rng(4)
    if stack[0].comes_first:
        net.adapt(rng.normal(0.5, 1.5, (50, 5)))
    net.set_weights([w + 0.2 * rng.standard_normal(w.shape) for w in net.get_weights()])
    return net


def rows(n, dtype="float64"):
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, 5)).astype(dtype), rng.normal(size=(n, 2)).astype(dtype)


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


# ---- what an ensemble is ------------------------------------------------------------------------


def separate(net, X, m):
    """The outputs of member m, by a network of its own."""
    scale, W0, b0, W1, b1 = net.get_weights()
    n = W0.shape[1]
    own = MLP(5, [Dense(n, "tanh"), Dense(2)], loss="squared_error", optimizer="sgd",
              dtype="float64")  # fmt: skip
    own.set_weights([W0, b0, W1[m * n : (m + 1) * n], b1[m]])
    return own.predict(X * scale[m])


def test_outputs_are_means_of_separate_networks():
    net, (X, y) = network([Ensemble(3, [Dense(9, "tanh"), Dense(2)])]), rows(11)
    members = [separate(net, X, m) for m in range(3)]
    np.testing.assert_allclose(net.predict(X), np.mean(members, axis=0), **EXACT)
    losses = [0.5 * ((z - y) ** 2).sum(1).mean() for z in members]
    np.testing.assert_allclose(net.evaluate(X, y), np.mean(losses), **EXACT)
    copies = net.activations(X)[-1].reshape(11, 3, 2)
    np.testing.assert_allclose(copies, np.stack(members, 1), **EXACT)


def test_probabilities_are_averaged():
    layers = [Ensemble(4, [Dense(9, "tanh"), Dense(3, "softmax")])]
    net = MLP(5, layers, loss="cross_entropy", optimizer="adam", seed=0, dtype="float64")
    X = rows(11)[0]
    copies = net.activations(X)[-1].reshape(11, 4, 3)
    assert copies.std(1).max() > 0.01
    np.testing.assert_allclose(net.predict(X), copies.mean(1), **EXACT)
    np.testing.assert_allclose(net.predict(X).sum(1), 1, **EXACT)


@pytest.mark.parametrize("adapters", ["first", "all"])
def test_torch_has_the_same_gradients(adapters):
    """TabM's formulas: each linear layer takes x * r and gives what it makes times s, plus b."""
    torch = pytest.importorskip("torch")
    net = network([Ensemble(3, [Dense(9, "tanh"), Dense(2)], adapters)])
    X, y = rows(11)
    weights = [torch.from_numpy(w).requires_grad_() for w in net.get_weights()]
    x = torch.from_numpy(X)[:, None] * weights[0]
    if adapters == "all":
        r, W, s, b = weights[1:5]
        z = torch.tanh(((x * r) @ W) * s + b)
    else:
        z = torch.tanh(x @ weights[1] + weights[2])
    W, b = weights[-2:]
    out = torch.einsum("bkn,kno->bko", z, W.reshape(3, 9, 2)) + b
    loss = 0.5 * ((out - torch.from_numpy(y)[:, None]) ** 2).sum(2).mean()
    loss.backward()
    value, gradients = net.loss_and_gradients(X, y)
    np.testing.assert_allclose(value, loss.item(), **EXACT)
    for ours, theirs in zip(gradients, weights, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), **EXACT)


def test_initial_values():
    layers = [Ensemble(8, [Dense(64, "relu"), Dense(64, "relu"), Dense(3)], "all")]
    net = MLP(30, layers, loss="squared_error", optimizer="sgd", seed=0)
    first, before, _, behind, bias, *_, W, b = net.get_weights()
    assert set(np.unique(first)) == {-1, 1}
    assert abs(first.mean()) < 0.2
    assert np.all(before == 1)
    assert np.all(behind == 1)
    assert not bias.any()
    bound = np.sqrt(6 / (64 + 3))  # that of a Dense(3) behind 64 units, not behind 8 * 64
    assert 0.9 * bound < np.abs(W).max() <= bound
    assert not np.array_equal(W[:64], W[64:128])
    assert b.shape == (8, 3)


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
    for i, step in enumerate(1e-6 * np.eye(5)):
        slope = (predict(X + step) - predict(X - step)) / 2e-6
        np.testing.assert_allclose(found[:, :, i], slope, rtol=1e-5, atol=1e-7)


def test_gradients_of_rows_add_up(isa, stack):
    net, (X, y) = network(stack), rows(21)
    if stack is STACKS["other layers in it"]:
        pytest.skip("rows have no penalties")
    total = net.loss_and_gradients(X, y)[1]
    alone = net.loss_and_gradients(X[7:8], y[7:8])[1]
    for each, mean, one in zip(net.per_sample_gradients(X, y), total, alone, strict=True):
        np.testing.assert_allclose(each.mean(0), mean, **EXACT)
        assert each[7].tobytes() == one.tobytes()


@pytest.mark.parametrize("k", [2, 3, 4])
def test_gradients_of_rows_with_bfloat16_are_those_of_a_batch_of_one(k):
    layers, (X, y) = [Ensemble(k, [Dense(20, "relu"), Dense(1)])], rows(6)
    net = MLP(5, layers, loss="squared_error", optimizer="sgd", seed=0, dtype="mixed_bfloat16")
    for i, found in enumerate(net.per_sample_gradients(X, y[:, :1], flat=True)):
        alone = net.loss_and_gradients(X[i : i + 1], y[i : i + 1, :1], flat=True)[1]
        assert found.tobytes() == alone.tobytes()


def test_gradients_of_outputs_are_of_their_means():
    net, (X, y) = network(STACKS["first"], SGD(0.1)), rows(9)
    twin = network(STACKS["first"], SGD(0.1))
    dY = net.predict(X) - y
    net.train_on_output_gradients(X, dY)
    step, before = 1e-6, twin.get_weights()
    for k, index in ((0, (2, 3)), (1, (1, 4)), (5, (20, 1))):
        found = []
        for sign in (1, -1):
            moved = [w.copy() for w in before]
            moved[k][index] += sign * step
            twin.set_weights(moved)
            found.append((twin.predict(X) * dY).sum() / 9)
        slope = (found[0] - found[1]) / (2 * step)
        moved = (before[k] - net.get_weights()[k])[index] / 0.1
        np.testing.assert_allclose(moved, slope, rtol=1e-5, atol=1e-9)


# ---- training -----------------------------------------------------------------------------------

OPTIMIZERS = [
    SGD(0.002, momentum=0.9),
    AdamW(0.01, weight_decay=0.1),
    Adam(0.01, clipvalue=0.01),
    SGD(0.02, clipnorm=0.1),
    SGD(0.02, global_clipnorm=0.1),
    Adam(0.01, use_ema=True),
]


@pytest.mark.parametrize("batch", [1, 7, 40])
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


@pytest.mark.parametrize("shape", [(30,), (30, 2)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sample_weights(stack, shape, reduction):
    net, (X, y) = network(stack, Adam(0.01), reduction=reduction), rows(30)
    twin = reference.Network.like(net)
    weight = np.random.default_rng(0).random(shape)
    for _ in range(2):
        loss = net.train_on_batch(X, y, sample_weight=weight)
        np.testing.assert_allclose(loss, twin.train_on_batch(X, y, weight), **EXACT)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, **EXACT)
    truth = twin.evaluate(X, y, weight)
    np.testing.assert_allclose(net.evaluate(X, y, sample_weight=weight), truth, **EXACT)


@pytest.mark.parametrize("batch", [1, 30, 1100])
def test_bits_do_not_depend_on_threads(isa, stack, batch):
    X, y = rows(1200 if batch > 1000 else 60, "float32")
    found = set()
    for n_threads in (1, 2, 3):
        net = network(stack, Adam(0.01), "float32")
        history = net.fit(X, y, batch_size=batch, epochs=2, n_threads=n_threads, metrics=["mse"],
                          validation_data=(X[:33], y[:33])).history  # fmt: skip
        found.add((digest(net.get_weights()), repr(history)))
    assert len(found) == 1


def test_bits_do_not_depend_on_the_instruction_set(stack, monkeypatch):
    """Nor on the order in which a batch is cut into rounds: it has more rows than one has."""
    found = set()
    for name in _cpu.INSTRUCTION_SETS:
        if name == "baseline":  # which does not fuse
            continue
        monkeypatch.setattr(_cpu, "ISA", name)
        net, (X, y) = network(stack, Adam(0.01), "float32"), rows(700, "float32")
        net.fit(X, y, batch_size=500, epochs=2)
        found.add(digest([*net.get_weights(), net.predict(X)]))
    assert len(found) == 1


def test_predictions_do_not_depend_on_the_batch(isa, stack):
    net, (X, _) = network(stack, dtype="float32"), rows(200, "float32")
    whole = net.predict(X)
    for n in (1, 2, 5, 96, 97):
        assert np.array_equal(net.predict(X[:n]), whole[:n])


def test_sparse_rows_give_the_same_bits():
    X, y = rows(50, "float32")
    X[np.random.default_rng(0).random(X.shape) < 0.7] = 0
    found = set()
    for inputs in (X, scipy.sparse.csr_array(X)):
        net = network(STACKS["first"], Adam(0.01), "float32")
        net.fit(inputs, y, epochs=2)
        found.add(digest([*net.get_weights(), net.predict(inputs)]))
    assert len(found) == 1


def test_many_networks_at_once_are_what_each_is_alone():
    X, y = rows(60, "float32")
    nets = [network(STACKS[name], Adam(0.01), "float32") for name in ("first", "all")]
    alone = [network(STACKS[name], Adam(0.01), "float32") for name in ("first", "all")]
    options = {"epochs": 3, "batch_size": 16}
    fits = fastnn.fit_many(nets, X, y, validation=(X[:20], y[:20]), metrics=["mse"], **options)
    for net, one in zip(fits, alone, strict=True):
        one.fit(X, y, validation_data=(X[:20], y[:20]), metrics=["mse"], **options)
        assert digest(net.get_weights()) == digest(one.get_weights())


def test_mixed_precision_trains_alike():
    X, y = rows(300, "float32")
    plain = network(STACKS["first"], Adam(0.01), "float32")
    mixed = network(STACKS["first"], Adam(0.01), "mixed_bfloat16")
    losses = [net.fit(X, y, epochs=3, batch_size=32).history["loss"][-1] for net in (plain, mixed)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_weight_decay_leaves_biases_alone():
    """Where the gradient is 0 only decay changes parameters."""
    net = network([Ensemble(3, [Dense(6), Dense(2)], "all")], AdamW(0.1, weight_decay=0.5))
    weights = net.get_weights()
    weights[-2][:], weights[-1][:] = 0, 0
    net.set_weights(weights)
    net.fit(rows(10)[0], np.zeros((10, 2)), batch_size=None)
    changed = net.get_weights()
    for i in (0, 1, 2, 3):  # all factors, and the W that members share
        np.testing.assert_allclose(changed[i], 0.95 * weights[i])
    assert np.array_equal(changed[4], weights[4])


# ---- specifications and files -------------------------------------------------------------------


def test_files_keep_the_layers(stack, tmp_path):
    net, (X, y) = network(stack, Adam(0.01)), rows(30)
    net.fit(X, y, epochs=2)
    net.save(tmp_path / "net.safetensors")
    twin = fastnn.load(tmp_path / "net.safetensors")
    assert twin.layers == net.layers
    for one in (net, twin):
        one.fit(X, y, epochs=2)
    assert digest(net.get_weights()) == digest(twin.get_weights())


def test_configurations_build_the_same(stack):
    net = network(stack)
    assert MLP.from_json(net.to_json()).layers == net.layers


def test_c_predicts_the_mean(stack):
    net, (X, _) = network(stack), rows(4)
    workspace = embedding.Workspace(net, 4)
    functions, out = embedding.functions(), np.zeros((4, 2))
    functions.predict_f64(workspace.address, 4, X.ctypes.data, out.ctypes.data)
    assert out.tobytes() == net.predict(X).tobytes()


def test_layers_and_summary(capsys):
    net = network(STACKS["first"])
    assert [layer.units for layer in net.dense] == [9, 17, 2]
    net.summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:7]] == [
        "input", "MemberScale", "Dense", "Dense", "MemberDense",
    ]  # fmt: skip


def test_frozen_as_a_whole():
    net = network(STACKS["first"], Adam(0.1))
    before = net.get_weights()
    net.freeze(0)
    with pytest.raises(ValueError, match="trainable=False"):
        net.fit(*rows(20))
    assert digest(before) == digest(net.get_weights())


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: Ensemble(1, [Dense(2)]), "k must be"),
        (lambda: Ensemble(257, [Dense(2)]), "k must be"),
        (lambda: Ensemble(2, []), "ends with a Dense"),
        (lambda: Ensemble(2, Dense(2)), "ends with a Dense"),
        (lambda: Ensemble(2, [Dense(2), LayerNorm()]), "ends with a Dense"),
        (lambda: Ensemble(2, [3, Dense(2)]), "layers[0] must be a layer"),
        (lambda: Ensemble(2, [Standardize(), Dense(2)]), "must be the first layer of the network"),
        (lambda: Ensemble(2, [Embedding(3, 2), Dense(2)]), "must be the first layer"),
        (lambda: Ensemble(2, [Dense(3, "softmax"), Dense(2)]), "for the output layer only"),
        (lambda: Ensemble(2, [Ensemble(2, [Dense(2)]), Dense(2)]), "must be the last layer"),
        (lambda: Ensemble(2, [Dense(2)], adapters="none"), "adapters must be"),
        (lambda: Ensemble(2, [Dense(2)], initializer="zeros"), "initializer must be"),
        (lambda: Residual([Ensemble(2, [Dense(5)])]), "must be the last layer"),
        (lambda: network([Ensemble(2, [Dense(2)]), Dense(2)]), "must be the last layer"),
        (
            lambda: MLP(5, [Ensemble(2, [Dense(2)])], loss="cross_entropy", optimizer="sgd"),
            "needs 'softmax'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, fragment):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert fragment in str(caught.value)


def to_torch(net):
    pytest.importorskip("torch")
    interop.to_torch(net)


def to_onnx(net):
    pytest.importorskip("onnx")
    onnx.export(net, "unused.onnx")


def to_sklearn(net):
    pytest.importorskip("sklearn")
    interop.to_sklearn(net)


def to_c(net):
    interop.to_c(net, "unused.c")


@pytest.mark.parametrize("write", [to_c, to_torch, to_onnx, to_sklearn])
def test_other_forms_are_refused(write):
    net = network(STACKS["first"], dtype="float32")
    with pytest.raises(ValueError, match="cannot write an Ensemble; its members would need"):
        write(net)
