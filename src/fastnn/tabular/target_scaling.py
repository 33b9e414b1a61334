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
    """The scaling of a target y (n,) or (n, n_outputs) for training: ``(y - mean) / scale``.

    Parameters
    ----------
    mean, scale : float or ndarray of shape (n_outputs,)
    output : str
        The activation of the output layer.
    """

    mean: float | NDArray[np.float64]
    scale: float | NDArray[np.float64]
    output: str

    @classmethod
    def of(
        cls,
        name: str,
        y: NDArray[Any],
        output: str,
        dtype: str,
        weight: NDArray[Any] | None = None,
    ) -> Self:
        """Return the scaling that standardizes a target (n,), whose rows may have weights above 0.

        `mean` and `scale` are its mean and its standard deviation (1 if it is constant), or 0 and
        the mean for a network whose outputs are exponentials. An error names the target if it is so
        large, so far from 0, or so close to 0 that a network of `dtype` cannot predict it.
        """
        _checks.size_of_target(name, y, POLICIES[dtype].name)
        mean = float(y.mean() if weight is None else np.average(y, weights=weight))
        spread = deviation(y, weight)
        if output == "exp":
            return cls(0.0, mean or 1.0, output)
        if y.min() < y.max():
            _checks.spread_of_target(name, spread, POLICIES[dtype].name)
            _checks.offset_of_target(name, mean, spread, dtype)
        return cls(mean, spread or 1.0, output)

    def scaled(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the target as networks are trained on it."""
        return (y - self.mean) / self.scale

    def unscaled(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs of a network without the scaling as predictions of the target."""
        return self.mean + self.scale * outputs

    def undo(self, net: MLP) -> None:
        """Make the output layer undo the scaling: its output y becomes mean + scale y."""
        *others, W, b = net.get_weights()
        net.set_weights([*others, *self.undone(W, b)])

    def undone(self, W: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return weights and bias of an output layer that undoes the scaling.

        For an output a = z W + b, the new weights are scale W and the new bias is scale b + mean;
        for an output exp(a), the new bias is b + log(scale). Both are computed in float64, also for
        networks of float32.
        """
        W, b = W.astype(np.float64), b.astype(np.float64)
        if self.output == "exp":
            return W, b + math.log(self.scale)
        return self.scale * W, self.scale * b + self.mean

    def redone(self, W: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return W and b before `undone`, up to rounding, of an output layer without activation."""
        W, b = W.astype(np.float64), b.astype(np.float64)
        return W / self.scale, (b - self.mean) / self.scale
