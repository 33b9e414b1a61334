"""fastnn.from_onnx on graphs as the two exporters of PyTorch and skl2onnx write them.

The graphs are made by hand, node by node as these exporters write them, so that the tests need none
of them and hold for every version; where an exporter is installed, its own models are read, too.
Not here: the operators one by one, and what is written (test_onnx.py).
"""

import re

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
    onnxruntime,
    read_and_compare,
    run,
)

import fastnn
from fastnn import MLP, Dense, Residual, Standardize


@pytest.fixture
def constants(rng):
    """Weights by name, as the tests' graphs use them."""
    shapes = {"W": (3, 4), "b": (4,), "V": (4, 2), "c": (2,), "v": (4, 1), "d": (1,)}
    return {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}


FIRST, SECOND = node("Gemm", "x", "W", "b", out="a"), node("Gemm", "z", "V", "c", out="y")
LAST = node("Gemm", "x", "v", "d", out="a")

# ---- models in memory ---------------------------------------------------------------------------


def test_a_model_in_memory_and_its_bytes_are_read(constants, rng, tmp_path):
    model = model_of([FIRST, node("Relu", "a", out="y")], constants)
    data = model.SerializeToString()
    X = rng.normal(size=(5, 3)).astype("f4")
    (tmp_path / "net.onnx").write_bytes(data)

    class Program:
        model_proto = model

    expected = fastnn.from_onnx(tmp_path / "net.onnx").predict(X)
    for form in (model, data, bytearray(data), memoryview(data), Program()):
        np.testing.assert_array_equal(fastnn.from_onnx(form).predict(X), expected)


@pytest.mark.parametrize("form", [None, 3, [1], np.ones(3)], ids=str)
def test_what_is_no_model_is_refused(form):
    with pytest.raises(TypeError, match=r"^model must be a path, bytes or an onnx\.ModelProto"):
        fastnn.from_onnx(form)


def test_bytes_that_are_no_model_are_a_model_file_error():
    for data in (b"", b"no protocol buffer", model_of([FIRST]).SerializeToString()):
        with pytest.raises(fastnn.ModelFileError, match=r"^model is not a valid ONNX model: "):
            fastnn.from_onnx(data)


def test_export_without_a_path_returns_the_model(rng, tmp_path):
    net = MLP(3, [Dense(4, "gelu"), Dense(2)], loss="squared_error", optimizer="adam", seed=0)
    model = fastnn.onnx.export(net, input_name="X")
    assert isinstance(model, onnx.ModelProto)
    X = rng.normal(size=(5, 3)).astype("f4")
    assert_close(run(model, X), net.predict(X), 1e-6)
    np.testing.assert_array_equal(fastnn.from_onnx(model).predict(X), net.predict(X))
    assert fastnn.onnx.export(net, tmp_path / "net.onnx", input_name="X") is None
    assert (tmp_path / "net.onnx").read_bytes() == model.SerializeToString()


# ---- activations --------------------------------------------------------------------------------

ACTIVATIONS = {
    "softplus with a threshold": ("softplus", [
        ("Softplus", "a", "s"), ("Greater", "a", 20.0, "g"), ("Where", "g", "a", "s", "z"),
    ]),
    "softplus without optimization": ("softplus", [
        ("Softplus", "a", "s"), ("CastLike", 20.0, "a", "t"), ("Greater", "a", "t", "g"),
        ("Where", "g", "a", "s", "z"),
    ]),
    "relu as clamp": ("relu", [("Clip", "a", 0.0, "z")]),
    "relu as clamp without an upper bound": ("relu", [("Clip", "a", 0.0, "", "z")]),
    "relu as where": ("relu", [("Greater", "a", 0.0, "g"), ("Where", "g", "a", 0.0, "z")]),
    "relu as maximum of zeros_like": ("relu", [
        ("Shape", "a", "s"), ("Expand", 0.0, "s", "e"), ("Max", "a", "e", "z"),
    ]),
    "relu as maximum of constants of a shape": ("relu", [
        ("Shape", "a", "s"), ("ConstantOfShape", "s", "e"), ("Max", "a", "e", "z"),
    ]),
    "threshold": ("relu", [("LessOrEqual", "a", 0.0, "l"), ("Where", "l", 0.0, "a", "z")]),
    "leaky_relu as where": ("leaky_relu(0.1)", [
        ("Greater", "a", 0.0, "g"), ("Mul", "a", 0.1, "m"), ("Where", "g", "a", "m", "z"),
    ]),
    "prelu": ("leaky_relu(0.25)", [("PRelu", "a", "slopes", "z")]),
    "celu": ("elu(1)", [("Celu", "a", "z")]),
    "silu": ("silu", [("Sigmoid", "a", "s"), ("Mul", "a", "s", "z")]),
    "hard_silu of the older exporter": ("hard_silu", [
        ("HardSigmoid", "a", "h"), ("Mul", "a", "h", "z"),
    ]),
    "mish of the older exporter": ("mish", [
        ("Softplus", "a", "s"), ("Tanh", "s", "t"), ("Mul", "a", "t", "z"),
    ]),
    "gelu_tanh of the older exporter": ("gelu_tanh", [
        ("Mul", "a", "a", "q"), ("Mul", "a", "q", "k"), ("Mul", 0.044715, "k", "m"),
        ("Add", "a", "m", "s"), ("Mul", 0.7978845608, "s", "u"), ("Tanh", "u", "t"),
        ("Add", 1.0, "t", "p"), ("Mul", "a", "p", "r"), ("Mul", 0.5, "r", "z"),
    ]),
    "neg": ("relu", [("Neg", "a", "n"), ("Relu", "n", "z")]),
    "relu as product with a truth": ("relu", [
        ("Greater", "a", 0.0, "g"), ("Cast", "g", "f"), ("Mul", "a", "f", "z"),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_as_exporters_compose_it(name, constants, rng):
    expected, steps = ACTIVATIONS[name]
    middle, numbers = composed(steps)
    for each in middle:
        if each.op_type == "HardSigmoid":
            each.attribute.append(helper.make_attribute("alpha", 1 / 6))
        if each.op_type == "Cast":
            each.attribute.append(helper.make_attribute("to", 1))
    slopes = np.full((1, 4), 0.25, "f4")
    constants |= numbers | {"slopes": slopes}
    constants["W"] *= 12  # beyond the threshold of softplus
    net = read_and_compare(model_of([FIRST, *middle, SECOND], constants), rng)
    assert str(net.dense[0].activation) == expected


def test_prelu_whose_slopes_differ_is_refused(constants):
    constants["slopes"] = np.array([0.1, 0.2, 0.3, 0.4], "f4")
    model = model_of([FIRST, node("PRelu", "a", "slopes", out="z"), SECOND], constants)
    with pytest.raises(
        ValueError, match=r"^node 'z_node' \(PRelu\) does not begin an activation of"
    ):
        fastnn.from_onnx(model)


ALMOST = {  # operators that differ from relu only far from 0 or close to it
    "clip at 100": [node("Clip", "a", "zero", "hundred", out="z")],
    "clip at 1e6": [node("Clip", "a", "zero", "million", out="z")],
    "threshold 0.15": [node("ThresholdedRelu", "a", out="z", alpha=0.15)],
    "threshold 0.001": [node("ThresholdedRelu", "a", out="z", alpha=0.001)],
    "whole numbers": [
        node("Cast", "a", out="i", to=7), node("Cast", "i", out="f", to=1),
        node("Relu", "f", out="z"),
    ],
    "truth": [
        node("Cast", "a", out="i", to=9), node("Cast", "i", out="f", to=1),
        node("Mul", "a", "f", out="k"), node("Cast", "k", out="t", to=9),
        node("Cast", "t", out="u", to=1), node("Relu", "u", out="z"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ALMOST)
def test_a_function_that_is_almost_an_activation_is_refused(name, constants):
    more = {"zero": np.float32(0), "hundred": np.float32(100), "million": np.float32(1e6)}
    model = model_of([FIRST, *ALMOST[name], SECOND], constants | more)
    with pytest.raises(
        ValueError, match=r"does not begin an activation of fastnn|outputs numbers of the"
    ):
        fastnn.from_onnx(model)


# ---- constants that are computed -----------------------------------------------------------------

TABLE = np.arange(32, dtype="f4").reshape(4, 8) / 8
COMPUTED = {  # constants and the nodes that compute the bias "k" of 4 columns
    "slice of a row": [node("Slice", "table", "one", "two", "zero", out="r"),
                       node("Slice", "r", "two", "six", "one", out="k")],
    "slice of two axes": [node("Slice", "table", "1, 2", "2, 6", out="k")],
    "slice without axes": [node("Slice", "numbers", "one", "five", out="k")],
    "slice backwards": [node("Slice", "table", "3, -1", "4, 0", "0, 1", "1, -2", out="k")],
    "slice of the last axis": [node("Slice", "table", "two", "three", "zero", out="r"),
                               node("Slice", "r", "four", "huge", "-1", out="k")],
    "cast to whole numbers": [node("Cast", "four numbers", out="i", to=7),
                              node("Cast", "i", out="k", to=1)],
    "cast to truths": [node("Cast", "four numbers", out="i", to=9),
                       node("Cast", "i", out="k", to=1)],
    "sums and products": [node("Add", "four numbers", "four numbers", out="sum"),
                          node("Neg", "sum", out="other"), node("Mul", "sum", "other", out="k")],
    "cast like": [node("CastLike", "four numbers", "one", out="i"),
                  node("CastLike", "i", "x", out="k")],
}  # fmt: skip
COMPUTING = {
    "table": TABLE, "numbers": TABLE[1], "four numbers": np.array([1.7, -1.7, 0.0, 2.5], "f4"),
    "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "three": np.array([3]),
    "four": np.array([4]), "five": np.array([5]), "six": np.array([6]), "-1": np.array([-1]),
    "huge": np.array([2**63 - 1]), "1, 2": np.array([1, 2]), "2, 6": np.array([2, 6]),
    "3, -1": np.array([3, -1]), "4, 0": np.array([4, 0]), "0, 1": np.array([0, 1]),
    "1, -2": np.array([1, -2]),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPUTED)
def test_a_constant_that_is_computed(name, constants, rng):
    nodes = [*COMPUTED[name], FIRST, node("Add", "a", "k", out="y")]
    read_and_compare(model_of(nodes, constants | COMPUTING), rng)


def test_a_pca_with_whitening(constants, rng):
    """skl2onnx leaves the square roots of the variances to the runtime."""
    steps = [
        ("Sub", "x", "mean", "centred"),
        ("MatMul", "centred", "W", "components"),
        ("Sqrt", "variances", "deviations"),
        ("Div", "components", "deviations", "y"),
    ]
    mean, variances = np.array([1, 2, 0], "f4"), rng.uniform(0.5, 2, 4).astype("f4")
    constants |= {"mean": mean, "variances": variances}
    net = read_and_compare(model_of(composed(steps)[0], constants), rng)
    assert [type(layer) for layer in net.layers] == [Standardize, Dense]


def test_arithmetic_with_integers_is_not_folded(constants):
    """Their quotients are rounded."""
    nodes = [node("Div", "five", "two", out="i"), node("Cast", "i", out="k", to=1), FIRST,
             node("Mul", "a", "k", out="y")]  # fmt: skip
    with pytest.raises(ValueError, match=r"node 'i_node' \(Div\) doesn't take 'x'"):
        fastnn.from_onnx(model_of(nodes, constants | COMPUTING))


def test_a_slice_with_attributes(constants, rng):
    """As before opset 10."""
    options = {"starts": [1, 2], "ends": [2, 6], "axes": [0, 1]}
    nodes = [node("Slice", "table", out="k", **options), FIRST, node("Add", "a", "k", out="y")]
    read_and_compare(model_of(nodes, constants | {"table": TABLE}, opset=9), rng)


# ---- copies -------------------------------------------------------------------------------------


def test_a_residual_that_begins_at_copies(constants, rng):
    """As Keras exports it with PyTorch, which casts the inputs of each layer to their own type."""
    nodes = [
        node("Cast", "x", out="cast", to=1),
        node("MatMul", "cast", "W", out="product"),
        node("Cast", "product", out="cast product", to=1),
        node("Tanh", "cast product", out="z"),
        node("MatMul", "z", "U", out="sum"),
        node("Cast", "cast", out="kept", to=1),
        node("Identity", "kept", out="same"),
        node("Add", "same", "sum", out="a"),
        node("Cast", "a", out="cast a", to=1),
        node("MatMul", "cast a", "W", out="y"),
    ]
    model = model_of(nodes, constants | {"U": constants["W"].T.copy()})
    content = model.SerializeToString()
    net = read_and_compare(model, rng)
    assert model.SerializeToString() == content
    inner = Residual([Dense(4, "tanh", use_bias=False), Dense(3, use_bias=False)])
    assert net.layers == (inner, Dense(4, use_bias=False))


def test_a_cast_of_truths_is_no_copy(constants, rng):
    steps = [
        ("Greater", "a", 0.0, "is above"),
        ("Cast", "is above", "above"),
        ("Sub", 1.0, "above", "below"),
        ("Sub", 1.0, "below", "again"),
        ("Mul", "a", "again", "z"),
    ]
    nodes, numbers = composed(steps)
    nodes[1].attribute.append(helper.make_attribute("to", 1))
    net = read_and_compare(model_of([FIRST, *nodes, SECOND], constants | numbers), rng)
    assert net.dense[0].activation.name == "relu"


def test_a_scaler_makes_floats_of_integers_and_a_cast_would_round_them(constants):
    nodes = [
        node("ml.Scaler", "x", out="s", offset=[0.5], scale=[0.5]),
        node("Cast", "s", out="whole", to=7),
        node("Cast", "whole", out="a", to=1),
        node("MatMul", "a", "W", out="y"),
    ]
    with pytest.raises(ValueError, match=r"node 'whole_node' \(Cast\) outputs numbers of .* INT64"):
        fastnn.from_onnx(model_of(nodes, constants, dtype="int64"))


# ---- shapes -------------------------------------------------------------------------------------

VECTORS = {
    "squeeze(-1)": [("Squeeze", "a", "minus one", "y")],
    "squeeze(1)": [("Squeeze", "a", "one", "y")],
    "squeeze()": [("Squeeze", "a", "y")],
    "flatten()": [("Reshape", "a", "minus one", "y")],
    "[:, 0]": [("Gather", "a", "zero", "y")],
    "flatten() of the older exporter": [
        ("Shape", "a", "s"), ("Slice", "s", "zeros", "zeros", "zeros", "e"),
        ("Concat", "e", "minus one", "t"), ("Reshape", "a", "t", "y"),
    ],
    "sigmoid(squeeze)": [("Squeeze", "a", "one", "s"), ("Sigmoid", "s", "y")],
    "squeeze(sigmoid)": [("Sigmoid", "a", "s"), ("Squeeze", "s", "one", "y")],
    "half of the squeezed": [("Squeeze", "a", "one", "s"), ("Mul", "s", 0.5, "y")],
}  # fmt: skip
AXES = {"minus one": [-1], "one": [1], "zeros": [0], "two": [-1, 1], "first": [0], "rows": [0, -1]}
AXES = {name: np.array(axes) for name, axes in AXES.items()} | {"zero": np.array(0)}


def shaping(steps):
    """Return nodes and constants of steps, with the axes of Gather and Concat."""
    nodes, numbers = composed(steps)
    for each in nodes:
        if each.op_type in ("Gather", "Concat"):
            axis = 1 if each.op_type == "Gather" and each.input[0] == "a" else 0
            each.attribute.append(helper.make_attribute("axis", axis))
    return nodes, numbers | AXES


@pytest.mark.parametrize("name", VECTORS)
def test_one_output_as_a_vector(name, constants, rng):
    nodes, numbers = shaping(VECTORS[name])
    model = model_of([LAST, *nodes], {**constants, **numbers, "v": constants["v"][:3]}, made=1)
    net = fastnn.from_onnx(model)
    X = rng.normal(size=(7, 3)).astype("f4")
    assert_close(net.predict(X)[:, 0], run(model, X), 1e-6)


ROWS = {
    "view(n, -1)": [
        ("Shape", "x", "s"), ("Gather", "s", "zero", "n"), ("Unsqueeze", "n", "zeros", "u"),
        ("Concat", "u", "minus one", "t"), ("Reshape", "x", "t", "z"),
    ],
    "view(-1, 3)": [("Reshape", "x", "three columns", "z")],
    "view(0, -1)": [("Reshape", "x", "rows", "z")],
    "there and back": [("Reshape", "x", "three columns", "r"), ("Identity", "r", "z")],
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_stay_rows(name, constants, rng):
    nodes, numbers = shaping(ROWS[name])
    numbers["three columns"] = np.array([-1, 3])
    nodes.append(node("Gemm", "z", "W", "b", out="y"))
    read_and_compare(model_of(nodes, constants | numbers), rng)


def test_a_column_squeezed_and_unsqueezed(constants, rng):
    steps = [("Squeeze", "a", "one", "s"), ("Unsqueeze", "s", "minus one", "u")]
    nodes, numbers = shaping(steps)
    nodes = [LAST, *nodes, node("Gemm", "u", "u2", out="y")]
    more = {**constants, **numbers, "v": constants["v"][:3], "u2": np.ones((1, 2), "f4")}
    read_and_compare(model_of(nodes, more), rng)


def test_a_graph_of_a_fixed_number_of_rows(constants, rng):
    numbers = {"shape": np.array([20, -1]), "shape2": np.array([20, 2])}
    nodes = [
        node("Reshape", "x", "shape", out="r"),
        node("Gemm", "r", "W", "b", out="a"),
        node("Gemm", "a", "V", "c", out="s"),
        node("Reshape", "s", "shape2", out="y"),
    ]
    read_and_compare(model_of(nodes, constants | numbers, rows=20), rng)


RESHAPED = {
    "node 'y_node' (Reshape) reshapes rows of 4 numbers to (-1, 1); fastnn networks": [
        ("Reshape", "a", "column", "y"),
    ],
    "node 'y_node' (Reshape) reshapes rows of 4 numbers to (-1)": [
        ("Reshape", "a", "minus one", "y"),
    ],
    "node 'y_node' (Reshape) reshapes rows of 4 numbers to (4, -1)": [
        ("Reshape", "a", "four rows", "y"),
    ],
    "node 'y_node' (Squeeze) squeezes axes [1] of rows of 4 numbers": [
        ("Squeeze", "a", "one", "y"),
    ],
    "node 'y_node' (Gather) takes 0 along axis 1 of rows of 4": [("Gather", "a", "zero", "y")],
    "node 'y_node' (Unsqueeze) inserts axes [1] into a tensor of 2 dimensions": [
        ("Unsqueeze", "a", "one", "y"),
    ],
    "node 'y_node' (Transpose) is an operator that fastnn cannot read": [("Transpose", "a", "y")],
}  # fmt: skip


@pytest.mark.parametrize("message", RESHAPED)
def test_a_shape_that_loses_the_rows_is_refused(message, constants):
    nodes, numbers = shaping(RESHAPED[message])
    numbers |= {"column": np.array([-1, 1]), "four rows": np.array([4, -1])}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        fastnn.from_onnx(model_of([FIRST, *nodes], constants | numbers))


def test_a_product_of_a_vector_is_refused(constants):
    nodes = [LAST, node("Squeeze", "a", "one", out="s"), node("MatMul", "s", "V", out="y")]
    more = constants | {"v": constants["v"][:3], "one": np.array([1])}
    message = r"^node 'y_node' \(MatMul\) takes a tensor of 1 dimension; fastnn networks take"
    with pytest.raises(ValueError, match=message):
        fastnn.from_onnx(model_of(nodes, more))


def test_images_must_be_flattened(constants, rng):
    more = {"W": rng.normal(size=(12, 4)).astype("f4"), "b": constants["b"], "half": np.float32(2)}
    nodes = [
        node("Div", "x", "half", out="h"),
        node("Flatten", "h", out="f"),
        node("Gemm", "f", "W", "b", out="y"),
    ]
    model = model_of(nodes, more)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    for size in (2, 2):
        shape.add().dim_value = size
    X = rng.normal(size=(5, 3, 2, 2)).astype("f4")
    assert_close(fastnn.from_onnx(model).predict(X.reshape(5, 12)), run(model, X), 1e-5)
    del model.graph.node[1]
    model.graph.node[1].input[0] = "h"
    with pytest.raises(ValueError, match=r"\(Gemm\) takes a tensor of 4 dimensions; .* a Flatten"):
        fastnn.from_onnx(model)


def test_functions_of_a_model_are_its_nodes(constants, rng):
    """As PyTorch's exporter leaves them without optimization."""
    body = [helper.make_node("Sigmoid", ["u"], ["s"]), helper.make_node("Mul", ["u", "s"], ["w"])]
    opsets = [helper.make_opsetid("", 17)]
    silu = helper.make_function("theirs", "silu", ["u"], ["w"], body, opsets)
    model = model_of([FIRST, node("silu", "a", out="z", domain="theirs"), SECOND], constants)
    model.functions.append(silu)
    net = read_and_compare(model, rng)
    assert str(net.dense[0].activation) == "silu"


# ---- skl2onnx -----------------------------------------------------------------------------------

MLP_STEPS = [
    ("Cast", "x", "cast"),
    ("MatMul", "cast", "W", "product"),
    ("Add", "product", "b", "sum"),
    ("Relu", "sum", "z"),
]
BINARY = [
    ("MatMul", "z", "v", "product2"),
    ("Add", "product2", "d", "sum2"),
    ("Sigmoid", "sum2", "p"),
    ("Sub", 1.0, "p", "q"),
    ("Concat", "q", "p", "probabilities"),
    ("ArgMax", "probabilities", "best"),
]
MANY = [
    ("MatMul", "z", "V", "product2"),
    ("Add", "product2", "c", "sum2"),
    ("Softmax", "sum2", "soft"),
    ("Identity", "soft", "probabilities"),
    ("ArgMax", "probabilities", "best"),
]
LABELS = [
    ("ml.ArrayFeatureExtractor", "classes", "best", "found"),
    ("Reshape", "found", "vector", "label"),
]
OPTIONS = {"Concat": {"axis": 1}, "ArgMax": {"axis": 1}, "Cast": {"to": 1}}


def classifier(steps, constants, classes, zipmap=None):
    """Return a model with two outputs as skl2onnx makes it, probabilities without `zipmap`."""
    nodes, numbers = composed([*MLP_STEPS, *steps, *LABELS])
    for each in nodes:
        options = OPTIONS.get(each.op_type, {})
        each.attribute.extend(helper.make_attribute(k, v) for k, v in options.items())
    constants = constants | numbers | {"vector": np.array([-1])}
    model = model_of(nodes, constants)
    tensor = numpy_helper.from_array(np.array(classes), "classes")
    model.graph.initializer.append(tensor)
    kind = onnx.TensorProto.STRING if isinstance(classes[0], str) else onnx.TensorProto.INT64
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("label", kind, [None]))
    if zipmap:
        model.graph.node.append(node("ml.ZipMap", "probabilities", out="maps", **zipmap))
        model.graph.output.append(onnx.ValueInfoProto(name="maps"))
        key = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(1, []))
        model.graph.output[1].type.CopyFrom(helper.make_sequence_type_proto(key))
    else:
        model.graph.output.append(helper.make_tensor_value_info("probabilities", 1, [None, None]))
    return model


def both(model, classes, X):
    """Return the runtime's labels and probabilities of the classes, as arrays."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    labels, found = session.run(None, {"x": X})
    if isinstance(found, list):
        found = np.array([[row[label] for label in classes] for row in found], np.float32)
    return labels, found


@pytest.mark.parametrize("zipmap", [False, True], ids=["tensor", "zipmap"])
@pytest.mark.parametrize("classes", [[3, 7], ["no", "größer"]], ids=["int64s", "strings"])
def test_the_classifiers_of_skl2onnx(zipmap, classes, constants, rng):
    kind = "strings" if isinstance(classes[0], str) else "int64s"
    options = {f"classlabels_{kind}": classes} if zipmap else None
    X = rng.normal(size=(9, 3)).astype("f4")
    binary = classifier(BINARY, constants, classes, options)
    labels, expected = both(binary, classes, X)
    net = fastnn.from_onnx(binary)
    assert_close(net.predict(X), expected[:, 1:], 1e-6)
    assert repr(net) == "<MLP 3-4-1, binary_cross_entropy, adam, float32>"
    assert net.classes == tuple(classes)
    np.testing.assert_array_equal(
        labels, np.array(classes)[(net.predict(X)[:, 0] > 0.5).astype(int)]
    )
    many = classifier(MANY, constants, classes, options)
    labels, expected = both(many, classes, X)
    net = fastnn.from_onnx(many)
    assert_close(net.predict(X), expected, 1e-6)
    assert net.loss.name == "cross_entropy"
    assert net.classes == tuple(classes)
    np.testing.assert_array_equal(labels, np.array(classes)[net.predict(X).argmax(1)])


@pytest.mark.parametrize("classes", [[3, 7, 9], ["a", "b", "ü"]], ids=["int64s", "strings"])
def test_the_classes_of_fastnns_converter(classes, constants):
    """Its graphs end with a Gather of labels, as those of fastnn.sklearn's classifiers."""
    constants |= {"V": np.ones((4, 3), "f4"), "c": np.zeros(3, "f4")}
    model = classifier(MANY, constants, classes)
    looks_up = next(n for n in model.graph.node if n.op_type == "ArrayFeatureExtractor")
    looks_up.op_type, looks_up.domain = "Gather", ""
    assert fastnn.from_onnx(model).classes == tuple(classes)


def test_several_labels_a_row(constants, rng):
    steps = [
        *MLP_STEPS,
        ("MatMul", "z", "V", "product2"),
        ("Sigmoid", "product2", "p"),
        ("ml.Binarizer", "p", "binary"),
        ("Sub", 1.0, "p", "q"),
        ("Concat", "q", "p", "y"),
    ]
    nodes, numbers = composed(steps)
    for each in nodes:
        options = OPTIONS.get(each.op_type, {})
        each.attribute.extend(helper.make_attribute(k, v) for k, v in options.items())
    model = model_of(nodes, constants | numbers)
    model.graph.output.append(helper.make_tensor_value_info("binary", 1, [None, None]))
    net = fastnn.from_onnx(model)
    X = rng.normal(size=(9, 3)).astype("f4")
    assert_close(net.predict(X), run(model, X)[:, 2:], 1e-6)
    assert (net.loss.name, net.metadata) == ("binary_cross_entropy", {})


def test_several_labels_a_row_by_a_comparison(constants, rng):
    """As fastnn's converter for skl2onnx writes them."""
    steps = [
        ("Gemm", "x", "W", "b", "a"),
        ("Sigmoid", "a", "p"),
        ("Greater", "p", 0.5, "is above"),
        ("Cast", "is above", "labels"),
    ]
    nodes, numbers = composed(steps)
    nodes[-1].attribute.append(helper.make_attribute("to", onnx.TensorProto.INT64))
    model = model_of(nodes, constants | numbers)
    del model.graph.output[:]
    for name, kind in (("p", onnx.TensorProto.FLOAT), ("labels", onnx.TensorProto.INT64)):
        model.graph.output.append(helper.make_tensor_value_info(name, kind, [None, None]))
    assert read_and_compare(model, rng).loss.name == "binary_cross_entropy"
    del model.graph.output[0]
    with pytest.raises(ValueError, match=r"node 'is above_node' \(Greater\) does not begin"):
        fastnn.from_onnx(model)


def test_nodes_without_effect_are_left_out(constants, rng):
    nodes = [FIRST, node("Relu", "a", out="z"), node("Exp", "a", out="unused"), SECOND]
    net = read_and_compare(model_of(nodes, constants), rng)
    assert net.layers == (Dense(4, "relu"), Dense(2))


def test_labels_alone_are_refused(constants):
    model = classifier(MANY, constants, [0, 1])
    del model.graph.output[1]
    message = r"^node 'best_node' \(ArgMax\) outputs labels, but fastnn networks output scores; "
    with pytest.raises(ValueError, match=message):
        fastnn.from_onnx(model)


def test_a_scaler_is_a_standardize(constants, rng):
    scaler = node("ml.Scaler", "x", out="s", offset=[1.0, 2.0, 3.0], scale=[0.5, 2.0, 0.25])
    cast = node("Cast", "s", out="cast", to=1)
    nodes = [scaler, cast, node("MatMul", "cast", "W", out="p"), node("Add", "p", "b", out="y")]
    net = read_and_compare(model_of(nodes, constants), rng)
    assert isinstance(net.layers[0], Standardize)
    np.testing.assert_array_equal(net.standardization, [[1, 2, 3], [2, 0.5, 4]])
    nodes[0] = node("ml.Scaler", "x", out="s", offset=[0.0] * 2, scale=[1.0] * 2)
    with pytest.raises(ValueError, match=r"^node 's_node' \(ai\.onnx\.ml\.Scaler\) has "):
        fastnn.from_onnx(model_of(nodes, constants))


@pytest.mark.parametrize("scale", [[0.5, 0.0, 0.25], [0.0]])
def test_a_scaler_that_makes_columns_constant_becomes_part_of_the_weights(scale, constants, rng):
    scaler = node("ml.Scaler", "x", out="s", offset=[1.0] * len(scale), scale=scale)
    nodes = [scaler, node("MatMul", "s", "W", out="p"), node("Add", "p", "b", out="y")]
    net = read_and_compare(model_of(nodes, constants), rng)
    assert isinstance(net.layers[0], Dense)


@pytest.mark.parametrize("op", ["ml.Normalizer", "ml.Imputer"])
def test_other_steps_of_pipelines_are_refused_by_name(op, constants):
    step = node(op, "x", out="s")
    nodes = [step, node("Gemm", "s", "W", "b", out="y")]
    name = op.replace("ml.", r"ai\.onnx\.ml\.")
    with pytest.raises(ValueError, match=rf"^node 's_node' \({name}\) (divides|fills) .*; fastnn"):
        fastnn.from_onnx(model_of(nodes, constants))
