"""Seeded trainings of networks with embeddings of categories and numbers.

Not here: other trainings, and the functions that make trainings (trainings.py).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import Adam, AdamW, Dense, Embedding, NumericEmbedding
from fastnn.layers import Layer
from fastnn.verification.trainings import (
    CLIPS,
    DTYPES,
    HIDDEN,
    Named,
    Training,
    built,
    optimizer_variants,
    rows_for,
    shown,
)

#: Numbers of categories of the columns 1 and 4, of five.
SIZES = (3, 40)
BINS = ((-1.0, -0.5, 0.25, 1.0), (-0.75, 0.75), tuple(np.linspace(-1, 1, 19).tolist()))


def of_layers(layers: Sequence[Layer], batch: int = 7, rows: int = 60, **options: Any) -> Training:
    """Return the training of a network of five inputs, two of which hold categories."""

    def run(n_threads: int) -> list[Any]:
        net = built(5, layers, n_threads, **{"optimizer": Adam(0.01), **options})

        def with_categories(n: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
            X, y = rows_for(net, n, seed)
            for column, size in zip((1, 4), SIZES, strict=True):
                X[:, column] = np.floor((X[:, column] + 1) / 2 * size)
            return X, y

        X, y = with_categories(rows, 0)
        history = net.fit(X, y, batch_size=batch, epochs=2)
        found: list[Any] = [*net.get_weights(), net.predict(with_categories(37, 1)[0])]
        return [*found, *net.jacobian(X[:5]), np.array(history.history["loss"], np.float64)]

    return run


def stack(dim: int, activation: Any = "relu") -> list[Layer]:
    """Return layers with every kind of embedding, and vectors of `dim` numbers."""
    return [
        Embedding(SIZES, dim, columns=[1, 4]),
        NumericEmbedding(dim, bins=BINS[:1], columns=[0], activation=activation),
        NumericEmbedding(dim, "periodic", columns=[2 * dim], n_frequencies=dim, sigma=0.5),
        Dense(9, "tanh"),
        Dense(2),
    ]


def by_width() -> Named:
    """Vectors around the width of a panel, batches of one row and of several rounds."""
    for dtype in DTYPES:
        for dim in (1, 3, 8, 16, 17):
            for batch, rows in ((1, 30), (7, 60), (1100, 1300)):
                name = f"embeddings of {dim}, batches of {batch}, {dtype}"
                yield name, of_layers(stack(dim), batch, rows, dtype=dtype), (1, 2, 3)
    layers = [NumericEmbedding(4, bins=BINS, columns=[0, 2, 3]), Dense(2)]
    yield "bins of several columns", of_layers(layers), (1, 2, 3)
    mixed = of_layers(stack(8), dtype="mixed_bfloat16")
    yield "embeddings, bfloat16", mixed, (1, 2, 3)


def by_option() -> Named:
    """Every activation, optimizer and way of clipping."""
    for h in HIDDEN:
        yield f"embeddings, {h}", of_layers(stack(4, h), optimizer=Adam(0.001))
    for rule in optimizer_variants(learning_rate=0.01):
        yield f"embeddings, {shown(rule)}", of_layers(stack(4), optimizer=rule)
    for clip in CLIPS:
        yield f"embeddings, {clip}", of_layers(stack(4), optimizer=AdamW(0.01, **clip)), (1, 2)


SECTIONS = (by_width, by_option)
