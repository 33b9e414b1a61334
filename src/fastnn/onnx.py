"""Networks as ONNX files: `export` writes one for other runtimes, `from_onnx` reads one.

Needs the package onnx: ``pip install 'fastnn[onnx]'``.

Here: ONNX's operators, and what each is in a chain of operations. Not here: which chains an MLP can
express (_chain.py), other libraries (interop.py).
"""

import json
import math

import numpy as np

from fastnn import __version__, _chain, _checks, _files, activations, kernels
from fastnn._safetensors import ModelFileError
from fastnn.activations import Activation
from fastnn.mlp import MLP

#: The oldest operators and format that say all this, so that old runtimes read the files, too.
_OPSET, _IR = 13, 7
_MOST_BYTES = 2**31 - 2**20  # of weights: a protocol buffer ends at 2 GB

_SELU = 1.0507009873554805, 1.6732632423543772

# ---- writing ------------------------------------------------------------------------------------


def export(net, path, *, input_name="input", output_name="output"):
    """Write a network to an ONNX file, for prediction.

    Parameters
    ----------
    net : MLP
    path : str or path
        The file; an old one is replaced when the new one is whole.
    input_name, output_name : str, default "input" and "output"
        The tensors that a runtime is given and asked for, of shapes (n, n_in) and (n, n_out) with
        any n, in the network's dtype.

    Raises
    ------
    ImportError
        If onnx is not installed.
    TypeError, ValueError
        If an argument is unfit, the network's Standardize has seen no data, or its weights take
        more than the 2 GB an ONNX file can hold.
    OSError
        If the file cannot be written; an old one is then as it was.

    Notes
    -----
    The model is of opset 13, has no Dropout, and computes in the network's dtype. ONNX Runtime has
    no float64 kernel for some activations, so they are composed of exponentials there. Names of
    columns and `MLP.metadata` become the model's metadata, as JSON, and `from_onnx` reads them;
    optimizer, loss and penalties are not kept: for these there is `fastnn.MLP.save`.

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
    """
    onnx = _checks.package("onnx", "fastnn.onnx")
    _checks.one_of_these("net", net, MLP, "an MLP")
    path = _checks.file_path("path", path)
    _checks.tensor_names(input_name, output_name)
    n_bytes = net.n_parameters * net.dtype.itemsize
    _checks.fits_in_onnx(n_bytes, _MOST_BYTES)
    graph = _Graph(onnx, net.dtype, {input_name, output_name})
    z = _Tensor(graph, input_name)
    if net.standardization is not None:
        mean, scale = net.standardization
        z = (z - graph.constant("standardize.mean", mean)) / graph.constant(
            "standardize.scale", scale
        )
    for i, layer in enumerate(_chain.affines(net, fold=False)):
        b = [] if layer.b is None else [graph.constant(f"layers.{i}.b", layer.b)]
        a = z("Gemm", graph.constant(f"layers.{i}.W", layer.W), *b)
        z = _activated(a, layer.activation)
    graph.nodes[-1].output[0] = output_name
    content = _model(graph, net, input_name, output_name).SerializeToString()
    with _files.replacing(path) as file:
        file.write(content)


def _model(graph, net, input_name, output_name):
    """Return the model of a whole graph."""
    helper = graph.onnx.helper
    real = helper.np_dtype_to_tensor_dtype(net.dtype)
    whole = helper.make_graph(
        graph.nodes,
        "fastnn",
        [helper.make_tensor_value_info(input_name, real, ["n", net.n_in])],
        [helper.make_tensor_value_info(output_name, real, ["n", net.n_out])],
        graph.constants,
    )
    model = helper.make_model(
        whole,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="fastnn",
        producer_version=__version__,
    )
    about = {"metadata": _checks.json_of("net.metadata", net.metadata)}
    if net.feature_names is not None:
        about["feature_names"] = json.dumps(net.feature_names)
    helper.set_model_props(model, about)
    return model


class _Graph:
    """The nodes and constants of a graph that is being written."""

    def __init__(self, onnx, dtype, taken):
        self.onnx, self.dtype, self.taken = onnx, dtype, taken
        self.nodes, self.constants, self._numbers = [], [], {}

    def constant(self, name, array):
        """Return an array, in the network's dtype, as a tensor of this name."""
        name = self._free(name)
        array = np.asarray(array, self.dtype, order="C")
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return _Tensor(self, name)

    def number(self, value):
        """Return a number as a tensor, the same one each time."""
        if value not in self._numbers:
            self._numbers[value] = self.constant(f"number_{value!r}", value)
        return self._numbers[value]

    def node(self, op, inputs, attributes):
        """Append a node; return its output, which has its name."""
        name = self._free(f"{op}_{len(self.nodes)}")
        names = [tensor.name for tensor in inputs]
        self.nodes.append(self.onnx.helper.make_node(op, names, [name], name, **attributes))
        return _Tensor(self, name)

    def _free(self, name):
        """Return a name that no tensor has, this one if possible."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


class _Tensor:
    """A tensor of such a graph: operators and calls append nodes, numbers become constants."""

    def __init__(self, graph, name):
        self.graph, self.name = graph, name

    def __call__(self, op, *others, **attributes):
        others = [o if isinstance(o, _Tensor) else self.graph.number(o) for o in others]
        return self.graph.node(op, [self, *others], attributes)

    def __add__(self, other):
        return self("Add", other)

    def __sub__(self, other):
        return self("Sub", other)

    def __mul__(self, other):
        return self("Mul", other)

    def __truediv__(self, other):
        return self("Div", other)


def _activated(a, activation):
    """Append an activation."""
    name, alpha = activation.name, activation.alpha
    if name == "identity":
        return a
    if a.graph.dtype == np.float64 and name in _IN_DOUBLE:
        return _IN_DOUBLE[name](a, alpha)
    if name in _COMPOSED:
        return _COMPOSED[name](a)
    attributes = {} if alpha is None else {"alpha": alpha}
    return a(_OPS[name], **({"axis": -1} if name == "softmax" else attributes))


def _elu(a, alpha):
    """max(a, 0) + alpha (e^min(a, 0) - 1)."""
    return a("Max", 0.0) + (a("Min", 0.0)("Exp") - 1.0) * alpha


def _erf_gelu(a):
    """a (1 + erf(a / sqrt 2)) / 2."""
    return a * ((a / math.sqrt(2))("Erf") + 1.0) * 0.5


def _exp_gelu(a, alpha):
    """max(a, 0) - |a| Phi(-|a|), by an erfc of our own: with x = |a| / sqrt 2, 2 Phi = erfc(x).

    erfc(x) = t e^(p(t) - x^2) with t = 2 / (2 + x), and p so smooth that a polynomial of degree 26
    is it to rounding. Beyond x = 9 nothing is left of e^-x^2.
    """
    size = a("Abs")
    x = size / math.sqrt(2)
    t = (x("Min", 9.0) + 2.0)("Reciprocal") * 2.0
    low, high = 2 / 11, 1.0

    @np.vectorize
    def p(t):
        x = 2 / t - 2
        return math.log(math.erfc(x) / t) + x * x

    series = np.polynomial.Chebyshev.interpolate(p, 26, [low, high])
    *rest, total = np.polynomial.chebyshev.cheb2poly(series.coef).tolist()
    u = t * (2 / (high - low)) - (high + low) / (high - low)  # from -1 to 1
    for coefficient in reversed(rest):
        total = u * total + coefficient
    return a("Max", 0.0) - size * t * (total - x * x)("Exp") * 0.5


def _log_softplus(a, alpha):
    """max(a, 0) + log(1 + e^-|a|)."""
    return a("Max", 0.0) + (a("Abs")("Neg")("Exp") + 1.0)("Log")


#: Activations that are one operator.
_OPS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "leaky_relu": "LeakyRelu",
    "softmax": "Softmax",
    "elu": "Elu",
    "selu": "Selu",
    "softplus": "Softplus",
    "exp": "Exp",
}

#: Those that opset 13 lacks.
_COMPOSED = {"silu": lambda a: a * a("Sigmoid"), "gelu": _erf_gelu}

#: Those that ONNX Runtime lacks in float64, where float32 attributes wouldn't be exact either.
_IN_DOUBLE = {
    "leaky_relu": lambda a, alpha: a("Max", 0.0) + a("Min", 0.0) * alpha,
    "elu": _elu,
    "selu": lambda a, alpha: _elu(a, _SELU[1]) * _SELU[0],
    "gelu": _exp_gelu,
    "softplus": _log_softplus,
}

# ---- reading ------------------------------------------------------------------------------------


def from_onnx(path, *, output=None, loss=None, optimizer="adam", seed=None):
    """Read a network from an ONNX file, to predict with it or to train on.

    Parameters
    ----------
    path : str or path
    output : str or Activation, optional
        An activation to put behind a graph that ends with logits, such as "softmax" or "sigmoid".
    loss : str or Loss, optional
        By default the one that the activation of the output is meant for: cross-entropy behind
        softmax, binary cross-entropy behind sigmoid, Poisson's behind an exponential, the squared
        error behind any other.
    optimizer : str or Optimizer, default "adam"
    seed : int, optional
        Of the order of rows and the dropout masks when it is trained.

    Returns
    -------
    MLP
        Of float64 if the weights are, else of float32.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ModelFileError
        If it isn't an ONNX file, or not a valid one.
    TypeError, ValueError
        If an argument is unfit, or the graph holds what an MLP cannot express; the message names
        the node.
    OSError
        If it cannot be read.

    Notes
    -----
    A graph must be a chain from one input of rows to one output: Gemm or MatMul, with Add for
    biases; activations, also where they are composed of other operators, as silu of Sigmoid and
    Mul; Dropout, Identity, Cast, Flatten and Reshape to rows, BatchNormalization; Sub, Add, Mul and
    Div by constants. Scalings before the first Gemm become a Standardize, others go into the
    weights next to them.

    Examples
    --------
    >>> net = fastnn.from_onnx("classifier.onnx", optimizer="sgd")  # doctest: +SKIP
    """
    onnx = _checks.package("onnx", "fastnn.onnx")
    path = _checks.file_path("path", path)
    model = _loaded(onnx, path)
    reader = _Reader(onnx, model)
    reader.read()
    net = reader.chain.network(
        output=output, loss=loss, optimizer=optimizer, dtype=reader.dtype, seed=seed
    )
    if model.producer_name == "fastnn":
        about = {entry.key: entry.value for entry in model.metadata_props}
        net.metadata = _checks.json_object("metadata", about.get("metadata", "{}"))
        names = json.loads(about.get("feature_names", "null"))
        net.feature_names = _checks.feature_names(names, net.n_in)
    return net


def _loaded(onnx, path):
    """Return the model in a file, which must be valid."""
    from google.protobuf.message import DecodeError  # a package that onnx needs

    try:
        model = onnx.load(path, format="protobuf")  # whatever its name ends with
        onnx.checker.check_model(path)
    except (DecodeError, onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"{path!r} is not a valid ONNX model: {error}; export it anew"
        ) from error
    return model


class _Reader:
    """A walk along the nodes of a graph, from its input to its output."""

    def __init__(self, onnx, model):
        self.onnx, self.graph = onnx, model.graph
        opsets = {opset.domain: opset.version for opset in model.opset_import}
        self.opset = max(opsets.get("", 1), opsets.get("ai.onnx", 1))
        self.chain, self.dtype = _chain.Chain(), "float32"
        self.constants = {tensor.name: self.array(tensor) for tensor in self.graph.initializer}
        self.nodes = [node for node in self.graph.node if not self._is_constant(node)]
        self.uses = {}
        outputs = [output.name for output in self.graph.output]
        for name in [*(name for node in self.nodes for name in node.input), *outputs]:
            self.uses[name] = self.uses.get(name, 0) + 1

    def array(self, tensor):
        """Return a tensor of the file as an array."""
        try:
            return self.onnx.numpy_helper.to_array(tensor)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"tensor {tensor.name!r} has no values of its type and shape ({error}); export the "
                "model anew"
            ) from error

    def _is_constant(self, node):
        """Whether a node makes a constant, which is then known."""
        if node.op_type == "Constant":
            [attribute] = node.attribute
            value = self.onnx.helper.get_attribute_value(attribute)
            is_tensor = attribute.name == "value"
            array = self.array(value) if is_tensor else np.array(value)
        elif node.op_type in ("Identity", "Transpose", "Cast") and node.input[0] in self.constants:
            array = self.constants[node.input[0]]
            if node.op_type == "Transpose":
                array = array.transpose(self.attributes(node).get("perm"))
        else:
            return False
        self.constants[node.output[0]] = array
        return True

    def attributes(self, node):
        """Return a node's attributes by name."""
        value = self.onnx.helper.get_attribute_value
        return {attribute.name: value(attribute) for attribute in node.attribute}

    def read(self):
        """Put all nodes into the chain."""
        inputs = [i.name for i in self.graph.input if i.name not in self.constants]
        outputs = [output.name for output in self.graph.output]
        _checks.one_tensor("inputs", inputs)
        _checks.one_tensor("outputs", outputs)
        [z], first = inputs, 0
        while first < len(self.nodes):
            node = self.nodes[first]
            place = _place(node)
            _checks.expressible(
                place, z in node.input, f"doesn't use {z!r}, which comes before it",
                "fastnn networks are chains, without branches",
            )  # fmt: skip
            if self.uses[z] == 1 and _op(node) in _READERS:
                _READERS[_op(node)](self, node, place, z)
                first += 1
            else:
                first += self.composed(z, first)
            z = self.nodes[first - 1].output[0]
            self.uses.setdefault(z, 0)
        _checks.expressible(
            "the graph", z == outputs[0], f"makes {z!r} last, not its output {outputs[0]!r}",
            "fastnn networks are chains, without branches",
        )  # fmt: skip

    def constant(self, node, i):
        """Return a node's input that must be constant, or None if it isn't given."""
        if i >= len(node.input) or not node.input[i]:
            return None
        name = node.input[i]
        _checks.expressible(
            _place(node), name in self.constants, f"has {name!r}, which is no constant",
            "fastnn networks are chains of layers with weights of their own",
        )  # fmt: skip
        array = self.constants[name]
        if array.dtype == np.float64 and array.ndim == 2:
            self.dtype = "float64"
        return array.astype(np.float64) if array.dtype.kind not in "iub" else array

    def composed(self, z, first):
        """Put the longest run of nodes that is one activation into the chain; return its length."""
        values, pending, found = {z: _PROBES}, {z: self.uses[z]}, None
        numbers = {name: a.item() for name, a in self.constants.items() if a.size == 1}
        for n, node in enumerate(self.nodes[first:], 1):
            known = [name for name in node.input if name in values or name in numbers]
            if _op(node) not in _ELEMENTWISE or len(known) < len(node.input):
                break
            [made, *_], arguments = node.output, [{**numbers, **values}[name] for name in known]
            with np.errstate(all="ignore"):
                values[made] = _ELEMENTWISE[_op(node)](*arguments)
            pending[made] = self.uses.get(made, 0)
            for name in node.input:
                if name in pending:
                    pending[name] -= 1
            if [name for name, uses in pending.items() if uses] == [made]:
                activation = _recognized(values[made])
                found = (n, activation) if activation else found
        node = self.nodes[first]
        _checks.expressible(
            _place(node), found is not None,
            "is not an operation that fastnn has, or begins a branch or a composition that is none "
            "of its activations",
            "export a chain of Gemm, MatMul, Add, Sub, Mul, Div, BatchNormalization, Dropout, "
            f"Flatten and the activations {', '.join(activations.NAMES)}",
        )  # fmt: skip
        self.chain.activate(_place(node), found[1])
        return found[0]

    # ---- one operator each ----------------------------------------------------------------------

    def gemm(self, node, place, z):
        """Alpha z B + beta C."""
        options = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, **self.attributes(node)}
        W = self.weights(node, place, z, options["transA"])
        self.chain.affine(place, options["alpha"] * (W.T if options["transB"] else W))
        C = self.constant(node, 2)
        if C is not None:
            self.chain.scale(place, -options["beta"] * self.one_a_column(place, C))

    def matmul(self, node, place, z):
        """Z B."""
        self.chain.affine(place, self.weights(node, place, z))

    def weights(self, node, place, z, transposed=False):
        """Return the matrix that rows are multiplied by."""
        straight = node.input[0] == z and not transposed
        remedy = "export rows of inputs times a matrix of weights"
        _checks.expressible(place, straight, "multiplies its input from the left", remedy)
        W = self.constant(node, 1)
        _checks.expressible(place, W.ndim == 2, f"has weights of shape {W.shape}", remedy)
        return W

    def one_a_column(self, place, c):
        """Return a constant that is one number, or one a column."""
        fits = c.size == 1 or c.size == c.shape[-1]
        remedy = "export one number, or one a column"
        _checks.expressible(place, fits, f"has a constant of shape {c.shape}", remedy)
        return c.ravel()

    def arithmetic(self, node, place, z):
        """Z and a constant, added, subtracted, multiplied or divided."""
        left = node.input[0] == z
        c = self.one_a_column(place, self.constant(node, 1 if left else 0))
        if node.op_type == "Add":
            self.chain.scale(place, -c)
        elif node.op_type == "Sub":
            self.chain.scale(place, c, 1.0 if left else -1.0)
        elif node.op_type == "Div":
            _checks.expressible(place, left, "divides by its input", "export other operations")
            self.chain.scale(place, 0.0, c)
        else:
            with np.errstate(divide="ignore"):
                self.chain.scale(place, 0.0, 1 / c)

    def batch_normalization(self, node, place, z):
        """(z - mean) / sqrt(var + epsilon) * gamma + beta."""
        options = self.attributes(node)
        remedy = "export the network for inference"
        _checks.expressible(place, not options.get("training_mode"), "is in training", remedy)
        gamma, beta, mean, var = (self.constant(node, i) for i in range(1, 5))
        self.chain.normalize(place, mean, var + options.get("epsilon", 1e-5), gamma, beta)

    def activation(self, node, place, z):
        """An operator with attributes that is an activation."""
        name, options = _NAMES[node.op_type], self.attributes(node)
        alpha = None
        if name == "softmax":
            self.softmax_axis(node, place)
        elif name == "selu":
            given = options.get("gamma", _SELU[0]), options.get("alpha", _SELU[1])
            problem = f"has gamma and alpha {given}"
            _checks.expressible(
                place, np.allclose(given, _SELU, rtol=1e-6), problem, "export the usual selu"
            )
        elif name == "gelu":
            form = options.get("approximate", b"none").decode()
            problem = f"is approximated by {form}, but fastnn has the exact form"
            _checks.expressible(place, form == "none", problem, "export that")
        elif name == "silu":
            alpha = options.get("alpha", 1.0)
            problem = f"has alpha={alpha:g}, but fastnn's silu 1"
            _checks.expressible(place, alpha == 1.0, problem, "export that")
            alpha = None
        elif "alpha" in options:
            alpha = _short(options["alpha"])
        self.chain.activate(place, _checks.built(place, Activation, name, alpha))

    def log_softmax(self, node, place, z):
        """Logarithms of a softmax."""
        self.softmax_axis(node, place)
        self.chain.log_softmax(place)

    def softmax_axis(self, node, place):
        """Check that a softmax is over the columns."""
        axis = self.attributes(node).get("axis", -1 if self.opset >= 13 else 1)
        problem = f"is along axis {axis}"
        _checks.expressible(place, axis in (1, -1), problem, "export it along axis 1")

    def dropout(self, node, place, z):
        """Nothing, in predictions."""
        ratio, training = self.attributes(node).get("ratio", 0.5), False
        if self.opset >= 12:
            given, training = self.constant(node, 1), self.constant(node, 2)
            ratio = 0.5 if given is None else np.ravel(given)[0]
        _checks.expressible(
            place, not np.any(training), "is in training", "export the network for inference"
        )
        self.chain.drop(place, _short(ratio))

    def nothing(self, node, place, z):
        """Identity, on rows."""
        options, whole = self.attributes(node), True
        if node.op_type == "Flatten":
            whole = options.get("axis", 1) == 1
        elif node.op_type == "Reshape":
            whole = self.constant(node, 1).size == 2
        elif node.op_type == "Cast":
            names = self.onnx.TensorProto.DataType.Name
            whole = names(options["to"]) in ("FLOAT", "DOUBLE")
        _checks.expressible(
            place, whole, "makes other things than rows of numbers",
            "fastnn networks take and make rows of numbers",
        )  # fmt: skip


def _place(node):
    """Return a node as messages name it."""
    return f"node {node.name or node.output[0]!r} ({node.op_type})"


def _op(node):
    """Return the name of an operator: a bare one if it is ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _short(value):
    """Return a number that was rounded to float32 as it was written: 0.2, not 0.20000000298."""
    nearest = np.float32(value)
    return (
        float(str(nearest)) if abs(float(nearest) - value) <= 1e-12 * abs(value) else float(value)
    )


#: Activations with attributes; the others are recognized by their values, alone or in a run.
_NAMES = {
    "Elu": "elu",
    "Gelu": "gelu",
    "LeakyRelu": "leaky_relu",
    "Selu": "selu",
    "Softmax": "softmax",
    "Swish": "silu",
}

_READERS = {
    "Gemm": _Reader.gemm,
    "MatMul": _Reader.matmul,
    "BatchNormalization": _Reader.batch_normalization,
    "Dropout": _Reader.dropout,
    "LogSoftmax": _Reader.log_softmax,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _Reader.arithmetic),
    **dict.fromkeys(_NAMES, _Reader.activation),
    **dict.fromkeys(("Identity", "Cast", "Flatten", "Reshape"), _Reader.nothing),
}

# ---- activations by their values -----------------------------------------------------------------

#: Where a composition is compared with an activation; the first tells its parameter.
_PROBES = np.array([-1.0, *np.linspace(-8.0, 8.0, 81)])

_ELEMENTWISE = {
    "Abs": np.abs,
    "Add": np.add,
    "Cast": np.asarray,
    "Div": np.divide,
    "Erf": np.vectorize(math.erf),
    "Exp": np.exp,
    "Identity": np.asarray,
    "Log": np.log,
    "Max": lambda *z: np.max(np.broadcast_arrays(*z), axis=0),
    "Min": lambda *z: np.min(np.broadcast_arrays(*z), axis=0),
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Relu": lambda z: np.maximum(z, 0),
    "Sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "Softplus": lambda z: np.logaddexp(z, 0),
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Tanh": np.tanh,
}


def _recognized(values):
    """Return the activation that has these values at the probes, or None."""
    alphas = {"leaky_relu": -values[0], "elu": values[0] / math.expm1(-1.0)}
    for name in activations.NAMES:
        alpha = alphas.get(name)
        if name in ("identity", "softmax") or (alpha is not None and not 0 <= alpha < 1e30):
            continue
        activation = Activation(name, None if alpha is None else _short(alpha))
        _, expected = kernels.forward(_PROBES[:, None], np.eye(1), activation=activation)
        if np.allclose(values, expected.ravel(), rtol=1e-5, atol=1e-6):
            return activation
    return None
