"""Embeddings as PyTorch modules, in new classes, since PyTorch has none for columns of rows.

PyTorch is an argument of all functions; the classes are made once. Not here: other layers
(pytorch.py).
"""

import functools
from itertools import pairwise
from typing import Any

import numpy as np

from fastnn.exchange.parts import Part
from fastnn.layers import BlockDense, Embedding, PeriodicEncoding, PiecewiseEncoding

#: Names of the classes.
NAMES = ("ColumnEmbedding", "PiecewiseLinear", "Periodic", "BlockLinear")


def _order(n_in: int, blocks: list[tuple[int, int]], n: int) -> list[int]:
    """Return the position of each output in the concatenation of all vectors and all inputs.

    Each block (first, width) of columns becomes a vector of n numbers; other columns are copied.
    """
    starts = {first: (k, width) for k, (first, width) in enumerate(blocks)}
    order: list[int] = []
    at = 0
    while at < n_in:
        k, width = starts.get(at, (-1, 1))
        order += [n * len(blocks) + at] if k < 0 else range(k * n, (k + 1) * n)
        at += width
    return order


@functools.cache
def classes(torch: Any) -> dict[str, Any]:
    """Return the classes by name."""
    nn = torch.nn

    class InBlocks(nn.Module):  # type: ignore[misc, name-defined]  # torch is an argument
        """Replace blocks of columns by vectors, and copy all other columns."""

        def __init__(self, order: list[int]) -> None:
            super().__init__()
            self.register_buffer("order", torch.tensor(order))

        def placed(self, vectors: Any, x: Any) -> Any:
            return torch.cat([vectors.flatten(-2), x], -1)[..., self.order]

    class ColumnEmbedding(InBlocks):
        """Rows of a table for the categories in some columns; NaN for other numbers."""

        def __init__(self, n_in: int, sizes: dict[int, int], W: Any) -> None:
            super().__init__(_order(n_in, [(column, 1) for column in sizes], W.shape[1]))
            first = np.cumsum([0, *sizes.values()])[:-1]
            self.register_buffer("columns", torch.tensor(list(sizes)))
            self.register_buffer("first", torch.from_numpy(first))
            self.register_buffer("sizes", torch.tensor(list(sizes.values())))
            self.weight = nn.Parameter(W)

        def forward(self, x: Any) -> Any:
            number = x[..., self.columns]
            is_none = ~((number >= 0) & (number < self.sizes) & (number == number.floor()))
            rows = number.masked_fill(is_none, 0).long() + self.first
            vectors = self.weight[rows].masked_fill(is_none[..., None], torch.nan)
            return self.placed(vectors, x)

    class PiecewiseLinear(nn.Module):  # type: ignore[misc, name-defined]
        """The piecewise linear encoding of some columns."""

        def __init__(self, source: list[int], numbers: Any) -> None:
            super().__init__()
            self.register_buffer("source", torch.tensor(source))
            self.register_buffer("numbers", numbers)

        def forward(self, x: Any) -> Any:
            low, inverse, least, most = self.numbers.to(x.dtype)
            u = (x[..., self.source] - low) * inverse
            return torch.minimum(torch.maximum(u, least), most)

    class Periodic(InBlocks):
        """Sines and cosines of some columns."""

        def __init__(self, n_in: int, columns: list[int], frequencies: Any) -> None:
            n = 2 * frequencies.shape[1]
            super().__init__(_order(n_in, [(column, 1) for column in columns], n))
            self.register_buffer("columns", torch.tensor(columns))
            self.frequencies = nn.Parameter(frequencies)

        def forward(self, x: Any) -> Any:
            turns = x[..., self.columns, None] * self.frequencies
            angle = 2 * torch.pi * (turns - turns.round())  # small angles keep digits
            return self.placed(torch.cat([angle.sin(), angle.cos()], -1), x)

    class BlockLinear(InBlocks):
        """A linear map and an activation for each block of columns."""

        def __init__(
            self, n_in: int, blocks: list[tuple[int, int]], W: Any, b: Any, activation: Any
        ) -> None:
            super().__init__(_order(n_in, blocks, W.shape[1]))
            self.blocks = blocks
            self.weight, self.bias, self.activation = nn.Parameter(W), nn.Parameter(b), activation

        def forward(self, x: Any) -> Any:
            parts = self.weight.split([width for _, width in self.blocks])
            a = [
                x[..., first : first + width] @ W
                for (first, width), W in zip(self.blocks, parts, strict=True)
            ]
            return self.placed(self.activation(torch.stack(a, -2) + self.bias), x)

    found = dict(zip(NAMES, (ColumnEmbedding, PiecewiseLinear, Periodic, BlockLinear), strict=True))
    for name, made in found.items():
        made.__qualname__ = name
    return found


def embedding(torch: Any, part: Part[Embedding]) -> Any:
    """Return the module of an Embedding."""
    W = torch.from_numpy(part.arrays["W"])
    made = classes(torch)["ColumnEmbedding"](part.n_in, part.layer.categories(part.n_in), W)
    return made.requires_grad_(part.layer.trainable)


def piecewise(torch: Any, part: Part[PiecewiseEncoding]) -> Any:
    """Return the module of a piecewise linear encoding, in the precision of the rows."""
    bins = part.layer.bins
    columns = range(len(bins)) if part.layer.columns is None else part.layer.columns
    edges = dict(zip(columns, bins, strict=True))
    source: list[int] = []
    numbers: list[list[float]] = []
    for i in range(part.n_in):
        own = edges.get(i, (0.0, 1.0))
        last = len(own) - 2
        for t, (low, high) in enumerate(pairwise(own)):
            least, most = 0.0 if t else -np.inf, 1.0 if t < last else np.inf
            source.append(i)
            numbers.append([low, 1 / (high - low), least, most])
    four = torch.from_numpy(np.array(numbers).T.copy())
    return classes(torch)["PiecewiseLinear"](source, four)


def periodic(torch: Any, part: Part[PeriodicEncoding]) -> Any:
    """Return the module of a periodic encoding."""
    columns = list(range(part.n_in) if part.layer.columns is None else part.layer.columns)
    frequencies = torch.from_numpy(part.arrays["frequencies"])
    made = classes(torch)["Periodic"](part.n_in, columns, frequencies)
    return made.requires_grad_(part.layer.trainable)


def block_dense(torch: Any, part: Part[BlockDense], activation: Any) -> Any:
    """Return the module of a BlockDense; `activation` is the module of its activation."""
    W, b = (torch.from_numpy(part.arrays[name]) for name in ("W", "b"))
    blocks = part.layer.blocks(part.n_in)
    made = classes(torch)["BlockLinear"](part.n_in, blocks, W, b, activation)
    return made.requires_grad_(part.layer.trainable)


def __getattr__(name: str) -> Any:
    """Return a class, which pickle looks up in this module."""
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastnn import _checks

    return classes(_checks.package("torch", "an embedding of to_torch"))[name]
