"""A compiled network whose loss is a user's function, which is called once for each batch.

In the kernels the network has the linear loss, whose targets are gradients of the outputs. A step
computes the outputs of its batch in training mode, calls the function, and makes the kernels' step
with the gradients that the function returned. Not here: checks of what the function returns
(_checks/custom_losses.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._kernels_f32 import CHUNK_ROWS
from fastnn._precision import KERNELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastnn._kernels_f32 import Network, Tally
    from fastnn.sparse_rows import SparseRows
else:
    Network = object


def _targets(T: NDArray[Any] | None, labels: NDArray[np.int64] | None) -> NDArray[Any]:
    """Return the labels (n,) if there are any, otherwise the targets T (n, n_out)."""
    y = T if labels is None else labels
    assert y is not None
    return y


class _CustomLossNetwork(Network):
    """The methods of a compiled `Network` that depend on the loss."""

    def __init__(
        self,
        n_in: int,
        stages: list[dict[str, Any]],
        *,
        function: Callable[..., Any],
        mean: bool,
        **rest: Any,
    ) -> None:
        self._function, self._is_mean = function, mean
        self._has_dropout = any(stage["kind"] == "dropout" for stage in stages)

    # ---- the function ---------------------------------------------------------------------------

    def _losses_and_gradients(
        self, y: NDArray[Any], outputs: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return the rows' losses (n,) and the gradients of their outputs (n, n_out)."""
        y = y.view()
        y.flags.writeable = False  # it may be the user's array
        return _checks.loss_result(self._function(y, outputs), outputs.shape, outputs.dtype)

    def _outputs(
        self,
        X: NDArray[Any] | SparseRows,
        n_threads: int,
        training: bool,
        averages: bool = False,
    ) -> NDArray[Any]:
        """Return the outputs (n, n_out) of a batch; if `training`, with the next step's dropout."""
        outputs = np.empty((len(X), self.n_out), X.dtype)
        super().predict(X, outputs, n_threads, training and self._has_dropout, averages)
        return outputs

    def _batch_loss(self, losses: NDArray[np.float64], weights: Any) -> tuple[float, float]:
        """Return the loss of a batch, without penalties, and the sum of its weights."""
        weight = float(len(losses))
        if weights is not None:
            weight, losses = float(np.abs(weights).sum(dtype=np.float64)), losses * weights
        loss = float(losses.sum())
        if self._is_mean:
            loss = loss / weight if weight > 0 else 0.0
        return loss, weight

    # ---- training -------------------------------------------------------------------------------

    def train(
        self,
        X: NDArray[Any] | SparseRows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        order: NDArray[np.int64] | None,
        batch: int,
        n_threads: int,
        tally: Tally,
        first: int,
        stop: int,
        out: NDArray[Any] | None = None,
    ) -> None:
        """Make steps as `Network.train` does."""
        arrays = X, T, labels, sample_weight, order
        self.run_exclusively(self._train, *arrays, batch, n_threads, tally, first, stop, out)

    def _train(
        self,
        X: NDArray[Any] | SparseRows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        order: NDArray[np.int64] | None,
        batch: int,
        n_threads: int,
        tally: Tally,
        first: int,
        stop: int,
        out: NDArray[Any] | None,
    ) -> None:
        """Make these steps, between which no other thread may make steps (run_exclusively)."""
        y = _targets(T, labels)
        for at in range(first, stop, batch):
            positions = slice(at, min(at + batch, stop))
            rows = positions if order is None else order[positions]
            inputs, weights = X[rows], None if sample_weight is None else sample_weight[rows]
            outputs = self._outputs(inputs, n_threads, training=True, averages=self.averages)
            if out is not None:
                out[positions] = outputs
            self._step(inputs, y[rows], weights, outputs, n_threads, tally)
            if tally.failure is not None:
                return

    def _step(
        self,
        X: NDArray[Any] | SparseRows,
        y: NDArray[Any],
        weights: NDArray[Any] | None,
        outputs: NDArray[Any],
        n_threads: int,
        tally: Tally,
    ) -> None:
        """Make the step of a batch and add its loss to the tally."""
        losses, gradients = self._losses_and_gradients(y, outputs)
        loss, weight = self._batch_loss(losses, weights)
        if not math.isfinite(loss):
            tally.failure = loss
            return
        loss += self.penalties(weight, self.averages)  # of the weights before the update
        kernels, n = self.tally(), len(X)
        super().train(X, gradients, None, weights, None, n, n_threads, kernels, 0, n)
        tally.failure, tally.overflowed = kernels.failure, kernels.overflowed
        if tally.failure is None:
            tally.loss += loss * (weight if self._is_mean else 1.0)
            tally.total += weight

    def try_fit(self, X: object, y: object, batch: int, epochs: int, generator: object) -> None:
        """Return None: every step goes through `train`."""

    def try_step(self, X: object, y: object) -> float | None:
        """Return None: every step goes through `train`."""

    # ---- losses and gradients -------------------------------------------------------------------

    def evaluate(
        self,
        X: NDArray[Any] | SparseRows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        n_threads: int,
        tally: Tally,
        out: NDArray[Any] | None = None,
        averages: bool = False,
    ) -> None:
        """Add the losses of rows to a tally as `Network.evaluate` does; all rows are one batch."""
        y = _targets(T, labels)
        outputs = self._outputs(X, n_threads, training=False, averages=averages)
        if out is not None:
            out[: len(X)] = outputs
        losses, _ = self._losses_and_gradients(y, outputs)
        weights = np.ones(len(X)) if sample_weight is None else sample_weight.astype(np.float64)
        for first in range(0, len(X), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            tally.loss += float((losses[rows] * weights[rows]).sum())
            tally.total += float(np.abs(weights[rows]).sum())

    def gradients(
        self,
        X: NDArray[Any] | SparseRows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        sample_weight: NDArray[Any] | None,
        dropout: bool,
        n_threads: int,
    ) -> tuple[float, NDArray[Any]]:
        """Return the loss of a batch and its gradient as `Network.gradients` does."""
        y = _targets(T, labels)
        losses, slopes = self._losses_and_gradients(y, self._outputs(X, n_threads, dropout))
        _, found = super().gradients(X, slopes, None, sample_weight, dropout, n_threads)
        loss, weight = self._batch_loss(losses, sample_weight)
        return loss + self.penalties(weight), found

    def row_gradients(
        self,
        X: NDArray[Any] | SparseRows,
        T: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        out: NDArray[Any],
        n_threads: int,
    ) -> None:
        """Write the gradient of each row's loss to `out`, as `Network.row_gradients` does."""
        y = _targets(T, labels)
        _, slopes = self._losses_and_gradients(y, self._outputs(X, n_threads, training=False))
        super().row_gradients(X, slopes, None, out, n_threads)


#: The class of such networks for each dtype.
KINDS: dict[np.dtype[Any], type[_CustomLossNetwork]] = {
    dtype: type("NetworkWithCustomLoss", (_CustomLossNetwork, kernels.Network), {})
    for dtype, kernels in KERNELS.items()
}
