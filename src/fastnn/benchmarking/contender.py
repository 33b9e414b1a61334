"""Contenders: the common interface of the libraries in a comparison, for one cell.

Not here: the libraries (contenders.py, jax_peer.py, torch_peer.py, predictors.py).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.benchmarking.cells import Cell, Prediction


class Contender:
    """One library on one cell: `reset()` it, `run(steps)` operations, compare its `answer()`.

    A peer that raises an error is shown as failed, since compilers do not work everywhere.
    """

    name: str
    cell: Any

    def __init__(self, cell: Cell | Prediction, dtype: str, threads: int) -> None:
        self.cell, self.dtype, self.threads = cell, np.dtype(dtype), threads

    @classmethod
    def fits(cls, cell: Cell | Prediction) -> bool:
        """Return whether the library can express the cell."""
        return True

    def reset(self) -> None:
        """Set weights and optimizer to their initial values, without compiling again."""

    def run(self, steps: int) -> None:
        """Perform this many operations, and wait for their results."""
        raise NotImplementedError

    def answer(self) -> list[NDArray[Any]]:
        """Return the arrays to compare with the reference."""
        raise NotImplementedError


class TrainingContender(Contender):
    """A contender in training: `X`, `y` and the initial weights `start` are the same for all."""

    cell: Cell

    def __init__(self, cell: Cell, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        X, y = cell.data()
        self.X = X.astype(dtype)
        self.y = y if cell.loss == "cross_entropy" else y.astype(dtype)
        self.start = cell.network(dtype).get_weights()

    def part(self, steps: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return X and y of the first `steps` steps."""
        n = steps * self.cell.batch
        return self.X[:n], self.y[:n]

    def cut(self, X: Any, y: Any) -> list[tuple[Any, Any]]:
        """Return the batches of an epoch in order."""
        n = self.cell.batch
        return [(X[at : at + n], y[at : at + n]) for at in range(0, len(X), n)]

    @cached_property
    def batches(self) -> list[tuple[Any, Any]]:
        """The batches as arrays of the library, by default NumPy's."""
        return self.cut(self.X, self.y)
