"""Specifications of the layers of an MLP.

The class of a layer defines everything that needs no arithmetic: its width, its parameters and
their shapes, its number of operations, its label in a summary, and its stages in the engine. The
classes are in modules by subject; this one has the list of all kinds, and the parameters and stages
of a list of layers.

Not here: weights (in the arena of the network) and arithmetic (engine/stages/; in NumPy,
reference/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.layers.base import KINDS, Draw, Layer, with_widths
from fastnn.layers.dense import Dense
from fastnn.layers.elementwise import Activate, Dropout
from fastnn.layers.embeddings import (
    BlockDense,
    Embedding,
    NumericEmbedding,
    PeriodicEncoding,
    PiecewiseEncoding,
)
from fastnn.layers.ensemble import Ensemble, MemberDense, MemberScale
from fastnn.layers.normalization import LayerNorm, Standardize
from fastnn.layers.residual import Fork, Residual, Sum

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "KINDS",
    "PIECES",
    "Activate",
    "BlockDense",
    "Dense",
    "Draw",
    "Dropout",
    "Embedding",
    "Ensemble",
    "Fork",
    "Layer",
    "LayerNorm",
    "MemberDense",
    "MemberScale",
    "NumericEmbedding",
    "PeriodicEncoding",
    "PiecewiseEncoding",
    "Residual",
    "Standardize",
    "Sum",
    "parameters",
    "stages",
    "with_widths",
]

KINDS.update(
    (kind.name, _checks.explaining(kind))
    for kind in (
        Dense,
        Dropout,
        Standardize,
        LayerNorm,
        Activate,
        Residual,
        Embedding,
        NumericEmbedding,
        Ensemble,
    )
)

#: The kinds of layers that `pieces` yields.
PIECES: tuple[type[Layer], ...] = (
    Dense,
    Dropout,
    Standardize,
    LayerNorm,
    Activate,
    Fork,
    Sum,
    Embedding,
    PiecewiseEncoding,
    PeriodicEncoding,
    BlockDense,
    MemberScale,
    MemberDense,
)


def parameters(layers: Iterable[Layer], n_in: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters, in the order of `MLP.get_weights`.

    The names are those of the tensors in a file: "layers.0.W", "layers.0.b", ..., numbered over the
    layers that have parameters.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    number = 0
    for layer, k in with_widths(layers, n_in):
        own = layer.parameters(k)
        shapes |= {f"layers.{number}.{name}": shape for name, shape in own.items()}
        number += bool(own)
    return shapes


def stages(layers: Iterable[Layer]) -> list[dict[str, object]]:
    """Return the specifications of the stages of layers.

    Consecutive Dropouts become one stage, which keeps a value with the probability that all of them
    keep it.
    """
    found: list[dict[str, object]] = []
    number, kept, masks = 0, 1.0, 0
    pieces = (piece for layer in layers for piece in layer.pieces())
    for layer in pieces:
        if isinstance(layer, Dropout):
            kept *= 1.0 - layer.rate
            continue
        if kept < 1.0:  # a second mask before the same parameters has another number
            found += Dropout(1.0 - kept).stages(number | masks << 32)
            kept, masks = 1.0, masks + 1
        found += layer.stages(number)
        if layer.parameters(1):
            number, masks = number + 1, 0
    return found


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.LAYERS)
