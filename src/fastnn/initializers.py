"""Initial weights: draw float64 arrays of a shape from a source of random numbers.

Not here: the default initializer of a layer (activations.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from numpy.typing import NDArray

    Shape: TypeAlias = tuple[int, int]
    Random: TypeAlias = np.random.Generator | np.random.RandomState
    #: Function (generator, shape, rows) that draws the next rows of weights of shape (n_in, n_out).
    Initializer: TypeAlias = Callable[[Random, Shape, int], NDArray[np.float64]]


def _fan_in(shape: Shape) -> float:
    return shape[0]


def _fan_average(shape: Shape) -> float:
    return (shape[0] + shape[1]) / 2


@dataclass(frozen=True)
class _Scaled:
    """A uniform or normal initializer with variance ``scale / fan``."""

    scale: float
    fan: Callable[[Shape], float]
    is_uniform: bool

    def deviation(self, shape: Shape) -> float:
        """Return the standard deviation."""
        return math.sqrt(self.scale / self.fan(shape))

    def bound(self, shape: Shape) -> float:
        """Return the bound of the uniform distribution."""
        return math.sqrt(3) * self.deviation(shape)

    def __call__(self, rng: Random, shape: Shape, rows: int) -> NDArray[np.float64]:
        if self.is_uniform:
            bound = self.bound(shape)
            return rng.uniform(-bound, bound, (rows, shape[1]))
        return rng.normal(0.0, self.deviation(shape), (rows, shape[1]))


def _orthogonal(rng: Random, shape: Shape, rows: int) -> NDArray[np.float64]:
    """Draw orthonormal rows or columns uniformly, all at once (Saxe et al., ICLR 2014)."""
    tall = (max(shape), min(shape))
    q: NDArray[np.float64]
    q, r = np.linalg.qr(rng.normal(size=tall))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if shape == tall else q.T


def _zeros(rng: Random, shape: Shape, rows: int) -> NDArray[np.float64]:
    return np.zeros((rows, shape[1]))


def _ones(rng: Random, shape: Shape, rows: int) -> NDArray[np.float64]:
    return np.ones((rows, shape[1]))


def _random_signs(rng: Random, shape: Shape, rows: int) -> NDArray[np.float64]:
    return np.where(rng.random((rows, shape[1])) < 0.5, -1.0, 1.0)


def _standard_normal(rng: Random, shape: Shape, rows: int) -> NDArray[np.float64]:
    return rng.normal(size=(rows, shape[1]))


_BY_NAME: dict[str, Initializer] = {
    "glorot_uniform": _Scaled(1.0, _fan_average, is_uniform=True),  # Glorot, Bengio, AISTATS 2010
    "glorot_normal": _Scaled(1.0, _fan_average, is_uniform=False),
    "he_uniform": _Scaled(2.0, _fan_in, is_uniform=True),  # He et al., ICCV 2015
    "he_normal": _Scaled(2.0, _fan_in, is_uniform=False),
    "lecun_uniform": _Scaled(1.0, _fan_in, is_uniform=True),  # LeCun et al. 1998
    "lecun_normal": _Scaled(1.0, _fan_in, is_uniform=False),
    "orthogonal": _orthogonal,
    "zeros": _zeros,
    "ones": _ones,
    "standard_normal": _standard_normal,
    "random_signs": _random_signs,
}

#: Names of initializers for the biases of a Dense; "ones" is also that of the gain of a LayerNorm.
OF_BIASES = ("zeros", "ones", "standard_normal")

#: Names of initializers for the factors of an Ensemble.
OF_MEMBERS = ("random_signs", "standard_normal")

#: Names of initializers for the weights of a Dense.
NAMES = tuple(name for name in _BY_NAME if name == "zeros" or name not in (*OF_BIASES, *OF_MEMBERS))


def name_of(initializer: object) -> str:
    """Return the name of an initializer for the weights of a Dense after checking it."""
    return _checks.choice("initializer", initializer, NAMES, None, _checks.names.INITIALIZERS)


def name_of_biases(initializer: object) -> str:
    """Return the name of an initializer for the biases of a Dense after checking it."""
    hints = _checks.names.INITIALIZERS_OF_BIASES
    return _checks.choice("bias_initializer", initializer, OF_BIASES, None, hints)


def name_of_members(initializer: object) -> str:
    """Return the name of an initializer for the factors of an Ensemble after checking it."""
    return _checks.choice("initializer", initializer, OF_MEMBERS)


def bound(name: str | tuple[str, float], shape: Shape) -> float | None:
    """Return the bound of a uniform initializer, or None for another distribution."""
    if isinstance(name, tuple):
        return name[1] if name[0] == "uniform" else None
    found = _BY_NAME[name]
    return found.bound(shape) if isinstance(found, _Scaled) and found.is_uniform else None


#: Numbers drawn at a time, so that memory never holds a second copy of large weights.
_TOGETHER = 1 << 17


def _of_width(name: str, width: float) -> Initializer:
    """Return the initializer ("uniform", bound) or ("normal", standard deviation)."""

    def draw_rows(rng: Random, shape: Shape, rows: int) -> NDArray[np.float64]:
        if name == "uniform":
            return rng.uniform(-width, width, (rows, shape[1]))
        return rng.normal(0.0, width, (rows, shape[1]))

    return draw_rows


def draw(
    name: str | tuple[str, float], rng: Random, shape: Shape
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Draw weights of `shape` (n_in, n_out) by an initializer, some rows at a time.

    Yield (first row, weights). The numbers are the same as if all rows were drawn at once.
    """
    initializer = _of_width(*name) if isinstance(name, tuple) else _BY_NAME[name]
    rows = shape[0] if name == "orthogonal" else max(1, _TOGETHER // shape[1])
    for row in range(0, shape[0], rows):
        yield row, initializer(rng, shape, min(rows, shape[0] - row))


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.INITIALIZERS, NAMES)
