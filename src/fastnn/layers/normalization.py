"""Layers that give columns or rows mean 0 and variance 1: Standardize and LayerNorm."""

from dataclasses import dataclass
from typing import ClassVar

from fastnn import _checks
from fastnn.layers.base import Layer


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
    standardizes: ClassVar[bool] = True
    arrays: ClassVar[int] = 0


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
