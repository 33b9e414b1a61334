"""What every contender of a comparison is: one library on one cell.

Not here: any library (contenders.py, jax_peer.py, torch_peer.py, predictors.py).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.benchmarking.cells import Cell, Prediction


class Contender:
    """One library on one cell: `reset()` it, `run(steps)` operations, look at its `answer()`.

    A peer that raises is left out and shown as failed, for compilers don't work everywhere.
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
        """Bring weights and optimizer back to the start, without compiling anew."""

    def run(self, steps: int) -> None:
        """Do that many operations, and wait for their results."""
        raise NotImplementedError

    def answer(self) -> list[NDArray[Any]]:
        """Return the arrays that must agree with the reference's."""
        raise NotImplementedError


class TrainingContender(Contender):
    """One that trains: `X`, `y` and `start`, the weights, are the same for all."""

    cell: Cell

    def __init__(self, cell: Cell, dtype: str, threads: int) -> None:
        super().__init__(cell, dtype, threads)
        X, y = cell.data()
        self.X = X.astype(dtype)
        self.y = y if cell.loss == "cross_entropy" else y.astype(dtype)
        self.start = cell.network(dtype).get_weights()

    def part(self, steps: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return X and y of the first steps."""
        n = steps * self.cell.batch
        return self.X[:n], self.y[:n]

    def cut(self, X: Any, y: Any) -> list[tuple[Any, Any]]:
        """Return the batches of an epoch in turn."""
        n = self.cell.batch
        return [(X[at : at + n], y[at : at + n]) for at in range(0, len(X), n)]

    @cached_property
    def batches(self) -> list[tuple[Any, Any]]:
        """The batches as the library likes them: NumPy's arrays."""
        return self.cut(self.X, self.y)
