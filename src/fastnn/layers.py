"""Specifications of layers: what an MLP is built from.

Not here: weights (the network's arena holds them) and arithmetic (the kernels).
"""

from dataclasses import dataclass

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

    def __post_init__(self):
        rate = _checks.number("rate", self.rate, low=0.0, below=1.0)
        object.__setattr__(self, "rate", rate)
