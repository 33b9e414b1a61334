"""Specifications of layers: what an MLP is built from.

A kind of layer says all about itself that does not need arithmetic: its width, its parameters and
their shapes, what it costs, how a summary calls it. Not here: weights (the network's arena holds
them) and arithmetic (the kernels; in NumPy, reference.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _checks, activations, initializers
from fastnn.activations import Activation

if TYPE_CHECKING:

    class ActivationField:
        """A field that takes a name or an `Activation`, and holds an `Activation`."""

        def __get__(self, layer: Any, kind: Any = None) -> Activation: ...
        def __set__(self, layer: Any, activation: str | Activation) -> None: ...
else:
    ActivationField = str | Activation

_IDENTITY: Any = "identity"  # the default, which isn't an ActivationField to type checkers


class Layer:
    """What all kinds of layers have in common.

    Attributes
    ----------
    name : str
        The name by which files know the kind.
    trainable : bool
        Whether updates change the layer's parameters.
    """

    name: ClassVar[str]
    trainable: bool = True
    #: Whether the layer is of use as a network's first layer alone.
    comes_first: ClassVar[bool] = False
    #: Whether a network may end with it: it has the activation that a loss goes with.
    is_output: ClassVar[bool] = False

    @property
    def is_void(self) -> bool:
        """Whether the layer changes nothing."""
        return False

    def width(self, n_in: int) -> int:
        """Return the number of outputs for `n_in` inputs."""
        return n_in

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the layer's parameters by name, in the order of `get_weights`."""
        return {}

    def initializers(self) -> dict[str, str]:
        """Return the initializers of parameters that are drawn, by name; the others start at 0."""
        return {}

    def pieces(self) -> Iterator["Layer"]:
        """Yield what the layer consists of: itself, but for layers that hold others."""
        yield self

    def flops(self, n_in: int) -> int:
        """Return the operations of the forward pass for one row: those of matrix products."""
        return 0

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return the layer as the engine takes it: what its room in engine/stages/ asks for.

        `number` counts the layers with parameters before it.
        """
        return [{"kind": self.name}]

    @property
    def label(self) -> str:
        """The layer as a line of a summary calls it."""
        return type(self).__name__


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: ``z = h(z_prev @ W + b)`` with ``W`` of shape (n_in, units).

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str or Activation, default "identity"
        The layer's ``h``; a name, or an `Activation` to set its parameter.
    use_bias : bool, default True
        Whether the layer has biases ``b``, of shape (units,).
    initializer : str, optional
        How ``W`` is drawn: ``"glorot_uniform"``, ``"glorot_normal"``, ``"he_uniform"``,
        ``"he_normal"``, ``"lecun_uniform"``, ``"lecun_normal"``, ``"orthogonal"`` or ``"zeros"``.
        By default what suits the activation: He for relu and its kin, LeCun normal for selu,
        Glorot for the others. Biases start at 0.
    l1, l2 : float, default 0.0
        Penalties ``l1 * sum |W| + l2 * sum W**2`` added to the loss of every batch (the scaling of
        Keras: the gradient is ``l1 * sign(W) + 2 * l2 * W``). Biases are not penalized.
    trainable : bool, default True
        Whether updates change the layer; a frozen one keeps its weights, and below the lowest
        layer that isn't frozen no deltas are computed.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> from fastnn import Dense
    >>> Dense(128, "relu", l2=1e-4).units
    128
    """

    units: int
    activation: ActivationField = _IDENTITY
    use_bias: bool = True
    initializer: str | None = None
    l1: float = 0.0
    l2: float = 0.0
    trainable: bool = True
    name: ClassVar[str] = "dense"
    is_output: ClassVar[bool] = True

    def __post_init__(self) -> None:
        activation = activations.get(self.activation)
        initializer = activation.initializer if self.initializer is None else self.initializer
        for name, value in (
            ("units", _checks.integer("units", self.units, low=1, high=2**31 - 1)),
            ("activation", activation),
            ("use_bias", _checks.flag("use_bias", self.use_bias)),
            ("initializer", _checks.choice("initializer", initializer, initializers.NAMES)),
            ("l1", _checks.number("l1", self.l1, low=0.0)),
            ("l2", _checks.number("l2", self.l2, low=0.0)),
            ("trainable", _checks.flag("trainable", self.trainable)),
        ):
            object.__setattr__(self, name, value)

    def width(self, n_in: int) -> int:
        """Return the number of units."""
        return self.units

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of W and, if the layer has biases, of b."""
        shapes: dict[str, tuple[int, ...]] = {"W": (n_in, self.units)}
        return shapes | {"b": (self.units,)} if self.use_bias else shapes

    def initializers(self) -> dict[str, str]:
        """Return how W is drawn; biases start at 0."""
        return {"W": self.initializer} if self.initializer else {}

    def flops(self, n_in: int) -> int:
        """Return a multiplication and an addition for each weight."""
        return 2 * n_in * self.units

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return the one stage that a Dense is."""
        return [
            {
                "kind": "dense",
                "units": self.units,
                "activation": self.activation.name,
                "parameter": self.activation.parameter or 0.0,
                "use_bias": self.use_bias,
                "l1": self.l1,
                "l2": self.l2,
                "frozen": not self.trainable,
            }
        ]

    @property
    def label(self) -> str:
        """The layer as a line of a summary calls it."""
        return f"Dense {self.activation}"


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout on the outputs of the layer before it, or on the inputs of the network.

    In training each value is zeroed with probability `rate` and divided by ``1 - rate`` otherwise;
    in prediction nothing happens (Srivastava et al., JMLR 2014).

    Parameters
    ----------
    rate : float
        Fraction of the values to drop, at least 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        If the rate is out of that range.

    Examples
    --------
    >>> from fastnn import MLP, Dense, Dropout
    >>> net = MLP(4, [Dense(8, "relu"), Dropout(0.5), Dense(1)], loss="squared_error",
    ...           optimizer="sgd")
    """

    rate: float
    name: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        rate = _checks.number("rate", self.rate, low=0.0, below=1.0)
        object.__setattr__(self, "rate", rate)

    @property
    def is_void(self) -> bool:
        """Whether nothing is ever dropped."""
        return self.rate == 0

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage, whose masks are told from others' by `number`."""
        return [{"kind": "dropout", "rate": self.rate, "mask": number}]

    @property
    def label(self) -> str:
        """The layer as a line of a summary calls it."""
        return f"Dropout {self.rate:g}"


@dataclass(frozen=True)
class Standardize(Layer):
    """Inputs with their mean subtracted, divided by their standard deviation: the first layer.

    ``z = (x - mean) / scale`` for each column; a column that doesn't vary has scale 1. Both are
    learnt from data (by the first `MLP.fit`, from its rows, or by `MLP.adapt`), not trained, and
    stored with the network, so that predictions take raw inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense, Standardize
    >>> net = MLP(2, [Standardize(), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    >>> net.adapt([[1.0, 10.0], [3.0, 30.0]])
    >>> net.standardization[0]
    array([ 2., 20.])
    """

    name: ClassVar[str] = "standardize"
    comes_first: ClassVar[bool] = True


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer normalization: each row with mean 0 and variance 1, then a gain and a bias a column.

    ``z = gain * (z_prev - mean) / sqrt(var + epsilon) + bias``, mean and variance of the row (Ba,
    Kiros, Hinton 2016). A row's outputs depend on that row alone, in training and in prediction.

    Parameters
    ----------
    epsilon : float, default 1e-5
        Added to the variance, so that a row of equal numbers gives the bias.
    trainable : bool, default True
        Whether updates change gain and bias, which start at 1 and 0. Penalties and weight decay
        leave them alone.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> from fastnn import MLP, Dense, LayerNorm
    >>> net = MLP(3, [LayerNorm(), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    >>> net.activations([[1.0, 2.0, 3.0]])[0].round(4)
    array([[-1.2247,  0.    ,  1.2247]], dtype=float32)
    """

    epsilon: float = 1e-5
    trainable: bool = True
    name: ClassVar[str] = "layer_norm"

    def __post_init__(self) -> None:
        epsilon = _checks.number("epsilon", self.epsilon, low=_checks.SMALLEST)
        object.__setattr__(self, "epsilon", epsilon)
        object.__setattr__(self, "trainable", _checks.flag("trainable", self.trainable))

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of gain and bias."""
        return {"gain": (n_in,), "bias": (n_in,)}

    def initializers(self) -> dict[str, str]:
        """Return how the gain starts; the bias starts at 0."""
        return {"gain": "ones"}

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return the one stage that a LayerNorm is."""
        return [{"kind": self.name, "epsilon": self.epsilon, "frozen": not self.trainable}]


@dataclass(frozen=True)
class Residual(Layer):
    """A stretch of layers whose inputs are added to its outputs: ``z = z_prev + f(z_prev)``.

    The sum has no activation of its own (He et al., CVPR 2016). A deep network of such stretches
    learns more easily than a plain one, since gradients pass the sums unchanged.

    Parameters
    ----------
    layers : list of layers
        The stretch ``f``, which has as many outputs as inputs. It may hold a Residual, too.

    Raises
    ------
    TypeError, ValueError
        If the stretch is empty, or holds something that is no layer or must come first. A stretch
        whose numbers of inputs and outputs differ is refused where a network is built of it.

    Examples
    --------
    >>> from fastnn import MLP, Dense, LayerNorm, Residual
    >>> block = Residual([LayerNorm(), Dense(32, "relu"), Dense(8)])
    >>> net = MLP(8, [block, block, Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    >>> net.n_parameters
    1145
    """

    layers: Sequence[Layer]
    name: ClassVar[str] = "residual"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(_checks.stretch(self.layers, KINDS)))

    def width(self, n_in: int) -> int:
        """Return the number of inputs, which is that of outputs."""
        n_out = n_in
        for layer, k in with_widths(self.layers, n_in):
            n_out = layer.width(k)
        _checks.same_width(n_in, n_out)
        return n_in

    def pieces(self) -> Iterator[Layer]:
        """Yield the layers, and marks where the inputs are kept and where they are added."""
        yield Fork()
        for layer in self.layers:
            yield from layer.pieces()
        yield Sum()


class Fork(Layer):
    """Where a Residual begins: inputs are kept for the `Sum` at its end, and passed on."""

    name: ClassVar[str] = "fork"


class Sum(Layer):
    """Where a Residual ends: the inputs of the last `Fork` without a `Sum` are added."""

    name: ClassVar[str] = "sum"


#: Kinds of layers by name.
KINDS: dict[str, type[Layer]] = {
    kind.name: kind for kind in (Dense, Dropout, Standardize, LayerNorm, Residual)
}

#: The kinds that layers consist of: what programs that go through a network meet.
PIECES: tuple[type[Layer], ...] = (Dense, Dropout, Standardize, LayerNorm, Fork, Sum)


def with_widths(layers: Iterable[Layer], n_in: int) -> Iterator[tuple[Layer, int]]:
    """Yield every piece of the layers and the number of its inputs."""
    for layer in layers:
        layer.width(n_in)  # which some refuse
        for piece in layer.pieces():
            yield piece, n_in
            n_in = piece.width(n_in)


def parameters(layers: Iterable[Layer], n_in: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all parameters, in the order of `MLP.get_weights`.

    Their names are those of a file's tensors: "layers.0.W", "layers.0.b", ..., numbered over the
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
    """Return layers as the engine takes them.

    Dropouts in a row are one stage, with a mask that keeps what all of them keep.
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
