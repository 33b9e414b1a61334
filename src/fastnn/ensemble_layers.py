"""Pieces of an Ensemble that have parameters for each of its members.

The copies of a row, one for each member, are consecutive rows: with ``k`` members, row ``i`` of the
inputs belongs to member ``i % k``.

Not here: `Ensemble` itself (layers.py), and arithmetic (engine/stages/members.pxd,
reference/members.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn._layer import Draw, Layer

if TYPE_CHECKING:
    from fastnn.layers import Dense


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
