"""Specifications of the layers of an MLP.

The class of a layer defines everything that needs no arithmetic: its width, its parameters and
their shapes, its number of operations, its label in a summary, and its stages in the engine. Not
here: weights (in the arena of the network) and arithmetic (engine/stages/; in NumPy, reference/).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _checks, activations, initializers
from fastnn._layer import IDENTITY, RELU, ActivationField
from fastnn._layer import Layer as Layer
from fastnn.embedding_layers import BlockDense as BlockDense
from fastnn.embedding_layers import Embedding as Embedding
from fastnn.embedding_layers import NumericEmbedding as NumericEmbedding
from fastnn.embedding_layers import PeriodicEncoding as PeriodicEncoding
from fastnn.embedding_layers import PiecewiseEncoding as PiecewiseEncoding
from fastnn.ensemble_layers import MemberDense as MemberDense
from fastnn.ensemble_layers import MemberScale as MemberScale


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: ``z = h(z_prev @ W + b)`` with ``W`` of shape (n_in, units).

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str or Activation, default "identity"
        The function ``h``: a name, or an `Activation` to set its parameter.
    use_bias : bool, default True
        Whether the layer has biases ``b``, of shape (units,).
    initializer : str, optional
        The distribution of the initial ``W``: ``"glorot_uniform"``, ``"glorot_normal"``,
        ``"he_uniform"``, ``"he_normal"``, ``"lecun_uniform"``, ``"lecun_normal"``,
        ``"orthogonal"`` or ``"zeros"``. The default depends on the activation: He uniform for relu
        and similar, LeCun normal for selu, Glorot uniform for all others.
    bias_initializer : {"zeros", "ones", "standard_normal"}, default "zeros"
        The initial ``b``. Biases from the standard normal distribution spread the bends of the
        activations over standardized inputs.
    l1, l2 : float, default 0.0
        Penalties ``l1 * sum |W| + l2 * sum W**2`` added to the loss of every batch (the scaling of
        Keras: the gradient is ``l1 * sign(W) + 2 * l2 * W``). Biases are not penalized.
    trainable : bool, default True
        Whether updates change the layer. A frozen layer keeps its weights; no deltas are computed
        below the lowest layer that is not frozen.
    learning_rate_multiplier : float, default 1.0
        Factor of the learning rate of the optimizer or its schedule for this layer, also in
        decoupled weight decay; above 0.

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
    activation: ActivationField = IDENTITY
    use_bias: bool = True
    initializer: str | None = None
    l1: float = 0.0
    l2: float = 0.0
    trainable: bool = True
    bias_initializer: str = "zeros"
    learning_rate_multiplier: float = 1.0
    name: ClassVar[str] = "dense"
    is_output: ClassVar[bool] = True

    def __post_init__(self) -> None:
        activation = activations.get(self.activation)
        initializer = activation.initializer if self.initializer is None else self.initializer
        for name, value in (
            ("units", _checks.integer("units", self.units, low=1, high=2**31 - 1)),
            ("activation", activation),
            ("use_bias", _checks.flag("use_bias", self.use_bias)),
            ("initializer", initializers.name_of(initializer)),
            ("l1", _checks.number("l1", self.l1, low=0.0)),
            ("l2", _checks.number("l2", self.l2, low=0.0)),
            ("trainable", _checks.flag("trainable", self.trainable)),
            ("bias_initializer", initializers.name_of_biases(self.bias_initializer)),
            (
                "learning_rate_multiplier",
                _checks.number(
                    "learning_rate_multiplier", self.learning_rate_multiplier, above=0.0
                ),
            ),
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
        """Return the initializers of W, and of b unless it starts at 0."""
        found = {"W": self.initializer} if self.initializer else {}
        if self.use_bias and self.bias_initializer != "zeros":
            found["b"] = self.bias_initializer
        return found

    def flops(self, n_in: int) -> int:
        """Return the number of operations: a multiplication and an addition for each weight."""
        return 2 * n_in * self.units

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
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
                "rate_multiplier": self.learning_rate_multiplier,
            }
        ]

    @property
    def label(self) -> str:
        """The name of the layer in a summary."""
        return f"Dense {self.activation}"


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout on the outputs of the layer before it, or on the inputs of the network.

    In training each value is zeroed with probability `rate` and divided by ``1 - rate`` otherwise;
    in prediction values do not change (Srivastava et al., JMLR 2014).

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
        """Whether no value is ever dropped."""
        return self.rate == 0

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage; `number` distinguishes its masks from the masks of other stages."""
        return [{"kind": "dropout", "rate": self.rate, "mask": number}]

    @property
    def label(self) -> str:
        """The name of the layer in a summary."""
        return f"Dropout {self.rate:g}"


@dataclass(frozen=True)
class Standardize(Layer):
    """Standardize the inputs, as the first layer: mean 0 and standard deviation 1 for each column.

    ``z = (x - mean) / scale``; a constant column has scale 1. The first `MLP.fit` computes mean and
    scale from its rows, unless `MLP.adapt` has done so before. They are stored with the network, so
    predictions take raw inputs. A column whose standard deviation is too small or too large for the
    network's dtype raises a ValueError: below about 1e-32 or above 8e37 in float32.

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
    """Layer normalization: each row gets mean 0 and variance 1, each column a gain and a bias.

    ``z = gain * (z_prev - mean) / sqrt(var + epsilon) + bias`` with the mean and the variance of
    the row (Ba, Kiros, Hinton 2016). The outputs of a row depend only on that row, in training and
    in prediction.

    Parameters
    ----------
    epsilon : float, default 1e-5
        Added to the variance; a row of equal numbers gives the bias.
    trainable : bool, default True
        Whether updates change gain and bias, which start at 1 and 0. They have neither penalty nor
        weight decay.

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
        """Return the initializer of the gain; the bias starts at 0."""
        return {"gain": "ones"}

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        return [{"kind": self.name, "epsilon": self.epsilon, "frozen": not self.trainable}]


@dataclass(frozen=True)
class Activate(Layer):
    """An activation as a separate layer: ``z = h(z_prev)``.

    A Dense has its own activation. This layer is for an activation after another layer, as in
    ``[Dense(32), LayerNorm(), Activate("relu")]``, or after a Residual.

    Parameters
    ----------
    activation : str or Activation, default "relu"
        The function ``h``: a name, or an `Activation` to set its parameter. "softmax" is not
        allowed, since it is for the output layer only.

    Raises
    ------
    TypeError, ValueError
        If the activation is unknown or needs whole rows.

    Examples
    --------
    >>> from fastnn import MLP, Activate, Dense, LayerNorm
    >>> layers = [Dense(8), LayerNorm(), Activate("relu"), Dense(1)]
    >>> net = MLP(4, layers, loss="squared_error", optimizer="adam", seed=0)
    >>> [array.shape[1] for array in net.activations([[1.0, 2.0, 3.0, 4.0]])]
    [8, 8, 8, 1]
    """

    activation: ActivationField = RELU
    name: ClassVar[str] = "activate"

    def __post_init__(self) -> None:
        activation = _checks.pointwise(activations.get(self.activation))
        object.__setattr__(self, "activation", activation)

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        return [
            {
                "kind": self.name,
                "activation": self.activation.name,
                "parameter": self.activation.parameter or 0.0,
            }
        ]

    @property
    def label(self) -> str:
        """The name of the layer in a summary."""
        return f"Activate {self.activation}"


@dataclass(frozen=True)
class Residual(Layer):
    """A block of layers whose inputs are added to its outputs: ``z = z_prev + f(z_prev)``.

    The sum has no activation (He et al., CVPR 2016); an `Activate` after it adds one. Gradients
    pass through the sum unchanged, so a deep network of such blocks is easier to train than one
    without sums.

    Parameters
    ----------
    layers : list of layers
        The block ``f``, which must have as many outputs as inputs. It may contain a Residual.

    Raises
    ------
    TypeError, ValueError
        If the block is empty, or contains an item that is not a layer or that must come first.
        Whether the numbers of inputs and outputs agree is checked when a network is built.

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
        """Return the number of inputs, which is also the number of outputs."""
        n_out = n_in
        for layer, k in with_widths(self.layers, n_in):
            n_out = layer.width(k)
        _checks.same_width(n_in, n_out)
        return n_in

    def with_trainable(self, trainable: bool) -> Layer:
        """Return the block with the parameters of all its layers trained or frozen."""
        return replace(self, layers=[layer.with_trainable(trainable) for layer in self.layers])

    def pieces(self) -> Iterator[Layer]:
        """Yield a Fork, the layers, and a Sum."""
        yield Fork()
        for layer in self.layers:
            yield from layer.pieces()
        yield Sum()


class Fork(Layer):
    """The beginning of a Residual: passes its inputs on, and keeps them for the matching `Sum`."""

    name: ClassVar[str] = "fork"
    piece_of: ClassVar[str] = "a Residual"


class Sum(Layer):
    """The end of a Residual: adds the inputs of the matching `Fork`."""

    name: ClassVar[str] = "sum"
    piece_of: ClassVar[str] = "a Residual"


@dataclass(frozen=True)
class Ensemble(Layer):
    """Several networks that share most weights, as the last layer; the output is their mean.

    Each of the `k` members has its own factors for the inputs of the ensemble and its own output
    layer; all members share the layers between. They are trained together, each on its own loss, so
    they make different errors, like separate networks, with few more weights than a single network
    (TabM: Gorishniy, Kotelnikov, Babenko, ICLR 2025; after BatchEnsemble: Wen, Tran, Ba, ICLR
    2020).

    Parameters
    ----------
    k : int
        Number of members, from 2 to 256. A step takes about `k` times as long as without an
        ensemble.
    layers : list of layers
        The layers of a member. The last layer must be a Dense, of which each member has its own.
    adapters : {"first", "all"}, default "first"
        The places of the members' factors: "first" only for the inputs (TabM-mini), "all" also
        before and after the weights of each Dense, with a bias for each member (TabM).
    initializer : {"random_signs", "standard_normal"}, default "random_signs"
        The distribution of the initial factors of the inputs. Further factors start at 1.
    trainable : bool, default True
        Whether updates change the factors.
    learning_rate_multiplier : float, default 1.0
        As in `Dense`, for the factors.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, if the layers do not end with a Dense, or if they
        contain an item that is not a layer, that must come first, or that must come last.

    See Also
    --------
    fastnn.fit_many : networks that share nothing.

    Notes
    -----
    The outputs, in `MLP.predict` and in metrics, are means over the members after the activation,
    for instance means of probabilities. The loss of a network is the mean of its members' losses,
    in `MLP.evaluate` as in training; the loss of the mean outputs would be smaller where the
    members differ. A loss that is a Python function gets the mean outputs, and gradients of outputs
    are gradients of the mean outputs.

    The layers of the network before the Ensemble are computed for each member, too: each row passes
    through the network ``k`` times, one copy for each member. `MLP.activations` returns the copies
    of a row one after the other.

    The factors are a matrix ``W`` of shape (k, n). The parameters of the members' output layers are
    ``W`` of shape (k * n, units) and ``b`` of shape (k, units).

    Examples
    --------
    >>> from fastnn import MLP, Dense, Ensemble
    >>> layers = [Ensemble(8, [Dense(32, "relu"), Dense(32, "relu"), Dense(1)])]
    >>> net = MLP(5, layers, loss="squared_error", optimizer="adam", seed=0)
    >>> [array.shape for array in net.get_weights()]
    [(8, 5), (5, 32), (32,), (32, 32), (32,), (256, 1), (8, 1)]
    >>> net.predict([[1.0, 2.0, 3.0, 4.0, 5.0]]).shape
    (1, 1)
    """

    k: int
    layers: Sequence[Layer]
    adapters: str = "first"
    initializer: str = "random_signs"
    trainable: bool = True
    learning_rate_multiplier: float = 1.0
    name: ClassVar[str] = "ensemble"
    is_output: ClassVar[bool] = True
    comes_last: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (
            ("k", _checks.integer("k", self.k, low=2, high=256)),
            ("layers", tuple(_checks.layers_of_members(self.layers, KINDS))),
            ("adapters", _checks.choice("adapters", self.adapters, ("first", "all"))),
            ("initializer", initializers.name_of_members(self.initializer)),
            ("trainable", _checks.flag("trainable", self.trainable)),
            (
                "learning_rate_multiplier",
                _checks.number(
                    "learning_rate_multiplier", self.learning_rate_multiplier, above=0.0
                ),
            ),
        ):
            object.__setattr__(self, name, value)

    @property
    def activation(self) -> activations.Activation:
        """The activation of the outputs."""
        last: Any = self.layers[-1]
        found: activations.Activation = last.activation
        return found

    def width(self, n_in: int) -> int:
        """Return the number of outputs of a member."""
        n_out = n_in
        for layer, k in with_widths(self.layers, n_in):
            n_out = layer.width(k)
        return n_out

    def with_trainable(self, trainable: bool) -> Layer:
        """Return the ensemble with the parameters of all its layers trained or frozen."""
        layers = [layer.with_trainable(trainable) for layer in self.layers]
        return replace(self, layers=layers, trainable=trainable)

    def with_members(self) -> list[Layer]:
        """Return the layers together with the layers that have parameters for each member."""
        *shared, last = self.layers
        if self.adapters == "all":
            shared = [inner for layer in shared for inner in self._adapted(layer)]
        assert isinstance(last, Dense)  # checked when the layer was made
        return [self._scale(self.initializer), *shared, MemberDense(self.k, last)]

    def _scale(self, initializer: str, bias_initializer: str | None = None) -> MemberScale:
        options = self.trainable, self.learning_rate_multiplier
        return MemberScale(self.k, initializer, bias_initializer, *options)

    def _adapted(self, layer: Layer) -> Iterator[Layer]:
        """Yield a layer; a Dense with factors before and after its weights."""
        if isinstance(layer, Residual):
            inner = [found for one in layer.layers for found in self._adapted(one)]
            yield from (Fork(), *inner, Sum())
        elif isinstance(layer, Dense):
            yield self._scale("ones")
            yield replace(layer, activation=IDENTITY, use_bias=False)
            yield self._scale("ones", layer.bias_initializer if layer.use_bias else None)
            if not layer.activation.is_linear:
                yield Activate(layer.activation)
        else:
            yield layer

    def pieces(self) -> Iterator[Layer]:
        """Yield the pieces of `with_members`."""
        for layer in self.with_members():
            yield from layer.pieces()


#: Kinds of layers by name.
KINDS: dict[str, type[Layer]] = {
    kind.name: _checks.explaining(kind)
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
}

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


def with_widths(layers: Iterable[Layer], n_in: int) -> Iterator[tuple[Layer, int]]:
    """Yield every piece of the layers and the number of its inputs."""
    for layer in layers:
        layer.width(n_in)  # raises an error if n_in does not fit
        for piece in layer.pieces():
            yield piece, n_in
            n_in = piece.width(n_in)


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
