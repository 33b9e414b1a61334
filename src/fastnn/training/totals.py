"""Totals of an epoch: the sum of the losses of its blocks, and outputs for the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn._kernels_f32 import Tally
    from fastnn.metrics import Resolved
    from fastnn.training.rows import Block
    from fastnn.training.state import State

    #: Targets, outputs, and weights or None.
    Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]


def _copies(arrays: Arrays) -> Arrays:
    """Return copies for a user's metric, which may change its arrays; metrics after it use them."""
    y, out, weights = arrays
    return y.copy(), out.copy(), None if weights is None else weights.copy()


class Totals:
    """The loss and the number of rows so far; with metrics also targets, outputs and weights."""

    def __init__(self, metrics: Mapping[str, Resolved], state: State) -> None:
        self.metrics = metrics
        self.tally: Tally = state.network.tally()
        self.rows = self.batches = 0
        self._shape = state.specification.n_out, state.specification.dtype
        self._kept: list[Arrays] = []

    def add(self, tally: Tally) -> None:
        """Add the tally of a batch."""
        self.tally.loss += tally.loss
        self.tally.total += tally.total
        self.tally.failure, self.tally.overflowed = tally.failure, tally.overflowed
        self.batches += 1

    def empty_outputs(self, n: int) -> NDArray[Any] | None:
        """Return an array for the outputs of n rows, or None if there are no metrics."""
        n_out, dtype = self._shape
        return np.empty((n, n_out), dtype) if self.metrics else None

    def keep_for_metrics(self, block: Block, out: NDArray[Any] | None, done: int) -> None:
        """Keep targets, outputs and weights of the first `done` rows, for the metrics."""
        if out is not None and done:
            y, weights = block.for_metrics()
            some = None if weights is None else weights[:done]
            self._kept.append((y[:done], out[:done], some))

    def logs(self, penalties: float = 0.0) -> dict[str, float]:
        """Return the loss, including `penalties`, and the metrics by name."""
        logs = {"loss": self.tally.value + penalties}
        if self.metrics:
            arrays = self._concatenated()
            last = list(self.metrics)[-1]
            for name, metric in self.metrics.items():
                is_shared = metric.kernel is None and name != last
                logs[name] = metric(*(_copies(arrays) if is_shared else arrays))
        return logs

    def _concatenated(self) -> Arrays:
        """Concatenate targets, outputs and weights; some batches may have labels, some one-hot."""
        y, out, weights = (list(arrays) for arrays in zip(*self._kept, strict=True))
        if len({t.ndim for t in y}) > 1:  # labels become one-hot rows, too
            one_hot = np.eye(out[0].shape[1], dtype=out[0].dtype)
            y = [one_hot[t] if t.ndim == 1 else t for t in y]
        if all(w is None for w in weights):
            return np.concatenate(y), np.concatenate(out), None
        pairs = zip(weights, out, strict=True)
        weights = [np.ones(len(o), o.dtype) if w is None else w for w, o in pairs]
        if len({w.ndim for w in weights}) > 1:  # weights of rows become weights of each output
            pairs = zip(weights, out, strict=True)
            weights = [np.broadcast_to(w.reshape(len(o), -1), o.shape) for w, o in pairs]
        return np.concatenate(y), np.concatenate(out), np.concatenate(weights)
