"""Seeded trainings of networks that end with an Ensemble.

Not here: other trainings, and the functions that make trainings (trainings.py).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import Activate, Adam, AdamW, Dense, Dropout, Ensemble, LayerNorm, Residual
from fastnn.layers import Layer
from fastnn.verification.trainings import (
    CLIPS,
    DTYPES,
    Named,
    Training,
    built,
    optimizer_variants,
    rows_for,
    shown,
)


def of_layers(layers: Sequence[Layer], batch: int = 7, rows: int = 60, **options: Any) -> Training:
    """Return the training of a network of five inputs."""

    def run(n_threads: int) -> list[Any]:
        net = built(5, layers, n_threads, **{"optimizer": Adam(0.01), **options})
        X, y = rows_for(net, rows, 0)
        history = net.fit(X, y, batch_size=batch, epochs=2)
        others, _ = rows_for(net, 37, 1)
        found: list[Any] = [*net.get_weights(), net.predict(others)]
        losses = [*history.history["loss"], net.evaluate(X, y)]
        return [*found, *net.jacobian(X[:5]), np.array(losses, np.float64)]

    return run


def stack(k: int, units: int, adapters: str = "first", output: str = "identity") -> list[Layer]:
    """Return an Ensemble with layers of several kinds."""
    shared = [
        Dense(units, "tanh"),
        Residual([LayerNorm(), Dense(units), Activate("gelu")]),
        Dropout(0.1),
    ]
    return [Ensemble(k, [*shared, Dense(3, output)], adapters)]


def by_members() -> Named:
    """Numbers of members around the rows of a chunk; batches of one row and of several rounds."""
    for dtype in DTYPES:
        for k, units in ((2, 9), (7, 16), (33, 17)):
            for batch, rows in ((1, 30), (7, 60), (600, 700)):
                for adapters in ("first", "all"):
                    name = f"{k} members, {adapters}, batches of {batch}, {dtype}"
                    layers = stack(k, units, adapters)
                    yield name, of_layers(layers, batch, rows, dtype=dtype), (1, 2)
    mixed = of_layers(stack(5, 20), dtype="mixed_bfloat16")
    yield "members, bfloat16", mixed, (1, 2, 3)
    for output, loss in (("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")):
        yield f"members, {loss}", of_layers(stack(4, 9, output=output), loss=loss), (1, 2)


def by_option() -> Named:
    """Every optimizer and way of clipping."""
    for rule in optimizer_variants(learning_rate=0.01):
        yield f"members, {shown(rule)}", of_layers(stack(3, 9, "all"), optimizer=rule)
    for clip in CLIPS:
        yield f"members, {clip}", of_layers(stack(3, 9), optimizer=AdamW(0.01, **clip)), (1, 2)


SECTIONS = (by_members, by_option)
