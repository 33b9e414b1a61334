"""Base of the stages of a network as C source: number types, padding, lines, arrays, `Stage`.

Not here: the stages of layers (c_stages.py, c_embeddings.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.exchange.parts import Array, Part


@dataclass(frozen=True)
class Precision:
    """The type of all numbers, and how columns are padded."""

    dtype: np.dtype[Any]

    @property
    def real(self) -> str:
        """The type in C."""
        return "float" if self.dtype == np.float32 else "double"

    def padded(self, n: int) -> int:
        """Return n columns, rounded up to whole panels."""
        panel = 64 // self.dtype.itemsize
        return -(-n // panel) * panel

    def pad(self, array: Array) -> Array:
        """Return an array with its columns padded with zeros to whole panels."""
        more = self.padded(array.shape[-1]) - array.shape[-1]
        return np.pad(array.astype(self.dtype), [(0, 0)] * (array.ndim - 1) + [(0, more)])

    def zeros(self, array: str, n: int) -> list[str]:
        """Return the lines that set the padding of a C array, after n numbers, to 0."""
        stop = self.padded(n)
        return [f"for (int j = {n}; j < {stop}; j++) {array}[j] = 0;"] if stop > n else []

    def number(self, value: float) -> str:
        """Return a number as a C expression."""
        return f"(real){self.dtype.type(value)!s}"


@dataclass(frozen=True)
class Values:
    """A C array of n numbers, with or without padding."""

    name: str
    n: int
    is_padded: bool = True


class Lines(list[str]):
    """The lines of a function, with what open residuals and an open ensemble need later."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Values] = []  # inputs of open residuals, in the forward pass
        self.deltas: list[str] = []  # deltas of the outputs of open residuals, in the backward pass
        self.before_members = 0  # the number of lines before those that every member computes


@dataclass(frozen=True)
class Member:
    """An array in the struct of weights; `shape` becomes a comment."""

    name: str
    shape: str
    values: Array


class Stage:
    """Base class of the pieces of layers; by itself it computes nothing and has no weights."""

    #: Names of the sections that the lines call, forward and backward.
    forward_sections: frozenset[str] = frozenset()
    backward_sections: frozenset[str] = frozenset()

    def __init__(self, part: Part[Any], precision: Precision) -> None:
        self.part, self.precision = part, precision
        self.number = part.prefix.removeprefix("layers.").replace(".", "_")

    def members(self) -> list[Member]:
        """Return the arrays of this stage in the struct of weights."""
        return []

    def constants(self) -> dict[str, Array]:
        """Return the other, constant arrays of this stage by name."""
        return {}

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the lines that compute the outputs for z, in a step or not; return them."""
        return z

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the lines that update the weights and compute the delta of the inputs.

        `delta` is the name of the delta of the outputs. Return the name of the delta of the inputs,
        which is not needed if `is_lowest`, for the lowest stage with weights.
        """
        return delta
