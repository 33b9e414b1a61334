"""Seeded trainings in mixed precision: operands of products are rounded to bfloat16.

The instruction for such products and its emulation give the same digests. Not here: trainings in
one precision, and the functions that make trainings (trainings.py).
"""

from typing import Any

import numpy as np

from fastnn import SGD, Dense, LayerNorm, Residual
from fastnn.verification.trainings import (
    CLIPS,
    CROSS,
    Named,
    Training,
    built,
    fitted,
    optimizer_variants,
    results,
    rows_for,
    shown,
    usual,
)


def by_operands() -> Named:
    """Every optimizer, way of clipping, odd sizes, and numbers whose products are subnormal."""
    mixed: dict[str, Any] = {"dtype": "mixed_bfloat16"}
    for rule in optimizer_variants(learning_rate=0.02):
        yield f"bfloat16, {shown(rule)}", usual(optimizer=rule, **mixed)
    for clip in CLIPS:
        yield f"bfloat16, {clip}", usual(optimizer=SGD(0.05, **clip), **mixed), (1, 2, 3)
    for n_in, *units in ((1, 5), (2, 5, 5), (15, 17, 16), (33, 40, 9), (784, 128, 10)):
        layers: list[Any]
        layers = [*(Dense(n, "gelu", l2=0.001) for n in units[:-1]), Dense(units[-1], "softmax")]
        for batch in (1, 2, 7, 40):
            name = f"bfloat16, {'-'.join(map(str, [n_in, *units]))}, batches of {batch}"
            yield name, fitted(n_in, layers, loss=CROSS, batch_size=batch, **mixed), (1, 2, 3)
    layers = [Dense(40, "relu"), LayerNorm(), Residual([Dense(33, "tanh"), Dense(40)]), Dense(10)]
    for batch in (97, 1025, 2500):
        run = fitted(33, layers, batch_size=batch, rows=2500, optimizer="adam", **mixed)
        yield f"bfloat16, batches of {batch} of 2500 rows", run, (1, 2, 3)
    for scale in (1e-19, 1e-30):
        yield f"bfloat16, inputs of {scale}", of_small_inputs(scale)


def of_small_inputs(scale: float) -> Training:
    """Return a training whose weights and inputs are so small that their products are subnormal."""

    def run(n_threads: int) -> list[Any]:
        layers = [Dense(20, "tanh", use_bias=False), Dense(5, use_bias=False)]
        net = built(6, layers, n_threads, dtype="mixed_bfloat16", optimizer=SGD(0.001))
        net.set_weights([w * np.float32(scale) for w in net.get_weights()])
        X, y = rows_for(net, 40)
        return results(net, net.fit(X * np.float32(scale), y, batch_size=7))

    return run


SECTIONS = (by_operands,)
