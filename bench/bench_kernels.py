"""Kernels and predictions of fastnn and of NumPy, on arrays of typical sizes."""

import itertools

import numpy as np
import pytest

from fastnn import MLP, Dense, kernels, reference

RNG = np.random.default_rng(0)
SHAPES = [(1, 64, 64), (32, 64, 64), (128, 784, 256), (256, 1024, 1024)]


def compare(benchmark, who, table, group, ours, numpys, flops):
    """Time one of two functions after checking that both give the same result."""
    a, b = ours(), numpys()
    error = float(np.linalg.norm(a - b) / np.linalg.norm(b))
    benchmark.group = group
    benchmark.extra_info.update(
        table=table, steps=1, flops=flops, disagreement=error, correct=error <= 1e-5
    )
    benchmark(ours if who == "fastnn" else numpys)


@pytest.mark.parametrize("who", ["fastnn", "numpy"])
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "sigmoid", "silu"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward(benchmark, who, shape, activation):
    n, k, m = shape
    z_prev = RNG.standard_normal((n, k), dtype=np.float32)
    W = RNG.standard_normal((k, m), dtype=np.float32) / np.float32(np.sqrt(k))
    b = RNG.standard_normal(m, dtype=np.float32)
    value = reference.ACTIVATIONS[activation][0]
    compare(
        benchmark,
        who,
        "Kernel forward, float32",
        f"{n} x {k} @ {k} x {m}, {activation}",
        lambda: kernels.forward(z_prev, W, b, activation)[1],
        lambda: value(z_prev @ W + b, 0.0),
        2 * n * k * m,
    )


@pytest.mark.parametrize("who", ["fastnn", "numpy"])
@pytest.mark.parametrize("n", [1, 32, 4096])
@pytest.mark.parametrize("sizes", [(16, 64, 64, 1), (784, 256, 128, 10)], ids=str)
def test_predict(benchmark, who, sizes, n):
    *hidden, last = sizes[1:]
    net = MLP(
        sizes[0],
        [*(Dense(m, "tanh") for m in hidden), Dense(last)],
        loss="squared_error",
        optimizer="sgd",
        seed=0,
        n_threads=1,
    )
    twin = reference.Network.like(net)
    X = RNG.standard_normal((n, sizes[0]), dtype=np.float32)
    out = np.empty((n, last), np.float32)
    compare(
        benchmark,
        who,
        "Prediction, float32",
        f"{'-'.join(map(str, sizes))} tanh, {n} rows",
        lambda: net.predict(X, out=out),
        lambda: twin.predict(X),
        2 * n * sum(k * m for k, m in itertools.pairwise(sizes)),
    )
