"""Specifications of layers: what an MLP is built from.

Not here: weights (the network's arena holds them) and arithmetic (the kernels).
"""

from dataclasses import dataclass
from typing import ClassVar

from fastnn import _checks, activations, initializers
from fastnn.activations import Activation


@dataclass(frozen=True)
class Dense:
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
    activation: str | Activation = "identity"
    use_bias: bool = True
    initializer: str | None = None
    l1: float = 0.0
    l2: float = 0.0
    trainable: bool = True
    name: ClassVar[str] = "dense"

    def __post_init__(self):
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


@dataclass(frozen=True)
class Dropout:
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

    def __post_init__(self):
        rate = _checks.number("rate", self.rate, low=0.0, below=1.0)
        object.__setattr__(self, "rate", rate)


@dataclass(frozen=True)
class Standardize:
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


#: Kinds of layers by name.
KINDS = {kind.name: kind for kind in (Dense, Dropout, Standardize)}
