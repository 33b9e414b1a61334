"""Several networks that share most weights, and its pieces with parameters for each member.

The copies of a row, one for each member, are consecutive rows: with ``k`` members, row ``i`` of the
inputs belongs to member ``i % k``.

Not here: arithmetic (engine/stages/members.pxd, reference/members.py), and networks that share
nothing (many/).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from fastnn import _checks, activations, initializers
from fastnn.layers.base import IDENTITY, KINDS, Draw, Layer, update_options, with_widths
from fastnn.layers.dense import Dense
from fastnn.layers.elementwise import Activate
from fastnn.layers.residual import Fork, Residual, Sum


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

    Exports to ONNX, PyTorch and C source output the means; scikit-learn has no such networks, and
    the C source cannot train them.

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
            *update_options(self),
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


@dataclass(frozen=True)
class MemberScale(Layer):
    """Factors and optional biases for each member and column: ``z_m = x_m * W_m + b_m``.

    ``W`` and ``b`` are (members, n). ``initializer`` draws ``W``, ``bias_initializer`` draws ``b``;
    if the latter is None, there are no biases.
    """

    members: int
    initializer: str
    bias_initializer: str | None = None
    trainable: bool = True
    learning_rate_multiplier: float = 1.0
    name: ClassVar[str] = "member_scale"
    piece_of: ClassVar[str] = "an Ensemble"

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of W and, if there are biases, of b."""
        shapes: dict[str, tuple[int, ...]] = {"W": (self.members, n_in)}
        return shapes | ({} if self.bias_initializer is None else {"b": (self.members, n_in)})

    def initializers(self) -> dict[str, str]:
        """Return the initializers of W, and of b unless it starts at 0."""
        found = {"W": self.initializer}
        if self.bias_initializer not in (None, "zeros"):
            found["b"] = str(self.bias_initializer)
        return found

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        return [
            {
                "kind": self.name,
                "members": self.members,
                "use_bias": self.bias_initializer is not None,
                "frozen": not self.trainable,
                "rate_multiplier": self.learning_rate_multiplier,
            }
        ]


@dataclass(frozen=True)
class MemberDense(Layer):
    """A Dense for each member: ``z_m = h(x_m @ W_m + b_m)``.

    ``dense`` is the specification of each. ``W`` is (members * n_in, units), with the weights of
    the members one after the other; ``b`` is (members, units).
    """

    members: int
    dense: Dense
    name: ClassVar[str] = "member_dense"
    piece_of: ClassVar[str] = "an Ensemble"

    @property
    def trainable(self) -> bool:  # type: ignore[override]  # a field of other layers
        """Whether updates change the layer's parameters."""
        return self.dense.trainable

    def with_trainable(self, trainable: bool) -> Layer:
        """Return the layer with its parameters trained or frozen."""
        return replace(self, dense=replace(self.dense, trainable=trainable))

    def width(self, n_in: int) -> int:
        """Return the number of units of one member."""
        return self.dense.units

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of W and, if there are biases, of b."""
        shapes: dict[str, tuple[int, ...]] = {"W": (self.members * n_in, self.dense.units)}
        return shapes | ({"b": (self.members, self.dense.units)} if self.dense.use_bias else {})

    def draws(self, n_in: int) -> Iterator[Draw]:
        """Yield how W and b are drawn, member by member."""
        for m in range(self.members):
            for name, first, initializer, shape in self.dense.draws(n_in):
                yield Draw(name, m * shape[0] + first, initializer, shape)

    def flops(self, n_in: int) -> int:
        """Return a multiplication and an addition for each weight of one member, as for a Dense."""
        return self.dense.flops(n_in)

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        [own] = self.dense.stages(number)
        return [{**own, "kind": self.name, "members": self.members}]

    @property
    def label(self) -> str:
        """The name of the layer in a summary."""
        activation: Any = self.dense.activation
        return f"MemberDense {activation}"
