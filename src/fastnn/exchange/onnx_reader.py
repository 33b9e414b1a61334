"""Read ONNX models as networks.

Here: the walk along the nodes of a graph, which finds residuals and runs of nodes that form one
operation. Not here: single operators (onnx_operators.py), recognition of such runs
(onnx_compositions.py), the endings of classifiers (onnx_endings.py), writing (onnx_writer.py).
"""

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np

from fastnn import ModelFileError, _checks, activations
from fastnn.activations import Activation
from fastnn.exchange import model_files
from fastnn.exchange.onnx_compositions import COMPOSING, PROBES, recognized
from fastnn.exchange.onnx_endings import cut_labels
from fastnn.exchange.onnx_graph import Graph, operator, place
from fastnn.exchange.onnx_operators import READERS, Walk
from fastnn.layers import LayerNorm
from fastnn.losses import Loss
from fastnn.mlp import MLP
from fastnn.optimizers import Optimizer


def from_onnx(
    model: str | os.PathLike[str] | bytes | Any,
    *,
    output: str | Activation | None = None,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    seed: int | None = None,
) -> MLP:
    """Read a network from an ONNX model, to predict with it or to continue its training.

    Needs the package onnx: ``pip install onnx``.

    Parameters
    ----------
    model : str, path, bytes or onnx.ModelProto
        The path or the content of a file, or a model in memory, such as skl2onnx returns, or the
        ``ONNXProgram`` that ``torch.onnx.export`` returns.
    output : str or Activation, optional
        An activation to append to a graph that ends with logits, such as "softmax" or "sigmoid".
    loss : str or Loss, optional
        By default the loss that matches the output activation: cross-entropy for softmax, binary
        cross-entropy for sigmoid, the Poisson loss for exp, and otherwise the squared error.
    optimizer : str or Optimizer, default "adam"
    seed : int, optional
        Seed of the order of rows and the dropout masks in further training.

    Returns
    -------
    MLP
        The network, in float64 if the weights are, otherwise in float32.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ModelFileError
        If the model is not a valid ONNX model, or has metadata that fastnn cannot have written.
    TypeError, ValueError
        If an argument is invalid, or the graph has a node that an MLP cannot express; the message
        names the node.
    OSError
        If the file cannot be read.

    Notes
    -----
    A graph must be a chain from one input, of rows, to one output. It may have Gemm or MatMul, with
    Add for biases; activations, also if they are composed of other operators, such as softplus of
    Softplus, Greater and Where; LayerNormalization, also if it is composed of means; Dropout,
    Identity, Cast, Flatten and Reshape to rows, BatchNormalization and Scaler; Sub, Add, Mul and
    Div by constants. Inputs of integers must be cast to floats first. Scalings before the first
    layer become a Standardize; others are merged into the weights next to them. An Add of two
    tensors of the chain ends a Residual; there may be no other branches.

    Of a model that fastnn wrote for the columns of a table, the network after the encoding is read.
    It has the recipe, so it takes frames with these columns.

    Outputs that are not of floats, such as the labels that a classifier of skl2onnx computes beside
    its probabilities, are left out; the network's `classes` are those of the model. For two classes
    the network has one output, the probability of the second class, as with `from_sklearn`. A model
    whose output is a vector, with one number per row, becomes a network that predicts rows of one
    number.

    Examples
    --------
    >>> net = fastnn.from_onnx("classifier.onnx", optimizer="sgd")  # doctest: +SKIP
    """
    onnx = _checks.package("onnx", "fastnn.onnx")
    found = _loaded(onnx, model)
    if found.producer_name == "fastnn":
        found = _of_encoded(found)
        _checks.is_read_back({node.op_type for node in found.graph.node} & set(_WRITTEN_ONLY))
    reader = _walked(onnx, found)
    net = reader.walk.chain.network(
        output=output, loss=loss, optimizer=optimizer, dtype=reader.walk.dtype, seed=seed
    )
    classes = reader.classes
    if found.producer_name == "fastnn":
        classes = _take_metadata(net, found.metadata_props)
    # A converter repeats a single class, since the graph has two probabilities.
    n = net.loss.n_classes(net.n_out)
    if classes is not None and n == len(classes) == len(set(classes)):
        net.classes = classes
    return net


#: Operators of fastnn's own models that it cannot read: of embeddings, of several networks, and of
#: the members of an Ensemble.
_WRITTEN_ONLY = ("Gather", "Sum", "MatMul")


def _of_encoded(model: Any) -> Any:
    """Return a model of columns as one of encoded columns; return other models unchanged.

    The metadata names the tensor of encoded columns. The network encodes frames by its recipe.
    """
    names = {entry.value for entry in model.metadata_props if entry.key == "encoded"}
    encoded = [value for value in model.graph.value_info if value.name in names]
    ends = [i for i, node in enumerate(model.graph.node, 1) if names.intersection(node.output)]
    if not encoded or not ends:
        return model
    found = type(model)()
    found.CopyFrom(model)
    del found.graph.node[: ends[0]]
    del found.graph.input[:]
    found.graph.input.extend(encoded)
    return found


def _take_metadata(net: MLP, entries: Any) -> list[Any] | None:
    """Set the metadata that `export` wrote, other than classes; return these."""
    about = {entry.key: entry.value for entry in entries}
    try:
        net.metadata = model_files.strict_object(about.get("metadata", "{}"), "metadata")
        names = model_files.strict_json(about.get("feature_names", "null"), "feature_names")
        net.feature_names = names
        classes = model_files.strict_json(about.get("classes", "null"), "classes")
        return _checks.labels_of_file("classes", classes)
    except model_files.MALFORMED as error:
        what = "its JSON is nested too deeply" if isinstance(error, RecursionError) else error
        raise ModelFileError(
            f"the model has metadata that fastnn cannot have written: {what}; export it again"
        ) from error


def _loaded(onnx: ModuleType, model: object) -> Any:
    """Load and check a model, and replace its functions by their nodes."""
    protobuf = importlib.import_module("google.protobuf.message")  # installed with onnx
    model = getattr(model, "model_proto", model)  # PyTorch's ONNXProgram has a model_proto
    path = _checks.onnx_model("model", model, onnx.ModelProto)
    name = "model" if path is None else repr(path)
    try:
        if path is not None:
            found = onnx.load(path, format="protobuf")  # whatever the file extension
        elif isinstance(model, onnx.ModelProto):
            found = model
        else:
            found = onnx.load_model_from_string(bytes(model))  # type: ignore[call-overload]  # checked
        onnx.checker.check_model(found if path is None else path)
        if found.functions:
            found = importlib.import_module("onnx.inliner").inline_local_functions(found)
    except (protobuf.DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ModelFileError(
            f"{name} is not a valid ONNX model: {error}; export it again"
        ) from error
    return found


#: Errors, other than fastnn's own, that nodes with impossible attributes or constants cause.
_MALFORMED = (AttributeError, IndexError, KeyError, MemoryError, OverflowError, RecursionError,
              TypeError)  # fmt: skip


def _walked(onnx: ModuleType, model: Any) -> "_Reader":
    """Return the reader of a model, which has read it to its end."""
    try:
        reader = _Reader(Graph(onnx, model))
        reader.read()
    except _MALFORMED as error:
        raise ModelFileError(
            f"the model has a node that is not as ONNX describes it ({type(error).__name__}: "
            f"{error}); export it again"
        ) from error
    return reader


class _Reader:
    """A walk along the nodes of a graph, from its input to its output."""

    def __init__(self, graph: Graph) -> None:
        self.classes = cut_labels(graph)
        self.graph, self.walk = graph, Walk(graph)
        self.nodes, self.uses = graph.nodes, graph.uses
        self.kept: list[str] = []  # inputs of the open residuals

    def read(self) -> None:
        """Append all nodes to the chain."""
        inputs, outputs = [i.name for i in self.graph.inputs], self.graph.outputs
        _checks.one_tensor("inputs", inputs)
        _checks.one_tensor("outputs", outputs)
        [z], first = inputs, 0
        while first < len(self.nodes):
            node = self.nodes[first]
            _checks.expressible(
                place(node), z in node.input, f"doesn't take {z!r}, the tensor before it",
                "fastnn networks are chains without branches, except residuals",
            )  # fmt: skip
            self.walk.check_floats(node)
            if self.is_sum(node) and self.uses[z] == 1:
                self.end_residual(node, z)
                first += 1
            elif self.is_single(node, z) and not self.may_begin(node):
                self.walk.put(node, z)
                first += 1
            elif length := self.composed(z, first):
                first += length
            elif self.is_single(node, z):
                self.walk.put(node, z)
                first += 1
            else:
                self.begin_residual(z, first)
                continue
            z = self.nodes[first - 1].output[0]
        _checks.expressible(
            "the graph", z == outputs[0], f"ends with {z!r}, not with its output {outputs[0]!r}",
            "fastnn networks are chains without branches, except residuals",
        )  # fmt: skip
        problem = f"outputs a tensor of {_checks.counted(self.walk.rank or 0, 'dimension')}"
        remedy = "fastnn networks output rows of numbers"
        fits = self.walk.rank in (None, 2) or (self.walk.rank == 1 and self.walk.columns == 1)
        _checks.expressible("the graph", fits, problem, remedy)

    def is_single(self, node: Any, z: str) -> bool:
        """Whether a node is an operation by itself."""
        return self.uses[z] == 1 and operator(node) in READERS

    def may_begin(self, node: Any) -> bool:
        """Whether a node that is an operation by itself may also begin a composition.

        Such a node combines its input with a single nonzero number, such as the 3 of hard_sigmoid,
        in contrast to a bias.
        """
        numbers = [self.graph.constants[n] for n in node.input if n in self.graph.constants]
        return len(node.input) == 2 and any(a.size == 1 and a.flat[0] != 0 for a in numbers)

    # ---- runs of nodes --------------------------------------------------------------------------

    def composed(self, z: str, first: int) -> int:
        """Append the longest run of nodes that forms one operation; return its length, or 0."""
        values, pending = {z: PROBES}, {z: self.uses[z]}
        found: tuple[int, Activation | LayerNorm] | None = None
        for n, node in enumerate(self.nodes[first:], 1):
            arguments = self.arguments(node, values)
            if operator(node) not in COMPOSING or arguments is None:
                break
            if operator(node) == "ReduceMean":
                self.check_means(node)
            [made, *_], options = node.output, self.graph.attributes(node)
            with np.errstate(all="ignore"):
                values[made] = COMPOSING[operator(node)](options, *arguments)
            pending[made] = self.uses[made]
            for name in node.input:
                if name in pending:
                    pending[name] -= 1
            if [name for name, uses in pending.items() if uses] == [made]:
                operation = recognized(values[made])
                found = (n, operation) if operation else found
        if found is None:
            return 0
        length, operation = found
        if isinstance(operation, LayerNorm):
            self.walk.check_rows(self.nodes[first])
            self.walk.chain.norm(place(self.nodes[first]), operation.epsilon)
        else:
            self.walk.chain.activate(place(self.nodes[first]), operation)
        return length

    def arguments(self, node: Any, values: dict[str, Any]) -> list[Any] | None:
        """Return the inputs of a node, computed from the probes; None if an input is unknown.

        Constants are known only if they are the same number for every column.
        """
        found = []
        for name in node.input:
            array = self.graph.constants.get(name)
            if name in values or not name:
                found.append(values.get(name))
            elif array is not None and array.size and np.all(array == array.flat[0]):
                found.append(array.flat[0].item())
            else:
                return None
        return found

    def check_means(self, node: Any) -> None:
        """Check that a ReduceMean computes the mean of each row; its axes may be an input."""
        options = {"keepdims": 1, **self.graph.attributes(node)}
        along = self.walk.axes(node)
        whole = along in ([1], [-1]) and options["keepdims"]
        problem = f"takes means along axes {along} with keepdims={options['keepdims']}"
        remedy = "export layer normalizations along axis 1, with keepdims"
        _checks.expressible(place(node), whole, problem, remedy)

    # ---- residuals ------------------------------------------------------------------------------

    def is_sum(self, node: Any) -> bool:
        """Whether a node adds two different tensors that are not constants."""
        return operator(node) == "Add" and len({*node.input} - self.graph.constants.keys()) == 2

    def begin_residual(self, z: str, first: int) -> None:
        """Begin the longest residual, among those with the inputs z, that is not open yet."""
        sums = [node for node in self.nodes[first:] if self.is_sum(node) and z in node.input]
        begun = self.kept.count(z)
        if begun == len(sums):
            self.refuse(z, first)
        self.walk.chain.fork(place(sums[-1 - begun]))
        self.kept.append(z)
        self.uses[z] -= 1

    def end_residual(self, node: Any, z: str) -> None:
        """End the innermost residual by its Add."""
        [other] = {*node.input} - {z}
        _checks.expressible(
            place(node), self.kept[-1:] == [other],
            f"adds {other!r}, which is not the input of the innermost residual",
            "fastnn's residuals follow one another or are nested",
        )  # fmt: skip
        self.kept.pop()
        self.walk.chain.join(place(node))

    # ---- refusals -------------------------------------------------------------------------------

    def refuse(self, z: str, first: int) -> None:
        """Raise the error that says why the node that follows z cannot be read."""
        node, users = self.nodes[first], [n for n in self.nodes if z in n.input]
        name, names = operator(node), ", ".join(activations.NAMES)
        doubling = [n for n in users if operator(n) == "Add" and {*n.input} == {z}]
        if doubling:
            node = doubling[0]
            problem, remedy = "adds its inputs to themselves", "put layers between them"
        elif name not in READERS and name not in COMPOSING:
            problem = _REASONS.get(name, "is an operator that fastnn cannot read")
            remedy = "fastnn has Dense layers, activations, layer normalization and residuals"
        elif len(users) > 1:
            problem = (
                f"is one of {len(users)} nodes that take {z!r} ({', '.join(map(operator, users))}),"
                " a branch that is neither a residual nor an activation of fastnn nor a layer "
                "normalization"
            )
            remedy = f"fastnn's activations are {names}"
        else:
            options = self.graph.attributes(node).items()
            given = ", ".join(
                f"{key}={value.decode() if isinstance(value, bytes) else value}"
                for key, value in options
            )
            problem = f"{f'with {given} ' if given else ''}does not begin an activation of fastnn"
            remedy = f"fastnn's activations are {names}"
        _checks.inexpressible(place(node), problem, remedy)


#: Reasons why operators cannot be read, where the name of the operator does not explain it.
_REASONS = {
    "ArgMax": "outputs labels, but fastnn networks output scores",
    "ai.onnx.ml.Imputer": "fills missing values, which fastnn networks do not accept",
    "ai.onnx.ml.Normalizer": "divides each row by its norm, which no layer of fastnn does",
    "Concat": "joins tensors, but fastnn networks are chains",
    "Split": "cuts rows into parts, but fastnn networks are chains",
}
