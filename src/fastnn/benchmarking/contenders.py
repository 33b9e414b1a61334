"""The training contenders fastnn, NumPy and scikit-learn, and the list of all contenders.

Each contender uses its library in the fastest way. All start from the weights of `Cell.network`,
use the rows in the same order, average the loss over a batch and follow fastnn's formulas. In the
regimes "epochs" and "real" (real rows), a library may train a whole epoch in one call. In "calls",
every step is one call from Python that returns the loss, with arrays of the library's own type.

Not here: JAX (jax_peer.py), PyTorch (torch_peer.py), predictions (predictors.py), timing and
agreement (protocol.py), the cells (cells.py). Libraries are imported when a contender is created,
in a process that machine.py has pinned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _cpu, reference
from fastnn.benchmarking.contender import Contender, TrainingContender
from fastnn.benchmarking.jax_peer import Jax, JaxCalls
from fastnn.benchmarking.predictors import PREDICTION
from fastnn.benchmarking.torch_peer import Torch, TorchCompiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.benchmarking.cells import Cell, Prediction


class Fastnn(TrainingContender):
    """fastnn's `fit`."""

    name = "fastnn"

    def reset(self) -> None:
        """Build a new network."""
        self.net = self.cell.network(self.dtype, self.threads)

    def run(self, steps: int) -> None:
        """Train on the rows of this many steps."""
        X, y = self.part(steps)
        self.net.fit(X, y, batch_size=self.cell.batch, shuffle=False)

    def answer(self) -> list[NDArray[Any]]:
        """Return the weights."""
        return self.net.get_weights()


class FastnnAllProducts(Fastnn):
    """The same, but products with zeros are computed, too: FASTNN_ZEROS=0."""

    name = "fastnn, all products"

    def reset(self) -> None:
        """Build a new network."""
        before, _cpu.SKIP_ZEROS = _cpu.SKIP_ZEROS, False
        try:
            super().reset()
        finally:
            _cpu.SKIP_ZEROS = before


class FastnnCalls(Fastnn):
    """fastnn's `train_on_batch`."""

    def run(self, steps: int) -> None:
        """Train on this many batches, one call each."""
        step = self.net.train_on_batch
        for X, y in self.batches[:steps]:
            step(X, y)


class NumPy(TrainingContender):
    """The reference implementation, in NumPy with its BLAS."""

    name = "numpy"

    def reset(self) -> None:
        """Build a new network."""
        self.net = reference.Network.like(self.cell.network(self.dtype))

    def run(self, steps: int) -> None:
        """Train on the rows of this many steps."""
        X, y = self.part(steps)
        self.net.fit_epoch(X, y, np.arange(len(X)), self.cell.batch)

    def answer(self) -> list[NDArray[Any]]:
        """Return the weights."""
        return self.net.get_weights()


class NumPyCalls(NumPy):
    """The reference's `train_on_batch`."""

    def run(self, steps: int) -> None:
        """Train on this many batches, one call each."""
        step = self.net.train_on_batch
        for X, y in self.batches[:steps]:
            step(X, y)


class ScikitLearn(TrainingContender):
    """scikit-learn's MLPs, one `partial_fit` for the whole epoch."""

    name = "scikit-learn"

    @classmethod
    def fits(cls, cell: Cell | Prediction) -> bool:
        """Return whether scikit-learn's regressor or classifier can express the network."""
        return cell.loss == "cross_entropy" or cell.output == "identity"

    def __init__(self, cell: Cell, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        settings = {
            "hidden_layer_sizes": cell.sizes[1:-1],
            "activation": {"sigmoid": "logistic"}.get(cell.activation, cell.activation),
            "solver": "adam" if cell.optimizer == "adam" else "sgd",
            "alpha": 0.0,
            "batch_size": cell.batch,
            "learning_rate_init": 1e-3 if cell.optimizer == "adam" else 0.01,
            "momentum": 0.9 if cell.optimizer == "momentum" else 0.0,
            "nesterovs_momentum": False,
            # scikit-learn adds epsilon before the bias correction; this value equals fastnn's in
            # the first step.
            "epsilon": 1e-8 * (1 - 0.999) ** 0.5,
            "shuffle": False,
            "random_state": 0,
        }
        if cell.loss == "cross_entropy":
            self.net: Any = MLPClassifier(**settings)
            self.extra: dict[str, Any] = {"classes": np.arange(cell.sizes[-1])}
        else:
            self.net = MLPRegressor(**settings)
            self.extra = {}
            self.y = self.y[:, 0] if cell.sizes[-1] == 1 else self.y
        self.net.partial_fit(*self.part(1), **self.extra)  # the first call creates its arrays

    def reset(self) -> None:
        """Restore the initial weights, and clear the optimizer."""
        for mine, w in zip(self.answer(), self.start, strict=True):
            mine[...] = w
        optimizer = self.net._optimizer
        if self.cell.optimizer == "adam":
            optimizer.t = 0
            moments = (*optimizer.ms, *optimizer.vs)
        else:
            moments = optimizer.velocities
        for moment in moments:
            moment[...] = 0

    def run(self, steps: int) -> None:
        """Train on the rows of this many steps."""
        X, y = self.part(steps)
        self.net.partial_fit(X, y, **self.extra)

    def answer(self) -> list[NDArray[Any]]:
        """Return the weights."""
        pairs = zip(self.net.coefs_, self.net.intercepts_, strict=True)
        return [w for pair in pairs for w in pair]


class ScikitLearnCalls(ScikitLearn):
    """`partial_fit` on one batch."""

    def run(self, steps: int) -> None:
        """Train on this many batches, one call each."""
        step = self.net.partial_fit
        for X, y in self.batches[:steps]:
            step(X, y, **self.extra)


CONTENDERS: dict[str, Sequence[type[Contender]]] = {
    "epochs": [Fastnn, Jax, Torch, TorchCompiled, ScikitLearn, NumPy],
    "real": [Fastnn, FastnnAllProducts, Jax, Torch, TorchCompiled, NumPy],
    "calls": [FastnnCalls, JaxCalls, Torch, TorchCompiled, ScikitLearnCalls, NumPyCalls],
    "predict": PREDICTION,
}
