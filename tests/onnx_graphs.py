"""ONNX graphs made by hand, and ONNX Runtime's predictions, for the tests of ONNX."""

import numpy as np
import pytest

import fastnn

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def run(model, X):
    """Return the runtime's first output of a model or of the file of a path."""
    content = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    return session.run(None, {given.name: X})[0]


def assert_close(found, expected, tolerance):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_less(np.abs(found - expected) / (1 + np.abs(expected)), tolerance)


def node(op, *inputs, out, **attributes):
    """Return a node; the name of an operator for machine learning begins with "ml."."""
    domain = "ai.onnx.ml" if op.startswith("ml.") else attributes.pop("domain", None)
    return helper.make_node(
        op.removeprefix("ml."), inputs, [out], name=f"{out}_node", domain=domain, **attributes
    )


def model_of(nodes, constants=(), n_in=3, opset=17, dtype="float32", rows="batch", made=2):
    """Return a model of a graph from "x" (rows, n_in) to the last node's output, of `made` axes."""
    real = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("x", real, [rows, n_in])],
        [helper.make_tensor_value_info(nodes[-1].output[0], real, ["batch", "columns"][:made])],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in dict(constants).items()],
    )
    versions = {"": opset, "theirs": 1, "ai.onnx.ml": 1}
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def saved(path, nodes, constants=(), **options):
    """Write a model; return its path."""
    onnx.save(model_of(nodes, constants, **options), path)
    return path


def read_and_compare(model, rng, tolerance=1e-5, n_in=3, dtype="float32", **options):
    """Return the network of a model, after comparing it with the runtime's predictions."""
    net = fastnn.from_onnx(model, **options)
    X = rng.normal(1, 2, (20, n_in)).astype(dtype)
    assert_close(net.predict(X), run(model, X), tolerance)
    return net


def composed(steps):
    """Return nodes and constants: steps are (operator, inputs ..., output), numbers constants."""
    nodes, numbers = [], {}
    for op, *inputs, out in steps:
        names = [i if isinstance(i, str) else f"number {i}" for i in inputs]
        numbers |= {f"number {i}": np.float32(i) for i in inputs if not isinstance(i, str)}
        nodes.append(node(op, *names, out=out))
    return nodes, numbers
