"""The contenders in prediction: outputs of a network in each library, with NumPy arrays in and out.

The result may be a NumPy view of the library's own array. `run` makes one call after another
without a pause. Not here: training (contenders.py).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import reference
from fastnn.benchmarking.contender import Contender

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.benchmarking.cells import Prediction


class Predictor(Contender):
    """A contender in prediction: `X` and `weights` are the same for all, `y` is the last result."""

    cell: Prediction
    y: Any

    def __init__(self, cell: Prediction, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        self.X = cell.data().astype(dtype)
        self.weights = cell.network(dtype).get_weights()
        self.layers = list(zip(self.weights[::2], self.weights[1::2], strict=True))

    def answer(self) -> list[NDArray[Any]]:
        """Return the outputs of the last call."""
        return [self.y]


class Fastnn(Predictor):
    """fastnn's `predict` into a preallocated array."""

    name = "fastnn"

    def __init__(self, cell: Prediction, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        self.net = cell.network(dtype, threads)
        self.y = np.empty((cell.batch, cell.sizes[-1]), dtype)

    def run(self, steps: int) -> None:
        """Predict this many times."""
        predict, X, out = self.net.predict, self.X, self.y
        for _ in range(steps):
            predict(X, out=out)


class OnnxRuntime(Predictor):
    """onnxruntime with all of its optimizations."""

    name = "onnxruntime"

    def __init__(self, cell: Prediction, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(
            self._model().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _model(self) -> Any:
        """Return the network as an ONNX model: Gemm and an activation for each layer."""
        import onnx
        from onnx import helper, numpy_helper

        operators = {"relu": "Relu", "tanh": "Tanh", "softmax": "Softmax", "identity": "Identity"}
        kinds = [self.cell.activation] * (len(self.layers) - 1) + [self.cell.output]
        nodes: list[Any] = []
        constants: list[Any] = []
        for i, ((W, b), kind) in enumerate(zip(self.layers, kinds, strict=True)):
            constants += [numpy_helper.from_array(w, f"{n}{i}") for w, n in ((W, "W"), (b, "b"))]
            nodes.append(helper.make_node("Gemm", [f"z{i}", f"W{i}", f"b{i}"], [f"a{i}"]))
            nodes.append(helper.make_node(operators[kind], [f"a{i}"], [f"z{i + 1}"]))
        real = helper.np_dtype_to_tensor_dtype(self.dtype)
        ends = [
            helper.make_tensor_value_info(name, real, [None, n])
            for name, n in (("z0", self.cell.sizes[0]), (f"z{len(kinds)}", self.cell.sizes[-1]))
        ]
        graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], constants)
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.checker.check_model(model)
        return model

    def run(self, steps: int) -> None:
        """Predict this many times."""
        predict, inputs = self.session.run, {"z0": self.X}
        for _ in range(steps):
            (self.y,) = predict(None, inputs)


class Jax(Predictor):
    """One jit with the weights as constants."""

    name = "jax"

    def __init__(self, cell: Prediction, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        import jax

        jax.config.update("jax_enable_x64", True)
        self.predict = jax.jit(self._predict)

    def _predict(self, z: Any) -> Any:
        import jax

        kinds = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}
        for W, b in self.layers[:-1]:
            z = kinds[self.cell.activation](z @ W + b)
        W, b = self.layers[-1]
        a = z @ W + b
        return jax.nn.softmax(a) if self.cell.output == "softmax" else a

    def run(self, steps: int) -> None:
        """Predict this many times."""
        predict, X = self.predict, self.X
        for _ in range(steps):
            self.y = np.asarray(predict(X))


class Torch(Predictor):
    """PyTorch, eager, in inference mode."""

    name = "torch"

    def __init__(self, cell: Prediction, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        import torch

        torch.set_num_threads(threads)
        kinds = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}
        modules: list[Any] = []
        for k, n in itertools.pairwise(cell.sizes):
            modules += [torch.nn.Linear(k, n), kinds[cell.activation]()]
        modules[-1:] = [torch.nn.Softmax(dim=1)] if cell.output == "softmax" else []
        self.net = torch.nn.Sequential(*modules).to(getattr(torch, self.dtype.name))
        with torch.no_grad():
            for p, w in zip(self.net.parameters(), self.weights, strict=True):
                p.copy_(torch.from_numpy(w.T if w.ndim == 2 else w))

    def run(self, steps: int) -> None:
        """Predict this many times."""
        import torch

        with torch.inference_mode():
            for _ in range(steps):
                self.y = self.net(torch.from_numpy(self.X)).numpy()


class ScikitLearn(Predictor):
    """scikit-learn's MLPs: `predict`, or `predict_proba` for classes."""

    name = "scikit-learn"

    def __init__(self, cell: Prediction, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        settings: dict[str, Any] = {
            "hidden_layer_sizes": cell.sizes[1:-1],
            "activation": cell.activation,
            "batch_size": 10,
        }
        X = self.X[np.arange(10) % len(self.X)]
        if cell.output == "softmax":
            classes = np.arange(cell.sizes[-1])
            net = MLPClassifier(**settings).partial_fit(X, classes, classes=classes)
            self.predict = net.predict_proba
        else:
            net = MLPRegressor(**settings).partial_fit(X, np.zeros(10, dtype))
            self.predict = net.predict
        net.coefs_, net.intercepts_ = self.weights[::2], self.weights[1::2]

    def run(self, steps: int) -> None:
        """Predict this many times."""
        predict, X = self.predict, self.X
        for _ in range(steps):
            self.y = predict(X)

    def answer(self) -> list[NDArray[Any]]:
        """Return the outputs of the last call as a matrix."""
        return [self.y.reshape(self.cell.batch, -1)]


class NumPy(Predictor):
    """Matrix products and activations in preallocated arrays."""

    name = "numpy"

    def __init__(self, cell: Prediction, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        self.z = [np.empty((cell.batch, n), dtype) for n in cell.sizes[1:]]
        self.y = self.z[-1]

    def run(self, steps: int) -> None:
        """Predict this many times."""
        tanh = self.cell.activation == "tanh"
        softmax = self.cell.output == "softmax"
        for _ in range(steps):
            z_prev = self.X
            for (W, b), z in zip(self.layers, self.z, strict=True):
                np.matmul(z_prev, W, out=z)
                z += b
                if z is not self.y:
                    np.tanh(z, out=z) if tanh else np.maximum(z, 0, out=z)
                z_prev = z
            if softmax:
                self.y[...] = reference.softmax(self.y)


PREDICTION = [Fastnn, OnnxRuntime, Jax, Torch, ScikitLearn, NumPy]
