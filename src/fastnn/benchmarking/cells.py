"""The cells of the benchmarks: networks, batches and optimizers to time, and their data.

Every cell has `steps`, the number of operations in a round; `batch`, the rows of an operation;
`flops`, the floating-point operations of its matrix products; and `truths`, the correct results
after certain numbers of operations. Not here: timing and comparison (protocol.py and the scripts in
bench/), tables (tables.py).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from fastnn import MLP, SGD, Dense, reference
from fastnn.benchmarking import real_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    Truths: TypeAlias = dict[int, list[NDArray[Any]]]  # correct results by number of operations

SQUARED, CROSS = "squared_error", "cross_entropy"


@dataclass(frozen=True)
class Cell:
    """A network and its training: `steps` updates per round of `batch` rows each.

    The optimizer is "sgd", "momentum" (0.9) or "adam", with fastnn's defaults.
    """

    sizes: tuple[int, ...]
    activation: str
    output: str
    loss: str
    batch: int
    optimizer: str
    steps: int

    def __str__(self) -> str:
        net = "-".join(map(str, self.sizes))
        return f"{net} {self.activation}, batch {self.batch}, {self.optimizer}"

    @property
    def rows(self) -> int:
        """Rows in an epoch."""
        return self.batch * self.steps

    @property
    def flops(self) -> int:
        """Floating-point operations of one update's matrix products (no delta of the input)."""
        pairs = list(itertools.pairwise(self.sizes))
        return self.batch * (6 * sum(k * n for k, n in pairs) - 2 * pairs[0][0] * pairs[0][1])

    def network(self, dtype: DTypeLike = "float32", n_threads: int = 1) -> MLP:
        """Return the network, always with the same initial weights."""
        *hidden, last = self.sizes[1:]
        layers = [*(Dense(n, self.activation) for n in hidden), Dense(last, self.output)]
        return MLP(
            self.sizes[0],
            layers,
            loss=self.loss,
            optimizer=SGD(momentum=0.9) if self.optimizer == "momentum" else self.optimizer,
            dtype=dtype,
            seed=0,
            n_threads=n_threads,
        )

    def data(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return X (rows, n_in) in float32 and targets that a network can learn."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        n_out = self.sizes[-1]
        signal = X @ rng.standard_normal((self.sizes[0], n_out), dtype=np.float32)
        if self.loss == "cross_entropy":
            return X, signal.argmax(axis=1)
        return X, 0.5 + 0.5 * np.tanh(signal / np.sqrt(self.sizes[0]))

    def tolerance(self, dtype: str) -> float:
        """Return the largest relative distance from the truth that counts as correct."""
        return {"float32": 1e-4, "float64": 1e-10}[dtype]

    def truths(self, dtype: str) -> Truths:
        """Return the float64 reference's weights after 1 step and after up to 100."""
        found = {}
        for steps in sorted({1, min(100, self.steps)}):
            twin = reference.Network.like(self.network("float64"))
            twin.set_weights([w.astype(np.float64) for w in self.network(dtype).get_weights()])
            X, y = (array[: steps * self.batch] for array in self.data())
            y = y if self.loss == CROSS else y.astype(np.float64)
            twin.fit_epoch(X.astype(np.float64), y, np.arange(len(X)), self.batch)
            found[steps] = twin.get_weights()
        return found


@dataclass(frozen=True)
class RealCell(Cell):
    """The same with rows of MNIST, repeated as often as needed."""

    def __str__(self) -> str:
        return f"{super().__str__()}, MNIST"

    def data(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return X (rows, 784) in float32 and labels."""
        X, labels = real_rows.mnist()
        used = np.resize(np.random.default_rng(0).permutation(len(X)), self.rows)
        return X[used].astype(np.float32), labels[used]


@dataclass(frozen=True)
class Prediction:
    """Predictions of a network for `batch` rows, `steps` calls per round."""

    sizes: tuple[int, ...]
    activation: str
    output: str
    batch: int
    steps: int
    optimizer: ClassVar[None] = None

    def __str__(self) -> str:
        net = "-".join(map(str, self.sizes))
        return f"{net} {self.activation}, {self.batch} row{'s' if self.batch > 1 else ''}"

    @property
    def loss(self) -> str:
        """The loss of the network, which does not affect predictions."""
        return CROSS if self.output == "softmax" else SQUARED

    @property
    def flops(self) -> int:
        """Floating-point operations of a call's matrix products."""
        return 2 * self.batch * sum(k * n for k, n in itertools.pairwise(self.sizes))

    def network(self, dtype: DTypeLike = "float32", n_threads: int = 1) -> MLP:
        """Return the network, always with the same weights."""
        training = Cell(self.sizes, self.activation, self.output, self.loss, 1, "sgd", 1)
        return training.network(dtype, n_threads)

    def data(self) -> NDArray[Any]:
        """Return X (batch, n_in) in float32."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((self.batch, self.sizes[0]), dtype=np.float32)

    def tolerance(self, dtype: str) -> float:
        """Return the largest relative distance from the truth that counts as correct."""
        return {"float32": 1e-5, "float64": 1e-12}[dtype]

    def truths(self, dtype: str) -> Truths:
        """Return the float64 reference's outputs."""
        twin = reference.Network.like(self.network("float64"))
        twin.set_weights([w.astype(np.float64) for w in self.network(dtype).get_weights()])
        return {1: [twin.predict(self.data().astype(np.float64))]}


CELLS = [
    Cell((2, 3, 1), "sigmoid", "sigmoid", SQUARED, 1, "sgd", 2000),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 1, "sgd", 1000),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 1, "adam", 1000),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 32, "sgd", 500),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 32, "momentum", 500),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 32, "adam", 500),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 256, "adam", 200),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 4096, "adam", 20),
    Cell((64, 128, 10), "relu", "softmax", CROSS, 32, "adam", 500),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 32, "adam", 100),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 128, "sgd", 50),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 128, "momentum", 50),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 128, "adam", 50),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 1024, "adam", 10),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 4096, "adam", 4),
    Cell((784, 1024, 1024, 10), "relu", "softmax", CROSS, 256, "adam", 10),
    Cell((1024, 4096, 1024), "relu", "identity", SQUARED, 256, "adam", 4),
]

# Real rows, and random rows without zeros for comparison.
REAL = [
    kind(**vars(cell))
    for cell in CELLS
    if (cell.sizes[0], cell.optimizer) == (784, "adam") and cell.batch in (32, 128, 1024)
    for kind in (RealCell, Cell)
]

# One Python call per step, for the cells where the cost of a call is noticeable.
CALLS = [cell for cell in CELLS if cell.batch <= (256 if cell.sizes[0] < 784 else 128)]

PREDICTIONS = [
    *(Prediction((16, 64, 64, 1), "tanh", "identity", n, k) for n, k in [(1, 1000), (32, 500)]),
    Prediction((16, 64, 64, 1), "tanh", "identity", 4096, 20),
    *(Prediction((784, 256, 128, 10), "relu", "softmax", n, k) for n, k in [(1, 500), (32, 100)]),
    Prediction((784, 256, 128, 10), "relu", "softmax", 4096, 4),
]

CELLS_OF: dict[str, Sequence[Cell | Prediction]] = {
    "epochs": CELLS,
    "real": REAL,
    "calls": CALLS,
    "predict": PREDICTIONS,
}

# The cells of `fastnn bench`: from networks that fit in registers to those that use a core fully,
# and two cells with one call per step.
TELLING = [
    ("epochs", "2-3-1 sigmoid, batch 1, sgd"),
    ("epochs", "16-64-64-1 tanh, batch 32, adam"),
    ("epochs", "64-128-10 relu, batch 32, adam"),
    ("epochs", "784-256-128-10 relu, batch 128, adam"),
    ("epochs", "784-1024-1024-10 relu, batch 256, adam"),
    ("calls", "16-64-64-1 tanh, batch 1, sgd"),
    ("predict", "16-64-64-1 tanh, 1 row"),
]


def telling() -> list[tuple[str, Cell | Prediction]]:
    """Return (regime, cell) for each of TELLING."""
    return [(r, next(c for c in CELLS_OF[r] if str(c) == name)) for r, name in TELLING]


def disagreement(cell: Cell, dtype: str) -> float:
    """Return the largest relative distance of fastnn's weights from those of the reference."""
    errors = []
    for steps, truth in cell.truths(dtype).items():
        net, (X, y) = cell.network(dtype), (array[: steps * cell.batch] for array in cell.data())
        net.fit(X, y, batch_size=cell.batch, shuffle=False)
        errors.append(distance(net.get_weights(), truth))
    return max(errors)


def distance(weights: Sequence[NDArray[Any]], truth: Sequence[NDArray[Any]]) -> float:
    """Return ``|w - w_ref| / |w_ref|`` over all weights and biases, in Euclidean norms."""
    pairs = list(zip(weights, truth, strict=True))
    off = sum(float(((w - ref) ** 2).sum()) for w, ref in pairs)
    return float((off / sum(float((ref**2).sum()) for _, ref in pairs)) ** 0.5)
