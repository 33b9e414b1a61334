"""ONNX operators as operations of a chain.

A `Walk` holds the chain so far and the shape of the current tensor; it has a method for each
operator, which appends the operator to the chain. Not here: the order of nodes, residuals and
compositions (onnx_reader.py), which chains an MLP can express (chain.py).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn.activations import Activation
from fastnn.exchange.chain import Chain
from fastnn.exchange.onnx_graph import ROWS, Graph, operator, place, short
from fastnn.exchange.parts import Array

#: Types of floats; fastnn computes in one of the first two.
_FLOATS = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")

#: Operators that take integers, too: they keep the numbers, or output floats.
_TAKING_ALL = ("Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Gather",
               "ai.onnx.ml.Scaler")  # fmt: skip

_EXPORT = "fix the network, or export it again"
_TRAINING = "export the network for inference"


class Walk:
    """A walk along a graph: the chain built so far, and the shape of the current tensor."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.chain, self.dtype = graph, Chain(), "float32"
        #: The number of dimensions of the current tensor, if known: 2, or 1 for a vector with one
        #: number per row, which element-wise operators treat alike.
        self.rank: int | None = None
        self.rows: int | None = None  # set if the graph is for a fixed number of rows
        self._n_in: int | None = None
        self._type = "FLOAT"  # of the numbers of the current tensor
        for tensor in graph.inputs:
            self._type = self._type_of(tensor.type.tensor_type.elem_type) or self._type
            if tensor.type.tensor_type.HasField("shape"):
                sizes = [d.dim_value or None for d in tensor.type.tensor_type.shape.dim]
                self.rank, self.rows = len(sizes), sizes[0] if sizes else None
                self._n_in = sizes[-1] if len(sizes) == 2 else None

    @property
    def columns(self) -> int | None:
        """The number of columns of the current tensor, or None if it is unknown."""
        n = self.chain.n_out
        return self._n_in if n is None else n

    def put(self, node: Any, z: str) -> None:
        """Append a node, whose operator is in READERS and whose input is z, to the chain."""
        READERS[node.op_type if not node.domain else f"{node.domain}.{node.op_type}"](self, node, z)

    def _type_of(self, number: int) -> str | None:
        """Return the name of a type of ONNX; None for a number without one."""
        names = self.graph.onnx.TensorProto.DataType
        return str(names.Name(number)) if number and number in names.values() else None

    def check_floats(self, node: Any) -> None:
        """Check that an operator that computes takes floats: integers would be rounded or wrap."""
        computes = operator(node) not in _TAKING_ALL
        problem = f"computes with numbers of the type {self._type}, but fastnn with floats"
        remedy = "cast the inputs to floats at the beginning of the graph"
        is_float = self._type in _FLOATS
        _checks.expressible(place(node), is_float or not computes, problem, remedy)

    def check_rows(self, node: Any) -> None:
        """Check that the current tensor has rows, for an operator that acts on rows."""
        problem = f"takes a tensor of {_checks.counted(self.rank or 0, 'dimension')}"
        remedy = "fastnn networks take and output rows of numbers: export a graph with a Flatten"
        _checks.expressible(place(node), self.rank in (None, 2), problem, remedy)

    def constant(self, node: Any, i: int) -> Array | None:
        """Return an input of a node, which must be constant; None if the node lacks it."""
        array = self.graph.constant(node, i)
        if array is not None and array.ndim == 2:
            name = node.input[i]
            if self.graph.constants[name].dtype == np.float64:
                self.dtype = "float64"
        return array

    def given(self, node: Any, i: int) -> Array:
        """Return an input of a node, which must be constant and present."""
        self.constant(node, i)
        return self.graph.given(node, i)

    # ---- products -------------------------------------------------------------------------------

    def gemm(self, node: Any, z: str) -> None:
        """Gemm: ``alpha z B + beta C``."""
        options = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
        options |= self.graph.attributes(node)
        W = self.weights(node, z, bool(options["transA"]))
        self.chain.affine(place(node), options["alpha"] * (W.T if options["transB"] else W))
        C = self.constant(node, 2)
        if C is not None:
            self.chain.scale(place(node), -options["beta"] * self.per_column(node, C))

    def matmul(self, node: Any, z: str) -> None:
        """MatMul: ``z B``."""
        self.chain.affine(place(node), self.weights(node, z))

    def weights(self, node: Any, z: str, transposed: bool = False) -> Array:
        """Return the matrix that rows are multiplied by."""
        self.check_rows(node)
        straight = node.input[0] == z and not transposed
        remedy = "export rows of inputs times a matrix of weights"
        _checks.expressible(place(node), straight, "multiplies its input from the left", remedy)
        W = self.given(node, 1)
        _checks.expressible(place(node), W.ndim == 2, f"has weights of shape {W.shape}", remedy)
        return W

    # ---- scalings -------------------------------------------------------------------------------

    def per_column(self, node: Any, c: Array) -> Array:
        """Return a constant, which must be one number or one per column."""
        fits = c.size == 1 or (c.size == c.shape[-1] and self.rank in (None, 2))
        remedy = "export one number, or one number per column"
        _checks.expressible(place(node), fits, f"has a constant of shape {c.shape}", remedy)
        return c.ravel()

    def arithmetic(self, node: Any, z: str) -> None:
        """Add, Sub, Mul, Div of z and a constant."""
        left, at = node.input[0] == z, place(node)
        c = self.per_column(node, self.given(node, 1 if left else 0))
        if node.op_type == "Add":
            self.chain.scale(at, -c)
        elif node.op_type == "Sub":
            self.chain.scale(at, c, 1.0 if left else -1.0)
        elif node.op_type == "Div":
            _checks.expressible(at, left, "divides by its input", "export other operations")
            self.chain.scale(at, 0.0, c)
        else:
            with np.errstate(divide="ignore"):
                self.chain.scale(at, 0.0, 1 / c)

    def negative(self, node: Any, z: str) -> None:
        """Neg."""
        self.chain.scale(place(node), 0.0, -1.0)

    def scaler(self, node: Any, z: str) -> None:
        """Scaler of ONNX's operators for machine learning: ``(z - offset) * scale``."""
        self.check_rows(node)
        options = self.graph.attributes(node)
        offset, scale = (np.array(options.get(name, 0.0), float) for name in ("offset", "scale"))
        with np.errstate(divide="ignore"):
            self.chain.scale(place(node), offset, 1 / scale)
        self._type = "FLOAT"

    def batch_normalization(self, node: Any, z: str) -> None:
        """BatchNormalization: ``(z - mean) / sqrt(var + epsilon) * gamma + beta``."""
        self.check_rows(node)
        options = self.graph.attributes(node)
        trains = options.get("training_mode")
        _checks.expressible(place(node), not trains, "is in training mode", _TRAINING)
        gamma, beta, mean, var = (self.given(node, i) for i in range(1, 5))
        epsilon = options.get("epsilon", 1e-5)
        self.chain.normalize(place(node), mean, var + epsilon, gamma, beta)

    def layer_normalization(self, node: Any, z: str) -> None:
        """LayerNormalization: ``(z - mean) / sqrt(var + epsilon) * gain + bias`` of each row."""
        self.check_rows(node)
        options, bias = self.graph.attributes(node), self.constant(node, 2)
        axis = options.get("axis", -1)
        problem = f"is along axis {axis}"
        _checks.expressible(place(node), axis in (1, -1), problem, "export it along axis 1")
        gain = self.per_column(node, self.given(node, 1))
        bias = None if bias is None else self.per_column(node, bias)
        self.chain.norm(place(node), short(options.get("epsilon", 1e-5)), gain, bias)

    # ---- whole rows -----------------------------------------------------------------------------

    def softmax(self, node: Any, z: str) -> None:
        """Softmax over the columns."""
        self.check_softmax(node)
        self.chain.activate(place(node), Activation("softmax"))

    def log_softmax(self, node: Any, z: str) -> None:
        """LogSoftmax over the columns."""
        self.check_softmax(node)
        self.chain.log_softmax(place(node))

    def check_softmax(self, node: Any) -> None:
        """Check that a softmax is over the columns."""
        self.check_rows(node)
        axis = self.graph.attributes(node).get("axis", -1 if self.graph.opset >= 13 else 1)
        problem = f"is along axis {axis}"
        _checks.expressible(place(node), axis in (1, -1), problem, "export it along axis 1")

    def dropout(self, node: Any, z: str) -> None:
        """Dropout, which has no effect in predictions."""
        ratio, trains = self.graph.attributes(node).get("ratio", 0.5), False
        if self.graph.opset >= 12:
            given, training = self.constant(node, 1), self.constant(node, 2)
            ratio = 0.5 if given is None else np.ravel(given)[0]
            trains = training is not None and bool(training.any())
        _checks.expressible(place(node), not trains, "is in training mode", _TRAINING)
        self.chain.drop(place(node), short(ratio))

    # ---- shapes ---------------------------------------------------------------------------------

    def cast(self, node: Any, z: str) -> None:
        """Cast to floats that hold the numbers of the current tensor."""
        number = self.graph.attributes(node)["to"]
        name = self._type_of(number)
        _checks.expressible(place(node), name, f"has the unknown type {number}", _EXPORT)
        _checks.expressible(
            place(node), name in _FLOATS, f"outputs numbers of the type {name}",
            "fastnn networks output floats: cut it off with onnx.utils.extract_model",
        )  # fmt: skip
        _checks.expressible(
            place(node), name in ("FLOAT", "DOUBLE", self._type),
            f"rounds numbers of the type {self._type} to {name}, which fastnn networks do not",
            "export the network in float32",
        )  # fmt: skip
        self._type = str(name)

    def flatten(self, node: Any, z: str) -> None:
        """Flatten to rows."""
        axis = self.graph.attributes(node).get("axis", 1)
        whole = axis == 1 or (axis == -1 and self.rank == 2)
        self.check_shape(node, whole, f"flattens from axis {axis}")
        self.rank = 2

    def reshape(self, node: Any, z: str) -> None:
        """Reshape to the same rows, or rows of one number to a vector."""
        allows_zero = self.graph.attributes(node).get("allowzero", 0)
        shape = [int(n) for n in self.given(node, 1).ravel()]
        shown = ", ".join("n" if n == ROWS else str(n) for n in shape)
        first, last = shape[:1], shape[1:]
        copies = [] if allows_zero else [0]
        keeps = first in ([ROWS], [self.rows], copies)
        same = last == [self.columns] or self.columns is None or (self.rank == 2 and last == copies)
        if len(shape) == 2:
            fits = (keeps and last == [-1]) or ((keeps or first == [-1]) and same)
        else:
            fits = len(shape) == 1 and (keeps or first == [-1]) and self.columns == 1
        columns = "" if self.columns is None else f" of {self.columns} numbers"
        self.check_shape(node, fits, f"reshapes rows{columns} to ({shown})")
        self.rank = len(shape)

    def squeeze(self, node: Any, z: str) -> None:
        """Squeeze rows of one number to a vector."""
        axes = self.axes(node)
        whole = axes in (None, [1], [-1]) and self.columns == 1 and self.rank in (None, 2)
        columns = "" if self.columns is None else f" of {self.columns} numbers"
        self.check_shape(node, whole, f"squeezes axes {axes} of rows{columns}")
        self.rank = 1

    def unsqueeze(self, node: Any, z: str) -> None:
        """Unsqueeze a vector to rows of one number."""
        axes = self.axes(node)
        whole = axes in ([1], [-1]) and self.rank == 1
        into = "a tensor"
        if self.rank is not None:
            into = f"a tensor of {_checks.counted(self.rank, 'dimension')}"
        self.check_shape(node, whole, f"inserts axes {axes} into {into}")
        self.rank = 2

    def gather(self, node: Any, z: str) -> None:
        """Gather the only column as a vector."""
        axis, index = self.graph.attributes(node).get("axis", 0), self.given(node, 1)
        only = node.input[0] == z and self.columns == 1 and self.rank in (None, 2)
        whole = only and axis in (1, -1) and index.size == 1 and int(index.flat[0]) in (0, -1)
        columns = "" if self.columns is None else f" of {self.columns}"
        self.check_shape(node, whole, f"takes {index.tolist()} along axis {axis} of rows{columns}")
        self.rank = 1 if index.ndim == 0 else 2

    def axes(self, node: Any) -> list[int] | None:
        """Return `axes`: an attribute, or since opset 13 an input."""
        axes: Any = self.graph.attributes(node).get("axes")
        if len(node.input) > 1:
            axes = self.given(node, 1)
        return None if axes is None else [int(axis) for axis in np.ravel(axes)]

    @staticmethod
    def check_shape(node: Any, whole: object, problem: str) -> None:
        """Check that an operator keeps rows as they are, or turns a single column into a vector."""
        remedy = "fastnn networks take and output rows of numbers: cut it off with "
        _checks.expressible(place(node), whole, problem, f"{remedy}onnx.utils.extract_model")


#: For each operator, the method that appends it. Activations are recognized by their values.
READERS: dict[str, Callable[[Walk, Any, str], None]] = {
    "Gemm": Walk.gemm,
    "MatMul": Walk.matmul,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), Walk.arithmetic),
    "Neg": Walk.negative,
    "ai.onnx.ml.Scaler": Walk.scaler,
    "BatchNormalization": Walk.batch_normalization,
    "LayerNormalization": Walk.layer_normalization,
    "Softmax": Walk.softmax,
    "LogSoftmax": Walk.log_softmax,
    "Dropout": Walk.dropout,
    "Cast": Walk.cast,
    "Flatten": Walk.flatten,
    "Reshape": Walk.reshape,
    "Squeeze": Walk.squeeze,
    "Unsqueeze": Walk.unsqueeze,
    "Gather": Walk.gather,
}
