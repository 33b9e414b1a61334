"""An ONNX graph for the reader: its nodes in order, its constants, how often tensors are used.

Constants, including shapes, are folded where exporters leave them unfolded, and nodes that copy a
tensor, or that no output depends on, are removed. Not here: operators as operations of a chain
(onnx_operators.py).
"""

import copy
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from fastnn import ModelFileError, _checks
from fastnn.exchange.parts import Array

#: Placeholders in a folded shape for the number of rows and for an unknown dimension.
ROWS, UNKNOWN = -(2**41), -(2**40)

#: Operators whose outputs are truths, whatever the type of their inputs.
_COMPARING = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or")

#: The numbers of types of tensors in ONNX.
_FLOAT, _DOUBLE, _BOOL = 1, 11, 9
_INTEGERS = frozenset({2, 3, 4, 5, 6, 7, 12, 13})
FLOATS = frozenset({_FLOAT, 10, _DOUBLE, 16})


class Graph:
    """The nodes of a graph that depend on its input, and the constants that they use."""

    def __init__(self, onnx: ModuleType, model: Any) -> None:
        self.onnx, self.graph = onnx, model.graph
        opsets = {opset.domain: opset.version for opset in model.opset_import}
        self.opset = max(opsets.get("", 1), opsets.get("ai.onnx", 1))
        self.constants: dict[str, Array] = {
            tensor.name: self.array(tensor) for tensor in self.graph.initializer
        }
        self.inputs = [i for i in self.graph.input if i.name not in self.constants]
        self.outputs = [output.name for output in self.graph.output]
        self.nodes = self._without_copies([n for n in self.graph.node if not self._fold(n)])
        #: How often each tensor is an input of a node, or an output of the graph; `keep` counts.
        self.uses: Counter[str] = Counter()

    def keep(self, outputs: list[str]) -> None:
        """Make these tensors the outputs, and remove the nodes that none of them depends on."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self.nodes, self.outputs = kept[::-1], outputs
        self.uses = Counter(name for node in self.nodes for name in node.input)
        self.uses.update(self.outputs)

    def array(self, tensor: Any) -> Array:
        """Return a tensor of the file as an array."""
        try:
            array: Array = self.onnx.numpy_helper.to_array(tensor)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"tensor {tensor.name!r} has no values of its type and shape ({error}); export the "
                "model again"
            ) from error
        return array

    def attributes(self, node: Any) -> dict[str, Any]:
        """Return a node's attributes by name."""
        value = self.onnx.helper.get_attribute_value
        return {attribute.name: value(attribute) for attribute in node.attribute}

    def constant(self, node: Any, i: int) -> Array | None:
        """Return an input of a node, which must be constant; None if the node lacks it."""
        if i >= len(node.input) or not node.input[i]:
            return None
        name = node.input[i]
        _checks.expressible(
            place(node), name in self.constants, f"has the input {name!r}, which is not constant",
            "fastnn networks are chains of layers with weights of their own",
        )  # fmt: skip
        array = self.constants[name]
        return array.astype(np.float64) if array.dtype.kind not in "iubOSU" else array

    def given(self, node: Any, i: int) -> Array:
        """Return an input of a node, which must be constant and present."""
        found = self.constant(node, i)
        remedy = "fix the network, or export it again"
        _checks.expressible(place(node), found is not None, f"lacks its input {i}", remedy)
        assert found is not None
        return found

    # ---- copies ---------------------------------------------------------------------------------

    def _without_copies(self, nodes: list[Any]) -> list[Any]:
        """Return the nodes other than those that copy a tensor; others take the tensor itself.

        A copy is the output of Identity, or of a Cast of floats to the type that they have.
        """
        kinds = {given.name: given.type.tensor_type.elem_type for given in self.inputs}
        copied: dict[str, str] = {}
        kept = []
        for node in nodes:
            name, names = operator(node), [copied.get(name, name) for name in node.input]
            given = next((kinds[name] for name in reversed(names) if name in kinds), None)
            kind = self.attributes(node)["to"] if name == "Cast" else given
            if name == "Identity" or (name == "Cast" and kind == given and kind in FLOATS):
                copied[node.output[0]] = names[0]
                continue
            kinds |= dict.fromkeys(node.output, _BOOL if name in _COMPARING else kind)
            if names != list(node.input):
                node = copy.deepcopy(node)
                node.input[:] = names
            kept.append(node)
        self.outputs = [copied.get(name, name) for name in self.outputs]
        return kept

    # ---- constants ------------------------------------------------------------------------------

    def _fold(self, node: Any) -> bool:
        """Whether a node computes a constant; if so, keep the constant."""
        if node.op_type not in _FOLDING or node.domain not in ("", "ai.onnx"):
            return False
        fold, depends = _FOLDING[node.op_type]
        names = [name for name in node.input if name]
        if not depends and any(name not in self.constants for name in names):
            return False
        try:
            array = fold(self, node)
        except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{place(node)} has inputs that it cannot take ({error}); export the model again"
            ) from error
        if array is not None:
            self.constants[node.output[0]] = array
        return array is not None

    def _of_node(self, node: Any) -> Array:
        """Constant."""
        [attribute] = node.attribute
        value = self.onnx.helper.get_attribute_value(attribute)
        return self.array(value) if attribute.name == "value" else np.array(value)

    def _same(self, node: Any) -> Array | None:
        """Identity."""
        return self.constants.get(node.input[0])

    def _cast(self, node: Any) -> Array | None:
        """Cast and CastLike; a tensor that depends on the input has floats."""
        array = self.constants.get(node.input[0])
        if array is None:
            return None
        if node.op_type == "Cast":
            return cast(array, self.attributes(node)["to"])
        like = self.constants.get(node.input[1])
        kind = _FLOAT if like is None else self.onnx.helper.np_dtype_to_tensor_dtype(like.dtype)
        return cast(array, kind)

    def _transposed(self, node: Any) -> Array:
        return self.constants[node.input[0]].transpose(self.attributes(node).get("perm"))

    def _shape(self, node: Any) -> Array | None:
        """Shape, also of a tensor that depends on the input, whose dimensions are placeholders."""
        if node.input[0] in self.constants:
            return np.array(self.constants[node.input[0]].shape, np.int64)
        options = self.attributes(node)
        whole = np.array([ROWS, *[UNKNOWN] * 8], np.int64)
        return whole[options.get("start", 0) : options.get("end")]

    def _filled(self, node: Any) -> Array | None:
        """ConstantOfShape and Expand of one number, which is kept as one number and broadcast."""
        if node.op_type == "Expand":
            array = self.constants.get(node.input[0])
            return array.reshape(()) if array is not None and array.size == 1 else None
        value = self.attributes(node).get("value")
        return np.zeros(()) if value is None else self.array(value).reshape(())

    def _taken(self, node: Any) -> Array:
        """Gather."""
        array, at = (self.constants[name] for name in node.input)
        return np.asarray(array.take(at, self.attributes(node).get("axis", 0)))

    def _sliced(self, node: Any) -> Array:
        """Slice; before opset 10 its bounds are attributes."""
        array, options = self.constants[node.input[0]], self.attributes(node)
        bounds: list[Any] = [options.get(name) for name in ("starts", "ends", "axes", "steps")]
        for i, name in enumerate(node.input[1:]):
            bounds[i] = self.constants[name].ravel().tolist() if name else None
        starts, ends, axes, steps = bounds
        axes = range(len(starts)) if axes is None else axes
        steps = [1] * len(starts) if steps is None else steps
        whole = [slice(None)] * array.ndim
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            whole[axis] = slice(start, end, step)
        return array[tuple(whole)]

    def _joined(self, node: Any) -> Array:
        """Concat."""
        arrays = [self.constants[name] for name in node.input]
        return np.concatenate(arrays, self.attributes(node)["axis"])

    def _reshaped(self, node: Any) -> Array:
        """Reshape, Squeeze and Unsqueeze."""
        array = self.constants[node.input[0]]
        axes: Any = self.attributes(node).get("axes")
        if len(node.input) > 1:
            axes = self.constants[node.input[1]]
        if node.op_type == "Reshape":
            return array.reshape(axes)
        if node.op_type == "Squeeze":
            return array.squeeze(None if axes is None else tuple(np.ravel(axes)))
        return np.expand_dims(array, tuple(np.ravel(axes)))

    def _computed(self, node: Any) -> Array | None:
        """Arithmetic with floats; before opset 7 an attribute says how arrays are broadcast."""
        arrays = [self.constants[name] for name in node.input]
        if node.attribute or any(array.dtype.kind in "biuOSU" for array in arrays):
            return None
        with np.errstate(all="ignore"):
            return np.asarray(_ARITHMETIC[node.op_type](*arrays))


#: Arithmetic that is folded, such as the square root by which a PCA with whiten=True divides.
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Div": np.divide,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
}

#: Operators that are folded, each with a flag: whether its inputs may be other than constants.
_FOLDING: dict[str, tuple[Callable[[Graph, Any], Array | None], bool]] = {
    **dict.fromkeys(_ARITHMETIC, (Graph._computed, False)),
    "Cast": (Graph._cast, False),
    "CastLike": (Graph._cast, True),
    "Concat": (Graph._joined, False),
    "Constant": (Graph._of_node, False),
    "ConstantOfShape": (Graph._filled, True),
    "Expand": (Graph._filled, True),
    "Gather": (Graph._taken, False),
    "Identity": (Graph._same, False),
    "Reshape": (Graph._reshaped, False),
    "Shape": (Graph._shape, True),
    "Slice": (Graph._sliced, False),
    "Squeeze": (Graph._reshaped, False),
    "Transpose": (Graph._transposed, False),
    "Unsqueeze": (Graph._reshaped, False),
}


def cast(array: Array, kind: int) -> Array:
    """Return numbers as a Cast to a type of ONNX gives them; floats keep their precision."""
    if array.dtype.kind in "OSU":
        return array
    is_float = array.dtype.kind not in "biu"
    if kind == _BOOL:
        return np.asarray(array != 0)
    if kind in _INTEGERS:
        with np.errstate(invalid="ignore"):
            return array.astype(np.float64).astype(np.int64) if is_float else array + 0
    return array if is_float else array.astype(np.float64 if kind == _DOUBLE else np.float32)


def place(node: Any) -> str:
    """Return the name of a node for messages."""
    return f"node {node.name or node.output[0]!r} ({operator(node)})"


def operator(node: Any) -> str:
    """Return the name of an operator, with its domain unless that is ONNX's own."""
    name = str(node.op_type)
    return name if node.domain in ("", "ai.onnx") else f"{node.domain}.{name}"


def short(value: float) -> float:
    """Undo the rounding of a number to float32: return 0.2 for 0.20000000298."""
    nearest = np.float32(value)
    return (
        float(str(nearest)) if abs(float(nearest) - value) <= 1e-12 * abs(value) else float(value)
    )
