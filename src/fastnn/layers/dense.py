"""The fully connected layer.

Not here: dense layers of an embedding (embeddings.py) or of an Ensemble's members (ensemble.py).
"""

from dataclasses import dataclass
from typing import ClassVar

from fastnn import _checks, activations, initializers
from fastnn.layers.base import IDENTITY, ActivationField, Layer, update_options


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
        The initial ``b``. With biases from the standard normal distribution, the bends of the
        activations are spread over the range of standardized inputs.
    l1, l2 : float, default 0.0
        Penalties ``l1 * sum |W| + l2 * sum W**2`` added to the loss of every batch (the scaling of
        Keras: the gradient is ``l1 * sign(W) + 2 * l2 * W``). Biases are not penalized.
    trainable : bool, default True
        Whether updates change the layer. A frozen layer keeps its weights; no deltas are computed
        below the lowest layer that is not frozen.
    learning_rate_multiplier : float, default 1.0
        Multiplies the learning rate (of the optimizer or its schedule) for this layer, also in
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
            ("bias_initializer", initializers.name_of_biases(self.bias_initializer)),
            *update_options(self),
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
