"""Layers that change each number by itself: Dropout and Activate, which have no parameters."""

from dataclasses import dataclass
from typing import ClassVar

from fastnn import _checks, activations
from fastnn.layers.base import RELU, ActivationField, Layer


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
    arrays: ClassVar[int] = 1

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
    arrays: ClassVar[int] = 1

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
