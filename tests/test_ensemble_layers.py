"""Ensemble: several networks that share weights, in one.

Outputs are compared with separate networks, gradients with PyTorch; then initial values, and what
is refused. Not here: what all layers promise (test_layers.py).
"""

import ctypes
import pickle
import shutil
import subprocess

import numpy as np
import pytest
from comparing import refuses, sha256
from layer_stacks import BINS, EMBEDDING, ENSEMBLES, network, rows

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
    interop,
    onnx,
)

EXACT = {"rtol": 1e-10, "atol": 1e-10}
FIRST = ENSEMBLES["ensemble, first adapter"]

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


@pytest.mark.parametrize("k", [2, 3, 4])
def test_gradients_of_rows_with_bfloat16_are_those_of_a_batch_of_one(k):
    layers, (X, y) = [Ensemble(k, [Dense(20, "relu"), Dense(1)])], rows(6)
    net = MLP(5, layers, loss="squared_error", optimizer="sgd", seed=0, dtype="mixed_bfloat16")
    for i, found in enumerate(net.per_sample_gradients(X, y[:, :1], flat=True)):
        alone = net.loss_and_gradients(X[i : i + 1], y[i : i + 1, :1], flat=True)[1]
        assert found.tobytes() == alone.tobytes()


def test_gradients_of_outputs_are_of_their_means():
    net, (X, y) = network(FIRST, SGD(0.1)), rows(9)
    twin = network(FIRST, SGD(0.1))
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


def test_mixed_precision_trains_alike():
    X, y = rows(300, dtype="float32")
    plain = network(FIRST, Adam(0.01), "float32")
    mixed = network(FIRST, Adam(0.01), "mixed_bfloat16")
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


def test_layers_and_summary(capsys):
    net = network(FIRST)
    assert [layer.units for layer in net.dense] == [9, 17, 2]
    net.summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:7]] == [
        "input", "MemberScale", "Dense", "Dense", "MemberDense",
    ]  # fmt: skip


def test_frozen_as_a_whole():
    net = network(FIRST, Adam(0.1))
    before = sha256(net)
    net.freeze(0)
    with pytest.raises(ValueError, match="trainable=False"):
        net.fit(*rows(20))
    assert sha256(net) == before


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
def test_invalid_arguments_are_refused(make, fragment):
    refuses((TypeError, ValueError), [fragment], make)


# ---- other forms --------------------------------------------------------------------------------

FORMS = ENSEMBLES | {
    "probabilities": [Ensemble(3, [Dense(9, "tanh"), Dense(2, "softmax")], "all")],
    "behind categories and sums": [
        Standardize(),
        EMBEDDING,
        Residual([LayerNorm(), Dense(11, "gelu")]),
        Ensemble(4, [Residual([LayerNorm(), Dense(11, "tanh")]), Activate("elu"), Dense(2)], "all"),
    ],
    "of waves and bins": [
        Ensemble(
            3,
            [
                NumericEmbedding(3, "periodic", columns=[0, 2]),
                Residual([NumericEmbedding(1, bins=BINS, columns=[1, 4, 7]), Dense(9)]),
                Dense(2),
            ],
            "all",
        )
    ],
}
NAMED = pytest.mark.parametrize("stack", FORMS.values(), ids=FORMS)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def close(found, expected):
    """Check that numbers agree to some roundings."""
    tolerance = 64 * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def run(model, X):
    """The outputs of an ONNX model, which must be valid, in ONNX Runtime."""
    pytest.importorskip("onnx").checker.check_model(model, full_check=True)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": X})[0]


@NAMED
@DTYPES
def test_onnx(stack, dtype):
    pytest.importorskip("onnx")
    net, (X, _) = network(stack, dtype=dtype), rows(20, stack, dtype)
    model = onnx.export(net)
    close(run(model, X), net.predict(X))
    close(run(model, X[:1]), net.predict(X[:1]))
    assert run(model, X[:0]).shape == (0, 2)
    with pytest.raises(ValueError, match=r"^the model has embeddings or an Ensemble, .*; load"):
        onnx.from_onnx(model)


@DTYPES
def test_onnx_of_several_networks(dtype):
    pytest.importorskip("onnx")
    nets, (X, _) = several(dtype), rows(20, dtype=dtype)
    close(run(onnx.export(nets), X), np.mean([net.predict(X) for net in nets], axis=0))


@NAMED
@DTYPES
def test_torch(stack, dtype):
    torch = pytest.importorskip("torch")
    net, (X, _) = network(stack, dtype=dtype), rows(20, stack, dtype)
    module = pickle.loads(pickle.dumps(interop.to_torch(net)))
    with torch.no_grad():
        for n in (20, 1, 0):
            found = module(torch.from_numpy(X[:n])).numpy()
            assert found.shape == (n, 2)
            close(found, net.predict(X)[:n])
    with pytest.raises(ValueError, match=r"\) is a module that fastnn cannot read"):
        interop.from_torch(module[-3:])


@pytest.mark.parametrize("name", ["ensemble, all adapters", "ensemble of sums", "frozen ensemble"])
def test_members_of_a_torch_module_are_trained_on_their_own_losses(name):
    torch = pytest.importorskip("torch")
    net, (X, y) = network(FORMS[name]), rows(20)
    module = interop.to_torch(net)
    outputs = module[:-1](torch.from_numpy(X))
    loss = 0.5 * ((outputs - torch.from_numpy(y)) ** 2).sum(2).mean()
    loss.backward()
    expected, gradients = net.loss_and_gradients(X, y)
    np.testing.assert_allclose(loss.item(), expected, **EXACT)
    owners = [m for m in module.modules() for _ in m.parameters(recurse=False)]
    for owner, parameter, g in zip(owners, module.parameters(), gradients, strict=True):
        if parameter.requires_grad:
            g = g.T if isinstance(owner, torch.nn.Linear) else g
            np.testing.assert_allclose(parameter.grad.numpy().ravel(), g.ravel(), **EXACT)
    trained = [parameter.requires_grad for parameter in module.parameters()]
    assert all(trained) != (name == "frozen ensemble")


def test_scikit_learn_has_no_ensembles_that_share_weights():
    pytest.importorskip("sklearn")
    message = r"^to_sklearn cannot write an Ensemble; scikit-learn has no such layer; .* to_torch$"
    with pytest.raises(ValueError, match=message):
        interop.to_sklearn(network(FIRST))
    message = r"^to_sklearn cannot fold a Standardize into an Ensemble; .* a network without it"
    with pytest.raises(ValueError, match=message):
        interop.to_sklearn(network([Standardize(), *FIRST]))


def compiled(nets, flag, folder):
    """The function that predicts a row, of the C source of a network or several."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    interop.to_c(nets, folder / "n.c")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    command = [compiler, *strict, flag, folder / "n.c", "-o", folder / "n.so"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "n.so")).n_predict


def predicted(function, X, n_out=2):
    """The outputs of a function in C for rows, one after the other; it writes nothing else."""
    out = np.full((len(X) + 1, n_out), 7, X.dtype)
    for x, z in zip(X, out, strict=False):
        function(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(z.ctypes.data))
    assert (out[-1] == 7).all()
    return out[:-1]


@NAMED
@DTYPES
@pytest.mark.parametrize("flag", ["-march=native", "-DFASTNN_SCALAR"])
def test_c_source(stack, dtype, flag, tmp_path):
    net, (X, _) = network(stack, dtype=dtype), rows(20, stack, dtype)
    close(predicted(compiled(net, flag, tmp_path), X), net.predict(X))


@DTYPES
def test_c_source_of_several_networks(dtype, tmp_path):
    nets, (X, _) = several(dtype), rows(20, dtype=dtype)
    mean = np.mean([net.predict(X) for net in nets], axis=0)
    close(predicted(compiled(nets, "-O3", tmp_path), X), mean)


@DTYPES
@pytest.mark.parametrize("units", [1, 4, 5, 40])
def test_c_source_of_few_outputs_and_many(units, dtype, tmp_path):
    layers = [Ensemble(3, [Dense(units, "tanh"), Dense(units, "softplus")], "all")]
    net, (X, _) = network(layers, dtype=dtype), rows(20, dtype=dtype)
    close(predicted(compiled(net, "-O1", tmp_path), X, units), net.predict(X))


@pytest.mark.parametrize("before", [[], [Residual([Dropout(0.0), Dense(5)])]])
def test_members_are_not_trained_in_c(before, tmp_path):
    net = network([*before, Ensemble(3, [Dropout(0.1), Dense(2)])])
    message = (
        rf"^layers\[{len(before)}\] \(Ensemble.* has members that share weights, which training"
    )
    with pytest.raises(ValueError, match=message):
        interop.to_c(net, tmp_path / "n.c", training=True)
    assert list(tmp_path.iterdir()) == []


def several(dtype):
    """Return three networks that differ in their weights."""
    nets = [network(FORMS["probabilities"], dtype=dtype) for _ in range(3)]
    for i, net in enumerate(nets):
        net.set_weights([(1 + i / 4) * w for w in net.get_weights()])
    return nets
