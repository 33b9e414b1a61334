"""The tables of the exporters: each has an entry for every kind of layer.

A failure names the table where a kind of layer, or an activation, is missing. Not here: what is
written (test_onnx.py, test_interop.py, test_c_source.py).
"""

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import MLP, Dense, Dropout, Standardize, activations, exchange, losses, optimizers
from fastnn.exchange import c_stages, chain, onnx_writer, parts, pytorch, scikit_learn
from fastnn.layers import KINDS, PIECES, Activate, Layer, LayerNorm, Residual

FOLDER = Path(exchange.__file__).parent
TABLES = {
    "parts.FOLDS": parts.FOLDS,
    "chain.RULES": chain.RULES,
    "onnx_writer.RULES": onnx_writer.RULES,
    "pytorch.RULES": pytorch.RULES,
    "scikit_learn.RULES": scikit_learn.RULES,
    "c_stages.RULES": c_stages.RULES,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_kind_of_layer_has_an_entry(table):
    """An entry is a function, or a refusal that says why and what to do."""
    missing = [kind.__name__ for kind in PIECES if kind not in TABLES[table]]
    assert not missing, f"{', '.join(missing)} missing in exchange/{table}"
    assert set(TABLES[table]) <= set(PIECES)
    for rule in TABLES[table].values():
        assert callable(rule) or (isinstance(rule, parts.Refusal) and rule.reason)


@pytest.mark.parametrize(
    ("table", "lacking"),
    [(onnx_writer.ACTIVATIONS, set()), (pytorch.ACTIVATIONS, {"exp"})],
    ids=["onnx_writer", "pytorch"],
)
def test_every_activation_has_an_entry(table, lacking):
    wanted = {name for name in activations.NAMES if not activations.get(name).is_linear}
    assert set(table) == wanted - lacking


# ---- kinds without an entry ---------------------------------------------------------------------


class Halve(Layer):
    """A kind of layer that no exporter knows."""

    name = "halve"


@pytest.fixture
def strange(monkeypatch):
    """A network that seems to have a layer of an unknown kind."""
    monkeypatch.setattr(parts, "PIECES", (*PIECES, Halve))
    net = MLP(3, [Dense(4, "relu"), Dense(1)], loss="squared_error", optimizer="sgd")
    first, last = net.layers
    built_with = dataclasses.replace(net._state.specification, layers=(first, Halve(), last))
    monkeypatch.setattr(net._state, "specification", built_with)
    return net


def test_an_unknown_kind_is_refused_by_its_name(strange, tmp_path):
    name = r"Halve layer 0 of 1; it does not support this layer"
    with pytest.raises(ValueError, match=f"^to_c cannot write {name}"):
        strange.to_c(tmp_path / "net.c")
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match=rf"^fastnn\.onnx\.export cannot write {name}"):
        fastnn.onnx.export(strange, tmp_path / "net.onnx")
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=f"^to_sklearn cannot write {name}"):
        fastnn.to_sklearn(strange)
    assert list(tmp_path.iterdir()) == []
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match=f"^to_torch cannot write {name}"):
        fastnn.to_torch(strange)


def test_a_refusal_is_in_the_message(strange, monkeypatch, tmp_path):
    refusal = parts.Refusal("C has no halves; double the weights")
    monkeypatch.setitem(c_stages.RULES, Halve, refusal)
    message = r"^to_c cannot write Halve layer 0 of 1; C has no halves; double the weights$"
    with pytest.raises(ValueError, match=message):
        strange.to_c(tmp_path / "net.c")


def test_a_class_derived_from_a_kind_is_of_that_kind(tmp_path):
    class Mine(Dense):
        pass

    net = MLP(3, [Mine(4, "relu"), Dense(1)], loss="squared_error", optimizer="sgd")
    net.to_c(tmp_path / "net.c")
    assert [part.place for part in parts.parts(net)] == ["Dense layer 0 of 2", "Dense layer 1 of 2"]


def test_a_standardize_is_not_folded_into_an_unknown_kind(strange):
    found = parts.parts(strange)
    scaling = {"mean": np.zeros(3), "scale": np.ones(3)}
    first = parts.Part("Standardize layer 0 of 1", "standardize", Standardize(), 3, scaling)
    assert parts.folded(found, "to_sklearn") == found
    message = r"^to_sklearn cannot fold a Standardize into Halve layer 0"
    with pytest.raises(ValueError, match=message):
        parts.folded([first, *found[1:]], "to_sklearn")


def test_a_standardize_is_not_folded_into_a_layer_norm():
    layers = [Standardize(), Dropout(0.5), LayerNorm(), Dense(1)]
    net = MLP(3, layers, loss="squared_error", optimizer="sgd", seed=0)
    net.adapt([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    message = (
        r"^to_sklearn cannot fold a Standardize into LayerNorm layer 0 of 1; each row is "
        r"normalized after it; put a Dense between them"
    )
    with pytest.raises(ValueError, match=message):
        parts.folded(parts.parts(net), "to_sklearn")


def test_a_standardize_is_not_folded_into_a_residual():
    layers = [Standardize(), Residual([Dense(3)]), Dense(1)]
    net = MLP(3, layers, loss="squared_error", optimizer="sgd", seed=0)
    net.adapt([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    message = (
        r"^to_sklearn cannot fold a Standardize into a Residual; it adds the scaled "
        r"rows to its outputs; put a Dense between them"
    )
    with pytest.raises(ValueError, match=message):
        parts.folded(parts.parts(net), "to_sklearn")


# ---- parts --------------------------------------------------------------------------------------


def test_parts_have_the_names_of_a_files_tensors():
    layers = [Standardize(), Dropout(0.5), Dense(4, "relu", use_bias=False), LayerNorm(), Dense(2)]
    net = MLP(3, layers, loss="squared_error", optimizer="sgd", seed=0)
    net.adapt([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    found = parts.parts(net)
    assert [(part.prefix, list(part.arrays), part.n_in, part.n_out) for part in found] == [
        ("standardize", ["mean", "scale"], 3, 3),
        ("dropout", [], 3, 3),
        ("layers.0", ["W"], 3, 4),
        ("layers.1", ["gain", "bias"], 4, 4),
        ("layers.2", ["W", "b"], 4, 2),
    ]
    values = [array for part in found[2:] for array in part.arrays.values()]
    for array, expected in zip(values, net.get_weights(), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_layers_in_residuals_are_counted_as_they_are_met():
    layers = [Dense(3), Residual([Dense(4, "relu"), Residual([LayerNorm()]), Dense(3)]), Dense(2)]
    found = parts.parts(MLP(3, layers, loss="squared_error", optimizer="sgd", seed=0))
    assert [(part.place, part.prefix, part.n_out) for part in found] == [
        ("Dense layer 0 of 4", "layers.0", 3),
        ("a Residual", "fork", 3),
        ("Dense layer 1 of 4", "layers.1", 4),
        ("a Residual", "fork", 4),
        ("LayerNorm layer 0 of 1", "layers.2", 4),
        ("a Residual", "sum", 4),
        ("Dense layer 2 of 4", "layers.3", 3),
        ("a Residual", "sum", 3),
        ("Dense layer 3 of 4", "layers.4", 2),
    ]


def test_a_folded_standardize_changes_no_prediction():
    layers = [Standardize(), Dropout(0.5), Dense(4, "tanh", use_bias=False), Dense(2)]
    net = MLP(3, layers, loss="squared_error", optimizer="sgd", dtype="float64", seed=0)
    X = np.random.default_rng(0).normal(5, 2, (20, 3))
    net.adapt(X)
    found = parts.folded(parts.parts(net), "this test")
    W, b = found[2].arrays["W"], found[2].arrays["b"]
    V, c = net.get_weights()[1:]
    np.testing.assert_allclose(np.tanh(X @ W + b) @ V + c, net.predict(X), rtol=1e-12)


# ---- weights that are not finite ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "export"),
    [
        (None, lambda net, folder: net.to_c(folder / "net.c")),
        ("onnx", lambda net, folder: fastnn.onnx.export(net, folder / "net.onnx")),
        ("torch", lambda net, _: fastnn.to_torch(net)),
        ("sklearn", lambda net, _: fastnn.to_sklearn(net)),
    ],
    ids=["to_c", "onnx", "to_torch", "to_sklearn"],
)
def test_infinite_weights_are_not_exported(library, export, diverged, tmp_path):
    if library is not None:
        pytest.importorskip(library)
    message = r"^layers\.0\.W of the network holds -?inf, so it cannot be exported; set finite"
    with pytest.raises(ValueError, match=message):
        export(diverged, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- another operation in a chain ---------------------------------------------------------------


class Center(chain.Operation):
    """An operation that no scaling is merged with."""

    def layer(self, l2):
        return Dropout(0.0)


def test_a_chain_ends_a_layer_before_another_operation():
    net = chain.Chain()
    net.affine("first", np.eye(2))
    net.append(Center("middle"))
    with pytest.raises(ValueError, match=r"^later: activation must be element-wise"):
        net.activate("later", activations.get("softmax"))
    with pytest.raises(ValueError, match=r"^last has 3 rows of weights, but first before it has 2"):
        net.affine("last", np.eye(3))
    net.affine("last", np.eye(2))
    kinds = [type(operation) for operation in net.operations]
    assert kinds == [chain.Affine, Center, chain.Affine]
    assert net.operations[0].activation.is_linear


def test_a_layer_norm_takes_the_scalings_after_it():
    net = chain.Chain()
    net.norm("norm", 0.5)
    net.scale("factor", 0.0, [0.5, 0.25, -1.0])
    net.scale("offset", -3.0)
    net.affine("last", np.eye(3))
    found = net.network(optimizer="sgd", dtype="float64")
    assert found.layers[0] == LayerNorm(0.5)
    gain, bias, *_ = found.get_weights()
    np.testing.assert_array_equal(gain, [2, 4, -1])
    np.testing.assert_array_equal(bias, [3, 3, 3])


@pytest.mark.parametrize("scale", [2.0, [1.0, 2.0, 4.0]])
def test_a_scaling_before_a_layer_norm_is_a_standardize_if_it_comes_first(scale):
    net = chain.Chain()
    net.scale("scaling", 1.0, scale)
    net.norm("norm", 1e-5)
    net.affine("last", np.eye(3))
    found = net.network(optimizer="sgd", dtype="float64")
    assert [type(layer) for layer in found.layers] == [Standardize, LayerNorm, Dense]
    np.testing.assert_array_equal(found.standardization, [[1, 1, 1], np.broadcast_to(scale, 3)])
    later = chain.Chain()
    later.affine("first", np.eye(3))
    later.activate("first", activations.get("tanh"))
    later.scale("scaling", 1.0, scale)
    with pytest.raises(ValueError, match=r"^scaling scales the inputs of norm; fastnn merges"):
        later.norm("norm", 1e-5)


def test_a_standardize_of_another_width_is_refused():
    net = chain.Chain()
    net.scale("scaling", [1.0, 2.0])
    net.norm("norm", 1e-5)
    net.affine("last", np.eye(3))
    with pytest.raises(ValueError, match=r"^scaling has 2 numbers, but 3 inputs follow"):
        net.network(optimizer="sgd")


def test_the_parts_of_a_network_make_it_again():
    norm = [LayerNorm(), Activate("gelu")]
    inner = Residual([*norm, Dense(6, "relu"), Dropout(0.5), Residual([Dense(6)])])
    layers = [Residual([inner, Dense(5, "tanh")]), Residual([Dropout(0.25)]), Dense(2)]
    net = MLP(5, [Standardize(), Residual([inner.layers[0], Dense(5)]), Dense(2)],
              loss="huber", optimizer="sgd", dtype="float64", seed=0)  # fmt: skip
    net.adapt(np.random.default_rng(0).normal(2, 3, (20, 5)))
    deep = MLP(6, [Dense(6), Residual([inner]), *layers[1:]], loss="huber", optimizer="sgd", seed=0)
    for one in (net, deep):
        twin = chain.Chain()
        for part in parts.parts(one):
            twin.add(part)
        back = twin.network(loss="huber", optimizer="sgd", dtype=one.dtype)
        assert back.layers == one.layers
        X = np.random.default_rng(1).normal(size=(9, one.n_in))
        np.testing.assert_array_equal(back.predict(X), one.predict(X))


def test_residuals_that_fastnn_lacks_are_refused():
    net = chain.Chain()
    net.affine("first", np.eye(4))
    net.fork("fork")
    with pytest.raises(ValueError, match=r"^sum adds its inputs to themselves"):
        net.join("sum")
    net.fork("fork")
    net.affine("narrow", np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"^sum adds 4 inputs to 3 outputs"):
        net.join("sum")
    net = chain.Chain()
    net.scale("scaling", 0.0, -1.0)
    with pytest.raises(ValueError, match=r"^scaling scales the inputs of fork"):
        net.fork("fork")


def test_scalings_in_a_residual_go_into_its_weights():
    net = chain.Chain()
    net.fork("fork")
    net.scale("before", 1.0, 2.0)
    net.affine("only", np.eye(2))
    net.scale("after", [-1.0, 3.0])
    net.join("sum")
    net.affine("last", np.eye(2))
    found = net.network(optimizer="sgd", dtype="float64")
    assert found.layers == (Residual([Dense(2)]), Dense(2, use_bias=False))
    X = np.array([[5.0, 7.0]])
    np.testing.assert_array_equal(found.predict(X), X + (X - 1) / 2 - [-1, 3])


def test_a_scaling_is_not_merged_past_another_operation():
    net = chain.Chain()
    net.affine("first", np.eye(2))
    net.activate("first", activations.get("tanh"))
    net.scale("scaling", 1.0, 2.0)
    with pytest.raises(ValueError, match=r"^scaling scales the inputs of middle"):
        net.append(Center("middle"))


@pytest.mark.parametrize("follows", ["activation", "norm", "residual"])
def test_a_scaling_after_a_dropout_keeps_its_place_before_an_activation(follows):
    """The scaling is merged with the weights before the dropout, never after the activation."""
    net = chain.Chain()
    net.affine("first", np.eye(2))
    net.drop("drop", 0.25)
    net.scale("scaling", [1.0, -2.0], [-2.0, 0.5])
    X = np.array([[5.0, 7.0], [-3.0, -9.0]])
    expected = (X - [1, -2]) / [-2, 0.5]
    if follows == "activation":
        net.activate("activation", activations.get("relu"))
        net.affine("last", np.eye(2))
        expected = np.maximum(expected, 0)
    elif follows == "norm":
        net.norm("norm", 1e-12)
        net.affine("last", np.eye(2))
        expected = np.sign(expected - expected.mean(1, keepdims=True))
    else:
        net.fork("fork")
        net.affine("within", np.eye(2))
        net.join("sum")
        net.affine("last", np.eye(2))
        expected = 2 * expected
    found = net.network(optimizer="sgd", dtype="float64")
    np.testing.assert_allclose(found.predict(X), expected, rtol=1e-12)
    assert Dropout(0.25) in found.layers


def test_a_scaling_between_a_dropout_and_a_layer_stays_between_them():
    net = chain.Chain()
    net.affine("first", np.eye(2))
    net.drop("drop", 0.25)
    net.scale("scaling", 1.0, 2.0)
    net.affine("last", np.eye(2))
    W, V, b = net.network(optimizer="sgd", dtype="float64").get_weights()
    np.testing.assert_array_equal(W, np.eye(2))
    np.testing.assert_array_equal(V, np.eye(2) / 2)
    np.testing.assert_array_equal(b, [-0.5, -0.5])


def test_an_activation_without_an_affine_map_is_a_layer():
    net = chain.Chain()
    net.activate("first", activations.get("tanh"))
    net.affine("middle", np.eye(2))
    net.activate("middle's", activations.get("relu"))
    net.activate("another", activations.get("silu"))
    net.norm("norm", 0.5)
    net.activate("norm's", activations.get("gelu"))
    net.affine("last", np.eye(2))
    found = net.network(optimizer="sgd").layers
    assert list(found) == [
        Activate("tanh"), Dense(2, "relu", use_bias=False), Activate("silu"), LayerNorm(0.5),
        Activate("gelu"), Dense(2, use_bias=False),
    ]  # fmt: skip
    net.activate("end", activations.get("relu"))
    with pytest.raises(ValueError, match=r"^output=sigmoid follows another activation, or a layer"):
        net.network(output="sigmoid", optimizer="sgd")


def test_a_scaling_before_an_activation_must_come_first():
    net = chain.Chain()
    net.scale("scaling", 1.0, 2.0)
    net.activate("first", activations.get("tanh"))
    net.affine("last", np.eye(2))
    assert net.network(optimizer="sgd").layers[:2] == (Standardize(), Activate("tanh"))
    net.activate("last's", activations.get("relu"))
    net.scale("scaling", 1.0, 2.0)
    with pytest.raises(ValueError, match=r"^scaling scales the inputs of another; fastnn merges"):
        net.activate("another", activations.get("tanh"))


# ---- imports and names of the package -----------------------------------------------------------


def imports(path):
    """Return the modules of this folder that a module imports when it is imported."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastnn.exchange"):
            rest = node.module.removeprefix("fastnn.exchange").removeprefix(".")
            found |= {rest} if rest else {alias.name for alias in node.names}
    return found


def test_imports_point_one_way():
    left = {path.stem: imports(path) for path in FOLDER.glob("*.py") if path.stem != "__init__"}
    while left:
        free = {name for name, wanted in left.items() if not wanted & left.keys()}
        assert free, f"modules import each other: {left}"
        left = {name: wanted for name, wanted in left.items() if name not in free}


NAMES = {*activations.NAMES, *losses.NAMES, *optimizers.NAMES, *KINDS}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_no_module_compares_names_of_fastnn(path):
    """Names stand in tables and where other libraries' operations are read; others are asked."""
    compared = [
        constant.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant)
    ]
    assert not NAMES & {value for value in compared if isinstance(value, str)}
