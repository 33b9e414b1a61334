"""The block of layers whose inputs are added to its outputs, and the pieces at its two ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from fastnn import _checks
from fastnn.layers.base import KINDS, Layer, with_widths


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
        object.__setattr__(self, "layers", tuple(_checks.block_layers(self.layers, KINDS)))

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
    arrays: ClassVar[int] = 0


class Sum(Layer):
    """The end of a Residual: adds the inputs of the matching `Fork`."""

    name: ClassVar[str] = "sum"
    piece_of: ClassVar[str] = "a Residual"
