"""Layers that replace columns of a row by vectors, and functions that make them from fastnn's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.reference.functions import ACTIVATIONS, through

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]


def replaced(z: Array, columns: list[int], vectors: list[Array]) -> Array:
    """Return rows (B, n) with some columns replaced by vectors (B, dim), the others copied."""
    of = dict(zip(columns, vectors, strict=True))
    return np.concatenate([of.get(i, z[:, i : i + 1]) for i in range(z.shape[1])], axis=1)


def taken_apart(g: Array, n: int, columns: list[int], dim: int) -> tuple[Array, list[Array]]:
    """Return the copied columns of g, at their places in (B, n), and the columns of each vector."""
    below = np.zeros((len(g), n), g.dtype)
    vectors, at = [], 0
    for i in range(n):
        width = dim if i in columns else 1
        part = g[:, at : at + width]
        if i in columns:
            vectors.append(part)
        else:
            below[:, i : i + 1] = part
        at += width
    return below, vectors


@dataclasses.dataclass
class Embedding:
    """z_k = W_k[x_k] for the columns k; the rows of W are those of the tables W_0, W_1, ..."""

    W: Array
    sizes: list[int] | int  # categories of each column
    columns: list[int] | None
    trainable: bool = True
    rate_multiplier: float = 1.0

    def arrays(self) -> list[Array]:
        """W, (sum of sizes, dim)."""
        return [self.W]

    def take(self, arrays: Iterator[Array]) -> None:
        """Take W from an iterator."""
        self.W = next(arrays)

    def forward(self, z: Array, drop: Any) -> Array:
        """Return z for z_prev."""
        columns = list(range(z.shape[1])) if self.columns is None else self.columns
        sizes = [self.sizes] * len(columns) if isinstance(self.sizes, int) else self.sizes
        first = np.cumsum([0, *sizes[:-1]])
        rows = [z[:, k].astype(int) + row for k, row in zip(columns, first, strict=True)]
        self.tape = z.shape[1], columns, rows
        return replaced(z, columns, [self.W[row] for row in rows])

    def backward(self, g: Array, penalty_scale: float = 1.0) -> tuple[Array, list[Array]]:
        """Return dE/dz_prev, 0 for categories, and [dW]: g summed over the rows of a category."""
        n, columns, rows = self.tape
        below, vectors = taken_apart(g, n, columns, self.W.shape[1])
        dW = np.zeros_like(self.W)
        for row, vector in zip(rows, vectors, strict=True):
            np.add.at(dW, row, vector)
        return below, [dW]

    def penalty(self) -> float:
        """Return 0: there is no penalty."""
        return 0.0


@dataclasses.dataclass
class NumericEmbedding:
    """z_k = h(e(x_k) @ W_k + b_k) for the columns k, e an encoding (Gorishniy et al. 2022).

    With `bins`, e(x) has one number for each bin; with `frequencies` C (columns, n), it has the
    sines and then the cosines of 2 pi C_k x. The rows of W are those of W_0, W_1, ...; b is
    (columns, dim).
    """

    W: Array
    b: Array
    columns: list[int] | None
    bins: list[Any] | None
    frequencies: Array | None
    activation: str
    alpha: float
    trainable: bool = True
    rate_multiplier: float = 1.0

    def arrays(self) -> list[Array]:
        """The frequencies, if there are any, W and b."""
        first = [] if self.frequencies is None else [self.frequencies]
        return [*first, self.W, self.b]

    @property
    def n_layers(self) -> int:
        """The number of fastnn's pieces with parameters that it corresponds to."""
        return len(self.arrays()) - 1

    @property
    def decayed(self) -> tuple[Array, ...]:
        """The array that decays."""
        return (self.W,)

    def take(self, arrays: Iterator[Array]) -> None:
        """Take arrays in the same order from an iterator."""
        self.frequencies = None if self.frequencies is None else next(arrays)
        self.W, self.b = next(arrays), next(arrays)

    def encode(self, x: Array, k: int) -> tuple[Array, Array]:
        """Return e(x_k) and its derivative, both (B, n), for a column (B,)."""
        if self.bins is not None:
            edges = np.asarray(self.bins[k], x.dtype)
            width = np.diff(edges)
            z = (x[:, None] - edges[:-1]) / width
            inside = np.ones_like(z, bool)
            inside[:, 1:] &= z[:, 1:] > 0
            inside[:, :-1] &= z[:, :-1] < 1
            low = np.where(np.arange(len(width)) > 0, 0.0, -np.inf)
            high = np.where(np.arange(len(width)) < len(width) - 1, 1.0, np.inf)
            return np.clip(z, low, high), inside / width
        assert self.frequencies is not None
        angle = 2 * np.pi * x[:, None] * self.frequencies[k]
        slope = 2 * np.pi * self.frequencies[k]
        e = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
        return e, np.concatenate([slope * np.cos(angle), -slope * np.sin(angle)], axis=1)

    def forward(self, z: Array, drop: Any) -> Array:
        """Return z for z_prev."""
        columns = list(range(z.shape[1])) if self.columns is None else self.columns
        vectors, self.tape, row = [], [], 0
        for k, column in enumerate(columns):
            e, slope = self.encode(z[:, column], k)
            a = e @ self.W[row : row + e.shape[1]] + self.b[k]
            vectors.append(ACTIVATIONS[self.activation][0](a, self.alpha))
            self.tape.append((z[:, column], row, e, slope, a, vectors[-1]))
            row += e.shape[1]
        self.shape = z.shape[1], columns
        return replaced(z, columns, vectors)

    def backward(self, g: Array, penalty_scale: float = 1.0) -> tuple[Array, list[Array]]:
        """Return dE/dz_prev and the gradients of the arrays."""
        n, columns = self.shape
        below, vectors = taken_apart(g, n, columns, self.W.shape[1])
        dW, db = np.zeros_like(self.W), np.zeros_like(self.b)
        dC = None if self.frequencies is None else np.zeros_like(self.frequencies)
        for k, (column, tape, vector) in enumerate(zip(columns, self.tape, vectors, strict=True)):
            x, row, e, slope, a, z = tape
            delta = through(self.activation, vector, a, z, self.alpha)
            part = slice(row, row + e.shape[1])
            dW[part], db[k] = e.T @ delta, delta.sum(0)
            de = delta @ self.W[part].T
            below[:, column] = (de * slope).sum(1)
            if dC is not None:
                half = dC.shape[1]
                of_angle = de[:, :half] * e[:, half:] - de[:, half:] * e[:, :half]
                dC[k] = 2 * np.pi * (x[:, None] * of_angle).sum(0)
        return below, [dW, db] if dC is None else [dC, dW, db]

    def penalty(self) -> float:
        """Return 0: there is no penalty."""
        return 0.0


def embedding_twin(spec: Any, arrays: Iterator[Array]) -> Embedding:
    """Return the reference layer for a fastnn Embedding."""
    return Embedding(
        W=next(arrays),
        sizes=spec.n_categories if isinstance(spec.n_categories, int) else list(spec.n_categories),
        columns=None if spec.columns is None else list(spec.columns),
        trainable=spec.trainable,
        rate_multiplier=float(spec.learning_rate_multiplier),
    )


def numeric_twin(spec: Any, arrays: Iterator[Array]) -> NumericEmbedding:
    """Return the reference layer for a fastnn NumericEmbedding."""
    frequencies = next(arrays) if spec.bins is None else None
    return NumericEmbedding(
        W=next(arrays),
        b=next(arrays),
        columns=None if spec.columns is None else list(spec.columns),
        bins=spec.bins,
        frequencies=frequencies,
        activation=spec.activation.name,
        alpha=spec.activation.parameter,
        trainable=spec.trainable,
        rate_multiplier=float(spec.learning_rate_multiplier),
    )
