"""The scaling of a numeric target for training, which the output layer undoes afterwards.

Not here: the scaling of inputs (layers/, learning.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._precision import POLICIES
from fastnn.tabular.deviation import deviation

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from fastnn.mlp import MLP


@dataclass(frozen=True)
class TargetScaling:
    """The scaling of a target y (n,) for training: ``(y - mean) / scale``.

    Parameters
    ----------
    mean, scale : float
    output : str
        The activation of the output layer.
    """

    mean: float
    scale: float
    output: str

    @classmethod
    def of(cls, name: str, y: NDArray[Any], output: str, dtype: str) -> Self:
        """Return the scaling that standardizes a target.

        `mean` and `scale` are its mean and its standard deviation (1 if it is constant), or 0 and
        the mean for a network whose outputs are exponentials. An error names the target if it is so
        large, so far from 0, or so close to 0 that a network of `dtype` cannot predict it.
        """
        _checks.size_of_target(name, y, POLICIES[dtype].name)
        mean, spread = float(y.mean()), deviation(y)
        if output == "exp":
            return cls(0.0, mean or 1.0, output)
        if y.min() < y.max():
            _checks.spread_of_target(name, spread, POLICIES[dtype].name)
            _checks.offset_of_target(name, mean, spread, dtype)
        return cls(mean, spread or 1.0, output)

    def scaled(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the target as networks are trained on it."""
        return (y - self.mean) / self.scale

    def undo(self, net: MLP) -> None:
        """Make the output layer undo the scaling: its output y becomes mean + scale y.

        For an output a = z W + b, the new weights are scale W and the new bias is scale b + mean;
        for an output exp(a), the new bias is b + log(scale). Both are computed in float64, also for
        networks of float32.
        """
        *others, W, b = net.get_weights()
        W, b = W.astype(np.float64), b.astype(np.float64)
        if self.output == "exp":
            net.set_weights([*others, W, b + math.log(self.scale)])
        else:
            net.set_weights([*others, self.scale * W, self.scale * b + self.mean])
