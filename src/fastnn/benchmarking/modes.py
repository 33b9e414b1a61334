"""Rows with zeros, sparse rows and bfloat16 compared with other rows: a table of `fastnn bench`.

Each mode trains the same network as its base mode, and shows how many times as fast it is. A mode
shows no time if its result is wrong: arrays in float32 must give the weights of the float64
reference, CSR rows the same bits as these rows in an array, and bfloat16 a loss within 5 % of that
in float32. Not here: other libraries (protocol.py and the scripts in bench/).
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import MLP, Dense, SparseRows, reference
from fastnn.benchmarking.cells import distance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BATCH, STEPS = 128, 8


@dataclass(frozen=True)
class Mode:
    """A kind of rows and a precision.

    A fraction `density` of the `n_in` inputs is nonzero; `base` is the name of the mode that this
    one is compared with, None for a base itself.
    """

    name: str
    base: str | None = None
    n_in: int = 784
    density: float = 1.0
    dtype: str = "float32"
    is_csr: bool = False

    def __str__(self) -> str:
        return f"fit: {self.n_in}-256-128-10 relu, batch {BATCH}, adam, {self.name}"

    def network(self, n_threads: int, dtype: str | None = None) -> MLP:
        """Return the network, always with the same initial weights; `dtype` replaces the mode's."""
        layers = [Dense(256, "relu"), Dense(128, "relu"), Dense(10, "softmax")]
        options: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "adam", "seed": 0}
        return MLP(self.n_in, layers, dtype=dtype or self.dtype, n_threads=n_threads, **options)

    def error(self) -> float:
        """Return the distance of the weights after one step from those of the float64 reference."""
        net, twin = self.network(1), reference.Network.like(self.network(1, "float64"))
        twin.set_weights([w.astype(np.float64) for w in net.get_weights()])
        X, y = (array[:BATCH] for array in self.arrays())
        net.fit(X, y, batch_size=BATCH, shuffle=False)
        twin.fit_epoch(X.astype(np.float64), y, np.arange(BATCH), BATCH)
        return distance(net.get_weights(), twin.get_weights())

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return X (rows, n_in) with its zeros, and labels that a network can learn."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((BATCH * STEPS, self.n_in), dtype=np.float32)
        X[rng.random(X.shape, dtype=np.float32) >= self.density] = 0
        labels = (X @ rng.standard_normal((self.n_in, 10), dtype=np.float32)).argmax(axis=1)
        return X, labels


def csr(X: NDArray[np.float32]) -> SparseRows:
    """Return the rows of an array as sparse rows."""
    places = X != 0
    starts = np.concatenate([[0], np.cumsum(places.sum(axis=1))])
    return SparseRows(X[places], np.nonzero(places)[1].astype(np.int32), starts, X.shape)


MODES = [
    Mode("array without zeros"),
    Mode("array with 80 % zeros", "array without zeros", density=0.2),
    Mode("mixed_bfloat16", "array without zeros", dtype="mixed_bfloat16"),
    Mode("array with 99 % zeros", n_in=4096, density=0.01),
    Mode("CSR with 99 % zeros", "array with 99 % zeros", n_in=4096, density=0.01, is_csr=True),
]


class Run:
    """A mode's network in training: its times, and its loss and weights after the first epoch."""

    def __init__(self, mode: Mode, threads: int) -> None:
        self.mode, self.times = mode, list[float]()
        self.net, (X, self.labels) = mode.network(threads), mode.arrays()
        self.rows = csr(X) if mode.is_csr else X
        self.loss = self._epoch()
        self.weights = b"".join(w.tobytes() for w in self.net.get_weights())

    def _epoch(self) -> float:
        found = self.net.fit(self.rows, self.labels, batch_size=BATCH, shuffle=False)
        return float(found.history["loss"][-1])

    def round(self, seconds: float) -> None:
        """Train for at least this long, and store the time per step."""
        began, epochs = time.perf_counter(), 0
        while epochs == 0 or time.perf_counter() - began < seconds:
            self._epoch()
            epochs += 1
        self.times.append((time.perf_counter() - began) / (epochs * STEPS))

    def agrees(self, base: Run) -> bool:
        """Whether the result is correct: the first step, or the first epoch against the base's."""
        if self.mode.is_csr:
            return self.weights == base.weights
        if self.mode.dtype != base.mode.dtype:
            return abs(self.loss / base.loss - 1) < 0.05
        return self.mode.error() < 1e-4


def measure(
    modes: Sequence[Mode], threads: int, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Return {"mode", "base", "median_us", "times_as_fast"} of each mode; rounds are interleaved.

    The bases must be among the modes. A mode with a wrong result has no "median_us".
    """
    runs = {mode.name: Run(mode, threads) for mode in modes}
    for _ in range(rounds):
        for run in runs.values():
            run.round(seconds)
    records = []
    for run in runs.values():
        base = runs[run.mode.base or run.mode.name]
        record: dict[str, Any] = {"mode": str(run.mode), "base": run.mode.base}
        if run.agrees(base):
            ratios = [theirs / ours for theirs, ours in zip(base.times, run.times, strict=True)]
            record["median_us"] = statistics.median(run.times) * 1e6
            record["times_as_fast"] = statistics.median(ratios)
        records.append(record)
    return records


def chosen(only: str, dtype: str) -> list[Mode]:
    """Return the modes of a precision whose label contains a text, and their bases."""
    if dtype != "float32":
        return []
    found = {name for mode in MODES if only in str(mode) for name in (mode.name, mode.base)}
    return [mode for mode in MODES if mode.name in found]
