"""A network as a list of parts: layers with their learned values.

A module that writes networks has a table ``RULES`` with one entry for each kind of layer: a
function that writes it, or a `Refusal`. `rule_for` looks a part up; a kind without an entry raises
an error that names the layer. Not here: how a format expresses layers (the module of the format).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from fastnn import _checks
from fastnn.layers import (
    PIECES,
    Activate,
    BlockDense,
    Dense,
    Dropout,
    Embedding,
    Fork,
    Layer,
    LayerNorm,
    MemberDense,
    MemberScale,
    PeriodicEncoding,
    PiecewiseEncoding,
    Standardize,
    Sum,
    with_widths,
)

if TYPE_CHECKING:
    from fastnn.mlp import MLP

Array: TypeAlias = npt.NDArray[Any]
SomeLayer = TypeVar("SomeLayer", bound=Layer)
Rule = TypeVar("Rule")


@dataclass(frozen=True)
class Refusal:
    """The reason why a kind of layer cannot be written, with a remedy: the end of a message."""

    reason: str


@dataclass(frozen=True)
class Part(Generic[SomeLayer]):
    """A layer of a network with its values.

    ``place`` is its name in messages, such as "Dense layer 0 of 2" or "a Residual"; ``prefix`` is
    the beginning of the names of its tensors, such as "layers.0"; ``arrays`` are its parameters, by
    the names in `Layer.parameters`, or the mean and scale of a Standardize. ``copies`` is the
    number of copies of each row among its inputs: those for the members of an Ensemble, which its
    first factors make, or 1 before them.
    """

    place: str
    prefix: str
    layer: SomeLayer
    n_in: int
    arrays: dict[str, Array]
    copies: int = 1

    @property
    def n_out(self) -> int:
        """The number of outputs."""
        return self.layer.width(self.n_in)


def kind_of(layer: Layer) -> type[Layer]:
    """Return the kind of a layer, whose class may be a subclass of the kind."""
    return next(kind for kind in type(layer).__mro__ if kind in PIECES)


def rule_for(rules: Mapping[type[Layer], Rule | Refusal], part: Part[Any], cannot: str) -> Rule:
    """Return the entry for a part's kind of layer; `cannot` begins the message if there is none.

    For instance "to_c cannot write".
    """
    unknown = Refusal("it does not support this layer; build the network without it")
    rule = rules.get(kind_of(part.layer), unknown)
    if isinstance(rule, Refusal):
        _checks.inexpressible(cannot, part.place, rule.reason)
    return rule


def _standardization(net: "MLP") -> dict[str, Array]:
    assert net.standardization is not None  # checked in `parts`
    mean, scale = net.standardization
    return {"mean": mean, "scale": scale}


#: For a kind of layer, the function that returns learned values other than parameters, by name.
_LEARNED: dict[type[Layer], Callable[["MLP"], dict[str, Array]]] = {Standardize: _standardization}


def parts(net: "MLP") -> list[Part[Any]]:
    """Return the parts of a network; a Standardize must have seen data, weights must be finite."""
    net._state.require_standardization()
    _checks.of_one_precision(net.dtype_policy, net.dtype.name)
    pieces = list(with_widths(net.layers, net.n_in))
    totals = Counter(kind_of(layer) for layer, _ in pieces)
    counts: Counter[type[Layer]] = Counter()
    values, found, number, copies = iter(net.get_weights()), [], 0, 1
    for layer, n_in in pieces:
        kind = kind_of(layer)
        place = kind.piece_of or f"{kind.__name__} layer {counts[kind]} of {totals[kind]}"
        counts[kind] += 1
        arrays = {name: next(values) for name in layer.parameters(n_in)}
        prefix = f"layers.{number}" if arrays else layer.name
        number += bool(arrays)
        arrays |= _LEARNED[kind](net) if kind in _LEARNED else {}
        _checks.finite_network({f"{prefix}.{name}": a for name, a in arrays.items()}, "exported")
        found.append(Part(place, prefix, layer, n_in, arrays, copies))
        copies = getattr(layer, "members", copies)
    return found


# ---- folding a Standardize into the weights after it ---------------------------------------------


def minus(b: Array | None, change: Array) -> Array | None:
    """Return b - change; b may be None for zeros, and stays None if the change is 0."""
    if b is None:
        return -change if np.any(change) else None
    return b - change


def _into_weights(part: Part[Dense], mean: Array, scale: Array) -> tuple[Part[Dense], bool]:
    """``(x - mean) / scale @ W + b`` is ``x @ (W / scale) + (b - (mean / scale) @ W)``."""
    dtype = part.arrays["W"].dtype
    W = part.arrays["W"].astype(np.float64)
    b = minus(part.arrays.get("b"), (mean / scale) @ W)
    arrays = {"W": (W / scale[:, None]).astype(dtype)}
    if b is not None:
        arrays["b"] = b.astype(dtype)
    return replace(part, arrays=arrays), True


def _past(part: Part[Any], mean: Array, scale: Array) -> tuple[Part[Any], bool]:
    """Return the part unchanged, since the layer does not affect predictions."""
    return part, False


_OF_RESIDUALS = Refusal(
    "it adds the scaled rows to its outputs; put a Dense between them, or scale the rows "
    "yourself and build the network without Standardize"
)

_OF_EMBEDDINGS = Refusal(
    "it needs the scaled numbers themselves; scale the rows yourself and build the network without "
    "Standardize"
)

_OF_MEMBERS = Refusal(
    "its members have factors of their own; train a network without it, or export another form"
)

#: For each kind of layer, the function that folds a scaling before it into its weights: returns the
#: new part, and whether the scaling has been folded.
FOLDS: dict[type[Layer], Callable[..., tuple[Part[Any], bool]] | Refusal] = {
    Dense: _into_weights,
    Dropout: _past,
    Standardize: Refusal("a network can have only one Standardize"),
    LayerNorm: Refusal(
        "each row is normalized after it; put a Dense between them, or scale the rows yourself and "
        "build the network without Standardize"
    ),
    Activate: Refusal(
        "an activation comes between it and the weights; put a Dense before it, or scale the rows "
        "yourself and build the network without Standardize"
    ),
    Fork: _OF_RESIDUALS,
    Sum: _OF_RESIDUALS,
    Embedding: _OF_EMBEDDINGS,
    PiecewiseEncoding: _OF_EMBEDDINGS,
    PeriodicEncoding: _OF_EMBEDDINGS,
    BlockDense: _OF_EMBEDDINGS,
    MemberScale: _OF_MEMBERS,
    MemberDense: _OF_MEMBERS,
}


def folded(found: list[Part[Any]], writer: str) -> list[Part[Any]]:
    """Fold a Standardize into the weights after it; its own part is then without effect.

    `writer` is the name of the calling function, for messages. In float32 this costs precision if
    means are large compared with standard deviations: formats that can scale columns do so instead.
    """
    scaling: dict[str, Array] = {}
    result = []
    for part in found:
        if isinstance(part.layer, Standardize) and not scaling:
            scaling = part.arrays
        elif scaling:
            cannot = f"{writer} cannot fold a Standardize into"
            part, done = rule_for(FOLDS, part, cannot)(part, **scaling)
            scaling = {} if done else scaling
        result.append(part)
    return result
