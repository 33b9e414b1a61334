"""Weights and biases, and the penalty on weights, of the layers that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]


class Weighted:
    """Base class of layers with weights W and, unless they are None, biases b."""

    W: Array
    b: Array | None
    l1: float = 0.0
    l2: float = 0.0

    def arrays(self) -> list[Array]:
        """W and, if there is one, b."""
        return [self.W] if self.b is None else [self.W, self.b]

    def take(self, arrays: Iterator[Array]) -> None:
        """Take arrays in the same order from an iterator."""
        self.W = next(arrays)
        self.b = None if self.b is None else next(arrays)

    def penalty(self) -> float:
        """l1 sum |W| + l2 sum W^2, a number."""
        return float(self.l1 * np.abs(self.W).sum() + self.l2 * (self.W * self.W).sum())

    def penalty_gradient(self) -> Array:
        """l1 sign(W) + 2 l2 W, in the shape of W."""
        return self.l1 * np.sign(self.W) + 2 * self.l2 * self.W
