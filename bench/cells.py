"""The cells of the benches: which nets, batches and optimizers are timed, on which data.

Not here: timing (bench_*.py) and tables (conftest.py).
"""

import itertools
from dataclasses import dataclass

import numpy as np

from fastnn import MLP, Dense, reference
from fastnn.optimizers import Optimizer


@dataclass(frozen=True)
class Cell:
    """One net trained in one way: `steps` updates a round of `batch` rows each."""

    sizes: tuple[int, ...]
    activation: str
    output: str
    loss: str
    batch: int
    optimizer: str | Optimizer
    steps: int

    def __str__(self):
        net = "-".join(map(str, self.sizes))
        return f"{net} {self.activation}, batch {self.batch}, {self.optimizer}"

    @property
    def rows(self):
        """Rows in an epoch."""
        return self.batch * self.steps

    @property
    def flops(self):
        """Floating-point operations of one update's matrix products (no delta of the input)."""
        pairs = list(itertools.pairwise(self.sizes))
        return self.batch * (6 * sum(k * n for k, n in pairs) - 2 * pairs[0][0] * pairs[0][1])

    def network(self, dtype="float32", n_threads=1):
        """Return the network, always with the same initial weights."""
        *hidden, last = self.sizes[1:]
        layers = [*(Dense(n, self.activation) for n in hidden), Dense(last, self.output)]
        return MLP(
            self.sizes[0],
            layers,
            loss=self.loss,
            optimizer=self.optimizer,
            dtype=dtype,
            seed=0,
            n_threads=n_threads,
        )

    def data(self):
        """Return X (rows, n_in) in float32 and targets that a net can learn."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        n_out = self.sizes[-1]
        signal = X @ rng.standard_normal((self.sizes[0], n_out), dtype=np.float32)
        if self.loss == "cross_entropy":
            return X, signal.argmax(axis=1)
        return X, 0.5 + 0.5 * np.tanh(signal / np.sqrt(self.sizes[0]))


SQUARED, CROSS = "squared_error", "cross_entropy"

CELLS = [
    Cell((2, 3, 1), "sigmoid", "sigmoid", SQUARED, 1, "sgd", 2000),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 1, "sgd", 1000),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 1, "adam", 1000),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 32, "adam", 500),
    Cell((16, 64, 64, 1), "tanh", "identity", SQUARED, 256, "adam", 200),
    Cell((64, 128, 10), "relu", "softmax", CROSS, 32, "adam", 500),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 32, "adam", 100),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 128, "adam", 50),
    Cell((784, 256, 128, 10), "relu", "softmax", CROSS, 1024, "adam", 10),
    Cell((784, 1024, 1024, 10), "relu", "softmax", CROSS, 256, "adam", 10),
    Cell((1024, 4096, 1024), "relu", "identity", SQUARED, 256, "adam", 4),
]


def disagreement(cell, dtype, steps):
    """Return how far the weights are from the float64 reference's after `steps` updates."""
    net = cell.network(dtype)
    twin = reference.Network.like(cell.network("float64"))
    for ours, start in zip(twin.get_weights(), net.get_weights(), strict=True):
        ours[...] = start  # the same weights to the last bit, float32's
    X, y = (array[: steps * cell.batch] for array in cell.data())
    net.fit(X, y, batch_size=cell.batch, shuffle=False)
    twin.fit_epoch(X.astype(np.float64), y, np.arange(len(X)), cell.batch)
    return distance(net.get_weights(), twin.get_weights())


def distance(weights, truth):
    """Return ``|w - w_ref| / |w_ref|`` over all weights and biases, in Euclidean norms."""
    pairs = list(zip(weights, truth, strict=True))
    off = sum(float(((w - ref) ** 2).sum()) for w, ref in pairs)
    return (off / sum(float((ref**2).sum()) for _, ref in pairs)) ** 0.5
