"""Embeddings as ONNX operators.

The functions take the tensor of the inputs (n, n_in) and a part, like the rules of onnx_writer.py.
Gather along the second axis selects and reorders columns. Not here: other layers (onnx_writer.py).
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn import activations
from fastnn.exchange.parts import Part
from fastnn.layers import BlockDense, Embedding, PeriodicEncoding, PiecewiseEncoding


def _take(z: Any, columns: list[int]) -> Any:
    """Return columns of a tensor, in this order."""
    return z("Gather", z.graph.integers("columns", columns), axis=1)


def _replaced(z: Any, n_in: int, blocks: list[tuple[int, int]], vectors: Any, n: int) -> Any:
    """Return the columns of z with the blocks (first, width) replaced by n columns of vectors each.

    `vectors` holds the columns for all blocks side by side.
    """
    width = n * len(blocks)
    starts = {first: (k, w) for k, (first, w) in enumerate(blocks)}
    order: list[int] = []
    at = 0
    while at < n_in:
        if at in starts:
            k, w = starts[at]
            order += range(k * n, (k + 1) * n)
            at += w
        else:
            order.append(width + at)
            at += 1
    if order == list(range(width)):
        return vectors
    return _take(vectors("Concat", z, axis=1), order)


def embedding(z: Any, part: Part[Embedding]) -> Any:
    """Append one Gather of rows of the table for all columns.

    A last row of NaN, appended to the table, is that of all numbers that are no categories.
    """
    sizes = part.layer.categories(part.n_in)
    first = np.cumsum([0, *sizes.values()])
    x = _take(z, list(sizes))
    last = z.graph.constant(f"{part.prefix}.last", [size - 1 for size in sizes.values()])
    category = x("Floor")("Max", 0.0)("Min", last)  # x, if x is a category
    number = category("Cast", to=7) + z.graph.integers("first_rows", first[:-1].tolist())
    row = x("Equal", category)("Where", number, z.graph.integers("no_category", [int(first[-1])]))
    dim = part.layer.dim
    W = np.vstack([part.arrays["W"], np.full((1, dim), np.nan)])
    shape = z.graph.integers("shape", [-1, dim * len(sizes)])
    table = z.graph.constant(f"{part.prefix}.W", W)
    vectors = table("Gather", row, axis=0)("Reshape", shape)
    return _replaced(z, part.n_in, [(column, 1) for column in sizes], vectors, dim)


def piecewise(z: Any, part: Part[PiecewiseEncoding]) -> Any:
    """Append ``(x - low) / (high - low)``, clipped, for all outputs at once."""
    bins = part.layer.bins
    columns = range(len(bins)) if part.layer.columns is None else part.layer.columns
    edges = dict(zip(columns, bins, strict=True))
    source: list[int] = []
    low: list[float] = []
    inverse: list[float] = []
    least: list[float] = []
    most: list[float] = []
    for i in range(part.n_in):
        own = edges.get(i, (0.0, 1.0))
        n = len(own) - 1
        source += [i] * n
        low += own[:-1]
        inverse += [1 / (b - a) for a, b in pairwise(own)]
        least += [-np.inf] + [0.0] * (n - 1)
        most += [1.0] * (n - 1) + [np.inf]
    constant, name = z.graph.constant, part.prefix
    u = (_take(z, source) - constant(f"{name}.low", low)) * constant(f"{name}.inverse", inverse)
    return u("Max", constant(f"{name}.least", least))("Min", constant(f"{name}.most", most))


def periodic(z: Any, part: Part[PeriodicEncoding]) -> Any:
    """Append the sines and cosines for all columns at once."""
    columns = range(part.n_in) if part.layer.columns is None else part.layer.columns
    n = part.layer.n_frequencies
    frequencies = z.graph.constant(f"{part.prefix}.frequencies", part.arrays["frequencies"])
    shape = z.graph.integers("shape", [-1, len(columns), 1])
    turns = _take(z, list(columns))("Reshape", shape) * frequencies
    angle = (turns - turns("Round")) * (2 * np.pi)
    both = angle("Sin")("Concat", angle("Cos"), axis=2)
    vectors = both("Reshape", z.graph.integers("shape", [-1, 2 * n * len(columns)]))
    return _replaced(z, part.n_in, [(column, 1) for column in columns], vectors, 2 * n)


def block_dense(z: Any, part: Part[BlockDense], activated: Callable[..., Any]) -> Any:
    """Append a Gemm for each block; `activated` appends the activation of all of them."""
    blocks, row, found = part.layer.blocks(part.n_in), 0, []
    for k, (first, width) in enumerate(blocks):
        W = z.graph.constant(f"{part.prefix}.W.{k}", part.arrays["W"][row : row + width])
        b = z.graph.constant(f"{part.prefix}.b.{k}", part.arrays["b"][k])
        found.append(_take(z, list(range(first, first + width)))("Gemm", W, b))
        row += width
    a = found[0]("Concat", *found[1:], axis=1) if len(found) > 1 else found[0]
    vectors = activated(a, part.place, activations.get(part.layer.activation))
    return _replaced(z, part.n_in, blocks, vectors, part.layer.units)
