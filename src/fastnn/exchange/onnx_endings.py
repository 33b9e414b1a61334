"""The endings of classifiers in ONNX: labels beside probabilities, and two columns from one output.

skl2onnx writes a classifier with two outputs: labels, and the probabilities of the classes as a
tensor or, by ZipMap, as a sequence of maps. With two classes it computes the first probability
from the second. The outputs of a network are only the probabilities, and only one for two classes.
Not here: the operators before the ending (onnx_operators.py).
"""

from typing import Any

import numpy as np

from fastnn.exchange.onnx_graph import Graph, operator

_LABELLING = "ArgMax", "ai.onnx.ml.Binarizer", "ai.onnx.ml.ZipMap"
_LOOKING_UP = "ai.onnx.ml.ArrayFeatureExtractor", "Gather"


def cut_labels(graph: Graph) -> list[Any] | None:
    """Remove the nodes that compute labels beside scores; return the classes, if known.

    A graph that computes only labels, or none, is left unchanged.
    """
    labels: set[str] = set()
    kept, classes, scores = [], None, []
    for node in graph.nodes:
        if operator(node) in _LABELLING or labels.intersection(node.input):
            classes = _classes(graph, node, labels) or classes
            labels.update(node.output)
            if operator(node) == "ai.onnx.ml.ZipMap":
                scores.append(node.input[0])
        else:
            kept.append(node)
    outputs = [name for name in graph.outputs if name not in labels | graph.constants.keys()]
    outputs += [name for name in scores if name not in outputs]
    if labels and outputs:
        graph.nodes, graph.outputs = kept, outputs
    _cut_complement(graph)
    graph.count_uses()
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


def _cut_complement(graph: Graph) -> None:
    """If the output is ``[1 - p, p]``, replace it by p."""
    if len(graph.outputs) != 1:
        return
    makers = {name: node for node in graph.nodes for name in node.output}
    [name], cut = graph.outputs, []
    while name in makers and operator(makers[name]) == "Cast":
        cut.append(makers[name])
        [name] = makers[name].input
    joined = makers.get(name)
    if joined is None or operator(joined) != "Concat" or len(joined.input) != 2:
        return
    complement, p = joined.input
    other = makers.get(complement)
    if other is None or operator(other) != "Sub" or other.input[1] != p:
        return
    one = graph.constants.get(other.input[0])
    if one is not None and np.all(one == 1) and graph.attributes(joined).get("axis") in (1, -1):
        cut += [joined, other]
        graph.nodes = [node for node in graph.nodes if not any(node is c for c in cut)]
        graph.outputs = [p]
