"""The endings of classifiers in ONNX: labels beside probabilities, and two columns from one output.

skl2onnx writes a classifier with two outputs: labels, and the probabilities of the classes as a
tensor or, by ZipMap, as a sequence of maps. With two classes it computes the first probability
from the second. The outputs of a network are only the probabilities, and only one for two classes.
Not here: the operators before the ending (onnx_operators.py).
"""

from typing import Any

import numpy as np

from fastnn.exchange.onnx_graph import FLOATS, Graph, operator

_LABELLING = "ArgMax", "ai.onnx.ml.Binarizer", "ai.onnx.ml.ZipMap"
_LOOKING_UP = "ai.onnx.ml.ArrayFeatureExtractor", "Gather"


def cut_labels(graph: Graph) -> list[Any] | None:
    """Remove the outputs other than scores, such as labels; return the classes, if known.

    The outputs of a graph without scores are left unchanged.
    """
    labels: set[str] = set()
    classes, scores = None, []
    for node in graph.nodes:
        if operator(node) in _LABELLING or labels.intersection(node.input):
            classes = _classes(graph, node, labels) or classes
            labels.update(node.output)
            if operator(node) == "ai.onnx.ml.ZipMap":
                scores.append(node.input[0])
    for output, name in zip(graph.graph.output, graph.outputs, strict=True):
        kind = output.type.tensor_type.elem_type
        if kind and kind not in FLOATS:
            labels.add(name)
    outputs = [name for name in graph.outputs if name not in labels | graph.constants.keys()]
    outputs += [name for name in scores if name not in outputs]
    graph.keep(_without_complement(graph, outputs or graph.outputs))
    return classes


def _classes(graph: Graph, node: Any, labels: set[str]) -> list[Any] | None:
    """Return the classes stored in a node of the ending, or None.

    They are looked up by the number of a class, one of the tensors `labels`, which is the second
    input of an ArrayFeatureExtractor, or of a Gather as fastnn's converter for skl2onnx writes it.
    """
    options = graph.attributes(node)
    if operator(node) == "ai.onnx.ml.ZipMap":
        texts = options.get("classlabels_strings", [])
        return [text.decode() for text in texts] or list(options.get("classlabels_int64s", []))
    looks_up = operator(node) in _LOOKING_UP and node.input[1] in labels
    if looks_up and node.input[0] in graph.constants:
        return [
            label.decode() if isinstance(label, bytes) else label
            for label in graph.constants[node.input[0]].ravel().tolist()
        ]
    return None


def _without_complement(graph: Graph, outputs: list[str]) -> list[str]:
    """Return the outputs, or [p] if the output is ``[1 - p, p]``."""
    if len(outputs) != 1:
        return outputs
    makers = {name: node for node in graph.nodes for name in node.output}
    [name] = outputs
    while name in makers and operator(makers[name]) == "Cast":
        [name] = makers[name].input
    joined = makers.get(name)
    if joined is None or operator(joined) != "Concat" or len(joined.input) != 2:
        return outputs
    complement, p = joined.input
    other = makers.get(complement)
    if other is None or operator(other) != "Sub" or other.input[1] != p:
        return outputs
    one = graph.constants.get(other.input[0])
    is_one = one is not None and np.all(one == 1)
    return [p] if is_one and graph.attributes(joined).get("axis") in (1, -1) else outputs
