"""Layers with their forward and backward passes, and functions that make them from fastnn's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.reference import embeddings, members
from fastnn.reference.functions import ACTIVATIONS, ALPHA, bfloat16, through
from fastnn.reference.weights import Weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Drop: TypeAlias = Callable[[float, Array, int], Array | None]  # returns a mask, or None


@dataclasses.dataclass
class Layer(Weighted):
    """One dense layer: W (n_in, n_out), b (n_out,) or None; `dropout` is the rate of its input.

    With `rounds` the operands of its three products are rounded to bfloat16.

    A layer that isn't trainable does not change. `forward` keeps values for `backward` in `tape`.
    """

    W: Array
    b: Array | None = None
    activation: str = "identity"
    alpha: Any = None  # a number; by default the activation's default
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    trainable: bool = True
    number: Any = None  # number of its dropout masks; by default the position of the layer
    rate_multiplier: float = 1.0  # multiplies the learning rate
    rounds: bool = False

    def __post_init__(self) -> None:
        """Set alpha to the default of the activation if none is given."""
        self.alpha = ALPHA.get(self.activation, 0.0) if self.alpha is None else float(self.alpha)

    def operand(self, x: Array) -> Array:
        """Return x as an operand of a product: rounded to bfloat16 if `rounds`."""
        return bfloat16(x) if self.rounds else x

    def forward(self, z: Array, drop: Drop) -> Array:
        """Return h(z_prev @ W + b), where z_prev is z after dropout.

        ``drop(rate, z, number)`` returns the mask or None. The tape is (z_prev, keep, a, z).
        """
        keep = drop(self.dropout, z, self.number) if self.dropout else None
        z_prev = z if keep is None else z * keep
        a = self.operand(z_prev) @ self.operand(self.W)
        a = a if self.b is None else a + self.b
        self.tape = z_prev, keep, a, ACTIVATIONS[self.activation][0](a, self.alpha)
        return self.tape[-1]

    def backward(
        self, g: Array, penalty_scale: float = 1.0, is_delta: bool = False
    ) -> tuple[Array, list[Array]]:
        """Return dE/dz of the layer below and [dW, db]; g is dE/dz, or dE/da if `is_delta`."""
        z_prev, keep, a, z = self.tape
        delta = g if is_delta else through(self.activation, g, a, z, self.alpha)
        dW = self.operand(z_prev).T @ self.operand(delta)
        if self.l1 or self.l2:
            dW += penalty_scale * self.penalty_gradient()
        below = self.operand(delta) @ self.operand(self.W).T
        below = below if keep is None else below * keep
        return below, [dW] if self.b is None else [dW, delta.sum(0)]


@dataclasses.dataclass
class LayerNorm:
    """z = gain x^ + bias, x^ = (z_prev - mean) / sqrt(var + epsilon) of each row.

    Ba, Kiros, Hinton 2016.
    """

    gain: Array
    bias: Array
    epsilon: float = 1e-5
    trainable: bool = True

    def arrays(self) -> list[Array]:
        """Gain and bias, both (n,)."""
        return [self.gain, self.bias]

    def take(self, arrays: Iterator[Array]) -> None:
        """Take arrays in the same order from an iterator."""
        self.gain, self.bias = next(arrays), next(arrays)

    def forward(self, z: Array, drop: Drop) -> Array:
        """Return z for z_prev, both (B, n)."""
        x = z - z.mean(1, keepdims=True)
        scale = 1 / np.sqrt((x * x).mean(1, keepdims=True) + self.epsilon)
        self.tape = x * scale, scale
        out: Array = self.gain * self.tape[0] + self.bias
        return out

    def backward(self, g: Array, penalty_scale: float = 1.0) -> tuple[Array, list[Array]]:
        """dE/dz_prev = s (d - mean d - x^ mean(d x^)) with d = gain g; and [dgain, dbias]."""
        unit, scale = self.tape
        d = self.gain * g
        tilt = unit * (d * unit).mean(1, keepdims=True)
        below = scale * (d - d.mean(1, keepdims=True) - tilt)
        return below, [(unit * g).sum(0), g.sum(0)]

    def penalty(self) -> float:
        """Return 0: neither gain nor bias is penalized."""
        return 0.0


@dataclasses.dataclass
class Dropout:
    """Dropout elsewhere than on the input of a dense layer; `number` is that of its masks."""

    rate: float
    number: int

    def arrays(self) -> list[Array]:
        """Return no arrays."""
        return []

    def take(self, arrays: Iterator[Array]) -> None:
        """Take no array."""

    def forward(self, z: Array, drop: Drop) -> Array:
        """Return z_prev times the mask."""
        self.tape = drop(self.rate, z, self.number)
        return z if self.tape is None else z * self.tape

    def backward(self, g: Array, penalty_scale: float = 1.0) -> tuple[Array, list[Array]]:
        """Return dE/dz times the mask."""
        return g if self.tape is None else g * self.tape, []

    def penalty(self) -> float:
        """Return 0: there is no penalty."""
        return 0.0


@dataclasses.dataclass
class Activate:
    """z = h(z_prev)."""

    activation: str
    alpha: float

    def arrays(self) -> list[Array]:
        """Return no arrays."""
        return []

    def take(self, arrays: Iterator[Array]) -> None:
        """Take no array."""

    def forward(self, z: Array, drop: Drop) -> Array:
        """h(z_prev)."""
        self.tape = z, ACTIVATIONS[self.activation][0](z, self.alpha)
        return self.tape[1]

    def backward(self, g: Array, penalty_scale: float = 1.0) -> tuple[Array, list[Array]]:
        """dE/dz h'(z_prev)."""
        return through(self.activation, g, *self.tape, self.alpha), []

    def penalty(self) -> float:
        """Return 0: there is no penalty."""
        return 0.0


@dataclasses.dataclass
class Residual:
    """z = z_prev + f(z_prev), where f is the composition of the layers (He et al. 2016)."""

    layers: list[Any]

    def arrays(self) -> list[Array]:
        """The arrays of the layers."""
        return [array for layer in self.layers for array in layer.arrays()]

    def take(self, arrays: Iterator[Array]) -> None:
        """Take arrays in the same order from an iterator."""
        for layer in self.layers:
            layer.take(arrays)

    def forward(self, z: Array, drop: Drop) -> Array:
        """Return z for z_prev, both (B, n)."""
        z_prev = z
        for layer in self.layers:
            z = layer.forward(z, drop)
        return z_prev + z

    def backward(self, g: Array, penalty_scale: float = 1.0) -> tuple[Array, list[Array]]:
        """Return dE/dz_prev, g plus g carried back through f, and the layers' gradients."""
        below: Array = g
        gradients: list[Array] = []
        for layer in reversed(self.layers):
            below, own = layer.backward(below, penalty_scale)
            gradients[:0] = own
        return g + below, gradients

    def penalty(self) -> float:
        """The sum of the layers' penalties."""
        return float(sum(layer.penalty() for layer in self.layers))


def trainable(layer: Any) -> list[bool]:
    """Return, for each array of a layer, whether updates change it."""
    if isinstance(layer, Residual):
        return [on for inner in layer.layers for on in trainable(inner)]
    return [layer.trainable for _ in layer.arrays()]


def rate_multipliers(layer: Any) -> list[float]:
    """Return the multiplier of the learning rate for each array of a layer."""
    if isinstance(layer, Residual):
        return [m for inner in layer.layers for m in rate_multipliers(inner)]
    return [getattr(layer, "rate_multiplier", 1.0) for _ in layer.arrays()]


def decay(layer: Any) -> list[bool]:
    """Return, for each array of a layer, whether it decays: matrices do, except some of embeddings.

    A layer with an attribute `decayed` lists the arrays that decay there.
    """
    if isinstance(layer, Residual):
        return [on for inner in layer.layers for on in decay(inner)]
    own = getattr(layer, "decayed", ())
    return [array.ndim == 2 and (not own or array is own[0]) for array in layer.arrays()]


def round_operands(layers: Iterable[Any]) -> None:
    """Set `rounds` for layers of more than 4 units; narrower layers would gain nothing by it."""
    for layer in layers:
        if isinstance(layer, Residual):
            round_operands(layer.layers)
        elif isinstance(layer, Layer):
            layer.rounds = layer.W.shape[1] > 4


# ---- Twins: reference layers for fastnn's layers ------------------------------------------------


def dense_twin(spec: Any, arrays: Iterator[Array], rate: float, number: int) -> Layer:
    """Return the twin of a Dense whose input is dropped with probability `rate`."""
    return Layer(
        W=next(arrays),
        b=next(arrays) if spec.use_bias else None,
        activation=spec.activation.name,
        alpha=spec.activation.parameter,
        l1=float(spec.l1),
        l2=float(spec.l2),
        dropout=float(rate),
        trainable=spec.trainable,
        number=number,
        rate_multiplier=float(spec.learning_rate_multiplier),
    )


def layer_norm_twin(spec: Any, arrays: Iterator[Array]) -> LayerNorm:
    """Return the twin of a LayerNorm."""
    return LayerNorm(next(arrays), next(arrays), float(spec.epsilon), spec.trainable)


#: For each kind of layer, the function that makes its twin; `twins` itself handles those with None.
TWINS: dict[str, Any] = {
    "dense": dense_twin,
    "dropout": None,
    "standardize": None,  # mean and scale belong to the Network
    "layer_norm": layer_norm_twin,
    "activate": lambda spec, _: Activate(spec.activation.name, spec.activation.parameter),
    "residual": None,
    "ensemble": None,  # replaced by its layers
    "embedding": embeddings.embedding_twin,
    "numeric_embedding": embeddings.numeric_twin,
}


def _until_sum(specs: Iterator[Any]) -> list[Any]:
    """Take the pieces after a Fork up to its Sum; return them without the Sum."""
    found: list[Any] = []
    depth = 1
    for spec in specs:
        depth += {"fork": 1, "sum": -1}.get(spec.name, 0)
        if depth == 0:
            break
        found.append(spec)
    return found


#: As TWINS, for the pieces that only an Ensemble has.
OF_MEMBERS: dict[str, Any] = {
    "member_scale": members.scale_twin,
    "member_dense": members.dense_twin,
}


def with_members(layers: Iterable[Any]) -> Iterator[Any]:
    """Yield the layers; an Ensemble is replaced by its layers."""
    for spec in layers:
        if spec.name == "ensemble":
            yield from spec.with_members()
        else:
            yield spec


def twins(
    layers: Iterable[Any], arrays: Iterator[Array], count: dict[str, int] | None = None
) -> list[Any]:
    """Return the twins of fastnn's layers, with arrays from an iterator.

    Consecutive Dropouts become one, which keeps a value with the probability that all of them keep
    it. The number of its masks is the number of layers with parameters before it, plus 2^32 for a
    second Dropout before the same layer.
    """
    count = {"layers": 0, "masks": 0} if count is None else count
    found: list[Any] = []
    kept = 1.0
    specs = iter(with_members(layers))
    for spec in specs:
        if spec.name == "dropout":
            kept *= 1.0 - spec.rate
            continue
        if spec.name == "standardize":
            continue
        number = count["layers"] + (count["masks"] << 32)
        rate, kept = 1.0 - kept, 1.0
        if rate:
            count["masks"] += 1
        if rate and spec.name != "dense":
            found.append(Dropout(rate, number))
        if spec.name in ("residual", "fork"):
            inner = spec.layers if spec.name == "residual" else _until_sum(specs)
            found.append(Residual(twins(inner, arrays, count)))
            continue
        own = (rate, number) if spec.name == "dense" else ()
        found.append((TWINS | OF_MEMBERS)[spec.name](spec, arrays, *own))
        if found[-1].arrays():
            count["layers"] += getattr(found[-1], "n_layers", 1)
            count["masks"] = 0
    if kept < 1.0:
        found.append(Dropout(1.0 - kept, count["layers"] + (count["masks"] << 32)))
        count["masks"] += 1
    return found
