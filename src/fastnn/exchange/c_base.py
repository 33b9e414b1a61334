"""What the stages of a network as C source are written with: types, padding, lines, arrays.

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
        """Return an array, its columns padded with zeros."""
        more = self.padded(array.shape[-1]) - array.shape[-1]
        return np.pad(array.astype(self.dtype), [(0, 0)] * (array.ndim - 1) + [(0, more)])

    def zeros(self, array: str, n: int) -> list[str]:
        """Return the lines that set a C array's padding behind n numbers to 0."""
        stop = self.padded(n)
        return [f"for (int j = {n}; j < {stop}; j++) {array}[j] = 0;"] if stop > n else []

    def number(self, value: float) -> str:
        """Return a number as C has it."""
        return f"(real){self.dtype.type(value)!s}"


@dataclass(frozen=True)
class Values:
    """A C array of n numbers, with or without padding."""

    name: str
    n: int
    is_padded: bool = True


class Lines(list[str]):
    """The lines of a function, and what its residuals keep for a later line, innermost last."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Values] = []  # of stretches that have begun, going forward
        self.deltas: list[str] = []  # of their outputs, going backward


@dataclass(frozen=True)
class Member:
    """An array of the struct of weights; its shape is said in a comment."""

    name: str
    shape: str
    values: Array


class Stage:
    """A piece of a layer, without anything to compute or to learn."""

    #: Names of the sections that it calls, forward and backward.
    forward_sections: frozenset[str] = frozenset()
    backward_sections: frozenset[str] = frozenset()

    def __init__(self, part: Part[Any], precision: Precision) -> None:
        self.part, self.precision = part, precision
        self.number = part.prefix.removeprefix("layers.").replace(".", "_")

    def members(self) -> list[Member]:
        """Return its arrays in the struct of weights."""
        return []

    def constants(self) -> dict[str, Array]:
        """Return its other arrays by name."""
        return {}

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the lines that compute its outputs of z, in a step or not; return the outputs."""
        return z

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the lines that update it and turn the outputs' delta into the inputs'.

        Return the latter's name; nothing reads it `is_lowest`, the lowest stage with weights.
        """
        return delta
