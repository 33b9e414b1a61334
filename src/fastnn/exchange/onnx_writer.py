"""Write networks as ONNX models.

Here: each kind of layer and each activation in terms of ONNX operators. Not here: reading
(onnx_reader.py).
"""

import copy
import json
import math
import os
from collections.abc import Callable, Collection
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastnn import __version__, _checks, _files, activations
from fastnn.activations import Activation
from fastnn.exchange import onnx_embeddings
from fastnn.exchange.parts import Part, Refusal, parts, rule_for
from fastnn.exchange.together import Networks, inputs_of, networks_of
from fastnn.layers import (
    Activate,
    BlockDense,
    Dense,
    Dropout,
    Embedding,
    Fork,
    Layer,
    LayerNorm,
    MemberDense,
    MemberScale,
    PeriodicEncoding,
    PiecewiseEncoding,
    Standardize,
    Sum,
)
from fastnn.mlp import MLP

if TYPE_CHECKING:
    from fastnn.tabular.recipe import Recipe

#: The oldest opset and format version that suffice, so that old runtimes can read the files; and
#: those with LayerNormalization, for networks that need it. The opset of texts.
_OPSET, _IR = 13, 7
_OPSET_OF_NORM, _IR_OF_NORM = 17, 8
_OPSET_OF_TEXTS = 2
_MOST_BYTES = 2**31 - 2**20  # most bytes of weights: a protocol buffer is limited to 2 GB

#: Scale and alpha of selu.
SELU = 1.0507009873554805, 1.6732632423543772


@overload
def export(
    net: Networks,
    path: str | os.PathLike[str],
    *,
    input_name: str = "input",
    output_name: str = "output",
    inputs: Literal["columns", "encoded"] | None = None,
) -> None: ...


@overload
def export(
    net: Networks,
    path: None = None,
    *,
    input_name: str = "input",
    output_name: str = "output",
    inputs: Literal["columns", "encoded"] | None = None,
) -> Any: ...


def export(
    net: Networks,
    path: str | os.PathLike[str] | None = None,
    *,
    input_name: str = "input",
    output_name: str = "output",
    inputs: Literal["columns", "encoded"] | None = None,
) -> Any:
    """Write a network, or the mean of several, to an ONNX file, or return the model.

    Needs the package onnx: ``pip install onnx``.

    Parameters
    ----------
    net : MLP, Fits, list of MLP, or fitted estimator or Pipeline
        An estimator of ``fastnn.sklearn`` or scikit-learn, or a pipeline of scalers and such an
        estimator, is converted by `from_sklearn`; ensembles and estimators for tables stand for
        their networks, a Fits for its networks that were trained to their end. Several networks
        must have the same layers, classes and names of columns; the model's outputs are the mean of
        theirs, and `from_onnx` does not read such a model.
    path : str or path, optional
        The file. An existing file is replaced once the new one is complete. Without a path the
        model is returned.
    input_name, output_name : str, default "input" and "output"
        Names of the input and output tensors, of shapes (n, n_in) and (n, n_out) with any n, in
        the network's dtype. Columns of a table have their own names.
    inputs : {"columns", "encoded"}, optional
        What the model takes, if the network has a recipe for tables: an input (n, 1) for each
        column that the recipe uses, which is the default, or the encoded columns (n, n_in). The
        columns are encoded in float64, as in Python: numbers are float64, NaN where one is missing;
        dates are seconds since 1970 in float64; categories and bools are texts, "" where one is
        missing. An unknown text is treated as missing, unless rare texts share an input. A network
        without a recipe takes its inputs as they are.

    Returns
    -------
    onnx.ModelProto or None
        The model, if no path is given.

    Raises
    ------
    ImportError
        If onnx is not installed.
    TypeError, ValueError
        If an argument is invalid, no network of a Fits is trained, several networks differ in more
        than their weights, the network's Standardize has seen no data, its weights take more than
        the 2 GB that an ONNX file can hold, or columns cannot be the inputs: the network has no
        recipe, or a column has the name of the output or none.
    OSError
        If the file cannot be written; an existing file is left unchanged.

    Notes
    -----
    The model has opset 13, or 17 if it has a LayerNorm in float32; it has no Dropout, and computes
    in the network's dtype. In float64, activations for which ONNX Runtime has no kernel are
    composed of exponentials, and a LayerNorm is composed of means, since its epsilon is a float32
    in ONNX. A model that takes texts also has an operator of ai.onnx.ml, opset 2; it knows True and
    1.0 as spellings of true and 1, but does not remove spaces around texts. An Ensemble outputs the
    mean over its members, as `fastnn.MLP.predict` does. Names of columns, classes and
    `MLP.metadata` become metadata of the model, as JSON, and `from_onnx` reads them. The optimizer,
    the loss and penalties are not kept; `fastnn.MLP.save` keeps them. `from_onnx` cannot read
    models of networks with embeddings or an Ensemble: keep the file of `save`.

    Examples
    --------
    >>> import tempfile
    >>> import fastnn
    >>> from fastnn import MLP, Dense
    >>> net = MLP(2, [Dense(3, "gelu"), Dense(1)], loss="squared_error", optimizer="adam")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastnn.onnx.export(net, f"{folder}/net.onnx")
    ...     twin = fastnn.from_onnx(f"{folder}/net.onnx")
    >>> twin
    <MLP 2-3-1, squared_error, adam, float32>
    >>> model = fastnn.onnx.export(net)
    >>> model.producer_name
    'fastnn'

    A network for a table takes the columns:

    >>> frame = {"area": [55.0, 70.0, None, 90.0], "city": ["Bonn", "Trier", "Bonn", "Trier"]}
    >>> recipe, X, _ = fastnn.tables.prepare(frame)
    >>> net = MLP(X.shape[1], [Dense(1)], loss="squared_error", optimizer="adam")
    >>> recipe.attach(net)
    >>> [column.name for column in fastnn.onnx.export(net).graph.input]
    ['area', 'city']
    >>> [rows.name for rows in fastnn.onnx.export(net, inputs="encoded").graph.input]
    ['input']
    """
    onnx = _checks.package("onnx", "fastnn.onnx")
    nets = networks_of(net)
    if path is not None:
        path = _checks.output_path("path", path, inputs_of(nets))
    input_name, output_name = _checks.tensor_names(input_name, output_name)
    recipe = _recipe_of(nets, inputs)
    n_bytes = sum(each.n_parameters * each.dtype.itemsize for each in nets)
    _checks.fits_in_onnx(n_bytes, _MOST_BYTES)
    graph = _Graph(onnx, nets[0].dtype, {output_name})
    given = _given(graph, nets[0], recipe, input_name, output_name)
    outputs = []
    for each in nets:
        z = given
        for part in parts(each):
            z = rule_for(RULES, part, "fastnn.onnx.export cannot write")(z, part)
        outputs.append(z)
    if len(outputs) > 1:  # ONNX Runtime has no Mean in float64
        outputs[0]("Sum", *outputs[1:]) / float(len(outputs))
    graph.nodes[-1].output[0] = output_name
    model = _model(graph, nets[0], output_name, None if recipe is None else given.name)
    if path is None:
        return model
    content = model.SerializeToString()
    with _files.replacing(path) as file:
        file.write(content)
    return None


def _recipe_of(nets: list[MLP], inputs: str | None) -> "Recipe | None":
    """Return the recipe of the columns that are a model's inputs, None for encoded columns."""
    if inputs is None:
        has_recipe = any(_checks.is_recipe(net.metadata.get("table")) for net in nets)
        inputs = "columns" if has_recipe else "encoded"
    if _checks.choice("inputs", inputs, ("columns", "encoded")) == "encoded":
        return None
    from fastnn.tabular import onnx_columns  # rarely needed

    return onnx_columns.recipe_for(nets)


def _given(
    graph: "_Graph", net: MLP, recipe: "Recipe | None", input_name: str, output_name: str
) -> "_Tensor":
    """Append the inputs, and the encoding of columns; return the rows that the network takes."""
    if recipe is None:
        return graph.input(input_name, net.dtype, net.n_in)
    from fastnn.tabular import onnx_columns

    names = [entry.name for entry in recipe.columns]
    _checks.tensors_of_columns(names, input_name, output_name)
    graph.taken.update(names)  # so that no node of a column has the name of a later one
    found: _Tensor = onnx_columns.encoded(graph, recipe)
    return found


def _model(graph: "_Graph", net: MLP, output_name: str, encoded: str | None) -> Any:
    """Return the model of a whole graph; `encoded` names the tensor of encoded columns, if any."""
    helper = graph.onnx.helper
    real = helper.np_dtype_to_tensor_dtype(net.dtype)
    whole = helper.make_graph(
        graph.nodes,
        "fastnn",
        graph.inputs,
        [helper.make_tensor_value_info(output_name, real, ["n", net.n_out])],
        graph.constants,
    )
    opsets = {node.domain: _OPSET_OF_TEXTS for node in graph.nodes} | {"": graph.opset}
    model = helper.make_model(
        whole,
        opset_imports=[helper.make_opsetid(*opset) for opset in sorted(opsets.items())],
        ir_version=graph.ir,
        producer_name="fastnn",
        producer_version=__version__,
    )
    about = {"metadata": _checks.json_of("net.metadata", net.metadata)}
    if net.feature_names is not None:
        about["feature_names"] = json.dumps(net.feature_names)
    if net.classes is not None:
        about["classes"] = json.dumps(net.classes)
    if encoded is not None:
        about["encoded"] = encoded
        rows = helper.make_tensor_value_info(encoded, real, ["n", net.n_in])
        model.graph.value_info.append(rows)
    helper.set_model_props(model, about)
    return model


class _Graph:
    """The nodes and constants of a graph that is being written."""

    def __init__(self, onnx: ModuleType, dtype: np.dtype[Any], taken: Collection[str]) -> None:
        self.onnx, self.dtype, self.taken = onnx, dtype, set(taken)
        self.inputs: list[Any] = []
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.opset, self.ir = _OPSET, _IR  # raised if an operator needs newer ones
        self.kept: list[_Tensor] = []  # inputs of the open residuals
        self._numbers: dict[float, _Tensor] = {}

    def with_dtype(self, dtype: np.dtype[Any]) -> "_Graph":
        """Return the same graph for operators on numbers of another dtype than the network's."""
        other = copy.copy(self)
        other.dtype, other._numbers = dtype, {}
        return other

    def input(self, name: str, dtype: np.dtype[Any], n_columns: int, about: str = "") -> "_Tensor":
        """Append an input of rows, and a readable description of it."""
        self.taken.add(name)
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(dtype)
        shape = ["n", n_columns]
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape, about))
        return _Tensor(self, name)

    def constant(self, name: str, array: npt.ArrayLike) -> "_Tensor":
        """Return an array as a constant tensor with this name, in the graph's dtype."""
        name = self._free(name)
        array = np.asarray(array, self.dtype, order="C")
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return _Tensor(self, name)

    def integers(self, name: str, values: list[int]) -> "_Tensor":
        """Return integers as a constant tensor whose name begins with `name`."""
        name = self._free(f"{name}_{len(self.constants)}")
        array = np.array(values, np.int64)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return _Tensor(self, name)

    def number(self, value: float) -> "_Tensor":
        """Return a number as a constant tensor; equal numbers share one."""
        if value not in self._numbers:
            self._numbers[value] = self.constant(f"number_{value!r}", value)
        return self._numbers[value]

    def node(self, op: str, inputs: list["_Tensor"], attributes: dict[str, Any]) -> "_Tensor":
        """Append a node; return its output, which has the name of the node."""
        name = self._free(f"{op}_{len(self.nodes)}")
        names = [tensor.name for tensor in inputs]
        self.nodes.append(self.onnx.helper.make_node(op, names, [name], name, **attributes))
        return _Tensor(self, name)

    def _free(self, name: str) -> str:
        """Return an unused name, this one if possible."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


class _Tensor:
    """A tensor of the graph: operators and calls append nodes, numbers become constants."""

    def __init__(self, graph: _Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __call__(self, op: str, *others: "_Tensor | float", **attributes: Any) -> "_Tensor":
        tensors = [o if isinstance(o, _Tensor) else self.graph.number(o) for o in others]
        return self.graph.node(op, [self, *tensors], attributes)

    def __add__(self, other: "_Tensor | float") -> "_Tensor":
        return self("Add", other)

    def __sub__(self, other: "_Tensor | float") -> "_Tensor":
        return self("Sub", other)

    def __mul__(self, other: "_Tensor | float") -> "_Tensor":
        return self("Mul", other)

    def __truediv__(self, other: "_Tensor | float") -> "_Tensor":
        return self("Div", other)


# ---- layers --------------------------------------------------------------------------------------


def _constants(z: _Tensor, part: Part[Any]) -> list[_Tensor]:
    """Return the arrays of a layer as constant tensors, with the names of fastnn's model files."""
    return [z.graph.constant(f"{part.prefix}.{name}", array) for name, array in part.arrays.items()]


def _dense(z: _Tensor, part: Part[Dense]) -> _Tensor:
    a = z("Gemm", *_constants(z, part))
    return _activated(a, part.place, activations.get(part.layer.activation))


def _dropout(z: _Tensor, part: Part[Dropout]) -> _Tensor:
    """Return z: dropout has no effect in predictions."""
    return z


def _standardize(z: _Tensor, part: Part[Standardize]) -> _Tensor:
    mean, scale = _constants(z, part)
    return (z - mean) / scale


def _layer_norm(z: _Tensor, part: Part[LayerNorm]) -> _Tensor:
    """Append one operator, or in float64 its composition, since its epsilon is a float32."""
    gain, bias = _constants(z, part)
    epsilon = part.layer.epsilon
    if z.graph.dtype == np.float32:
        z.graph.opset, z.graph.ir = _OPSET_OF_NORM, _IR_OF_NORM
        return z("LayerNormalization", gain, bias, axis=-1, epsilon=epsilon)
    centred = z - z("ReduceMean", axes=[-1])
    variance = (centred * centred)("ReduceMean", axes=[-1])
    return centred / (variance + epsilon)("Sqrt") * gain + bias


def _activate(z: _Tensor, part: Part[Activate]) -> _Tensor:
    return _activated(z, part.place, activations.get(part.layer.activation))


def _fork(z: _Tensor, part: Part[Fork]) -> _Tensor:
    z.graph.kept.append(z)
    return z


def _sum(z: _Tensor, part: Part[Sum]) -> _Tensor:
    return z.graph.kept.pop() + z


def _block_dense(z: _Tensor, part: Part[BlockDense]) -> _Tensor:
    found: _Tensor = onnx_embeddings.block_dense(z, part, _activated)
    return found


# In an Ensemble the copies of all rows for the first member come first, then those for the second.
# The rules of other layers take copies like other rows.


def _by_member(z: _Tensor, part: Part[Any]) -> list[_Tensor]:
    """Return the arrays of a layer as constant tensors (members, .., columns)."""
    k = part.layer.members
    apart = {name: array.reshape(k, -1, array.shape[1]) for name, array in part.arrays.items()}
    return _constants(z, replace(part, arrays=apart))


def _rows_by_member(z: _Tensor, part: Part[Any]) -> _Tensor:
    """Return rows (members * n, n_in) as (members, n, n_in)."""
    return z("Reshape", z.graph.integers("by_member", [part.layer.members, -1, part.n_in]))


def _member_scale(z: _Tensor, part: Part[MemberScale]) -> _Tensor:
    """Append the products with each member's factors; the first ones make the copies of rows."""
    W, *b = _by_member(z, part)
    scaled = (z if part.copies == 1 else _rows_by_member(z, part)) * W
    for biases in b:
        scaled = scaled + biases
    return scaled("Reshape", z.graph.integers("rows", [-1, part.n_in]))


def _member_dense(z: _Tensor, part: Part[MemberDense]) -> _Tensor:
    """Append the members' output layers, and the mean of their outputs."""
    W, *b = _by_member(z, part)
    a = _rows_by_member(z, part)("MatMul", W)
    for biases in b:
        a = a + biases
    outputs = _activated(a, part.place, activations.get(part.layer.dense.activation))
    return outputs("ReduceMean", axes=[0], keepdims=0)


#: For each kind of layer, the function that appends it: takes its input, returns its output.
RULES: dict[type[Layer], Callable[[_Tensor, Part[Any]], _Tensor] | Refusal] = {
    Dense: _dense,
    Dropout: _dropout,
    Standardize: _standardize,
    LayerNorm: _layer_norm,
    Activate: _activate,
    Fork: _fork,
    Sum: _sum,
    Embedding: onnx_embeddings.embedding,
    PiecewiseEncoding: onnx_embeddings.piecewise,
    PeriodicEncoding: onnx_embeddings.periodic,
    BlockDense: _block_dense,
    MemberScale: _member_scale,
    MemberDense: _member_dense,
}

# ---- activations ---------------------------------------------------------------------------------


def _activated(a: _Tensor, place: str, activation: Activation) -> _Tensor:
    """Append an activation."""
    if activation.is_linear:
        return a
    form = ACTIVATIONS.get(activation.name)
    if a.graph.dtype == np.float64:
        form = _IN_DOUBLE.get(activation.name, form)
    if form is None:
        remedy = "train a network with another activation, or add its operators to onnx_writer.py"
        problem = f"has {activation}, which fastnn cannot write as ONNX"
        _checks.inexpressible(place, problem, remedy)
    return form(a, activation.parameter)


def _elu(a: _Tensor, alpha: float) -> _Tensor:
    """max(a, 0) + alpha (e^min(a, 0) - 1)."""
    return a("Max", 0.0) + (a("Min", 0.0)("Exp") - 1.0) * alpha


def _erf_gelu(a: _Tensor, _: None) -> _Tensor:
    """a / 2 (1 + erf(a / sqrt 2)); halved first, so that large outputs do not overflow."""
    return a * 0.5 * ((a / math.sqrt(2))("Erf") + 1.0)


def _exp_gelu(a: _Tensor, _: None) -> _Tensor:
    """max(a, 0) - |a| Phi(-|a|), with 2 Phi(-|a|) = erfc(x) and x = |a| / sqrt 2.

    erfc(x) = t e^(p(t) - x^2) with t = 2 / (2 + x). p is so smooth that a polynomial of degree 26
    equals it to rounding. Beyond x = 9, e^-x^2 is negligible.
    """
    size = a("Abs")
    x = size / math.sqrt(2)
    t = (x("Min", 9.0) + 2.0)("Reciprocal") * 2.0
    low, high = 2 / 11, 1.0

    def p(t: float) -> float:
        x = 2 / t - 2
        return math.log(math.erfc(x) / t) + x * x

    series = np.polynomial.Chebyshev.interpolate(np.vectorize(p), 26, [low, high])
    powers: list[float] = np.polynomial.chebyshev.cheb2poly(series.coef).tolist()
    u = t * (2 / (high - low)) - (high + low) / (high - low)  # from -1 to 1
    total = u * powers.pop() + powers.pop()
    for coefficient in reversed(powers):
        total = u * total + coefficient
    return a("Max", 0.0) - size * t * (total - x * x)("Exp") * 0.5


def _log_softplus(a: _Tensor, _: None) -> _Tensor:
    """max(a, 0) + log(1 + u) with u = e^-|a|.

    With w = 1 + u as it is rounded, log(1 + u) = log(w) + (u - (w - 1)) / w to rounding, also where
    w is 1: there u is all that is left of softplus.
    """
    u = a("Abs")("Neg")("Exp")
    w = u + 1.0
    return a("Max", 0.0) + (w("Log") + (u - (w - 1.0)) / w)


def _tanh_gelu(a: _Tensor, _: None) -> _Tensor:
    """a / 2 (1 + tanh(sqrt(2 / pi) (a + 0.044715 a^3))); halved first, as in _erf_gelu."""
    u = (a + a * a * a * 0.044715) * math.sqrt(2 / math.pi)
    return a * 0.5 * (u("Tanh") + 1.0)


def _clipped_sigmoid(a: _Tensor, _: None) -> _Tensor:
    """min(max(0, (a + 3) / 6), 1)."""
    return ((a + 3.0) / 6.0)("Clip", 0.0, 1.0)


_Form = Callable[[_Tensor, Any], _Tensor]  # appends an activation of a, with its parameter


def _operator(name: str) -> _Form:
    """Return an operator without attributes."""
    return lambda a, _: a(name)


#: Activations in opset 13.
ACTIVATIONS: dict[str, _Form] = {
    "sigmoid": _operator("Sigmoid"),
    "tanh": _operator("Tanh"),
    "relu": _operator("Relu"),
    "leaky_relu": lambda a, alpha: a("LeakyRelu", alpha=alpha),
    "softmax": lambda a, _: a("Softmax", axis=-1),
    "elu": lambda a, alpha: a("Elu", alpha=alpha),
    "selu": _operator("Selu"),
    "gelu": _erf_gelu,
    "silu": lambda a, _: a * a("Sigmoid"),
    "softplus": _operator("Softplus"),
    "exp": _operator("Exp"),
    "gelu_tanh": _tanh_gelu,
    "mish": lambda a, _: a * a("Softplus")("Tanh"),
    "relu6": lambda a, _: a("Clip", 0.0, 6.0),
    "hard_tanh": lambda a, _: a("Clip", -1.0, 1.0),
    "hard_sigmoid": lambda a, _: a("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_silu": lambda a, _: a * a("HardSigmoid", alpha=1 / 6, beta=0.5),
}

#: Activations in float64 that ONNX Runtime lacks, or whose attributes are only float32.
_IN_DOUBLE: dict[str, _Form] = {
    "leaky_relu": lambda a, alpha: a("Max", 0.0) + a("Min", 0.0) * alpha,
    "elu": _elu,
    "selu": lambda a, _: _elu(a, SELU[1]) * SELU[0],
    "gelu": _exp_gelu,
    "softplus": _log_softplus,
    "mish": lambda a, _: a * _log_softplus(a, None)("Tanh"),
    "hard_sigmoid": _clipped_sigmoid,
    "hard_silu": lambda a, _: a * _clipped_sigmoid(a, None),
}
