"""Training: whole epochs of fastnn and of the NumPy reference, cell by cell.

Both have the same initial weights, order of rows and formulas, and use one thread. Before a cell is
timed, its weights after 1 step and after up to 100 steps are compared with the float64 reference.
"""

import numpy as np
import pytest

from fastnn import reference
from fastnn.benchmarking.cells import CELLS, disagreement


@pytest.fixture(scope="module")
def agreement():
    """Return a function that compares a cell with the reference, only once per cell."""
    known = {}

    def check(cell, dtype):
        if (cell, dtype) not in known:
            known[cell, dtype] = disagreement(cell, dtype)
        return known[cell, dtype]

    return check


@pytest.mark.parametrize("who", ["fastnn", "numpy"])
@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_epoch(benchmark, agreement, cell, dtype, who):
    net = cell.network(dtype)
    X, y = cell.data()
    X = X.astype(dtype)
    if who == "fastnn":

        def epoch():
            net.fit(X, y, batch_size=cell.batch, shuffle=False)
    else:
        twin, order = reference.Network.like(net), np.arange(len(X))

        def epoch():
            twin.fit_epoch(X, y, order, cell.batch)

    benchmark.group = str(cell)
    error = agreement(cell, dtype)
    benchmark.extra_info.update(
        table=f"Training step, {dtype}",
        steps=cell.steps,
        flops=cell.flops,
        disagreement=error,
        correct=bool(error <= cell.tolerance(dtype)),
    )
    benchmark.pedantic(epoch, rounds=7, warmup_rounds=1)
