"""Converters of the estimators for skl2onnx, which writes whole pipelines as ONNX models.

Here: the functions that skl2onnx requires of a converter, and the end of a classifier's graph. Not
here: the graph of a network (fastnn.exchange.onnx_writer).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.sklearn.classifier import MLPClassifier
from fastnn.sklearn.regressor import MLPRegressor

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Options of classifiers: the form of the probabilities; the labels as a third output; class
#: numbers instead of labels.
_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [False, True],
}


def register() -> None:
    """Register the converters with skl2onnx, unless its version is too old or too new for them."""
    with contextlib.suppress(ImportError):
        from skl2onnx import update_registered_converter

        update_registered_converter(
            MLPClassifier,
            "FastnnMLPClassifier",
            _shape_classifier,
            _convert_classifier,
            options=_OPTIONS,
        )
        update_registered_converter(
            MLPRegressor, "FastnnMLPRegressor", _shape_regressor, _convert_regressor
        )


def _shape_classifier(operator: Any) -> None:
    """Set the types and shapes of labels and probabilities."""
    from skl2onnx.common.data_types import Int64TensorType
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    calculate_linear_classifier_output_shapes(operator)
    if operator.raw_operator._kind == "multilabel-indicator":
        rows = operator.inputs[0].get_first_dimension()
        operator.outputs[0].type = Int64TensorType([rows, operator.raw_operator.n_outputs_])


def _shape_regressor(operator: Any) -> None:
    """Set the type and the shape (n, n_outputs) of the predictions."""
    kind, rows = _kind_of(operator), operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = kind([rows, operator.raw_operator.n_outputs_])


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the graph of the network."""
    _add(scope, operator, container, _model(operator))


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Add the graph of the network, followed by labels and probabilities of all classes."""
    from onnx import TensorProto, helper

    est, model = operator.raw_operator, _model(operator)
    graph, real = model.graph, model.graph.output[0].type.tensor_type.elem_type
    p = graph.output[0].name
    number = helper.tensor_dtype_to_np_dtype(real).type
    if est.n_outputs_ == 1:  # p is P(second class); append P(first)
        _constant(graph, "one", np.array(number(1)))
        _node(graph, "Sub", ["one", p], "others")
        _node(graph, "Concat", ["others", p], "both", axis=1)
        p = "both"
    if est._kind == "multilabel-indicator":
        _constant(graph, "half", np.array(number(0.5)))
        _node(graph, "Greater", [p, "half"], "is_above")
        _node(graph, "Cast", ["is_above"], "labels", to=TensorProto.INT64)
    else:
        numbers = container.get_options(est, {"nocl": False})["nocl"]
        classes = np.arange(len(est.classes_)) if numbers else est.classes_
        _constant(graph, "classes", _labels(classes))
        _node(graph, "ArgMax", [p], "place", axis=1, keepdims=0)
        _node(graph, "Gather", ["classes", "place"], "labels")
    del graph.output[:]
    for name, kind in (("labels", TensorProto.INT64), (p, real)):
        graph.output.append(helper.make_tensor_value_info(name, kind, None))
    _add(scope, operator, container, model)


def _node(graph: Any, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
    """Append a node to a graph, with the name that skl2onnx requires."""
    from onnx import helper

    graph.node.append(helper.make_node(kind, inputs, [output], name=output, **attributes))


def _constant(graph: Any, name: str, array: NDArray[Any]) -> None:
    """Add a constant to a graph."""
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(array, name))


def _labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Return the labels in ONNX's types, whole numbers or texts; at least two of them."""
    classes = np.resize(classes, max(2, len(classes)))
    return classes.astype(np.int64 if classes.dtype.kind in "biuf" else object)


def _kind_of(operator: Any) -> Any:
    """Return the type of the outputs: float64 if the inputs are float64, otherwise float32."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    is_double = isinstance(operator.inputs[0].type, DoubleTensorType)
    return DoubleTensorType if is_double else FloatTensorType


def _model(operator: Any) -> Any:
    """Return the ONNX model of an estimator's network, in the precision of the inputs."""
    from onnx import TensorProto, helper

    from fastnn.exchange.onnx_writer import export

    dtype = np.dtype(np.float64 if "Double" in _kind_of(operator).__name__ else np.float32)
    net = operator.raw_operator._synced().copy(dtype=dtype.name)
    model = export(net, input_name="rows", inputs="encoded")
    given, real = operator.inputs[0].type, helper.np_dtype_to_tensor_dtype(dtype)
    if type(given) is not _kind_of(operator):  # such as integers
        cast = helper.make_node("Cast", ["given"], ["rows"], name="rows", to=real)
        model.graph.node.insert(0, cast)
        del model.graph.input[:]
        value = helper.make_tensor_value_info("given", TensorProto.UNDEFINED, None)
        model.graph.input.append(value)
    return model


def _add(scope: Any, operator: Any, container: Any, model: Any) -> None:
    """Add the nodes and constants of a model to the graph that skl2onnx builds."""
    from skl2onnx.helpers.integration import add_onnx_graph

    add_onnx_graph(scope, operator, container, model)
